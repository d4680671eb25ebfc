//! The decision to let a connection in: who may, how many at once, and what a place is.
//!
//! Two permits. A listener whose connections begin with a handshake takes a handshake permit
//! before it accepts, so that stalled handshakes cannot use up the places of connections; the
//! connection permit comes after the handshake. Where a connection is one from its first byte, the
//! connection permit is taken before it is accepted, and the rest waits in the kernel's backlog.

mod handshakes;
mod places;
mod turn;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use self::handshakes::{Handshakes, UnderWay};
pub use self::places::Place;
pub(crate) use self::places::Places;
use self::turn::{Turn, Turns};

/// The bounds of a server, over all of its listeners.
#[derive(Debug)]
pub struct Admission {
    connections: Arc<Places>,
    handshakes: Arc<Handshakes>,
    flows: Arc<Places>,
    pools: Mutex<BTreeMap<String, Arc<Places>>>,
    departures: Notify,
}

/// The bounds of one listener, within those of the server.
#[derive(Clone, Debug)]
pub struct Gate {
    server: Arc<Admission>,
    listener: Arc<Places>,
    pool: Option<Arc<Places>>,
    queue: Arc<Places>,
    turns: Turns,
    opening: Opening,
}

/// What bounds the connections of a listener, beside the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// So many at once.
    pub most: Option<NonZeroU32>,
    /// As many as this pool has places, which other listeners share.
    pub pool: Option<String>,
    /// Clients that may wait for a place after they were accepted.
    pub queue: Option<NonZeroU32>,
}

/// How the connections of a listener begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// With the client's first byte.
    Plaintext,
    /// With a handshake, which may fail or stall.
    Handshake,
    /// With a datagram, whose sender may be forged: flows have places of their own, so that they
    /// cannot take those of connections.
    Datagram,
}

/// The right to accept one client; given back when it is dropped.
#[derive(Debug)]
pub struct Entry(Right);

#[derive(Debug)]
enum Right {
    /// It is a connection at once.
    Connection(Permit),
    /// It may try to become one.
    Handshake(Gate, Place),
    /// It may wait for a place so long, and takes one when its turn comes.
    Queued(Gate, Place, Turn, Duration),
}

/// The right to become a connection by a handshake, which has begun; given back when it is dropped.
#[derive(Debug)]
pub struct Handshake {
    gate: Gate,
    under_way: UnderWay,
}

/// A connection's place; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _listener: Place,
    _pool: Option<Place>,
    _server: Place,
    _departure: Departure,
}

/// Tells who waits for descriptors that a connection has gone.
#[derive(Debug)]
struct Departure(Arc<Admission>);

/// There was no place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Admission {
    /// At most this many connections, and beside them this many handshakes and flows, at once.
    pub fn new(connections: u32, handshakes: NonZeroU32, flows: u32) -> Arc<Self> {
        Arc::new(Self {
            connections: Places::new(connections as usize),
            handshakes: Handshakes::new(handshakes.get() as usize),
            flows: Places::new(flows as usize),
            pools: Mutex::default(),
            departures: Notify::new(),
        })
    }

    /// Changes how many connections there may be. Those over a smaller number stay.
    pub fn resize(&self, connections: u32) {
        self.connections.resize(connections as usize);
    }

    /// Makes the pools that listeners can share, or changes their sizes; others are forgotten.
    pub fn set_pools<'a>(&self, sizes: impl IntoIterator<Item = (&'a str, NonZeroU32)>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *pools);
        for (name, size) in sizes {
            let size = size.get() as usize;
            let places = before.remove(name).unwrap_or_else(|| Places::new(size));
            places.resize(size);
            pools.insert(name.to_owned(), places);
        }
    }

    /// The gate of one listener.
    pub fn gate(self: &Arc<Self>, bounds: &Bounds, opening: Opening) -> Gate {
        let server = Arc::clone(self);
        let (listener, queue) = (Places::new(0), Places::new(0));
        let turns = Turns::default();
        let mut gate = Gate { server, listener, pool: None, queue, turns, opening };
        gate.set(bounds);
        gate
    }

    /// Places that are free.
    pub fn free(&self) -> usize {
        self.connections.free()
    }

    /// How many connections there are, over all listeners.
    pub fn taken(&self) -> usize {
        self.connections.taken()
    }

    /// How many flows there are, over all listeners.
    pub fn flows(&self) -> usize {
        self.flows.taken()
    }

    /// How many handshakes are under way, over all listeners.
    pub fn handshakes(&self) -> usize {
        self.handshakes.taken()
    }

    /// How many places of this pool are taken; 0 if there is none.
    pub fn taken_of_pool(&self, name: &str) -> usize {
        self.pool(name).map_or(0, |pool| pool.taken())
    }

    fn pool(&self, name: &str) -> Option<Arc<Places>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }
}

