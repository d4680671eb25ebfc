//! What a listener is asked to do, what it is doing, and what it has counted: shared by its
//! sockets' loops and whoever steers or watches it.

use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::account::Account;
use crate::connection::Socket;
use crate::exit::Exit;
use crate::receipt::{Client, Receipts};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What a listener is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Wait: the kernel connects clients already, and they wait in its backlog.
    Bound,
    /// Take clients in.
    Accepting,
    /// Take nobody in for now; clients wait in the kernel's backlog.
    Suspended,
    /// Take in those whom the kernel has connected, nobody who comes later, and end.
    Draining,
    /// End and leave the sockets as they are: somebody else goes on with them, or they close.
    Stopped,
}

/// What a listener is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Configured, nothing is bound.
    Created,
    /// Bound, and accepts nobody yet.
    Bound,
    /// Clients are taken in as they come.
    Accepting,
    /// Nobody is taken in until it is resumed.
    Suspended,
    /// A client is there and there is no place for it.
    Full,
    /// Accepting failed, and is tried again after a wait.
    BackingOff,
    /// Nobody new is taken in; its connections may finish.
    Draining,
    /// It was stopped; nothing is bound.
    Stopped,
    /// Its sockets are lost, or could not be bound.
    Failed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Bound,
        Self::Accepting,
        Self::Suspended,
        Self::Full,
        Self::BackingOff,
        Self::Draining,
        Self::Stopped,
        Self::Failed,
    ];

    /// The word for it in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Bound => "bound",
            Self::Accepting => "accepting",
            Self::Suspended => "suspended",
            Self::Full => "full",
            Self::BackingOff => "backing_off",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// Why a client is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no place.
    Full,
    /// It has waited for a place in vain.
    Waited,
    /// The process has no descriptor for it.
    Descriptors,
    /// The handler that it asks for is gone.
    Gone,
    /// The tenant of its handler has no place.
    Tenant,
}

impl Refused {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Full, Self::Waited, Self::Descriptors, Self::Gone, Self::Tenant];

    /// The word for it in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Waited => "waited",
            Self::Descriptors => "descriptors",
            Self::Gone => "gone",
            Self::Tenant => "tenant",
        }
    }
}

/// A listener's life.
#[derive(Debug)]
pub struct Life {
    id: u64,
    phase: watch::Sender<Phase>,
    full: AtomicUsize,
    backing_off: AtomicUsize,
    /// The last error that made a loop back off.
    error: Mutex<Option<String>>,
    made: AtomicU64,
    not_made: AtomicU64,
    counts: Arc<Counts>,
    /// The name that receipts have, and where they go.
    receipts: Option<(String, Arc<Receipts>)>,
}

/// What became of connections that were handed over, as far as a loop has heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Handed {
    made: u64,
    not_made: u64,
}

/// What has become of them since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Nothing,
    /// Instances were made for all of them.
    Made,
    /// For some the instance could not be made.
    NotMade,
}

/// What has happened at a listener, in all the lives that it has had.
#[derive(Debug, Default)]
pub struct Counts {
    /// Clients taken in, flows included.
    pub accepted: Counter,
    /// Clients turned away; by why in the order of [`Refused::ALL`].
    refused: [Counter; Refused::ALL.len()],
    /// Waits after accepts that failed.
    pub backoffs: Counter,
    /// How long they were, in milliseconds.
    pub backoff_ms: Counter,
    /// Handshakes of TLS that are done, those of `start_tls` included.
    pub handshakes_done: Counter,
    /// Handshakes of TLS that failed, those of `start_tls` included.
    pub handshakes_failed: Counter,
    /// Bytes that clients sent in plaintext before they were told to begin TLS, and nobody saw.
    pub discarded: Counter,
    /// Datagrams that came in, those below included.
    pub datagrams: Counter,
    /// Datagrams that were longer than `max_datagram` and cut.
    pub truncated: Counter,
    /// Datagrams dropped here: for want of a place, of room in a flow's queue, or in a drain.
    pub dropped: Counter,
    /// Datagrams that the kernel dropped because its buffer was full.
    pub kernel_dropped: Counter,
    /// Flows that were ended early to make room for others.
    pub evicted: Counter,
    /// Datagrams that were not sent because of `max_reply_factor`.
    pub unsent: Counter,
}

impl Counts {
    /// Counts a client that is turned away.
    pub fn refuse(&self, why: Refused) {
        self.refused[why as usize].add(1);
    }

    /// How many were turned away for this.
    pub fn refused_for(&self, why: Refused) -> u64 {
        self.refused[why as usize].get()
    }

    /// How many were turned away.
    pub fn refused(&self) -> u64 {
        self.refused.iter().map(Counter::get).sum()
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A condition that one of the loops is in, until this is dropped.
#[derive(Debug)]
pub(super) struct Condition<'a> {
    loops: &'a AtomicUsize,
    /// Where its time is counted, and since when.
    timed: Option<(&'a Counter, Instant)>,
}

impl Life {
    /// A listener that begins in `phase`.
    pub fn new(phase: Phase) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            phase: watch::Sender::new(phase),
            full: AtomicUsize::new(0),
            backing_off: AtomicUsize::new(0),
            error: Mutex::default(),
            made: AtomicU64::new(0),
            not_made: AtomicU64::new(0),
            counts: Arc::default(),
            receipts: None,
        }
    }

