//! `http` answers requests over HTTP/1.1: a page at `/`, and what is posted to `/echo`.

use std::path::Path;

use crate::harness::{Client, Server};
use crate::rehearsal::goes_through_torture;

macro_rules! http {
    ($language:ident) => {
        tests! { $language http:
            one_connection_has_many_requests
            a_request_that_comes_byte_by_byte_is_answered_as_others
            requests_that_come_at_once_are_answered_in_their_order
            the_peer_can_ask_for_the_end
            what_is_no_http_is_refused
            its_conversations_go_through_torture
        }
    };
}

/// The status and the body of the next answer, which says how long it is.
fn answer(client: &mut Client) -> (String, String) {
    let status = client.line().trim_end().to_owned();
    let mut length = 0;
    loop {
        let line = client.line().trim_end().to_lowercase();
        if line.is_empty() {
            return (status, client.receive(length));
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
}

fn post(body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn is_ok(client: &mut Client, body: &str) {
    let (status, found) = answer(client);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(found == body, "{} bytes", found.len());
}

pub(crate) fn one_connection_has_many_requests(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let greeting = format!("Hello, {}!\n", client.address());
    is_ok(&mut client, &greeting);
    let large = "0123456789".repeat(50_000);
    for body in ["hello", "", &large] {
        client.send(post(body));
        is_ok(&mut client, body);
    }
    client.send("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(answer(&mut client).0, "HTTP/1.1 404 Not Found");
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn a_request_that_comes_byte_by_byte_is_answered_as_others(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    for byte in post("hello").into_bytes() {
        client.send([byte]);
    }
    is_ok(&mut client, "hello");
    client.leaves();
}

pub(crate) fn requests_that_come_at_once_are_answered_in_their_order(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    let bodies = ["one", "two", "three"];
    client.send(bodies.map(post).concat());
    for body in bodies {
        is_ok(&mut client, body);
    }
    client.leaves();
}

pub(crate) fn the_peer_can_ask_for_the_end(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(answer(&mut client).0, "HTTP/1.1 200 OK");
    client.ends_in_good_order();
    drop(client);
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn what_is_no_http_is_refused(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    client.send("hello\r\n\r\n");
    assert_eq!(client.line().trim_end(), "HTTP/1.1 400 Bad Request");
    assert!(!client.rest().unwrap().is_empty());
}

pub(crate) fn its_conversations_go_through_torture(module: &Path) {
    goes_through_torture(module, "go-http");
}
