//! Handlers that run natively, over a connection in memory.

use std::io::{Read as _, Write as _};
use std::thread;

use portcell_sdk::{Connection, Outcome, Peer};

/// What `handler` says to `input`, which comes over a stream without TLS. It must not fail.
pub fn converse<O: Outcome>(handler: impl FnOnce(Connection) -> O, input: &[u8]) -> Vec<u8> {
    let (connection, peer) = Connection::pair();
    // Nobody here would do the client's half of a handshake.
    peer.refuse_tls();
    let mut output = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            // A handler may end before it has read all.
            let _ = (&peer).write_all(input);
            peer.finish();
        });
        let reading = scope.spawn(|| (&peer).read_to_end(&mut output));
        succeeds(handler(connection));
        reading.join().expect("reading does not panic").expect("the handler's output");
    });
    output
}

/// What `handler` answers to these datagrams, of which there is room for all. It must not fail.
pub fn datagrams<O: Outcome>(
    handler: impl FnOnce(Connection) -> O,
    input: &[&[u8]],
) -> Vec<Vec<u8>> {
    let (connection, peer) = Connection::datagram_pair();
    for datagram in input {
        peer.send(datagram).expect("room in the pipe");
    }
    peer.finish();
    succeeds(handler(connection));
    let mut answers = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while let Some(length) = receive(&peer, &mut buffer) {
        answers.push(buffer[..length].to_vec());
    }
    answers
}

fn receive(peer: &Peer, buffer: &mut [u8]) -> Option<usize> {
    peer.recv(buffer).expect("an answer or the end")
}

fn succeeds(outcome: impl Outcome) {
    if let Err(message) = outcome.into_result() {
        panic!("the handler failed: {message}");
    }
}
