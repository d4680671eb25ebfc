//! Descriptors 0, 1 and 2 of WASI.

use portcell::exit::Exit;
use tracing::Level;

use crate::harness::Guest;

/// An array of vectors: pointer and length each.
fn vectors(vectors: &[(u32, u32)]) -> Vec<u8> {
    vectors
        .iter()
        .flat_map(|(at, length)| [at.to_le_bytes(), length.to_le_bytes()].concat())
        .collect()
}

#[tokio::test]
async fn a_command_reads_and_writes_the_connection() {
    let read = vectors(&[(1024, 100)]);
    let calls = ["fd_read 0 256 1 128", "tell 128", "text 1024 @128", "write 0 1024 @128"];
    for guest in [Guest::command(&[(256, &read)], &calls)] {
        let mut cell = guest.clone().over_unix().serve().await;
        cell.peer.send(b"over unix").await;
        assert_eq!(cell.peer.receive(9).await, b"over unix");
        let mut cell = guest.serve().await;
        cell.peer.send(b"hello").await;
        assert_eq!(cell.peer.receive(5).await, b"hello");
        assert_eq!(cell.tells().await, ["0", "5", "hello", "5"]);
    }
}

#[tokio::test]
async fn several_vectors_go_out_in_order_as_one_write() {
    let data = vectors(&[(1024, 6), (1024, 0), (2048, 6), (1029, 1)]);
    let calls = ["fd_write 1 256 4 128", "tell 128"];
    let guest = Guest::command(&[(256, &data), (1024, b"hello "), (2048, b"world!")], &calls);
    let mut cell = guest.serve().await;
    assert_eq!(cell.peer.receive(13).await, b"hello world! ");
    assert_eq!(cell.tells().await, ["0", "13"]);
}

#[tokio::test]
async fn a_read_fills_the_first_vector_with_room() {
    let data = vectors(&[(1024, 0), (1028, 3), (2048, 5)]);
    let calls = ["fd_read 0 256 3 128", "tell 128", "text 1028 3"];
    let mut cell = Guest::command(&[(256, &data)], &calls).serve().await;
    cell.peer.send(b"hello").await;
    assert_eq!(cell.tells().await, ["0", "3", "hel"]);
}

#[tokio::test]
async fn no_vectors_or_empty_ones_move_nothing_and_do_not_wait() {
    let data = vectors(&[(1024, 0), (65536, 0)]);
    let calls = [
        "fd_read 0 256 0 128",
        "fd_read 0 256 2 128",
        "tell 128",
        "fd_write 1 256 0 128",
        "fd_write 1 256 2 128",
        "tell 128",
        "fd_write 2 256 2 128",
    ];
    let told = Guest::command(&[(256, &data)], &calls).serve().await.tells().await;
    assert_eq!(told, ["0", "0", "0", "0", "0", "0", "0"]);
}

#[tokio::test]
async fn closing_stdout_is_a_half_close_and_stdin_goes_on() {
    let data = vectors(&[(1024, 100)]);
    let calls = [
        "fd_close 1",
        "fd_write 1 256 1 128",
        "fd_close 1",
        "fd_read 0 256 1 128",
        "text 1024 @128",
    ];
    let mut cell = Guest::command(&[(256, &data)], &calls).serve().await;
    assert_eq!(cell.peer.rest().await.unwrap(), b"");
    cell.peer.send(b"still here").await;
    assert_eq!(cell.tells().await, ["0", "8", "8", "0", "still here"]);
}

#[tokio::test]
async fn closing_stdin_ends_reading_and_stdout_goes_on() {
    let data = vectors(&[(1024, 2)]);
    let calls = ["fd_close 0", "fd_read 0 256 1 128", "fd_close 0", "fd_write 1 256 1 128"];
    let mut cell = Guest::command(&[(256, &data), (1024, b"ok")], &calls).serve().await;
    assert_eq!(cell.peer.receive(2).await, b"ok");
    assert_eq!(cell.tells().await, ["0", "8", "8", "0"]);
}

