//! Runs one instance under its deadlines: the only timer of a connection.
//!
//! It knows neither wasm nor sockets: it polls a future, books the CPU time, and ends it when the
//! account says that a bound has been reached. A guest that computes is polled again after each
//! slice, which the engine's epochs see to.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::account::{Account, Excess};
use crate::config::MinRate;
use crate::cpu_quota::{CpuQuota, CpuUser};
use crate::exit::Exit;
use crate::pace::Pace;

/// The bounds of one connection; `None` is no bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Nothing moved in either direction.
    pub idle: Option<Duration>,
    /// The peer did not read.
    pub write: Option<Duration>,
    /// Wall time over everything.
    pub lifetime: Option<Duration>,
    /// CPU time since bytes last moved.
    pub cpu: Option<Duration>,
    /// CPU time over everything.
    pub cpu_total: Option<Duration>,
    /// Bytes that the guest reads.
    pub bytes_in: Option<u64>,
    /// Bytes that the guest writes.
    pub bytes_out: Option<u64>,
    /// How fast the peer is.
    pub min_rate: Option<MinRate>,
    /// Silence while draining.
    pub drain_idle: Option<Duration>,
}

impl Limits {
    /// The CPU time in all, in nanoseconds, up to which `account` has reached no bound for it,
    /// whatever moves meanwhile.
    fn cpu_is_free_until(&self, account: &Account) -> u64 {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let since_move = self.cpu.map(|cpu| nanos(cpu).saturating_add(account.cpu_when_moved()));
        since_move.into_iter().chain(self.cpu_total.map(nanos)).min().unwrap_or(u64::MAX)
    }

    /// How `account` has used more than it may.
    fn overdrawn(&self, account: &Account) -> Option<Exit> {
        let over =
            |limit: Option<Duration>, used: Duration| limit.is_some_and(|limit| used > limit);
        if over(self.cpu, account.cpu_since_move()) {
            return Some(Exit::CpuLimit("handler.cpu"));
        }
        if over(self.cpu_total, account.cpu()) {
            return Some(Exit::CpuLimit("handler.cpu_total"));
        }
        account.excess().map(|excess| match excess {
            Excess::In => Exit::BytesLimit("listener.max_bytes_in"),
            Excess::Out => Exit::BytesLimit("listener.max_bytes_out"),
        })
    }

    /// The moments at which the connection ends if nothing moves until then; `slow` is when the
    /// peer is too slow.
    fn deadlines(&self, account: &Account, slow: Option<Instant>) -> [Option<(Instant, Exit)>; 6] {
        let moved = account.moved_at();
        [
            account.is_evicted().then_some((moved, Exit::MadeRoom)),
            self.lifetime.map(|limit| (account.served_at() + limit, Exit::Lifetime)),
            self.write
                .zip(account.write_waiting_since())
                .map(|(limit, since)| (since + limit, Exit::WriteTimeout)),
            slow.map(|at| (at, Exit::SlowPeer)),
            self.drain_idle
                .zip(account.drain_began())
                .map(|(limit, began)| (moved.max(began) + limit, Exit::Drained)),
            self.idle.map(|limit| (moved + limit, Exit::IdleTimeout)),
        ]
    }
}

