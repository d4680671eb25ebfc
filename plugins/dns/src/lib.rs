//! A small authoritative DNS server (RFC 1034 and 1035), the same over UDP and over streams.
//!
//! ```text
//! $ portcell run dns.wasm --listen :5300 --dir zones::/zones
//! $ dig @localhost -p 5300 +tcp www.example.org
//! ```
//!
//! The zones are the files `*.zone` of the folder that is granted as `/zones`, in the master file
//! format of RFC 1035 section 5. Until an `$ORIGIN`, names are relative to the name of the file:
//! `example.org.zone`. Each instance reads them once, when the first question needs them.
//!
//! The format is understood as far as hickory-proto does: without `@` in data, `\DDD`, quoted text in
//! parentheses, and names that are not ASCII.
//!
//! | question | answer |
//! | --- | --- |
//! | a name in a zone | its records, through aliases (CNAME) and wildcards (RFC 4592) |
//! | a name that is not there, or not with this type | NXDOMAIN or no data, with the SOA (RFC 2308) |
//! | a name in a part that is delegated | a referral with its addresses |
//! | `ANY` | the records of one type (RFC 8482) |
//! | a name in no zone, another class, a zone transfer | REFUSED |
//! | a name in no zone, while a file cannot be read as one | SERVFAIL |
//! | another opcode than QUERY | NOTIMP |
//! | a header with anything behind it but one question and records | FORMERR |
//! | less than a header, or a response | silence |
//!
//! There is EDNS(0) (RFC 6891), with datagrams of 1,232 bytes at most. There is no DNSSEC, no dynamic
//! update and no recursion.

mod answer;
mod reply;
mod zone;
mod zone_file;
mod zones;

use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use portcell_sdk::{Connection, Interest, Transport, handler};

use crate::reply::{LARGEST_DATAGRAM, reply};
use crate::zones::Zones;

/// Answers the questions of one client from the zones of `/zones`.
#[handler]
pub fn dns(connection: Connection) -> io::Result<()> {
    serve(connection, Path::new("/zones"))
}

/// Answers the questions of one client from the zones of `folder`, until the client ends or the
/// host drains.
///
/// A client that goes away is no error, not even in the middle of a message.
pub fn serve(mut connection: Connection, folder: &Path) -> io::Result<()> {
    let zones = Zones::of(folder);
    let ended =
        connection.transport().map_err(io::Error::from).and_then(|transport| match transport {
            Transport::Udp => serve_datagrams(&mut connection, &zones),
            _ => serve_stream(&mut connection, &zones),
        });
    match ended {
        Err(error) if is_absence(error.kind()) => Ok(()),
        ended => ended,
    }
}

/// A datagram is a message. What is longer than was offered with EDNS is cut, and then FORMERR.
fn serve_datagrams(connection: &mut Connection, zones: &Zones) -> io::Result<()> {
    let mut buffer = [0; LARGEST_DATAGRAM as usize];
    while goes_on(connection)?
        && let Some(length) = connection.recv(&mut buffer)?
    {
        if let Some(reply) = reply(&buffer[..length], Transport::Udp, zones) {
            connection.send(&reply)?;
        }
    }
    Ok(())
}

/// Each message has its length in front, in two bytes (RFC 1035 section 4.2.2). A client may send
/// many, also before it has the answers; they come in the same order (RFC 7766).
fn serve_stream(connection: &mut Connection, zones: &Zones) -> io::Result<()> {
    let mut message = Vec::new();
    while goes_on(connection)? {
        let mut length = [0; 2];
        connection.read_exact(&mut length)?;
        message.resize(u16::from_be_bytes(length).into(), 0);
        connection.read_exact(&mut message)?;
        if let Some(reply) = reply(&message, Transport::Tcp, zones) {
            let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
            connection.write_all(&[&length.to_be_bytes(), &*reply].concat())?;
        }
    }
    Ok(())
}

/// Waits for the next message, or for the end. False if the host wants the connection to end and
/// no message has begun.
fn goes_on(connection: &Connection) -> io::Result<bool> {
    let ready = connection.poll(Interest::READABLE | Interest::DRAINING, None)?;
    Ok(ready.is_readable() || !ready.is_draining())
}

fn is_absence(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}
