//! Receipts that wait to be written. Handing one in never waits.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Receipt;

/// How long receipts gather after some were written. The first one after a while is written at once;
/// where they come fast, the thread is not woken for each of them.
const GATHER: Duration = Duration::from_millis(5);

/// So many do not gather any longer: when all connections are cut at once, there must be room for
/// their receipts.
const MANY: usize = 1024;

/// What those who hand in receipts share with the thread that writes them.
#[derive(Debug, Default)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// For the thread, which waits for it alone.
    has_work: Condvar,
    pub(super) lost: AtomicU64,
    /// It was said that receipts are lost, and not yet that this is over.
    pub(super) is_losing: AtomicBool,
    /// Clients without a connection get receipts, too.
    pub(super) for_all: AtomicBool,
}

/// What the thread is to do.
#[derive(Debug, Default)]
struct Queue {
    receipts: Vec<Receipt>,
    /// Those that the thread has taken and not written yet.
    taken: usize,
    asked: Asked,
    /// The thread waits for receipts, and has to be woken.
    waits: bool,
}

/// What does not wait until receipts have gathered.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Open the file again.
    pub(super) reopen: bool,
    /// Say so when all that was handed in is written.
    pub(super) say: Vec<SyncSender<()>>,
    /// Nothing more will come.
    pub(super) end: bool,
}

impl Shared {
    /// Whether there was room for it, where so many may wait.
    pub(super) fn hand_in(&self, receipt: Receipt, room: usize) -> bool {
        let mut queue = self.queue();
        if queue.waiting() >= room {
            return false;
        }
        queue.receipts.push(receipt);
        let is_waited_for = mem::take(&mut queue.waits) || queue.receipts.len() == MANY;
        drop(queue);
        if is_waited_for {
            self.has_work.notify_one();
        }
        true
    }

    pub(super) fn ask(&self, ask: impl FnOnce(&mut Asked)) {
        ask(&mut self.queue().asked);
        self.has_work.notify_one();
    }

    /// So many are lost, for this reason.
    pub(super) fn lose(&self, count: usize, why: &dyn std::fmt::Display) {
        self.lost.fetch_add(count as u64, Relaxed);
        if !self.is_losing.swap(true, Relaxed) {
            tracing::error!("receipts are lost: {why}");
        }
    }

    /// Waits for something to do, but not longer than that, and takes it.
    pub(super) fn take(&self, receipts: &mut Vec<Receipt>, longest: Duration) -> Asked {
        let mut queue = self.queue();
        if queue.receipts.is_empty() {
            queue.waits = true;
            queue = self.wait(queue, longest, |queue| queue.waits && !queue.asked.is_any());
            queue.waits = false;
        }
        mem::swap(receipts, &mut queue.receipts);
        queue.taken = receipts.len();
        mem::take(&mut queue.asked)
    }

    /// Waits until more receipts have come, or something is asked for.
    pub(super) fn gather(&self) {
        let gathers = |queue: &mut Queue| !queue.asked.is_any() && queue.receipts.len() < MANY;
        drop(self.wait(self.queue(), GATHER, gathers));
    }

    /// So many of those that were taken are written, or lost.
    pub(super) fn has_done(&self, count: usize) {
        let mut queue = self.queue();
        queue.taken = queue.taken.saturating_sub(count);
    }

    /// Receipts that are not written yet.
    pub(super) fn waiting(&self) -> usize {
        self.queue().waiting()
    }

    /// Waits while `idle` says so, but not longer than that.
    fn wait<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        longest: Duration,
        idle: impl FnMut(&mut Queue) -> bool,
    ) -> MutexGuard<'a, Queue> {
        let waited = self.has_work.wait_timeout_while(queue, longest, idle);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Receipts that are not written yet.
    const fn waiting(&self) -> usize {
        self.receipts.len() + self.taken
    }
}

impl Asked {
    const fn is_any(&self) -> bool {
        self.reopen || !self.say.is_empty() || self.end
    }
}
