//! Handshakes that stall, crawl or fail, and those beside them that do not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use serde_json::Value;

use super::Secured;
use crate::harness::{Authority, Client, Folder, PATIENCE, Server, TlsClient, plugin, wait_until};

/// The first message of a client, as bytes.
fn client_hello(secured: &Secured) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(secured.client(), name).unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn a_handshake_that_stalls_is_cut() {
    let secured = Secured::echo(&["--handshake-timeout", "300ms"]);
    let hello = client_hello(&secured);
    for sent in [0, 5, hello.len() - 1] {
        let mut client = secured.server.connect();
        client.send(&hello[..sent]);
        // Closed with or without something unread: both are ends.
        let _ = client.rest();
    }
    // One that goes on after its first message, and never finishes.
    let mut client = secured.server.connect();
    client.send(&hello);
    let _ = client.rest();
    TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap().is_echoed();
    assert_eq!(secured.server.stop().len(), 1, "no guest has run for the others");
}

#[test]
fn a_handshake_that_fails_has_a_receipt_if_all_are_wanted() {
    let secured = Secured::echo(&["--receipts-for", "all"]);
    let mut client = secured.server.connect();
    client.send("GET / HTTP/1.1\r\n\r\n");
    let _ = client.rest();
    let receipt = secured.server.receipt();
    assert_eq!(receipt["exit"]["kind"], "handshake_failed");
    assert!(receipt["exit"]["detail"].as_str().is_some_and(|why| !why.is_empty()), "{receipt}");
    assert_eq!(receipt["peer"], client.address());
    assert_eq!((&receipt["transport"], &receipt["handler"]), (&"tcp".into(), &Value::Null));
    assert!(receipt["id"].is_u64(), "{receipt}");
}

#[test]
fn a_handshake_that_takes_too_long_names_the_bound() {
    let secured = Secured::echo(&["--receipts-for", "all", "--handshake-timeout", "200ms"]);
    let mut client = secured.server.connect();
    let _ = client.rest();
    let why = "it took longer than 200ms (handshake_timeout)";
    assert_eq!(secured.server.receipt()["exit"]["detail"], why);
}

#[test]
fn a_handshake_byte_by_byte_is_one() {
    let secured = Secured::echo(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", secured.server.port())).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(secured.client(), name).unwrap();
    while tls.is_handshaking() || tls.wants_write() {
        let mut bytes = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut bytes).unwrap();
        }
        for byte in bytes {
            stream.write_all(&[byte]).unwrap();
        }
        if tls.is_handshaking() {
            tls.read_tls(&mut stream).unwrap();
            tls.process_new_packets().unwrap();
        }
    }
    tls.writer().write_all(b"x").unwrap();
    let mut client = rustls::StreamOwned::new(tls, stream);
    client.flush().unwrap();
    let mut echoed = [0];
    client.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, *b"x");
}

#[test]
fn plaintext_gets_an_alert_and_an_end_in_good_order() {
    let secured = Secured::echo(&["--log", "debug"]);
    for plaintext in ["GET / HTTP/1.1\r\n\r\n".as_bytes(), &[0; 100], &[0xff; 3000]] {
        let mut client = secured.server.connect();
        client.send(plaintext);
        client.end();
        let alert = client.rest().unwrap();
        assert!(matches!(alert[..], [21, 3, 3, 0, 2, 2, _]), "{alert:?}");
    }
    assert_eq!(secured.server.find_lines(3, "the handshake failed").len(), 3);
    TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap().is_echoed();
}

#[test]
fn many_failures_are_one_line_of_the_log() {
    let secured = Secured::echo(&[]);
    for _ in 0..150 {
        let mut client = secured.server.connect();
        client.send("GET / HTTP/1.1\r\n\r\n");
        client.end();
        client.rest().unwrap();
    }
    secured.server.find_line("many handshakes fail");
    let log = secured.server.log();
    assert_eq!(log.lines().filter(|line| line.contains("fail")).count(), 1, "{log}");
}

