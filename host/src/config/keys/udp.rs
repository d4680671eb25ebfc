//! The keys of `[[listener]]` that matter to UDP addresses only.

use super::DefaultValue::Is;
use super::{Change, Home, Key, flag, repeated};
use crate::config::Kind;

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "mode",
        home: Home::Listener,
        kind: Kind::Choice(&["flow", "datagram"]),
        default: Is(r#""flow""#),
        change: Change::Live,
        doc: "What one instance serves at UDP addresses: the datagrams of one peer (`\"flow\"`), \
              or one datagram (`\"datagram\"`).",
        without: "For protocols of one question and one answer, an instance would be kept for \
                  each peer until it is idle.",
        flag: Some(flag("mode", "WORD")),
    },
    Key {
        name: "max_datagram",
        home: Home::Listener,
        kind: Kind::Size { min: 1, max: 65_527, words: &[] },
        default: Is("65527"),
        change: Change::Live,
        doc: "The longest datagram that is taken whole, in bytes; the rest of a longer one is \
              cut off and counted. The default is the most that UDP can carry.",
        without: "A guest would be given more than its protocol knows.",
        flag: Some(flag("max-datagram", "SIZE")),
    },
    Key {
        name: "max_flows",
        home: Home::Listener,
        kind: Kind::Count(&["none"]),
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How many flows of this listener there can be at once.",
        without: "One busy listener can take all of the server's flows.",
        flag: None,
    },
    Key {
        name: "flow_queue",
        home: Home::Listener,
        kind: Kind::Count(&[]),
        default: Is("64"),
        change: Change::Live,
        doc: "How many datagrams wait for the guest of one flow; more are dropped and counted.",
        without: "A peer that sends faster than its guest reads would fill the memory.",
        flag: Some(flag("flow-queue", "N")),
    },
    Key {
        name: "max_reply_factor",
        home: Home::Listener,
        kind: Kind::Count(&["none"]),
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How many bytes a UDP peer can be sent for each one that came from it.",
        without: "Short datagrams with a forged sender can make the server flood whoever has \
                  that address.",
        flag: Some(flag("max-reply-factor", "N")),
    },
    Key {
        name: "multicast",
        home: Home::Listener,
        kind: Kind::Groups,
        default: Is("[]"),
        change: Change::Live,
        doc: "The groups that its UDP sockets join: the IP address of one, or a list of them. A \
              socket joins those of the kinds of address that it takes, IPv4, IPv6 or both.",
        without: "Datagrams to a group would not arrive.",
        flag: Some(repeated("multicast", "IP")),
    },
];
