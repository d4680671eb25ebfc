//! A client that sends and receives at the same time.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use crate::harness::{PATIENCE, Server};

/// Sends all of the input and then the end, and gives all that comes until the server's end.
pub(crate) fn converse(server: &Server, input: impl AsRef<[u8]> + Sync) -> Vec<u8> {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut output = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(input.as_ref()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        (&stream).read_to_end(&mut output).unwrap();
    });
    output
}

/// The same with one byte a write.
pub(crate) fn converse_by_bytes(server: &Server, input: &str) -> String {
    let mut client = server.connect();
    for byte in input.as_bytes() {
        client.send([*byte]);
    }
    client.end();
    String::from_utf8(client.rest().unwrap()).unwrap()
}
