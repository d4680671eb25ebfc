//! `portcell_v1` over UDP: what differs from a stream.

use std::num::NonZeroU32;
use std::time::Duration;

use portcell::config::UdpMode;
use portcell::exit::Exit;

use crate::harness::{FIRST, Guest, Udp};

/// One record of `poll`, at 256.
fn record(events: u16) -> Vec<u8> {
    [&0_i32.to_le_bytes()[..], &events.to_le_bytes(), &[0; 2]].concat()
}

const SIZE: &[u8] = b"datagram.size";

#[tokio::test]
async fn a_read_gives_one_datagram_and_cuts_it() {
    let calls = [
        "info 64 13 1024 9",
        "read 0 100 50",
        "text 100 last",
        "read 0 100 2",
        "text 100 last",
        "info 64 13 1024 9",
        "text 1024 last",
        "read 0 100 50",
        "text 100 last",
    ];
    let mut cell = Guest::calls_with(&[(64, SIZE)], &calls).over_udp().serve().await;
    cell.peer.send(b"second").await;
    cell.peer.send(b"third").await;
    assert_eq!(
        cell.tells().await,
        ["-44", "5", "first", "2", "se", "1", "6", "5", "third"],
        "the rest of the second is gone, and its size is known"
    );
}

#[tokio::test]
async fn an_empty_datagram_is_0_and_no_end_and_a_read_of_0_bytes_takes_one() {
    let calls = ["read 0 100 0", "read 0 100 9", "read 0 100 9"];
    let mut cell = Guest::calls(&calls).over_udp().serve().await;
    cell.peer.send(b"").await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.tells().await, ["0", "0", "1"]);
    assert_eq!(FIRST.len(), 5, "what the first read took");
}

#[tokio::test]
async fn a_flow_that_its_listener_has_ended_is_enotconn_after_what_came_before() {
    let calls = [
        "poll 256 1 -1",
        "read 0 100 9",
        "read 0 100 9",
        "read 0 100 9",
        "poll 256 1 -1",
        "tell16 262",
        "write 0 100 1",
    ];
    let guest = Guest::calls_with(&[(256, &record(1))], &calls).over_udp();
    let mut cell = guest.serve().await;
    cell.until_told(2).await;
    cell.peer.end().await;
    let (exit, told) = cell.ends().await;
    // Readable and over; nothing broke.
    assert_eq!(told, ["1", "5", "-53", "-53", "1", "8193", "-64"]);
    assert_eq!(exit, Exit::Ok);
}

#[tokio::test]
async fn bounds_on_reads_are_those_of_streams() {
    let calls = [
        "read 0 100 9",
        "set_timeout 0 0 0",
        "read 0 100 9",
        "set_timeout 0 0 20",
        "read 0 100 9",
        "write 0 100 1",
        "set_timeout 0 0 15000",
        "read 0 100 9",
    ];
    let mut cell = Guest::calls(&calls).over_udp().serve().await;
    assert_eq!(cell.peer.datagram().await, b"f");
    cell.peer.send(b"xyz").await;
    assert_eq!(cell.tells().await, ["5", "0", "-6", "0", "-73", "1", "0", "3"]);
}

#[tokio::test]
async fn each_write_is_a_datagram_also_an_empty_one() {
    let calls = ["read 0 100 9", "write 0 100 5", "write 0 100 0", "write 0 102 3"];
    let mut cell = Guest::calls(&calls).over_udp().serve().await;
    assert_eq!(cell.peer.datagram().await, b"first");
    assert_eq!(cell.peer.datagram().await, b"");
    assert_eq!(cell.peer.datagram().await, b"rst");
    assert_eq!(cell.exit().await, Exit::Ok);
    assert_eq!((cell.account.bytes_in(), cell.account.bytes_out()), (5, 8));
    assert_eq!(cell.told(), ["5", "5", "0", "3"]);
}

#[tokio::test]
async fn a_datagram_that_is_too_long_is_emsgsize_and_not_sent() {
    let calls = ["write 0 0 65508", "write 0 0 131072", "write 0 0 65507"];
    let cell = Guest::calls_in(2, &[], &calls).over_udp().serve().await;
    assert_eq!(cell.peer.datagram().await.len(), 65_507);
    assert_eq!(cell.tells().await, ["-35", "-35", "65507"]);
}

#[tokio::test]
async fn directions_that_the_guest_has_ended() {
    let calls = [
        "shutdown 0 0",
        "read 0 100 9",
        "read 0 100 0",
        "write 0 100 1",
        "shutdown 0 1",
        "write 0 100 1",
        "write 0 100 0",
        "poll 256 1 -1",
        "tell16 262",
        "shutdown 0 3",
        "read 0 100 9",
        "write 0 100 9",
        "close 0",
        "read 0 100 9",
    ];
    let cell = Guest::calls_with(&[(256, &record(3))], &calls).over_udp().serve().await;
    // Nobody ends the other side: the close does not wait for it.
    assert_eq!(
        cell.tells().await,
        ["0", "-53", "-53", "1", "0", "-64", "-64", "1", "8195", "0", "-15", "-15", "0", "-8"]
    );
}

