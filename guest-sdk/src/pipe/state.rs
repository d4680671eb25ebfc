//! What a connection in memory is at one moment, and the steps that change it. A step never waits.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use portcell_abi::{Errno, poll};

use super::tls::Tls;

/// How much waits in one direction before a write waits, in bytes.
const CAPACITY: usize = 64 * 1024;

/// The longest datagram that fits UDP over IPv4, in bytes.
const LONGEST_DATAGRAM: usize = 65_507;

/// What is written and read: bytes or datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Datagrams,
    Stream,
}

/// Where the guest's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    Closed,
    Here,
    Reset,
}

/// Where the peer's end is; absent in a trial run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Absent,
    Gone,
    Here,
    Reset,
}

/// What both ends share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) kind: Kind,
    pub(crate) guest: Guest,
    pub(crate) peer: Peer,
    pub(crate) draining: bool,
    pub(crate) facts: BTreeMap<String, String>,
    /// Whether the configuration has settings for TLS.
    pub(crate) has_tls: bool,
    pub(super) tls: Tls,
    /// From the peer to the guest.
    pub(crate) incoming: Queue,
    /// From the guest to the peer.
    pub(crate) outgoing: Queue,
    /// How many steps have moved something.
    pub(super) moved: u64,
    pub(super) read_bound: Option<Duration>,
    pub(super) write_bound: Option<Duration>,
    pub(super) guest_reads_ended: bool,
}

/// What was written in one direction and not read yet. On a stream the pieces are joined.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pieces: VecDeque<VecDeque<u8>>,
    pub(crate) ended: bool,
}

impl State {
    pub(crate) fn new(kind: Kind) -> Self {
        let transport = match kind {
            Kind::Datagrams => "udp",
            Kind::Stream => "tcp",
        };
        let facts = [
            ("peer.address", "192.0.2.1:50000"),
            ("local.address", "192.0.2.2:7"),
            ("transport", transport),
            ("connection.id", "1"),
            ("listener", "test"),
            ("handler", "test"),
            ("handler.version", "1"),
            ("tenant", "default"),
        ];
        Self {
            kind,
            guest: Guest::Here,
            peer: Peer::Here,
            draining: false,
            facts: facts.map(|(name, value)| (name.into(), value.into())).into(),
            has_tls: true,
            tls: Tls::Plaintext,
            incoming: Queue::default(),
            outgoing: Queue::default(),
            moved: 0,
            read_bound: None,
            write_bound: None,
            guest_reads_ended: false,
        }
    }

    /// Whether the guest's descriptor can be used at all.
    pub(super) fn usable(&self) -> Result<(), Errno> {
        match (self.guest, self.peer) {
            (Guest::Closed, _) => Err(Errno::BadFd),
            (_, Peer::Absent) => Err(Errno::NotConn),
            _ => Ok(()),
        }
    }

    pub(super) fn guest_reads(&mut self, buf: &mut [u8]) -> Option<Result<usize, Errno>> {
        if let Err(errno) = self.usable() {
            return Some(Err(errno));
        }
        if self.guest == Guest::Reset || self.peer == Peer::Reset {
            return Some(Err(Errno::ConnReset));
        }
        if self.guest_reads_ended || (buf.is_empty() && self.kind == Kind::Stream) {
            return Some(Ok(0));
        }
        if let Some((count, size)) = self.incoming.take(self.kind, buf) {
            self.moved += 1;
            if self.kind == Kind::Datagrams {
                self.facts.insert("datagram.size".into(), size.to_string());
            }
            return Some(Ok(count));
        }
        match self.kind {
            _ if !self.incoming.ended => None,
            Kind::Stream => Some(Ok(0)),
            Kind::Datagrams => Some(Err(Errno::NotConn)),
        }
    }

    /// Takes what fits of what is left of `buf`; a result when all is taken or nothing more can be.
    pub(super) fn guest_writes(
        &mut self,
        buf: &[u8],
        taken: &mut usize,
    ) -> Option<Result<(), Errno>> {
        if let Err(errno) = self.usable() {
            return Some(Err(errno));
        }
        match (self.guest, self.peer, self.kind) {
            (Guest::Reset, ..) => return Some(Err(Errno::ConnReset)),
            (_, Peer::Gone, Kind::Datagrams) => return Some(Err(Errno::NotConn)),
            (_, Peer::Gone | Peer::Reset, _) => return Some(Err(Errno::Pipe)),
            _ if self.outgoing.ended => return Some(Err(Errno::Pipe)),
            _ if self.kind == Kind::Datagrams && buf.len() > LONGEST_DATAGRAM => {
                return Some(Err(Errno::MsgSize));
            }
            _ => {}
        }
        let count = self.outgoing.put(self.kind, &buf[*taken..]);
        if let Some(count) = count {
            self.moved += 1;
            *taken += count;
        }
        (count.is_some() && *taken == buf.len()).then_some(Ok(()))
    }

