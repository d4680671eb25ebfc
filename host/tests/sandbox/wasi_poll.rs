//! `poll_oneoff` of WASI.

use std::time::{Duration, SystemTime};

use portcell::exit::Exit;

use crate::harness::Guest;

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

fn clock(word: u64, clock: u32, time: Duration, absolute: bool) -> Vec<u8> {
    let time = u64::try_from(time.as_nanos()).unwrap();
    let mut bytes = [&word.to_le_bytes()[..], &[0; 8], &clock.to_le_bytes(), &[0; 4]].concat();
    bytes.extend(time.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.push(absolute.into());
    bytes.extend([0; 7]);
    bytes
}

fn descriptor(word: u64, kind: u8, fd: u32) -> Vec<u8> {
    let mut bytes = [&word.to_le_bytes()[..], &[kind], &[0; 7], &fd.to_le_bytes()].concat();
    bytes.resize(48, 0);
    bytes
}

/// Waits for `subscriptions` and tells: the errno, how many events, and of the first three the
/// word, the errno and the kind.
fn waits(subscriptions: &[Vec<u8>]) -> Guest {
    let count = subscriptions.len();
    let call = format!("poll_oneoff 4096 8192 {count} 128");
    let mut calls = vec![call, "tell 128".into()];
    for at in (0..count.min(3)).map(|event| 8192 + event * 32) {
        calls.extend([format!("tell64 {at}"), format!("tell16 {}", at + 8)]);
        calls.push(format!("tell16 {}", at + 10));
    }
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    Guest::command(&[(4096, &subscriptions.concat())], &calls)
}

#[tokio::test]
async fn a_relative_timer_ends_the_wait() {
    for which in [REALTIME, MONOTONIC] {
        let guest = waits(&[clock(77, which, Duration::from_millis(30), false)]);
        let cell = guest.serve().await;
        let began = std::time::Instant::now();
        assert_eq!(cell.tells().await, ["0", "1", "77", "0", "0"]);
        assert!(began.elapsed() >= Duration::from_millis(25));
    }
}

#[tokio::test]
async fn an_absolute_timer_ends_the_wait_and_one_in_the_past_at_once() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    for (which, time) in [
        (REALTIME, now + Duration::from_millis(30)),
        (REALTIME, Duration::from_secs(1)),
        (MONOTONIC, Duration::from_millis(30)),
        (MONOTONIC, Duration::ZERO),
    ] {
        let told = waits(&[clock(5, which, time, true)]).serve().await.tells().await;
        assert_eq!(told, ["0", "1", "5", "0", "0"], "{which} {time:?}");
    }
}

#[tokio::test]
async fn bytes_end_the_wait_and_the_timer_is_not_reported() {
    let far = Duration::from_hours(1);
    let guest = waits(&[clock(1, MONOTONIC, far, false), descriptor(2, 1, 0)]);
    let mut cell = guest.serve().await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.tells().await[..5], ["0", "1", "2", "0", "1"]);
}

#[tokio::test]
async fn the_timer_ends_the_wait_for_bytes() {
    let soon = Duration::from_millis(20);
    let guest = waits(&[descriptor(2, 1, 0), clock(1, MONOTONIC, soon, false)]);
    assert_eq!(guest.serve().await.tells().await[..5], ["0", "1", "1", "0", "0"]);
}

#[tokio::test]
async fn the_end_of_the_stream_is_readable_and_stdout_is_writable() {
    let mut cell = waits(&[descriptor(2, 1, 0)]).serve().await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["0", "1", "2", "0", "1"]);
    let cell = waits(&[descriptor(3, 2, 1), descriptor(4, 2, 2)]).serve().await;
    assert_eq!(cell.tells().await, ["0", "2", "3", "0", "2", "4", "0", "2"]);
}

#[tokio::test]
async fn the_wrong_direction_and_unknown_clocks_and_kinds_are_events_with_an_error() {
    for (subscription, errno) in [
        (descriptor(9, 2, 0), "8"),
        (descriptor(9, 1, 1), "8"),
        (descriptor(9, 3, 0), "28"),
        (clock(9, 2, Duration::ZERO, false), "28"),
        (clock(9, u32::MAX, Duration::ZERO, false), "28"),
    ] {
        let told = waits(&[subscription]).serve().await.tells().await;
        assert_eq!(told[..4], ["0", "1", "9", errno]);
    }
}

#[tokio::test]
async fn in_a_handle_guest_stdin_is_ready_for_its_end() {
    let data = descriptor(2, 1, 0);
    let guest = Guest::calls_with(&[(4096, &data)], &["poll_oneoff 4096 8192 1 128", "tell 128"]);
    assert_eq!(guest.serve().await.tells().await, ["0", "1"]);
}

#[tokio::test]
async fn a_wait_for_a_connection_that_the_guest_closed_ends_at_once() {
    let far = Duration::from_hours(1);
    let data = [descriptor(2, 1, 0), clock(1, MONOTONIC, far, false)].concat();
    for end in ["close 0", "shutdown 0 3"] {
        let calls = [end, "poll_oneoff 4096 8192 2 128", "tell 128", "tell64 8192"];
        let mut cell = Guest::command(&[(4096, &data)], &calls).serve().await;
        if end == "close 0" {
            cell.peer.end().await;
        }
        assert_eq!(cell.tells().await, ["0", "0", "1", "2"], "{end}");
    }
}

#[tokio::test]
async fn no_subscriptions_or_too_many_are_einval_and_bad_pointers_trap() {
    let calls = ["poll_oneoff 256 256 0 128", "poll_oneoff 256 256 65 128", "poll_oneoff 0 0 -1 0"];
    let cell = Guest::command(&[], &calls).serve().await;
    assert_eq!(cell.tells().await, ["28", "28", "28"]);
    for call in [
        "poll_oneoff 65500 256 1 128",
        "poll_oneoff 256 65510 1 128",
        "poll_oneoff 256 256 1 65533",
        "poll_oneoff -1 256 1 128",
    ] {
        let exit = Guest::command(&[], &[call]).serve().await.exit().await;
        assert!(matches!(&exit, Exit::Trap(_)), "{call}: {exit}");
    }
}

#[tokio::test]
async fn a_timer_of_centuries_waits_and_does_not_overflow() {
    let far = Duration::from_nanos(u64::MAX);
    for absolute in [false, true] {
        let guest = waits(&[clock(1, MONOTONIC, far, absolute), descriptor(2, 1, 0)]);
        let mut cell = guest.serve().await;
        cell.peer.send(b"x").await;
        assert_eq!(cell.tells().await[..3], ["0", "1", "2"]);
    }
}
