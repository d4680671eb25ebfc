//! So much a second, some of which can be saved up: the bound of what guests may do at a rate.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// An allowance that refills steadily and begins full. (The generic cell rate algorithm of ATM's
/// traffic management, ITU-T I.371: one moment is all that has to be kept.)
#[derive(Debug)]
pub(crate) struct Allowance {
    per_second: NonZeroU32,
    /// How long it takes to save up all that can be.
    saved: Duration,
    /// What was spent is paid for by then.
    paid_at: Instant,
}

impl Allowance {
    /// `per_second`, as much as in `saved` at once.
    pub(crate) const fn new(per_second: NonZeroU32, saved: Duration, now: Instant) -> Self {
        Self { per_second, saved, paid_at: now }
    }

    /// Spends `amount`, if that is there.
    pub(crate) fn take(&mut self, amount: u32, now: Instant) -> bool {
        let paid_at = self.after(amount, now);
        let is_there = paid_at <= now + self.saved;
        if is_there {
            self.paid_at = paid_at;
        }
        is_there
    }

    /// Spends `amount`, which may make debts. Gives the moment when they will be paid.
    pub(crate) fn spend(&mut self, amount: u32, now: Instant) -> Option<Instant> {
        self.paid_at = self.after(amount, now);
        (self.paid_at > now + self.saved).then(|| self.paid_at - self.saved)
    }

    /// How much is there.
    pub(crate) fn left(&self, now: Instant) -> u32 {
        let left = (now + self.saved).saturating_duration_since(self.paid_at).min(self.saved);
        let amount = left.as_nanos() * u128::from(self.per_second.get()) / 1_000_000_000;
        u32::try_from(amount).unwrap_or(u32::MAX)
    }

    fn after(&self, amount: u32, now: Instant) -> Instant {
        let nanos = u64::from(amount) * 1_000_000_000 / u64::from(self.per_second.get());
        self.paid_at.max(now) + Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ten_a_second(now: Instant) -> Allowance {
        Allowance::new(NonZeroU32::new(10).unwrap(), 2 * SECOND, now)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_saved_can_be_taken_at_once_and_then_what_comes_in() {
        let now = Instant::now();
        let mut allowance = ten_a_second(now);
        assert_eq!(allowance.left(now), 20);
        assert!(allowance.take(15, now));
        assert!(!allowance.take(6, now));
        assert!(allowance.take(5, now) && !allowance.take(1, now));
        let later = now + SECOND / 2;
        assert_eq!(allowance.left(later), 5);
        assert!(allowance.take(5, later) && !allowance.take(1, later));
        let much_later = now + 100 * SECOND;
        assert_eq!(allowance.left(much_later), 20);
        assert!(!allowance.take(21, much_later));
    }

    #[tokio::test(start_paused = true)]
    async fn debts_are_paid_at_the_same_rate() {
        let now = Instant::now();
        let mut allowance = ten_a_second(now);
        assert_eq!(allowance.spend(20, now), None);
        assert_eq!(allowance.spend(30, now), Some(now + 3 * SECOND));
        assert_eq!(allowance.left(now), 0);
        assert!(!allowance.take(1, now + 3 * SECOND));
        assert!(allowance.take(1, now + 4 * SECOND));
    }
}
