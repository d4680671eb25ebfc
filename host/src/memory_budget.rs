//! Memory that instances share: a bound for all of them together, and an account that returns to
//! zero. Budgets can be parts of others; what a part gives, its whole has to give, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A bound for the memory of many instances, in bytes.
#[derive(Debug)]
pub struct MemoryBudget {
    /// The key of the configuration that bounds it.
    key: &'static str,
    limit: AtomicU64,
    used: AtomicU64,
    denied: AtomicU64,
    whole: Option<Arc<Self>>,
}

impl MemoryBudget {
    /// Without a bound; `key` is the one that will set it. `whole` is the budget that it is a part
    /// of.
    pub const fn new(key: &'static str, whole: Option<Arc<Self>>) -> Self {
        Self {
            key,
            limit: AtomicU64::new(u64::MAX),
            used: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            whole,
        }
    }

    /// Bounds it from now on. What instances have already they keep, also if that is more.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Relaxed);
    }

    /// Its bound; `None` is none.
    pub fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Relaxed)).filter(|limit| *limit < u64::MAX)
    }

    /// What instances have of it.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// How often it had not enough.
    pub fn denied(&self) -> u64 {
        self.denied.load(Relaxed)
    }

    /// Takes `bytes` from it and from its whole, or from neither; then it gives the key of the one
    /// that has not enough.
    fn take(&self, bytes: u64) -> Result<(), &'static str> {
        let limit = self.limit.load(Relaxed);
        let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= limit);
        if self.used.fetch_update(Relaxed, Relaxed, more).is_err() {
            self.denied.fetch_add(1, Relaxed);
            return Err(self.key);
        }
        let taken = self.whole.as_ref().map_or(Ok(()), |whole| whole.take(bytes));
        if taken.is_err() {
            self.used.fetch_sub(bytes, Relaxed);
        }
        taken
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
        if let Some(whole) = &self.whole {
            whole.give_back(bytes);
        }
    }
}

/// What one instance has of a budget; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl Share {
    /// Nothing yet.
    pub(crate) const fn of(budget: Arc<MemoryBudget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Makes it larger, or gives the key of the budget that has not enough.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), &'static str> {
        self.budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives a part of it back.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give_back(bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(
        key: &'static str,
        limit: u64,
        whole: Option<&Arc<MemoryBudget>>,
    ) -> Arc<MemoryBudget> {
        let budget = MemoryBudget::new(key, whole.map(Arc::clone));
        budget.set_limit(limit);
        Arc::new(budget)
    }

    #[test]
    fn all_shares_together_are_bounded_to_the_byte() {
        let budget = budget("all", 10, None);
        let (mut a, mut b) = (Share::of(Arc::clone(&budget)), Share::of(Arc::clone(&budget)));
        assert_eq!((a.grow(4), b.grow(6), a.grow(1)), (Ok(()), Ok(()), Err("all")));
        assert_eq!((budget.used(), budget.denied()), (10, 1));
        assert_eq!(b.grow(u64::MAX), Err("all"));
        drop(a);
        assert_eq!((budget.used(), b.grow(4)), (6, Ok(())));
        drop(b);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_part_takes_from_its_whole_or_not_at_all() {
        let whole = budget("whole", 10, None);
        let (one, other) = (budget("one", 8, Some(&whole)), budget("other", 8, Some(&whole)));
        let (mut a, mut b) = (Share::of(Arc::clone(&one)), Share::of(Arc::clone(&other)));
        assert_eq!((a.grow(9), a.grow(7)), (Err("one"), Ok(())));
        assert_eq!((b.grow(4), b.grow(3)), (Err("whole"), Ok(())));
        assert_eq!([&whole, &one, &other].map(|budget| budget.used()), [10, 7, 3]);
        assert_eq!([&whole, &one, &other].map(|budget| budget.denied()), [1, 1, 0]);
        drop((a, b));
        assert_eq!([&whole, &one, &other].map(|budget| budget.used()), [0, 0, 0]);
    }

    #[test]
    fn what_is_there_already_stays_when_the_bound_is_lowered() {
        let budget = budget("all", 10, None);
        let mut share = Share::of(Arc::clone(&budget));
        share.grow(8).unwrap();
        budget.set_limit(5);
        assert_eq!((share.grow(1), budget.used()), (Err("all"), 8));
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let budget = budget("all", 100, None);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let mut share = Share::of(Arc::clone(&budget));
                        for _ in 0..7 {
                            let _ = share.grow(9);
                        }
                        assert!(budget.used() <= 100);
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }
}
