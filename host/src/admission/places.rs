//! A number of places.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::Notify;

/// A number of places, which can change while they are taken.
#[derive(Debug)]
pub(crate) struct Places {
    most: AtomicUsize,
    taken: AtomicUsize,
    freed: Notify,
}

/// One of them; given back when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Places {
    /// So many.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let (most, taken) = (AtomicUsize::new(most), AtomicUsize::new(0));
        Arc::new(Self { most, taken, freed: Notify::new() })
    }

    /// One of them, unless all are taken.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Place> {
        let most = self.most.load(SeqCst);
        let take = |taken: usize| (taken < most).then_some(taken + 1);
        self.taken.fetch_update(SeqCst, SeqCst, take).ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// Waits for a place, after those who wait already. Safe to cancel.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            let mut freed = pin!(self.freed.notified());
            // Listen before looking, or a place could become free in between. A wait that is given
            // up passes on what it has heard.
            freed.as_mut().enable();
            if let Some(place) = self.try_take() {
                return place;
            }
            freed.await;
        }
    }

    /// Those over a smaller number stay.
    pub(crate) fn resize(&self, most: usize) {
        self.most.store(most, SeqCst);
        self.freed.notify_waiters();
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(SeqCst)
    }

    /// How many there are.
    pub(crate) fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    pub(super) fn free(&self) -> usize {
        self.most().saturating_sub(self.taken())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        self.0.freed.notify_one();
    }
}
