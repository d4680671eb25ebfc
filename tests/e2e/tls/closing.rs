//! How connections end, and that the two directions end apart.

use std::io::ErrorKind;

use super::Secured;
use crate::harness::TlsClient;

#[test]
fn a_goodbye_is_answered_with_a_goodbye() {
    let secured = Secured::echo(&[]);
    let mut client =
        TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap();
    client.is_echoed();
    client.end();
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!(secured.server.receipt()["exit"]["kind"], "ok");
}

#[test]
fn what_comes_before_a_goodbye_is_answered_behind_it() {
    let secured = Secured::echo(&[]);
    let mut client =
        TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap();
    client.send(vec![b'x'; 100_000]);
    client.end();
    assert_eq!(client.rest().unwrap().len(), 100_000);
}

#[test]
fn an_end_without_a_goodbye_is_an_error() {
    let secured = Secured::echo(&[]);
    let mut client =
        TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap();
    client.is_echoed();
    client.truncate();
    assert_eq!(client.rest().unwrap(), b"", "the server says goodbye all the same");
    let receipt = secured.server.receipt();
    assert_eq!(receipt["exit"]["kind"], "failed", "{receipt}");
    secured.server.find_line("connection aborted");
}

#[test]
fn an_end_without_a_goodbye_is_the_end_where_that_is_wanted() {
    let secured = Secured::echo(&["--tls-truncation", "eof"]);
    let mut client =
        TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap();
    client.is_echoed();
    client.truncate();
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!(secured.server.receipt()["exit"]["kind"], "ok");
}

#[test]
fn a_guest_that_traps_says_no_goodbye() {
    let secured = Secured::run(|folder| folder.guest("does_as_told"), &[]);
    let mut client =
        TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap();
    client.send("t");
    let error = client.rest().unwrap_err();
    let cut = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
    assert!(cut.contains(&error.kind()), "{error}");
    assert_eq!(secured.server.receipt()["exit"]["kind"], "trap");
}

#[test]
fn a_drain_lets_connections_finish() {
    let secured = Secured::echo(&[]);
    let mut client =
        TlsClient::connect(secured.server.port(), &secured.client(), "localhost").unwrap();
    client.is_echoed();
    secured.server.drain();
    client.is_echoed();
    client.end();
    assert_eq!(client.rest().unwrap(), b"");
    let (code, log) = secured.server.wait();
    assert_eq!(code, 0, "{log}");
}
