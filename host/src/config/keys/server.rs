//! The keys of `[server]`.

use std::time::Duration;

use super::DefaultValue::{ByCommand, Is, Nothing};
use super::{Change, Home, Key, flag};
use crate::config::Kind;

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "max_connections",
        home: Home::Server,
        kind: Kind::Count(&["auto"]),
        default: Is(r#""auto""#),
        change: Change::Live,
        doc: "How many connections there can be at once, over all listeners; `\"auto\"` is as \
              many as the machine allows. It can be lowered and raised again while the server \
              runs, up to what it started with; more needs a restart.",
        without: "Connections would use up descriptors and memory maps until unrelated calls fail.",
        flag: Some(flag("max-connections", "N")),
    },
    Key {
        name: "max_handshakes",
        home: Home::Server,
        kind: Kind::Count(&[]),
        default: Is("1024"),
        change: Change::Restart,
        doc: "How many handshakes of TLS can be under way at once, beside the connections, at \
              listeners where it opens the connection. When there are more, the oldest makes room \
              whose client has said nothing whole yet; if there is none, the oldest that is late.",
        without: "Peers that connect and say nothing would take every descriptor.",
        flag: Some(flag("max-handshakes", "N")),
    },
    Key {
        name: "max_flows",
        home: Home::Server,
        kind: Kind::Count(&[]),
        default: Is("1024"),
        change: Change::Restart,
        doc: "How many flows of UDP there can be at once, over all listeners, beside the \
              connections.",
        without: "Datagrams with forged senders would take the places of connections, or all of \
                  the memory.",
        flag: Some(flag("max-flows", "N")),
    },
    Key {
        name: "drain_timeout",
        home: Home::Server,
        kind: Kind::Limit,
        default: Is(r#""30s""#),
        change: Change::Live,
        doc: "How long a drain waits for connections to end before it cuts them.",
        without: "One connection that never ends would hold up a stop for ever.",
        flag: Some(flag("drain-timeout", "DURATION")),
    },
    Key {
        name: "drain_idle",
        home: Home::Server,
        kind: Kind::Limit,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "While draining, connections on which nothing moved for this long are ended.",
        without: "A drain waits for connections that nobody uses.",
        flag: Some(flag("drain-idle", "DURATION")),
    },
    Key {
        name: "receipts",
        home: Home::Server,
        kind: Kind::Receipts,
        default: Is(r#""off""#),
        change: Change::Restart,
        doc: "Where the record of each ended connection goes: one JSON object a line.",
        without: "How single connections ended is only in the debug log.",
        flag: Some(flag("receipts", "WHERE")),
    },
    Key {
        name: "receipts_for",
        home: Home::Server,
        kind: Kind::Choice(&["connections", "all"]),
        default: Is(r#""connections""#),
        change: Change::Live,
        doc: "Who gets a receipt: those who came to a handler, or also clients that were turned away \
              and those whose handshake failed.",
        without: "Who was turned away and why is only in counts and in the debug log.",
        flag: Some(flag("receipts-for", "WHOM")),
    },
    Key {
        name: "coredumps",
        home: Home::Server,
        kind: Kind::FolderOrOff("./coredumps"),
        default: Is(r#""off""#),
        change: Change::Restart,
        doc: "Where a coredump of a guest that trapped goes, with its memory and so with what its \
              client has sent: one a minute for each handler, and 16 files or 256 MiB are kept.",
        without: "Of a trap there is only the backtrace in its receipt.",
        flag: Some(flag("coredumps", "FOLDER")),
    },
    Key {
        name: "admin",
        home: Home::Server,
        kind: Kind::Endpoint(&["unix:portcell.sock", "tcp://127.0.0.1:7070"]),
        default: ByCommand { serve: r#""unix:portcell.sock""#, run: r#""off""# },
        change: Change::Restart,
        doc: "Where the server is seen and steered: HTTP and JSON, which `portcell status` and the \
              other commands speak. The file of a Unix socket has mode 0600. A TCP address needs \
              `admin_token`. A server that cannot have it does not start; without this key, and \
              where the folder of the configuration cannot be written to, it warns and does \
              without.",
        without: "Nobody sees what a running server does, and it is steered by signals alone.",
        flag: Some(flag("admin", "ADDRESS")),
    },
    Key {
        name: "admin_token",
        home: Home::Server,
        kind: Kind::Path("admin.token"),
        default: Nothing("none, and then `admin` is a Unix socket"),
        change: Change::Restart,
        doc: "A file with the token that whoever steers the server at a TCP address has to show: \
              one line of 16 to 256 letters, digits and signs.",
        without: "Every program that reaches the port could end the server.",
        flag: Some(flag("admin-token", "FILE")),
    },
    Key {
        name: "metrics",
        home: Home::Server,
        kind: Kind::Endpoint(&["tcp://127.0.0.1:9100"]),
        default: Is(r#""off""#),
        change: Change::Restart,
        doc: "A TCP address where metrics can be read without a token, in the text format of \
              Prometheus, and nothing else. They are at `admin`, too.",
        without: "Whoever collects metrics needs the rights to steer the server.",
        flag: Some(flag("metrics", "ADDRESS")),
    },
    Key {
        name: "max_module_size",
        home: Home::Server,
        kind: Kind::Size { min: 1, max: 1024 * 1024 * 1024, words: &[] },
        default: Is(r#""16MiB""#),
        change: Change::Live,
        doc: "The largest module that is loaded.",
        without: "A huge module would keep the compiler busy and fill the memory.",
        flag: Some(flag("max-module-size", "SIZE")),
    },
    Key {
        name: "compile_timeout",
        home: Home::Server,
        kind: Kind::Within(Duration::from_hours(1)),
        default: Is(r#""60s""#),
        change: Change::Live,
        doc: "How long a module may take to compile.",
        without: "A module that was made for it would keep the compiler busy for hours.",
        flag: Some(flag("compile-timeout", "DURATION")),
    },
    Key {
        name: "compile_memory",
        home: Home::Server,
        kind: Kind::Size { min: 256 * 1024 * 1024, max: 1024 * 1024 * 1024 * 1024, words: &[] },
        default: Is(r#""2GiB""#),
        change: Change::Live,
        doc: "How much address space the compiler of a module may have beside the program's own; a \
              quarter of it is the most code that a module can become.",
        without: "A module that was made for it would fill the machine's memory.",
        flag: Some(flag("compile-memory", "SIZE")),
    },
    Key {
        name: "cache",
        home: Home::Server,
        kind: Kind::Cache,
        default: Is(r#""auto""#),
        change: Change::Live,
        doc: "The folder that compiled modules are kept in. `\"auto\"` is systemd's \
              `$CACHE_DIRECTORY`, or `portcell` in `$XDG_CACHE_HOME` or `~/.cache`, if there is \
              one that can be written to.",
        without: "Every start would compile every module.",
        flag: Some(flag("cache", "WHERE")),
    },
    Key {
        name: "max_memory",
        home: Home::Server,
        kind: Kind::Size { min: 1 << 20, max: 1 << 50, words: &["auto", "none"] },
        default: Is(r#""auto""#),
        change: Change::Live,
        doc: "All memories and tables of all instances together, used or not; `\"auto\"` is three \
              quarters of what the machine, or the control group of the process, has. An instance \
              that would begin or grow beyond it does not.",
        without: "Instances that are each within their bounds could use up the machine's memory.",
        flag: Some(flag("max-memory", "SIZE")),
    },
    Key {
        name: "stack",
        home: Home::Server,
        kind: Kind::Size { min: 64 << 10, max: 8 << 20, words: &[] },
        default: Is(r#""256KiB""#),
        change: Change::Restart,
        doc: "How much a guest can use of its instance's stack, the one of calls, which is not in \
              its memory; more is a trap.",
        without: "A guest that calls itself without end would fill the memory.",
        flag: Some(flag("stack", "SIZE")),
    },
    Key {
        name: "meter",
        home: Home::Server,
        kind: Kind::Choice(&["epoch", "fuel"]),
        default: Is(r#""epoch""#),
        change: Change::Restart,
        doc: "How the work of guests is measured: by time (`\"epoch\"`), or by what they execute \
              as well (`\"fuel\"`), which is the same on every machine and in every run, and makes \
              them slower, those that call a lot about half as fast.",
        without: "Where guests are ended would depend on the machine and what else it does.",
        flag: Some(flag("meter", "WORD")),
    },
    Key {
        name: "share_data",
        home: Home::Server,
        kind: Kind::Bool,
        default: Is("false"),
        change: Change::Restart,
        doc: "Whether instances share the pages of their module's data until they write to them, \
              instead of having a copy each. It takes three memory mappings more for each \
              connection, and pays where modules have much data, as those in Go: an instance \
              begins sooner and takes less memory.",
        without: "Instances of a module with much data would each hold all of it.",
        flag: Some(flag("share-data", "BOOL")),
    },
];