    /// Clients that do not come to a handler get receipts in the name of `listener`, if such ones
    /// are wanted.
    #[must_use]
    pub fn with_receipts(self, listener: &str, receipts: Arc<Receipts>) -> Self {
        Self { receipts: Some((listener.into(), receipts)), ..self }
    }

    /// It goes on counting where another one is.
    #[must_use]
    pub fn with_counts(self, counts: Arc<Counts>) -> Self {
        Self { counts, ..self }
    }

    /// Unique in this process.
    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// What it is asked to do.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Asks for `phase`; the loops hear of it at once. A listener that drains or has stopped
    /// stays so, but a drain can become a stop.
    pub fn ask(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let ends = |phase| matches!(phase, Phase::Draining | Phase::Stopped);
            let stays = *now == phase
                || *now == Phase::Stopped
                || (*now == Phase::Draining && !ends(phase));
            if !stays {
                *now = phase;
            }
            !stays
        });
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        match self.phase() {
            Phase::Bound => State::Bound,
            Phase::Accepting if self.backing_off.load(SeqCst) > 0 => State::BackingOff,
            Phase::Accepting if self.full.load(SeqCst) > 0 => State::Full,
            Phase::Accepting => State::Accepting,
            Phase::Suspended => State::Suspended,
            Phase::Draining => State::Draining,
            Phase::Stopped => State::Stopped,
        }
    }

    /// Why it is backing off, if it is.
    pub fn why(&self) -> Option<String> {
        if self.state() != State::BackingOff {
            return None;
        }
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Says that a client is turned away, before it is; why is a few words. One that was taken in
    /// has an account.
    pub fn turns_away(
        &self,
        client: &Socket,
        account: Option<&Account>,
        reason: Refused,
        why: &str,
    ) {
        self.counts.refuse(reason);
        if let Some(client) = self.noted(client) {
            self.file(client, account, Exit::Refused(why.into()));
        }
    }

    /// What the receipt of a client without a connection needs to know of it; `None` if none is
    /// wanted.
    pub(super) fn noted(&self, client: &Socket) -> Option<Client> {
        let (_, receipts) = self.receipts.as_ref()?;
        receipts.are_for_all().then(|| Client::of(client))
    }

    /// Files the receipt of a client without a connection.
    pub(super) fn file(&self, client: Client, account: Option<&Account>, exit: Exit) {
        if let Some((listener, receipts)) = &self.receipts {
            receipts.file_client(listener, client, account, exit);
        }
    }

    /// Says that the instance of a connection was made, or could not be.
    pub fn was_handed_over(&self, made: bool) {
        if made {
            self.made.fetch_add(1, SeqCst);
        } else {
            self.not_made.fetch_add(1, SeqCst);
        }
    }

    /// What has become of those handed over since `seen`, which is brought up to date.
    pub(super) fn outcome(&self, seen: &mut Handed) -> Outcome {
        let now = Handed { made: self.made.load(SeqCst), not_made: self.not_made.load(SeqCst) };
        let before = std::mem::replace(seen, now);
        if now.not_made > before.not_made {
            Outcome::NotMade
        } else if now.made > before.made {
            Outcome::Made
        } else {
            Outcome::Nothing
        }
    }

    /// Hears of every new phase.
    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// A loop has a client and no place for it.
    pub(super) fn is_full(&self) -> Condition<'_> {
        Condition::new(&self.full, None)
    }

    /// A loop waits after this error.
    pub(super) fn backs_off(&self, error: &impl ToString) -> Condition<'_> {
        self.counts.backoffs.add(1);
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        Condition::new(&self.backing_off, Some(&self.counts.backoff_ms))
    }
}

impl<'a> Condition<'a> {
    fn new(loops: &'a AtomicUsize, time: Option<&'a Counter>) -> Self {
        loops.fetch_add(1, SeqCst);
        Self { loops, timed: time.map(|counter| (counter, Instant::now())) }
    }
}

impl Drop for Condition<'_> {
    fn drop(&mut self) {
        self.loops.fetch_sub(1, SeqCst);
        if let Some((counter, since)) = self.timed {
            counter.add(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_what_was_asked_and_what_was_met() {
        let life = Life::new(Phase::Bound);
        assert_eq!(life.state(), State::Bound);
        life.ask(Phase::Accepting);
        let full = life.is_full();
        assert_eq!(life.state(), State::Full);
        let waits = life.backs_off(&"too many open files");
        assert_eq!(life.state(), State::BackingOff);
        assert_eq!(life.why().unwrap(), "too many open files");
        drop(waits);
        assert_eq!((life.state(), life.why()), (State::Full, None));
        drop(full);
        assert_eq!(life.state(), State::Accepting);
    }

    #[test]
    fn what_has_ended_does_not_begin_again() {
        let life = Life::new(Phase::Accepting);
        life.ask(Phase::Draining);
        life.ask(Phase::Accepting);
        assert_eq!(life.state(), State::Draining);
        life.ask(Phase::Stopped);
        life.ask(Phase::Draining);
        assert_eq!(life.state(), State::Stopped);
    }
}
