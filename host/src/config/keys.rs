//! The table of keys: what can be configured, where, and what happens without it.
//!
//! The checks, the flags of `portcell run`, its help and docs/config.md are made from it.

use super::{Kind, MEMORY_SLOT, WASM_PAGE};

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
    /// The default as TOML; `None` if the key must be there.
    pub default: Option<&'static str>,
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
}

impl Home {
    /// The table's header.
    pub fn header(self) -> &'static str {
        match self {
            Self::Server => "[server]",
            Self::Listener => "[[listener]]",
            Self::Handler => "[handler.NAME]",
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
pub const KEYS: &[Key] = &[
    Key {
        name: "max_connections",
        home: Home::Server,
        kind: Kind::Count(&["auto"]),
        default: Some(r#""auto""#),
        change: Change::Restart,
        doc: "How many connections there can be at once, over all listeners; `\"auto\"` is as \
              many as the machine allows.",
        without: "Connections would use up descriptors and memory maps until unrelated calls fail.",
        flag: Some(flag("max-connections", "N")),
    },
    Key {
        name: "max_handshakes",
        home: Home::Server,
        kind: Kind::Count(&[]),
        default: Some("1024"),
        change: Change::Restart,
        doc: "How many handshakes can be under way at once, beside the connections, at listeners \
              that begin with one; none does in this version.",
        without: "Peers that connect and say nothing would take every descriptor.",
        flag: Some(flag("max-handshakes", "N")),
    },
    Key {
        name: "drain_timeout",
        home: Home::Server,
        kind: Kind::Limit,
        default: Some(r#""30s""#),
        change: Change::Live,
        doc: "How long a drain waits for connections to end before it cuts them.",
        without: "One connection that never ends would hold up a stop for ever.",
        flag: Some(flag("drain-timeout", "DURATION")),
    },
    Key {
        name: "drain_idle",
        home: Home::Server,
        kind: Kind::Limit,
        default: Some(r#""none""#),
        change: Change::Live,
        doc: "While draining, connections on which nothing moved for this long are ended.",
        without: "A drain waits for connections that nobody uses.",
        flag: Some(flag("drain-idle", "DURATION")),
    },
    Key {
        name: "receipts",
        home: Home::Server,
        kind: Kind::Receipts,
        default: Some(r#""off""#),
        change: Change::Restart,
        doc: "Where the record of each ended connection goes: one JSON object a line.",
        without: "How single connections ended is only in the debug log.",
        flag: Some(flag("receipts", "WHERE")),
    },
    Key {
        name: "max_module_size",
        home: Home::Server,
        kind: Kind::Size { min: 1, max: 1024 * 1024 * 1024 },
        default: Some(r#""16MiB""#),
        change: Change::Live,
        doc: "The largest module that is loaded.",
        without: "A huge module would keep the compiler busy and fill the memory.",
        flag: Some(flag("max-module-size", "SIZE")),
    },
    Key {
        name: "name",
        home: Home::Listener,
        kind: Kind::Name,
        default: None,
        change: Change::Live,
        doc: "What the listener is called in logs and receipts; each has its own.",
        without: "Its connections could not be told from those of others.",
        flag: None,
    },
    Key {
        name: "bind",
        home: Home::Listener,
        kind: Kind::Addresses,
        default: None,
        change: Change::Live,
        doc: "Where it listens: an address or a list of them.",
        without: "Nobody could connect.",
        flag: Some(repeated("listen", "ADDRESS")),
    },
    Key {
        name: "handler",
        home: Home::Listener,
        kind: Kind::Name,
        default: None,
        change: Change::Live,
        doc: "The handler that its connections get.",
        without: "Nobody would answer.",
        flag: None,
    },
    Key {
        name: "backlog",
        home: Home::Listener,
        kind: Kind::Count(&[]),
        default: Some("1024"),
        change: Change::Live,
        doc: "How many connections the kernel queues before they are accepted; the kernel has a \
              bound of its own (`net.core.somaxconn`).",
        without: "A burst of connections would be dropped.",
        flag: Some(flag("backlog", "N")),
    },
    Key {
        name: "max_connections",
        home: Home::Listener,
        kind: Kind::Count(&["none"]),
        default: Some(r#""none""#),
        change: Change::Live,
        doc: "How many connections of this listener there can be at once.",
        without: "One busy listener can take all of the server's connections.",
        flag: None,
    },
    Key {
        name: "spawn",
        home: Home::Listener,
        kind: Kind::Count(&["default", "inline"]),
        default: Some(r#""default""#),
        change: Change::Live,
        doc: "How many handlers run at once: `\"default\"` is one for each connection, \
              `\"inline\"` is 1; the next connections wait in the kernel's backlog.",
        without: "A handler that must not run many times at once would.",
        flag: Some(flag("spawn", "N")),
    },
    Key {
        name: "accept_backoff",
        home: Home::Listener,
        kind: Kind::Backoff,
        default: Some(r#"{ min = "10ms", max = "1s" }"#),
        change: Change::Live,
        doc: "The first and the longest wait after accepts that fail, as when descriptors have \
              run out; each wait is twice the one before.",
        without: "Accepting would spin while the machine is short of something.",
        flag: Some(flag("accept-backoff", "MIN..MAX")),
    },
    Key {
        name: "max_accept",
        home: Home::Listener,
        kind: Kind::Count(&[]),
        default: Some("100"),
        change: Change::Live,
        doc: "How many connections are accepted in one turn.",
        without: "A flood of connections would keep other listeners waiting.",
        flag: Some(flag("max-accept", "N")),
    },
    Key {
        name: "nodelay",
        home: Home::Listener,
        kind: Kind::Bool,
        default: Some("true"),
        change: Change::Live,
        doc: "Whether small writes are sent at once (`TCP_NODELAY`).",
        without: "Short answers can wait 40 ms for the peer's acknowledgement.",
        flag: Some(flag("nodelay", "BOOL")),
    },
    Key {
        name: "idle_timeout",
        home: Home::Listener,
        kind: Kind::Limit,
        default: Some(r#""60s""#),
        change: Change::Live,
        doc: "A connection on which nothing moved in either direction for this long is ended.",
        without: "Peers that vanished would hold their connections for ever.",
        flag: Some(flag("idle-timeout", "DURATION")),
    },
    Key {
        name: "write_timeout",
        home: Home::Listener,
        kind: Kind::Limit,
        default: Some(r#""60s""#),
        change: Change::Live,
        doc: "A peer that reads nothing for this long while bytes wait for it is cut.",
        without: "A peer that does not read would hold its connection as long as it likes.",
        flag: Some(flag("write-timeout", "DURATION")),
    },
    Key {
        name: "module",
        home: Home::Handler,
        kind: Kind::Path,
        default: None,
        change: Change::Live,
        doc: "The plugin's `.wasm` file.",
        without: "There would be nothing to run.",
        flag: None,
    },
    Key {
        name: "tenant",
        home: Home::Handler,
        kind: Kind::Name,
        default: Some(r#""default""#),
        change: Change::Live,
        doc: "Who owns the handler: a name in receipts and a fact for the guest.",
        without: "Receipts would not say whose a connection was.",
        flag: Some(flag("tenant", "NAME")),
    },
    Key {
        name: "memory",
        home: Home::Handler,
        kind: Kind::Size { min: WASM_PAGE, max: MEMORY_SLOT },
        default: Some(r#""32MiB""#),
        change: Change::Live,
        doc: "All memories and tables of one instance together: at least 64KiB (a page), at most \
              64MiB (the pool's slot).",
        without: "A guest that leaks would take its whole slot.",
        flag: Some(flag("memory", "SIZE")),
    },
    Key {
        name: "cpu",
        home: Home::Handler,
        kind: Kind::Limit,
        default: Some(r#""1s""#),
        change: Change::Live,
        doc: "How much CPU time an instance can use since bytes last moved on its connection.",
        without: "A guest in an endless loop would keep a core busy.",
        flag: Some(flag("cpu", "DURATION")),
    },
    Key {
        name: "cpu_total",
        home: Home::Handler,
        kind: Kind::Limit,
        default: Some(r#""none""#),
        change: Change::Live,
        doc: "How much CPU time an instance can use in all.",
        without: "A peer that keeps bytes moving can use as much as it likes.",
        flag: Some(flag("cpu-total", "DURATION")),
    },
    Key {
        name: "lifetime",
        home: Home::Handler,
        kind: Kind::Limit,
        default: Some(r#""none""#),
        change: Change::Live,
        doc: "How long an instance can live, and with it its connection.",
        without: "A connection lasts as long as both sides keep it going.",
        flag: Some(flag("lifetime", "DURATION")),
    },
    Key {
        name: "env",
        home: Home::Handler,
        kind: Kind::Env,
        default: Some("{}"),
        change: Change::Live,
        doc: "Environment variables that the guest gets; nothing of the host's environment is \
              passed on.",
        without: "The guest has only the facts about its connection.",
        flag: Some(repeated("env", "NAME=VALUE")),
    },
    Key {
        name: "dirs",
        home: Home::Handler,
        kind: Kind::Dirs,
        default: Some("[]"),
        change: Change::Live,
        doc: "Folders that the guest can open under a path of its own; read-only unless `write` \
              is true.",
        without: "The guest sees no files.",
        flag: Some(repeated("dir", "HOST::GUEST")),
    },
    Key {
        name: "stdout",
        home: Home::Handler,
        kind: Kind::Choice(&["terminal", "full"]),
        default: Some(r#""terminal""#),
        change: Change::Live,
        doc: "What a guest with `_start` is told its stdout is: a terminal, so that C's stdio \
              sends at each newline, or a pipe, so that it sends when its buffer is full.",
        without: "Interactive C programs would answer only when their buffer is full.",
        flag: Some(flag("stdout", "WORD")),
    },
];

/// The key of this name in `home`.
pub(super) fn find(home: Home, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.home == home && key.name == name)
}