impl Gate {
    /// Changes the listener's own bounds. Connections over a smaller one stay, and nobody comes in
    /// until they are fewer. Clones that exist keep the pool that they have.
    pub fn set(&mut self, bounds: &Bounds) {
        self.listener.resize(number(bounds.most));
        self.queue.resize(bounds.queue.map_or(0, |most| most.get() as usize));
        self.pool = bounds.pool.as_deref().and_then(|name| self.server.pool(name));
    }

    /// Waits until one client may be accepted. Safe to cancel.
    pub async fn enter(&self) -> Entry {
        Entry(match self.opening {
            Opening::Plaintext | Opening::Datagram => Right::Connection(self.permit().await),
            Opening::Handshake => {
                let place = self.server.handshakes.take().await;
                Right::Handshake(self.clone(), place)
            }
        })
    }

    /// The same without waiting; `None` when there is no place, or others wait for one.
    pub fn try_enter(&self) -> Option<Entry> {
        Some(Entry(match self.opening {
            Opening::Plaintext | Opening::Datagram => Right::Connection(self.try_permit()?),
            Opening::Handshake => {
                Right::Handshake(self.clone(), self.server.handshakes.try_take()?)
            }
        }))
    }

    /// The right to be accepted and to wait for a place for up to `wait`, behind those who have
    /// asked before; `None` when the queue is full, or is behind a handshake.
    pub fn try_queue(&self, wait: Duration) -> Option<Entry> {
        if self.opening == Opening::Handshake {
            return None;
        }
        let queued = self.queue.try_take()?;
        Some(Entry(Right::Queued(self.clone(), queued, self.turns.ask(), wait)))
    }

    /// How many connections of this listener there are; flows, of a gate for those.
    pub fn taken(&self) -> usize {
        self.listener.taken()
    }

    /// Why there is no place for a newcomer now, with the key that says so.
    pub fn no_place(&self) -> &'static str {
        if self.opening == Opening::Handshake && self.server.handshakes.free() == 0 {
            return "it is full (server.max_handshakes)";
        }
        self.no_connection()
    }

    /// Why there is no place for a connection now. What has become free since is not blamed.
    fn no_connection(&self) -> &'static str {
        if self.queue.most() > 0 && self.queue.free() == 0 {
            "the queue is full (when_full)"
        } else if self.listener.free() == 0 {
            "it is full (max_connections or spawn of the listener)"
        } else if self.pool.as_ref().is_some_and(|pool| pool.free() == 0) {
            "it is full (size of the pool)"
        } else if self.of_server().free() > 0 {
            "it is full"
        } else if self.opening == Opening::Datagram {
            "it is full (server.max_flows)"
        } else {
            "it is full (server.max_connections)"
        }
    }

    /// How connections begin.
    pub const fn opening(&self) -> Opening {
        self.opening
    }

    /// From now on they begin so; clones that exist stay as they are.
    pub const fn opens_with(&mut self, opening: Opening) {
        self.opening = opening;
    }

    /// Hears of the next connection that ends, of whichever listener.
    pub fn departure(&self) -> Notified<'_> {
        self.server.departures.notified()
    }

    fn try_permit(&self) -> Option<Permit> {
        // Those in the queue came first.
        if self.queue.taken() > 0 {
            return None;
        }
        let listener = self.listener.try_take()?;
        let pool = match self.pool.as_ref().map(Places::try_take) {
            Some(None) => return None,
            taken => taken.flatten(),
        };
        Some(self.whole(listener, pool, self.of_server().try_take()?))
    }

    async fn permit(&self) -> Permit {
        // The listener's first: a full listener must not sit on a place that others lack.
        let listener = self.listener.take().await;
        let pool = match &self.pool {
            Some(pool) => Some(pool.take().await),
            None => None,
        };
        let server = self.of_server().take().await;
        self.whole(listener, pool, server)
    }

    fn whole(&self, listener: Place, pool: Option<Place>, server: Place) -> Permit {
        let departure = Departure(Arc::clone(&self.server));
        Permit { _listener: listener, _pool: pool, _server: server, _departure: departure }
    }

    fn of_server(&self) -> &Arc<Places> {
        match self.opening {
            Opening::Plaintext | Opening::Handshake => &self.server.connections,
            Opening::Datagram => &self.server.flows,
        }
    }
}

