//! The datagrams of all the flows of one socket that are on their way out. Flows put them in and
//! wait for room of their own; whoever has the socket sends them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::feed::Shared;
use super::flow::Ends;

/// Datagrams on their way out. Each flow bounds its own, so the queue is bounded with the number
/// of flows, and none of them can keep others from sending.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
    /// Datagrams that were not sent because the peer has not sent enough itself.
    unsent: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    datagrams: VecDeque<Outgoing>,
    closed: bool,
}

/// A datagram on its way out. Its room in the flow comes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Outgoing {
    bytes: Box<[u8]>,
    flow: Arc<Shared>,
}

/// There is no socket any more.
#[derive(Debug)]
pub(super) struct Closed;

impl Outgoing {
    pub(super) fn new(bytes: &[u8], flow: &Arc<Shared>) -> Self {
        flow.fills(bytes.len());
        Self { bytes: bytes.into(), flow: Arc::clone(flow) }
    }

    /// The payload.
    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// To whom it goes, and from which address.
    pub(crate) fn ends(&self) -> &Ends {
        self.flow.ends()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.flow.empties(self.bytes.len());
    }
}

impl Outbox {
    pub(super) fn push(&self, datagram: Outgoing) -> Result<(), Closed> {
        let mut queue = self.lock();
        if queue.closed {
            // Dropping it locks nothing of this queue.
            return Err(Closed);
        }
        queue.datagrams.push_back(datagram);
        let first = queue.datagrams.len() == 1;
        drop(queue);
        // Who found it empty listens; who left something in it comes back by itself.
        if first {
            self.filled.notify_one();
        }
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Notes a datagram that is not sent for want of bytes from the peer.
    pub(super) fn keeps_back(&self) {
        if self.unsent.fetch_add(1, Relaxed) == 0 {
            self.filled.notify_one();
        }
    }

    /// Takes up to `most` datagrams from the front that leave from the same address.
    pub(crate) fn take(&self, most: usize) -> Vec<Outgoing> {
        let mut queue = self.lock();
        let Some(first) = queue.datagrams.front() else { return Vec::new() };
        let source = first.ends().source;
        let same = |datagram: &&Outgoing| datagram.ends().source == source;
        let alike = queue.datagrams.iter().take(most).take_while(same).count();
        queue.datagrams.drain(..alike).collect()
    }

    /// Puts back what was taken and not sent.
    pub(crate) fn put_back(&self, datagrams: impl DoubleEndedIterator<Item = Outgoing>) {
        let mut queue = self.lock();
        for datagram in datagrams.rev() {
            queue.datagrams.push_front(datagram);
        }
    }

    /// Waits until there may be something new to send or to count. Safe to cancel.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// How many datagrams were kept back since this was last asked.
    pub(crate) fn take_unsent(&self) -> u64 {
        self.unsent.swap(0, Relaxed)
    }

    /// Drops what is on its way and takes no more.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let dropped = std::mem::take(&mut queue.datagrams);
        drop(queue);
        // Who waits for something else than room wants to know, too.
        for datagram in dropped {
            datagram.flow.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
