//! Sockets that a server leaves to the process that takes its place: what is passed, and how the
//! other one finds it. Who starts that process is not known here.
//!
//! Both have the sockets for a while. Until [`complete`] the new process changes nothing about
//! them that the old one would notice, so that it can fail.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use socket2::{SockAddr, SockRef};

use super::bind::Made;
use super::error::{BindError, Why};
use super::inherit::{InheritError, passed_on};
use super::unix::SocketFile;
use super::{Bound, Listening};
use crate::address::Address;
use crate::config::SocketOptions;
use crate::text::printable;

/// The environment variable that says which descriptor is what: a [`Note`], as JSON.
pub(super) const VARIABLE: &str = "PORTCELL_HANDOVER";

/// What a process tells the one before it when it serves.
pub const SERVES: u8 = b'1';

/// What comes before the reason when it cannot.
const CANNOT: &[u8] = b"0";

/// Bytes of a reason that are told; more would wait for somebody to read them.
const REASON: usize = 4096;

/// What the predecessor has left, until it is taken.
static LEFT: Mutex<Option<Left>> = Mutex::new(None);

/// There was no predecessor, or it knows that this process serves.
static COMPLETE: AtomicBool = AtomicBool::new(true);

/// What a process is started with that takes the place of this one.
#[derive(Debug)]
pub struct Parcel {
    note: Note,
    descriptors: Vec<(RawFd, OwnedFd)>,
}

/// Which descriptor is what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Sockets that the predecessor has made.
    pub(super) sockets: Vec<Entry>,
    /// Names of sockets that it was started with itself.
    pub(super) names: Vec<(RawFd, String)>,
    /// Where it waits for a byte that says that this process serves.
    pub(super) ready: RawFd,
}

/// A socket of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) descriptor: RawFd,
    pub(super) listener: String,
    /// As it was configured.
    pub(super) address: String,
}

/// What came from the predecessor and is not in use yet.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) sockets: Vec<(Entry, OwnedFd)>,
    pub(super) ready: Option<OwnedFd>,
}

impl Parcel {
    /// Sockets, each with its listener and the address that it was configured with, and what this
    /// process was started with. `ready` is where [`complete`] writes.
    pub fn new(
        sockets: impl IntoIterator<Item = (String, Address, OwnedFd)>,
        ready: OwnedFd,
    ) -> io::Result<Self> {
        // What was inherited keeps its numbers: the configuration may have them.
        let (mut descriptors, names) = passed_on()?;
        let mut free = descriptors.iter().map(|(number, _)| number + 1).max().unwrap_or(3);
        let mut number = || {
            free += 1;
            free - 1
        };
        let mut note = Note { names, ready: number(), ..Note::default() };
        descriptors.push((note.ready, ready));
        for (listener, address, socket) in sockets {
            let descriptor = number();
            note.sockets.push(Entry { descriptor, listener, address: address.to_string() });
            descriptors.push((descriptor, socket));
        }
        Ok(Self { note, descriptors })
    }

    /// The environment variable that the new process needs, with its value.
    pub fn variable(&self) -> serde_json::Result<(&'static str, String)> {
        Ok((VARIABLE, serde_json::to_string(&self.note)?))
    }

    /// What the new process needs to have open, under which numbers.
    pub fn into_descriptors(self) -> Vec<(RawFd, OwnedFd)> {
        self.descriptors
    }
}

/// Tells the predecessor, if there is one, that this process serves from now on, and closes what
/// it has left and nobody here listens on, files of Unix sockets included. From now on sockets are
/// this process's own.
pub fn complete() -> io::Result<()> {
    let Some(left) = lock().take() else { return Ok(()) };
    COMPLETE.store(true, Relaxed);
    let told = left.ready.map_or(Ok(()), |ready| File::from(ready).write_all(&[SERVES]));
    for (_, socket) in left.sockets {
        let address = SockRef::from(&socket).local_addr();
        if let Some(path) = address.ok().as_ref().and_then(SockAddr::as_pathname) {
            // Its end removes it, before the socket goes.
            drop(SocketFile::left_by_predecessor(path));
        }
    }
    told
}

/// Tells the predecessor, if there is one that waits, why this process cannot serve. It is to end
/// then.
pub fn fail(why: &str) -> io::Result<()> {
    let ready = lock().take().and_then(|left| left.ready);
    let Some(ready) = ready else { return Ok(()) };
    let why = why.as_bytes();
    File::from(ready).write_all(&[CANNOT, why.get(..REASON).unwrap_or(why)].concat())
}

