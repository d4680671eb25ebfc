//! The end of a flow for whoever reads the socket, and what both ends share: the queue of what came
//! in, and the count of what is on its way out.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use atomic_waker::AtomicWaker;
use tokio::time::Instant;

use super::flow::Ends;
use crate::account::Account;

/// Datagrams of one flow that may be on their way out. Without it a guest that writes faster than
/// the network takes would fill the memory.
pub(super) const OUTGOING: usize = 64;

/// Bytes of one flow that may wait, in each direction; the datagram that exceeds it still may.
/// Without it those few datagrams could be a hundred times larger than they mostly are.
pub(super) const WAITING: usize = 256 << 10;

/// The end of a flow for whoever reads the socket. Dropping it means that nothing more will come.
#[derive(Debug)]
pub(crate) struct Feed(Arc<Shared>);

/// A datagram that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// The payload, or what was taken of it.
    pub(crate) bytes: Box<[u8]>,
    /// How long it was.
    pub(crate) size: usize,
}

/// Why a datagram was not delivered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undelivered<D> {
    /// Too many wait already.
    Full,
    /// The guest's end is gone. What would have been delivered is given back.
    Over(D),
}

/// A flow that is over: its guest's end is gone.
#[derive(Debug)]
pub(crate) struct Ended {
    shared: Arc<Shared>,
    /// What had come in for it and was not read, without the datagram that began it: that one had
    /// its chance, and a handler that reads nothing must not be started for it for ever.
    pub(crate) rest: VecDeque<Datagram>,
}

/// What becomes of empty datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empty {
    /// They are read as the others.
    Read,
    /// They are passed over.
    Skip,
}

/// There is no datagram to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nothing {
    /// One may come.
    Now,
    /// None will come.
    Ever,
}

/// What the two ends of a flow share.
#[derive(Debug)]
pub(super) struct Shared {
    ends: Ends,
    inbox: Mutex<Inbox>,
    /// Datagrams that may wait in the inbox.
    most: usize,
    /// Bytes that came in, an empty datagram counted as one.
    received: AtomicU64,
    /// What is on its way out, as [`OnItsWay`] has it.
    outgoing: AtomicU64,
    /// The guest's task, for what comes in and for room.
    waker: AtomicWaker,
    account: OnceLock<Arc<Account>>,
}

/// Datagrams on their way out and their bytes, in one number, so that nobody ever sees the one
/// without the other: the upper half counts, the lower half has the bytes.
#[derive(Clone, Copy, Debug)]
struct OnItsWay(u64);

#[derive(Debug, Default)]
struct Inbox {
    queue: VecDeque<Datagram>,
    bytes: usize,
    /// The datagram that began the flow was read.
    begun: bool,
    /// Nothing more will come.
    fed: bool,
    /// Nobody will read.
    over: bool,
}

impl Feed {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::clone(shared))
    }

    /// Puts a datagram of `size` bytes, which is made if there is room for it, into the queue.
    pub(crate) fn deliver<D: FnOnce() -> Datagram>(
        &self,
        size: usize,
        datagram: D,
    ) -> Result<(), Undelivered<D>> {
        let mut inbox = self.0.inbox();
        if inbox.over {
            return Err(Undelivered::Over(datagram));
        }
        self.0.received.fetch_add(weight(size), SeqCst);
        if inbox.queue.len() >= self.0.most || inbox.bytes >= WAITING {
            return Err(Undelivered::Full);
        }
        let datagram = datagram();
        inbox.bytes += datagram.bytes.len();
        inbox.queue.push_back(datagram);
        drop(inbox);
        self.0.waker.wake();
        Ok(())
    }

    /// Since when nothing has moved in either direction; `None` before the connection is there.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        self.0.account.get().map(|account| account.moved_at())
    }

    /// Asks for its end, to make room for another.
    pub(crate) fn evict(&self) {
        if let Some(account) = self.0.account.get() {
            account.evict();
        }
    }

    /// Whether it is this one that has ended.
    pub(crate) fn is(&self, ended: &Ended) -> bool {
        Arc::ptr_eq(&self.0, &ended.shared)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.inbox().fed = true;
        self.0.waker.wake();
    }
}

