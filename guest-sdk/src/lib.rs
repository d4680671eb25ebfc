//! Write portcell handlers in Rust.
//!
//! A handler is a function that gets one connection. The host calls it in a sandbox of its own for
//! each client, so it may wait, keep its state in local variables, and panic: nobody else notices.
//!
//! ```
//! use portcell_sdk::{Connection, handler};
//! use std::io::{self, BufRead, BufReader, Write};
//!
//! #[handler]
//! fn shout(conn: Connection) -> io::Result<()> {
//!     let (reader, mut writer) = conn.split();
//!     for line in BufReader::new(reader).lines() {
//!         writeln!(writer, "{}", line?.to_uppercase())?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! When the function returns, the connection is closed in good order. An `Err` is logged, and the
//! connection counts as failed. A panic is logged with its place, and the connection is reset.
//!
//! # Building
//!
//! A plugin is a library that is built for wasm, and natively for its tests:
//!
//! ```toml
//! [package]
//! name = "shout"
//! version = "0.1.0"
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! portcell-sdk = { path = "../portcell/guest-sdk" }
//!
//! [profile.release]
//! opt-level = "s"
//! lto = true
//! ```
//!
//! ```text
//! $ cargo build --release --target wasm32-wasip1
//! $ portcell run target/wasm32-wasip1/release/shout.wasm --listen :7000
//! $ nc localhost 7000
//! ```
//!
//! # Testing
//!
//! Off wasm a connection is a pipe in memory, so handlers are tested with plain `cargo test`:
//! no server, no sandbox. [`testing::converse`] holds a whole conversation;
//! [`Connection::pair`] gives the other end, a [`Peer`], to play the client step by step.
//!
//! ```
//! # use portcell_sdk::Connection;
//! # use std::io::{self, BufRead, BufReader, Read, Write};
//! # fn shout(conn: Connection) -> io::Result<()> {
//! #     let (reader, mut writer) = conn.split();
//! #     for line in BufReader::new(reader).lines() {
//! #         writeln!(writer, "{}", line?.to_uppercase())?;
//! #     }
//! #     Ok(())
//! # }
//! use portcell_sdk::testing::converse;
//!
//! assert_eq!(converse(shout, "hello\n"), b"HELLO\n");
//!
//! let (conn, mut peer) = Connection::pair();
//! peer.write_all(b"bye\n")?;
//! peer.finish();
//! shout(conn)?;
//! let mut answer = String::new();
//! peer.read_to_string(&mut answer)?;
//! assert_eq!(answer, "BYE\n");
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # Who is there
//!
//! [`Connection::peer_address`], [`transport`](Connection::transport) and the others tell about
//! the connection; [`Connection::info`] gives every fact of the contract by its name.
//!
//! ```
//! # use portcell_sdk::Connection;
//! # use std::io::{self, Write};
//! fn greet(mut conn: Connection) -> io::Result<()> {
//!     let peer = conn.peer_address()?;
//!     match conn.info("tls.server_name") {
//!         Some(name) => writeln!(conn, "hello {peer}, this is {name}"),
//!         None => writeln!(conn, "hello {peer}"),
//!     }
//! }
//! # let (conn, peer) = Connection::pair();
//! # peer.set_fact("peer.address", "[::1]:5");
//! # peer.set_fact("tls.server_name", "a.example");
//! # greet(conn)?;
//! # assert_eq!(io::read_to_string(&peer)?, "hello [::1]:5, this is a.example\n");
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # TLS
//!
//! Where the listener does TLS from the start, a handler sees plaintext and needs to know nothing.
//! A protocol that begins in plaintext and asks for TLS later calls
//! [`start_tls`](Connection::start_tls) with the reply that the protocol has for it, and lists it
//! among what it can where [`tls_is_offered`](Connection::tls_is_offered); in tests,
//! [`Peer::start_tls`] is the client's half.
//!
//! # Datagrams
//!
//! Over UDP a connection is one client's flow of datagrams. [`Connection::recv`] waits for the
//! next one and gives `None` when the flow is over; [`Connection::send`] sends one.
//!
//! ```
//! # use portcell_sdk::Connection;
//! # use std::io;
//! fn count(mut conn: Connection) -> io::Result<()> {
//!     let mut buffer = [0; 1500];
//!     while let Some(length) = conn.recv(&mut buffer)? {
//!         conn.send(format!("{length} bytes").as_bytes())?;
//!     }
//!     Ok(())
//! }
//! # let (conn, peer) = Connection::datagram_pair();
//! # peer.send(b"")?;
//! # peer.finish();
//! # count(conn)?;
//! # let mut buffer = [0; 16];
//! # let length = peer.recv(&mut buffer)?.expect("an answer");
//! # assert_eq!(&buffer[..length], b"0 bytes");
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # Time
//!
//! Reads and writes wait, and only their own instance waits with them. The host bounds the silence
//! (its idle timeout) and the life of a connection. A handler with a bound of its own sets
//! [`set_read_timeout`](Connection::set_read_timeout) or
//! [`set_write_timeout`](Connection::set_write_timeout), or asks [`Connection::poll`] first.
//!
//! A handler that can end at a good moment, such as between two commands, also waits for the host
//! to drain. What does not is given time until the deadline of the drain.
//!
//! ```
//! # use portcell_sdk::Connection;
//! # use std::io::{self, Read, Write};
//! use portcell_sdk::Interest;
//! use std::time::Duration;
//!
//! fn ticker(mut conn: Connection) -> io::Result<()> {
//!     loop {
//!         let wanted = Interest::READABLE | Interest::DRAINING;
//!         let ready = conn.poll(wanted, Some(Duration::from_secs(1)))?;
//!         if ready.is_draining() {
//!             return conn.write_all(b"closing, come back later\n");
//!         }
//!         if ready.is_empty() {
//!             conn.write_all(b"tick\n")?;
//!         } else if conn.read(&mut [0; 64])? == 0 {
//!             return Ok(());
//!         }
//!     }
//! }
//! # let (conn, peer) = Connection::pair();
//! # peer.drain();
//! # ticker(conn)?;
//! # assert_eq!(io::read_to_string(&peer)?, "closing, come back later\n");
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # Logging
//!
//! [`error!`], [`warn!`], [`info!`], [`debug!`] and [`trace!`] write to the host's log, under the
//! handler's name. So do standard output (as info) and standard error (as warn).
//!
//! ```
//! # use portcell_sdk::Connection;
//! # fn note(conn: &Connection) -> std::io::Result<()> {
//! portcell_sdk::info!("{} came over {}", conn.peer_address()?, conn.transport()?);
//! # Ok(())
//! # }
//! # note(&Connection::pair().0).expect("facts");
//! ```
//!
//! # Errors
//!
//! The methods of a connection fail with an [`Error`], which is as small as a number, and `Read` and
//! `Write` with an `io::Error`; `?` makes the one the other.
//!
//! | `Error` | `io::ErrorKind` | when |
//! | --- | --- | --- |
//! | `WOULD_BLOCK` | `WouldBlock` | a bound of zero, and nothing could be done |
//! | `TIMED_OUT` | `TimedOut` | a bound of the handler ran out |
//! | `CONNECTION_RESET` | `ConnectionReset` | the peer is gone, while reading |
//! | `BROKEN_PIPE` | `BrokenPipe` | the peer is gone, or this half was ended, while writing |
//! | `CONNECTION_ABORTED` | `ConnectionAborted` | a TLS stream ended without its end mark: it may have been cut |
//! | `TOO_LONG` | `InvalidInput` | a datagram longer than UDP allows, a fact longer than the buffer |
//! | `INVALID_INPUT` | `InvalidInput` | an argument out of range |
//! | `NOT_CONNECTED` | `NotConnected` | there is no peer (a trial run) |
//! | `CLOSED` | `NotConnected` | the connection was closed |
//! | `UNSUPPORTED` | `Unsupported` | the host's configuration does not offer it |
//! | `NOT_FOUND` | `NotFound` | there is no such fact here |
//! | `TRANSPORT` | `Other` | the transport failed in another way |
//!
//! A limit of the host is never an error: it ends the handler where it waits.
//!
//! # Without std
//!
//! Each connection gets its own copy of a module's data. A handler with std has some KiB of it, most
//! of them for panics and errors that never come. One that needs nothing of std can be built
//! without:
//!
//! ```toml
//! [dependencies]
//! portcell-sdk = { path = "../portcell/guest-sdk", default-features = false }
//! ```
//!
//! ```
//! #![cfg_attr(not(test), no_std)]
//!
//! use portcell_sdk::{Buffer, Connection, Error, Transport, handler};
//!
//! static BUFFER: Buffer<65536> = Buffer::new();
//!
//! #[handler]
//! fn echo(mut conn: Connection) -> Result<(), Error> {
//!     let mut buffer = BUFFER.lock();
//!     while let Some(bytes) = conn.recv_into(&mut buffer)? {
//!         if bytes.is_empty() && conn.transport()? != Transport::Udp {
//!             break;
//!         }
//!         conn.send(bytes)?;
//!     }
//!     Ok(())
//! }
//! # assert_eq!(portcell_sdk::testing::converse(echo, "hello"), b"hello");
//! ```
//!
//! Both lines are needed: the feature `std`, which is a default one, is about the SDK, `no_std`
//! about the handler. Where one is missing, the compiler says `duplicate lang item` or links std
//! after all. Tests have std, and the SDK has all of it there.
//!
//! - There is no heap, no `Read` and no `Write`: [`recv`](Connection::recv),
//!   [`recv_into`](Connection::recv_into) and [`send`](Connection::send) are for streams, too, and
//!   [`info_into`](Connection::info_into) gives facts, addresses among them.
//! - A panic is logged with its place, as with std, and traps. Its line, as every line that is
//!   logged, is cut after 1 KiB.
//! - What cannot panic carries nothing for it. `recv_into` is there so that nothing has to be cut out
//!   of a buffer; `buffer[i]`, `unwrap` and formatted text are some KiB.

