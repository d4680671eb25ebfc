//! Does what its peer tells it, one command a line: for tests, and to see what a handler can ask.
//!
//! ```text
//! fact NAME     NAME=VALUE, or NAME: ENOENT
//! timeout MS    reads once, with this bound: ETIMEDOUT, EAGAIN or "read" and how many bytes
//! bad           asks of a descriptor that is not the connection: EBADF
//! drain         "waiting", and when the host drains "draining" and the end
//! end           ends its side, and then itself when the peer does
//! code N        ends with this code
//! log TEXT      a line in the host's log: "logged"
//! tls           asks for TLS: "go", and over TLS "secured"; or why not: ENOTSUP
//! ```

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process;
use std::time::Duration;

use portcell_sdk::{Connection, Interest, handler, info};

/// The longest command, in bytes.
const LONGEST: u64 = 1024;

/// The connection, with what was read ahead.
type Peer = BufReader<Connection>;

#[handler]
fn probe(conn: Connection) -> io::Result<()> {
    let mut peer = BufReader::new(conn);
    loop {
        let mut line = String::new();
        if peer.by_ref().take(LONGEST).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end_matches('\n');
        if line == "tls" {
            peer = start_tls(peer)?;
            continue;
        }
        let Some(answer) = obey(&mut peer, line)? else { return Ok(()) };
        peer.get_mut().write_all(format!("{answer}\n").as_bytes())?;
    }
}

/// The answer to a command; none if it is the last one.
fn obey(peer: &mut Peer, line: &str) -> io::Result<Option<String>> {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    let answer = match command {
        "fact" => match peer.get_ref().info(rest) {
            Some(value) => format!("{rest}={value}"),
            None => format!("{rest}: ENOENT"),
        },
        "timeout" => read_once(peer, Duration::from_millis(number(rest)?))?,
        "bad" => ask_another().to_owned(),
        "drain" => {
            peer.get_mut().write_all(b"waiting\n")?;
            peer.get_ref().poll(Interest::DRAINING, None)?;
            peer.get_mut().write_all(b"draining\n")?;
            return Ok(None);
        }
        "end" => {
            peer.get_ref().shutdown(Shutdown::Write)?;
            io::copy(peer, &mut io::sink())?;
            return Ok(None);
        }
        "code" => leave(number(rest)?),
        "log" => {
            info!("{rest}");
            "logged".to_owned()
        }
        _ => "?".to_owned(),
    };
    Ok(Some(answer))
}

fn read_once(peer: &mut Peer, bound: Duration) -> io::Result<String> {
    peer.get_ref().set_read_timeout(Some(bound))?;
    let read = peer.read(&mut [0; 64]);
    peer.get_ref().set_read_timeout(None)?;
    match read {
        Ok(count) => Ok(format!("read {count}")),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok("ETIMEDOUT".to_owned()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok("EAGAIN".to_owned()),
        Err(error) => Err(error),
    }
}

/// Gives the connection back without what was read ahead: that came in plaintext, from whom nobody
/// knows.
fn start_tls(peer: Peer) -> io::Result<Peer> {
    let (mut conn, answer) = match peer.into_inner().start_tls(b"go\n") {
        Ok(conn) => (conn, "secured"),
        Err(error) => match error.kind() {
            ErrorKind::Unsupported => (error.into_connection(), "ENOTSUP"),
            ErrorKind::InvalidInput => (error.into_connection(), "EINVAL"),
            _ => return Err(error.into()),
        },
    };
    writeln!(conn, "{answer}")?;
    Ok(BufReader::new(conn))
}

fn number<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse().map_err(|_| io::Error::new(ErrorKind::InvalidInput, "not a number"))
}

#[expect(clippy::exit, reason = "what a handler returns is success or failure, not a number")]
fn leave(code: i32) -> ! {
    process::exit(code)
}

/// What the host says of a descriptor that it has not given out.
#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the SDK has no other descriptor than the connection's")]
fn ask_another() -> &'static str {
    #[link(wasm_import_module = "portcell_v1")]
    unsafe extern "C" {
        safe fn set_timeout(fd: i32, which: i32, ms: i32) -> i32;
    }
    match set_timeout(7, 0, -1) {
        -8 => "EBADF",
        _ => "no error",
    }
}

/// Off wasm there are no descriptors.
#[cfg(not(target_family = "wasm"))]
fn ask_another() -> &'static str {
    "EBADF"
}

#[cfg(test)]
mod tests {
    use portcell_sdk::testing::converse;

    use super::*;

    #[test]
    fn facts_that_there_are_and_others_are_told() {
        let (conn, mut peer) = Connection::pair();
        peer.set_fact("tls.version", "1.3");
        peer.write_all(b"fact tls.version\nfact nonsense\nnonsense\n").unwrap();
        peer.finish();
        probe(conn).unwrap();
        assert_eq!(io::read_to_string(&peer).unwrap(), "tls.version=1.3\nnonsense: ENOENT\n?\n");
    }

    #[test]
    fn a_read_is_bounded_and_the_connection_goes_on() {
        assert_eq!(converse(probe, "timeout 5\nabc"), b"read 3\n");
        let (conn, mut peer) = Connection::pair();
        let handler = std::thread::spawn(|| probe(conn));
        let mut answers = [0; 17];
        peer.write_all(b"timeout 1\n").unwrap();
        peer.read_exact(&mut answers[..10]).unwrap();
        peer.write_all(b"timeout 0\n").unwrap();
        peer.read_exact(&mut answers[10..]).unwrap();
        assert_eq!(&answers, b"ETIMEDOUT\nEAGAIN\n");
        peer.finish();
        handler.join().unwrap().unwrap();
    }

    #[test]
    fn a_drain_is_waited_for() {
        let (conn, mut peer) = Connection::pair();
        peer.drain();
        peer.write_all(b"drain\n").unwrap();
        probe(conn).unwrap();
        assert_eq!(io::read_to_string(&peer).unwrap(), "waiting\ndraining\n");
    }

    #[test]
    fn tls_begins_and_what_was_sent_before_is_forgotten() {
        let (conn, mut peer) = Connection::pair();
        let handler = std::thread::spawn(|| probe(conn));
        peer.write_all(b"tls\nnonsense\n").unwrap();
        peer.read_exact(&mut [0; 3]).unwrap();
        peer.start_tls().unwrap();
        peer.write_all(b"fact transport\n").unwrap();
        peer.finish();
        assert_eq!(io::read_to_string(&peer).unwrap(), "secured\ntransport=tls\n");
        handler.join().unwrap().unwrap();
    }

    #[test]
    fn what_is_no_number_ends_it_with_an_error() {
        assert_eq!(converse(|conn| assert!(probe(conn).is_err()), "timeout soon\n"), b"");
    }
}