#[test]
fn beside_half_open_handshakes_clients_are_served() {
    let secured = Secured::echo(&["--max-connections", "4"]);
    let hello = client_hello(&secured);
    let half_open: Vec<Client> = (0..200)
        .map(|n| {
            let mut client = secured.server.connect();
            client.send(&hello[..n % hello.len()]);
            client
        })
        .collect();
    let config = secured.client();
    for _ in 0..20 {
        TlsClient::connect(secured.server.port(), &config, "localhost").unwrap().is_echoed();
    }
    drop(half_open);
}

/// A server that has room for two handshakes, which may take long.
fn two_handshakes() -> (Folder, Authority, Server) {
    let folder = Folder::new();
    let authority = Authority::new("Test CA");
    let leaf = authority.sign(&folder, "server", &["localhost"]);
    let config = format!(
        r#"
        [server]
        max_handshakes = 2
        [[listener]]
        name = "echo"
        bind = "tcp://127.0.0.1:0"
        handler = "echo"
        handshake_timeout = "10m"
        [listener.tls]
        certificate = "{}"
        key = "{}"
        [handler.echo]
        module = "{}"
        "#,
        leaf.certificate.display(),
        leaf.key.display(),
        plugin("echo").display(),
    );
    let server = Server::serve(&folder, &config).start();
    (folder, authority, server)
}

#[test]
fn the_oldest_silent_handshake_makes_room() {
    let (_folder, authority, server) = two_handshakes();
    let mut silent: Vec<_> = (0..2).map(|_| server.connect()).collect();
    let config = Arc::new(authority.client());
    for _ in 0..3 {
        TlsClient::connect(server.port(), &config, "localhost").unwrap().is_echoed();
    }
    silent[0].ends_in_good_order();
}

#[test]
fn a_client_that_was_answered_does_not_make_room_for_silent_ones() {
    let (_folder, authority, server) = two_handshakes();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(authority.client()), name).unwrap();
    let mut answered = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    answered.set_read_timeout(Some(PATIENCE)).unwrap();
    tls.write_tls(&mut answered).unwrap();
    answered.peek(&mut [0]).unwrap();
    let mut silent = server.connect();
    for _ in 0..3 {
        let next = server.connect();
        silent.ends_in_good_order();
        silent = next;
    }
    while tls.is_handshaking() {
        tls.complete_io(&mut answered).unwrap();
    }
    let mut client = rustls::StreamOwned::new(tls, answered);
    client.write_all(b"x").unwrap();
    let mut echoed = [0];
    client.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, *b"x");
}

#[test]
fn clients_that_were_answered_and_stall_make_room() {
    let (_folder, authority, server) = two_handshakes();
    let config = Arc::new(authority.client());
    let name = ServerName::try_from("localhost").unwrap();
    let stalled: Vec<_> = (0..2)
        .map(|_| {
            let mut tls = ClientConnection::new(Arc::clone(&config), name.clone()).unwrap();
            let mut hello = Vec::new();
            tls.write_tls(&mut hello).unwrap();
            let mut client = server.connect();
            client.send(hello);
            assert_eq!(client.receive(1), "\u{16}", "it is answered");
            client
        })
        .collect();
    for _ in 0..3 {
        TlsClient::connect(server.port(), &config, "localhost").unwrap().is_echoed();
    }
    drop(stalled);
}

#[test]
fn who_is_turned_away_behind_a_handshake_hears_why() {
    let flags = ["--max-connections", "1", "--when-full", "refuse", "--farewell", "full\\n"];
    let secured = Secured::echo(&flags);
    let connect =
        || TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap();
    let mut first = connect();
    first.is_echoed();
    for _ in 0..3 {
        assert_eq!(connect().rest().unwrap(), b"full\n");
    }
    first.end();
    first.rest().unwrap();
    wait_until("its place is free", || connect().try_ask("x").is_ok());
}

#[test]
fn handshakes_that_fail_give_their_places_back() {
    let (_folder, authority, server) = two_handshakes();
    for _ in 0..5 {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\n\r\n");
        client.end();
        client.rest().unwrap();
    }
    let config = Arc::new(authority.client());
    TlsClient::connect(server.port(), &config, "localhost").unwrap().is_echoed();
}
