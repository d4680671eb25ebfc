//! The loop of a UDP socket: it takes datagrams in, hands each to the flow of its peer or begins
//! one, runs the guests that have got something, and sends what they have written. It never waits
//! for a peer or a guest, and no error but the socket's own ends it.

mod flows;
mod guests;
mod multicast;
mod socket;
mod thread;
mod troubles;

use std::io;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep_until, timeout};

use self::flows::Flows;
use self::guests::Guests;
use self::socket::{Arrived, BATCH, Incoming};
use self::troubles::{Trouble, Troubles};
use super::Accepted;
use super::accept::Gone;
use super::backoff::{Backoff, Verdict};
use super::life::{Condition, Life, Phase};
use crate::admission::{Entry, Gate};
use crate::config::{ListenerConfig, UdpMode};
use crate::connection::{Bounds, Datagram, Ended, Ends, Socket, Undelivered};

pub use self::guests::Work;
pub use self::multicast::JoinError;
pub use self::socket::Datagrams;

/// Calls that send before others get their turn.
const SENDS: usize = 8;

/// How long a loop that is stopped goes on sending what was written. Without it a network that
/// takes nothing would hold up a reload.
const FLUSH: Duration = Duration::from_secs(1);

/// Takes datagrams in, as `life` asks, and hands each new flow to `start`, which gives the work that
/// is to be done for it. The loop does it itself, or, where it takes long, a task in `away`.
///
/// Flows begin only in [`Phase::Accepting`]. While the listener waits or is suspended, the flows
/// that are open go on, and datagrams of other peers are dropped; where none is open nothing is
/// read, and they wait in the kernel's buffer. A drain ends this when the last flow has ended. A
/// stop ends it at once, and leaves the flows to whoever calls it next with the same socket, or to
/// their end when the socket is dropped.
///
/// Only one call at a time takes datagrams in; another one waits for it to end.
pub async fn take_in(
    datagrams: &Datagrams,
    gate: &Gate,
    config: &ListenerConfig,
    life: &Life,
    away: Handle,
    start: impl FnMut(Accepted, Entry) -> Work,
) -> Result<(), Gone> {
    let flows = datagrams.flows.lock().await;
    let intake = Intake {
        datagrams,
        gate,
        config,
        life,
        start,
        flows,
        troubles: Troubles::default(),
        guests: Guests::new(datagrams, away),
        full: None,
    };
    intake.run().await
}

/// The loop of one socket.
struct Intake<'a, F> {
    datagrams: &'a Datagrams,
    gate: &'a Gate,
    config: &'a ListenerConfig,
    life: &'a Life,
    start: F,
    flows: MutexGuard<'a, Flows>,
    troubles: Troubles,
    guests: Guests,
    /// While the last newcomer found no place.
    full: Option<Condition<'a>>,
}

/// What is left to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// Nothing.
    Done,
    /// More, when others had their turn.
    More,
    /// More, when the kernel has room.
    Blocked,
}

/// What is left to receive.
#[derive(Debug)]
enum Receiving {
    /// Nothing now.
    Done,
    /// More, when others had their turn.
    More,
    /// Nothing for so long, after this error.
    Failed(Duration, io::Error),
}

