//! Tests of handlers without a host: the other end of a connection in memory. Off wasm only.
//!
//! The pipe between them buffers 64 KiB in each direction and then makes the writer wait, as
//! sockets do. A small conversation fits in one thread: write all input, [`finish`](Peer::finish),
//! call the handler, read. For anything longer use [`converse`] or a thread.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use portcell_abi::Errno;

use crate::connection::Connection;
use crate::error::Error;
use crate::pipe::{self, Handle, Kind, Pipe, State};
use crate::run::Outcome;

/// How long a [`Peer`] waits for its handler, if nothing else is set: long enough for a slow
/// machine, short enough that a handler that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(10);

/// The client's end of a [`Connection`] in memory. Dropping it closes both directions, as a client
/// does that goes away in good order.
///
/// Its reads and writes wait for the handler, for ten seconds at most; then they are
/// [`ErrorKind::TimedOut`].
#[derive(Debug)]
pub struct Peer {
    pipe: Arc<Pipe>,
    patience: Duration,
}

impl Connection {
    /// A stream in memory and its other end. Off wasm only.
    ///
    /// Its facts are those of a TCP connection from `192.0.2.1:50000` to `192.0.2.2:7`; see
    /// [`Peer::set_fact`].
    pub fn pair() -> (Self, Peer) {
        pair(Kind::Stream)
    }

    /// A flow of datagrams in memory and its other end, with the transport `udp`. Off wasm only.
    pub fn datagram_pair() -> (Self, Peer) {
        pair(Kind::Datagrams)
    }
}

fn pair(kind: Kind) -> (Connection, Peer) {
    let pipe = Arc::new(Pipe::new(State::new(kind)));
    let connection = Connection::new(Handle::new(Arc::clone(&pipe)));
    (connection, Peer { pipe, patience: PATIENCE })
}

/// Lets `handler` talk to a peer that sends `input`, then its end, and reads meanwhile; gives all
/// that the handler wrote.
///
/// Panics if the handler fails, so that the test does. What a handler does not read is dropped.
///
/// ```
/// use portcell_sdk::{Connection, testing::converse};
/// use std::io;
///
/// fn echo(conn: Connection) -> io::Result<()> {
///     let (mut reader, mut writer) = conn.split();
///     io::copy(&mut reader, &mut writer).map(drop)
/// }
///
/// assert_eq!(converse(echo, "as it is"), b"as it is");
/// ```
pub fn converse<O: Outcome>(
    handler: impl FnOnce(Connection) -> O,
    input: impl AsRef<[u8]>,
) -> Vec<u8> {
    let (connection, peer) = Connection::pair();
    let input = input.as_ref();
    let mut output = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            // A handler may end before it has read all.
            let _ = (&peer).write_all(input);
            peer.finish();
        });
        let reading = scope.spawn(|| (&peer).read_to_end(&mut output));
        let outcome = handler(connection).into_result();
        let read = reading.join().expect("reading does not panic");
        if let Err(message) = outcome {
            panic!("the handler failed: {message}");
        }
        read.expect("the handler's output");
    });
    output
}

impl Peer {
    /// Sends the end: the handler reads what was written and then the end. This side can go on
    /// reading. On a flow, it is over for the handler's reads.
    pub fn finish(&self) {
        self.pipe.change(|state| state.incoming.ended = true);
    }

    /// Breaks the connection: the handler's reads are [`ErrorKind::ConnectionReset`], its writes
    /// [`ErrorKind::BrokenPipe`], and what was not yet read is lost.
    pub fn reset(self) {
        self.pipe.change(|state| state.peer = pipe::Peer::Reset);
    }

    /// Asks the handler to finish, as the host does when it drains. It stays asked.
    pub fn drain(&self) {
        self.pipe.change(|state| state.draining = true);
    }

    /// Sets a fact of the connection, such as `peer.address` or `tls.server_name`; one `transport`
    /// of bytes may become another. Panics if the contract has no fact of that name.
    pub fn set_fact(&self, name: &str, value: impl Into<String>) {
        assert!(portcell_abi::FACTS.contains(&name), "there is no fact {name:?}");
        self.pipe.change(|state| state.facts.insert(name.into(), value.into()));
    }

    /// Lets [`Connection::start_tls`] fail as [`ErrorKind::Unsupported`], as it does where the
    /// listener's configuration has no TLS, and [`Connection::tls_is_offered`] be false. Without
    /// this it has.
    pub fn refuse_tls(&self) {
        self.pipe.change(|state| state.has_tls = false);
    }

    /// The client's half of [`Connection::start_tls`], once the reply of the handler has been read:
    /// waits until the handler is in that call, and lets it return. Nothing is encrypted, but what
    /// was sent before is not read as what is sent from now on:
    ///
    /// - what was sent before the reply is dropped by the handler's side,
    /// - what was sent after it, and before this call, is no TLS: then the handshake fails, and
    ///   with it the connection. So does it after [`finish`](Self::finish), and when this call does
    ///   not come within ten seconds.
    ///
    /// Afterwards the fact `transport` is `tls`, and so that handlers find them, `tls.version`,
    /// `tls.cipher` and `tls.resumed` are there; what a test has set stays.
    ///
    /// [`ErrorKind::InvalidInput`] if the reply was not read, [`ErrorKind::ConnectionAborted`] if
    /// the connection ends without TLS.
    pub fn start_tls(&self) -> io::Result<()> {
        let started = self.pipe.wait(Some(self.patience), State::peer_starts_tls);
        started.ok_or_else(impatient)?.map_err(|errno| match errno {
            Errno::Inval => io::Error::new(ErrorKind::InvalidInput, "the reply was not read yet"),
            other => Error::from(other).into(),
        })
    }

    /// How long each later call waits for the handler. Zero does not wait.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The next datagram of the handler, at the start of `buf` and cut to it. An empty one is
    /// `Some(0)`; after the handler has ended, `None`. The same for a stream is `read`.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let read = self.pipe.wait(Some(self.patience), |state| state.peer_reads(buf));
        Ok(read.ok_or_else(impatient)?.map_err(Error::from)?)
    }

    /// Sends one datagram. The same for a stream is `write_all`.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.put(datagram).map(drop)
    }

    fn put(&self, buf: &[u8]) -> io::Result<usize> {
        let written = self.pipe.wait(Some(self.patience), |state| state.peer_writes(buf));
        Ok(written.ok_or_else(impatient)?.map_err(Error::from)?)
    }
}

impl Read for Peer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Read for &Peer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv(buf).map(Option::unwrap_or_default)
    }
}

impl Write for Peer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.put(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &Peer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.put(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.pipe.change(|state| {
            state.incoming.ended = true;
            if state.peer == pipe::Peer::Here {
                state.peer = pipe::Peer::Gone;
            }
        });
    }
}

fn impatient() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the handler did not move for as long as the peer waits")
}
