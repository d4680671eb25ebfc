//! `portcell_v1.info`.

use portcell_abi::FACTS;

use crate::harness::{Cell, Guest};

/// A guest that tells the length and the text of the fact `name`.
fn asks(name: &str) -> Guest {
    let call = format!("info 64 {} 1024 4096", name.len());
    Guest::calls_with(&[(64, name.as_bytes())], &[&call, "text 1024 last"])
}

/// The fact `name`, from a guest that is reached over TCP.
async fn fact(name: &str) -> String {
    text(asks(name).serve().await).await
}

async fn text(cell: Cell) -> String {
    let told = cell.tells().await;
    assert_eq!(told[0], told[1].len().to_string());
    told[1].clone()
}

#[tokio::test]
async fn the_addresses_are_those_of_the_sockets() {
    for guest in [asks("peer.address"), asks("peer.address").over_ipv6()] {
        let cell = guest.serve().await;
        let address = cell.peer.address().to_string();
        assert_eq!(text(cell).await, address);
    }
    for guest in [asks("local.address"), asks("local.address").over_ipv6()] {
        let cell = guest.serve().await;
        let address = cell.peer.of_guest().to_string();
        assert_eq!(text(cell).await, address);
    }
}

#[tokio::test]
async fn a_unix_peer_is_its_process_and_user() {
    let process = std::process::id().to_string();
    let user = rustix::process::getuid().as_raw().to_string();
    let group = rustix::process::getgid().as_raw().to_string();
    let of_unix = async |name: &str| text(asks(name).over_unix().serve().await).await;
    assert_eq!(of_unix("peer.address").await, format!("unix:pid={process},uid={user}"));
    assert_eq!(of_unix("peer.pid").await, process);
    assert_eq!(of_unix("peer.uid").await, user);
    assert_eq!(of_unix("peer.gid").await, group);
    assert_eq!(of_unix("transport").await, "unix");
    let cell = asks("local.address").over_unix().serve().await;
    let path = cell.peer.path_of_guest();
    assert_eq!(text(cell).await, format!("unix:{path}"));
}

#[tokio::test]
async fn the_facts_of_the_configuration_are_told() {
    assert_eq!(fact("transport").await, "tcp");
    assert_eq!(fact("listener").await, "guest");
    assert_eq!(fact("handler").await, "guest");
    assert_eq!(fact("handler.version").await, "1");
    assert_eq!(fact("tenant").await, "default");
    let told = |name, flag, value: &'static str| async move {
        text(asks(name).with(flag, value).serve().await).await
    };
    assert_eq!(told("tenant", "tenant", "acme").await, "acme");
    assert_eq!(told("limits.memory", "memory", "1MiB").await, "1048576");
    assert_eq!(told("limits.cpu", "cpu", "2s").await, "2000");
    assert_eq!(told("limits.idle_timeout", "idle-timeout", "90s").await, "90000");
}

#[tokio::test]
async fn the_connection_id_is_that_of_the_account() {
    let cell = asks("connection.id").serve().await;
    let id = cell.account.id().to_string();
    assert_eq!(text(cell).await, id);
}

#[tokio::test]
async fn a_limit_that_is_off_has_no_fact() {
    for (name, flag) in [("limits.cpu", "cpu"), ("limits.idle_timeout", "idle-timeout")] {
        assert_eq!(asks(name).with(flag, "none").serve().await.tells().await[0], "-44");
    }
}

/// Whether it is a fact of connections with TLS only.
fn is_of_tls(name: &str) -> bool {
    name.starts_with("tls.") && name != "tls.offered"
}

#[tokio::test]
async fn facts_of_other_transports_do_not_exist_here() {
    let of_others = |name: &&str| is_of_tls(name) || *name == "datagram.size";
    for name in FACTS.into_iter().filter(of_others) {
        assert_eq!(asks(name).serve().await.tells().await[0], "-44", "{name}");
        assert_eq!(asks(name).over_unix().serve().await.tells().await[0], "-44", "{name}");
    }
    for name in ["peer.pid", "peer.uid", "peer.gid"] {
        assert_eq!(asks(name).serve().await.tells().await[0], "-44", "{name}");
    }
}

#[tokio::test]
async fn every_fact_exists_over_some_transport_or_is_of_tls_or_datagrams() {
    for name in FACTS {
        let over = [asks(name).serve().await, asks(name).over_unix().serve().await];
        let mut known = false;
        for cell in over {
            known |= cell.tells().await[0] != "-44";
        }
        assert_eq!(known, !(is_of_tls(name) || name == "datagram.size"), "{name}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_fact_is_enoent() {
    for name in ["", "peer", "peer.address ", "PEER.ADDRESS", "peer.address\0", "\u{fc}"] {
        assert_eq!(asks(name).serve().await.tells().await[0], "-44", "{name:?}");
    }
    let binary = Guest::calls_with(&[(64, &[0xff, 0xfe, 0x00, 0x80])], &["info 64 4 1024 99"]);
    assert_eq!(binary.serve().await.tells().await, ["-44"]);
    let long = Guest::calls(&["info 0 65536 0 65536"]);
    assert_eq!(long.serve().await.tells().await, ["-44"]);
}

#[tokio::test]
async fn a_fact_that_does_not_fit_is_cut_and_its_whole_length_returned() {
    let calls = ["info 64 8 1024 3", "text 1024 6", "info 64 8 1024 0", "info 64 8 65536 0"];
    let cell = Guest::calls_with(&[(64, b"listener"), (1024, b"------")], &calls).serve().await;
    assert_eq!(cell.tells().await, ["5", "gue---", "5", "5"]);
}

#[tokio::test]
async fn after_close_what_only_the_socket_knew_is_gone_and_the_rest_stays() {
    let data: [(u32, &[u8]); 2] = [(64, b"peer.address"), (96, b"listener")];
    let calls = ["close 0", "info 64 12 1024 99", "info 96 8 1024 99"];
    let mut cell = Guest::calls_with(&data, &calls).serve().await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["0", "-44", "5"]);
}
