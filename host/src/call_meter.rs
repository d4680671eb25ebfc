//! How many host calls a guest makes, against what it may make each second.
//!
//! Counting is an addition; the allowance is looked at once in many calls.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::allowance::Allowance;

/// Calls after which somebody looks, at most.
const LOOK: u32 = 64;

/// What can be saved up: a second's worth.
const SAVED: Duration = Duration::from_secs(1);

/// The host calls of one instance.
#[derive(Debug)]
pub(crate) struct CallMeter {
    /// Since the last look.
    calls: u32,
    look_at: u32,
    /// `None` is unbounded.
    allowance: Option<Allowance>,
    paid_at: Option<Instant>,
}

impl CallMeter {
    pub(crate) fn new(per_second: Option<NonZeroU32>, now: Instant) -> Self {
        let allowance = per_second.map(|n| Allowance::new(n, SAVED, now));
        let mut meter = Self { calls: 0, look_at: 0, allowance, paid_at: None };
        meter.look(now);
        meter
    }

    /// Counts a call; whether it is time to look.
    pub(crate) const fn count(&mut self) -> bool {
        self.calls += 1;
        self.calls >= self.look_at
    }

    /// Charges what was counted.
    pub(crate) fn look(&mut self, now: Instant) {
        let calls = std::mem::take(&mut self.calls);
        self.look_at = LOOK;
        if let Some(allowance) = &mut self.allowance {
            self.paid_at = allowance.spend(calls, now);
            self.look_at = allowance.left(now).saturating_add(1).min(LOOK);
        }
    }

    /// Until when the guest has to wait, because it has made more calls than it may.
    pub(crate) const fn paid_at(&self) -> Option<Instant> {
        self.paid_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many calls a guest makes that waits as it should.
    fn calls_in(seconds: u64, per_second: u32) -> u64 {
        let mut now = Instant::now();
        let end = now + Duration::from_secs(seconds);
        let mut meter = CallMeter::new(NonZeroU32::new(per_second), now);
        let mut calls = 0;
        while now < end {
            calls += 1;
            if meter.count() {
                meter.look(now);
                now = meter.paid_at().map_or(now, |at| at.max(now));
            }
        }
        calls
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_so_many_a_second_and_what_was_saved() {
        for per_second in [1, 7, 1000, 50_000] {
            let calls = calls_in(10, per_second);
            let expected = 11 * u64::from(per_second);
            assert!(calls.abs_diff(expected) <= 64, "{calls} with {per_second} a second");
        }
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        let now = Instant::now();
        let mut meter = CallMeter::new(None, now);
        for _ in 0..1_000_000 {
            if meter.count() {
                meter.look(now);
            }
        }
        assert_eq!(meter.paid_at(), None);
    }
}
