//! The keys of `[pool.NAME]`.

use super::DefaultValue::Required;
use super::{Change, Home, Key};
use crate::config::Kind;

pub(super) const KEYS: &[Key] = &[Key {
    name: "size",
    home: Home::Pool,
    kind: Kind::Count(&[]),
    default: Required,
    change: Change::Live,
    doc: "How many handlers run at once, over all listeners that spawn into the pool.",
    without: "There would be nothing to share.",
    flag: None,
}];
