//! WASI commands over UDP: their stdin and stdout are a stream made of datagrams.

use std::collections::BTreeMap;

use portcell::exit::Exit;

use crate::harness::Guest;

/// An array of vectors: pointer and length each.
fn vectors(vectors: &[(u32, u32)]) -> Vec<u8> {
    vectors
        .iter()
        .flat_map(|(at, length)| [at.to_le_bytes(), length.to_le_bytes()].concat())
        .collect()
}

#[tokio::test]
async fn empty_datagrams_are_skipped_and_the_end_of_the_flow_is_the_end_of_the_file() {
    let data = vectors(&[(1024, 100)]);
    let read = ["fd_read 0 256 1 128", "tell 128"];
    let calls = [read, read, read, read].concat();
    let mut cell = Guest::command(&[(256, &data)], &calls).over_udp().serve().await;
    cell.peer.send(b"").await;
    cell.peer.send(b"").await;
    cell.until_told(2).await;
    cell.peer.send(b"xyz").await;
    cell.until_told(4).await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["0", "5", "0", "3", "0", "0", "0", "0"]);
}

#[tokio::test]
async fn a_read_uses_the_room_of_all_vectors_for_one_datagram() {
    let data = vectors(&[(1024, 0), (1024, 2), (2048, 1), (3072, 100)]);
    let calls = [
        "fd_read 0 256 4 128",
        "tell 128",
        "text 1024 2",
        "text 2048 1",
        "text 3072 2",
        "fd_read 0 264 2 128",
        "tell 128",
        "text 1024 2",
        "text 2048 1",
        "fd_read 0 256 1 128",
        "tell 128",
        "fd_read 0 256 4 128",
        "tell 128",
    ];
    let mut cell = Guest::command(&[(256, &data)], &calls).over_udp().serve().await;
    cell.peer.send(b"longer than 3").await;
    cell.peer.send(b"not taken by a read of 0 bytes").await;
    assert_eq!(
        cell.tells().await,
        ["0", "5", "fi", "r", "st", "0", "3", "lo", "n", "0", "0", "0", "30"]
    );
}

#[tokio::test]
async fn one_write_is_one_datagram_and_nothing_is_none() {
    let data = vectors(&[(1024, 6), (1024, 0), (2048, 6), (0, 0), (0, 65_507), (0, 1)]);
    let calls = [
        "fd_write 1 256 3 128",
        "tell 128",
        "fd_write 1 280 1 128",
        "tell 128",
        "fd_write 1 256 0 128",
        "tell 128",
        "fd_write 1 288 1 128",
        "tell 128",
        // One byte too long.
        "fd_write 1 288 2 128",
    ];
    let guest = Guest::command(&[(256, &data), (1024, b"hello "), (2048, b"world!")], &calls);
    let cell = guest.over_udp().serve().await;
    assert_eq!(cell.peer.datagram().await, b"hello world!");
    assert_eq!(cell.peer.datagram().await.len(), 65_507);
    assert_eq!(cell.tells().await, ["0", "12", "0", "0", "0", "0", "0", "65507", "35"]);
}

#[tokio::test]
async fn a_poll_of_stdin_passes_over_empty_datagrams() {
    let mut subscription = vec![0; 48];
    subscription[8] = 1;
    let vectors = vectors(&[(1024, 100)]);
    let calls = [
        "fd_read 0 256 1 128",
        "poll_oneoff 4096 8192 1 128",
        "tell 128",
        "fd_read 0 256 1 128",
        "tell 128",
    ];
    let guest = Guest::command(&[(256, &vectors), (4096, &subscription)], &calls);
    let mut cell = guest.over_udp().serve().await;
    cell.peer.send(b"").await;
    cell.until_told(1).await;
    cell.peer.send(b"xyz").await;
    assert_eq!(cell.tells().await, ["0", "0", "1", "0", "3"]);
}

#[tokio::test]
async fn stdin_and_stdout_can_be_closed_each() {
    let data = vectors(&[(1024, 5)]);
    let calls = [
        "fd_close 0",
        "fd_read 0 256 1 128",
        "fd_write 1 256 1 128",
        "fd_close 1",
        "fd_write 1 256 1 128",
        "proc_exit 0",
    ];
    let mut cell = Guest::command(&[(256, &data)], &calls).over_udp().serve().await;
    assert_eq!(cell.peer.datagram().await.len(), 5);
    assert_eq!(cell.exit().await, Exit::Ok);
    assert_eq!(cell.told(), ["0", "8", "0", "0", "8"]);
}

#[tokio::test]
async fn the_environment_is_that_of_ucspi() {
    let calls = ["environ_sizes_get 128 132", "environ_get 256 2048", "text 2048 @132"];
    let cell = Guest::command(&[], &calls).over_udp().serve().await;
    let (peer, local) = (cell.peer.address().port(), cell.peer.of_guest().port());
    let (peer, local, id) = (peer.to_string(), local.to_string(), cell.account.id().to_string());
    let expected = BTreeMap::from([
        ("PROTO", "UDP"),
        ("UDPREMOTEIP", "127.0.0.1"),
        ("UDPREMOTEPORT", &peer),
        ("UDPLOCALIP", "127.0.0.1"),
        ("UDPLOCALPORT", &local),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("CONNECTION_ID", &id),
    ]);
    let told = cell.tells().await;
    let variables = told[2].split_terminator("\\u{0}");
    let found: BTreeMap<_, _> = variables.filter_map(|pair| pair.split_once('=')).collect();
    assert_eq!(found, expected);
}
