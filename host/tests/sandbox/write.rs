//! `portcell_v1.write` and `shutdown`, and `set_timeout` for writes.

use portcell::account::Order;
use portcell::exit::Exit;

use crate::harness::Guest;

/// 16 MiB, more than the kernel buffers.
const LARGE: usize = 16 << 20;
const PAGES: u32 = 257;

#[tokio::test]
async fn a_write_takes_all_of_a_large_buffer_though_the_peer_is_slow() {
    let mut cell = Guest::calls_in(PAGES, &[], &["write 0 100 16777216"]).serve().await;
    // Nothing is told before the peer has read most of it.
    assert_eq!(cell.peer.receive(1 << 20).await.len(), 1 << 20);
    assert_eq!(cell.told(), [""; 0]);
    cell.peer.receive(LARGE - (1 << 20)).await;
    assert_eq!(cell.tells().await, ["16777216"]);
}

#[tokio::test]
async fn a_write_of_0_bytes_is_0() {
    assert_eq!(Guest::calls(&["write 0 100 0"]).serve().await.tells().await, ["0"]);
}

#[tokio::test]
async fn after_shutdown_of_writing_a_write_is_epipe_and_reading_goes_on() {
    let calls = ["write 0 100 2", "shutdown 0 1", "write 0 100 1", "write 0 100 0", "read 0 100 5"];
    let mut cell = Guest::calls_with(&[(100, b"ok")], &calls).serve().await;
    assert_eq!(cell.peer.rest().await.unwrap(), b"ok");
    cell.peer.send(b"xyz").await;
    assert_eq!(cell.tells().await, ["2", "0", "-64", "-64", "3"]);
}

#[tokio::test]
async fn the_end_is_seen_while_the_guest_waits_for_something_else() {
    let record = [0, 0, 0, 0, 8, 0, 0, 0];
    for wait in ["poll 0 0 3600000", "poll 256 1 -1", "read 0 100 1", "sched_yield", "close 0"] {
        let calls = ["write 0 100 2", "shutdown 0 1", wait, "read 0 100 1"];
        let mut cell = Guest::calls_with(&[(256, &record)], &calls).serve().await;
        assert_eq!(cell.peer.rest().await.unwrap().len(), 2, "{wait}");
    }
}

#[tokio::test]
async fn the_end_is_seen_while_the_guest_computes() {
    let guest = Guest::wat("ends_then_spins").with("cpu", "none").with("lifetime", "20s");
    let mut cell = guest.serve().await;
    assert_eq!(cell.peer.rest().await, Ok(b"bye".to_vec()));
    assert!(!cell.has_ended());
    cell.account.order(Order::Cut);
    assert_eq!(cell.exit().await, Exit::Cut);
}

#[tokio::test]
async fn directions_can_be_ended_twice() {
    let calls = [
        "shutdown 0 0",
        "shutdown 0 0",
        "shutdown 0 1",
        "shutdown 0 1",
        "shutdown 0 2",
        "read 0 100 1",
        "write 0 100 1",
    ];
    let cell = Guest::calls(&calls).serve().await;
    assert_eq!(cell.tells().await, ["0", "0", "0", "0", "0", "0", "-64"]);
}

#[tokio::test]
async fn another_how_is_einval() {
    let cell = Guest::calls(&["shutdown 0 4", "shutdown 0 -1", "shutdown 9 4"]).serve().await;
    assert_eq!(cell.tells().await, ["-28", "-28", "-28"]);
}

#[tokio::test]
async fn a_reset_by_the_guest_is_seen_by_the_peer_and_by_later_calls() {
    let calls = [
        "read 0 100 1",
        "shutdown 0 3",
        "shutdown 0 3",
        "read 0 100 1",
        "write 0 100 1",
        "close 0",
        "read 0 100 1",
    ];
    let mut cell = Guest::calls(&calls).serve().await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.peer.rest().await, Err(std::io::ErrorKind::ConnectionReset));
    assert_eq!(cell.tells().await, ["1", "0", "0", "-15", "-15", "0", "-8"]);
}

#[tokio::test]
async fn a_write_that_may_not_wait_gives_what_fitted_then_eagain() {
    let calls = [
        "set_timeout 0 1 0",
        "write 0 100 16777216",
        "write 0 100 16777216",
        "write 0 100 16777216",
        "write 0 100 16777216",
    ];
    let mut cell = Guest::calls_in(PAGES, &[], &calls).serve().await;
    let exit = cell.exit().await;
    assert_eq!(exit, Exit::Ok);
    let fitted: usize = cell.told()[1].parse().unwrap();
    assert!(fitted > 0 && fitted < LARGE, "{fitted}");
    // The kernel may make more room once, as its buffers grow; not for 48 MiB.
    assert_eq!(cell.told().last().unwrap(), "-6");
}

#[tokio::test]
async fn a_write_whose_bound_ran_out_gives_the_count_so_far_then_etimedout() {
    let calls = ["set_timeout 0 1 50", "write 0 100 16777216", "write 0 100 16777216"];
    let mut cell = Guest::calls_in(PAGES, &[], &calls).over_small_buffers().serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    let fitted: usize = cell.told()[1].parse().unwrap();
    assert!(fitted > 0 && fitted < LARGE, "{fitted}");
    assert_eq!(cell.told()[2], "-73");
}

#[tokio::test]
async fn a_peer_that_is_gone_gives_an_error_at_the_call_after_the_count() {
    let calls = ["write 0 100 16777216", "write 0 100 1", "write 0 100 1", "read 0 100 1"];
    let mut cell = Guest::calls_in(PAGES, &[], &calls).serve().await;
    cell.peer.receive(1000).await;
    cell.peer.reset();
    let (exit, told) = cell.ends().await;
    let count: usize = told[0].parse().unwrap();
    assert!((1000..LARGE).contains(&count), "{told:?}");
    assert_eq!(told[1..], ["-64", "-64", "-15"]);
    assert_eq!(exit, Exit::PeerReset);
}

#[tokio::test]
async fn a_peer_that_only_stopped_reading_can_still_be_read() {
    let calls = ["read 0 100 1", "write 0 100 1", "write 0 100 1", "read 0 100 9", "read 0 100 9"];
    let mut cell = Guest::calls(&calls).over_unix().serve().await;
    cell.peer.stop_reading();
    cell.peer.send(b"x").await;
    cell.until_told(3).await;
    cell.peer.send(b"more").await;
    cell.peer.end().await;
    assert_eq!(cell.ends().await.1, ["1", "-64", "-64", "4", "0"]);
}
