//! Descriptor 3 of WASI: the connection as a socket.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use portcell::account::Order;
use portcell::exit::Exit;
use tempfile::TempDir;

use crate::harness::Guest;

/// An array of vectors: pointer and length each.
fn vectors(vectors: &[(u32, u32)]) -> Vec<u8> {
    vectors
        .iter()
        .flat_map(|(at, length)| [at.to_le_bytes(), length.to_le_bytes()].concat())
        .collect()
}

fn wait_for(word: u64, kind: u8, fd: u32) -> Vec<u8> {
    let mut bytes = [&word.to_le_bytes()[..], &[kind], &[0; 7], &fd.to_le_bytes()].concat();
    bytes.resize(48, 0);
    bytes
}

/// The monotonic clock, so long from now.
fn clock(word: u64, time: Duration) -> Vec<u8> {
    let time = u64::try_from(time.as_nanos()).unwrap();
    let mut bytes = [&word.to_le_bytes()[..], &[0; 8], &1_u64.to_le_bytes()].concat();
    bytes.extend(time.to_le_bytes());
    bytes.resize(48, 0);
    bytes
}

#[tokio::test]
async fn it_is_a_stream_socket_that_does_not_wait_unless_it_is_told_to() {
    // The kind of file at 0, the flags at 2; of what fd_filestat_get says the kind at 16.
    let tells = ["tell16 128", "tell16 130"];
    let calls = [
        &["fd_fdstat_get 3 128"][..],
        &tells,
        &["fd_fdstat_set_flags 3 0", "fd_fdstat_get 3 128"],
        &tells,
        &["fd_fdstat_set_flags 3 4", "fd_fdstat_get 3 128"],
        &tells,
        &["fd_fdstat_set_flags 3 5", "fd_filestat_get 3 192", "tell16 208"],
    ]
    .concat();
    for guest in [Guest::command(&[], &calls), Guest::command(&[], &calls).over_unix()] {
        let told = guest.serve().await.tells().await;
        assert_eq!(told, ["0", "6", "4", "0", "0", "6", "0", "0", "0", "6", "4", "58", "0", "6"]);
    }
    let told = Guest::command(&[], &calls).over_udp().serve().await.tells().await;
    assert_eq!((&*told[1], &*told[13]), ("5", "5"), "a datagram socket");
}

#[tokio::test]
async fn it_is_the_same_connection_as_stdin_and_stdout() {
    let data = vectors(&[(1024, 3)]);
    let calls = [
        "fd_fdstat_set_flags 3 0",
        "fd_read 3 256 1 128",
        "fd_write 3 256 1 128",
        "fd_read 0 256 1 128",
        "fd_write 1 256 1 128",
        "sock_recv 3 256 1 0 128 132",
        "tell 128",
        "sock_send 3 256 1 0 128",
        "tell 128",
        "read 0 1024 3",
        "write 0 1024 3",
    ];
    let mut cell = Guest::command(&[(256, &data)], &calls).serve().await;
    cell.peer.send(b"onetwosixten").await;
    assert_eq!(cell.peer.receive(12).await, b"onetwosixten");
    assert_eq!(cell.tells().await, ["0", "0", "0", "0", "0", "0", "3", "0", "3", "3", "3"]);
}

#[tokio::test]
async fn a_read_of_nothing_is_eagain_until_the_poll_says_that_there_is_something() {
    let room = vectors(&[(1024, 100)]);
    let wait = [clock(1, Duration::from_hours(1)), wait_for(2, 1, 3)].concat();
    let data: [(u32, &[u8]); 2] = [(256, &room), (4096, &wait)];
    let read = ["fd_read 3 256 1 128", "sock_recv 3 256 1 0 128 132"];
    let poll = ["poll_oneoff 4096 8192 2 128", "tell 128", "tell64 8192", "tell16 8202"];
    let calls =
        [&read[..], &["sock_recv 3 256 1 1 128 132"], &poll, &read, &["text 1024 5"]].concat();
    for guest in [Guest::command(&data, &calls), Guest::command(&data, &calls).over_unix()] {
        let mut cell = guest.serve().await;
        cell.until_told(3).await;
        cell.peer.send(b"hello").await;
        let told = cell.tells().await;
        assert_eq!(told[..3], ["6", "6", "6"]);
        assert_eq!(told[3..], ["0", "1", "2", "1", "0", "6", "hello"]);
    }
}

