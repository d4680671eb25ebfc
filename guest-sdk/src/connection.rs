//! The connection as a handler sees it: std's `Read` and `Write` over the calls of the host.
//!
//! What waits here parks this instance and nobody else.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use portcell_abi::{Errno, shutdown, timeout};

use crate::address::{Address, Transport};
use crate::error::error;
use crate::poll::{Interest, Ready};
use crate::sys::Handle;

/// Longer than any address: the path of a Unix socket has at most 107 bytes.
const SHORT_FACT: usize = 128;

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
    /// On a stream this is [`read`](Read::read), which gives `Some(0)` at the end, again and again.
    pub fn recv(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        self.reader.recv(buf)
    }

    /// Sends one datagram, the whole of `datagram`; on a stream, all of it as bytes.
    ///
    /// One that is longer than UDP allows is [`ErrorKind::InvalidInput`], and nothing is sent.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.writer.send(datagram)
    }

    /// Where the peer is. Behind a Unix socket: which process it is.
    ///
    /// [`ErrorKind::NotConnected`] in a trial run, which has no peer.
    pub fn peer_address(&self) -> io::Result<Address> {
        self.fact("peer.address", |fact| Ok(Address::from_fact(fact)))
    }

    /// The address that the peer connected to; an error as for
    /// [`peer_address`](Self::peer_address).
    pub fn local_address(&self) -> io::Result<Address> {
        self.fact("local.address", |fact| Ok(Address::from_fact(fact)))
    }

    /// What carries the bytes; an error as for [`peer_address`](Self::peer_address).
    pub fn transport(&self) -> io::Result<Transport> {
        self.fact("transport", str::parse)
    }

    /// The number of this connection, unique in this run of the host and the same as in its logs;
    /// an error as for [`peer_address`](Self::peer_address).
    pub fn id(&self) -> io::Result<u64> {
        self.fact("connection.id", |fact| fact.parse().map_err(|_| ErrorKind::InvalidData.into()))
    }

    /// A fact about the connection by its name in the contract, such as `tls.server_name`. `None`
    /// if it does not exist here.
    pub fn info(&self, name: &str) -> Option<String> {
        self.reader.info(name)
    }

    /// Bounds each later read. `None`, as at the start: reads wait for ever (the host's limits
    /// stay). A read whose bound runs out is [`ErrorKind::TimedOut`].
    ///
    /// Unlike std's, a bound of zero is allowed: reads never wait, and where there is nothing they
    /// are [`ErrorKind::WouldBlock`]. Bounds are rounded up to milliseconds, at most 24 days.
    pub fn set_read_timeout(&self, bound: Option<Duration>) -> io::Result<()> {
        self.reader.set_read_timeout(bound)
    }

    /// Bounds each later write, as [`set_read_timeout`](Self::set_read_timeout) does reads. A
    /// write that is out of time returns how much was taken, if anything was.
    pub fn set_write_timeout(&self, bound: Option<Duration>) -> io::Result<()> {
        self.writer.set_write_timeout(bound)
    }

    /// Waits until one of `interest` is there, the connection fails, or `bound` runs out; then
    /// nothing is set in the result. `None` waits for ever, zero does not wait.
    pub fn poll(&self, interest: Interest, bound: Option<Duration>) -> io::Result<Ready> {
        self.reader.poll(interest, bound)
    }

    /// Ends a direction, or both. After `Write` the peer reads the end; after `Read` reads give
    /// the end. Ending a direction again is fine.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => shutdown::READ,
            Shutdown::Write => shutdown::WRITE,
            Shutdown::Both => shutdown::BOTH,
        };
        self.reader.handle.shutdown(how).map_err(error)
    }

    /// Breaks the connection: the peer sees an error, and what it was not yet sent is lost.
    pub fn reset(mut self) -> io::Result<()> {
        self.writer.ended = true;
        self.reader.handle.shutdown(shutdown::RESET).map_err(error)
    }

    /// Ends the connection in good order: what was written is still delivered, and what the peer
    /// still sends is dropped. Waits for the peer's end, for 2 s at most.
    ///
    /// A handler that only wants to end returns instead, which costs no memory while the host
    /// waits.
    pub fn close(mut self) -> io::Result<()> {
        self.writer.ended = true;
        self.reader.handle.close().map_err(error)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.reader.handle
    }

    /// A fact that every connection has and that is short: read without the heap, which many
    /// handlers never touch.
    fn fact<T>(&self, name: &str, parse: impl FnOnce(&str) -> io::Result<T>) -> io::Result<T> {
        let mut buffer = [0; SHORT_FACT];
        let length = self.reader.handle.info(name, &mut buffer).map_err(|errno| match errno {
            Errno::NoEnt => ErrorKind::NotConnected.into(),
            other => error(other),
        })?;
        let fact = buffer.get(..length).and_then(|fact| str::from_utf8(fact).ok());
        parse(fact.ok_or(ErrorKind::InvalidData)?)
    }
}

impl Read for Connection {
    /// As [`Reader::read`].
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buf)
    }
}

impl Write for Connection {
    /// As [`Writer::write`].
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writer.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader {
    /// As [`Connection::recv`].
    pub fn recv(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        match self.handle.read(buf) {
            Ok(length) => Ok(Some(length)),
            Err(Errno::NotConn) => Ok(None),
            Err(errno) => Err(error(errno)),
        }
    }

    /// As [`Connection::info`].
    pub fn info(&self, name: &str) -> Option<String> {
        let mut buffer = vec![0; SHORT_FACT];
        loop {
            let length = self.handle.info(name, &mut buffer).ok()?;
            if length <= buffer.len() {
                buffer.truncate(length);
                return Some(String::from_utf8_lossy(&buffer).into_owned());
            }
            buffer.resize(length, 0);
        }
    }

    /// As [`Connection::poll`].
    pub fn poll(&self, interest: Interest, bound: Option<Duration>) -> io::Result<Ready> {
        self.handle.poll(interest.bits(), bound).map(Ready::from_bits).map_err(error)
    }

    /// As [`Connection::set_read_timeout`].
    pub fn set_read_timeout(&self, bound: Option<Duration>) -> io::Result<()> {
        self.handle.set_timeout(timeout::READ, bound).map_err(error)
    }
}

impl Read for Reader {
    /// One call of the host, which waits until there is something.
    ///
    /// The end of a stream is 0, and so is the end of a flow. A datagram is read whole, cut to
    /// `buf`; an empty one is 0 as well, so what must tell it from the end uses
    /// [`recv`](Self::recv).
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv(buf).map(Option::unwrap_or_default)
    }
}

impl Writer {
    /// As [`Connection::send`].
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if datagram.is_empty() {
            return self.write(datagram).map(drop);
        }
        self.write_all(datagram)
    }

    /// Ends this half, as dropping it does, and says whether that worked.
    pub fn finish(mut self) -> io::Result<()> {
        self.end().map_err(error)
    }

    /// As [`Connection::set_write_timeout`].
    pub fn set_write_timeout(&self, bound: Option<Duration>) -> io::Result<()> {
        self.handle.set_timeout(timeout::WRITE, bound).map_err(error)
    }

    fn end(&mut self) -> Result<(), Errno> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        self.handle.shutdown(shutdown::WRITE)
    }
}

impl Write for Writer {
    /// One call of the host. It takes all of `buf`, unless an error or the end of the bound came
    /// in between; then it gives the count so far. Over UDP it sends one datagram.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.handle.write(buf).map_err(error)
    }

    /// Does nothing: the host sends what it holds when the handler next waits or ends.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left who could use the error: a peer that is gone needs no end.
        let _ = self.end();
    }
}
