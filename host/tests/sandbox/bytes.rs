//! The bounds of bytes, to the byte, and of how slow a peer may be.

use std::io::ErrorKind;

use portcell::config::UdpMode;
use portcell::exit::Exit;

use crate::harness::{FIRST, Guest, Udp};

const TOO_MUCH_IN: Exit = Exit::BytesLimit("listener.max_bytes_in");
const TOO_MUCH_OUT: Exit = Exit::BytesLimit("listener.max_bytes_out");

#[tokio::test]
async fn a_guest_reads_as_many_bytes_as_it_may_and_not_one_more() {
    for more in ["", "set_timeout 0 0 0", "set_timeout 0 0 60000"] {
        let reads = ["read 0 100 4", "read 0 100 50", "read 0 100 50"];
        let calls: Vec<_> = std::iter::once(more).filter(|call| !call.is_empty()).collect();
        let calls = [&["poll 512 1 -1"], &*calls, &reads].concat();
        let record = [0, 0, 0, 0, 1, 0, 0, 0];
        let guest = Guest::calls_with(&[(512, &record)], &calls).with("max-bytes-in", "10");
        let mut cell = guest.serve().await;
        cell.peer.send(b"0123456789+").await;
        assert_eq!(cell.exit().await, TOO_MUCH_IN, "{more}");
        assert_eq!(cell.account.bytes_in(), 10, "{more}");
        let told = cell.told();
        assert_eq!(told[told.len() - 2..], ["4", "6"], "{more}");
        assert_eq!(cell.peer.rest().await, Err(ErrorKind::ConnectionReset), "{more}");
    }
}

#[tokio::test]
async fn an_end_after_as_many_bytes_as_may_come_in_is_an_end() {
    let guest = Guest::calls(&["read 0 100 50", "read 0 100 50", "read 0 100 50"]);
    let mut cell = guest.with("max-bytes-in", "10").serve().await;
    cell.peer.send(b"0123456789").await;
    cell.until_told(1).await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["10", "0", "0"]);
}

#[tokio::test]
async fn a_guest_writes_as_many_bytes_as_it_may_and_not_one_more() {
    for call in ["write 0 100 4", "fd_write 1 256 1 128"] {
        let vector = [100_u32.to_le_bytes(), 4_u32.to_le_bytes()].concat();
        let guest = Guest::command(&[(256, &vector)], &[call; 3]).with("max-bytes-out", "10");
        let mut cell = guest.serve().await;
        assert_eq!(cell.exit().await, TOO_MUCH_OUT, "{call}");
        assert_eq!(cell.account.bytes_out(), 10, "{call}");
    }
    let mut cell = Guest::calls(&["write 0 100 10"]).with("max-bytes-out", "10").serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    assert_eq!(cell.peer.receive(10).await, [0; 10]);
}

#[tokio::test]
async fn a_flood_is_cut_at_its_last_byte() {
    let guest = Guest::wat("writes_forever").with("max-bytes-out", "1000001");
    let mut cell = guest.serve().await;
    // How much of it arrives is the kernel's business: it is cut.
    let _ = cell.peer.rest().await;
    assert_eq!(cell.exit().await, TOO_MUCH_OUT);
    assert_eq!(cell.account.bytes_out(), 1_000_001);
}

#[tokio::test]
async fn datagrams_count_as_a_whole_or_not_at_all() {
    let flow = Udp { mode: UdpMode::Flow, reply_factor: None };
    let most = (FIRST.len() + 3).to_string();
    let guest = Guest::calls(&["read 0 100 50"; 3]).over_udp_as(flow).with("max-bytes-in", &most);
    let mut cell = guest.serve().await;
    cell.peer.send(b"123").await;
    cell.peer.send(b"4").await;
    assert_eq!(cell.exit().await, TOO_MUCH_IN);
    assert_eq!(cell.told(), ["5", "3"]);
    let guest = Guest::calls(&["write 0 100 6", "write 0 100 5", "write 0 100 4"]);
    let mut cell = guest.over_udp_as(flow).with("max-bytes-out", "10").serve().await;
    assert_eq!(cell.exit().await, TOO_MUCH_OUT);
    assert_eq!(cell.told(), ["6"]);
    assert_eq!((cell.account.bytes_out(), cell.peer.datagram().await.len()), (6, 6));
}

#[tokio::test]
async fn a_peer_that_sends_too_little_is_cut_however_the_guest_waits() {
    let record = [0, 0, 0, 0, 1, 0, 0, 0];
    for call in ["read 0 100 1", "poll 512 1 -1", "fd_read 0 256 1 128"] {
        let vector = [100_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat();
        let guest = Guest::command(&[(512, &record), (256, &vector)], &[call]);
        let mut cell = guest.with("min-rate", "1KiB:60ms").serve().await;
        assert_eq!(cell.exit().await, Exit::SlowPeer, "{call}");
        assert_eq!(cell.peer.rest().await, Err(ErrorKind::ConnectionReset), "{call}");
    }
}

#[tokio::test]
async fn a_peer_that_takes_too_little_is_cut() {
    let guest = Guest::wat("writes_forever").over_small_buffers();
    let guest = guest.with("write-timeout", "none").with("min-rate", "1GiB:60ms");
    assert_eq!(guest.serve().await.exit().await, Exit::SlowPeer);
}

#[tokio::test]
async fn a_peer_is_not_slow_while_the_guest_sleeps_or_computes() {
    for guest in [Guest::calls(&["poll 0 0 200"]), Guest::wat("computes")] {
        let mut cell = guest.with("min-rate", "1KiB:50ms").serve().await;
        assert_eq!(cell.exit().await, Exit::Ok);
    }
}
