//! The connection with a buffer on each side.
//!
//! What is written goes out when the next read would wait, so that replies to pipelined commands
//! share one write of the host. Knows bytes, not SMTP.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use portcell_sdk::{Connection, Interest};

use crate::reply::Reply;

/// The most input that is held, in bytes: more than the longest line.
pub(crate) const CAPACITY: usize = 16 * 1024;

pub(crate) struct Wire {
    connection: Connection,
    input: Vec<u8>,
    start: usize,
    end: usize,
    output: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, input: vec![0; CAPACITY], start: 0, end: 0, output: Vec::new() }
    }

    /// For its facts.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Waits for input, or for its end. False as soon as the host wants the connection to end.
    pub(crate) fn wait(&mut self) -> io::Result<bool> {
        let bound = if self.buffered().is_empty() {
            self.flush()?;
            None
        } else {
            Some(Duration::ZERO)
        };
        let ready = self.connection.poll(Interest::READABLE | Interest::DRAINING, bound)?;
        Ok(!ready.is_draining())
    }

    /// Sends what was written, then waits for more input. False at its end.
    ///
    /// The buffer must not be full.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        self.flush()?;
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        debug_assert!(self.end < self.input.len(), "no room to read into");
        let count = self.connection.read(&mut self.input[self.end..])?;
        self.end += count;
        Ok(count > 0)
    }

    /// Input that was read and not yet taken.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Takes `count` bytes of the buffered input.
    pub(crate) fn take(&mut self, count: usize) -> &[u8] {
        debug_assert!(count <= self.buffered().len(), "took what was not there");
        self.start += count;
        &self.input[self.start - count..self.start]
    }

    /// Writes a reply, which goes out with the next [`fill`](Self::fill), [`wait`](Self::wait) or
    /// [`flush`](Self::flush).
    pub(crate) fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        write!(self.output, "{reply}")?;
        if self.output.len() < CAPACITY { Ok(()) } else { self.flush() }
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

    /// Sends `reply` in plaintext, and goes on over TLS with nothing in the buffers: what came in
    /// plaintext is dropped. False if that is not offered here; then nothing has changed.
    pub(crate) fn start_tls(mut self, reply: &Reply) -> io::Result<(Self, bool)> {
        self.flush()?;
        match self.connection.start_tls(reply.to_string().as_bytes()) {
            Ok(connection) => {
                let dropped = self.end - self.start;
                if dropped > 0 {
                    portcell_sdk::warn!("dropped {dropped} bytes that came before TLS");
                }
                Ok((Self::new(connection), true))
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Ok((Self { connection: error.into_connection(), ..self }, false))
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use portcell_sdk::Peer;

    use super::*;

    fn wire() -> (Wire, Peer) {
        let (connection, mut peer) = Connection::pair();
        peer.set_patience(Duration::ZERO);
        (Wire::new(connection), peer)
    }

    #[test]
    fn replies_go_out_together_before_a_read_waits() {
        let (mut wire, mut peer) = wire();
        wire.reply(&Reply::new(250, "one")).unwrap();
        wire.reply(&Reply::new(250, "two")).unwrap();
        assert!(peer.read(&mut [0; 8]).is_err(), "sent too early");
        peer.write_all(b"in").unwrap();
        assert!(wire.fill().unwrap());
        let mut output = [0; 32];
        let count = peer.read(&mut output).unwrap();
        assert_eq!(&output[..count], b"250 one\r\n250 two\r\n");
    }

    #[test]
    fn replies_do_not_pile_up() {
        let (mut wire, mut peer) = wire();
        let reply = Reply::new(250, "x".repeat(1000));
        for _ in 0..=CAPACITY / 1000 {
            wire.reply(&reply).unwrap();
        }
        assert!(wire.output.is_empty());
        assert!(peer.read(&mut [0; 8]).is_ok());
    }

    #[test]
    fn what_is_taken_makes_room_and_the_rest_stays() {
        let (mut wire, mut peer) = wire();
        peer.write_all(&vec![b'x'; 2 * CAPACITY]).unwrap();
        assert!(wire.fill().unwrap());
        assert_eq!(wire.take(2), b"xx");
        assert!(wire.fill().unwrap());
        assert_eq!(wire.buffered().len(), CAPACITY);
        wire.take(CAPACITY);
        peer.finish();
        assert!(wire.fill().unwrap());
        wire.take(CAPACITY - 2);
        assert!(!wire.fill().unwrap());
    }

    #[test]
    fn a_drain_ends_the_wait() {
        let (mut wire, mut peer) = wire();
        peer.write_all(b"x").unwrap();
        assert!(wire.wait().unwrap());
        wire.fill().unwrap();
        assert!(wire.wait().unwrap());
        peer.drain();
        assert!(!wire.wait().unwrap());
        wire.take(1);
        assert!(!wire.wait().unwrap());
    }

    #[test]
    fn nothing_that_was_read_in_plaintext_is_there_over_tls() {
        let (connection, mut peer) = Connection::pair();
        let mut wire = Wire::new(connection);
        peer.write_all(b"in plaintext").unwrap();
        wire.fill().unwrap();
        wire.reply(&Reply::new(250, "before")).unwrap();
        let upgrade = thread::spawn(move || wire.start_tls(&Reply::new(220, "ready")).unwrap());
        let mut output = [0; 23];
        peer.read_exact(&mut output).unwrap();
        assert_eq!(&output, b"250 before\r\n220 ready\r\n");
        peer.start_tls().unwrap();
        let (wire, is_tls) = upgrade.join().unwrap();
        assert!(is_tls && wire.buffered().is_empty());
    }

    #[test]
    fn where_there_is_no_tls_all_stays() {
        let (mut wire, mut peer) = wire();
        peer.refuse_tls();
        peer.write_all(b"in plaintext").unwrap();
        wire.fill().unwrap();
        let (wire, is_tls) = wire.start_tls(&Reply::new(220, "ready")).unwrap();
        assert!(!is_tls);
        assert_eq!(wire.buffered(), b"in plaintext");
    }
}
