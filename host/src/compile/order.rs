//! What a compiler is told when it is started: the arguments of its process.

use std::ffi::OsString;

use super::{Bounds, THREADS, processors};
use crate::text::hexadecimal;

/// The first argument of a process that is to compile.
pub(super) const ASKED: &str = "compile-for-parent";

/// The bounds of one compilation, and for whom it is. The module comes by stdin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// The most address space, in bytes.
    pub(super) memory: u64,
    /// The most CPU time of all threads together, in seconds.
    pub(super) cpu: u64,
    /// The process that waits for the code.
    pub(super) parent: u32,
    /// What the code has to fit, in hexadecimal.
    pub(super) fingerprint: String,
}

impl Order {
    pub(super) fn new(bounds: Bounds, fingerprint: [u8; 32]) -> Self {
        Self {
            memory: bounds.memory,
            // It bounds what a parent that cannot act any more would have bounded.
            cpu: (bounds.timeout.as_secs() + 1).saturating_mul(processors().min(THREADS) as u64),
            parent: std::process::id(),
            fingerprint: hexadecimal(&fingerprint),
        }
    }

    /// The arguments that say it.
    pub(super) fn arguments(&self) -> [String; 5] {
        let Self { memory, cpu, parent, fingerprint } = self;
        [ASKED.into(), memory.to_string(), cpu.to_string(), parent.to_string(), fingerprint.into()]
    }

    /// The order in the arguments after [`ASKED`], if they are one.
    pub(super) fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut texts = arguments.map(OsString::into_string);
        let mut next = || texts.next()?.ok();
        let order = Self {
            memory: next()?.parse().ok()?,
            cpu: next()?.parse().ok()?,
            parent: next()?.parse().ok()?,
            fingerprint: next()?,
        };
        next().is_none().then_some(order)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_said_is_what_is_heard() {
        let bounds = Bounds { timeout: Duration::from_millis(1500), memory: 1 << 31 };
        let order = Order::new(bounds, [7; 32]);
        assert!(order.cpu >= 2, "{order:?}");
        let arguments = order.arguments();
        assert_eq!(arguments[0], ASKED);
        let heard = |count| Order::parse(arguments[1..count].iter().map(Into::into));
        assert_eq!(heard(5), Some(order));
        assert_eq!(heard(4), None);
    }
}