#[tokio::test]
async fn reader_writer_and_clock_are_waited_for_together() {
    let room = vectors(&[(1024, 100)]);
    let wait = [
        clock(1, Duration::from_hours(1)),
        wait_for(2, 1, 3),
        wait_for(3, 2, 3),
        clock(4, Duration::from_millis(20)),
        wait_for(5, 1, 3),
    ]
    .concat();
    let calls = [
        // There is room to write and nothing to read.
        "poll_oneoff 4096 8192 3 128",
        "tell 128",
        "tell64 8192",
        "tell16 8202",
        // Nothing to read, and the clock runs out.
        "poll_oneoff 4240 8192 2 128",
        "tell 128",
        "tell64 8192",
        "fd_read 3 256 1 128",
        // Both.
        "poll_oneoff 4144 8192 2 128",
        "fd_fdstat_set_flags 3 0",
        "sock_recv 3 256 1 1 128 132",
        "poll_oneoff 4144 8192 2 128",
        "tell 128",
        "tell64 8192",
        "tell64 8224",
    ];
    let mut cell = Guest::command(&[(256, &room), (4096, &wait)], &calls).serve().await;
    cell.until_told(9).await;
    cell.peer.send(b"x").await;
    let told = cell.tells().await;
    assert_eq!(told[..8], ["0", "1", "3", "2", "0", "1", "4", "6"]);
    assert_eq!(told[8..], ["0", "0", "0", "0", "2", "2", "3"]);
}

#[tokio::test]
async fn a_write_takes_what_fits_and_is_eagain_then() {
    let large = vectors(&[(0, 4 << 20)]);
    let wait = wait_for(7, 2, 3);
    let data: [(u32, &[u8]); 2] = [(256, &large), (4096, &wait)];
    let write = ["store 128 0", "fd_write 3 256 1 128", "tell 128"];
    let poll = ["poll_oneoff 4096 8192 1 128"];
    let calls = [&["grow 64"][..], &write, &write, &write, &write, &poll, &write].concat();
    let mut cell = Guest::command(&data, &calls).over_small_buffers().serve().await;
    cell.until_told(9).await;
    let told = cell.told();
    let taken: usize = told[2..].iter().step_by(2).map(|n| n.parse::<usize>().unwrap()).sum();
    assert!(told[1] == "0" && 0 < taken && taken < 4 << 20, "{told:?}");
    assert_eq!(told[7..9], ["6", "0"], "there is no room any more");
    assert_eq!(cell.peer.receive(taken).await.len(), taken);
    cell.until_told(12).await;
    let told = cell.told();
    assert_eq!(told[9..11], ["0", "0"]);
    assert!((1..4 << 20).contains(&told[11].parse::<usize>().unwrap()), "{told:?}");
}

#[tokio::test]
async fn what_was_looked_at_is_there_still() {
    let data = vectors(&[(1024, 2), (2048, 100), (3072, 3)]);
    let peek = ["sock_recv 3 256 1 1 128 132", "text 1024 @128"];
    let calls = [
        &["fd_fdstat_set_flags 3 0"][..],
        &peek,
        // More than the first look has taken.
        &["sock_recv 3 264 1 1 128 132", "text 2048 @128"],
        &["poll_oneoff 4096 8192 1 128", "tell 128"],
        &["sock_recv 3 272 1 0 128 132", "text 3072 @128"],
        &peek,
        &["read 0 1024 100", "text 1024 2"],
        &["sock_recv 3 256 1 1 128 132", "tell 128", "read 0 1024 100"],
    ]
    .concat();
    let wait = wait_for(1, 1, 3);
    let guest = Guest::command(&[(256, &data), (4096, &wait)], &calls);
    for guest in [guest.clone(), guest.over_unix()] {
        let mut cell = guest.serve().await;
        cell.peer.send(b"hello").await;
        cell.peer.end().await;
        let account = Arc::clone(&cell.account);
        let told = cell.tells().await;
        let looks = ["0", "0", "he", "0", "hello", "0", "1", "0", "hel", "0", "lo", "2", "lo"];
        assert_eq!(told[..13], looks);
        assert_eq!(told[13..], ["0", "0", "0"], "the end");
        assert_eq!(account.bytes_in(), 5, "counted once");
    }
}

