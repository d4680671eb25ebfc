//! Tenants: what all handlers of one may have together, and that others do not feel it.

use serde_json::Value;

use super::{Steered, config};
use crate::harness::{Folder, Server, wait_until};

/// Two handlers of `acme`, bounded by `quota`, and one of another tenant.
fn with(quota: &str) -> Steered {
    Steered::with("receipts_for = \"all\"", &more(quota))
}

fn more(quota: &str) -> String {
    // It goes on in the table of the handler `told`.
    format!(
        r#"
        tenant = "acme"
        [[listener]]
        name = "second"
        bind = "tcp://127.0.0.1:0"
        handler = "second"
        [handler.second]
        module = "does_as_told.wasm"
        cpu = "none"
        tenant = "acme"
        [tenant.acme]
        {quota}
        "#
    )
}

fn tenant(steered: &Steered, name: &str) -> Value {
    let status = steered.json(&["status", "--json"]);
    let tenants = status["tenants"].as_array().unwrap();
    tenants.iter().find(|tenant| tenant["name"] == name).unwrap().clone()
}

fn is_empty(steered: &Steered) {
    wait_until("all is given back", || {
        let acme = tenant(steered, "acme");
        acme["connections"] == 0 && acme["memory"] == 0
    });
}

#[test]
fn a_client_over_the_connections_of_its_tenant_is_turned_away() {
    let steered = with("max_connections = 1");
    let mut first = steered.server.connect_to("told");
    first.send("e");
    assert_eq!(first.receive(1), "e");
    steered.server.connect_to("second").ends_in_good_order();
    let receipt = steered.server.find_receipt(|receipt| receipt["exit"]["kind"] == "refused");
    assert_eq!(receipt["exit"]["detail"], "tenant.max_connections of acme");
    assert_eq!(tenant(&steered, "acme")["refused"], 1);
    // The other tenant has its own.
    steered.echoed();
    // A reload raises it.
    steered
        .folder
        .write("portcell.toml", config("receipts_for = \"all\"", &more("max_connections = 2")));
    steered.said(&["reload"]);
    let mut second = steered.server.connect_to("second");
    second.send("e");
    assert_eq!(second.receive(1), "e");
    drop((first, second));
    is_empty(&steered);
}

#[test]
fn a_tenant_has_its_places_and_memory_back_however_connections_end() {
    let steered = with("max_connections = 8\nmemory = \"64MiB\"");
    for told in ["o", "f", "t", "r", "c", "m"] {
        let mut client = steered.server.connect_to("told");
        client.send(told);
        let reset = steered.server.connect_to("second");
        reset.reset();
    }
    is_empty(&steered);
}

#[test]
fn a_tenant_has_its_places_and_memory_back_when_its_connections_are_killed() {
    let steered = with("max_connections = 1\nmemory = \"64MiB\"");
    for (told, state) in [("e", "waiting"), ("s", "running"), ("w", "writing"), ("eo", "closing")] {
        let mut client = steered.server.connect_to("told");
        client.send(told);
        let id = steered.only_one_is(state)["id"].to_string();
        assert_eq!(tenant(&steered, "acme")["connections"], 1, "{told}");
        steered.said(&["kill", &id]);
        let _ = client.rest();
        is_empty(&steered);
    }
    let mut killed = steered.server.receipts(4);
    killed.retain(|receipt| receipt["exit"]["kind"] == "killed");
    assert_eq!(killed.len(), 4);
}

#[test]
fn one_that_is_held_can_be_killed_and_gives_back_what_it_has() {
    let steered = with("cpu = 0.001");
    let mut client = steered.server.connect_to("told");
    client.send("s");
    wait_until("it is held", || tenant(&steered, "acme")["held_ms"].as_u64().unwrap() > 0);
    let id = steered.connections()[0]["id"].to_string();
    steered.said(&["kill", &id]);
    client.is_reset();
    assert_eq!(steered.server.receipt()["exit"]["kind"], "killed");
    is_empty(&steered);
}