#[tokio::test]
async fn the_end_of_the_stream_is_0_bytes() {
    let data = vectors(&[(1024, 100)]);
    let calls = ["fd_read 0 256 1 128", "tell 128", "fd_read 0 256 1 128", "tell 128"];
    let mut cell = Guest::command(&[(256, &data), (128, &[9])], &calls).serve().await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["0", "0", "0", "0"]);
}

#[tokio::test]
async fn a_reset_is_econnreset_for_stdin_and_epipe_for_stdout() {
    let data = vectors(&[(1024, 100)]);
    let calls = ["read 0 100 1", "fd_read 0 256 1 128", "fd_write 1 256 1 128"];
    let mut cell = Guest::command(&[(256, &data)], &calls).serve().await;
    cell.peer.send(b"x").await;
    cell.until_told(1).await;
    cell.peer.reset();
    let (exit, told) = cell.ends().await;
    assert_eq!(told, ["1", "15", "64"]);
    assert_eq!(exit, Exit::PeerReset);
}

#[tokio::test]
async fn the_wrong_direction_is_ebadf() {
    let data = vectors(&[(1024, 100)]);
    let calls = ["fd_write 0 256 1 128", "fd_read 1 256 1 128", "fd_read 2 256 1 128"];
    assert_eq!(
        Guest::command(&[(256, &data)], &calls).serve().await.tells().await,
        ["8", "8", "8"]
    );
}

#[tokio::test]
async fn a_large_vector_goes_out_whole_and_those_after_it_later() {
    let data = vectors(&[(0, 65536), (65536, 65536), (0, 1)]);
    let calls = ["grow 1", "fd_write 1 256 3 128", "tell 128"];
    let mut cell = Guest::command(&[(256, &data)], &calls).serve().await;
    assert_eq!(cell.peer.receive(65536).await.len(), 65536);
    assert_eq!(cell.tells().await, ["1", "0", "65536"]);
}

#[tokio::test]
async fn in_a_command_stderr_goes_to_the_log_and_not_to_the_peer() {
    let data = vectors(&[(1024, 4), (2048, 4)]);
    let data: [(u32, &[u8]); 3] = [(256, &data), (1024, b"one\n"), (2048, b"two ")];
    let calls = ["fd_write 2 256 2 128", "tell 128"];
    let mut cell = Guest::command(&data, &calls).serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    cell.peer.end().await;
    assert_eq!(cell.peer.rest().await.unwrap(), b"");
    let lines = cell.log();
    let said: Vec<_> = lines.iter().filter(|line| line.level == Level::WARN).collect();
    let texts: Vec<&str> = said.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(cell.told(), ["0", "8"]);
}

#[tokio::test]
async fn in_a_handle_guest_stdin_is_empty_and_stdout_goes_to_the_log() {
    let data = vectors(&[(1024, 4)]);
    let calls = ["fd_read 0 256 1 128", "tell 128", "fd_write 1 256 1 128", "tell 128"];
    let mut cell = Guest::calls_with(&[(256, &data), (1024, b"hi!\n")], &calls).serve().await;
    cell.peer.send(b"input").await;
    assert_eq!(cell.exit().await, Exit::Ok);
    cell.peer.end().await;
    assert_eq!(cell.peer.rest().await.unwrap(), b"");
    assert_eq!(cell.told(), ["0", "0", "0", "4"]);
    let lines = cell.log();
    assert!(lines.iter().any(|line| line.level == Level::INFO && line.text == "hi!"), "{lines:?}");
}

#[tokio::test]
async fn closing_stdout_of_a_handle_guest_leaves_the_connection_alone() {
    let calls = ["fd_close 1", "fd_close 0", "fd_close 2", "write 0 100 3"];
    let mut cell = Guest::calls(&calls).serve().await;
    assert_eq!(cell.peer.receive(3).await.len(), 3);
    assert_eq!(cell.tells().await, ["0", "0", "0", "3"]);
}

