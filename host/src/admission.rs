//! The decision to let a connection in: who may, how many at once, and what a place is.
//!
//! Two permits. A listener whose connections begin with a handshake takes a handshake permit
//! before it accepts, so that stalled handshakes cannot use up the places of connections; the
//! connection permit comes after the handshake. Where a connection is one from its first byte, the
//! connection permit is taken before it is accepted, and the rest waits in the kernel's backlog.

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::Notify;

/// The bounds of a server, over all of its listeners.
#[derive(Debug)]
pub struct Admission {
    connections: Arc<Places>,
    handshakes: Arc<Places>,
    flows: Arc<Places>,
}

/// The bounds of one listener, within those of the server.
#[derive(Clone, Debug)]
pub struct Gate {
    server: Arc<Admission>,
    connections: Arc<Places>,
    opening: Opening,
}

/// A number of places, which can change while they are taken.
#[derive(Debug)]
struct Places {
    most: AtomicUsize,
    taken: AtomicUsize,
    freed: Notify,
}

/// One of them; given back when it is dropped.
#[derive(Debug)]
struct Place(Arc<Places>);

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
}

/// A connection's place; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _listener: Place,
    _server: Place,
}

impl Admission {
    /// At most this many connections, and beside them this many handshakes and flows, at once.
    pub fn new(connections: u32, handshakes: NonZeroU32, flows: u32) -> Arc<Self> {
        Arc::new(Self {
            connections: Places::new(connections as usize),
            handshakes: Places::new(handshakes.get() as usize),
            flows: Places::new(flows as usize),
        })
    }

    /// The gate of one listener; `None` bounds it only by the server.
    pub fn gate(self: &Arc<Self>, connections: Option<NonZeroU32>, opening: Opening) -> Gate {
        let connections = Places::new(number(connections));
        Gate { server: Arc::clone(self), connections, opening }
    }

    /// Places that are free.
    pub fn free(&self) -> usize {
        let Places { most, taken, .. } = &*self.connections;
        most.load(SeqCst).saturating_sub(taken.load(SeqCst))
    }
}

impl Gate {
    /// Changes the listener's own bound. Connections over a smaller one stay, and nobody comes in
    /// until they are fewer.
    pub fn resize(&self, connections: Option<NonZeroU32>) {
        self.connections.resize(number(connections));
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

    /// The same without waiting; `None` when there is no place.
    pub fn try_enter(&self) -> Option<Entry> {
        Some(Entry(match self.opening {
            Opening::Plaintext | Opening::Datagram => Right::Connection(Permit {
                _listener: self.connections.try_take()?,
                _server: self.of_server().try_take()?,
            }),
            Opening::Handshake => {
                Right::Handshake(self.clone(), self.server.handshakes.try_take()?)
            }
        }))
    }

    async fn permit(&self) -> Permit {
        // The listener's first: a full listener must not sit on a place of the server.
        let listener = self.connections.take().await;
        Permit { _listener: listener, _server: self.of_server().take().await }
    }

    fn of_server(&self) -> &Arc<Places> {
        match self.opening {
            Opening::Plaintext | Opening::Handshake => &self.server.connections,
            Opening::Datagram => &self.server.flows,
        }
    }
}

impl Entry {
    /// The place of a connection whose handshake, if it had one, is done. Waits for one with the
    /// handshake permit in hand; the caller bounds the wait.
    pub async fn connection(self) -> Permit {
        match self.0 {
            Right::Connection(permit) => permit,
            Right::Handshake(gate, handshake) => {
                let permit = gate.permit().await;
                drop(handshake);
                permit
            }
        }
    }
}

impl Places {
    fn new(most: usize) -> Arc<Self> {
        let (most, taken) = (AtomicUsize::new(most), AtomicUsize::new(0));
        Arc::new(Self { most, taken, freed: Notify::new() })
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        let most = self.most.load(SeqCst);
        let take = |taken: usize| (taken < most).then_some(taken + 1);
        self.taken.fetch_update(SeqCst, SeqCst, take).ok()?;
        Some(Place(Arc::clone(self)))
    }

    async fn take(self: &Arc<Self>) -> Place {
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

    fn resize(&self, most: usize) {
        self.most.store(most, SeqCst);
        self.freed.notify_waiters();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        self.0.freed.notify_one();
    }
}

/// As many as there can be, where there is no bound.
fn number(bound: Option<NonZeroU32>) -> usize {
    bound.map_or(usize::MAX, |bound| bound.get() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[tokio::test]
    async fn the_server_bounds_all_listeners_together() {
        let admission = Admission::new(2, number(1), 1);
        let (a, b) = (
            admission.gate(None, Opening::Plaintext),
            admission.gate(Some(number(1)), Opening::Plaintext),
        );
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
        let gate = admission.gate(Some(number(2)), Opening::Plaintext);
        let (first, second) = (gate.enter().await, gate.enter().await);
        gate.resize(Some(number(1)));
        drop(first);
        assert!(gate.try_enter().is_none(), "one is in, and there may be one");
        let waiting = gate.clone();
        let waits = tokio::spawn(async move { waiting.enter().await });
        tokio::task::yield_now().await;
        gate.resize(Some(number(2)));
        let third = waits.await.unwrap();
        drop((second, third));
        assert_eq!(admission.free(), 10);
    }

    #[tokio::test]
    async fn handshakes_do_not_use_up_connections() {
        let admission = Admission::new(1, number(2), 1);
        let gate = admission.gate(None, Opening::Handshake);
        let (first, second) = (gate.enter().await, gate.enter().await);
        assert!(gate.try_enter().is_none(), "over the bound of handshakes");
        assert_eq!(admission.free(), 1);
        let place = first.connection().await;
        assert!(gate.try_enter().is_some(), "a finished handshake gives its permit back");
        let waits = tokio::spawn(second.connection());
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(place);
        drop(waits.await.unwrap());
        assert_eq!(admission.free(), 1);
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_keeps_nothing() {
        let admission = Admission::new(1, number(1), 1);
        let full = admission.gate(None, Opening::Plaintext);
        let gate = admission.gate(Some(number(1)), Opening::Plaintext);
        let place = full.enter().await;
        let waits = tokio::spawn(async move { drop(gate.enter().await) });
        tokio::task::yield_now().await;
        waits.abort();
        assert!(waits.await.unwrap_err().is_cancelled());
        drop(place);
        assert_eq!(admission.free(), 1);
    }
}
