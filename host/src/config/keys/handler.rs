//! The keys of `[handler.NAME]`.

use std::time::Duration;

use super::DefaultValue::{Is, Nothing, Required};
use super::{Change, Home, Key, flag, repeated, switch};
use crate::config::{Kind, MEMORY_SLOT, WASM_PAGE};

/// With more, one guest could keep others from a worker for longer than they wait.
const MAX_SLICE: Duration = Duration::from_secs(1);

/// The tenant of handlers that name none; its default below, as it is.
pub(in crate::config) const DEFAULT_TENANT: &str = "default";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "module",
        home: Home::Handler,
        kind: Kind::Path("echo.wasm"),
        default: Required,
        change: Change::Live,
        doc: "The plugin's `.wasm` file.",
        without: "There would be nothing to run.",
        flag: None,
    },
    Key {
        name: "build",
        home: Home::Handler,
        kind: Kind::Command("cargo build --release"),
        default: Nothing("none"),
        change: Change::Live,
        doc: "What `portcell dev` runs to make the module, by `sh -c` in the configuration's \
              folder. Nothing else runs it.",
        without: "`portcell dev` serves the module as it is.",
        flag: None,
    },
    Key {
        name: "tenant",
        home: Home::Handler,
        kind: Kind::Name,
        default: Is(r#""default""#),
        change: Change::Live,
        doc: "Who owns the handler: a name in receipts and a fact for the guest.",
        without: "Receipts would not say whose a connection was.",
        flag: Some(flag("tenant", "NAME")),
    },
    Key {
        name: "memory",
        home: Home::Handler,
        kind: Kind::Size { min: WASM_PAGE, max: MEMORY_SLOT, words: &[] },
        default: Is(r#""32MiB""#),
        change: Change::Live,
        doc: "All memories and tables of one instance together: at least 64KiB (a page), at most \
              64MiB (the pool's slot).",
        without: "A guest that leaks would take its whole slot.",
        flag: Some(flag("memory", "SIZE")),
    },
    Key {
        name: "fuel",
        home: Home::Handler,
        kind: Kind::Amount,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How much an instance can execute in all, in units of fuel: one for each instruction \
              of WebAssembly, and for each byte that is copied. It needs `meter = \"fuel\"`; with it \
              `cpu` is `\"none\"` unless it is written, so that an instance ends at the same \
              instruction in every run. Host calls cost none, whatever they do: write `cpu`, too, \
              if guests are not trusted.",
        without: "Where a guest is ended depends on how fast the machine is.",
        flag: Some(flag("fuel", "N")),
    },
    Key {
        name: "cpu",
        home: Home::Handler,
        kind: Kind::Limit,
        default: Is(r#""1s""#),
        change: Change::Live,
        doc: "How much CPU time an instance can use since bytes last moved on its connection.",
        without: "A guest in an endless loop would keep a core busy.",
        flag: Some(flag("cpu", "DURATION")),
    },
    Key {
        name: "cpu_total",
        home: Home::Handler,
        kind: Kind::Limit,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How much CPU time an instance can use in all.",
        without: "A peer that keeps bytes moving can use as much as it likes.",
        flag: Some(flag("cpu-total", "DURATION")),
    },
    Key {
        name: "lifetime",
        home: Home::Handler,
        kind: Kind::Limit,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How long an instance can live, and with it its connection.",
        without: "A connection lasts as long as both sides keep it going.",
        flag: Some(flag("lifetime", "DURATION")),
    },
    Key {
        name: "slice",
        home: Home::Handler,
        kind: Kind::Within(MAX_SLICE),
        default: Is(r#""10ms""#),
        change: Change::Live,
        doc: "How long a guest that computes can hold a worker thread before others have their \
              turn; it is looked at every 5ms. From then on it has the time that others leave, \
              until it waits for something.",
        without: "A guest that computes would keep other connections waiting.",
        flag: Some(flag("slice", "DURATION")),
    },
    Key {
        name: "max_host_calls",
        home: Home::Handler,
        kind: Kind::Count(&["none"]),
        default: Is("1000000"),
        change: Change::Live,
        doc: "How many calls of the host a guest can make each second, and as many at once that \
              it has saved up in a second before; one that makes more is made to wait. It bounds \
              what the kernel does for a guest that moves a byte now and then, which `cpu` does \
              not.",
        without: "A guest could keep the kernel busy with calls that come to nothing.",
        flag: Some(flag("max-host-calls", "N")),
    },
    Key {
        name: "log",
        home: Home::Handler,
        kind: Kind::Log,
        default: Is(r#"{ lines = 20, bytes = "64KiB", line = "1KiB" }"#),
        change: Change::Live,
        doc: "What a guest can write into the log: lines and bytes each second, five times as \
              many at once, and the longest line. A longer line is cut; lines that are too many \
              are dropped, and the end of the connection says how many. What is left out is as \
              it is here.",
        without: "A guest could fill the disk with its log.",
        flag: Some(flag("guest-log", "BOUNDS")),
    },
    Key {
        name: "env",
        home: Home::Handler,
        kind: Kind::Env,
        default: Is("{}"),
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
        default: Is("[]"),
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
        default: Is(r#""terminal""#),
        change: Change::Live,
        doc: "What a guest with `_start` is told its stdout is: a terminal, so that C's stdio \
              sends at each newline, or a pipe, so that it sends when its buffer is full.",
        without: "Interactive C programs would answer only when their buffer is full.",
        flag: Some(flag("stdout", "WORD")),
    },
    Key {
        name: "drain_input",
        home: Home::Handler,
        kind: Kind::Choice(&["open", "end"]),
        default: Is(r#""open""#),
        change: Change::Live,
        doc: "What a guest with `_start`, which cannot ask for the drain, reads once it has \
              begun: what the peer sends, as before (`\"open\"`), or what has arrived already and \
              then the end (`\"end\"`).",
        without: "A guest that reads until the end would be cut when the drain is over.",
        flag: Some(flag("drain-input", "WORD")),
    },
    Key {
        name: "watch",
        home: Home::Handler,
        kind: Kind::Bool,
        default: Is("false"),
        change: Change::Live,
        doc: "Whether the module's file is looked at all the time, and loaded again when it has \
              changed.",
        without: "A new module is put into service by a reload.",
        flag: Some(switch("watch")),
    },
    Key {
        name: "trial",
        home: Home::Handler,
        kind: Kind::Bool,
        default: Is("true"),
        change: Change::Live,
        doc: "Whether an instance is run without a client before a module is put into service, so \
              that one which ends at once is refused.",
        without: "A module that no connection survives would take the place of one that works.",
        flag: Some(flag("trial", "BOOL")),
    },
    Key {
        name: "retire_after",
        home: Home::Handler,
        kind: Kind::Limit,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How long connections can go on with a version of the module that was replaced; then \
              they are asked to finish, and cut after `drain_timeout`.",
        without: "A connection that never ends keeps its version for ever.",
        flag: Some(flag("retire-after", "DURATION")),
    },
];
