//! Receipts that are followed at the admin socket.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::{Steered, open};
use crate::harness::{Client, wait_until};

/// Those who follow from here on: the lines of the body.
fn follow(steered: &Steered) -> impl Iterator<Item = Value> + use<> {
    let mut stream = open(steered);
    stream.write_all(b"GET /v1/receipts HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    read_head(&mut lines);
    // The chunks of the body are a line each, with their lengths in between.
    lines
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str(&line).ok())
        .filter(Value::is_object)
}

fn read_head(lines: &mut Lines<BufReader<UnixStream>>) {
    let head: Vec<_> =
        lines.by_ref().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    assert_eq!(head[0], "HTTP/1.1 200 OK");
    assert!(head.contains(&"content-type: application/x-ndjson".to_owned()), "{head:?}");
}

#[test]
fn receipts_are_followed_whether_they_are_written_or_not() {
    for of_server in ["", "# receipts are written"] {
        let steered = Steered::start();
        let config = super::config(of_server, "").replace("\"stderr\"", "\"off\"");
        let server = if of_server.is_empty() {
            let folder = crate::harness::Folder::new();
            folder.guest("echo");
            folder.guest("does_as_told");
            Steered { server: crate::harness::Server::serve(&folder, &config).start(), folder }
        } else {
            steered
        };
        // One that was there before has its receipt, too.
        let mut before = server.echoed();
        let mut receipts = follow(&server);
        let mut told = server.server.connect_to("told");
        told.send("f");
        told.leaves();
        let receipt = receipts.next().unwrap();
        assert_eq!(receipt["listener"], "told");
        assert_eq!(receipt["exit"], json!({ "kind": "failed", "code": 3 }));
        before.end();
        before.ends_in_good_order();
        let receipt = receipts.next().unwrap();
        assert_eq!(receipt["listener"], "echo");
        assert!(receipt["peer"].is_string() && receipt["local"].is_string(), "{receipt}");
    }
}

#[test]
fn who_is_asked_for_after_its_guest_has_closed_the_connection_is_known() {
    let folder = crate::harness::Folder::new();
    folder.guest("echo");
    folder.guest("does_as_told");
    let config = super::config("", "").replace("\"stderr\"", "\"off\"");
    let steered =
        Steered { server: crate::harness::Server::serve(&folder, &config).start(), folder };
    let mut client = steered.server.connect_to("told");
    client.send("e");
    client.receive(1);
    // Nobody wanted receipts until now.
    let mut receipts = follow(&steered);
    client.send("c");
    client.leaves();
    let receipt = receipts.next().unwrap();
    assert_eq!(receipt["exit"]["kind"], "ok");
    assert_eq!((&receipt["transport"], &receipt["local"]), (&json!("tcp"), &Value::Null));
    assert!(receipt["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{receipt}");
}

#[test]
fn one_who_does_not_read_misses_some_and_is_told_how_many() {
    const CONNECTIONS: u64 = 2500;
    let steered = Steered::start();
    let receipts = follow(&steered);
    let port = steered.server.port_of("echo");
    for _ in 0..CONNECTIONS {
        Client::connect(("127.0.0.1", port)).leaves();
    }
    wait_until("all have ended", || {
        let status = steered.json(&["status", "--json"]);
        status["listeners"][0]["accepted"] == CONNECTIONS && status["connections"] == 0
    });
    let (mut heard, mut lost) = (0, 0);
    for line in receipts {
        match line["lost"].as_u64() {
            Some(missed) => lost += missed,
            None => heard += 1,
        }
        if heard + lost == CONNECTIONS {
            break;
        }
    }
    assert!(lost > 0 && heard > 0, "{lost} lost of {CONNECTIONS}");
}

#[test]
fn following_ends_with_the_server() {
    let steered = Steered::start();
    let mut receipts = follow(&steered);
    steered.said(&["drain"]);
    assert_eq!(receipts.next(), None);
    assert_eq!(steered.server.wait().0, 0);
}
