//! Sends back what it is sent, unchanged: the echo protocol of RFC 862, over TCP and over UDP.
//!
//! ```text
//! $ portcell run echo.wasm --listen :7000
//! $ nc localhost 7000
//! hello
//! hello
//! ```

use std::io;
use std::sync::{Mutex, PoisonError};

use portcell_sdk::{Connection, Transport, handler};

/// How much is read at once, in bytes: the longest datagram fits.
const AT_ONCE: usize = 64 * 1024;

// A static starts as fresh memory, which is zero: unlike on the stack or the heap nothing has to be
// cleared, and a page that no byte reaches is never touched. There is one thread, so the lock is
// free; a `thread_local!` would be reached through the table, which costs each instance a page.
static BUFFER: Mutex<[u8; AT_ONCE]> = Mutex::new([0; AT_ONCE]);

#[handler]
fn echo(mut conn: Connection) -> io::Result<()> {
    let mut buffer = BUFFER.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(length) = conn.recv(&mut *buffer)? {
        // Nothing is the end of a stream, but over UDP it is an empty datagram.
        if length == 0 && conn.transport()? != Transport::Udp {
            break;
        }
        conn.send(&buffer[..length])?;
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