impl Ended {
    /// The ends of the flow.
    pub(crate) fn ends(&self) -> &Ends {
        &self.shared.ends
    }
}

impl Shared {
    /// What the ends of a flow that `first` begins share.
    pub(super) fn new(ends: Ends, first: Datagram, most: NonZeroU32) -> Arc<Self> {
        Arc::new(Self {
            ends,
            received: AtomicU64::new(weight(first.size)),
            inbox: Mutex::new(Inbox {
                bytes: first.bytes.len(),
                queue: VecDeque::from([first]),
                ..Inbox::default()
            }),
            most: most.get() as usize,
            outgoing: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            account: OnceLock::new(),
        })
    }

    pub(super) const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Whose flow it is.
    pub(super) fn belongs_to(&self, account: &Arc<Account>) {
        // It has one connection only.
        let _ = self.account.set(Arc::clone(account));
    }

    /// Registers who is woken by what comes in and by room.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// The next datagram.
    pub(super) fn take(&self, empty: Empty) -> Result<Datagram, Nothing> {
        let mut inbox = self.inbox();
        inbox.pass_over(empty);
        inbox.take().ok_or(if inbox.fed { Nothing::Ever } else { Nothing::Now })
    }

    /// Whether [`Shared::take`] gives anything else than nothing for now.
    pub(super) fn is_readable(&self, empty: Empty) -> bool {
        let mut inbox = self.inbox();
        inbox.pass_over(empty);
        inbox.fed || !inbox.queue.is_empty()
    }

    /// Whether there is nothing to read, and never will be.
    pub(super) fn is_over(&self) -> bool {
        let inbox = self.inbox();
        inbox.fed && inbox.queue.is_empty()
    }

    /// Bytes that came in, an empty datagram counted as one.
    pub(super) fn received(&self) -> u64 {
        self.received.load(SeqCst)
    }

    /// A datagram is on its way out.
    pub(super) fn fills(&self, bytes: usize) {
        self.outgoing.fetch_add(OnItsWay::one(bytes).0, SeqCst);
    }

    /// A datagram has left, or is lost. Only a guest that had no room is woken by that: one that
    /// waits for its peer would look around after each of its own answers.
    pub(super) fn empties(&self, bytes: usize) {
        let one = OnItsWay::one(bytes);
        let before = OnItsWay(self.outgoing.fetch_sub(one.0, SeqCst));
        if !before.leaves_room() && before.without(one).leaves_room() {
            self.waker.wake();
        }
    }

    /// Whether one more may go out.
    pub(super) fn has_room(&self) -> bool {
        OnItsWay(self.outgoing.load(SeqCst)).leaves_room()
    }

    /// Wakes the guest, whatever it waits for.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Nobody will read any more.
    pub(super) fn end(self: &Arc<Self>) -> Ended {
        let mut inbox = self.inbox();
        inbox.over = true;
        if !inbox.begun {
            inbox.take();
        }
        let rest = std::mem::take(&mut inbox.queue);
        drop(inbox);
        Ended { shared: Arc::clone(self), rest }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnItsWay {
    /// A datagram of so many bytes. With [`WAITING`] and one datagram more, the lower half is far
    /// from full.
    const fn one(bytes: usize) -> Self {
        Self((1 << 32) | bytes as u64)
    }

    const fn without(self, one: Self) -> Self {
        Self(self.0 - one.0)
    }

    const fn leaves_room(self) -> bool {
        (self.0 >> 32) < OUTGOING as u64 && (self.0 & 0xFFFF_FFFF) < WAITING as u64
    }
}

impl Inbox {
    fn take(&mut self) -> Option<Datagram> {
        let datagram = self.queue.pop_front()?;
        self.bytes -= datagram.bytes.len();
        self.begun = true;
        Some(datagram)
    }

    fn pass_over(&mut self, empty: Empty) {
        let is_empty = |datagram: &Datagram| datagram.bytes.is_empty();
        while empty == Empty::Skip && self.queue.front().is_some_and(is_empty) {
            self.take();
        }
    }
}

/// What a datagram counts in the bound of replies. Empty ones would be free otherwise.
pub(super) fn weight(size: usize) -> u64 {
    size.max(1) as u64
}
