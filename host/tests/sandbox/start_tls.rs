//! `portcell_v1.start_tls` where there is no TLS to be had. Handshakes are tested end to end.

use crate::harness::Guest;

const ALL: [&str; 3] = ["start_tls 0 0 0 0 0", "start_tls 0 100 200 100 60000", "write 0 100 1"];

#[tokio::test]
async fn without_a_profile_it_is_refused_and_nothing_is_sent() {
    for guest in [Guest::calls(&ALL), Guest::calls(&ALL).over_unix()] {
        let mut cell = guest.serve().await;
        assert_eq!(cell.peer.rest().await.unwrap().len(), 1);
        assert_eq!(cell.tells().await, ["-58", "-58", "1"]);
    }
}

#[tokio::test]
async fn it_is_for_whole_streams_in_plaintext() {
    let calls = ["start_tls 0 0 0 0 0"];
    let cell = Guest::calls(&calls).over_udp().serve().await;
    assert_eq!(cell.tells().await, ["-28"]);
    for ended in ["shutdown 0 0", "shutdown 0 1"] {
        let cell = Guest::calls(&[ended, "start_tls 0 0 0 0 0"]).serve().await;
        assert_eq!(cell.tells().await, ["0", "-28"]);
    }
}

#[tokio::test]
async fn it_is_for_the_connection() {
    let calls = ["start_tls 1 0 0 0 0", "shutdown 0 3", "start_tls 0 0 0 0 0"];
    let cell = Guest::calls(&calls).serve().await;
    assert_eq!(cell.tells().await, ["-8", "0", "-15"]);
}

#[tokio::test]
async fn without_a_profile_it_is_not_offered_whatever_the_connection_is() {
    let data: [(u32, &[u8]); 1] = [(64, b"tls.offered")];
    let calls = ["info 64 11 1024 99", "text 1024 5", "close 0", "info 64 11 1024 99"];
    let guest = || Guest::calls_with(&data, &calls);
    for guest in [guest(), guest().over_unix(), guest().over_udp()] {
        let mut cell = guest.serve().await;
        cell.peer.end().await;
        assert_eq!(cell.tells().await, ["5", "false", "0", "5"]);
    }
}