#![cfg_attr(all(target_family = "wasm", not(feature = "std")), no_std)]

#[cfg(any(feature = "std", not(target_family = "wasm")))]
mod address;
mod buffer;
mod connection;
mod error;
#[cfg(any(test, all(target_family = "wasm", not(feature = "std"))))]
mod line;
mod log;
#[cfg(not(target_family = "wasm"))]
mod pipe;
mod poll;
mod run;
mod start_tls;
#[cfg(any(feature = "std", not(target_family = "wasm")))]
mod std_io;
mod sys;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod transport;

/// Makes a function the handler of this plugin: the host calls it once for each connection.
///
/// The function takes a [`Connection`] and returns `io::Result<()>`, `Result<(), Error>` or
/// something else that is an [`Outcome`]. It stays as it is, so tests can call it. A plugin has one
/// handler.
///
/// Built for wasm, the function is exported as `handle`; elsewhere nothing is exported. The export
/// is marked `#[allow(unsafe_code)]`, which a crate with `#![forbid(unsafe_code)]` refuses;
/// `#![deny(unsafe_code)]` is fine.
///
/// ```
/// use portcell_sdk::{Connection, handler};
/// use std::io::{self, Write};
///
/// #[handler]
/// fn greet(mut conn: Connection) -> io::Result<()> {
///     writeln!(conn, "hello")
/// }
/// ```
///
/// Another signature does not compile:
///
/// ```compile_fail
/// # use portcell_sdk::handler;
/// #[handler]
/// fn greet(name: String) {}
/// ```
///
/// ```compile_fail
/// # use portcell_sdk::{Connection, handler};
/// #[handler]
/// fn greet(conn: Connection) -> bool {
///     true
/// }
/// ```
pub use portcell_macros::handler;

#[cfg(any(feature = "std", not(target_family = "wasm")))]
pub use crate::address::Address;
pub use crate::buffer::{Buffer, BufferGuard};
pub use crate::connection::{Connection, Reader, Writer};
pub use crate::error::Error;
pub use crate::log::{Level, log};
pub use crate::poll::{Interest, Ready};
pub use crate::run::{Outcome, run};
pub use crate::start_tls::StartTlsError;
#[cfg(not(target_family = "wasm"))]
pub use crate::testing::Peer;
pub use crate::transport::Transport;
