//! The account of one connection: what it has done, and what it is asked to do.
//!
//! Written by the connection's own task, read by anyone. It enforces nothing; the watchdog does.

use std::future::poll_fn;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::task::{Poll, Waker};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use tokio::time::Instant;

use crate::cpu_time::CpuTime;
use crate::presence::{Presence, Stage};

/// A moment that never comes.
const NEVER: u64 = u64::MAX;

/// The account of one connection. Moments are kept as nanoseconds since it began, so that one
/// reading of the clock at each poll serves all the calls in it.
#[derive(Debug)]
pub struct Account {
    id: u64,
    began: Instant,
    /// When its instance began.
    served: AtomicU64,
    poll_began: AtomicU64,
    poll_ended: AtomicU64,
    /// The running poll ends because the guest gives way to others, or the next one is held back.
    gives_way: AtomicBool,
    /// The instance has computed for a whole slice since somebody asked.
    used_up_slice: AtomicBool,
    waited: AtomicU64,
    moved: AtomicU64,
    write_waits_since: AtomicU64,
    alarm: AtomicU64,
    /// A deadline may have come nearer since the watchdog last looked.
    nearer: AtomicBool,
    cpu: CpuTime,
    cpu_when_moved: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    memory: AtomicU64,
    /// Which direction has more to move than may; 0 is none.
    excess: AtomicU8,
    /// The instance waits for its peer.
    peer_awaited: AtomicBool,
    memory_peak: AtomicU64,
    /// When the guest's first byte went out.
    answered: AtomicU64,
    in_poll: AtomicBool,
    presence: Presence,
    order: AtomicU8,
    evicted: AtomicBool,
    drain_began: AtomicU64,
    waker: AtomicWaker,
}

/// What the host asks of a connection. A later one is stronger than an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Order {
    /// Nothing: go on.
    Serve = 0,
    /// Finish, please.
    Drain = 1,
    /// The drain's deadline has come: end now.
    Cut = 2,
    /// Somebody has asked for the end of this connection: end now.
    Kill = 3,
}

/// What a connection does, as far as that can be seen from outside at no cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// It waits for a place.
    Queued,
    /// It is in its handshake, or waits for a place after it.
    Handshake,
    /// The guest waits: for the peer's bytes, or for time.
    Waiting,
    /// The guest computes.
    Running,
    /// A write waits for the peer to read.
    Writing,
    /// The guest was asked to finish, and waits.
    Draining,
    /// The guest is gone, and the socket closes.
    Closing,
}

/// A direction in which more was to move than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Excess {
    /// From the peer.
    In = 1,
    /// To the peer.
    Out = 2,
}

