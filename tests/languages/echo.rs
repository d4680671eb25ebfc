//! `echo` sends back what it is sent.

use std::path::Path;

use crate::conversation::converse;
use crate::harness::Server;
use crate::rehearsal::goes_through_torture;

macro_rules! echo {
    ($language:ident) => {
        tests! { $language echo:
            each_byte_comes_back_by_itself
            what_comes_at_once_goes_back_as_it_was
            a_mebibyte_goes_back_as_it_was
            clients_do_not_hear_each_other
            a_client_that_says_nothing_is_no_failure
            a_reset_ends_one_connection_and_no_other
            a_drain_leaves_it_alone_until_its_peer_ends
            its_conversations_go_through_torture
        }
    };
}

pub(crate) fn each_byte_comes_back_by_itself(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    for byte in 0..128_u8 {
        client.send([byte]);
        assert_eq!(client.receive(1).as_bytes(), [byte]);
    }
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn what_comes_at_once_goes_back_as_it_was(module: &Path) {
    let server = Server::run(module).start();
    let input: Vec<u8> = (0..=255).collect();
    assert_eq!(converse(&server, &input), input);
}

pub(crate) fn a_mebibyte_goes_back_as_it_was(module: &Path) {
    let server = Server::run(module).start();
    let input: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
    assert!(converse(&server, &input) == input);
    let receipt = server.receipt();
    assert_eq!(receipt["exit"]["kind"], "ok");
    assert_eq!([&receipt["bytes_in"], &receipt["bytes_out"]], [1 << 20, 1 << 20]);
}

pub(crate) fn clients_do_not_hear_each_other(module: &Path) {
    let server = Server::run(module).start();
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("client {number}\n"));
    }
    for (number, client) in clients.iter_mut().enumerate().rev() {
        assert_eq!(client.line(), format!("client {number}"));
    }
    for client in clients {
        client.leaves();
    }
}

pub(crate) fn a_client_that_says_nothing_is_no_failure(module: &Path) {
    let server = Server::run(module).start();
    server.connect().leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn a_reset_ends_one_connection_and_no_other(module: &Path) {
    let server = Server::run(module).start();
    let mut other = server.connect();
    other.is_echoed();
    let mut client = server.connect();
    client.is_echoed();
    client.reset();
    assert_eq!(server.receipt()["exit"]["kind"], "peer_reset");
    other.is_echoed();
    server.connect().is_echoed();
}

pub(crate) fn a_drain_leaves_it_alone_until_its_peer_ends(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    client.is_echoed();
    server.drain();
    client.is_echoed();
    client.leaves();
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(r#""exit":{"kind":"ok"}"#), "{log}");
}

pub(crate) fn its_conversations_go_through_torture(module: &Path) {
    goes_through_torture(module, "echo");
}
