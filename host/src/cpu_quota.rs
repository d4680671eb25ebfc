//! CPU time that instances share: how much they have used together, and how long those are held
//! that would use more than they may.
//!
//! Nobody is ended here. An instance is held between two polls: it is not polled until what all of
//! them have used is paid for.

use std::num::NonZeroU32;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::account::Account;
use crate::allowance::Allowance;

/// What can be saved up: a second's worth.
const SAVED: Duration = Duration::from_secs(1);

/// How long one is held until it is looked at whether the bound has changed.
const LOOK: Duration = Duration::from_secs(1);

/// Where there is no bound, CPU time is added to the shared count in pieces of so many nanoseconds at least:
/// with each poll it would cost all threads a cache line.
const PIECE: u64 = 1_000_000;

/// The CPU time of many instances.
#[derive(Debug, Default)]
pub struct CpuQuota {
    /// In nanoseconds.
    used: AtomicU64,
    held: AtomicU64,
    is_bound: AtomicBool,
    /// Differs between two bounds.
    version: AtomicU64,
    bound: Mutex<Option<Bound>>,
}

#[derive(Debug)]
struct Bound {
    micros: NonZeroU32,
    allowance: Allowance,
    /// What was used and is not a whole microsecond yet.
    nanos: u32,
}

impl CpuQuota {
    /// From now on the instances may use so many microseconds a second, and begin with a second's
    /// worth; `None` is no bound. Those that are held go on within a second.
    pub(crate) fn bound(&self, micros: Option<NonZeroU32>, now: Instant) {
        let mut bound = self.lock();
        if bound.as_ref().map(|bound| bound.micros) == micros {
            return;
        }
        *bound = micros.map(|micros| Bound {
            micros,
            allowance: Allowance::new(micros, SAVED, now),
            nanos: 0,
        });
        self.version.fetch_add(1, Relaxed);
        self.is_bound.store(bound.is_some(), Release);
    }

    /// What they may use, in microseconds a second; `None` is no bound.
    pub fn most(&self) -> Option<NonZeroU32> {
        self.lock().as_ref().map(|bound| bound.micros)
    }

    /// What they have used. That of an instance that runs may come a little later.
    pub fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed))
    }

    /// How long they were held, each for itself. That of one that is held now comes once a second.
    pub fn held(&self) -> Duration {
        Duration::from_nanos(self.held.load(Relaxed))
    }

    fn is_bound(&self) -> bool {
        self.is_bound.load(Acquire)
    }

    fn charge(&self, time: Duration, now: Instant) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.used.fetch_add(nanos, Relaxed);
        if !self.is_bound() {
            return;
        }
        if let Some(bound) = &mut *self.lock() {
            let nanos = nanos.saturating_add(bound.nanos.into());
            bound.nanos = u32::try_from(nanos % 1000).unwrap_or(0);
            bound.allowance.spend(u32::try_from(nanos / 1000).unwrap_or(u32::MAX), now);
        }
    }

    /// When what was used is paid for, if it is not yet.
    fn paid_at(&self, now: Instant) -> Option<Instant> {
        self.lock().as_mut().and_then(|bound| bound.allowance.spend(0, now))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One instance that uses a quota.
#[derive(Debug)]
pub(crate) struct CpuUser<'a> {
    quota: &'a CpuQuota,
    account: &'a Account,
    /// Of the CPU time in its account, what is in the quota's, too, in nanoseconds.
    charged: u64,
    hold: Option<Hold>,
}

/// The wait of one instance. It is over at a moment that does not move: who has waited for its turn
/// has it, whatever others have used meanwhile, or one that uses little could wait for ever beside
/// one that uses much.
#[derive(Clone, Copy, Debug)]
struct Hold {
    /// What is before is counted.
    since: Instant,
    until: Instant,
    version: u64,
}

impl<'a> CpuUser<'a> {
    pub(crate) const fn new(quota: &'a CpuQuota, account: &'a Account) -> Self {
        Self { quota, account, charged: 0, hold: None }
    }

    /// Asked before each poll: until when it is held at most before this is asked again. `None` if
    /// it may be polled.
    pub(crate) fn held_until(&mut self) -> Option<Instant> {
        if self.hold.is_none() && !self.quota.is_bound() {
            return None;
        }
        let now = Instant::now();
        let version = self.quota.version.load(Relaxed);
        let until = match self.hold {
            None => {
                let until = self.quota.paid_at(now)?;
                self.account.is_held(now);
                self.hold = Some(Hold { since: now, until, version });
                until
            }
            Some(hold) => {
                self.count(now);
                if now >= hold.until || version != hold.version {
                    self.hold = None;
                    return None;
                }
                hold.until
            }
        };
        Some(until.min(now + LOOK))
    }

