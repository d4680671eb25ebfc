//! What requests and answers are, as JSON.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::config::Difference;

/// `{"deadline": "10s"}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Within {
    pub(super) deadline: Option<String>,
}

/// `{"most": 100}`, `{"most": null}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Most {
    #[serde(default)]
    pub(super) most: Written,
}

/// A bound as it was written.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Option<NonZeroU32>")]
pub(super) enum Written {
    #[default]
    Nowhere,
    /// `None` is `null`.
    Here(Option<NonZeroU32>),
}

impl From<Option<NonZeroU32>> for Written {
    fn from(most: Option<NonZeroU32>) -> Self {
        Self::Here(most)
    }
}

#[derive(Serialize)]
pub(super) struct Cut {
    /// Connections that were cut.
    pub(super) cut: usize,
}

#[derive(Serialize)]
pub(super) struct Version {
    pub(super) handler: String,
    /// The version in service now.
    pub(super) version: u64,
}

/// Something that a reload would change.
#[derive(Serialize)]
pub(super) struct Different {
    /// The table, and the key if it is one.
    pub(super) path: String,
    /// What is different, for people.
    pub(super) difference: String,
    /// Whether the server has to be started again for it: a reload would be refused.
    pub(super) needs_restart: bool,
}

impl Different {
    pub(super) fn of(difference: &Difference) -> Self {
        Self {
            path: difference.path(),
            difference: difference.to_string(),
            needs_restart: difference.needs_restart(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Draining {
    /// Connections that are open.
    pub(super) connections: usize,
}

#[derive(Serialize)]
pub(super) struct Killed {
    pub(super) killed: u64,
}

/// Another process has taken the place of this one.
#[derive(Serialize)]
pub(super) struct Upgraded {
    /// The process that drains now.
    pub(super) pid: u32,
    /// The process that serves.
    pub(super) successor: u32,
}
