//! `probe` does what it is told, one command a line: facts, errnos, timeouts, ends, drains and TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process;
use std::sync::Arc;

use serde_json::json;

use crate::conversation::{converse, converse_by_bytes};
use crate::harness::{Authority, Client, Folder, PATIENCE, Server, TlsClient};

macro_rules! probe {
    ($language:ident) => {
        tests! { $language probe:
            facts_are_told
            facts_of_a_unix_socket_are_told
            commands_that_come_byte_by_byte_are_obeyed_as_others
            a_timeout_that_runs_out_is_an_error_and_the_connection_goes_on
            a_timeout_of_zero_never_waits
            a_timeout_that_does_not_run_out_changes_nothing
            another_descriptor_is_no_descriptor
            the_code_is_that_of_the_receipt
            a_line_goes_into_the_log
            the_write_side_ends_alone
            the_peers_end_is_success
            a_reset_while_it_waits_is_told_in_the_receipt
            a_drain_is_heard_and_ends_it_in_good_order
            tls_begins_when_it_is_asked_for_and_what_came_before_is_forgotten
            without_tls_plaintext_goes_on
        }
    };
}

pub(crate) fn facts_are_told(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    let local = format!("127.0.0.1:{}", server.port());
    for (fact, value) in [
        ("peer.address", client.address().as_str()),
        ("local.address", &local),
        ("transport", "tcp"),
        ("handler.version", "1"),
        ("handler", "probe"),
        ("limits.memory", "33554432"),
    ] {
        assert_eq!(client.ask(&format!("fact {fact}")), format!("{fact}={value}"));
    }
    for fact in ["tls.version", "peer.pid", "datagram.size", "nonsense"] {
        assert_eq!(client.ask(&format!("fact {fact}")), format!("{fact}: ENOENT"));
    }
    let id = client.ask("fact connection.id");
    client.leaves();
    assert_eq!(id, format!("connection.id={}", server.receipt()["id"]));
}

pub(crate) fn facts_of_a_unix_socket_are_told(module: &Path) {
    let folder = Folder::new();
    // Longer than buffers that were guessed.
    let path = folder.at(&"a".repeat(60));
    let server = Server::run(module).listen(&format!("unix:{}", path.display())).start();
    let mut client = Client::connect_unix(&path);
    assert_eq!(client.ask("fact transport"), "transport=unix");
    assert_eq!(client.ask("fact peer.pid"), format!("peer.pid={}", process::id()));
    let local = format!("local.address=unix:{}", path.display());
    assert_eq!(client.ask("fact local.address"), local);
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn commands_that_come_byte_by_byte_are_obeyed_as_others(module: &Path) {
    let server = Server::run(module).start();
    let commands = "fact transport\nbad\nnonsense\n\n";
    let answers = "transport=tcp\nEBADF\n?\n?\n";
    assert_eq!(converse_by_bytes(&server, commands), answers);
    assert_eq!(converse(&server, commands), answers.as_bytes());
}

pub(crate) fn a_timeout_that_runs_out_is_an_error_and_the_connection_goes_on(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.ask("timeout 10"), "ETIMEDOUT");
    assert_eq!(client.ask("timeout 10"), "ETIMEDOUT");
    // It waits for the next command as long as it takes.
    assert!(client.hears_nothing());
    assert_eq!(client.ask("fact transport"), "transport=tcp");
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn a_timeout_of_zero_never_waits(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.ask("timeout 0"), "EAGAIN");
    client.leaves();
}

pub(crate) fn a_timeout_that_does_not_run_out_changes_nothing(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.ask("fact transport"), "transport=tcp");
    client.send("timeout 20000\n");
    // It waits, with nothing read ahead.
    assert!(client.hears_nothing());
    client.send("abc");
    assert_eq!(client.line(), "read 3");
    // The end is no error.
    client.send("timeout 20000\n");
    client.end();
    assert_eq!(client.rest().unwrap(), b"read 0\n");
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn another_descriptor_is_no_descriptor(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.ask("bad"), "EBADF");
    client.leaves();
}

pub(crate) fn the_code_is_that_of_the_receipt(module: &Path) {
    let failed = |code| json!({ "kind": "failed", "code": code });
    for (code, exit) in [(0, json!({ "kind": "ok" })), (1, failed(1)), (7, failed(7))] {
        let server = Server::run(module).start();
        let mut client = server.connect();
        client.send(format!("code {code}\n"));
        client.ends_in_good_order();
        drop(client);
        assert_eq!(server.receipt()["exit"], exit);
    }
}

pub(crate) fn a_line_goes_into_the_log(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.ask("log it rains in Ghent"), "logged");
    let line = server.find_line("it rains in Ghent");
    assert!(line.contains("INFO"), "{line}");
    client.leaves();
}

pub(crate) fn the_write_side_ends_alone(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    client.send("end\n");
    client.ends_in_good_order();
    // It reads on: nothing of this is refused.
    client.send("more");
    client.end();
    let receipt = server.receipt();
    assert_eq!(receipt["exit"]["kind"], "ok");
    assert_eq!(receipt["bytes_in"], "end\nmore".len());
}

pub(crate) fn the_peers_end_is_success(module: &Path) {
    let server = Server::run(module).start();
    server.connect().leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn a_reset_while_it_waits_is_told_in_the_receipt(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.ask("fact transport"), "transport=tcp");
    client.reset();
    assert_eq!(server.receipt()["exit"]["kind"], "peer_reset");
}

pub(crate) fn a_drain_is_heard_and_ends_it_in_good_order(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.ask("drain"), "waiting");
    assert!(client.hears_nothing());
    server.drain();
    assert_eq!(client.line(), "draining");
    client.leaves();
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(r#""exit":{"kind":"ok"}"#), "{log}");
}

pub(crate) fn tls_begins_when_it_is_asked_for_and_what_came_before_is_forgotten(module: &Path) {
    let folder = Folder::new();
    let authority = Authority::new("Test CA");
    let leaf = authority.sign(&folder, "server", &["localhost"]);
    let (certificate, key) = (leaf.certificate.to_str().unwrap(), leaf.key.to_str().unwrap());
    let server = Server::run(module)
        .arguments(&["--tls", certificate, key, "--tls-start", "request"])
        .start();
    let mut plain = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    // The guest reads both lines before it asks for TLS.
    plain.write_all(b"tls\nfact tls.version\n").unwrap();
    let mut reply = [0; 3];
    plain.read_exact(&mut reply).unwrap();
    assert_eq!(reply, *b"go\n");
    let mut client = TlsClient::on(plain, &Arc::new(authority.client()), "localhost").unwrap();
    assert_eq!(client.receive("secured\n".len()), "secured\n");
    assert_eq!(client.ask("fact transport"), "transport=tls");
    assert_eq!(client.ask("tls"), "EINVAL", "it has begun");
    client.end();
    assert_eq!(client.rest().unwrap(), b"");
    let receipt = server.receipt();
    assert_eq!((&receipt["transport"], &receipt["exit"]["kind"]), (&"tls".into(), &"ok".into()));
}

pub(crate) fn without_tls_plaintext_goes_on(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.ask("tls"), "ENOTSUP");
    assert_eq!(client.ask("fact transport"), "transport=tcp");
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}
