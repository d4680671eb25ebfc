//! The decision to let a connection in: who may, how many at once, and what a place is.
//!
//! Two permits. A listener whose connections begin with a handshake takes a handshake permit
//! before it accepts, so that stalled handshakes cannot use up the places of connections; the
//! connection permit comes after the handshake. Where a connection is one from its first byte, the
//! connection permit is taken before it is accepted, and the rest waits in the kernel's backlog.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds of a server, over all of its listeners.
#[derive(Debug)]
pub struct Admission {
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

/// The bounds of one listener, within those of the server.
#[derive(Clone, Debug)]
pub struct Gate {
    server: Arc<Admission>,
    connections: Option<Arc<Semaphore>>,
    opening: Opening,
}

/// How the connections of a listener begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// With the client's first byte.
    Plaintext,
    /// With a handshake, which may fail or stall.
    Handshake,
}

/// The right to accept one client; given back when it is dropped.
#[derive(Debug)]
pub enum Entry {
    /// It is a connection at once.
    Connection(Permit),
    /// It may try to become one.
    Handshake(Gate, OwnedSemaphorePermit),
}

/// A connection's place; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _listener: Option<OwnedSemaphorePermit>,
    _server: OwnedSemaphorePermit,
}

impl Admission {
    /// At most this many connections, and beside them this many handshakes, at once.
    pub fn new(connections: u32, handshakes: NonZeroU32) -> Arc<Self> {
        Arc::new(Self {
            connections: semaphore(connections),
            handshakes: semaphore(handshakes.get()),
        })
    }

    /// The gate of one listener; `None` bounds it only by the server.
    pub fn gate(self: &Arc<Self>, connections: Option<NonZeroU32>, opening: Opening) -> Gate {
        Gate {
            server: Arc::clone(self),
            connections: connections.map(|most| semaphore(most.get())),
            opening,
        }
    }

    /// Places that are free.
    pub fn free(&self) -> usize {
        self.connections.available_permits()
    }
}

fn semaphore(permits: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((permits as usize).min(Semaphore::MAX_PERMITS)))
}

impl Gate {
    /// Waits until one client may be accepted. Safe to cancel.
    pub async fn enter(&self) -> Entry {
        match self.opening {
            Opening::Plaintext => Entry::Connection(self.permit().await),
            Opening::Handshake => {
                let permit = acquire(&self.server.handshakes).await;
                Entry::Handshake(self.clone(), permit)
            }
        }
    }

    /// The same without waiting; `None` when there is no place.
    pub fn try_enter(&self) -> Option<Entry> {
        let try_acquire = |permits: &Arc<Semaphore>| Arc::clone(permits).try_acquire_owned().ok();
        Some(match self.opening {
            Opening::Plaintext => {
                let listener = match &self.connections {
                    Some(permits) => Some(try_acquire(permits)?),
                    None => None,
                };
                let server = try_acquire(&self.server.connections)?;
                Entry::Connection(Permit { _listener: listener, _server: server })
            }
            Opening::Handshake => {
                Entry::Handshake(self.clone(), try_acquire(&self.server.handshakes)?)
            }
        })
    }

    async fn permit(&self) -> Permit {
        // The listener's first: a full listener must not sit on a place of the server.
        let listener = match &self.connections {
            Some(permits) => Some(acquire(permits).await),
            None => None,
        };
        Permit { _listener: listener, _server: acquire(&self.server.connections).await }
    }
}

impl Entry {
    /// The place of a connection whose handshake, if it had one, is done. Waits for one with the
    /// handshake permit in hand; the caller bounds the wait.
    pub async fn connection(self) -> Permit {
        match self {
            Self::Connection(permit) => permit,
            Self::Handshake(gate, handshake) => {
                let permit = gate.permit().await;
                drop(handshake);
                permit
            }
        }
    }
}

async fn acquire(permits: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    match Arc::clone(permits).acquire_owned().await {
        Ok(permit) => permit,
        // Semaphores of this module are never closed.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[tokio::test]
    async fn the_server_bounds_all_listeners_together() {
        let admission = Admission::new(2, number(1));
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
    async fn handshakes_do_not_use_up_connections() {
        let admission = Admission::new(1, number(2));
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
        let admission = Admission::new(1, number(1));
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