#[tokio::test]
async fn what_was_looked_at_is_gone_when_reading_ends() {
    let data = vectors(&[(1024, 100)]);
    let calls = [
        "fd_fdstat_set_flags 3 0",
        "sock_recv 3 256 1 1 128 132",
        "sock_shutdown 3 1",
        "fd_read 3 256 1 128",
        "tell 128",
        "fd_write 3 256 1 128",
    ];
    let mut cell = Guest::command(&[(256, &data)], &calls).serve().await;
    cell.peer.send(b"hello").await;
    assert_eq!(cell.tells().await, ["0", "0", "0", "0", "0", "0"]);
}

#[tokio::test]
async fn all_that_there_is_room_for_can_be_waited_for() {
    let data = vectors(&[(1024, 2), (2048, 0), (3072, 4)]);
    let receive = ["sock_recv 3 256 3 2 128 132", "tell 128"];
    let texts = ["text 1024 2", "text 3072 4"];
    let calls = [&["fd_fdstat_set_flags 3 0"][..], &receive, &texts, &receive, &receive].concat();
    let mut cell = Guest::command(&[(256, &data)], &calls).serve().await;
    for piece in [&b"a"[..], b"bc", b"defgh"] {
        cell.peer.send(piece).await;
    }
    cell.peer.end().await;
    let told = cell.tells().await;
    assert_eq!(told, ["0", "0", "6", "ab", "cdef", "0", "2", "0", "0"]);
}

#[tokio::test]
async fn a_datagram_that_is_cut_says_so() {
    let data = vectors(&[(1024, 2), (2048, 3), (3072, 0)]);
    let tells = ["tell 128", "tell16 132"];
    let calls = [
        &["fd_fdstat_set_flags 3 0", "sock_recv 3 256 1 1 128 132"][..],
        &tells,
        &["sock_recv 3 256 2 1 128 132"],
        &tells,
        &["sock_recv 3 256 1 0 128 132"],
        &tells,
        &["text 1024 2", "sock_recv 3 256 2 0 128 132"],
        &tells,
        // The next is taken by a read without room.
        &["sock_recv 3 272 1 0 128 132"],
        &tells,
        &["fd_read 3 256 2 128", "tell 128", "sock_recv 3 256 1 0 128 132"],
    ]
    .concat();
    let mut cell = Guest::command(&[(256, &data)], &calls).over_udp().serve().await;
    // The flow begins with 5 bytes.
    for datagram in [&b"you"[..], b"gone", b"", b"last"] {
        cell.peer.send(datagram).await;
    }
    cell.until_told(17).await;
    cell.peer.end().await;
    let told = cell.tells().await;
    assert_eq!(told[1..4], ["0", "2", "1"], "a look");
    assert_eq!(told[4..7], ["0", "5", "0"], "a longer look");
    assert_eq!(told[7..11], ["0", "2", "1", "fi"]);
    assert_eq!(told[11..14], ["0", "3", "0"]);
    assert_eq!(told[14..17], ["0", "0", "1"]);
    assert_eq!(told[17..], ["0", "4", "53"], "empty ones are passed over, and the flow is over");
}

#[tokio::test]
async fn one_send_is_one_datagram_also_an_empty_one() {
    let data = vectors(&[(1024, 3), (2048, 2), (0, 0)]);
    let calls =
        ["sock_send 3 256 2 0 128", "tell 128", "sock_send 3 272 1 0 128", "fd_write 3 256 1 128"];
    let cell = Guest::command(&[(256, &data), (1024, b"one"), (2048, b"ly")], &calls).over_udp();
    let cell = cell.serve().await;
    assert_eq!(cell.peer.datagram().await, b"onely");
    assert_eq!(cell.peer.datagram().await, b"");
    assert_eq!(cell.peer.datagram().await, b"one");
    assert_eq!(cell.tells().await, ["0", "5", "0", "0"]);
}