#[test]
fn flows_are_among_the_connections_of_their_tenant() {
    let flows = r#"
        tenant = "acme"
        [[listener]]
        name = "udp"
        bind = "udp://127.0.0.1:0"
        handler = "datagrams"
        [handler.datagrams]
        module = "echoes_datagrams.wasm"
        tenant = "acme"
        [tenant.acme]
        max_connections = 1
        "#;
    let folder = Folder::new();
    for guest in ["echo", "does_as_told", "echoes_datagrams"] {
        folder.guest(guest);
    }
    let server = Server::serve(&folder, &config("receipts_for = \"all\"", flows)).start();
    let steered = Steered { server, folder };
    let (first, second) = (steered.server.peer_of("udp"), steered.server.peer_of("udp"));
    first.is_echoed();
    let acme = tenant(&steered, "acme");
    assert_eq!((&acme["connections"], &acme["memory"]), (&1.into(), &(1 << 16).into()));
    // Neither another flow nor a connection: its sender hears nothing, and the client an end.
    second.send("x");
    let refused = |transport: &str| {
        steered.server.find_receipt(|receipt| {
            receipt["exit"]["kind"] == "refused" && receipt["transport"] == transport
        })
    };
    assert_eq!(refused("udp")["exit"]["detail"], "tenant.max_connections of acme");
    assert_eq!(refused("udp")["peer"], second.address());
    assert!(second.hears_nothing());
    steered.server.connect_to("told").ends_in_good_order();
    assert_eq!(refused("tcp")["exit"]["detail"], "tenant.max_connections of acme");
    assert_eq!(tenant(&steered, "acme")["refused"], 2);
    first.is_echoed();
    let id = steered.only_one_is("waiting")["id"].to_string();
    steered.said(&["kill", &id]);
    is_empty(&steered);
    second.is_echoed();
}

#[test]
fn instances_of_a_tenant_share_its_memory() {
    let steered = with("memory = \"1MiB\"");
    let mut client = steered.server.connect_to("told");
    client.send("m");
    let receipt = steered.server.receipt();
    assert_eq!(receipt["exit"]["kind"], "memory_limit");
    assert_eq!(receipt["exit"]["detail"], "tenant.memory");
    steered.echoed();
    is_empty(&steered);
}

#[test]
fn a_tenant_that_computes_too_much_is_held_and_nobody_else() {
    let steered = with("cpu = 0.1");
    let mut spinning = steered.server.connect_to("told");
    spinning.send("s");
    wait_until("it is held", || tenant(&steered, "acme")["held_ms"].as_u64().unwrap() > 0);
    steered.echoed();
    // The second handler of the tenant is slow, but has its turn.
    let mut second = steered.server.connect_to("second");
    second.send("e");
    assert_eq!(second.receive(1), "e");
    let status = steered.json(&["status", "--json"]);
    let acme = tenant(&steered, "acme");
    let uptime = status["uptime_ms"].as_u64().unwrap();
    let most = 2 * (uptime / 10 + 100) + 1000;
    assert!(acme["cpu_us"].as_u64().unwrap() / 1000 <= most, "{acme} in {uptime}ms");
}

#[test]
fn status_has_a_table_of_tenants() {
    let steered = with("max_connections = 8\nmemory = \"64MiB\"\ncpu = 0.5");
    let _echoed = steered.echoed();
    let mut told = steered.server.connect_to("told");
    told.send("e");
    assert_eq!(told.receive(1), "e");
    let text = steered.said(&["status"]);
    let row = |name: &str| {
        let is_row = |line: &&str| line.split_whitespace().next() == Some(name);
        let rows: Vec<_> = text.lines().filter(is_row).collect();
        assert_eq!(rows.len(), 1, "{text}");
        rows[0].split_whitespace().collect::<Vec<_>>()
    };
    let head = ["tenant", "connections", "refused", "memory", "cpu", "quota", "held"];
    assert_eq!(row("tenant"), head);
    let acme = row("acme");
    assert_eq!(acme[..5], ["acme", "1", "of", "8", "0"], "{text}");
    assert_eq!((acme[6..8].join(" "), acme[9]), ("of 64MiB".into(), "0.5"), "{text}");
    let default = row("default");
    assert_eq!((default[..3].join(" "), default[5]), ("default 1 0".into(), "none"), "{text}");
}

#[test]
fn the_connections_of_a_tenant_are_bounded_anew_by_a_command() {
    let steered = with("max_connections = 8");
    let mut first = steered.server.connect_to("told");
    first.send("e");
    assert_eq!(first.receive(1), "e");
    let said = steered.said(&["limits", "set", "tenant.acme", "1"]);
    assert_eq!(said, "tenant.acme: at most 1, 1 used\n");
    steered.server.connect_to("second").ends_in_good_order();
    assert_eq!(tenant(&steered, "acme")["refused"], 1);
    assert_eq!(steered.said(&["diff"]), "tenant acme: max_connections 1 -> 8\n");
    let said = steered.said(&["limits", "set", "tenant.acme", "none"]);
    assert_eq!(said, "tenant.acme: no bound, 1 used\n");
    steered.server.connect_to("second").leaves();
    let said = steered.refused(&["limits", "set", "tenant.acne", "1"]);
    assert!(said.contains("there is no [tenant.acne]; did you mean `acme`?"), "{said}");
}