impl Account {
    /// The account of a connection that begins now. `id` is unique in this process.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            began: Instant::now(),
            served: AtomicU64::new(0),
            poll_began: AtomicU64::new(0),
            poll_ended: AtomicU64::new(NEVER),
            gives_way: AtomicBool::new(false),
            used_up_slice: AtomicBool::new(false),
            waited: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            write_waits_since: AtomicU64::new(NEVER),
            alarm: AtomicU64::new(NEVER),
            nearer: AtomicBool::new(true),
            cpu: CpuTime::new(),
            cpu_when_moved: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            excess: AtomicU8::new(0),
            peer_awaited: AtomicBool::new(false),
            memory_peak: AtomicU64::new(0),
            answered: AtomicU64::new(NEVER),
            in_poll: AtomicBool::new(false),
            presence: Presence::default(),
            order: AtomicU8::new(Order::Serve as u8),
            evicted: AtomicBool::new(false),
            drain_began: AtomicU64::new(NEVER),
            waker: AtomicWaker::new(),
        }
    }

    /// The connection's id.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Bytes that the guest has read.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Relaxed)
    }

    /// Bytes that the guest has written and the kernel has taken.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Relaxed)
    }

    /// CPU time that the instance has used, host calls included. What the running poll has used
    /// is added when it ends.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_nanos())
    }

    /// The same in nanoseconds.
    pub(crate) fn cpu_nanos(&self) -> u64 {
        self.cpu.used()
    }

    /// What of it was used when bytes last moved.
    pub(crate) fn cpu_when_moved(&self) -> u64 {
        self.cpu_when_moved.load(Relaxed)
    }

    /// The memory that the instance has now, in bytes.
    pub fn memory(&self) -> u64 {
        self.memory.load(Relaxed)
    }

    /// Wall time in which the instance waited: for its peer, to send something or to take it, or for
    /// a timer of its own. Not what it waited for its turn while it computed.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Relaxed))
    }

    /// The most memory that the instance has had at once, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Relaxed)
    }

    /// Says that the instance has this much memory now, in bytes.
    pub fn memory_is(&self, bytes: u64) {
        self.memory.store(bytes, Relaxed);
        self.memory_peak.fetch_max(bytes, Relaxed);
    }

    /// Says that the instance has not more than this, in bytes: its last growth came to nothing.
    pub(crate) fn memory_stays(&self, bytes: u64) {
        // It never shrinks, so what it has is the most that it has had.
        self.memory.store(bytes, Relaxed);
        self.memory_peak.store(bytes, Relaxed);
    }

    /// What else is known of the connection.
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Says that the instance is gone and the socket closes.
    pub fn closes(&self) {
        self.memory.store(0, Relaxed);
        self.presence.closes();
    }

    /// What it does now.
    pub fn activity(&self) -> Activity {
        match self.presence.stage() {
            Stage::Queued => Activity::Queued,
            Stage::Handshake => Activity::Handshake,
            Stage::Closing | Stage::Ended => Activity::Closing,
            Stage::Serving if self.in_poll.load(Relaxed) => Activity::Running,
            Stage::Serving if self.write_waiting_since().is_some() => Activity::Writing,
            Stage::Serving if self.is_draining() => Activity::Draining,
            Stage::Serving => Activity::Waiting,
        }
    }

    /// How long it took until the guest's first byte went out; `None` if none has.
    pub fn first_byte(&self) -> Option<Duration> {
        let answered = self.answered.load(Relaxed);
        (answered != NEVER).then(|| Duration::from_nanos(answered))
    }

    /// How long nothing has moved.
    pub fn idle(&self) -> Duration {
        self.moved_at().elapsed()
    }

    /// How long the connection has lasted.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Says that its instance begins: silence and its lifetime count from here, and nobody is
    /// blamed for a handshake or for a wait in a queue.
    pub(crate) fn is_served(&self) {
        let now = self.nanos_at(Instant::now());
        self.served.store(now, Relaxed);
        self.moved.store(now, Relaxed);
    }

    /// Says that the guest has read this many bytes.
    pub fn read(&self, bytes: usize) {
        add(&self.bytes_in, bytes as u64);
        self.bytes_moved();
    }

    /// Says that the guest has written this many bytes.
    pub fn wrote(&self, bytes: usize) {
        if self.bytes_out.load(Relaxed) == 0 {
            // Exact, and once: the poll may have begun long before.
            self.answered.store(self.nanos_at(Instant::now()), Relaxed);
        }
        add(&self.bytes_out, bytes as u64);
        self.bytes_moved();
    }

    /// Says that more has come in, or is to go out, than may. Nothing that waits for it goes on.
    pub(crate) fn exceeds(&self, excess: Excess) {
        self.excess.store(excess as u8, Relaxed);
    }

    /// Whether more was to move than may.
    pub(crate) fn excess(&self) -> Option<Excess> {
        match self.excess.load(Relaxed) {
            0 => None,
            in_ if in_ == Excess::In as u8 => Some(Excess::In),
            _ => Some(Excess::Out),
        }
    }

    /// Says that this poll of the instance comes to nothing because its peer has sent nothing, or
    /// does not read.
    pub fn waits_for_peer(&self) {
        self.peer_awaited.store(true, Relaxed);
    }

    /// Whether the last poll ended so.
    pub(crate) fn peer_is_awaited(&self) -> bool {
        self.peer_awaited.load(Relaxed)
    }

    /// Says that a write waits for the peer to read, until [`Account::write_moves`]: also from one
    /// call of the guest to the next.
    pub fn write_waits(&self) {
        self.waits_for_peer();
        if self.write_waits_since.load(Relaxed) == NEVER {
            self.write_waits_since.store(self.poll_began.load(Relaxed), Relaxed);
            self.nearer.store(true, Release);
        }
    }

    /// Says that no write waits for the peer any more: it has read, or nobody waits for that.
    pub fn write_moves(&self) {
        self.write_waits_since.store(NEVER, Relaxed);
    }

    /// Asks to be polled at this moment, for a bound of the guest's own.
    pub fn set_alarm(&self, at: Instant) {
        self.alarm.store(self.nanos_at(at), Relaxed);
        self.nearer.store(true, Release);
    }

    /// Takes the alarm back.
    pub fn clear_alarm(&self) {
        self.alarm.store(NEVER, Relaxed);
    }

    /// Gives the connection an order and wakes it. A weaker one than it has already changes
    /// nothing.
    pub fn order(&self, order: Order) {
        if self.order.fetch_max(order as u8, Relaxed) == Order::Serve as u8 {
            self.drain_began.store(self.nanos_at(Instant::now()), Relaxed);
        }
        self.nearer.store(true, Release);
        self.waker.wake();
    }

    /// Ends it now as if it had been idle for too long, to make room for another.
    pub fn evict(&self) {
        self.evicted.store(true, Relaxed);
        self.nearer.store(true, Release);
        self.waker.wake();
    }

    /// Whether it was asked to make room.
    pub fn is_evicted(&self) -> bool {
        self.evicted.load(Relaxed)
    }

    /// Whether the host asks the handler to finish.
    pub fn is_draining(&self) -> bool {
        self.order.load(Relaxed) >= Order::Drain as u8
    }

    /// Whether it is to end now: the drain's deadline has come, or it is killed.
    pub fn is_cut(&self) -> bool {
        self.order.load(Relaxed) >= Order::Cut as u8
    }

    /// Whether somebody has asked for its end.
    pub fn is_killed(&self) -> bool {
        self.order.load(Relaxed) >= Order::Kill as u8
    }

    /// Waits until the drain's deadline has come, or somebody asks for its end.
    pub async fn cut(&self) {
        poll_fn(|cx| {
            self.register(cx.waker());
            if self.is_cut() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Registers who is woken by [`Account::order`].
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Whether a deadline may have come nearer since this was last asked.
    pub(crate) fn deadline_came_nearer(&self) -> bool {
        // Mostly not: reading is cheaper than taking.
        self.nearer.load(Relaxed) && self.nearer.swap(false, Acquire)
    }

    /// Marks the beginning of a poll of the instance.
    pub(crate) fn poll_begins(&self) {
        let now = self.nanos_at(Instant::now());
        self.poll_began.store(now, Relaxed);
        self.in_poll.store(true, Relaxed);
        self.peer_awaited.store(false, Relaxed);
        self.cpu.poll_begins();
        let ended = self.poll_ended.load(Relaxed);
        if self.gives_way.load(Relaxed) {
            self.gives_way.store(false, Relaxed);
        } else if ended != NEVER {
            add(&self.waited, now.saturating_sub(ended));
        }
    }

    /// Marks its end, and books the CPU time.
    pub(crate) fn poll_ends(&self) -> Instant {
        let now = Instant::now();
        let ended = self.nanos_at(now);
        self.poll_ended.store(ended, Relaxed);
        self.in_poll.store(false, Relaxed);
        self.cpu.poll_ends(ended.saturating_sub(self.poll_began.load(Relaxed)));
        now
    }

    /// Says that the instance computes; gives how long the running poll has lasted.
    pub(crate) fn computes(&self) -> Duration {
        let now = self.nanos_at(Instant::now());
        let lasted = now.saturating_sub(self.poll_began.load(Relaxed));
        self.cpu.computes(lasted);
        Duration::from_nanos(lasted)
    }

    /// Whether it is known that the instance has computed for so long in the running poll: a poll
    /// can also last because the kernel runs others. Of one that never gave way it is known from a
    /// tick on only.
    pub(crate) fn has_computed(&self, time: Duration) -> bool {
        Duration::from_nanos(self.cpu.at_least()) >= time
    }

    /// Says that it gives way in the middle of its work.
    pub(crate) fn gives_way(&self) {
        self.gives_way.store(true, Relaxed);
        self.cpu.gives_way();
    }

    /// Says that it has computed for a whole slice.
    pub(crate) fn uses_up_slice(&self) {
        self.used_up_slice.store(true, Relaxed);
    }

    /// Whether it has since this was asked last.
    pub(crate) fn has_used_up_slice(&self) -> bool {
        // Mostly it has not: reading is cheaper than taking.
        self.used_up_slice.load(Relaxed) && self.used_up_slice.swap(false, Relaxed)
    }

    /// Says that the instance is not polled from now on although it could go on: it does not wait.
    pub(crate) fn is_held(&self, now: Instant) {
        let ended = self.poll_ended.load(Relaxed);
        if ended != NEVER && !self.gives_way.load(Relaxed) {
            add(&self.waited, self.nanos_at(now).saturating_sub(ended));
        }
        self.gives_way.store(true, Relaxed);
    }

    /// A number that differs between two polls.
    pub(crate) fn poll_stamp(&self) -> u64 {
        self.poll_began.load(Relaxed)
    }

    /// When the running poll began: a recent reading of the clock that costs nothing.
    pub(crate) fn recently(&self) -> Instant {
        self.began + Duration::from_nanos(self.poll_began.load(Relaxed))
    }

    /// Waits until this moment, by the watchdog's timer.
    pub(crate) async fn sleep_until(&self, at: Instant) {
        self.set_alarm(at);
        poll_fn(|_| if self.recently() >= at { Poll::Ready(()) } else { Poll::Pending }).await;
        self.clear_alarm();
    }

    /// CPU time since bytes last moved, without the running poll.
    pub(crate) fn cpu_since_move(&self) -> Duration {
        Duration::from_nanos(self.cpu.used().saturating_sub(self.cpu_when_moved.load(Relaxed)))
    }

    /// When its instance began.
    pub(crate) fn served_at(&self) -> Instant {
        self.began + Duration::from_nanos(self.served.load(Relaxed))
    }

    /// When bytes last moved; if none have, when its instance began, and before that when it came.
    pub(crate) fn moved_at(&self) -> Instant {
        self.began + Duration::from_nanos(self.moved.load(Relaxed))
    }

    /// Since when a write has waited for the peer.
    pub(crate) fn write_waiting_since(&self) -> Option<Instant> {
        self.instant(self.write_waits_since.load(Relaxed))
    }

    /// When the guest's own bound runs out.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        self.instant(self.alarm.load(Relaxed))
    }

    /// When the drain began.
    pub(crate) fn drain_began(&self) -> Option<Instant> {
        self.instant(self.drain_began.load(Relaxed))
    }

    fn bytes_moved(&self) {
        self.moved.store(self.poll_began.load(Relaxed), Relaxed);
        self.cpu_when_moved.store(self.cpu.used(), Relaxed);
    }

    fn nanos_at(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        // 584 years of nanoseconds fit.
        since.as_secs().saturating_mul(1_000_000_000).saturating_add(since.subsec_nanos().into())
    }

    fn instant(&self, nanos: u64) -> Option<Instant> {
        (nanos != NEVER).then(|| self.began + Duration::from_nanos(nanos))
    }
}

/// Adds without a locked instruction: only the connection's own task writes.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).saturating_add(amount), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weaker_order_does_not_undo_a_stronger_one() {
        let account = Account::new(1);
        account.order(Order::Cut);
        account.order(Order::Drain);
        assert!(account.is_cut());
    }

    #[test]
    fn cpu_time_counts_from_the_last_byte() {
        let account = Account::new(1);
        account.cpu.poll_ends(5_000);
        account.read(1);
        account.cpu.poll_ends(2_000);
        assert_eq!(account.cpu_since_move(), Duration::from_micros(2));
        assert_eq!(account.cpu(), Duration::from_micros(7));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_is_what_is_between_polls_unless_the_guest_gives_way() {
        let account = Account::new(1);
        for gives_way in [false, true, false] {
            tokio::time::advance(Duration::from_secs(5)).await;
            account.poll_begins();
            tokio::time::advance(Duration::from_secs(1)).await;
            if gives_way {
                account.gives_way();
            }
            account.poll_ends();
        }
        // Before the first poll there was no instance; after the second it gave way.
        assert_eq!(account.waited(), Duration::from_secs(5));
    }

    #[test]
    fn memory_keeps_its_peak() {
        let account = Account::new(1);
        account.memory_is(10);
        account.memory_is(4);
        assert_eq!(account.memory_peak(), 10);
    }
}
