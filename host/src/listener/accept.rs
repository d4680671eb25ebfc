//! The accept loop: it takes clients while there is room, never waits for one of them, and no
//! error but the listener's own ends it.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::backoff::{Backoff, Verdict, is_short_of_descriptors};
use super::episode::Episode;
use super::life::{Condition, Handed, Life, Outcome, Phase, Refused};
use super::refusal::{Refusals, Reserve};
use super::{Accepted, Bound};
use crate::admission::{Entry, Gate, Opening};
use crate::config::{ListenerConfig, WhenFull};
use crate::connection::Socket;

/// How long a client waits for a place before the log says that the listener is full. A busy
/// listener is full for a moment all the time.
const FULL: Duration = Duration::from_secs(1);

/// How long the end of a listener waits for handshakes of the kernel's that are under way. Without
/// a bound a forged one would hold it up for a minute.
const HANDSHAKES: Duration = Duration::from_secs(3);

/// What is wrong when the host cannot give a connection its instance.
const NOT_MADE: &str = "an instance could not be made";

/// How often it looks whether they are done.
const LOOK: Duration = Duration::from_millis(10);

/// Where an accept loop takes clients from: a socket, or a test's list of errors.
pub trait Source {
    /// Waits until a client is there, or an error. Safe to cancel.
    fn ready(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Whether a client is there now: one that [`Source::ready`] has heard of may be taken by then.
    /// An error when none can come any more.
    fn has_client(&self) -> io::Result<bool>;

    /// Takes one client of those that [`Source::ready`] has heard of; `WouldBlock` if there is
    /// none.
    fn accept(&self) -> io::Result<Accepted>;

    /// Takes one client of those that the kernel has; `WouldBlock` if there is none.
    fn accept_unheard(&self) -> io::Result<Accepted>;

    /// What it is bound to.
    fn address(&self) -> &Bound;

    /// Takes no new clients, now that `life` ends; those that the kernel has connected can still
    /// be accepted. `false` when somebody else goes on with the socket, and they are left to them.
    fn close_to_newcomers(&self, life: &Life) -> bool;

    /// Whether the kernel is still connecting clients.
    fn is_connecting(&self) -> bool;
}

/// The listening socket is gone: it will accept nobody any more.
#[derive(Debug, thiserror::Error)]
#[error("the listener at {address} is gone")]
pub struct Gone {
    address: Bound,
    #[source]
    source: io::Error,
}

impl Gone {
    /// The socket at `address` failed for good.
    pub const fn new(address: Bound, source: io::Error) -> Self {
        Self { address, source }
    }

    /// Its accept loop panicked: a bug.
    pub fn panicked(address: Bound) -> Self {
        Self { address, source: io::Error::other("its accept loop panicked") }
    }
}

/// Hands each client to `start` for as long as `life` asks for it. When it drains, those that the
/// kernel had connected already are served or turned away.
pub async fn accept_until(
    source: &impl Source,
    gate: &Gate,
    config: &ListenerConfig,
    life: &Life,
    start: impl FnMut(Accepted, Entry),
) -> Result<(), Gone> {
    let gone = |error| Gone::new(source.address().clone(), error);
    AcceptLoop {
        source,
        gate,
        config,
        life,
        start,
        phases: life.phases(),
        backoff: Backoff::new(config.accept_backoff, config.max_accept.get()),
        seen: Handed::default(),
        reserve: Reserve::new(),
        refusals: Refusals::default(),
        failures: Episode::default(),
        waits: Episode::default(),
        refused: Episode::default(),
        full: None,
    }
    .run()
    .await
    .map_err(gone)
}

struct AcceptLoop<'a, S, F> {
    source: &'a S,
    gate: &'a Gate,
    config: &'a ListenerConfig,
    life: &'a Life,
    start: F,
    phases: watch::Receiver<Phase>,
    backoff: Backoff,
    seen: Handed,
    reserve: Reserve,
    refusals: Refusals,
    failures: Episode,
    waits: Episode,
    refused: Episode,
    /// The last client was turned away.
    full: Option<Condition<'a>>,
}