/// What the successor has said that does not begin with [`SERVES`]: why it cannot serve, in one
/// line. Nothing if it said nothing.
pub fn why_not(said: &[u8]) -> Option<String> {
    let why = String::from_utf8_lossy(said.strip_prefix(CANNOT)?).into_owned();
    let lines: Vec<_> = why.lines().map(printable).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// Whether files of sockets that came from a predecessor are this process's to remove.
pub(super) fn is_complete() -> bool {
    COMPLETE.load(Relaxed)
}

/// Remembers what the predecessor has left.
pub(super) fn receive(left: Left) {
    COMPLETE.store(false, Relaxed);
    *lock() = Some(left);
}

/// Takes the sockets that the predecessor has left for this address of this listener; none if
/// there are none. It must run inside a tokio runtime.
///
/// They stay as they were made: options that belong to connections are set as for other sockets
/// that somebody else has made.
pub fn left_for(
    listener: &str,
    address: &Address,
    options: &SocketOptions,
) -> Result<Vec<Made>, BindError> {
    let Some(sockets) = lock().as_mut().map(|left| left.take(listener, address)) else {
        return Ok(Vec::new());
    };
    let take = |(entry, socket): (Entry, OwnedFd)| {
        let number = socket.as_raw_fd();
        let made = Made::adopt(socket, options).map_err(|unfit| {
            BindError::because(address, Why::from(InheritError::Unfit(number, unfit)))
        })?;
        tracing::debug!("{} comes from the process before", entry.address);
        Ok(made.into_own())
    };
    sockets.into_iter().map(take).collect()
}

impl Left {
    /// Those of this listener at this address; those of another one, if it is the address that
    /// counts and not a port that the kernel has picked.
    fn take(&mut self, listener: &str, address: &Address) -> Vec<(Entry, OwnedFd)> {
        let address_text = address.to_string();
        let at = |entry: &Entry| entry.address == address_text;
        let theirs = |entry: &Entry| at(entry) && entry.listener == listener;
        let any = !address.is_port_zero() && !self.sockets.iter().any(|(entry, _)| theirs(entry));
        let (taken, rest) = std::mem::take(&mut self.sockets)
            .into_iter()
            .partition(|(entry, _)| theirs(entry) || any && at(entry));
        self.sockets = rest;
        taken
    }
}

impl Made {
    /// What was somebody else's is ours, as if it had been bound here.
    fn into_own(self) -> Self {
        match self {
            Self::Stream(listening) => {
                let file = match &listening.address {
                    Bound::Unix(path) => SocketFile::left_by_predecessor(path).ok(),
                    Bound::Tcp(_) | Bound::Udp(_) | Bound::UnixAbstract(_) => None,
                };
                Self::Stream(Listening { inherited: false, file, ..listening })
            }
            Self::Datagram(socket) => Self::Datagram(socket),
        }
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<Left>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(sockets: &[(&str, &str)]) -> Left {
        let socket = |(listener, address): &(&str, &str)| {
            let entry =
                Entry { descriptor: 0, listener: (*listener).into(), address: (*address).into() };
            (entry, OwnedFd::from(tempfile::tempfile().unwrap()))
        };
        Left { sockets: sockets.iter().map(socket).collect(), ready: None }
    }

    fn taken(left: &mut Left, listener: &str, address: &str) -> Vec<String> {
        let taken = left.take(listener, &address.parse().unwrap());
        taken.into_iter().map(|(entry, _)| entry.listener).collect()
    }

    #[test]
    fn a_listener_gets_its_own_sockets_and_each_once() {
        let mut left = left(&[("a", "tcp://[::1]:7"), ("b", "tcp://[::1]:7"), ("a", "unix:/x")]);
        assert_eq!(taken(&mut left, "b", "[::1]:7"), ["b"]);
        assert_eq!(taken(&mut left, "a", "unix:/x"), ["a"]);
        assert_eq!(taken(&mut left, "a", "unix:/x"), [""; 0]);
    }

    #[test]
    fn a_listener_of_another_name_gets_an_address_but_no_port_that_the_kernel_picked() {
        let mut left = left(&[("old", "tcp://[::1]:7"), ("old", "tcp://[::1]:0")]);
        assert_eq!(taken(&mut left, "new", "[::1]:7"), ["old"]);
        assert_eq!(taken(&mut left, "new", "[::1]:0"), [""; 0]);
        assert_eq!(taken(&mut left, "old", "[::1]:0"), ["old"]);
    }

    #[test]
    fn a_reason_is_one_line_that_drives_no_terminal() {
        assert_eq!(why_not(b"0a: b\nc: \x1b[2J").unwrap(), "a: b; c: \\u{1b}[2J");
        for nothing in [&b""[..], b"0", b"something else"] {
            assert_eq!(why_not(nothing), None);
        }
    }

    #[test]
    fn every_socket_has_a_number_of_its_own() {
        let open = || OwnedFd::from(tempfile::tempfile().unwrap());
        let socket = |address: &str| ("a".to_owned(), address.parse().unwrap(), open());
        let parcel = Parcel::new([socket("7"), socket("unix:/x")], open()).unwrap();
        let note: Note = serde_json::from_str(&parcel.variable().unwrap().1).unwrap();
        let numbers: Vec<_> =
            note.sockets.iter().map(|entry| entry.descriptor).chain([note.ready]).collect();
        assert_eq!(numbers, [4, 5, 3]);
        let descriptors = parcel.into_descriptors();
        assert!(numbers.iter().all(|wanted| descriptors.iter().any(|(it, _)| it == wanted)));
    }
}
