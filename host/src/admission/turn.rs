//! Turns: those who wait go on one after another, in the order in which they asked.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::unconstrained;

/// One turn at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<()>>);

/// A turn that was asked for. To drop it is to leave the row.
pub(super) enum Turn {
    Here(OwnedMutexGuard<()>),
    Waits(Pin<Box<dyn Future<Output = OwnedMutexGuard<()>> + Send>>),
}

impl Turns {
    /// Asks for a turn: it comes after those that were asked for before, whoever waits for his
    /// first.
    pub(super) fn ask(&self) -> Turn {
        // A lock is queued for by the first poll. It must not be put off by how much its task has
        // done already.
        let mut turn = Box::pin(unconstrained(Arc::clone(&self.0).lock_owned()));
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Turn::Here(turn),
            Poll::Pending => Turn::Waits(turn),
        }
    }
}

impl Turn {
    /// Waits until it has come; it lasts until the result is dropped.
    pub(super) async fn comes(self) -> OwnedMutexGuard<()> {
        match self {
            Self::Here(turn) => turn,
            Self::Waits(turn) => turn.await,
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here",
            Self::Waits(_) => "Waits",
        })
    }
}
