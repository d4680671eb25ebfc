//! SMTP (RFC 5321) that only receives: each message becomes a file of a granted folder.
//!
//! ```text
//! $ portcell run smtp.wasm --listen :2525 --dir mail::/mail::rw
//! $ swaks --server localhost:2525 --to ada@example.org
//! $ ls mail
//! 1795397652.415926535-1-1.eml
//! ```
//!
//! A message is first written under a name with a dot in front, and renamed when it is whole and on
//! the disk. A file with a dot that is older than any connection was left by one that the host has
//! cut. Above what was sent a message has `Return-Path` with the sender, an `X-Envelope-To` for each
//! recipient, and `Received`. It is accepted for whoever it is addressed to; nothing is sent
//! anywhere.
//!
//! | variable | is | without it |
//! | --- | --- | --- |
//! | `REQUIRE_TLS` | `1`: no mail in plaintext; `0` | `0` |
//! | `SERVER_NAME` | the domain in the greeting and in `Received` | the address of this side |
//! | `MAX_SIZE` | of a message, in bytes | 10485760 |
//!
//! The extensions are PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152) and STARTTLS
//! (RFC 3207). A line ends with CR LF and with nothing else: what other servers might take for the
//! end of a message or of a command is refused.
//!
//! How long a slow or silent client may take is the host's business: no time is measured here.

mod address;
mod command;
mod conversation;
mod draft;
mod facts;
mod lines;
mod message;
mod reply;
mod session;
mod settings;
mod trace;
mod wire;

use std::io::{self, ErrorKind};
use std::path::Path;

use portcell_sdk::{Connection, Transport, handler};

pub use crate::settings::Settings;
use crate::wire::Wire;

/// Receives the mail of one client into `/mail`, as the environment says.
#[handler]
pub fn smtp(connection: Connection) -> io::Result<()> {
    serve(connection, &Settings::from_environment(Path::new("/mail"))?)
}

/// Receives the mail of one client, until the client ends it, the host drains, or the client makes
/// too many mistakes.
///
/// A client that goes away is no error, not even in the middle of a message, which then is not
/// stored.
pub fn serve(connection: Connection, settings: &Settings) -> io::Result<()> {
    let ended =
        connection.transport().map_err(io::Error::from).and_then(|transport| match transport {
            Transport::Udp => {
                let reason =
                    "SMTP is spoken over streams: bind this handler to tcp or unix addresses";
                Err(io::Error::new(ErrorKind::Unsupported, reason))
            }
            _ => conversation::hold(Wire::new(connection), settings),
        });
    match ended {
        Err(error) if is_absence(error.kind()) => Ok(()),
        ended => ended,
    }
}

fn is_absence(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}