impl<F: FnMut(Accepted, Entry) -> Work> Intake<'_, F> {
    async fn run(mut self) -> Result<(), Gone> {
        let (life, config) = (self.life, self.config);
        let mut phases = life.phases();
        let mut incoming = Incoming::new(config.udp.max_datagram as usize);
        let mut backoff = Backoff::new(config.accept_backoff, config.max_accept.get());
        // Until when nothing is received, after an error.
        let mut pause = None;
        loop {
            let phase = match *phases.borrow_and_update() {
                Phase::Draining if self.datagrams.has_left(life) => Phase::Stopped,
                phase => phase,
            };
            while let Some(ended) = self.flows.try_ended() {
                self.settle(ended, phase);
            }
            let sending = self.send();
            match phase {
                Phase::Stopped => {
                    self.flush().await;
                    return Ok(());
                }
                Phase::Draining if self.flows.open() == 0 && sending == Sending::Done => {
                    return Ok(());
                }
                _ => {}
            }
            let reads = pause.is_none() && self.reads_in(phase);
            let receiving = if reads {
                self.receive(&mut incoming, &mut backoff, phase)?
            } else {
                Receiving::Done
            };
            self.run_guests();
            let goes_on = self.guests.can_go_on();
            if goes_on || sending == Sending::More || matches!(receiving, Receiving::More) {
                // Fair to other sockets: a busy one gives way after a batch.
                tokio::task::yield_now().await;
                continue;
            }
            if let Receiving::Failed(delay, error) = receiving {
                pause = Some((Instant::now() + delay, life.backs_off(&error)));
            }
            tokio::select! {
                woken = self.datagrams.ready(reads && pause.is_none(), sending == Sending::Blocked) => {
                    woken.map_err(|error| self.gone(error))?;
                }
                () = self.datagrams.outbox.filled() => {}
                () = self.guests.rings() => {}
                // The life outlasts its loops.
                _ = phases.changed() => {}
                ended = self.flows.ended() => self.settle(ended, phase),
                () = over(pause.as_ref().map(|(until, _)| *until)) => pause = None,
                (trouble, was) = self.troubles.over() => {
                    tracing::info!("{}: over: {trouble}, {was}", self.datagrams.address());
                }
            }
        }
    }

    fn run_guests(&mut self) {
        if self.guests.can_go_on() {
            self.guests.run();
        }
    }

    /// Whether datagrams are taken from the kernel.
    fn reads_in(&self, phase: Phase) -> bool {
        match phase {
            Phase::Accepting | Phase::Draining => true,
            // For the flows that are open.
            Phase::Bound | Phase::Suspended => !self.flows.are_all_fed(),
            Phase::Stopped => false,
        }
    }

    /// Takes what the kernel has, a batch at most.
    fn receive(
        &mut self,
        incoming: &mut Incoming,
        backoff: &mut Backoff,
        phase: Phase,
    ) -> Result<Receiving, Gone> {
        let mut left = self.config.max_accept.get() as usize;
        while left > 0 {
            match self.datagrams.receive(incoming, left.min(BATCH)) {
                Ok(drops) => {
                    backoff.succeed();
                    self.life.counts().kernel_dropped.add(drops.into());
                    self.note(Trouble::Kernel, drops.into());
                    left = left.saturating_sub(incoming.arrived().len().max(1));
                    for arrived in incoming.arrived() {
                        self.arrive(arrived, phase);
                    }
                    // Answers go out before more is taken in. What is left of them goes later.
                    self.run_guests();
                    self.send();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Receiving::Done);
                }
                Err(error) => match verdict(backoff, &error) {
                    Verdict::GoOn => left -= 1,
                    Verdict::GiveUp => return Err(self.gone(error)),
                    Verdict::Wait(delay) => {
                        if self.troubles.happened(Trouble::Receiving, 1) {
                            let address = self.datagrams.address();
                            tracing::warn!("cannot receive at {address} for now: {error}");
                        }
                        return Ok(Receiving::Failed(delay, error));
                    }
                },
            }
        }
        Ok(Receiving::More)
    }

    fn arrive(&mut self, arrived: Arrived<'_>, phase: Phase) {
        let Arrived { ends, bytes, size } = arrived;
        self.life.counts().datagrams.add(1);
        if size > bytes.len() {
            self.life.counts().truncated.add(1);
            self.note(Trouble::Cut, 1);
        }
        self.hand_over(ends, size, || Datagram { bytes: bytes.into(), size }, phase);
    }

    /// Hands a datagram to its flow, or begins one with it.
    fn hand_over(
        &mut self,
        ends: Ends,
        size: usize,
        datagram: impl FnOnce() -> Datagram,
        phase: Phase,
    ) {
        match self.flows.deliver(&ends, size, datagram) {
            Ok(()) => {}
            Err(Undelivered::Full) => {
                self.life.counts().dropped.add(1);
                self.note(Trouble::SlowGuest, 1);
            }
            Err(Undelivered::Over(datagram)) => self.begin(ends, datagram, phase),
        }
    }

    fn begin(&mut self, ends: Ends, datagram: impl FnOnce() -> Datagram, phase: Phase) {
        if phase != Phase::Accepting {
            self.life.counts().dropped.add(1);
            return;
        }
        let Some(entry) = self.gate.try_enter() else {
            self.full = Some(self.life.is_full());
            self.life.counts().dropped.add(1);
            self.note(Trouble::NoPlace, 1);
            // The next newcomer finds a place.
            if self.flows.evict() {
                self.life.counts().evicted.add(1);
                self.note(Trouble::Evicting, 1);
            }
            return;
        };
        self.full = None;
        self.life.counts().accepted.add(1);
        let udp = &self.config.udp;
        let bounds = Bounds { queue: udp.flow_queue, reply_factor: udp.max_reply_factor };
        let outbox = &self.datagrams.outbox;
        let flow = match udp.mode {
            UdpMode::Flow => self.flows.begin(ends, datagram(), bounds, outbox),
            UdpMode::Datagram => self.flows.begin_single(ends, datagram(), bounds, outbox),
        };
        let work = (self.start)(Accepted(Socket::Flow(flow)), entry);
        self.guests.take_in(work);
    }

    /// Goes on after the end of a flow: what it has not read begins another.
    fn settle(&mut self, ended: Ended, phase: Phase) {
        self.full = None;
        let ends = *ended.ends();
        for datagram in ended.rest {
            self.hand_over(ends, datagram.size, || datagram, phase);
        }
    }

    /// Sends what flows have written, a batch at most.
    fn send(&mut self) -> Sending {
        let outbox = &self.datagrams.outbox;
        let unsent = outbox.take_unsent();
        self.life.counts().unsent.add(unsent);
        self.note(Trouble::Unsent, unsent);
        for _ in 0..SENDS {
            let mut datagrams = outbox.take(BATCH);
            let Some(first) = datagrams.first() else { return Sending::Done };
            let (sent, blocked) = match self.datagrams.send(&datagrams) {
                Ok(sent) => (sent, false),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (0, false),
                Err(error) => {
                    // Of the first, which is lost.
                    if self.troubles.happened(Trouble::Sending, 1) {
                        let (address, peer) = (self.datagrams.address(), first.ends().peer);
                        tracing::warn!("{address}: {}, to {peer}: {error}", Trouble::Sending);
                    }
                    (1, false)
                }
            };
            outbox.put_back(datagrams.split_off(sent).into_iter());
            if blocked {
                return Sending::Blocked;
            }
        }
        Sending::More
    }

    /// Sends what flows have written before this, as far as the kernel takes it in time.
    async fn flush(&mut self) {
        let flushing = async {
            loop {
                match self.send() {
                    Sending::Done => return,
                    Sending::More => tokio::task::yield_now().await,
                    Sending::Blocked if self.datagrams.ready(false, true).await.is_err() => return,
                    Sending::Blocked => {}
                }
            }
        };
        // What is left goes out when somebody goes on, or is lost with the socket.
        let _ = timeout(FLUSH, flushing).await;
    }

    fn note(&mut self, trouble: Trouble, times: u64) {
        if self.troubles.happened(trouble, times) {
            tracing::warn!("{}: {trouble}", self.datagrams.address());
        }
    }

    fn gone(&self, source: io::Error) -> Gone {
        Gone::new(self.datagrams.address().clone(), source)
    }
}

/// What to do after an error of receiving. What a peer's machine said of an answer is the peer's.
fn verdict(backoff: &mut Backoff, error: &io::Error) -> Verdict {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Verdict::GoOn,
        _ => backoff.fail(error),
    }
}

async fn over(pause: Option<Instant>) {
    match pause {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
