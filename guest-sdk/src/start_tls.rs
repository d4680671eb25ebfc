//! From plaintext to TLS within a connection: what STARTTLS and its like ask for.

use core::fmt;

use crate::connection::Connection;
use crate::error::Error;

impl Connection {
    /// Whether [`start_tls`](Self::start_tls) could be called now: the configuration has TLS for
    /// this, and the connection is a stream in plaintext with both directions open. What a protocol
    /// lists among its extensions.
    pub fn tls_is_offered(&self) -> bool {
        self.fact("tls.offered", &mut [0; 8]) == Ok(b"true")
    }

    /// Sends `reply` in plaintext, then does the handshake: what is read and written afterwards
    /// goes over TLS, and so says [`transport`](Self::transport). `reply` is what the protocol
    /// answers to the client's wish, such as `220 ready\r\n` or Postgres's `S`. The settings are
    /// those of the listener.
    ///
    /// Bytes that the client, or somebody on the way, has sent before it had the reply are dropped
    /// by the host. For those that were read already, the connection is taken whole:
    ///
    /// - A half has no such function, so a `BufReader` around one has to be taken apart first.
    ///   `into_inner` gives back what it was made of, and drops what it had read ahead.
    /// - A `BufReader` around the whole connection does not lend it for this.
    /// - A buffer of the handler's own is the handler's to clear; so is what the client said in
    ///   plaintext, its name and its wishes.
    ///
    /// An error leaves the connection as it was, and gives it back for another answer:
    /// [`Error::UNSUPPORTED`] if the configuration has no TLS for this,
    /// [`Error::INVALID_INPUT`] if the connection is over TLS already, is a
    /// flow of datagrams, or has an ended direction.
    ///
    /// A handshake that fails ends the connection and the handler with it. Off wasm, where nothing
    /// can end a handler, it is [`Error::NOT_CONNECTED`]; there the other
    /// side calls [`Peer::start_tls`](crate::testing::Peer::start_tls).
    ///
    /// ```
    /// use portcell_sdk::Connection;
    /// use std::io::{self, BufRead, BufReader, Write};
    ///
    /// fn upgrade(conn: Connection) -> io::Result<()> {
    ///     let mut reader = BufReader::new(conn);
    ///     let mut line = String::new();
    ///     reader.read_line(&mut line)?;
    ///     if line != "STARTTLS\r\n" {
    ///         return reader.get_mut().write_all(b"502 only STARTTLS here\r\n");
    ///     }
    ///     let mut conn = match reader.into_inner().start_tls(b"220 ready\r\n") {
    ///         Ok(conn) => conn,
    ///         Err(error) => error.into_connection(),
    ///     };
    ///     writeln!(conn, "you came over {}", conn.transport()?)
    /// }
    /// # use std::{io::Read, thread};
    /// # let (conn, mut peer) = Connection::pair();
    /// # let handler = thread::spawn(|| upgrade(conn));
    /// # peer.write_all(b"STARTTLS\r\ninjected\r\n")?;
    /// # peer.read_exact(&mut [0; 11])?;
    /// # peer.start_tls()?;
    /// # assert_eq!(io::read_to_string(&peer)?, "you came over tls\n");
    /// # handler.join().unwrap()?;
    /// # Ok::<(), io::Error>(())
    /// ```
    ///
    /// While something else reads, it does not compile:
    ///
    /// ```compile_fail
    /// # use portcell_sdk::Connection;
    /// # use std::io::BufReader;
    /// # let conn = Connection::pair().0;
    /// let (reader, writer) = conn.split();
    /// reader.start_tls(b"220 ready\r\n");
    /// ```
    ///
    /// ```compile_fail
    /// # use portcell_sdk::Connection;
    /// # use std::io::BufReader;
    /// # let conn = Connection::pair().0;
    /// let mut reader = BufReader::new(conn);
    /// reader.get_mut().start_tls(b"220 ready\r\n");
    /// ```
    pub fn start_tls(self, reply: &[u8]) -> Result<Self, StartTlsError> {
        self.start_tls_with("", reply)
    }

    /// As [`start_tls`](Self::start_tls), with the settings that are called `profile` in the
    /// configuration. The listener's own have the listener's name, and an empty one.
    ///
    /// [`Error::UNSUPPORTED`] if there are none of that name.
    pub fn start_tls_with(self, profile: &str, reply: &[u8]) -> Result<Self, StartTlsError> {
        match self.handle().start_tls(profile, reply) {
            Ok(()) => Ok(self),
            Err(error) => Err(StartTlsError { connection: self, error }),
        }
    }
}

/// Why a connection did not become one over TLS, and that connection. `?` makes it an
/// [`Error`] or an `io::Error`.
#[derive(Debug)]
pub struct StartTlsError {
    connection: Connection,
    error: Error,
}

impl StartTlsError {
    /// The connection, as it was.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// What went wrong.
    pub fn error(&self) -> Error {
        self.error
    }

    /// What the error means here, if that is more than it says.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        match self.error {
            Error::INVALID_INPUT => Some(
                "TLS cannot start here: only on a stream in plaintext with both directions open",
            ),
            Error::UNSUPPORTED => {
                Some("TLS cannot start here: the listener's configuration has no settings for it")
            }
            _ => None,
        }
    }
}

impl fmt::Display for StartTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.reason().unwrap_or(self.error.message()))
    }
}

impl core::error::Error for StartTlsError {}

impl From<StartTlsError> for Error {
    fn from(error: StartTlsError) -> Self {
        error.error
    }
}