#[tokio::test]
async fn a_poll_waits_for_a_datagram_also_an_empty_one() {
    let calls = [
        "poll 256 1 -1",
        "tell16 262",
        "read 0 100 9",
        "poll 256 1 0",
        "poll 256 1 -1",
        "read 0 100 9",
        "poll 264 1 -1",
        "tell16 270",
    ];
    let guest = Guest::calls_with(&[(256, &record(1)), (264, &record(2))], &calls).over_udp();
    let mut cell = guest.serve().await;
    cell.until_told(4).await;
    cell.peer.send(b"").await;
    assert_eq!(cell.tells().await, ["1", "1", "5", "0", "1", "0", "1", "2"]);
}

#[tokio::test]
async fn a_flow_of_one_datagram_is_over_after_it_and_can_still_be_answered() {
    let calls = [
        "read 0 100 9",
        "read 0 100 9",
        "poll 256 1 -1",
        "tell16 262",
        "write 0 100 2",
        "write 0 102 3",
    ];
    let udp = Udp { mode: UdpMode::Datagram, reply_factor: None };
    let guest = Guest::calls_with(&[(256, &record(3))], &calls).over_udp_as(udp);
    let cell = guest.serve().await;
    assert_eq!(cell.peer.datagram().await, b"fi");
    assert_eq!(cell.peer.datagram().await, b"rst");
    assert_eq!(cell.tells().await, ["5", "-53", "1", "3", "2", "3"]);
}

#[tokio::test]
async fn answers_over_the_bound_are_lost_and_no_progress() {
    let reply_factor = NonZeroU32::new(2);
    let udp = Udp { mode: UdpMode::Flow, reply_factor };
    let calls =
        ["write 0 100 10", "write 0 100 9", "read 0 200 9", "read 0 200 9", "write 0 100 2"];
    let mut cell = Guest::calls(&calls).over_udp_as(udp).serve().await;
    assert_eq!(cell.peer.datagram().await.len(), 10);
    cell.peer.send(b"x").await;
    assert_eq!(cell.peer.datagram().await.len(), 2);
    let account = std::sync::Arc::clone(&cell.account);
    assert_eq!(cell.tells().await, ["10", "9", "5", "1", "2"]);
    assert_eq!(account.bytes_out(), 12);

    let writes = Guest::text(
        r#"(module
          (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "handle")
            (loop $again
              (br_if $again
                (i32.gt_s (call $write (i32.const 0) (i32.const 0) (i32.const 9)) (i32.const 0))))))"#,
    );
    let mut cell = writes.with("cpu", "200ms").over_udp_as(udp).serve().await;
    assert_eq!(cell.exit().await, Exit::CpuLimit("handler.cpu"));
}

#[tokio::test]
async fn a_guest_that_sends_without_end_waits_for_the_network_and_can_be_ended() {
    let guest = Guest::wat("sends_datagrams_forever").over_udp().with("lifetime", "100ms");
    let mut cell = guest.serve().await;
    assert_eq!(cell.peer.datagram().await.len(), 1000);
    assert_eq!(cell.exit().await, Exit::Lifetime);
}

#[tokio::test]
async fn silence_ends_a_flow_and_datagrams_put_it_off() {
    let guest = Guest::wat("echoes_datagrams").over_udp();
    let mut cell = guest.flow_idle_timeout(Duration::from_millis(400)).serve().await;
    assert_eq!(cell.peer.datagram().await, FIRST);
    for text in [&b"a"[..], b"", b"b"] {
        cell.peer.send(text).await;
        assert_eq!(cell.peer.datagram().await, text);
    }
    let age = cell.account.age();
    assert_eq!(cell.exit().await, Exit::IdleTimeout);
    assert!(cell.account.age() >= age + Duration::from_millis(300));
}

#[tokio::test]
async fn the_facts_of_a_flow() {
    let facts = ["transport", "peer.address", "local.address", "limits.idle_timeout"];
    let mut calls = Vec::new();
    for (at, name) in (0_u32..).zip(facts) {
        calls.push(format!("info {} {} 4096 200", 512 + at * 64, name.len()));
        calls.push("text 4096 last".into());
    }
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    let data: Vec<_> =
        (0_u32..).zip(facts).map(|(at, name)| (512 + at * 64, name.as_bytes())).collect();
    let guest = Guest::calls_with(&data, &calls).over_udp();
    let cell = guest.serve().await;
    let (peer, local) = (cell.peer.address().to_string(), cell.peer.of_guest().to_string());
    let told = cell.tells().await;
    let texts: Vec<_> = told.chunks(2).map(|pair| pair[1].as_str()).collect();
    assert_eq!(texts, ["udp", &peer, &local, "30000"]);
}
