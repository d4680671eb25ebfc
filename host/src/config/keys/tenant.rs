//! The keys of `[tenant.NAME]`.

use super::DefaultValue::Is;
use super::{Change, Home, Key};
use crate::config::{Kind, WASM_PAGE};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "max_connections",
        home: Home::Tenant,
        kind: Kind::Count(&["none"]),
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How many connections and flows all handlers of the tenant can have at once. A client \
              above that is turned away when its handler is known.",
        without: "One tenant's clients could take all the places of the server.",
        flag: None,
    },
    Key {
        name: "memory",
        home: Home::Tenant,
        kind: Kind::Size { min: WASM_PAGE, max: 1 << 50, words: &["none"] },
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "All memories and tables of all instances of the tenant's handlers together; it is a \
              part of `max_memory` of the server. Instances keep what they have when it becomes \
              less.",
        without: "One tenant's instances could take all the memory that the server may use.",
        flag: None,
    },
    Key {
        name: "cpu",
        home: Home::Tenant,
        kind: Kind::Processors,
        default: Is(r#""none""#),
        change: Change::Live,
        doc: "How many processors all instances of the tenant's handlers can keep busy, on \
              average: 0.5 is half a second of CPU time each second. What is not used is saved up, \
              to a second's worth. Instances of a tenant that has used more are made to wait until \
              that is paid for; none is ended for it.",
        without: "One tenant's guests could keep all processors busy that others want, too.",
        flag: None,
    },
];
