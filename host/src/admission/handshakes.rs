//! Handshakes that are under way, of all listeners, and who makes room when there are too many.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::places::{Place, Places};

/// How long a client that was answered is waited for whatever happens. It needs a round trip or two;
/// without this a burst of clients would end handshakes that are almost done.
const ANSWERED: Duration = Duration::from_secs(1);

/// The handshakes of a server.
#[derive(Debug)]
pub(super) struct Handshakes {
    places: Arc<Places>,
    waiting: Mutex<Waiting>,
    /// One more waits for its client.
    begins: Notify,
    begun: AtomicU64,
}

/// Handshakes that wait for their clients, by age.
#[derive(Debug, Default)]
struct Waiting {
    /// Their clients have not said enough to be worth anything.
    silent: BTreeMap<u64, Arc<Seat>>,
    /// They were answered, and can stall as well.
    answered: BTreeMap<u64, Arc<Seat>>,
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
    began: Instant,
    place: Mutex<Option<Place>>,
    lost: Notify,
}

impl Handshakes {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let (places, waiting, begins) = (Places::new(most), Mutex::default(), Notify::new());
        Arc::new(Self { places, waiting, begins, begun: AtomicU64::new(0) })
    }

    /// How many are under way.
    pub(super) fn taken(&self) -> usize {
        self.places.taken()
    }

    /// How many more there can be while nobody makes room.
    pub(super) fn free(&self) -> usize {
        self.places.free()
    }

    /// A place for one more: a free one, or that of the oldest handshake whose client is silent,
    /// which ends; where none is, that of the oldest whose client was answered and is late.
    pub(super) fn try_take(&self) -> Option<Place> {
        self.places.try_take().or_else(|| self.evict())
    }

    /// Waits for a place. Safe to cancel.
    pub(super) async fn take(&self) -> Place {
        loop {
            let mut begins = pin!(self.begins.notified());
            // Listen before looking: one could begin in between.
            begins.as_mut().enable();
            if let Some(place) = self.try_take() {
                return place;
            }
            let late_at = self.waiting().late_at();
            let one_is_late = async {
                match late_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                place = self.places.take() => return place,
                () = begins => {}
                () = one_is_late => {}
            }
        }
    }

    /// Begins a handshake.
    pub(super) fn begin(self: &Arc<Self>, place: Place) -> UnderWay {
        let number = self.begun.fetch_add(1, Relaxed);
        let (began, place, lost) = (Instant::now(), Mutex::new(Some(place)), Notify::new());
        let seat = Arc::new(Seat { began, place, lost });
        let this = UnderWay { all: Arc::clone(self), number, seat };
        this.wait(|waiting| &mut waiting.silent);
        this
    }

    fn evict(&self) -> Option<Place> {
        let mut waiting = self.waiting();
        loop {
            let seat = waiting.take_oldest()?;
            // One that lost its place as it failed is there once more.
            if let Some(place) = seat.place().take() {
                seat.lost.notify_one();
                return Some(place);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take_oldest(&mut self) -> Option<Arc<Seat>> {
        if let Some((_, seat)) = self.silent.pop_first() {
            return Some(seat);
        }
        let is_late = self.late_at().is_some_and(|at| at <= Instant::now());
        if is_late { self.answered.pop_first().map(|(_, seat)| seat) } else { None }
    }

    /// When the oldest of those who were answered is late.
    fn late_at(&self) -> Option<Instant> {
        self.answered.first_key_value().map(|(_, seat)| seat.began + ANSWERED)
    }

    fn remove(&mut self, number: u64) {
        self.silent.remove(&number);
        self.answered.remove(&number);
    }
}

impl Seat {
    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// Its client has sent its whole first message, and is answered now: silent ones make room before
    /// it does, and it does not for a second.
    pub(super) fn heard(&self) {
        self.wait(|waiting| &mut waiting.answered);
    }

    /// It waits for its client no more, and keeps its place from now on; `false` if that has gone
    /// to another already.
    pub(super) fn done(&self) -> bool {
        self.all.waiting().remove(self.number);
        self.seat.place().is_some()
    }

    /// From now on it makes room when it has to, as at its beginning.
    pub(super) fn failed(&self) {
        self.wait(|waiting| &mut waiting.silent);
    }

    /// Waits until its place has gone to another. Safe to cancel.
    pub(super) async fn lost(&self) {
        self.seat.lost.notified().await;
    }

    fn wait(&self, among: impl FnOnce(&mut Waiting) -> &mut BTreeMap<u64, Arc<Seat>>) {
        let mut waiting = self.all.waiting();
        waiting.remove(self.number);
        among(&mut waiting).insert(self.number, Arc::clone(&self.seat));
        drop(waiting);
        self.all.begins.notify_waiters();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.waiting().remove(self.number);
    }
}
