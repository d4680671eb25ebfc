//! Connections that begin in plaintext and come to TLS when the guest asks for it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};

use super::Secured;
use crate::harness::{Folder, PATIENCE, Program, Server, TlsClient};

fn start(flags: &[&str]) -> Secured {
    start_guest("starts_tls", flags)
}

fn start_guest(name: &str, flags: &[&str]) -> Secured {
    let guest = |folder: &Folder| folder.guest(name);
    let flags: Vec<_> = ["--tls-start", "request"].iter().chain(flags).copied().collect();
    Secured::run(guest, &flags)
}

/// Sends `line` and waits for the reply to it.
fn ask(port: u16, line: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(line.as_bytes()).unwrap();
    let mut reply = [0; 3];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply, *b"go\n");
    stream
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

#[test]
fn a_connection_comes_to_tls_when_the_guest_asks() {
    let secured = start(&[]);
    let stream = ask(secured.server.port(), "STARTTLS\n");
    let mut client = TlsClient::on(stream, &secured.client(), "localhost").unwrap();
    client.is_echoed();
    client.end();
    assert_eq!(client.rest().unwrap(), b"");
    let receipt = secured.server.receipt();
    assert_eq!((&receipt["transport"], &receipt["exit"]["kind"]), (&"tls".into(), &"ok".into()));
    assert_eq!(receipt["tls"]["version"], "1.3");
    assert_eq!((&receipt["bytes_in"], &receipt["bytes_out"]), (&10.into(), &4.into()));
}

#[test]
fn what_came_in_plaintext_before_the_handshake_is_never_seen() {
    // Whether the kernel has it still, or the guest has looked at it already.
    for guest in ["starts_tls", "peeks_then_starts_tls"] {
        let secured = start_guest(guest, &["--log", "debug"]);
        let stream = ask(secured.server.port(), "STARTTLS\ninjected\n");
        let mut client = TlsClient::on(stream, &secured.client(), "localhost").unwrap();
        client.send("asked");
        assert_eq!(client.receive(5), "asked", "{guest}");
        client.end();
        assert_eq!(client.rest().unwrap(), b"");
        secured.server.find_line("9 bytes came before TLS and are dropped");
    }
}

#[test]
fn a_handshake_that_fails_ends_the_connection() {
    let secured = start(&[]);
    let mut stream = ask(secured.server.port(), "STARTTLS\n");
    stream.write_all(b"EHLO in plaintext, still\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let alert = rest(&mut stream);
    assert!(matches!(alert[..], [21, 3, 3, 0, 2, 2, _]), "{alert:?}");
    let receipt = secured.server.receipt();
    assert_eq!(receipt["exit"], json!({ "kind": "handshake_failed", "detail": "this is not TLS" }));
    assert_eq!(receipt["transport"], "tcp");
}

#[test]
fn handshakes_that_guests_begin_are_counted_however_they_end() {
    let folder = Folder::new();
    let admin = format!("unix:{}", folder.at("x.sock").display());
    let secured = start(&["--admin", &admin]);
    let port = secured.server.port();
    for _ in 0..2 {
        let stream = ask(port, "STARTTLS\n");
        TlsClient::on(stream, &secured.client(), "localhost").unwrap().is_echoed();
    }
    let mut stream = ask(port, "STARTTLS\n");
    stream.write_all(b"still in plaintext\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    rest(&mut stream);
    secured.server.receipts(3);
    let status = Program::portcell().arguments(&["status", "--json", "--admin", &admin]).output();
    let status: Value = serde_json::from_slice(&status).unwrap();
    let listener = &status["listeners"][0];
    assert_eq!(
        (&listener["handshakes_done"], &listener["handshakes_failed"]),
        (&2.into(), &1.into())
    );
}

#[test]
fn a_handshake_that_stalls_ends_the_connection() {
    let secured = start(&["--handshake-timeout", "300ms"]);
    let mut stream = ask(secured.server.port(), "STARTTLS\n");
    assert_eq!(rest(&mut stream), b"");
    let why = "it took longer than 300ms (handshake_timeout)";
    let exit = json!({ "kind": "handshake_failed", "detail": why });
    assert_eq!(secured.server.receipt()["exit"], exit);
}

#[test]
fn without_a_certificate_there_is_no_tls_and_plaintext_goes_on() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("starts_tls")).start();
    let mut client = server.connect();
    client.send("STARTTLS\n");
    client.ends_in_good_order();
    assert_eq!(server.receipt()["exit"]["code"], 58, "ENOTSUP");
}