impl<'a, S: Source, F: FnMut(Accepted, Entry)> AcceptLoop<'a, S, F> {
    async fn run(mut self) -> io::Result<()> {
        self.life.outcome(&mut self.seen);
        loop {
            let phase = *self.phases.borrow_and_update();
            match phase {
                Phase::Accepting => self.turn().await?,
                // It cannot fail while there is a `Life`.
                Phase::Bound | Phase::Suspended => drop(self.phases.changed().await),
                Phase::Draining => return self.finish().await,
                Phase::Stopped => return Ok(()),
            }
        }
    }

    /// Waits for clients and takes some of them, or gives way to what is asked meanwhile.
    async fn turn(&mut self) -> io::Result<()> {
        if self.hears_of_failures() {
            let delay = self.backoff.escalate();
            self.wait(delay, &NOT_MADE).await;
            return Ok(());
        }
        let (name, address) = (&self.config.name, self.source.address());
        tokio::select! {
            // What is over is over only when nobody is there with whom it could go on.
            biased;
            _ = self.phases.changed() => {
                self.phases.mark_changed();
                return Ok(());
            }
            ready = self.source.ready() => ready?,
            failures = self.failures.over() => {
                tracing::info!("{name}: accepting at {address} again; it failed {failures}");
                return Ok(());
            }
            waits = self.waits.over() => {
                tracing::info!("{name}: there is room at {address} again; a client waited {waits}");
                return Ok(());
            }
            turned_away = self.refused.over() => {
                self.full = None;
                tracing::info!("{name}: clients at {address} were turned away {turned_away}");
                return Ok(());
            }
        }
        // Not before a client is there: a place that is held here is one that others lack.
        let mut entry = self.gate.try_enter();
        if entry.is_none() && self.config.when_full == WhenFull::Wait {
            if !self.source.has_client()? {
                return Ok(());
            }
            entry = self.place().await;
            if entry.is_none() {
                return Ok(());
            }
        }
        for _ in 0..self.config.max_accept.get() {
            if self.phases.has_changed().unwrap_or(true) {
                return Ok(());
            }
            if self.hears_of_failures() {
                let delay = self.backoff.escalate();
                self.wait(delay, &NOT_MADE).await;
                return Ok(());
            }
            let may_enter = entry.take().or_else(|| self.gate.try_enter()).or_else(|| self.queue());
            if may_enter.is_none() && self.config.when_full == WhenFull::Wait {
                return Ok(());
            }
            match self.source.accept() {
                Ok(client) => match may_enter {
                    Some(place) => self.take_in(client, place),
                    None => self.turn_away(client),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => match self.backoff.fail(&error) {
                    Verdict::GoOn => entry = may_enter,
                    Verdict::GiveUp => return Err(error),
                    Verdict::Wait(delay) => {
                        drop(may_enter);
                        if !self.spend_reserve(&error) {
                            self.wait(delay, &error).await;
                        }
                        return Ok(());
                    }
                },
            }
        }
        // Fair to connections that are open: a busy listener gives way after a batch.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Whether instances could not be made for connections that were handed over meanwhile. When
    /// they could, that is what ends a row of failures.
    fn hears_of_failures(&mut self) -> bool {
        let outcome = self.life.outcome(&mut self.seen);
        if outcome == Outcome::Made {
            self.backoff.succeed();
        }
        outcome == Outcome::NotMade
    }

    /// Waits for a place, with a client waiting in the kernel; `None` if something else was asked
    /// meanwhile.
    async fn place(&mut self) -> Option<Entry> {
        let _full = self.life.is_full();
        let said_at = Instant::now() + FULL;
        let mut is_long = false;
        let entry = loop {
            tokio::select! {
                // A place that becomes free does not undo what was asked before.
                biased;
                _ = self.phases.changed() => {
                    self.phases.mark_changed();
                    break None;
                }
                entry = self.gate.enter() => break Some(entry),
                () = sleep_until(said_at), if !is_long => {
                    is_long = true;
                    if self.waits.happened(1) {
                        let (name, address) = (&self.config.name, self.source.address());
                        tracing::warn!("{name} is full: clients wait at {address}");
                    }
                }
            }
        };
        if is_long {
            // It lasted until now.
            self.waits.happened(0);
        }
        entry
    }

    /// A place in the queue, where there is one.
    fn queue(&self) -> Option<Entry> {
        match self.config.when_full {
            WhenFull::Queue { wait, .. } => self.gate.try_queue(wait),
            WhenFull::Wait | WhenFull::Refuse => None,
        }
    }

    fn take_in(&mut self, client: Accepted, place: Entry) {
        self.full = None;
        self.life.counts().accepted.add(1);
        (self.start)(client, place);
    }

    fn turn_away(&mut self, client: Accepted) {
        let why = self.gate.no_place();
        self.life.turns_away(client.socket(), None, Refused::Full, why);
        self.refusals.turn_away(client, self.farewell());
        self.say_refusal(why);
    }

    /// What a client is sent that is turned away: nothing where it waits for a handshake, and would
    /// not understand it.
    fn farewell(&self) -> &'a str {
        if self.gate.opening() == Opening::Handshake { "" } else { &self.config.farewell }
    }

    fn say_refusal(&mut self, why: &str) {
        if self.full.is_none() {
            self.full = Some(self.life.is_full());
        }
        if self.refused.happened(1) {
            let (name, address) = (&self.config.name, self.source.address());
            tracing::warn!("{name}: clients at {address} are turned away: {why}");
        }
    }

    /// Turns a client away for whom there is no descriptor, with the one that is kept for this.
    /// `false` if it is to wait in the kernel's backlog, or there is none.
    fn spend_reserve(&mut self, error: &io::Error) -> bool {
        if self.config.when_full == WhenFull::Wait || !is_short_of_descriptors(error) {
            return false;
        }
        let farewell = self.farewell();
        let why = error.to_string();
        let tell = |client: &Socket| {
            self.life.turns_away(client, None, Refused::Descriptors, &why);
        };
        let turned_away = self.reserve.turn_away(self.source, farewell, tell);
        if turned_away {
            self.say_refusal(&why);
        }
        turned_away
    }

    /// As [`Self::spend_reserve`], at the end, when nobody is to wait in the backlog.
    fn spend_reserve_silently(&mut self, error: &io::Error) -> bool {
        let tell = |client: &Socket| {
            self.life.turns_away(client, None, Refused::Descriptors, &error.to_string());
        };
        self.reserve.turn_away(self.source, "", tell)
    }

    /// Takes nobody in for `delay`, or until a connection ends: that frees what was lacking.
    async fn wait(&mut self, delay: Duration, error: &impl ToString) {
        let _backs_off = self.life.backs_off(error);
        if self.failures.happened(1) {
            let (name, address) = (&self.config.name, self.source.address());
            tracing::warn!("{name}: cannot accept at {address} for now: {}", error.to_string());
        }
        tokio::select! {
            () = sleep(delay) => {}
            () = self.gate.departure() => {}
            _ = self.phases.changed() => self.phases.mark_changed(),
        }
    }

    /// Serves or turns away those whom the kernel has connected.
    async fn finish(&mut self) -> io::Result<()> {
        if !self.source.close_to_newcomers(self.life) {
            return Ok(());
        }
        let deadline = Instant::now() + HANDSHAKES;
        loop {
            // Before accepting: a handshake that is done by then is in the queue.
            let more_to_come = self.source.is_connecting() && Instant::now() < deadline;
            self.accept_the_rest().await;
            if !more_to_come || *self.phases.borrow_and_update() == Phase::Stopped {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    async fn accept_the_rest(&mut self) {
        let mut turn = 0;
        loop {
            let entry = self.gate.try_enter().or_else(|| self.queue());
            // The last ones may have come a moment ago: nobody will hear of them any more.
            match (self.source.accept_unheard(), entry) {
                (Ok(client), Some(place)) => self.take_in(client, place),
                (Ok(client), None) => self.turn_away(client),
                (Err(error), _) => match self.backoff.fail(&error) {
                    _ if error.kind() == io::ErrorKind::WouldBlock => return,
                    Verdict::GoOn => {}
                    Verdict::Wait(_) if self.spend_reserve_silently(&error) => {}
                    Verdict::GiveUp | Verdict::Wait(_) => return,
                },
            }
            turn += 1;
            if turn % self.config.max_accept.get() == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
