//! What a WASI command finds when it starts: arguments and environment.

use std::collections::BTreeMap;

use crate::harness::{Cell, Guest};

const ENVIRONMENT: [&str; 5] =
    ["environ_sizes_get 128 132", "environ_get 256 2048", "tell 128", "tell 256", "text 2048 @132"];

/// The environment that a guest told.
async fn environment(cell: Cell) -> BTreeMap<String, String> {
    let told = cell.tells().await;
    assert_eq!(told[..2], ["0", "0"]);
    let variables: Vec<&str> = told.last().unwrap().split_terminator("\\u{0}").collect();
    assert_eq!(told[2], variables.len().to_string());
    if !variables.is_empty() {
        assert_eq!(told[3], "2048", "the first pointer");
    }
    let pair = |variable: &&str| {
        let (name, value) = variable.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    let map: BTreeMap<String, String> = variables.iter().map(pair).collect();
    assert_eq!(map.len(), variables.len(), "no name twice");
    map
}

#[tokio::test]
async fn over_tcp_the_environment_is_that_of_ucspi() {
    let command = Guest::command(&[], &ENVIRONMENT);
    for (guest, ip) in [(command.clone(), "127.0.0.1"), (command.over_ipv6(), "::1")] {
        let cell = guest.serve().await;
        let (peer, local) = (cell.peer.address().port(), cell.peer.of_guest().port());
        let id = cell.account.id().to_string();
        let (peer, local) = (peer.to_string(), local.to_string());
        let expected = BTreeMap::from(
            [
                ("PROTO", "TCP"),
                ("TCPREMOTEIP", ip),
                ("TCPREMOTEPORT", &peer),
                ("TCPLOCALIP", ip),
                ("TCPLOCALPORT", &local),
                ("REMOTE_ADDR", ip),
                ("CONNECTION_ID", &id),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        assert_eq!(environment(cell).await, expected);
    }
}

#[tokio::test]
async fn over_a_unix_socket_the_environment_names_the_process_and_no_ports() {
    let cell = Guest::command(&[], &ENVIRONMENT).over_unix().serve().await;
    let id = cell.account.id().to_string();
    let environment = environment(cell).await;
    let names: Vec<&str> = environment.keys().map(String::as_str).collect();
    assert_eq!(names, ["CONNECTION_ID", "PROTO", "REMOTE_ADDR"]);
    assert_eq!(environment["PROTO"], "UNIX");
    assert_eq!(environment["CONNECTION_ID"], id);
    let prefix = format!("unix:pid={},uid=", std::process::id());
    assert!(environment["REMOTE_ADDR"].starts_with(&prefix), "{environment:?}");
}

#[tokio::test]
async fn the_configuration_adds_variables_and_replaces_none_of_the_connections() {
    let guest = Guest::command(&[], &ENVIRONMENT)
        .with("env", "GREETING=hello world")
        .with("env", "EMPTY=")
        .with("env", "TCPREMOTEIP=6.6.6.6")
        .with("env", "PROTO=SSL")
        .with("env", "CONNECTION_ID=0");
    let environment = environment(guest.serve().await).await;
    assert_eq!(environment["GREETING"], "hello world");
    assert_eq!(environment["EMPTY"], "");
    assert_eq!(environment["TCPREMOTEIP"], "127.0.0.1");
    assert_eq!(environment["PROTO"], "TCP");
    assert_ne!(environment["CONNECTION_ID"], "0");
}

#[tokio::test]
async fn a_handle_guest_has_the_variables_of_the_configuration_only() {
    let guest = Guest::calls(&ENVIRONMENT);
    assert_eq!(environment(guest.clone().serve().await).await, BTreeMap::new());
    let environment = environment(guest.with("env", "PROTO=x").serve().await).await;
    assert_eq!(environment, BTreeMap::from([("PROTO".to_owned(), "x".to_owned())]));
}

#[tokio::test]
async fn the_only_argument_is_the_handlers_name() {
    let calls =
        ["args_sizes_get 128 132", "args_get 256 512", "tell 128", "tell 132", "text 512 6"];
    let cell = Guest::command(&[], &calls).serve().await;
    assert_eq!(cell.tells().await, ["0", "0", "1", "6", "guest\\u{0}"]);
}

#[tokio::test]
async fn no_variable_of_the_host_is_seen() {
    let environment = environment(Guest::command(&[], &ENVIRONMENT).serve().await).await;
    assert!(std::env::var_os("PATH").is_some());
    assert!(!environment.contains_key("PATH"), "{environment:?}");
}