#[test]
fn tls_does_not_begin_twice() {
    let secured = Secured::run(|folder| folder.guest("starts_tls"), &[]);
    let mut client =
        TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap();
    client.send("STARTTLS\n");
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!(secured.server.receipt()["exit"]["code"], 28, "EINVAL");
}

#[test]
fn tls_that_the_guest_has_begun_does_not_begin_twice() {
    let secured =
        Secured::run(|folder| folder.guest("starts_tls_twice"), &["--tls-start", "request"]);
    let stream = ask(secured.server.port(), "");
    let mut client = TlsClient::on(stream, &secured.client(), "localhost").unwrap();
    assert_eq!(client.rest().unwrap(), [28], "EINVAL");
    assert_eq!(secured.server.receipt()["exit"]["kind"], "ok");
}

#[test]
fn a_handshake_at_the_end_of_the_guests_stack_has_a_stack_of_its_own() {
    let guest = |folder: &Folder| folder.guest("recurses_then_starts_tls");
    let secured = Secured::run(guest, &["--tls-start", "request"]);
    let port = secured.server.port();
    // The client's end, if the guest has asked for TLS from so deep.
    let from = |depth: u16| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&depth.to_le_bytes()).unwrap();
        stream.read_exact(&mut [0; 3]).ok().map(|()| stream)
    };
    let (mut deepest, mut too_deep) = (1, u16::MAX);
    while too_deep - deepest > 1 {
        let middle = deepest + (too_deep - deepest) / 2;
        if from(middle).is_some() { deepest = middle } else { too_deep = middle }
    }
    assert!((1000..u16::MAX - 1).contains(&deepest), "{deepest}");
    let stream = from(deepest).unwrap();
    let mut client = TlsClient::on(stream, &secured.client(), "localhost").unwrap();
    client.is_echoed();
    secured.server.find_line("call stack exhausted");
}

#[test]
fn a_unix_socket_comes_to_tls_too() {
    let folder = Folder::new();
    let address = format!("unix:{}", folder.at("socket").display());
    let secured = start(&["--listen", &address]);
    let mut stream = UnixStream::connect(folder.at("socket")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"STARTTLS\ninjected\n").unwrap();
    let mut reply = [0; 3];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply, *b"go\n");
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(secured.client(), name).unwrap();
    // It leaves with the last message of the handshake.
    tls.writer().write_all(b"hello").unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).unwrap();
    }
    tls.send_close_notify();
    let mut echoed = String::new();
    rustls::Stream::new(&mut tls, &mut stream).read_to_string(&mut echoed).unwrap();
    assert_eq!(echoed, "hello");
    let receipt = secured.server.receipt();
    assert_eq!((&receipt["transport"], &receipt["exit"]["kind"]), (&"tls".into(), &"ok".into()));
    assert!(receipt["peer"].as_str().unwrap().starts_with("unix:pid="), "{receipt}");
}

#[test]
fn a_guest_knows_whether_tls_is_to_be_had() {
    let offered = |flags: &[&str]| {
        let secured = Secured::run(|folder| folder.guest("tells_facts"), flags);
        if flags.is_empty() {
            let (port, config) = (secured.server.port(), secured.client());
            return TlsClient::connect(port, &config, "localhost").unwrap().ask("tls.offered");
        }
        secured.server.connect().ask("tls.offered")
    };
    assert_eq!(offered(&["--tls-start", "request"]), "true");
    assert_eq!(offered(&[]), "false", "it is TLS already");
    let folder = Folder::new();
    let plain = Server::run(folder.guest("tells_facts")).start();
    assert_eq!(plain.connect().ask("tls.offered"), "false");
}
