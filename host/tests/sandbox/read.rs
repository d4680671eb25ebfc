//! `portcell_v1.read`, and `set_timeout` for it.

use portcell::exit::Exit;

use crate::harness::Guest;

#[tokio::test]
async fn a_read_gives_what_is_there_and_waits_for_no_more() {
    let mut cell = Guest::calls(&["read 0 100 50", "text 100 last"]).serve().await;
    cell.peer.send(b"hello").await;
    assert_eq!(cell.tells().await, ["5", "hello"]);
}

#[tokio::test]
async fn a_read_takes_no_more_than_the_length_and_leaves_the_rest() {
    let calls = ["read 0 100 2", "text 100 3", "read 0 100 50", "text 100 last"];
    let mut cell = Guest::calls_with(&[(100, b"...")], &calls).serve().await;
    cell.peer.send(b"hello").await;
    assert_eq!(cell.tells().await, ["2", "he.", "3", "llo"]);
}

#[tokio::test]
async fn the_end_of_the_stream_is_0_again_and_again() {
    let mut cell = Guest::calls(&["read 0 100 5", "read 0 100 5", "read 0 100 5"]).serve().await;
    cell.peer.send(b"x").await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["1", "0", "0"]);
}

#[tokio::test]
async fn a_read_of_0_bytes_is_0_at_once_and_consumes_nothing() {
    let mut cell = Guest::calls(&["read 0 100 0", "read 0 100 5"]).serve().await;
    cell.until_told(1).await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.tells().await, ["0", "1"]);
}

#[tokio::test]
async fn a_read_that_may_not_wait_is_eagain_each_time_and_the_connection_goes_on() {
    let calls = [
        "set_timeout 0 0 0",
        "read 0 100 5",
        "read 0 100 5",
        "write 0 100 1",
        "set_timeout 0 0 -1",
        "read 0 100 5",
    ];
    let mut cell = Guest::calls(&calls).serve().await;
    cell.peer.receive(1).await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.tells().await, ["0", "-6", "-6", "1", "0", "1"]);
}

#[tokio::test]
async fn a_read_that_may_not_wait_gives_what_is_there_and_the_end() {
    let calls = ["read 0 100 1", "set_timeout 0 0 0", "read 0 100 9", "read 0 100 9"];
    for guest in [Guest::calls(&calls), Guest::calls(&calls).over_unix()] {
        // The first byte comes with the others and the end, so the next call finds them.
        let mut cell = guest.serve().await;
        cell.peer.send(b"xyz").await;
        cell.peer.end().await;
        assert_eq!(cell.tells().await, ["1", "0", "2", "0"]);
    }
}

#[tokio::test]
async fn a_read_whose_bound_ran_out_is_etimedout_and_the_connection_goes_on() {
    let calls = ["set_timeout 0 0 20", "read 0 100 5", "write 0 100 1", "read 0 100 5"];
    let mut cell = Guest::calls(&calls).serve().await;
    cell.peer.receive(1).await;
    cell.peer.send(b"x").await;
    let told = cell.tells().await;
    assert_eq!(told[..3], ["0", "-73", "1"]);
}

#[tokio::test]
async fn a_bound_on_reads_leaves_writes_alone_and_can_be_taken_back() {
    let calls = ["set_timeout 0 0 0", "set_timeout 0 0 -1", "read 0 100 5"];
    let mut cell = Guest::calls(&calls).serve().await;
    cell.until_told(2).await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.tells().await, ["0", "0", "1"]);
}

#[tokio::test]
async fn set_timeout_refuses_what_it_does_not_know() {
    let calls = [
        "set_timeout 0 2 5",
        "set_timeout 0 -1 5",
        "set_timeout 0 0 -2",
        "set_timeout 0 1 -2147483648",
        "set_timeout 1 0 5",
        "set_timeout -1 0 5",
        "set_timeout 0 1 2147483647",
        "close 0",
        "set_timeout 0 0 5",
    ];
    let mut cell = Guest::calls(&calls).serve().await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["-28", "-28", "-28", "-28", "-8", "-8", "0", "0", "-8"]);
}

#[tokio::test]
async fn after_shutdown_of_reading_a_read_is_0_though_bytes_are_there() {
    let mut cell = Guest::calls(&["read 0 100 1", "shutdown 0 0", "read 0 100 5"]).serve().await;
    cell.peer.send(b"xyz").await;
    assert_eq!(cell.tells().await, ["1", "0", "0"]);
}

#[tokio::test]
async fn after_close_every_call_is_ebadf() {
    let calls = [
        "close 0",
        "read 0 100 5",
        "read 0 100 0",
        "write 0 100 5",
        "write 0 100 0",
        "shutdown 0 1",
        "shutdown 0 3",
        "set_timeout 0 0 0",
        "close 0",
    ];
    let mut cell = Guest::calls(&calls).serve().await;
    cell.peer.end().await;
    let told = cell.tells().await;
    assert_eq!(told[0], "0");
    assert_eq!(told[1..], vec!["-8"; 8]);
}

#[tokio::test]
async fn other_descriptors_are_ebadf() {
    let mut calls = Vec::new();
    for fd in ["1", "2", "3", "-1", "2147483647", "-2147483648"] {
        calls.extend(
            ["read FD 100 5", "write FD 100 5", "shutdown FD 1", "close FD"]
                .map(|call| call.replace("FD", fd)),
        );
    }
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    let cell = Guest::calls(&calls).serve().await;
    assert_eq!(cell.tells().await, vec!["-8"; calls.len()]);
}

#[tokio::test]
async fn a_peer_that_resets_is_econnreset_again_and_again_then_epipe() {
    let calls = ["write 0 100 1", "read 0 100 5", "read 0 100 5", "write 0 100 5", "return 7"];
    let mut cell = Guest::calls(&calls).serve().await;
    cell.peer.receive(1).await;
    cell.peer.reset();
    let (exit, told) = cell.ends().await;
    assert_eq!(told, ["1", "-15", "-15", "-64"]);
    assert_eq!(exit, Exit::PeerReset);
}

#[tokio::test]
async fn a_reset_is_econnreset_too_for_a_read_with_a_bound() {
    for bound in ["set_timeout 0 0 15000", "set_timeout 0 0 0"] {
        let calls = ["poll 256 1 -1", bound, "read 0 100 5", "read 0 100 5"];
        let record = [0, 0, 0, 0, 1, 0, 0, 0];
        let mut cell = Guest::calls_with(&[(256, &record)], &calls).serve().await;
        cell.peer.reset();
        let (_, told) = cell.ends().await;
        assert_eq!(told[2..], ["-15", "-15"], "{bound}");
    }
}

#[tokio::test]
async fn a_read_of_2_gib_is_einval_wherever_it_points() {
    let calls = [
        "read 0 100 -2147483648",
        "read 0 -1 -1",
        "write 0 100 -2147483648",
        "write 0 -1 -1",
        "log 3 -1 -1",
        "info -1 -1 0 0",
        "info 0 0 -1 -1",
    ];
    assert_eq!(Guest::calls(&calls).serve().await.tells().await, vec!["-28"; 7]);
}

#[tokio::test]
async fn bytes_read_and_written_are_counted() {
    let mut cell = Guest::calls(&["read 0 100 50", "write 0 100 3"]).serve().await;
    cell.peer.send(b"hello").await;
    cell.peer.receive(3).await;
    cell.exit().await;
    assert_eq!((cell.account.bytes_in(), cell.account.bytes_out()), (5, 3));
}
