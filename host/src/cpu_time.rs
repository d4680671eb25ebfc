//! The CPU time of one instance.
//!
//! An instance that works a little and waits is charged by the clock, which costs nothing. One
//! that computes for longer is charged by the CPU clock of its thread, so that a busy machine does
//! not charge it for what the kernel gave to others.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The most that a poll is charged by the clock: two ticks of the engine. By then one that
/// computes has been seen to, and the rest of a longer one is the kernel's time for others.
const BY_THE_CLOCK: u64 = 10_000_000;

/// How long a poll has to last until the thread's clock is worth its cost: a tick.
const LONG: u64 = BY_THE_CLOCK / 2;

/// How many polls are charged by the thread's clock from their beginning after one that gave way:
/// an instance that computed once may do so for each message, and is known by that clock only.
const WATCHED: u8 = 100;

/// No reading of the thread's clock.
const NONE: u64 = u64::MAX;

/// Times are nanoseconds; `lasted` is how long the running poll of the instance has lasted by the
/// clock. A poll stays on one thread.
#[derive(Debug)]
pub(crate) struct CpuTime {
    used: AtomicU64,
    /// The thread's clock where the running poll was charged last.
    charged_at: AtomicU64,
    /// So many more polls are charged by the thread's clock from their beginning.
    watched: AtomicU8,
}

impl CpuTime {
    pub(crate) const fn new() -> Self {
        Self {
            used: AtomicU64::new(0),
            charged_at: AtomicU64::new(NONE),
            watched: AtomicU8::new(0),
        }
    }

    /// What was charged. That of the running poll is added when it ends, or is seen to compute.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// A poll begins.
    pub(crate) fn poll_begins(&self) {
        let watched = self.watched.load(Relaxed);
        if watched > 0 {
            self.watched.store(watched - 1, Relaxed);
            self.charged_at.store(thread_time(), Relaxed);
        }
    }

    /// The running poll computes. If it has for a while, the thread's clock counts from here on.
    pub(crate) fn computes(&self, lasted: u64) {
        if lasted >= LONG && self.charged_at.load(Relaxed) == NONE {
            self.charge(lasted.min(BY_THE_CLOCK));
            self.charged_at.store(thread_time(), Relaxed);
        }
    }

    /// What the running poll has used at least: all of it where it is charged by the thread's clock
    /// from its beginning, else what came after a while by the other clock.
    pub(crate) fn at_least(&self) -> u64 {
        match self.charged_at.load(Relaxed) {
            NONE => 0,
            charged_at => thread_time().saturating_sub(charged_at),
        }
    }

    /// The poll is about to end, but not the work: the next ones are charged by the thread's clock
    /// from their beginning.
    pub(crate) fn gives_way(&self) {
        self.watched.store(WATCHED, Relaxed);
    }

    /// The poll ends.
    pub(crate) fn poll_ends(&self, lasted: u64) {
        let charged_at = self.charged_at.load(Relaxed);
        if charged_at == NONE {
            self.charge(lasted.min(BY_THE_CLOCK));
        } else {
            self.charged_at.store(NONE, Relaxed);
            self.charge(thread_time().saturating_sub(charged_at));
        }
    }

    /// Adds without a locked instruction: only the connection's own task writes.
    fn charge(&self, nanos: u64) {
        self.used.store(self.used.load(Relaxed).saturating_add(nanos), Relaxed);
    }
}

/// The CPU time of this thread, in nanoseconds.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    #[test]
    fn a_short_poll_is_charged_by_the_clock() {
        let cpu = CpuTime::new();
        for _ in 0..3 {
            cpu.poll_begins();
            cpu.poll_ends(5_000);
        }
        assert_eq!(cpu.used(), 15_000);
    }

    #[test]
    fn one_that_computes_a_little_is_charged_by_the_clock_too() {
        let cpu = CpuTime::new();
        cpu.poll_begins();
        cpu.computes(LONG - 1);
        cpu.poll_ends(LONG);
        assert_eq!(cpu.used(), LONG);
    }

    #[test]
    fn a_poll_in_which_the_kernel_ran_others_is_charged_two_ticks() {
        let cpu = CpuTime::new();
        cpu.poll_begins();
        cpu.poll_ends(HOUR);
        assert_eq!(cpu.used(), BY_THE_CLOCK);
    }

    #[test]
    fn one_that_computes_is_charged_by_the_clock_of_its_thread() {
        let cpu = CpuTime::new();
        cpu.poll_begins();
        let before = thread_time();
        cpu.computes(HOUR);
        cpu.computes(2 * HOUR);
        while thread_time() - before < 2_000_000 {}
        cpu.poll_ends(3 * HOUR);
        let most = BY_THE_CLOCK + (thread_time() - before);
        assert!((BY_THE_CLOCK + 1_000_000..=most).contains(&cpu.used()), "{} {most}", cpu.used());
    }

    #[test]
    fn what_a_poll_has_used_at_least_is_known_where_the_clock_of_its_thread_was_read() {
        let cpu = CpuTime::new();
        cpu.poll_begins();
        assert_eq!(cpu.at_least(), 0);
        cpu.gives_way();
        cpu.poll_ends(HOUR);
        cpu.poll_begins();
        let before = thread_time();
        while thread_time() - before < 2_000_000 {}
        assert!(cpu.at_least() >= 2_000_000);
        cpu.poll_ends(HOUR);
    }

    #[test]
    fn one_that_gave_way_is_charged_by_the_clock_of_its_thread_from_the_beginning() {
        let cpu = CpuTime::new();
        cpu.gives_way();
        let before = thread_time();
        cpu.poll_begins();
        cpu.computes(HOUR);
        cpu.poll_ends(HOUR);
        let most = thread_time() - before;
        assert!(cpu.used() <= most, "{} {most}", cpu.used());
        // Also when it has waited in between, for a while.
        for _ in 1..WATCHED {
            cpu.poll_begins();
            let before = thread_time();
            while thread_time() == before {}
            assert!(cpu.at_least() > 0);
            cpu.poll_ends(HOUR);
        }
        assert!(cpu.used() <= thread_time() - before);
        let used = cpu.used();
        cpu.poll_begins();
        assert_eq!(cpu.at_least(), 0);
        cpu.poll_ends(7);
        assert_eq!(cpu.used(), used + 7);
    }
}
