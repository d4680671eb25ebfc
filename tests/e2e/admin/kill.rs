//! Connections that are ended by a command, whatever they do.

use serde_json::{Value, json};

use super::{Steered, asked};
use crate::harness::{Client, Server};

/// Kills the only connection, which is in this state, and gives its number.
fn kill_when(steered: &Steered, state: &str) -> Value {
    let id = steered.only_one_is(state)["id"].clone();
    assert_eq!(steered.said(&["kill", &id.to_string()]), format!("killed {id}\n"));
    id
}

/// Checks that the only receipt is that of a connection that was killed.
fn was_killed(server: &Server, id: &Value) {
    let receipt = server.receipt();
    assert_eq!((&receipt["id"], &receipt["exit"]), (id, &json!({ "kind": "killed" })));
}

/// A client of `told` that has said this.
fn told(steered: &Steered, what: &str) -> Client {
    let mut client = steered.server.connect_to("told");
    client.send(what);
    client
}

#[test]
fn one_that_waits_is_reset() {
    let steered = Steered::start();
    let mut client = steered.echoed();
    let id = kill_when(&steered, "waiting");
    client.is_reset();
    was_killed(&steered.server, &id);
    assert_eq!(
        steered.refused(&["kill", &id.to_string()]),
        format!("portcell: there is no connection {id}; it may have ended\n")
    );
}

#[test]
fn one_that_computes_is_reset() {
    let steered = Steered::start();
    let mut client = told(&steered, "s");
    let id = kill_when(&steered, "running");
    client.is_reset();
    was_killed(&steered.server, &id);
}

#[test]
fn one_whose_peer_does_not_read_is_reset() {
    let steered = Steered::start();
    let mut client = told(&steered, "w");
    let id = kill_when(&steered, "writing");
    assert!(client.rest().is_err());
    was_killed(&steered.server, &id);
}

#[test]
fn one_that_closes_is_reset() {
    let steered = Steered::start();
    // Its guest is gone, and it does not end its side.
    let mut client = told(&steered, "eo");
    assert_eq!(client.receive(1), "e");
    let found = steered.only_one_is("closing");
    assert_eq!(found["memory"], 0);
    let id = kill_when(&steered, "closing");
    // The end of the server's side came before that.
    client.ends_in_good_order();
    was_killed(&steered.server, &id);
}

#[test]
fn one_that_is_asked_to_finish_is_reset() {
    let steered = Steered::with("drain_timeout = \"none\"", "");
    let mut client = steered.echoed();
    steered.server.drain();
    let id = kill_when(&steered, "draining");
    client.is_reset();
    was_killed(&steered.server, &id);
    assert_eq!(steered.server.wait().0, 0);
}

#[test]
fn one_in_a_queue_is_closed() {
    let queue = "[[listener]]\nname = \"one\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"\n\
                 spawn = \"inline\"\nwhen_full = { queue = 5, for = \"1h\" }";
    let steered = Steered::with("", queue);
    let mut first = steered.server.connect_to("one");
    first.is_echoed();
    let mut waits = steered.server.connect_to("one");
    let mut id = Value::Null;
    crate::harness::wait_until("one is queued", || {
        let queued = steered.connections().into_iter().find(|one| one["state"] == "queued");
        id = queued.map_or(Value::Null, |one| one["id"].clone());
        !id.is_null()
    });
    steered.said(&["kill", &id.to_string()]);
    waits.ends_in_good_order();
    first.is_echoed();
}

#[test]
fn one_in_its_handshake_is_closed() {
    let tls = "[[listener]]\nname = \"tls\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"\n\
               [listener.tls]\nself_signed = true";
    let steered = Steered::with("", tls);
    let mut client = steered.server.connect_to("tls");
    let found = steered.only_one_is("handshake");
    assert_eq!((&found["handler"], &found["transport"]), (&Value::Null, &json!("tcp")));
    steered.said(&["kill", &found["id"].to_string()]);
    assert!(client.rest().is_ok_and(|rest| rest.is_empty()));
}

#[test]
fn a_flow_is_ended() {
    let udp = "[[listener]]\nname = \"udp\"\nbind = \"udp://127.0.0.1:0\"\nhandler = \"datagrams\"\n\
               [handler.datagrams]\nmodule = \"echoes_datagrams.wasm\"";
    let folder = crate::harness::Folder::new();
    for guest in ["echo", "does_as_told", "echoes_datagrams"] {
        folder.guest(guest);
    }
    let server = Server::serve(&folder, &super::config("", udp)).start();
    let steered = Steered { server, folder };
    let peer = steered.server.peer_of("udp");
    peer.is_echoed();
    let found = steered.only_one_is("waiting");
    assert_eq!((&found["transport"], &found["peer"]), (&json!("udp"), &json!(peer.address())));
    steered.said(&["kill", &found["id"].to_string()]);
    was_killed(&steered.server, &found["id"]);
    // The next datagram begins another.
    peer.is_echoed();
}

#[test]
fn what_is_not_there_is_not_found() {
    let steered = Steered::start();
    let (status, said) = asked(&steered, "DELETE", "/v1/connections/999999", "");
    assert_eq!(status, 404);
    assert_eq!(said["error"], "there is no connection 999999; it may have ended");
}
