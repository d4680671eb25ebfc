//! The gate of one listener: whether there is a place for a client, and why not.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::futures::Notified;

use super::entry::{Entry, Permit, Right};
use super::places::Places;
use super::turn::Turns;
use super::{Admission, Bounds, Opening};

/// The bounds of one listener, within those of the server.
#[derive(Clone, Debug)]
pub struct Gate {
    pub(super) server: Arc<Admission>,
    listener: Arc<Places>,
    pool: Option<Arc<Places>>,
    pub(super) queue: Arc<Places>,
    pub(super) turns: Turns,
    opening: Opening,
}

impl Gate {
    pub(super) fn new(server: Arc<Admission>, bounds: &Bounds, opening: Opening) -> Self {
        let (listener, queue) = (Places::new(0), Places::new(0));
        let mut this =
            Self { server, listener, pool: None, queue, turns: Turns::default(), opening };
        this.set(bounds);
        this
    }

    /// Changes the listener's own bounds. Connections over a smaller one stay, and nobody comes in
    /// until they are fewer. Clones that exist keep the pool that they have.
    pub fn set(&mut self, bounds: &Bounds) {
        self.listener.resize(number(bounds.most));
        self.queue.resize(bounds.queue.map_or(0, |most| most.get() as usize));
        self.pool = bounds.pool.as_deref().and_then(|name| self.server.pool(name));
    }

    /// Waits until one client may be accepted. Safe to cancel.
    pub async fn enter(&self) -> Entry {
        Entry::new(match self.opening {
            Opening::Plaintext | Opening::Datagram => Right::Connection(self.permit().await),
            Opening::Handshake => {
                let place = self.server.handshakes.take().await;
                Right::Handshake(self.clone(), place)
            }
        })
    }

    /// The same without waiting; `None` when there is no place, or others wait for one.
    pub fn try_enter(&self) -> Option<Entry> {
        Some(Entry::new(match self.opening {
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
        Some(Entry::new(Right::Queued(self.clone(), queued, self.turns.ask(), wait)))
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
    pub(super) fn no_connection(&self) -> &'static str {
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

    pub(super) fn try_permit(&self) -> Option<Permit> {
        // Those in the queue came first.
        if self.queue.taken() > 0 {
            return None;
        }
        let listener = self.listener.try_take()?;
        let pool = match self.pool.as_ref().map(Places::try_take) {
            Some(None) => return None,
            taken => taken.flatten(),
        };
        let server = self.of_server().try_take()?;
        Some(Permit::new(listener, pool, server, Arc::clone(&self.server)))
    }

    pub(super) async fn permit(&self) -> Permit {
        // The listener's first: a full listener must not sit on a place that others lack.
        let listener = self.listener.take().await;
        let pool = match &self.pool {
            Some(pool) => Some(pool.take().await),
            None => None,
        };
        let server = self.of_server().take().await;
        Permit::new(listener, pool, server, Arc::clone(&self.server))
    }

    fn of_server(&self) -> &Arc<Places> {
        match self.opening {
            Opening::Plaintext | Opening::Handshake => &self.server.connections,
            Opening::Datagram => &self.server.flows,
        }
    }
}

/// As many as there can be, where there is no bound.
fn number(bound: Option<NonZeroU32>) -> usize {
    bound.map_or(usize::MAX, |bound| bound.get() as usize)
}
