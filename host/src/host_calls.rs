//! How often a guest called its host, by kind: for its receipt. Counting is an addition in the
//! guest's own store.

use serde::ser::{Serialize, Serializer};

/// A kind of host call: one of `portcell_v1`, or any of WASI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the names of the calls")]
pub enum HostCall {
    Read,
    Write,
    Shutdown,
    Close,
    Poll,
    SetTimeout,
    Info,
    Log,
    StartTls,
    Wasi,
}

/// How often each was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCalls([u64; HostCall::ALL.len()]);

impl HostCall {
    /// Every kind, in the order of receipts.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Shutdown,
        Self::Close,
        Self::Poll,
        Self::SetTimeout,
        Self::Info,
        Self::Log,
        Self::StartTls,
        Self::Wasi,
    ];

    /// The word for it in receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Shutdown => "shutdown",
            Self::Close => "close",
            Self::Poll => "poll",
            Self::SetTimeout => "set_timeout",
            Self::Info => "info",
            Self::Log => "log",
            Self::StartTls => "start_tls",
            Self::Wasi => "wasi",
        }
    }
}

impl HostCalls {
    /// One more.
    pub const fn add(&mut self, call: HostCall) {
        self.0[call as usize] += 1;
    }

    /// How often `call` was made.
    pub const fn get(&self, call: HostCall) -> u64 {
        self.0[call as usize]
    }
}

/// `{"read": 3, "write": 2}`: kinds that were not called are left out.
impl Serialize for HostCalls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let made = HostCall::ALL.into_iter().filter(|call| self.get(*call) > 0);
        serializer.collect_map(made.map(|call| (call.name(), self.get(call))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_call_of_the_abi_is_a_kind_and_the_rest_is_wasi() {
        let kinds = HostCall::ALL.map(HostCall::name);
        let names: Vec<_> = portcell_abi::IMPORTS.iter().map(|import| import.name).collect();
        assert_eq!(kinds.split_last(), Some((&"wasi", &*names)));
    }

    #[test]
    fn only_kinds_that_were_called_are_written() {
        let mut calls = HostCalls::default();
        assert_eq!(serde_json::to_string(&calls).unwrap(), "{}");
        for call in [HostCall::Write, HostCall::Read, HostCall::Write] {
            calls.add(call);
        }
        assert_eq!(serde_json::to_string(&calls).unwrap(), r#"{"read":1,"write":2}"#);
    }
}