impl Entry {
    /// Begins the handshake; the entry itself where there is none.
    pub fn handshake(self) -> Result<Handshake, Self> {
        match self.0 {
            Right::Handshake(gate, place) => {
                let under_way = gate.server.handshakes.begin(place);
                Ok(Handshake { gate, under_way })
            }
            right => Err(Self(right)),
        }
    }

    /// The place of a connection whose handshake, if it had one, is done. Waits for one with the
    /// handshake permit in hand, which the caller bounds; or in the queue, for as long as that
    /// allows.
    pub async fn connection(self) -> Result<Permit, Full> {
        Ok(match self.0 {
            Right::Connection(permit) => permit,
            Right::Handshake(gate, handshake) => {
                let permit = gate.permit().await;
                drop(handshake);
                permit
            }
            Right::Queued(gate, queued, turn, wait) => {
                let permit = async {
                    let _turn = turn.comes().await;
                    gate.permit().await
                };
                let permit = tokio::time::timeout(wait, permit).await;
                drop(queued);
                permit.map_err(|_| Full)?
            }
        })
    }
}

impl Handshake {
    /// Says that its client has sent its whole first message, and is answered now: silent ones make
    /// room before it does, and it does not for a second.
    pub fn heard(&self) {
        self.under_way.heard();
    }

    /// Says that it has succeeded, and keeps its place from now on; `false` if that has gone to
    /// another already.
    pub fn done(&self) -> bool {
        self.under_way.done()
    }

    /// Says that it has come to nothing: its place goes to whoever needs one.
    pub fn failed(&self) {
        self.under_way.failed();
    }

    /// Waits until its place has gone to another, which cannot be after [`Handshake::done`]. Safe
    /// to cancel.
    pub async fn lost(&self) {
        self.under_way.lost().await;
    }

    /// The place of the connection that it has led to; `None` if there is none, or others wait.
    pub fn try_connection(&self) -> Option<Permit> {
        self.gate.try_permit()
    }

    /// Why there was none, with the key that says so.
    pub fn no_place(&self) -> &'static str {
        self.gate.no_connection()
    }

    /// As [`Handshake::try_connection`], and waits for one with its own place in hand, which the caller bounds. Safe to
    /// cancel.
    pub async fn connection(&self) -> Permit {
        self.gate.permit().await
    }

    /// Gives its own place back and waits in the queue for up to `wait`; `Full` also when the queue
    /// is.
    pub async fn queued(self, wait: Duration) -> Result<Permit, Full> {
        let queued = self.gate.queue.try_take().ok_or(Full)?;
        let Self { gate, under_way } = self;
        drop(under_way);
        let turn = gate.turns.ask();
        Entry(Right::Queued(gate, queued, turn, wait)).connection().await
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.0.departures.notify_waiters();
    }
}

