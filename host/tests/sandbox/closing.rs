//! How connections are closed: what was written arrives, and nobody waits for ever.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::harness::Guest;

/// A guest that reads one byte and answers with a page less a little.
fn answers() -> Guest {
    Guest::calls(&["read 0 100 1", "write 0 100 60000"])
}

#[tokio::test]
async fn the_answer_arrives_though_the_guest_left_input_unread() {
    let mut cell = answers().serve().await;
    cell.peer.send(&vec![b'x'; 200_000]).await;
    assert_eq!(cell.peer.rest().await.unwrap().len(), 60_000);
    cell.peer.end().await;
    cell.closed().await;
}

#[tokio::test]
async fn the_answer_arrives_though_the_peer_sends_on_after_it() {
    let mut cell = answers().serve().await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.peer.receive(60_000).await.len(), 60_000);
    for _ in 0..50 {
        cell.peer.send(&[b'x'; 10_000]).await;
    }
    assert_eq!(cell.peer.rest().await, Ok(Vec::new()));
    cell.peer.end().await;
    cell.closed().await;
}

#[tokio::test]
async fn the_answer_arrives_after_a_failure_too() {
    let mut cell = Guest::calls(&["read 0 100 1", "write 0 100 60000", "return 9"]).serve().await;
    cell.peer.send(&vec![b'x'; 100_000]).await;
    assert_eq!(cell.peer.rest().await.unwrap().len(), 60_000);
}

#[tokio::test]
async fn a_peer_that_never_ends_is_waited_for_2_seconds() {
    let mut cell = answers().serve().await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.peer.rest().await.unwrap().len(), 60_000);
    let began = Instant::now();
    cell.closed().await;
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(1) && waited < Duration::from_secs(10), "{waited:?}");
}

#[tokio::test]
async fn a_peer_that_sends_without_end_is_cut_after_a_mebibyte() {
    for call in ["read 0 100 1", "close 0"] {
        let mut cell = Guest::calls(&[call]).serve().await;
        let sent = cell.peer.flood().await;
        // A mebibyte is taken; the rest is what the kernel buffers on both sides.
        assert!((1 << 20..64 << 20).contains(&sent), "{call}: {sent} bytes");
        cell.closed().await;
    }
}

#[tokio::test]
async fn a_guests_close_waits_for_the_peers_end() {
    let mut cell = Guest::calls(&["write 0 100 5", "close 0", "poll 0 0 0"]).serve().await;
    assert_eq!(cell.peer.rest().await.unwrap().len(), 5);
    assert_eq!(cell.told(), ["5"]);
    cell.peer.send(b"unread").await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["5", "0", "0"]);
}

#[tokio::test]
async fn a_guests_close_waits_for_2_seconds_at_most() {
    let mut cell = Guest::calls(&["close 0", "poll 0 0 0"]).serve().await;
    let began = Instant::now();
    cell.exit().await;
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(1) && waited < Duration::from_secs(10), "{waited:?}");
    assert_eq!(cell.told(), ["0", "0"]);
}

#[tokio::test]
async fn a_peer_that_ended_first_still_gets_everything() {
    for guest in
        [Guest::wat("echo"), Guest::wat("echo").over_unix(), Guest::wat("echo").over_ipv6()]
    {
        let mut cell = guest.serve().await;
        cell.peer.send(&vec![b'x'; 50_000]).await;
        cell.peer.end().await;
        assert_eq!(cell.peer.rest().await.unwrap().len(), 50_000);
        cell.closed().await;
    }
}

#[tokio::test]
async fn a_trap_resets_and_what_was_unsent_is_lost() {
    let mut cell = Guest::calls(&["read 0 100 1", "trap"]).serve().await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.peer.rest().await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn over_a_unix_socket_a_trap_closes() {
    let mut cell = Guest::calls(&["read 0 100 1", "trap"]).over_unix().serve().await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.peer.rest().await, Ok(Vec::new()));
}
