//! One session of TLS (RFC 8446, RFC 5246): ciphertext on one side, plaintext on the other.
//!
//! It never waits and knows no sockets: what takes and gives ciphertext says `WouldBlock`.

use std::io::{self, ErrorKind, Read, Write as _};

use rustls::{IoState, ServerConnection};

/// A session whose handshake is done.
#[derive(Debug)]
pub(super) struct Session {
    tls: ServerConnection,
    /// Plaintext that is there to be read, in bytes.
    plaintext: usize,
    input: Input,
    /// `close_notify` is sent, or on its way.
    ended: bool,
    /// The end of the transport is the end of the stream, also without `close_notify`.
    eof_is_end: bool,
}

/// What comes after the plaintext that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    /// The peer's `close_notify`.
    Ended,
    /// An error, which stays.
    Failed(ErrorKind),
}

impl Session {
    pub(super) fn new(mut tls: ServerConnection, eof_is_end: bool) -> Self {
        // The last record of a handshake can have plaintext behind it.
        let state = tls.process_new_packets();
        let mut this = Self { tls, plaintext: 0, input: Input::Open, ended: false, eof_is_end };
        this.became(state);
        this
    }

    /// Whether a read gives something: plaintext, the end, or an error.
    pub(super) fn has_input(&self) -> bool {
        self.plaintext > 0 || self.input != Input::Open
    }

    /// Whether all that is left to read is an error.
    pub(super) fn has_failed(&self) -> bool {
        self.plaintext == 0 && matches!(self.input, Input::Failed(_))
    }

    /// Takes some ciphertext, unless there is something to read already: the plaintext that waits
    /// is bounded by that. Fails only if nothing is there; other errors are the next read's.
    pub(super) fn receive(&mut self, wire: &mut dyn Read) -> io::Result<()> {
        if self.has_input() {
            return Ok(());
        }
        match self.tls.read_tls(wire) {
            Ok(0) if self.eof_is_end => self.input = Input::Ended,
            Ok(0) => self.input = Input::Failed(ErrorKind::ConnectionAborted),
            Ok(_) => {
                let state = self.tls.process_new_packets();
                self.became(state);
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Err(error),
                ErrorKind::Interrupted => {}
                kind => self.input = Input::Failed(kind),
            },
        }
        Ok(())
    }

    /// What is there; `WouldBlock` if there is nothing.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.plaintext > 0 {
            let read = self.tls.reader().read(buf)?;
            self.plaintext -= read.min(self.plaintext);
            if matches!(self.input, Input::Failed(_)) {
                self.plaintext = self.next_chunk();
            }
            return Ok(read);
        }
        match self.input {
            Input::Open => Err(ErrorKind::WouldBlock.into()),
            Input::Ended => Ok(0),
            Input::Failed(kind) => Err(kind.into()),
        }
    }

    /// Encrypts some of `buf`, at least a byte, when all that was encrypted before is sent.
    pub(super) fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.input {
            // The peer cannot read what comes after an error of the protocol.
            Input::Failed(kind) if kind != ErrorKind::ConnectionAborted => Err(kind.into()),
            _ => self.tls.writer().write(buf),
        }
    }

    /// Whether there is ciphertext to send.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Sends the ciphertext that is there; `WouldBlock` when not all of it is taken.
    pub(super) fn flush(&mut self, wire: &mut dyn io::Write) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(wire) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts `close_notify` behind what was written.
    pub(super) fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.tls.send_close_notify();
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    fn became(&mut self, state: Result<IoState, rustls::Error>) {
        match state {
            Ok(state) => {
                self.plaintext = state.plaintext_bytes_to_read();
                if state.peer_has_closed() {
                    self.input = Input::Ended;
                }
            }
            // An alert of the peer's, or one of ours, which is on its way then. Plaintext that came
            // before it can still be read.
            Err(error) => {
                tracing::debug!("TLS failed: {error}");
                self.plaintext = self.next_chunk();
                self.input = Input::Failed(ErrorKind::ConnectionReset);
            }
        }
    }
    /// How much plaintext there is at least: after an error rustls does not say it all.
    fn next_chunk(&mut self) -> usize {
        self.tls.reader().into_first_chunk().map_or(0, <[u8]>::len)
    }
}
