//! Handshakes that are under way, of all listeners, and who makes room when there are too many.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::places::{Place, Places};

/// The handshakes of a server.
#[derive(Debug)]
pub(super) struct Handshakes {
    places: Arc<Places>,
    /// Those whose client has not said enough to be worth waiting for, the oldest first.
    silent: Mutex<BTreeMap<u64, Arc<Seat>>>,
    begun: AtomicU64,
}

/// A handshake that is under way; its place is given back when this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    all: Arc<Handshakes>,
    number: u64,
    seat: Arc<Seat>,
}

/// Where a handshake has its place, and others find it.
#[derive(Debug)]
struct Seat {
    place: Mutex<Option<Place>>,
    lost: Notify,
}

impl Handshakes {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let (places, silent) = (Places::new(most), Mutex::default());
        Arc::new(Self { places, silent, begun: AtomicU64::new(0) })
    }

    /// How many are under way.
    pub(super) fn taken(&self) -> usize {
        self.places.taken()
    }

    /// A place for one more: a free one, or that of the oldest handshake whose client is silent,
    /// which ends.
    pub(super) fn try_take(&self) -> Option<Place> {
        self.places.try_take().or_else(|| self.evict())
    }

    /// Waits for a place. Safe to cancel.
    pub(super) async fn take(&self) -> Place {
        match self.try_take() {
            Some(place) => place,
            None => self.places.take().await,
        }
    }

    /// Begins a handshake.
    pub(super) fn begin(self: &Arc<Self>, place: Place) -> UnderWay {
        let number = self.begun.fetch_add(1, Relaxed);
        let seat = Arc::new(Seat { place: Mutex::new(Some(place)), lost: Notify::new() });
        self.silent().insert(number, Arc::clone(&seat));
        UnderWay { all: Arc::clone(self), number, seat }
    }

    fn evict(&self) -> Option<Place> {
        let (_, seat) = self.silent().pop_first()?;
        let place = seat.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        seat.lost.notify_one();
        place
    }

    fn silent(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Seat>>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// From now on it keeps its place: its client has sent its whole first message.
    pub(super) fn heard(&self) {
        self.all.silent().remove(&self.number);
    }

    /// From now on it makes room when it has to, as at its beginning.
    pub(super) fn failed(&self) {
        self.all.silent().insert(self.number, Arc::clone(&self.seat));
    }

    /// Waits until its place has gone to another. Safe to cancel.
    pub(super) async fn lost(&self) {
        self.seat.lost.notified().await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.heard();
    }
}