/// As many as there can be, where there is no bound.
fn number(bound: Option<NonZeroU32>) -> usize {
    bound.map_or(usize::MAX, |bound| bound.get() as usize)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn at_most(n: u32) -> Bounds {
        Bounds { most: Some(number(n)), ..Bounds::default() }
    }

    fn pool(name: &str) -> Bounds {
        Bounds { pool: Some(name.into()), ..Bounds::default() }
    }

    #[tokio::test]
    async fn the_server_bounds_all_listeners_together() {
        let admission = Admission::new(2, number(1), 1);
        let a = admission.gate(&Bounds::default(), Opening::Plaintext);
        let b = admission.gate(&at_most(1), Opening::Plaintext);
        let first = b.enter().await;
        assert!(b.try_enter().is_none(), "over the listener's bound");
        let second = a.enter().await;
        assert!(a.try_enter().is_none(), "over the server's bound");
        drop(first);
        assert!(b.try_enter().is_some());
        drop(second);
        assert_eq!(admission.free(), 2);
    }

    #[tokio::test]
    async fn a_bound_that_changes_counts_those_who_are_in() {
        let admission = Admission::new(10, number(1), 1);
        let mut gate = admission.gate(&at_most(2), Opening::Plaintext);
        let (first, second) = (gate.enter().await, gate.enter().await);
        gate.set(&at_most(1));
        drop(first);
        assert!(gate.try_enter().is_none(), "one is in, and there may be one");
        let waiting = gate.clone();
        let waits = tokio::spawn(async move { waiting.enter().await });
        tokio::task::yield_now().await;
        gate.set(&at_most(2));
        let third = waits.await.unwrap();
        drop((second, third));
        assert_eq!(admission.free(), 10);
        admission.resize(3);
        assert_eq!(admission.free(), 3);
    }

    #[tokio::test]
    async fn what_leaves_no_place_is_named() {
        let admission = Admission::new(1, number(1), 1);
        admission.set_pools([("small", number(1))]);
        let plain = |bounds: &Bounds| admission.gate(bounds, Opening::Plaintext);
        let _all = plain(&Bounds::default()).enter().await;
        assert_eq!(plain(&at_most(1)).no_place(), "it is full (server.max_connections)");
        let admission = Admission::new(10, number(1), 1);
        admission.set_pools([("small", number(1))]);
        let gates = [
            (Bounds::default(), Opening::Handshake, "it is full (server.max_handshakes)"),
            (Bounds::default(), Opening::Datagram, "it is full (server.max_flows)"),
            (pool("small"), Opening::Plaintext, "it is full (size of the pool)"),
            (
                Bounds { queue: Some(number(1)), ..at_most(1) },
                Opening::Plaintext,
                "it is full (max_connections or spawn of the listener)",
            ),
        ];
        for (bounds, opening, why) in gates {
            let gate = admission.gate(&bounds, opening);
            assert_eq!(gate.no_place(), "it is full", "nobody is there");
            let _place = gate.enter().await;
            assert_eq!(gate.no_place(), why);
            if let Some(_queued) = gate.try_queue(SECOND) {
                assert_eq!(gate.no_place(), "the queue is full (when_full)");
            }
        }
    }

    #[tokio::test]
    async fn listeners_share_the_places_of_a_pool() {
        let admission = Admission::new(10, number(1), 1);
        admission.set_pools([("small", number(1))]);
        let gates = [(); 2].map(|()| admission.gate(&pool("small"), Opening::Plaintext));
        let other = admission.gate(&Bounds::default(), Opening::Plaintext);
        let first = gates[0].enter().await;
        assert!(gates[1].try_enter().is_none() && other.try_enter().is_some());
        let waiting = gates[1].clone();
        let waits = tokio::spawn(async move { waiting.enter().await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        admission.set_pools([("small", number(2))]);
        drop((first, waits.await.unwrap()));
        let both = [gates[0].try_enter().unwrap(), gates[1].try_enter().unwrap()];
        assert!(gates[0].try_enter().is_none());
        drop(both);
        assert_eq!(admission.free(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_served_in_its_order_and_before_newcomers() {
        let admission = Admission::new(10, number(1), 1);
        let bounds = Bounds { queue: Some(number(2)), ..at_most(1) };
        let gate = admission.gate(&bounds, Opening::Plaintext);
        let place = gate.try_enter().unwrap();
        let queued = [(); 2].map(|()| gate.try_queue(60 * SECOND).unwrap());
        assert!(gate.try_queue(SECOND).is_none(), "the queue is full");
        let [first, second] = queued.map(|entry| tokio::spawn(entry.connection()));
        tokio::task::yield_now().await;
        drop(place);
        assert!(gate.try_enter().is_none(), "others came first");
        let first = first.await.unwrap().unwrap();
        assert!(!second.is_finished());
        drop(first);
        drop(second.await.unwrap().unwrap());
        assert!(gate.try_enter().is_some());
        assert_eq!(admission.free(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_order_of_a_queue_is_that_of_arrival_whoever_begins_to_wait_first() {
        let admission = Admission::new(10, number(1), 1);
        admission.set_pools([("small", number(1))]);
        for bounds in [at_most(1), pool("small")] {
            let bounds = Bounds { queue: Some(number(4)), ..bounds };
            let gate = admission.gate(&bounds, Opening::Plaintext);
            let mut place = gate.try_enter().unwrap().connection().await.unwrap();
            let queued = [(); 4].map(|()| gate.try_queue(60 * SECOND).unwrap());
            let mut waiting = Vec::new();
            for (number, entry) in queued.into_iter().enumerate().rev() {
                waiting.insert(0, (number, tokio::spawn(entry.connection())));
                tokio::task::yield_now().await;
            }
            // One gives up.
            waiting.remove(1).1.abort();
            while !waiting.is_empty() {
                drop(place);
                let (number, first) = waiting.remove(0);
                place = tokio::time::timeout(SECOND, first)
                    .await
                    .unwrap_or_else(|_| panic!("{bounds:?}: it is the turn of {number}"))
                    .unwrap()
                    .unwrap();
            }
            drop(place);
            assert!(gate.try_enter().is_some());
        }
        assert_eq!(admission.free(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_in_the_queue_has_an_end() {
        let admission = Admission::new(1, number(1), 1);
        let bounds = Bounds { queue: Some(number(1)), ..Bounds::default() };
        let gate = admission.gate(&bounds, Opening::Plaintext);
        let place = gate.try_enter().unwrap();
        let began = Instant::now();
        let queued = gate.try_queue(2 * SECOND).unwrap();
        assert_eq!(queued.connection().await.unwrap_err(), Full);
        assert_eq!(began.elapsed(), 2 * SECOND);
        assert!(gate.try_queue(SECOND).is_some(), "its place in the queue is free");
        drop(place);
        assert_eq!(admission.free(), 1);
    }

    #[tokio::test]
    async fn flows_do_not_use_up_connections() {
        let admission = Admission::new(1, number(1), 1);
        let flows = admission.gate(&Bounds::default(), Opening::Datagram);
        let flow = flows.try_enter().unwrap();
        assert!(flows.try_enter().is_none());
        assert_eq!((admission.free(), admission.flows()), (1, 1));
        drop(flow);
        assert_eq!(admission.flows(), 0);
    }

    #[tokio::test]
    async fn handshakes_do_not_use_up_connections() {
        let admission = Admission::new(1, number(2), 1);
        let gate = admission.gate(&Bounds::default(), Opening::Handshake);
        let (first, second) = (gate.enter().await, gate.enter().await);
        assert!(gate.try_enter().is_none(), "over the bound of handshakes");
        assert_eq!(admission.free(), 1);
        let place = first.connection().await.unwrap();
        assert!(gate.try_enter().is_some(), "a finished handshake gives its permit back");
        let waits = tokio::spawn(second.connection());
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(place);
        drop(waits.await.unwrap());
        assert_eq!(admission.free(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_silent_handshake_makes_room() {
        let admission = Admission::new(1, number(2), 1);
        let gate = admission.gate(&Bounds::default(), Opening::Handshake);
        let begin = || gate.try_enter().map(|entry| entry.handshake().unwrap());
        let (heard, silent) = (begin().unwrap(), begin().unwrap());
        heard.heard();
        let newcomer = begin().unwrap();
        silent.lost().await;
        assert!(!silent.done(), "its place has gone");
        newcomer.heard();
        assert!(begin().is_none(), "both clients have said something");
        heard.failed();
        let last = begin().unwrap();
        heard.lost().await;
        // It fails in the same moment as it loses its place, and is in nobody's way.
        heard.failed();
        drop(last);
        let last = begin().unwrap();
        drop((heard, silent));
        last.heard();
        assert!(begin().is_none(), "who has lost a place does not give it back");
        let waiting = gate.clone();
        let waits = tokio::spawn(async move { drop(waiting.enter().await) });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(last);
        waits.await.unwrap();
        drop(newcomer);
        assert!(begin().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_place_gets_that_of_one_who_begins_and_is_silent() {
        let admission = Admission::new(1, number(1), 1);
        let gate = admission.gate(&Bounds::default(), Opening::Handshake);
        let entry = gate.try_enter().unwrap();
        let waiting = gate.clone();
        let waits = tokio::spawn(async move { waiting.enter().await });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished(), "whose place that is has not begun");
        let silent = entry.handshake().unwrap();
        let began = Instant::now();
        let _place = tokio::time::timeout(SECOND, waits).await.unwrap().unwrap();
        silent.lost().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_was_answered_and_is_late_makes_room_unless_it_is_done() {
        let admission = Admission::new(1, number(2), 1);
        let gate = admission.gate(&Bounds::default(), Opening::Handshake);
        let begin = || gate.try_enter().map(|entry| entry.handshake().unwrap());
        let (done, late) = (begin().unwrap(), begin().unwrap());
        done.heard();
        late.heard();
        assert!(done.done());
        assert!(begin().is_none(), "nobody is late yet");
        let start = Instant::now();
        let _place = gate.enter().await;
        assert_eq!(start.elapsed(), SECOND);
        late.lost().await;
        assert!(!late.done());
        tokio::time::advance(60 * SECOND).await;
        assert!(done.done() && gate.try_enter().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_handshake_there_is_the_queue() {
        let admission = Admission::new(1, number(1), 1);
        let bounds = Bounds { queue: Some(number(1)), ..Bounds::default() };
        let gate = admission.gate(&bounds, Opening::Handshake);
        assert!(gate.try_queue(SECOND).is_none(), "not before it");
        let first = gate.try_enter().unwrap().handshake().unwrap();
        let place = first.try_connection().unwrap();
        assert!(first.try_connection().is_none());
        let waits = tokio::spawn(first.queued(60 * SECOND));
        tokio::task::yield_now().await;
        let second = gate.try_enter().unwrap().handshake().unwrap();
        assert_eq!(second.queued(SECOND).await.unwrap_err(), Full);
        drop(place);
        drop(waits.await.unwrap().unwrap());
        assert_eq!(admission.free(), 1);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_keeps_nothing() {
        let admission = Admission::new(1, number(1), 1);
        let full = admission.gate(&Bounds::default(), Opening::Plaintext);
        let gate = admission.gate(&at_most(1), Opening::Plaintext);
        let place = full.enter().await;
        let waits = tokio::spawn(async move { drop(gate.enter().await) });
        tokio::task::yield_now().await;
        waits.abort();
        assert!(waits.await.unwrap_err().is_cancelled());
        drop(place);
        assert_eq!(admission.free(), 1);
    }

    #[tokio::test]
    async fn whoever_waits_for_descriptors_hears_of_a_connection_that_goes() {
        let admission = Admission::new(1, number(1), 1);
        let gate = admission.gate(&Bounds::default(), Opening::Plaintext);
        let place = gate.try_enter().unwrap();
        let mut departure = std::pin::pin!(gate.departure());
        assert!(!departure.as_mut().enable());
        drop(place);
        departure.await;
    }
}
