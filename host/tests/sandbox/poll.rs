//! `portcell_v1.poll`.

use portcell::account::Order;
use portcell::exit::Exit;

use crate::harness::Guest;

/// Where the records of a guest are.
const AT: u32 = 256;

/// Records of a descriptor and events each; `revents` begin as rubbish.
fn records(records: &[(i32, u16)]) -> Vec<u8> {
    let record = |(fd, events): &(i32, u16)| {
        [&fd.to_le_bytes()[..], &events.to_le_bytes(), &[0xee, 0xee]].concat()
    };
    records.iter().flat_map(record).collect()
}

/// A guest that has one record, and makes these calls.
fn watches(events: u16, calls: &[&str]) -> Guest {
    Guest::calls_with(&[(AT, &records(&[(0, events)]))], calls)
}

/// What one call with these records and this timeout gives: the result and each `revents`.
async fn poll_of(asked: &[(i32, u16)], timeout: &str) -> Vec<String> {
    let mut calls = vec![format!("poll {AT} {} {timeout}", asked.len())];
    calls.extend((0..asked.len()).map(|at| format!("tell16 {}", AT as usize + at * 8 + 6)));
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    Guest::calls_with(&[(AT, &records(asked))], &calls).serve().await.tells().await
}

#[tokio::test]
async fn data_is_readable() {
    let calls = ["poll 256 1 -1", "tell16 262", "read 0 100 9", "poll 256 1 0", "tell16 262"];
    let mut cell = watches(1, &calls).serve().await;
    cell.peer.send(b"abc").await;
    assert_eq!(cell.tells().await, ["1", "1", "3", "0", "0"]);
}

#[tokio::test]
async fn a_poll_waits_again_after_what_was_there_has_been_read() {
    let calls = ["poll 256 1 -1", "read 0 100 9", "poll 256 1 -1", "read 0 100 9"];
    let mut cell = watches(1, &calls).serve().await;
    cell.peer.send(b"abc").await;
    cell.until_told(2).await;
    cell.peer.send(b"de").await;
    assert_eq!(cell.tells().await, ["1", "3", "1", "2"]);
}

#[tokio::test]
async fn a_half_close_is_readable_and_not_over() {
    let mut cell = watches(1, &["poll 256 1 -1", "tell16 262", "read 0 100 9"]).serve().await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["1", "1", "0"]);
}

#[tokio::test]
async fn an_open_connection_is_writable_at_once() {
    assert_eq!(poll_of(&[(0, 2)], "-1").await, ["1", "2"]);
    assert_eq!(poll_of(&[(0, 3)], "-1").await, ["1", "2"]);
}

#[tokio::test]
async fn a_full_connection_is_not_writable_until_the_peer_reads() {
    let calls = [
        "set_timeout 0 1 30",
        "write 0 100 16777216",
        "poll 256 1 0",
        "poll 256 1 -1",
        "tell16 262",
    ];
    let guest = Guest::calls_in(257, &[(AT, &records(&[(0, 2)]))], &calls).over_small_buffers();
    let mut cell = guest.serve().await;
    cell.until_told(3).await;
    let written: usize = cell.told()[1].parse().unwrap();
    cell.peer.receive(written).await;
    let told = cell.tells().await;
    assert_eq!(told[2..], ["0", "1", "2"]);
}

#[tokio::test]
async fn a_poll_of_0_ms_does_not_wait_and_one_of_20_ms_ends() {
    assert_eq!(poll_of(&[(0, 1)], "0").await, ["0", "0"]);
    assert_eq!(poll_of(&[(0, 1)], "20").await, ["0", "0"]);
    assert_eq!(poll_of(&[(0, 0)], "20").await, ["0", "0"]);
}

#[tokio::test]
async fn no_records_sleep_also_where_the_pointer_is_at_the_end() {
    let calls = ["poll 0 0 0", "poll 0 0 20", "poll 65536 0 20", "clock_time_get 1 0 128"];
    let told = Guest::calls(&[&calls[..], &["tell64 128"]].concat()).serve().await.tells().await;
    assert_eq!(told[..4], ["0", "0", "0", "0"]);
    let slept: u64 = told[4].parse().unwrap();
    assert!(slept >= 40_000_000, "{slept} ns");
}

#[tokio::test]
async fn a_negative_descriptor_is_skipped() {
    assert_eq!(poll_of(&[(-1, 1), (0, 2), (-2_147_483_648, 3)], "-1").await, ["1", "0", "2", "0"]);
    assert_eq!(poll_of(&[(-1, 1)], "20").await, ["0", "0"]);
}

#[tokio::test]
async fn a_descriptor_that_is_not_the_guests_is_invalid_at_once() {
    assert_eq!(poll_of(&[(1, 1)], "-1").await, ["1", "16384"]);
    assert_eq!(poll_of(&[(0, 1), (i32::MAX, 0)], "-1").await, ["1", "0", "16384"]);
    assert_eq!(poll_of(&[(7, 0), (0, 2), (-1, 0)], "-1").await, ["2", "16384", "2", "0"]);
}

#[tokio::test]
async fn each_record_gets_only_what_it_asked_for() {
    let asked = [(0, 1), (0, 2), (0, 0), (0, 8)];
    assert_eq!(poll_of(&asked, "-1").await, ["1", "0", "2", "0", "0"]);
}

#[tokio::test]
async fn there_can_be_64_records_and_no_more() {
    let asked = vec![(0, 2); 64];
    let told = poll_of(&asked, "-1").await;
    assert_eq!(told[0], "64");
    assert_eq!(told[1..], vec!["2"; 64]);
    let cell = Guest::calls(&["poll 256 65 0", "poll 256 -1 0", "poll -1 65 0"]).serve().await;
    assert_eq!(cell.tells().await, ["-28", "-28", "-28"]);
}