    pub(super) fn end_guest_reads(&mut self) {
        self.guest_reads_ended = true;
        self.incoming.clear();
    }

    /// Every bit of `poll` that is true now.
    pub(super) fn ready(&self) -> u16 {
        if self.guest == Guest::Closed {
            return poll::INVALID;
        }
        let failed = self.guest == Guest::Reset || self.peer == Peer::Reset;
        let input_ended = self.incoming.ended || self.guest_reads_ended;
        let output_ended = self.outgoing.ended || self.peer == Peer::Gone;
        let mut bits = 0;
        if failed || input_ended || !self.incoming.is_empty() {
            bits |= poll::READABLE;
        }
        if failed || output_ended || self.outgoing.room() > 0 {
            bits |= poll::WRITABLE;
        }
        if self.draining {
            bits |= poll::DRAINING;
        }
        if failed {
            bits |= poll::FAILED;
        }
        if input_ended && output_ended {
            bits |= poll::OVER;
        }
        bits
    }

    /// One read of the peer: 0 at the end, `None` while there is nothing.
    pub(crate) fn peer_reads(&mut self, buf: &mut [u8]) -> Option<Result<Option<usize>, Errno>> {
        if self.guest == Guest::Reset || self.peer == Peer::Reset {
            return Some(Err(Errno::ConnReset));
        }
        if let Some((count, _)) = self.outgoing.take(self.kind, buf) {
            self.moved += 1;
            return Some(Ok(Some(count)));
        }
        (self.outgoing.ended || self.guest == Guest::Closed).then_some(Ok(None))
    }

    /// One write of the peer, as much as fits; `None` while nothing does.
    pub(crate) fn peer_writes(&mut self, buf: &[u8]) -> Option<Result<usize, Errno>> {
        match (self.guest, self.peer) {
            (Guest::Reset, _) | (_, Peer::Reset) => return Some(Err(Errno::ConnReset)),
            (Guest::Closed, _) => return Some(Err(Errno::Pipe)),
            _ if self.incoming.ended => return Some(Err(Errno::Pipe)),
            // The host takes and drops what a guest does not want to read.
            _ if self.guest_reads_ended => return Some(Ok(buf.len())),
            _ if self.kind == Kind::Datagrams && buf.len() > LONGEST_DATAGRAM => {
                return Some(Err(Errno::MsgSize));
            }
            _ => {}
        }
        let count = self.incoming.put(self.kind, buf)?;
        self.moved += 1;
        Some(Ok(count))
    }
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.pieces.clear();
    }

    /// An empty datagram takes a byte, so that their number is bounded too.
    fn room(&self) -> usize {
        let used: usize = self.pieces.iter().map(|piece| piece.len().max(1)).sum();
        CAPACITY.saturating_sub(used)
    }

    /// Puts in what fits and says how much; a datagram goes in whole as soon as there is any room.
    fn put(&mut self, kind: Kind, buf: &[u8]) -> Option<usize> {
        if kind == Kind::Stream && buf.is_empty() {
            return Some(0);
        }
        let room = self.room();
        if room == 0 {
            return None;
        }
        match (kind, self.pieces.back_mut()) {
            (Kind::Datagrams, _) => {
                self.pieces.push_back(buf.iter().copied().collect());
                Some(buf.len())
            }
            (Kind::Stream, piece) => {
                let fitting = &buf[..buf.len().min(room)];
                match piece {
                    Some(piece) => piece.extend(fitting),
                    None => self.pieces.push_back(fitting.iter().copied().collect()),
                }
                Some(fitting.len())
            }
        }
    }

    /// Takes out up to `buf`, or one datagram cut to it; how much, and how long it was.
    fn take(&mut self, kind: Kind, buf: &mut [u8]) -> Option<(usize, usize)> {
        let piece = self.pieces.front_mut()?;
        let size = piece.len();
        let count = size.min(buf.len());
        for (to, from) in buf.iter_mut().zip(piece.drain(..count)) {
            *to = from;
        }
        if kind == Kind::Datagrams || piece.is_empty() {
            self.pieces.pop_front();
        }
        Some((count, size))
    }
}