#[tokio::test]
async fn shutdown_ends_one_direction_or_both() {
    let data = vectors(&[(1024, 5)]);
    let calls = [
        "sock_shutdown 3 2",
        "fd_write 3 256 1 128",
        "fd_fdstat_set_flags 3 0",
        "fd_read 3 256 1 128",
        "text 1024 @128",
        "sock_shutdown 3 3",
        "fd_read 3 256 1 128",
        "tell 128",
    ];
    let mut cell = Guest::command(&[(256, &data)], &calls).serve().await;
    assert_eq!(cell.peer.rest().await.unwrap(), b"");
    cell.peer.send(b"still").await;
    assert_eq!(cell.tells().await, ["0", "64", "0", "0", "still", "0", "0", "0"]);
}

#[tokio::test]
async fn a_close_ends_the_connection_and_the_descriptor_is_gone() {
    let data = vectors(&[(1024, 5)]);
    let wait = wait_for(9, 1, 3);
    let calls = [
        "fd_write 3 256 1 128",
        "fd_close 3",
        "fd_close 3",
        "fd_write 3 256 1 128",
        "sock_recv 3 256 1 0 128 132",
        "sock_shutdown 3 1",
        "fd_fdstat_get 3 128",
        "fd_filestat_get 3 128",
        "poll_oneoff 4096 8192 1 128",
        "tell16 8200",
        "fd_read 0 256 1 128",
        "tell 128",
        "fd_write 1 256 1 128",
    ];
    let mut cell =
        Guest::command(&[(256, &data), (1024, b"hello"), (4096, &wait)], &calls).serve().await;
    assert_eq!(cell.peer.rest().await.unwrap(), b"hello");
    let told = cell.tells().await;
    assert_eq!(told[..2], ["0", "0"]);
    assert_eq!(told[2..8], vec!["8"; 6]);
    assert_eq!(told[8..10], ["0", "8"]);
    assert_eq!(told[10..], ["0", "0", "64"], "stdin and stdout have ended with it");
}

#[tokio::test]
async fn folders_begin_at_4_and_files_behind_them() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("page"), "a page").unwrap();
    let grant = format!("{}::/www", folder.path().display());
    let room = vectors(&[(1024, 100)]);
    let calls = [
        // Those who look for folders find something at 3 that is none, also when it is closed.
        "fd_prestat_get 3 160",
        "tell 160",
        "tell 164",
        "fd_prestat_dir_name 3 1024 0",
        "fd_close 3",
        "fd_prestat_get 3 160",
        "fd_prestat_get 4 160",
        "tell 160",
        "fd_prestat_dir_name 4 192 4",
        "text 192 4",
        "fd_prestat_get 5 160",
        "path_open 4 0 300 4 0 2 0 0 128",
        "tell 128",
        "fd_read 5 256 1 132",
        "text 1024 @132",
        "fd_seek 5 0 0 192",
        "fd_tell 5 192",
        "fd_filestat_get 5 192",
        "path_open 4 0 300 4 0 2 0 0 128",
        "tell 128",
        "fd_renumber 6 5",
        "fd_read 5 256 1 132",
        "fd_close 5",
        "fd_close 5",
        "fd_renumber 3 4",
        "fd_renumber 4 3",
    ];
    let data: [(u32, &[u8]); 2] = [(256, &room), (300, b"page")];
    let told = Guest::command(&data, &calls).with("dir", &grant).serve().await.tells().await;
    assert_eq!(told[..6], ["0", "1", "0", "0", "0", "0"]);
    assert_eq!(told[6..11], ["0", "0", "0", "/www", "8"]);
    assert_eq!(told[11..15], ["0", "5", "0", "a page"]);
    assert_eq!(told[15..18], ["0", "0", "0"]);
    assert_eq!(told[18..24], ["0", "6", "0", "0", "0", "8"]);
    assert_eq!(told[24..], ["58", "58"]);
}