#[tokio::test]
async fn unknown_bits_and_timeouts_are_einval() {
    for bit in [2_u16, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map(|bit| 1 << bit) {
        if bit == 8 {
            continue;
        }
        assert_eq!(poll_of(&[(0, 1), (-1, bit)], "0").await[0], "-28", "{bit:#x}");
    }
    assert_eq!(poll_of(&[(0, 2)], "-2").await[0], "-28");
    assert_eq!(poll_of(&[(0, 2)], "-2147483648").await[0], "-28");
}

#[tokio::test]
async fn draining_wakes_a_guest_that_asked_for_it_and_stays() {
    let calls = [
        "tell 256",
        "poll 256 1 -1",
        "tell16 262",
        "poll 256 1 -1",
        "tell16 262",
        "poll 256 1 0",
        "tell16 262",
    ];
    let cell = watches(9, &calls).serve().await;
    cell.until_told(1).await;
    cell.account.order(Order::Drain);
    assert_eq!(cell.tells().await[1..], ["1", "8", "1", "8", "1", "8"]);
}

#[tokio::test]
async fn draining_is_not_told_to_a_guest_that_did_not_ask() {
    let mut cell = watches(1, &["tell 256", "poll 256 1 -1", "tell16 262"]).serve().await;
    cell.until_told(1).await;
    cell.account.order(Order::Drain);
    // The order wakes the instance, on this thread, and it goes on waiting.
    tokio::task::yield_now().await;
    assert_eq!(cell.told(), ["0"]);
    cell.peer.send(b"x").await;
    assert_eq!(cell.tells().await, ["0", "1", "1"]);
}

#[tokio::test]
async fn a_reset_wakes_a_wait_and_is_failed_whatever_was_asked_for() {
    for events in [0, 1, 8, 9] {
        let mut cell = watches(events, &["tell 252", "poll 256 1 -1", "tell16 262"]).serve().await;
        // It has told, so it waits.
        cell.until_told(1).await;
        cell.peer.reset();
        let (_, told) = cell.ends().await;
        let revents: u16 = told[2].parse().unwrap();
        assert_eq!(revents & 0x1000, 0x1000, "asked {events:#x}, got {revents:#x}");
        assert_eq!(revents & 0x0fff, events & 1, "asked {events:#x}, got {revents:#x}");
    }
}

#[tokio::test]
async fn a_poll_does_not_swallow_the_error_that_the_read_gives() {
    let calls = ["tell 252", "poll 256 1 -1", "poll 256 1 -1", "read 0 100 9", "read 0 100 9"];
    for guest in [watches(1, &calls), watches(0, &calls), watches(9, &calls)] {
        let mut cell = guest.serve().await;
        cell.until_told(1).await;
        cell.peer.reset();
        let (exit, told) = cell.ends().await;
        assert_eq!(told[3..], ["-15", "-15"]);
        assert_eq!(exit, Exit::PeerReset);
    }
}

#[tokio::test]
async fn a_reset_wakes_a_wait_for_room_and_is_failed() {
    let calls = [
        "set_timeout 0 1 30",
        "write 0 100 16777216",
        "poll 256 1 -1",
        "tell16 262",
        "write 0 100 1",
    ];
    let guest = Guest::calls_in(257, &[(AT, &records(&[(0, 2)]))], &calls).over_small_buffers();
    let mut cell = guest.serve().await;
    cell.until_told(2).await;
    cell.peer.reset();
    let (_, told) = cell.ends().await;
    let revents: u16 = told[3].parse().unwrap();
    assert_eq!(revents & 0x1002, 0x1002, "{revents:#x}");
    assert_eq!(told[4], "-15");
}

#[tokio::test]
async fn both_directions_ended_is_over() {
    let mut cell =
        watches(1, &["shutdown 0 1", "read 0 100 9", "poll 256 1 -1", "tell16 262"]).serve().await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["0", "0", "1", "8193"]);
}

#[tokio::test]
async fn over_is_reported_but_does_not_end_a_wait_for_draining() {
    let calls = ["shutdown 0 2", "poll 256 1 -1", "tell16 262"];
    let mut cell = watches(8, &calls).serve().await;
    cell.peer.end().await;
    cell.until_told(1).await;
    // The guest must be waiting now: nothing else is to come but this order.
    tokio::task::yield_now().await;
    assert_eq!(cell.told(), ["0"]);
    cell.account.order(Order::Drain);
    assert_eq!(cell.tells().await, ["0", "1", "8200"]);
}

#[tokio::test]
async fn an_ended_direction_is_ready_at_once() {
    assert_eq!(
        watches(1, &["shutdown 0 0", "poll 256 1 -1"]).serve().await.tells().await,
        ["0", "1"]
    );
    let cell = watches(2, &["shutdown 0 1", "poll 256 1 -1"]).serve().await;
    assert_eq!(cell.tells().await, ["0", "1"]);
}

#[tokio::test]
async fn after_close_the_descriptor_is_invalid() {
    let mut cell = watches(1, &["close 0", "poll 256 1 -1", "tell16 262"]).serve().await;
    cell.peer.end().await;
    assert_eq!(cell.tells().await, ["0", "1", "16384"]);
}

#[tokio::test]
async fn after_a_reset_by_the_guest_it_is_failed() {
    let cell = watches(1, &["shutdown 0 3", "poll 256 1 -1", "tell16 262"]).serve().await;
    assert_eq!(cell.tells().await, ["0", "1", "12289"]);
}
