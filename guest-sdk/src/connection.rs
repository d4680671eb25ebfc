//! The connection as a handler sees it: methods over the calls of the host. What it has of std
//! besides is in `std_io.rs`.
//!
//! What waits here parks this instance and nobody else.

use core::time::Duration;

use portcell_abi::{shutdown, timeout};

use crate::error::Error;
use crate::poll::{Interest, Ready};
use crate::sys::Handle;
use crate::transport::Transport;

/// As long as the longest `u64` in decimal.
const LONGEST_NUMBER: usize = 20;

/// One client's bytes or, over UDP, one client's datagrams.
///
/// Dropping it ends the writing half: the peer reads what was written and then the end. The
/// connection itself is closed by the host when the handler returns; to be rid of it earlier, use
/// [`close`](Self::close).
#[derive(Debug)]
pub struct Connection {
    reader: Reader,
    writer: Writer,
}

/// The reading half of a [`Connection`]. Dropping it does nothing.
#[derive(Debug)]
pub struct Reader {
    handle: Handle,
}

/// The writing half of a [`Connection`]. Dropping it ends this half: the peer reads what was
/// written and then the end, while the other half goes on.
#[derive(Debug)]
pub struct Writer {
    handle: Handle,
    ended: bool,
}

impl Connection {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { reader: Reader { handle: handle.clone() }, writer: Writer { handle, ended: false } }
    }

    /// The two halves, so that one can sit in a `BufReader` while the other writes.
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    /// The connection again, from its halves.
    pub fn unsplit(reader: Reader, writer: Writer) -> Self {
        Self { reader, writer }
    }

    /// Waits for the next datagram and puts it at the start of `buf`, cut to its length; the fact
    /// `datagram.size` has the whole size. An empty datagram is `Some(0)`, the end of the flow is
    /// `None`, as it is in a trial run, which has no peer.
    ///
    /// On a stream this is a read, which gives `Some(0)` at the end, again and again.
    pub fn recv(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        self.reader.recv(buf)
    }

    /// As [`recv`](Self::recv), and gives what is at the start of `buf` now: nothing has to be cut
    /// out of it, which could panic.
    pub fn recv_into<'a>(&mut self, buf: &'a mut [u8]) -> Result<Option<&'a mut [u8]>, Error> {
        self.reader.recv_into(buf)
    }

    /// Sends one datagram, the whole of `datagram`; on a stream, all of it as bytes.
    ///
    /// One that is longer than UDP allows is [`Error::TOO_LONG`], and nothing is sent.
    pub fn send(&mut self, datagram: &[u8]) -> Result<(), Error> {
        self.writer.send(datagram)
    }

    /// What carries the bytes. [`Error::NOT_CONNECTED`] in a trial run, which has no peer.
    pub fn transport(&self) -> Result<Transport, Error> {
        let mut buffer = [0; 8];
        self.fact("transport", &mut buffer).and_then(Transport::from_fact)
    }

    /// The number of this connection, unique in this run of the host and the same as in its logs;
    /// an error as for [`transport`](Self::transport).
    pub fn id(&self) -> Result<u64, Error> {
        let mut buffer = [0; LONGEST_NUMBER];
        let fact = self.fact("connection.id", &mut buffer)?;
        let number = str::from_utf8(fact).ok().and_then(|fact| fact.parse().ok());
        number.ok_or(Error::TRANSPORT)
    }

    /// A fact about the connection by its name in the contract, such as `tls.server_name`, without
    /// the heap: it is put at the start of `buf`.
    ///
    /// [`Error::NOT_FOUND`] if it does not exist here, [`Error::TOO_LONG`] if `buf` is too short
    /// for it.
    pub fn info_into<'a>(&self, name: &str, buf: &'a mut [u8]) -> Result<&'a str, Error> {
        self.reader.info_into(name, buf)
    }

    /// Bounds each later read. `None`, as at the start: reads wait for ever (the host's limits
    /// stay). A read whose bound runs out is [`Error::TIMED_OUT`].
    ///
    /// Unlike std's, a bound of zero is allowed: reads never wait, and where there is nothing they
    /// are [`Error::WOULD_BLOCK`]. Bounds are rounded up to milliseconds, at most 24 days.
    pub fn set_read_timeout(&self, bound: Option<Duration>) -> Result<(), Error> {
        self.reader.set_read_timeout(bound)
    }

    /// Bounds each later write, as [`set_read_timeout`](Self::set_read_timeout) does reads. A
    /// write that is out of time returns how much was taken, if anything was.
    pub fn set_write_timeout(&self, bound: Option<Duration>) -> Result<(), Error> {
        self.writer.set_write_timeout(bound)
    }

    /// Waits until one of `interest` is there, the connection fails, or `bound` runs out; then
    /// nothing is set in the result. `None` waits for ever, zero does not wait.
    pub fn poll(&self, interest: Interest, bound: Option<Duration>) -> Result<Ready, Error> {
        self.reader.poll(interest, bound)
    }

    /// Breaks the connection: the peer sees an error, and what it was not yet sent is lost.
    pub fn reset(mut self) -> Result<(), Error> {
        self.writer.ended = true;
        self.reader.handle.shutdown(shutdown::RESET)
    }

    /// Ends the connection in good order: what was written is still delivered, and what the peer
    /// still sends is dropped. Waits for the peer's end, for 2 s at most.
    ///
    /// A handler that only wants to end returns instead, which costs no memory while the host
    /// waits.
    pub fn close(mut self) -> Result<(), Error> {
        self.writer.ended = true;
        self.reader.handle.close()
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.reader.handle
    }

    /// A fact that every connection has.
    #[inline]
    pub(crate) fn fact<'a>(&self, name: &str, buf: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let length = self.handle().info(name, buf).map_err(|error| match error {
            Error::NOT_FOUND => Error::NOT_CONNECTED,
            other => other,
        })?;
        buf.get(..length).ok_or(Error::TRANSPORT)
    }
}