#[tokio::test]
async fn with_a_path_it_is_the_first_folder_that_there_is() {
    let folder = TempDir::new().unwrap();
    let granted = folder.path().join("www");
    fs::create_dir(&granted).unwrap();
    fs::write(granted.join("page"), "a page").unwrap();
    let grant = format!("{}::/www", granted.display());
    let room = vectors(&[(1024, 100)]);
    let calls = [
        "path_open 3 0 300 4 0 2 0 0 128",
        "fd_fdstat_set_flags 3 0",
        "fd_read @128 256 1 132",
        "text 1024 @132",
        "path_open 3 0 310 7 0 2 0 0 128",
        "fd_read 3 256 1 132",
        "text 1024 @132",
    ];
    let data: [(u32, &[u8]); 3] = [(256, &room), (300, b"page"), (310, b"../page")];
    let mut cell = Guest::command(&data, &calls).with("dir", &grant).serve().await;
    cell.peer.send(b"bytes").await;
    let told = cell.tells().await;
    assert_eq!(told[..4], ["0", "0", "0", "a page"]);
    assert_ne!(told[4], "0", "out of the folder");
    assert_eq!(told[5..], ["0", "bytes"]);
}

#[tokio::test]
async fn what_is_not_for_sockets_is_refused() {
    for (call, errno) in [
        ("fd_advise 3 0 0 0", "8"),
        ("fd_readdir 3 1024 100 0 128", "8"),
        ("fd_seek 3 0 0 128", "8"),
        ("path_open 3 0 300 1 0 2 0 0 128", "8"),
        ("sock_accept 3 0 128", "58"),
        ("sock_recv 3 256 0 4 128 132", "28"),
        ("sock_recv 3 256 0 3 128 132", "28"),
        ("sock_send 3 256 0 1 128", "28"),
        ("sock_shutdown 3 0", "28"),
        ("sock_shutdown 3 4", "28"),
    ] {
        let told = Guest::command(&[(300, b"x")], &[call]).serve().await.tells().await;
        assert_eq!(told, [errno], "{call}");
    }
}

#[tokio::test]
async fn a_handler_has_none() {
    let calls = [
        "fd_fdstat_get 3 128",
        "fd_prestat_get 3 128",
        "fd_close 3",
        "sock_recv 3 256 0 0 128 132",
    ];
    assert_eq!(Guest::calls(&calls).serve().await.tells().await, ["8", "8", "8", "58"]);
}

#[tokio::test]
async fn a_drain_is_its_end_of_input_where_the_configuration_says_so() {
    let room = vectors(&[(1024, 100)]);
    let wait = wait_for(1, 1, 3);
    let calls =
        ["fd_read 3 256 1 128", "poll_oneoff 4096 8192 1 128", "fd_read 3 256 1 128", "tell 128"];
    let guest = Guest::command(&[(256, &room), (4096, &wait)], &calls).with("drain-input", "end");
    let cell = guest.serve().await;
    cell.until_told(1).await;
    cell.account.order(Order::Drain);
    assert_eq!(cell.tells().await, ["6", "0", "0", "0"]);
}

#[tokio::test]
async fn ranges_outside_the_memory_trap() {
    let outside = vectors(&[(65530, 10)]);
    for call in [
        "sock_recv 3 256 1 0 128 132",
        "sock_send 3 256 1 0 128",
        "sock_recv 3 65532 1 0 128 132",
        "sock_recv 3 1024 0 0 65533 132",
        "sock_recv 3 1024 0 0 128 65535",
        "sock_send 3 1024 0 0 -1",
        "fd_read 3 256 1 128",
        "fd_write 3 256 1 128",
        "fd_fdstat_get 3 65520",
        "fd_filestat_get 3 65500",
        "fd_prestat_get 3 65530",
    ] {
        let exit = Guest::command(&[(256, &outside)], &[call]).serve().await.exit().await;
        assert!(matches!(&exit, Exit::Trap(_)), "{call}: {exit}");
    }
}
