//! How fast a peer is: what moves in the time that is spent waiting for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::account::Account;
use crate::config::MinRate;

/// The pace of one connection's peer.
///
/// The time that is measured is that in which the guest waits to read or to write. In each `over`
/// of it so many bytes have to move, in either direction; when they have, it begins anew.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: MinRate,
    /// Bytes that had moved when the measure began.
    before: u64,
    /// Since then, until the last poll of the instance.
    waited: Duration,
    /// The end of the last poll, if it left the instance waiting for its peer.
    waits_since: Option<Instant>,
}

impl Pace {
    pub(crate) const fn new(rate: MinRate) -> Self {
        Self { rate, before: 0, waited: Duration::ZERO, waits_since: None }
    }

    /// A poll of the instance begins.
    pub(crate) fn poll_begins(&mut self, now: Instant) {
        if let Some(since) = self.waits_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
    }

    /// It has ended.
    pub(crate) fn poll_ends(&mut self, account: &Account, now: Instant) {
        let moved = account.bytes_in().saturating_add(account.bytes_out());
        if moved - self.before >= self.rate.bytes.get() {
            (self.before, self.waited) = (moved, Duration::ZERO);
        }
        self.waits_since = account.peer_is_awaited().then_some(now);
    }

    /// When the peer is too slow, if nothing moves until then; `None` while nobody waits for it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        Some(self.waits_since? + self.rate.over.saturating_sub(self.waited))
    }
}
