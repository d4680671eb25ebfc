//! What a client has in hand on its way in: the right to be accepted, a handshake under way, the
//! place of a connection. Dropped, each goes back to where it came from.

use std::sync::Arc;
use std::time::Duration;

use super::handshakes::UnderWay;
use super::places::Place;
use super::turn::Turn;
use super::{Admission, Gate};

/// The right to accept one client; given back when it is dropped.
#[derive(Debug)]
pub struct Entry(Right);

#[derive(Debug)]
pub(super) enum Right {
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

impl Entry {
    pub(super) const fn new(right: Right) -> Self {
        Self(right)
    }

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

impl Permit {
    /// These three make up the place of a connection; `admission` hears when it goes.
    pub(super) const fn new(
        listener: Place,
        pool: Option<Place>,
        server: Place,
        admission: Arc<Admission>,
    ) -> Self {
        let departure = Departure(admission);
        Self { _listener: listener, _pool: pool, _server: server, _departure: departure }
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

    /// As [`Handshake::try_connection`], and waits for one with its own place in hand, which the
    /// caller bounds. Safe to cancel.
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
