//! Limits of the peer over TLS: they count what the guest sees, not what TLS makes of it.

use std::io::ErrorKind;

use serde_json::{Value, json};

use super::Secured;
use crate::harness::TlsClient;

/// Tells `does_as_told` what to do over TLS; checks that the client is reset, and by which limit.
fn ends(flags: &[&str], told: &str, kind: &str, key: &str) -> Value {
    let secured = Secured::run(|folder| folder.guest("does_as_told"), flags);
    let port = secured.server.port();
    let mut client = TlsClient::connect(port, &secured.client(), "localhost").unwrap();
    client.send(told);
    assert_eq!(client.rest().unwrap_err().kind(), ErrorKind::ConnectionReset, "{key}");
    let receipt = secured.server.receipt();
    assert_eq!(receipt["exit"], json!({ "kind": kind, "detail": key }));
    assert_eq!(receipt["transport"], "tls");
    receipt
}

#[test]
fn bytes_that_may_come_in_are_those_that_the_guest_reads() {
    let flags = ["--max-bytes-in", "3"];
    let receipt = ends(&flags, "eeee", "bytes_limit", "listener.max_bytes_in");
    assert_eq!((&receipt["bytes_in"], &receipt["bytes_out"]), (&json!(3), &json!(3)));
}

#[test]
fn bytes_that_may_go_out_are_those_that_the_guest_writes() {
    let flags = ["--max-bytes-out", "100001"];
    let receipt = ends(&flags, "w", "bytes_limit", "listener.max_bytes_out");
    assert_eq!(receipt["bytes_out"], 100_001);
}

#[test]
fn a_peer_that_sends_too_little_is_slow_whatever_its_records_weigh() {
    // Its records have more bytes than that.
    let flags = ["--min-rate", "20:200ms"];
    let receipt = ends(&flags, "eee", "slow_peer", "listener.min_rate");
    assert_eq!(receipt["bytes_in"], 3);
}

#[test]
fn a_peer_that_does_not_read_is_a_write_timeout() {
    let flags = ["--write-timeout", "150ms", "--cpu", "none"];
    let secured = Secured::run(|folder| folder.guest("does_as_told"), &flags);
    let port = secured.server.port();
    let mut client = TlsClient::connect(port, &secured.client(), "localhost").unwrap();
    client.send("w");
    let exit = json!({ "kind": "write_timeout", "detail": "listener.write_timeout" });
    assert_eq!(secured.server.receipt()["exit"], exit);
    assert_eq!(client.rest().unwrap_err().kind(), ErrorKind::ConnectionReset);
}
