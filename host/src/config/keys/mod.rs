//! The table of keys: what can be configured, where, and what happens without it.
//!
//! The checks, the flags of `portcell run`, its help and docs/config.md are made from it.

mod handler;
mod listener;
mod pool;
mod server;
mod socket;
mod udp;

use super::Kind;

/// Where `portcell run` listens if it is not told.
pub const DEFAULT_LISTEN: &str = "tcp://127.0.0.1:7000";

/// One key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// As it is written in the file; unique within its home.
    pub name: &'static str,
    /// The table it belongs to.
    pub home: Home,
    /// What it takes.
    pub kind: Kind,
    /// What it is where it is not written.
    pub default: DefaultValue,
    /// When a change takes effect.
    pub change: Change,
    /// What it does: one sentence.
    pub doc: &'static str,
    /// What goes wrong without it: one sentence.
    pub without: &'static str,
    /// Its flag of `portcell run`, if it has one.
    pub flag: Option<Flag>,
}

/// The table that a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// `[server]`
    Server,
    /// `[[listener]]`
    Listener,
    /// `[handler.NAME]`
    Handler,
    /// `[pool.NAME]`
    Pool,
}

impl Home {
    /// The table's header.
    pub fn header(self) -> &'static str {
        match self {
            Self::Server => "[server]",
            Self::Listener => "[[listener]]",
            Self::Handler => "[handler.NAME]",
            Self::Pool => "[pool.NAME]",
        }
    }
}

/// What a key is where it is not written, as TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// Nothing: it must be there.
    Required,
    /// This.
    Is(&'static str),
    /// One thing for connections and another for flows of UDP.
    ByTransport {
        /// For connections.
        connections: &'static str,
        /// For flows.
        flows: &'static str,
    },
}

impl DefaultValue {
    /// That for connections; `None` if the key must be there.
    pub fn connections(self) -> Option<&'static str> {
        match self {
            Self::Required => None,
            Self::Is(toml) | Self::ByTransport { connections: toml, .. } => Some(toml),
        }
    }

    /// That for flows; `None` if the key must be there.
    pub fn flows(self) -> Option<&'static str> {
        match self {
            Self::Required => None,
            Self::Is(toml) | Self::ByTransport { flows: toml, .. } => Some(toml),
        }
    }

    /// In words, each value as `shown` makes it of its TOML; `None` if the key must be there.
    pub fn in_words(self, shown: impl Fn(&str) -> String) -> Option<String> {
        match self {
            Self::Required => None,
            Self::Is(toml) => Some(shown(toml)),
            Self::ByTransport { connections, flows } => {
                Some(format!("{}, for UDP {}", shown(connections), shown(flows)))
            }
        }
    }
}

/// When a changed key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// For connections that come after the change, without a restart.
    Live,
    /// At the next start only: the engine's pool and the place of receipts are made once.
    Restart,
}

/// A flag of `portcell run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Its long name without the dashes.
    pub name: &'static str,
    /// The name of its value in the help.
    pub value: &'static str,
    /// Whether it may be given more than once.
    pub repeat: bool,
}

const fn flag(name: &'static str, value: &'static str) -> Flag {
    Flag { name, value, repeat: false }
}

const fn repeated(name: &'static str, value: &'static str) -> Flag {
    Flag { name, value, repeat: true }
}

/// Every key there is, in the order of the documentation.
pub const KEYS: &[Key] = &joined::<{ count(PARTS) }>(PARTS);

const PARTS: &[&[Key]] =
    &[server::KEYS, listener::KEYS, udp::KEYS, socket::KEYS, handler::KEYS, pool::KEYS];

const fn count(parts: &[&[Key]]) -> usize {
    match parts {
        [] => 0,
        [first, rest @ ..] => first.len() + count(rest),
    }
}

const fn joined<const N: usize>(parts: &[&[Key]]) -> [Key; N] {
    let mut all = [server::KEYS[0]; N];
    let (mut part, mut key, mut at) = (0, 0, 0);
    while at < N {
        if key == parts[part].len() {
            (part, key) = (part + 1, 0);
        } else {
            all[at] = parts[part][key];
            (key, at) = (key + 1, at + 1);
        }
    }
    all
}

/// The key of this name in `home`.
pub(super) fn find(home: Home, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.home == home && key.name == name)
}
