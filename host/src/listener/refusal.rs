//! Turning clients away: with a farewell, in good order, and within bounds.

use std::fs::File;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Accepted;
use super::accept::Source;
use crate::connection::{Socket, dismiss};

/// Clients that may be in the middle of being turned away, of one listening socket. Each costs a
/// descriptor for up to a second; those above it are closed at once, and may lose the farewell.
const MOST: usize = 64;

/// Clients that are being turned away.
#[derive(Debug)]
pub(super) struct Refusals(Arc<Semaphore>);

/// A descriptor that is kept for when there are no others: with it a client can be accepted and
/// turned away, instead of waiting for nobody knows how long.
#[derive(Debug)]
pub(super) struct Reserve(Option<File>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Refusals {
    /// Sends `farewell` and closes, in a task of its own. Never waits.
    pub(super) fn turn_away(&self, client: Accepted, farewell: &str) {
        let mut socket = client.into_socket();
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else {
            socket.say(farewell);
            return;
        };
        let farewell = farewell.to_owned();
        tokio::spawn(async move {
            dismiss(socket, &farewell).await;
            drop(permit);
        });
    }
}

impl Reserve {
    pub(super) fn new() -> Self {
        Self(open())
    }

    /// Gives up the descriptor for a moment to take one client and turn it away; `false` if there
    /// was no descriptor, or no client for it. `tell` is told of the client first.
    pub(super) fn turn_away(
        &mut self,
        source: &impl Source,
        farewell: &str,
        tell: impl FnOnce(&Socket),
    ) -> bool {
        if self.0.take().is_none() {
            self.0 = open();
            return false;
        }
        let client = source.accept_unheard();
        let is_there = client.is_ok();
        if let Ok(client) = client {
            let mut socket = client.into_socket();
            tell(&socket);
            socket.say(farewell);
        }
        self.0 = open();
        is_there
    }
}

/// Anything that has a descriptor and costs nothing else.
fn open() -> Option<File> {
    File::open("/dev/null").ok()
}
