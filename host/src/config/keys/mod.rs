//! The table of keys: what can be configured, where, and what happens without it.
//!
//! The checks, the flags of `portcell run`, its help and docs/config.md are made from it.

mod handler;
mod listener;
mod pool;
mod server;
mod socket;
mod tenant;
mod tls;
mod udp;

use super::Kind;

pub(super) use handler::DEFAULT_TENANT;

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
    /// `[listener.tls]`
    Tls,
    /// `[[listener.tls.name]]`
    TlsName,
    /// `[handler.NAME]`
    Handler,
    /// `[pool.NAME]`
    Pool,
    /// `[tenant.NAME]`
    Tenant,
}

impl Home {
    /// The table's header.
    pub fn header(self) -> &'static str {
        match self {
            Self::Server => "[server]",
            Self::Listener => "[[listener]]",
            Self::Tls => "[listener.tls]",
            Self::TlsName => "[[listener.tls.name]]",
            Self::Handler => "[handler.NAME]",
            Self::Pool => "[pool.NAME]",
            Self::Tenant => "[tenant.NAME]",
        }
    }

    /// The table that may be in this one, with its name.
    pub(super) fn part(self) -> Option<(&'static str, Self)> {
        match self {
            Self::Listener => Some(("tls", Self::Tls)),
            Self::Tls => Some(("name", Self::TlsName)),
            _ => None,
        }
    }

    /// Whether there may be more than one such table where there is one.
    pub(super) fn repeats(self) -> bool {
        self.header().starts_with("[[")
    }
}

/// What a key is where it is not written, as TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// Nothing: it must be there.
    Required,
    /// This.
    Is(&'static str),
    /// Nothing either; in words, what holds then.
    Nothing(&'static str),
    /// One thing in a file and another for `portcell run`.
    ByCommand {
        /// In a file.
        serve: &'static str,
        /// For `portcell run`.
        run: &'static str,
    },
    /// One thing for connections and another for flows of UDP.
    ByTransport {
        /// For connections.
        connections: &'static str,
        /// For flows.
        flows: &'static str,
    },
}

impl DefaultValue {
    /// That for connections; `None` if there is nothing.
    pub fn connections(self) -> Option<&'static str> {
        match self {
            Self::Required | Self::Nothing(_) => None,
            Self::ByCommand { serve: toml, .. }
            | Self::Is(toml)
            | Self::ByTransport { connections: toml, .. } => Some(toml),
        }
    }

    /// That for flows; `None` if there is nothing.
    pub fn flows(self) -> Option<&'static str> {
        match self {
            Self::Required | Self::Nothing(_) => None,
            Self::ByCommand { serve: toml, .. }
            | Self::Is(toml)
            | Self::ByTransport { flows: toml, .. } => Some(toml),
        }
    }

    /// That of `portcell run`.
    #[must_use]
    pub fn of_run(self) -> Self {
        match self {
            Self::ByCommand { run, .. } => Self::Is(run),
            other => other,
        }
    }

    /// In words, each value as `shown` makes it of its TOML; `None` if the key must be there.
    pub fn in_words(self, shown: impl Fn(&str) -> String) -> Option<String> {
        match self {
            Self::Required => None,
            Self::Is(toml) => Some(shown(toml)),
            Self::Nothing(words) => Some(words.to_owned()),
            Self::ByCommand { serve, run } => {
                Some(format!("{}, for `run` {}", shown(serve), shown(run)))
            }
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
///
/// Keys that follow each other in a table can have one flag: it takes a value for each, in the
/// order of [`KEYS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Its long name without the dashes.
    pub name: &'static str,
    /// The name of its value in the help; empty if the flag alone is `true`.
    pub value: &'static str,
    /// Whether it may be given more than once.
    pub repeat: bool,
}

impl Flag {
    /// The keys that it gives values to: one or more.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.flag.is_some_and(|flag| flag.name == self.name))
    }

    /// The names of its values in the help; none if the flag alone is `true`.
    pub fn values(self) -> impl Iterator<Item = &'static str> {
        let values = self.keys().filter_map(|key| key.flag).map(|flag| flag.value);
        values.filter(|value| !value.is_empty())
    }
}

const fn flag(name: &'static str, value: &'static str) -> Flag {
    Flag { name, value, repeat: false }
}

const fn switch(name: &'static str) -> Flag {
    flag(name, "")
}

const fn repeated(name: &'static str, value: &'static str) -> Flag {
    Flag { name, value, repeat: true }
}

/// Every key there is, in the order of the documentation.
pub const KEYS: &[Key] = &joined::<{ count(PARTS) }>(PARTS);

const PARTS: &[&[Key]] = &[
    server::KEYS,
    listener::KEYS,
    udp::KEYS,
    socket::KEYS,
    tls::KEYS,
    tls::NAME_KEYS,
    handler::KEYS,
    pool::KEYS,
    tenant::KEYS,
];

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
