//! The accept loop: it takes clients while there is room, never waits for one of them, and no
//! error but the listener's own ends it.

use std::io;
use std::pin::pin;

use tokio_util::sync::CancellationToken;

use super::backoff::{Backoff, Verdict};
use super::{Accepted, Bound, Listening};
use crate::admission::{Entry, Gate};
use crate::config::ListenerConfig;

/// The listening socket is gone: it will accept nobody any more.
#[derive(Debug, thiserror::Error)]
#[error("the listener at {address} is gone")]
pub struct Gone {
    address: Bound,
    #[source]
    source: io::Error,
}

impl Gone {
    pub(super) const fn new(address: Bound, source: io::Error) -> Self {
        Self { address, source }
    }

    /// Its accept loop panicked: a bug.
    pub fn panicked(address: Bound) -> Self {
        Self { address, source: io::Error::other("its accept loop panicked") }
    }
}

/// Hands each client to `start` until `stop`; then those that the kernel had connected already,
/// as far as there is room.
pub async fn accept_until(
    stop: &CancellationToken,
    listening: &Listening,
    gate: &Gate,
    config: &ListenerConfig,
    mut start: impl FnMut(Accepted, Entry),
) -> Result<(), Gone> {
    let mut backoff = Backoff::new(config.accept_backoff, config.max_accept.get());
    let gone = |source| Gone { address: listening.address().clone(), source };
    let mut stopped = pin!(stop.cancelled());
    loop {
        tokio::select! {
            ready = listening.ready() => ready.map_err(gone)?,
            () = &mut stopped => break,
        }
        // Not before a client is there: a place that is held here is one that others lack.
        let mut entry = tokio::select! {
            entry = gate.enter() => Some(entry),
            () = &mut stopped => break,
        };
        let mut taken = 0;
        while let Some(place) = entry.take() {
            match listening.accept() {
                Ok(client) => {
                    start(client, place);
                    log_recovery(listening, backoff.succeed());
                    taken += 1;
                    // Fair to connections that are open: a busy listener gives way after a batch.
                    if taken == config.max_accept.get() {
                        tokio::task::yield_now().await;
                        break;
                    }
                    entry = gate.try_enter();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => match backoff.fail(&error) {
                    Verdict::GoOn => entry = Some(place),
                    Verdict::GiveUp => return Err(gone(error)),
                    Verdict::Wait(delay) => {
                        // Once, not at every error of the same kind.
                        if backoff.waits() == 1 {
                            let address = listening.address();
                            tracing::warn!("cannot accept at {address} for now: {error}");
                        }
                        drop(place);
                        tokio::select! {
                            () = tokio::time::sleep(delay) => break,
                            () = stop.cancelled() => break,
                        }
                    }
                },
            }
        }
    }
    for _ in 0..config.socket.backlog.get() {
        let Some(entry) = gate.try_enter() else { break };
        let Ok(client) = listening.accept() else { break };
        start(client, entry);
    }
    Ok(())
}

fn log_recovery(listening: &Listening, waits: u64) {
    if waits > 0 {
        tracing::info!("accepting at {} again, after {waits} tries", listening.address());
    }
}