/// Polls `instance` to its end, or until a bound of `limits` is reached; then it is left where it
/// is, for the caller to drop. Silence and its lifetime count from here. Its CPU time counts in
/// `quota`, which may hold it back: it is not polled meanwhile, and nobody is blamed for what it
/// could not do then.
pub async fn watch<F: Future>(
    account: &Account,
    limits: &Limits,
    quota: &CpuQuota,
    mut instance: Pin<&mut F>,
) -> Result<F::Output, Exit> {
    account.is_served();
    let mut timer = pin!(None);
    let mut pace = limits.min_rate.map(Pace::new);
    let mut cpu = CpuUser::new(quota, account);
    let mut cpu_is_free_until = 0;
    // When the timer fires, and whom it wakes.
    let mut due: Option<(Instant, Waker)> = None;
    poll_fn(|cx| {
        // Before the poll: an order given during it must find someone to wake.
        account.register(cx.waker());
        let held = cpu.held_until();
        let now = if held.is_some() {
            let now = Instant::now();
            if let Some(pace) = &mut pace {
                pace.poll_begins(now);
            }
            now
        } else {
            account.poll_begins();
            if let Some(pace) = &mut pace {
                pace.poll_begins(account.recently());
            }
            let polled = instance.as_mut().poll(cx);
            let now = account.poll_ends();
            cpu.poll_ends(now);
            if let Poll::Ready(output) = polled {
                return Poll::Ready(Ok(output));
            }
            if let Some(pace) = &mut pace {
                pace.poll_ends(account, now);
            }
            now
        };
        if account.is_cut() {
            let exit = if account.is_killed() { Exit::Killed } else { Exit::Cut };
            return Poll::Ready(Err(exit));
        }
        // Mostly nothing is near: one comparison instead of several.
        if account.cpu_nanos() > cpu_is_free_until || account.excess().is_some() {
            if let Some(exit) = limits.overdrawn(account) {
                return Poll::Ready(Err(exit));
            }
            cpu_is_free_until = limits.cpu_is_free_until(account);
        }
        // Bytes that move push deadlines back. The timer is left to fire early then: once a
        // deadline instead of once a read.
        let slow = pace.as_ref().and_then(Pace::deadline);
        let is_set = held.is_none()
            && due.as_ref().is_some_and(|(at, waker)| {
                now < *at && slow.is_none_or(|slow| *at <= slow) && waker.will_wake(cx.waker())
            });
        if is_set && !account.deadline_came_nearer() {
            return Poll::Pending;
        }
        let write = limits.write.filter(|_| held.is_none());
        let deadlines = Limits { write, ..*limits }.deadlines(account, slow);
        if let Some((_, exit)) = deadlines.iter().flatten().find(|(at, _)| *at <= now) {
            return Poll::Ready(Err(exit.clone()));
        }
        let wake = held.or_else(|| account.alarm());
        let nearest = deadlines.into_iter().flatten().map(|(at, _)| at).chain(wake).min();
        // The timer of one that is held says nothing of when it has to fire afterwards.
        due = nearest.filter(|_| held.is_none()).map(|nearest| (nearest, cx.waker().clone()));
        let Some(nearest) = nearest else { return Poll::Pending };
        match timer.as_mut().as_pin_mut() {
            None => timer.set(Some(sleep_until(nearest))),
            Some(timer) => timer.reset(nearest),
        }
        if timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready()) {
            // Due between two readings of the clock: look again.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::num::NonZeroU64;
    use std::sync::Arc;

    use tokio::time::sleep;

    use super::*;
    use crate::account::Order;

    const SECOND: Duration = Duration::from_secs(1);

    async fn run<F: Future>(
        account: &Account,
        limits: &Limits,
        instance: F,
    ) -> Result<F::Output, Exit> {
        watch(account, limits, &CpuQuota::default(), pin!(instance)).await
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection_counted_from_the_last_byte() {
        let account = Account::new(1);
        let limits = Limits { idle: Some(10 * SECOND), ..Limits::default() };
        let began = Instant::now();
        let ended = run(&account, &limits, async {
            sleep(7 * SECOND).await;
            account.read(1);
            pending::<()>().await;
        })
        .await;
        assert_eq!(ended, Err(Exit::IdleTimeout));
        assert_eq!(began.elapsed(), 17 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_cut_before_the_idle_timeout() {
        let account = Account::new(1);
        let limits =
            Limits { idle: Some(60 * SECOND), write: Some(5 * SECOND), ..Limits::default() };
        let began = Instant::now();
        let ended = run(&account, &limits, async {
            sleep(SECOND).await;
            account.write_waits();
            pending::<()>().await;
        })
        .await;
        assert_eq!(ended, Err(Exit::WriteTimeout));
        assert_eq!(began.elapsed(), 6 * SECOND);
    }

    /// A peer that is to move 100 bytes in 10 s.
    fn slow_is(over: Duration) -> Limits {
        let bytes = NonZeroU64::new(100).unwrap();
        let min_rate = Some(MinRate { bytes, over });
        Limits { min_rate, idle: Some(60 * SECOND), ..Limits::default() }
    }

    /// Waits for the peer for so long, polled again and again meanwhile.
    async fn waits(account: &Account, wait: Duration) {
        let end = Instant::now() + wait;
        while Instant::now() < end {
            let mut timer = pin!(sleep(SECOND / 4));
            poll_fn(|cx| {
                let polled = timer.as_mut().poll(cx);
                if polled.is_pending() {
                    account.waits_for_peer();
                }
                polled
            })
            .await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_moves_too_little_is_slow_however_often_it_moves() {
        let account = Account::new(1);
        let began = Instant::now();
        let ended = run(&account, &slow_is(10 * SECOND), async {
            loop {
                waits(&account, SECOND).await;
                account.read(4);
                account.wrote(5);
            }
        })
        .await;
        assert_eq!(ended, Err::<(), _>(Exit::SlowPeer));
        assert_eq!((began.elapsed(), account.bytes_in()), (10 * SECOND, 40));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_moves_enough_in_time_is_not_slow() {
        let account = Account::new(1);
        let ended = run(&account, &slow_is(10 * SECOND), async {
            for _ in 0..5 {
                waits(&account, 9 * SECOND).await;
                account.read(100);
            }
        })
        .await;
        assert_eq!(ended, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_not_slow_while_nobody_waits_for_it() {
        let account = Account::new(1);
        let began = Instant::now();
        let ended = run(&account, &slow_is(10 * SECOND), async {
            waits(&account, 6 * SECOND).await;
            sleep(30 * SECOND).await;
            waits(&account, 6 * SECOND).await;
        })
        .await;
        assert_eq!(ended, Err(Exit::SlowPeer));
        assert_eq!(began.elapsed(), 40 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lifetime_does_not_care_about_bytes() {
        let account = Account::new(1);
        let limits = Limits { lifetime: Some(3 * SECOND + SECOND / 4), ..Limits::default() };
        let ended = run(&account, &limits, async {
            loop {
                sleep(SECOND / 2).await;
                account.wrote(1);
            }
        })
        .await;
        assert_eq!(ended, Err::<(), _>(Exit::Lifetime));
        assert_eq!(account.bytes_out(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_before_the_instance_is_neither_silence_nor_its_lifetime() {
        let idle = Limits { idle: Some(10 * SECOND), ..Limits::default() };
        let lifetime = Limits { lifetime: Some(10 * SECOND), ..Limits::default() };
        for (limits, exit) in [(idle, Exit::IdleTimeout), (lifetime, Exit::Lifetime)] {
            let account = Account::new(1);
            // A handshake, or a wait in a queue.
            sleep(60 * SECOND).await;
            let began = Instant::now();
            assert_eq!(run(&account, &limits, pending::<()>()).await, Err(exit));
            assert_eq!(began.elapsed(), 10 * SECOND);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_polls_the_guest_and_ends_nothing() {
        let account = Account::new(1);
        let limits = Limits { idle: Some(10 * SECOND), ..Limits::default() };
        let at = Instant::now() + 2 * SECOND;
        let ended = run(
            &account,
            &limits,
            poll_fn(|_| {
                if Instant::now() >= at {
                    return Poll::Ready(Instant::now());
                }
                account.set_alarm(at);
                Poll::Pending
            }),
        )
        .await;
        assert_eq!(ended, Ok(at));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_wakes_a_connection_that_waits() {
        let account = Arc::new(Account::new(1));
        let limits = Limits::default();
        let other = Arc::clone(&account);
        let cutter = tokio::spawn(async move {
            sleep(SECOND).await;
            other.order(Order::Cut);
        });
        assert_eq!(run(&account, &limits, pending::<()>()).await, Err(Exit::Cut));
        cutter.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_to_make_room_is_idle_at_once() {
        let account = Arc::new(Account::new(1));
        let limits = Limits { idle: Some(10 * SECOND), ..Limits::default() };
        let other = Arc::clone(&account);
        let began = Instant::now();
        let evicting = tokio::spawn(async move {
            sleep(SECOND).await;
            other.evict();
        });
        assert_eq!(run(&account, &limits, pending::<()>()).await, Err(Exit::MadeRoom));
        assert_eq!(began.elapsed(), SECOND);
        evicting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_the_silent_when_asked_to_and_only_then() {
        for (drain_idle, exit) in [(None, Exit::IdleTimeout), (Some(2 * SECOND), Exit::Drained)] {
            let account = Account::new(1);
            account.order(Order::Drain);
            let limits = Limits { idle: Some(10 * SECOND), drain_idle, ..Limits::default() };
            assert_eq!(run(&account, &limits, pending::<()>()).await, Err(exit));
        }
    }
}