#[tokio::test]
async fn stdout_is_a_terminal_unless_the_configuration_says_full() {
    // The kind is the first byte; 2 is a character device, 6 a stream socket. No right to seek.
    let calls = ["fd_fdstat_get 1 128", "tell16 128", "tell64 136", "fd_fdstat_get 0 128"];
    let calls = [&calls[..], &["tell16 128", "tell64 136"]].concat();
    let told = Guest::command(&[], &calls).serve().await.tells().await;
    assert_eq!(told[1], "2");
    assert_eq!(told[2].parse::<u64>().unwrap() & 0b10_0100, 0, "seek and tell");
    assert_eq!(told[4], "6");
    let told = Guest::command(&[], &calls).with("stdout", "full").serve().await.tells().await;
    assert_eq!(told[1], "6");
    let calls =
        ["fd_close 1", "fd_fdstat_get 1 128", "fd_fdstat_get 4 128", "fd_fdstat_get -1 128"];
    let told = Guest::command(&[], &calls).serve().await.tells().await;
    assert_eq!(told, ["0", "8", "8", "8"]);
}

#[tokio::test]
async fn stdio_cannot_be_renumbered_or_made_nonblocking() {
    let calls = [
        "fd_renumber 0 1",
        "fd_renumber 5 0",
        "fd_fdstat_set_flags 0 0",
        "fd_fdstat_set_flags 1 4",
        "fd_seek 1 0 0 128",
    ];
    let told = Guest::command(&[], &calls).serve().await.tells().await;
    assert_eq!(told[..4], ["58", "58", "0", "58"]);
    assert_eq!(told[4], "70", "ESPIPE");
}

#[tokio::test]
async fn hostile_vectors_trap_or_are_einval() {
    let einval = [
        // More vectors than are taken.
        ("fd_write 1 256 1025 128", vectors(&[])),
        ("fd_read 0 256 -1 128", vectors(&[])),
        // The same page again and again, for more than 2 GiB.
        ("fd_write 1 256 1024 128", vectors(&vec![(0, 65536); 1024])),
        ("fd_write 2 256 1024 128", vectors(&vec![(0, 65536); 1024])),
    ];
    let traps = [
        ("fd_write 1 256 1 128", vectors(&[(65536, 1)])),
        ("fd_write 1 256 2 128", vectors(&[(1024, 1), (u32::MAX, 1)])),
        ("fd_write 2 256 2 128", vectors(&[(1024, 1), (u32::MAX, 2)])),
        ("fd_read 0 256 2 128", vectors(&[(1024, 1), (1, u32::MAX)])),
        ("fd_read 0 65532 1 128", vectors(&[])),
        ("fd_read 0 -8 1 128", vectors(&[])),
        ("fd_write 1 256 0 65533", vectors(&[])),
        ("fd_write 1 256 0 -1", vectors(&[])),
        ("fd_fdstat_get 1 65520", vectors(&[])),
        ("environ_get 65536 0", vectors(&[])),
        ("environ_get 0 65530", vectors(&[])),
        ("environ_sizes_get 65533 0", vectors(&[])),
        ("args_get -4 0", vectors(&[])),
        ("clock_time_get 0 0 65529", vectors(&[])),
    ];
    for (call, data) in einval {
        let mut cell = Guest::command(&[(256, &data)], &[call]).serve().await;
        assert_eq!(cell.exit().await, Exit::Ok, "{call}");
        let told = &cell.told()[0];
        // 1024 pages are 64 MiB, less than 2 GiB: written as far as one write goes.
        assert!(told == "28" || call.contains("1024 128") && told == "0", "{call}: {told}");
    }
    for (call, data) in traps {
        let exit = Guest::command(&[(256, &data)], &[call]).serve().await.exit().await;
        assert!(matches!(&exit, Exit::Trap(_)), "{call}: {exit}");
    }
}
