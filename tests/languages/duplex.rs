//! `duplex` reads and writes at the same time.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use crate::harness::{PATIENCE, Server};

macro_rules! duplex {
    ($language:ident) => {
        tests! { $language duplex:
            it_writes_while_it_waits_for_the_peer
            it_reads_while_the_peer_takes_nothing
            a_reset_ends_one_connection_and_no_other
        }
    };
}

/// More than the buffers of both kernels hold.
const MUCH: usize = 16 << 20;

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The rest of what it writes: numbers without a gap, and then how much it has read.
fn ends_with(mut text: String, mut stream: TcpStream, sent: usize) {
    stream.shutdown(Shutdown::Write).unwrap();
    stream.read_to_string(&mut text).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.pop().unwrap(), format!("{sent} bytes"));
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(*line, (at + 1).to_string());
    }
}

pub(crate) fn it_writes_while_it_waits_for_the_peer(module: &Path) {
    let server = Server::run(module).start();
    let mut stream = connect(&server);
    let mut text = vec![0; 1 << 20];
    stream.read_exact(&mut text).unwrap();
    stream.write_all(b"hello\n").unwrap();
    ends_with(String::from_utf8(text).unwrap(), stream, 6);
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn it_reads_while_the_peer_takes_nothing(module: &Path) {
    let server = Server::run(module).start();
    let mut stream = connect(&server);
    stream.write_all(&vec![0; MUCH]).unwrap();
    ends_with(String::new(), stream, MUCH);
    let receipt = server.receipt();
    assert_eq!(receipt["exit"]["kind"], "ok");
    assert_eq!(receipt["bytes_in"], MUCH);
}

pub(crate) fn a_reset_ends_one_connection_and_no_other(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    let stream = connect(&server);
    assert_eq!(client.line(), "1");
    client.reset();
    assert_eq!(server.receipt()["exit"]["kind"], "peer_reset");
    ends_with(String::new(), stream, 0);
}
