//! The keys of `[[listener]]` about its clients.

use std::time::Duration;

use super::DefaultValue::{ByTransport, Is, Required};
use super::{Change, Home, Key, flag, repeated};
use crate::config::Kind;

/// Far more than any client needs; with more, `max_handshakes` of them could keep all others out.
const MAX_HANDSHAKE_TIMEOUT: Duration = Duration::from_mins(10);

/// More than that no connection carries.
const MAX_BYTES: Kind = Kind::Size { min: 1, max: 1 << 50, words: &["none"] };

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "name",
        home: Home::Listener,
        kind: Kind::Name,
        default: Required,
        change: Change::Live,
        doc: "What the listener is called in logs and receipts; each has its own.",
        without: "Its connections could not be told from those of others.",
        flag: None,
    },
    Key {
        name: "bind",
        home: Home::Listener,
        kind: Kind::Addresses,
        default: Required,
        change: Change::Live,
        doc: "Where it listens: an address or a list of them.",
        without: "Nobody could connect.",
        flag: Some(repeated("listen", "ADDRESS")),
    },
    Key {
        name: "handler",
        home: Home::Listener,
        kind: Kind::Name,
        default: Required,
        change: Change::Live,
        doc: "The handler that its connections get.",
        without: "Nobody would answer.",
        flag: None,
    },
    Key {
        name: "max_connections",
        home: Home::Listener,
        kind: Kind::Count(&["none"]),
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How many connections of this listener there can be at once.",
        without: "One busy listener can take all of the server's connections.",
        flag: None,
    },
    Key {
        name: "spawn",
        home: Home::Listener,
        kind: Kind::Spawn,
        default: Is(r#""default""#),
        change: Change::Live,
        doc: "How many handlers run at once: `\"default\"` is one for each connection, \
              `\"inline\"` is 1; in a file, `{ pool = \"small\" }` is as many as `[pool.small]` \
              has places, which its listeners share. The next client is left to `when_full`.",
        without: "A handler that must not run many times at once would.",
        flag: Some(flag("spawn", "N")),
    },
    Key {
        name: "when_full",
        home: Home::Listener,
        kind: Kind::WhenFull,
        default: Is(r#""wait""#),
        change: Change::Live,
        doc: "What happens to a client for whom there is no place: it stays in the kernel's \
              backlog (`\"wait\"`), is accepted and turned away (`\"refuse\"`), or is accepted and \
              queues for a place, with a bound on how many do and one on how long.",
        without: "Clients wait in the backlog and cannot tell a full server from one that hangs.",
        flag: Some(flag("when-full", "WAY")),
    },
    Key {
        name: "farewell",
        home: Home::Listener,
        kind: Kind::Text { max: 512 },
        default: Is(r#""""#),
        change: Change::Live,
        doc: "What a client that `when_full` turns away is sent first; nothing if it is empty. \
              The flag understands `\\r`, `\\n`, `\\t` and `\\\\`.",
        without: "A client that is turned away is not told why.",
        flag: Some(flag("farewell", "TEXT")),
    },
    Key {
        name: "accept_backoff",
        home: Home::Listener,
        kind: Kind::Backoff,
        default: Is(r#"{ min = "10ms", max = "1s" }"#),
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
        default: Is("100"),
        change: Change::Live,
        doc: "How many connections are accepted in one turn.",
        without: "A flood of connections would keep other listeners waiting.",
        flag: Some(flag("max-accept", "N")),
    },
    Key {
        name: "handshake_timeout",
        home: Home::Listener,
        kind: Kind::Within(MAX_HANDSHAKE_TIMEOUT),
        default: Is(r#""5s""#),
        change: Change::Live,
        doc: "How long a client has for the handshake of TLS, from its arrival or from the \
              guest's `start_tls`.",
        without: "Clients that connect and say nothing would keep others from their handshakes.",
        flag: Some(flag("handshake-timeout", "DURATION")),
    },
    Key {
        name: "idle_timeout",
        home: Home::Listener,
        kind: Kind::Limit,
        default: ByTransport { connections: r#""60s""#, flows: r#""30s""# },
        change: Change::Live,
        doc: "A connection or flow on which nothing moved in either direction for this long is \
              ended. What is written holds for both.",
        without: "Peers that vanished would hold their connections for ever.",
        flag: Some(flag("idle-timeout", "DURATION")),
    },
    Key {
        name: "write_timeout",
        home: Home::Listener,
        kind: Kind::Limit,
        default: Is(r#""60s""#),
        change: Change::Live,
        doc: "A peer that reads nothing for this long while bytes wait for it is cut.",
        without: "A peer that does not read would hold its connection as long as it likes.",
        flag: Some(flag("write-timeout", "DURATION")),
    },
    Key {
        name: "max_bytes_in",
        home: Home::Listener,
        kind: MAX_BYTES,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How many bytes a guest can read from one connection or flow: not one more. A peer \
              that sends more is cut, as soon as the guest wants them.",
        without: "One connection can carry as much as the network does.",
        flag: Some(flag("max-bytes-in", "SIZE")),
    },
    Key {
        name: "max_bytes_out",
        home: Home::Listener,
        kind: MAX_BYTES,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How many bytes a guest can write to one connection or flow: not one more. A \
              connection whose guest wants to write more is cut, so that its peer does not take \
              what it has for the whole.",
        without: "One connection can carry as much as the network does.",
        flag: Some(flag("max-bytes-out", "SIZE")),
    },
    Key {
        name: "min_rate",
        home: Home::Listener,
        kind: Kind::MinRate,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How fast a peer has to be: `bytes` in each `over`, in either direction. Only time in \
              which the guest waits for its peer counts, to read or to write; a slower peer is \
              cut, and so is a silent one. Not for UDP, whose peers may go at any time.",
        without: "Peers that send or take a byte now and then can hold their connections as long \
                  as they like.",
        flag: Some(flag("min-rate", "RATE")),
    },
];
