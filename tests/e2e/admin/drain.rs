//! Commands, and what they do during a drain.

use rustix::process::Signal;
use serde_json::json;

use super::Steered;

#[test]
fn a_listener_is_drained_with_the_deadline_that_was_typed() {
    let steered = Steered::start();
    let mut stays = steered.echoed();
    let mut told = steered.server.connect_to("told");
    told.send("e");
    assert_eq!(told.receive(1), "e");
    let said = steered.said(&["drain", "told", "--deadline", "1ms"]);
    assert_eq!(said, "told has stopped; 1 connection was cut\n");
    told.is_reset();
    stays.is_echoed();
    assert_eq!(steered.said(&["drain", "told"]), "told has stopped; 0 connections were cut\n");
    assert_eq!(steered.said(&["start", "told"]), "told is accepting\n");
    assert!(steered.refused(&["drain", "tolt"]).contains("did you mean `told`?"));
}

#[test]
fn a_server_that_drains_is_seen_and_steered_to_its_end() {
    let steered = Steered::with("drain_timeout = \"none\"", "");
    let mut client = steered.echoed();
    let mut other = steered.echoed();
    assert_eq!(steered.said(&["drain"]), "draining; 2 connections are open\n");
    steered.server.find_line("draining: 2 connections");
    let status = steered.json(&["status", "--json"]);
    assert_eq!(status["state"], "draining");
    assert_eq!(status["listeners"][0]["state"], "draining");
    let found = steered.connections();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|one| one["state"] == "draining"), "{found:?}");
    client.is_echoed();
    for refused in [
        &["suspend", "echo"][..],
        &["reload"],
        &["limits", "set", "server", "9"],
        &["start", "echo"],
    ] {
        let said = steered.refused(refused);
        assert!(said.contains("the server is draining, and then ends"), "{said}");
    }
    steered.said(&["kill", &found[1]["id"].to_string()]);
    other.is_reset();
    client.leaves();
    let (code, log) = steered.server.wait();
    assert_eq!(code, 0, "{log}");
    let socket = steered.folder.at("portcell.sock");
    assert!(!socket.exists(), "it is removed with the server");
}

#[test]
fn a_drain_takes_a_deadline_also_when_it_has_begun() {
    let steered = Steered::with("drain_timeout = \"none\"", "");
    let mut client = steered.echoed();
    steered.server.signal(Signal::TERM);
    steered.server.find_line("draining: 1 connection");
    assert_eq!(steered.said(&["drain"]), "draining; 1 connection is open\n");
    client.is_echoed();
    steered.said(&["drain", "--deadline", "1ms"]);
    client.is_reset();
    let (code, log) = steered.server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(&format!("\"exit\":{}", json!({ "kind": "cut" }))), "{log}");
}

#[test]
fn a_signal_bounds_a_drain_that_was_to_take_as_long_as_it_likes() {
    let steered = Steered::with("drain_timeout = \"50ms\"", "");
    let mut client = steered.echoed();
    steered.said(&["drain", "--deadline", "none"]);
    steered.server.find_line("draining: 1 connection");
    steered.server.signal(Signal::TERM);
    client.is_reset();
    let (code, log) = steered.server.wait();
    assert_eq!(code, 0, "{log}");
}
