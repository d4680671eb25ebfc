//! The keys of `[[listener]]` about how its sockets are made.

use std::time::Duration;

use super::DefaultValue::Is;
use super::{Change, Home, Key, flag};
use crate::config::Kind;

/// The kernel takes it as milliseconds in an `int`; these are the most whole days.
const MAX_USER_TIMEOUT: Duration = Duration::from_hours(24 * 24);

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "backlog",
        home: Home::Listener,
        kind: Kind::Count(&[]),
        default: Is("1024"),
        change: Change::Live,
        doc: "How many connections the kernel queues before they are accepted; the kernel has a \
              bound of its own (`net.core.somaxconn`).",
        without: "A burst of connections would be dropped.",
        flag: Some(flag("backlog", "N")),
    },
    Key {
        name: "reuse_port",
        home: Home::Listener,
        kind: Kind::Bool,
        default: Is("false"),
        change: Change::Live,
        doc: "Whether other sockets, of this program or another of the same user, can have the \
              same port; the kernel deals clients out among them (`SO_REUSEPORT`).",
        without: "Two processes could not serve one port.",
        flag: Some(flag("reuse-port", "BOOL")),
    },
    Key {
        name: "v6_only",
        home: Home::Listener,
        kind: Kind::Bool,
        default: Is("false"),
        change: Change::Live,
        doc: "Whether IPv6 sockets on every interface take no IPv4 clients (`IPV6_V6ONLY`); \
              those of one address never do.",
        without: "Another program could not have the same port for IPv4.",
        flag: Some(flag("v6-only", "BOOL")),
    },
    Key {
        name: "ip_freebind",
        home: Home::Listener,
        kind: Kind::Bool,
        default: Is("false"),
        change: Change::Live,
        doc: "Whether an address can be bound that the machine does not have yet (`IP_FREEBIND`).",
        without: "A server that starts before its address is there would fail.",
        flag: Some(flag("ip-freebind", "BOOL")),
    },
    Key {
        name: "device",
        home: Home::Listener,
        kind: Kind::Device,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "The network interface that its sockets are bound to (`SO_BINDTODEVICE`).",
        without: "Clients can come in by every interface that leads to the address.",
        flag: Some(flag("device", "NAME")),
    },
    Key {
        name: "mark",
        home: Home::Listener,
        kind: Kind::Count(&["none"]),
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "The mark of what its sockets send, for routing and packet filters (`SO_MARK`); it \
              needs `CAP_NET_ADMIN`.",
        without: "Rules of the machine could not tell its packets from others.",
        flag: Some(flag("mark", "N")),
    },
    Key {
        name: "receive_buffer",
        home: Home::Listener,
        kind: Kind::Size { min: 1, max: 1024 * 1024 * 1024, words: &["default"] },
        default: Is(r#""default""#),
        change: Change::Live,
        doc: "The kernel's buffer for what comes in, for each of its sockets (`SO_RCVBUF`); the \
              kernel has a bound of its own (`net.core.rmem_max`).",
        without: "The kernel sizes it: a burst of datagrams can be too much.",
        flag: Some(flag("receive-buffer", "SIZE")),
    },
    Key {
        name: "send_buffer",
        home: Home::Listener,
        kind: Kind::Size { min: 1, max: 1024 * 1024 * 1024, words: &["default"] },
        default: Is(r#""default""#),
        change: Change::Live,
        doc: "The kernel's buffer for what goes out, for each of its sockets (`SO_SNDBUF`); the \
              kernel has a bound of its own (`net.core.wmem_max`).",
        without: "The kernel sizes it: a slow client can have megabytes in it.",
        flag: Some(flag("send-buffer", "SIZE")),
    },
    Key {
        name: "nodelay",
        home: Home::Listener,
        kind: Kind::Bool,
        default: Is("true"),
        change: Change::Live,
        doc: "Whether small writes are sent at once (`TCP_NODELAY`).",
        without: "Short answers can wait 40 ms for the peer's acknowledgement.",
        flag: Some(flag("nodelay", "BOOL")),
    },
    Key {
        name: "keepalive",
        home: Home::Listener,
        kind: Kind::Keepalive,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "Whether and when the kernel asks a silent TCP client if it is there \
              (`SO_KEEPALIVE`, tcp(7)): after `idle`, then every `interval`, and after `count` \
              questions without an answer the connection is gone. Parts that are left out are \
              60s, 10s and 3.",
        without: "A client that vanished is noticed by `idle_timeout` only.",
        flag: Some(flag("keepalive", "WHEN")),
    },
    Key {
        name: "user_timeout",
        home: Home::Listener,
        kind: Kind::LimitTo(MAX_USER_TIMEOUT),
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How long sent bytes can be unacknowledged before the kernel gives the connection \
              up (`TCP_USER_TIMEOUT`, tcp(7)).",
        without: "The kernel sends them again for about 15 minutes, unless `write_timeout` ends \
                  it.",
        flag: Some(flag("user-timeout", "DURATION")),
    },
    Key {
        name: "defer_accept",
        home: Home::Listener,
        kind: Kind::Seconds,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "A TCP client is accepted when its first bytes are there, or after this long \
              (`TCP_DEFER_ACCEPT`, tcp(7)).",
        without: "Clients that connect and say nothing take a place at once.",
        flag: Some(flag("defer-accept", "DURATION")),
    },
    Key {
        name: "unix_mode",
        home: Home::Listener,
        kind: Kind::Permissions,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "The permissions of the file of a Unix socket, in octal; whoever may write to it \
              may connect.",
        without: "The umask of the server decides who can connect.",
        flag: Some(flag("unix-mode", "MODE")),
    },
    Key {
        name: "unix_owner",
        home: Home::Listener,
        kind: Kind::Owner,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "The user who owns the file of a Unix socket, by name or number; it needs \
              `CAP_CHOWN`.",
        without: "It belongs to the user that the server runs as.",
        flag: Some(flag("unix-owner", "USER")),
    },
    Key {
        name: "unix_group",
        home: Home::Listener,
        kind: Kind::Owner,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "The group of the file of a Unix socket, by name or number.",
        without: "It belongs to the group that the server runs as.",
        flag: Some(flag("unix-group", "GROUP")),
    },
];