    /// Charges what the instance has used since this was last called.
    pub(crate) fn poll_ends(&mut self, now: Instant) {
        let more = self.account.cpu_nanos().saturating_sub(self.charged);
        if more >= PIECE || self.quota.is_bound() {
            self.charge(more, now);
        }
    }

    fn charge(&mut self, more: u64, now: Instant) {
        self.charged += more;
        self.quota.charge(Duration::from_nanos(more), now);
    }

    /// Counts how long it has been held so far.
    fn count(&mut self, now: Instant) {
        if let Some(hold) = &mut self.hold {
            let held = now.saturating_duration_since(hold.since);
            let nanos = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
            self.quota.held.fetch_add(nanos, Relaxed);
            hold.since = now;
        }
    }
}

impl Drop for CpuUser<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.count(now);
        let more = self.account.cpu_nanos().saturating_sub(self.charged);
        if more > 0 {
            self.charge(more, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use tokio::time::sleep;

    use super::*;
    use crate::exit::Exit;
    use crate::watchdog::{Limits, watch};

    const SECOND: Duration = Duration::from_secs(1);

    fn quota(micros: u32) -> CpuQuota {
        let quota = CpuQuota::default();
        quota.bound(NonZeroU32::new(micros), Instant::now());
        quota
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_saved_is_used_at_once_and_the_rest_is_paid_for() {
        let (quota, began) = (quota(500_000), Instant::now());
        quota.charge(SECOND / 2, began);
        assert_eq!(quota.paid_at(began), None);
        quota.charge(SECOND, began);
        assert_eq!(quota.paid_at(began), Some(began + 2 * SECOND));
        assert_eq!(quota.paid_at(began + 2 * SECOND), None);
        assert_eq!(quota.used(), 3 * SECOND / 2);
    }

    #[test]
    fn parts_of_microseconds_are_not_lost() {
        let (quota, now) = (quota(1_000_000), Instant::now());
        quota.charge(SECOND, now);
        for _ in 0..10_000 {
            quota.charge(Duration::from_nanos(100), now);
        }
        assert_eq!(quota.paid_at(now), Some(now + Duration::from_millis(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_is_held_until_the_debt_of_all_is_paid_and_then_goes_on() {
        let (quota, account) = (quota(100_000), Account::new(1));
        let began = Instant::now();
        // Another's: a tenth of a second is there, two more are paid for in two seconds.
        quota.charge(3 * SECOND / 10, began);
        let first_poll = poll_fn(|_| Poll::Ready(Instant::now()));
        let polled = watch(&account, &Limits::default(), &quota, pin!(first_poll)).await;
        assert_eq!(polled, Ok(began + 2 * SECOND));
        assert_eq!(quota.held(), 2 * SECOND);
        assert_eq!((account.cpu(), account.waited()), (Duration::ZERO, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn deadlines_end_one_that_is_held_but_not_those_that_blame_the_peer() {
        let (quota, account) = (quota(100_000), Account::new(1));
        quota.charge(100 * SECOND, Instant::now());
        account.write_waits();
        let limits =
            Limits { write: Some(SECOND), lifetime: Some(5 * SECOND), ..Limits::default() };
        let ended = watch(&account, &limits, &quota, pin!(pending::<()>())).await;
        assert_eq!((ended, account.age()), (Err(Exit::Lifetime), 5 * SECOND));
        assert_eq!(quota.held(), 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_held_goes_on_soon_after_the_bound_has_changed() {
        let (quota, account) = (quota(1000), Account::new(1));
        let began = Instant::now();
        quota.charge(100 * SECOND, began);
        let limits = Limits::default();
        let instance = pin!(async { Instant::now() });
        let polled = watch(&account, &limits, &quota, instance);
        let change = async {
            sleep(10 * SECOND + SECOND / 2).await;
            quota.bound(None, Instant::now());
        };
        let (polled, ()) = tokio::join!(polled, change);
        let polled = polled.unwrap();
        assert!((10 * SECOND..=11 * SECOND).contains(&(polled - began)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_instance_used_counts_also_without_a_bound_and_when_it_is_dropped() {
        let (quota, account) = (CpuQuota::default(), Account::new(1));
        // The account's clock is the paused one, which goes on only here.
        account.poll_begins();
        tokio::time::advance(Duration::from_micros(700)).await;
        account.poll_ends();
        let mut user = CpuUser::new(&quota, &account);
        user.poll_ends(Instant::now());
        assert_eq!(quota.used(), Duration::ZERO, "it is a small piece");
        drop(user);
        assert_eq!(quota.used(), Duration::from_micros(700));
    }
}
