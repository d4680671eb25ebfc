//! What clients see of handlers that end at once or cannot begin, and of each other.

use serde_json::Value;

use crate::harness::{Client, Folder, Server, plugin};

/// Checks that nothing comes from the server but the end, in good order or not.
fn hears_nothing_but_the_end(client: &mut Client) {
    if let Ok(said) = client.rest() {
        assert_eq!(said, b"");
    }
}

#[test]
fn a_handler_that_returns_at_once_ends_the_connection_without_a_byte() {
    let folder = Folder::new();
    let module =
        folder.wat("returns", r#"(module (memory (export "memory") 1) (func (export "handle")))"#);
    let server = Server::run(module).start();
    // It may have sent something by then, or not.
    for sent in ["", "hello"] {
        let mut client = server.connect();
        client.send(sent);
        client.ends_in_good_order();
    }
    for receipt in server.stop() {
        assert_eq!(receipt["exit"]["kind"], "ok");
    }
}

#[test]
fn a_handler_that_traps_before_it_begins_costs_its_client_only() {
    let folder = Folder::new();
    let source = r#"
        (module
          (import "portcell_v1" "info" (func $info (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          ;; It asks first, so it passes its trial.
          (func $begin
            (drop (call $info (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
            unreachable)
          (start $begin)
          (func (export "handle")))
    "#;
    let server = Server::run(folder.wat("traps", source)).start();
    for count in 1..=3 {
        let mut client = server.connect();
        hears_nothing_but_the_end(&mut client);
        let receipts = server.receipts(count);
        assert_eq!(receipts.len(), count, "one for each");
        let exit = &receipts[count - 1]["exit"];
        assert_eq!(exit["kind"], "trap", "{exit}");
        assert!(exit["detail"].as_str().unwrap().contains("`begin`"), "{exit}");
    }
    // It is the handler's fault, so the listener does not pause for it.
    assert!(!server.log().contains("cannot accept"), "{}", server.log());
    assert_eq!(server.stop().len(), 3);
}

#[test]
fn ten_clients_talk_at_once_and_the_end_of_one_is_no_other_ones() {
    let folder = Folder::new();
    let path = folder.at("talk.sock");
    let server = Server::run(folder.guest("does_as_told"))
        .listen("tcp://127.0.0.1:0")
        .listen(&format!("unix:{}", path.display()))
        .start();
    let mut clients: Vec<_> =
        (0..5).flat_map(|_| [server.connect(), Client::connect_unix(&path)]).collect();
    let all_answer = |clients: &mut [Client]| {
        for client in clients.iter_mut() {
            client.send("e");
        }
        for client in clients {
            assert_eq!(client.receive(1), "e");
        }
    };
    all_answer(&mut clients);
    // One returns, one fails, one traps.
    for told in ["o", "f", "t"] {
        let mut client = clients.remove(0);
        client.send(told);
        hears_nothing_but_the_end(&mut client);
        drop(client);
        all_answer(&mut clients);
    }
    drop(clients);
    let receipts = server.receipts(10);
    let is = |kind: &'static str| move |receipt: &&Value| receipt["exit"]["kind"] == kind;
    let count = |kind| receipts.iter().filter(is(kind)).count();
    assert_eq!((count("ok"), count("failed"), count("trap")), (8, 1, 1));
}

#[test]
fn a_client_with_half_a_request_keeps_nobody_waiting_and_gets_its_answer() {
    let server = Server::run(plugin("http")).start();
    let mut half = server.connect();
    half.send("GET /nowhere HTTP/1.1\r\nHost: a");
    for _ in 0..5 {
        let mut other = server.connect();
        other.send("GET /facts HTTP/1.0\r\n\r\n");
        let answer = String::from_utf8(other.rest().unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(half.hears_nothing());
    half.send("\r\nConnection: close\r\n\r\n");
    let answer = String::from_utf8(half.rest().unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}
