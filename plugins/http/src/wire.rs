//! The connection with a buffer on each side.
//!
//! What is written goes out in one piece when the next read would wait, so that an answer is one
//! write of the host and answers to pipelined requests share one. Knows bytes, not HTTP.

use std::io::{self, Read, Write};
use std::time::Duration;

use portcell_sdk::{Connection, Interest};

/// The most input that is held, in bytes: no request head is longer.
pub(crate) const LARGEST: usize = 16 * 1024;

const SMALLEST: usize = 2 * 1024;

pub(crate) struct Wire {
    connection: Connection,
    input: Vec<u8>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    draining: bool,
}

impl Wire {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            input: Vec::new(),
            start: 0,
            end: 0,
            output: Vec::new(),
            draining: false,
        }
    }

    /// Waits for the first bytes of a request, or for the end of the input. False if the host
    /// wants the connection to end and no request has begun.
    pub(crate) fn wait(&mut self) -> io::Result<bool> {
        let idle = self.buffered().is_empty();
        if idle {
            self.flush()?;
        }
        let bound = if idle { None } else { Some(Duration::ZERO) };
        let ready = self.connection.poll(Interest::READABLE | Interest::DRAINING, bound)?;
        self.draining = ready.is_draining();
        Ok(!self.draining || !idle || ready.is_readable())
    }

    /// Whether the last [`wait`](Self::wait) found that the host wants the connection to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Sends what was written, then waits for more input. False at its end.
    ///
    /// The buffer must not hold [`LARGEST`] bytes already.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        self.flush()?;
        let was_full = self.end == self.input.len();
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if was_full && self.input.len() < LARGEST {
            self.input.resize((self.input.len() * 2).max(SMALLEST), 0);
        }
        debug_assert!(self.end < self.input.len(), "no room to read into");
        let count = self.connection.read(&mut self.input[self.end..])?;
        self.end += count;
        Ok(count > 0)
    }

    /// Input that was read and not yet taken.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Takes `count` bytes of the buffered input and drops them.
    pub(crate) fn skip(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "took what was not there");
    }

    /// Takes `count` bytes of the buffered input.
    pub(crate) fn take(&mut self, count: usize) -> &[u8] {
        self.skip(count);
        &self.input[self.start - count..self.start]
    }

    /// Takes `count` bytes of the buffered input and writes them.
    pub(crate) fn send_back(&mut self, count: usize) {
        self.output.extend_from_slice(&self.input[self.start..self.start + count]);
        self.start += count;
    }

    /// What is to be written; may be appended to.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Sends what was written if it has become much.
    pub(crate) fn flush_if_large(&mut self) -> io::Result<()> {
        if self.output.len() < LARGEST { Ok(()) } else { self.flush() }
    }

    /// Sends what was written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let result = self.connection.write_all(&self.output);
        self.output.clear();
        result
    }

    /// A fact about the connection, if it exists here.
    pub(crate) fn fact(&self, name: &str) -> Option<String> {
        self.connection.info(name)
    }
}

#[cfg(test)]
mod tests {
    use portcell_sdk::Peer;

    use super::*;

    fn wire() -> (Wire, Peer) {
        let (connection, mut peer) = Connection::pair();
        peer.set_patience(Duration::ZERO);
        (Wire::new(connection), peer)
    }

    #[test]
    fn what_is_written_goes_out_before_a_read_waits() {
        let (mut wire, mut peer) = wire();
        wire.output().extend_from_slice(b"out");
        assert!(peer.read(&mut [0; 8]).is_err(), "sent too early");
        peer.write_all(b"in").unwrap();
        assert!(wire.fill().unwrap());
        let mut output = [0; 8];
        assert_eq!(peer.read(&mut output).unwrap(), 3);
        assert_eq!(wire.buffered(), b"in");
    }

    #[test]
    fn the_buffer_starts_small_and_has_an_end() {
        let (mut wire, mut peer) = wire();
        peer.write_all(&vec![b'x'; 2 * LARGEST]).unwrap();
        assert!(wire.fill().unwrap());
        assert_eq!(wire.buffered().len(), SMALLEST);
        while wire.buffered().len() < LARGEST {
            assert!(wire.fill().unwrap());
        }
        assert_eq!(wire.input.len(), LARGEST);
        wire.skip(LARGEST);
        assert!(wire.fill().unwrap());
        assert_eq!(wire.input.len(), LARGEST);
    }

    #[test]
    fn what_is_taken_makes_room_and_the_rest_stays() {
        let (mut wire, mut peer) = wire();
        peer.write_all(b"abcdef").unwrap();
        assert!(wire.fill().unwrap());
        assert_eq!(wire.take(2), b"ab");
        wire.send_back(1);
        peer.write_all(b"gh").unwrap();
        assert!(wire.fill().unwrap());
        assert_eq!(wire.buffered(), b"defgh");
        peer.finish();
        assert!(!wire.fill().unwrap());
        let mut output = [0; 8];
        assert_eq!(peer.read(&mut output).unwrap(), 1);
        assert_eq!(output[0], b'c');
    }

    #[test]
    fn a_drain_ends_the_wait_unless_something_has_come() {
        let (mut wire, mut peer) = wire();
        peer.drain();
        assert!(!wire.wait().unwrap());
        peer.write_all(b"x").unwrap();
        assert!(wire.wait().unwrap() && wire.is_draining());
    }
}
