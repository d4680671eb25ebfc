//! The in-memory pipe that stands for the host off wasm: what each import does, as the contract
//! says it, on a state that a [`Peer`](crate::Peer) shares.
//!
//! It buffers as much as a socket may, 64 KiB in each direction, so that a handler that does not
//! read or a peer that does not is seen in tests as well.

mod state;
mod tls;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcell_abi::{Errno, level, poll, shutdown, timeout};

pub(crate) use self::state::{Guest, Kind, Peer, State};

use crate::error::Error;

/// How long a handler waits for the handshake: a test whose peer never starts it fails.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Bytes in a static, for one thread at a time.
pub(crate) struct Room<const N: usize> {
    bytes: Mutex<[u8; N]>,
}

pub(crate) type Guard<'a, const N: usize> = MutexGuard<'a, [u8; N]>;

impl<const N: usize> Room<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: Mutex::new([0; N]) }
    }

    /// Also after a panic: nobody leans on what the bytes are.
    pub(crate) fn lock(&self) -> Guard<'_, N> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guest's end. The connection is closed when the last clone is gone.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    end: Arc<GuestEnd>,
}

#[derive(Debug)]
struct GuestEnd {
    pipe: Arc<Pipe>,
}

impl Drop for GuestEnd {
    fn drop(&mut self) {
        self.pipe.change(|state| {
            if state.guest == Guest::Here {
                state.guest = Guest::Closed;
            }
        });
    }
}

impl Handle {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        Self { end: Arc::new(GuestEnd { pipe }) }
    }

    /// A connection without a peer, as in a trial run.
    pub(crate) fn connection() -> Self {
        Self::new(Arc::new(Pipe::new(State { peer: Peer::Absent, ..State::new(Kind::Stream) })))
    }

    pub(crate) fn read(&self, buf: &mut [u8]) -> Result<usize, Error> {
        let bound = self.end.pipe.lock().read_bound;
        self.end
            .pipe
            .wait(bound, |state| state.guest_reads(buf))
            .unwrap_or_else(|| Err(out_of_time(bound)))
            .map_err(Error::from)
    }

    pub(crate) fn write(&self, buf: &[u8]) -> Result<usize, Error> {
        let bound = self.end.pipe.lock().write_bound;
        let mut taken = 0;
        match self.end.pipe.wait(bound, |state| state.guest_writes(buf, &mut taken)) {
            Some(Ok(())) => Ok(taken),
            // What was taken is told now, the error at the next call.
            Some(Err(_)) | None if taken > 0 => Ok(taken),
            Some(Err(errno)) => Err(errno.into()),
            None => Err(out_of_time(bound).into()),
        }
    }

    pub(crate) fn shutdown(&self, how: i32) -> Result<(), Error> {
        self.end.pipe.change(|state| {
            state.usable()?;
            match how {
                shutdown::READ => state.end_guest_reads(),
                shutdown::WRITE => state.outgoing.ended = true,
                shutdown::BOTH => {
                    state.end_guest_reads();
                    state.outgoing.ended = true;
                }
                shutdown::RESET => state.guest = Guest::Reset,
                _ => return Err(Error::INVALID_INPUT),
            }
            Ok(())
        })
    }

    pub(crate) fn close(&self) -> Result<(), Error> {
        self.end.pipe.change(|state| {
            state.usable()?;
            state.guest = Guest::Closed;
            Ok(())
        })
    }

    pub(crate) fn poll(&self, events: u16, bound: Option<Duration>) -> Result<u16, Error> {
        if events & !poll::ASKABLE != 0 {
            return Err(Error::INVALID_INPUT);
        }
        let always = poll::FAILED | poll::OVER | poll::INVALID;
        let found = self.end.pipe.wait(bound, |state| {
            if state.peer == Peer::Absent {
                return Some(Err(Error::NOT_CONNECTED));
            }
            let ready = state.ready() & (events | always);
            (ready != 0).then_some(Ok(ready))
        });
        found.unwrap_or(Ok(0))
    }

    pub(crate) fn set_timeout(&self, which: i32, bound: Option<Duration>) -> Result<(), Error> {
        self.end.pipe.change(|state| {
            state.usable()?;
            match which {
                timeout::READ => state.read_bound = bound,
                timeout::WRITE => state.write_bound = bound,
                _ => return Err(Error::INVALID_INPUT),
            }
            Ok(())
        })
    }

    pub(crate) fn info(&self, name: &str, buf: &mut [u8]) -> Result<usize, Error> {
        let state = self.end.pipe.lock();
        if state.peer == Peer::Absent {
            return Err(Error::NOT_FOUND);
        }
        let told = state.facts.get(name).map(String::as_str);
        let is_offered = || if state.offers_tls("").is_ok() { "true" } else { "false" };
        let fact =
            told.or_else(|| (name == "tls.offered").then(is_offered)).ok_or(Error::NOT_FOUND)?;
        let fact = fact.as_bytes();
        let shown = fact.len().min(buf.len());
        buf[..shown].copy_from_slice(&fact[..shown]);
        Ok(fact.len())
    }

    /// Waits for [`Peer::start_tls`](crate::Peer::start_tls). A handshake that fails closes the
    /// connection and is an errno: nothing can end a handler here, as the host does.
    pub(crate) fn start_tls(&self, profile: &str, reply: &[u8]) -> Result<(), Error> {
        self.end.pipe.change(|state| state.guest_starts_tls(profile))?;
        let mut taken = 0;
        let step = |state: &mut State| state.guest_shakes_hands(reply, &mut taken);
        if self.end.pipe.wait(Some(HANDSHAKE), step) == Some(Ok(())) {
            return Ok(());
        }
        self.end.pipe.change(State::fail_handshake);
        Err(Error::NOT_CONNECTED)
    }
}

fn out_of_time(bound: Option<Duration>) -> Errno {
    if bound == Some(Duration::ZERO) { Errno::Again } else { Errno::TimedOut }
}

#[expect(clippy::print_stderr, reason = "the log of a test; cargo shows it when the test fails")]
pub(crate) fn log(level: i32, message: &[u8]) {
    let level = match level {
        level::ERROR => "error",
        level::WARN => "warn",
        level::INFO => "info",
        level::DEBUG => "debug",
        _ => "trace",
    };
    eprintln!("{level}: {}", String::from_utf8_lossy(message));
}

/// The state that both ends share, and the bell that rings when it changes.
#[derive(Debug)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

impl Pipe {
    pub(crate) fn new(state: State) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The state, also after a panic of the other end: no step leaves it half done.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one step and tells whoever waits.
    pub(crate) fn change<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        let result = step(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Takes `step` until it gives a result; `None` if `bound` runs out before. A bound of zero
    /// takes it once.
    pub(crate) fn wait<T>(
        &self,
        bound: Option<Duration>,
        mut step: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let deadline = bound.and_then(|bound| Instant::now().checked_add(bound));
        let mut state = self.lock();
        loop {
            let before = state.moved;
            let result = step(&mut state);
            // Only a step that moved something rings: two ends that wait would wake each other
            // for ever.
            if state.moved != before {
                self.changed.notify_all();
            }
            if result.is_some() {
                return result;
            }
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    let woken = self.changed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
