//! The decision to let a connection in: who may, how many at once, and what a place is.
//!
//! Two permits. A listener whose connections begin with a handshake takes a handshake permit
//! before it accepts, so that stalled handshakes cannot use up the places of connections; the
//! connection permit comes after the handshake. Where a connection is one from its first byte, the
//! connection permit is taken before it is accepted, and the rest waits in the kernel's backlog.

mod entry;
mod gate;
mod handshakes;
mod places;
mod turn;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

pub use self::entry::{Entry, Full, Handshake, Permit};
pub use self::gate::Gate;
use self::handshakes::Handshakes;
pub use self::places::Place;
pub(crate) use self::places::Places;

/// The bounds of a server, over all of its listeners.
#[derive(Debug)]
pub struct Admission {
    connections: Arc<Places>,
    handshakes: Arc<Handshakes>,
    flows: Arc<Places>,
    pools: Mutex<BTreeMap<String, Arc<Places>>>,
    departures: Notify,
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
        Gate::new(Arc::clone(self), bounds, opening)
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

#[cfg(test)]
mod tests;