impl Reader {
    /// As [`Connection::recv`].
    #[inline]
    pub fn recv(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        match self.handle.read(buf) {
            Ok(length) => Ok(Some(length)),
            Err(Error::NOT_CONNECTED) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Connection::recv_into`].
    #[inline]
    pub fn recv_into<'a>(&mut self, buf: &'a mut [u8]) -> Result<Option<&'a mut [u8]>, Error> {
        let length = self.recv(buf)?;
        Ok(length.and_then(|length| buf.get_mut(..length)))
    }

    /// As [`Connection::info_into`].
    pub fn info_into<'a>(&self, name: &str, buf: &'a mut [u8]) -> Result<&'a str, Error> {
        let length = self.handle.info(name, buf)?;
        let fact = buf.get(..length).ok_or(Error::TOO_LONG)?;
        str::from_utf8(fact).map_err(|_| Error::TRANSPORT)
    }

    /// As [`Connection::poll`].
    pub fn poll(&self, interest: Interest, bound: Option<Duration>) -> Result<Ready, Error> {
        self.handle.poll(interest.bits(), bound).map(Ready::from_bits)
    }

    /// As [`Connection::set_read_timeout`].
    pub fn set_read_timeout(&self, bound: Option<Duration>) -> Result<(), Error> {
        self.handle.set_timeout(timeout::READ, bound)
    }

    #[cfg(any(feature = "std", not(target_family = "wasm")))]
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Writer {
    /// As [`Connection::send`].
    #[inline]
    pub fn send(&mut self, datagram: &[u8]) -> Result<(), Error> {
        let mut rest = datagram;
        loop {
            match self.handle.write(rest)? {
                count if count >= rest.len() => return Ok(()),
                // Not in the contract.
                0 => return Err(Error::TRANSPORT),
                // An error came in between, and is what the next call gives.
                count => rest = &rest[count..],
            }
        }
    }

    /// Ends this half, as dropping it does, and says whether that worked.
    pub fn finish(mut self) -> Result<(), Error> {
        self.end()
    }

    /// As [`Connection::set_write_timeout`].
    pub fn set_write_timeout(&self, bound: Option<Duration>) -> Result<(), Error> {
        self.handle.set_timeout(timeout::WRITE, bound)
    }

    #[cfg(any(feature = "std", not(target_family = "wasm")))]
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        self.handle.shutdown(shutdown::WRITE)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left who could use the error: a peer that is gone needs no end.
        let _ = self.end();
    }
}
