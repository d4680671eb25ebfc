//! Sends back what it is sent, unchanged: the echo protocol of RFC 862, over TCP and over UDP.
//!
//! ```text
//! $ portcell run echo.wasm --listen :7000
//! $ nc localhost 7000
//! hello
//! hello
//! ```
//!
//! It needs nothing of std, so it is built without: an instance of it carries nothing else.

#![cfg_attr(not(test), no_std)]

use portcell_sdk::{Buffer, Connection, Error, Transport, handler};

// The longest datagram fits.
static BUFFER: Buffer<{ 64 * 1024 }> = Buffer::new();

#[handler]
fn echo(mut conn: Connection) -> Result<(), Error> {
    let mut buffer = BUFFER.lock();
    while let Some(bytes) = conn.recv_into(&mut buffer)? {
        // Nothing is the end of a stream, but over UDP it is an empty datagram.
        if bytes.is_empty() && conn.transport()? != Transport::Udp {
            break;
        }
        conn.send(bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use portcell_sdk::testing::converse;

    use super::*;

    #[test]
    fn bytes_come_back_as_they_were() {
        let input: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        assert!(converse(echo, &input) == input);
    }

    #[test]
    fn the_answer_comes_before_the_end_of_the_input() {
        let (conn, mut peer) = Connection::pair();
        let handler = std::thread::spawn(|| echo(conn));
        let mut answer = [0; 4];
        for round in [b"ping", b"pong"] {
            peer.write_all(round).unwrap();
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, round);
        }
        peer.finish();
        handler.join().unwrap().unwrap();
    }

    #[test]
    fn each_datagram_comes_back_as_one_also_if_it_is_empty() {
        let (conn, peer) = Connection::datagram_pair();
        peer.send(b"one").unwrap();
        peer.send(b"").unwrap();
        peer.send(b"three").unwrap();
        peer.finish();
        echo(conn).unwrap();

        let mut buffer = [0; 16];
        for expected in [&b"one"[..], b"", b"three"] {
            let length = peer.recv(&mut buffer).unwrap().unwrap();
            assert_eq!(&buffer[..length], expected);
        }
        assert_eq!(peer.recv(&mut buffer).unwrap(), None);
    }
}
