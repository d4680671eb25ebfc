//! The limits of time: CPU, lifetime, idle timeout, write timeout.

use std::io::ErrorKind;
use std::time::Duration;

use portcell::exit::Exit;

use crate::harness::Guest;

#[tokio::test]
async fn a_guest_that_spins_is_ended_and_reset() {
    for guest in ["spins_forever", "spins_in_host_calls", "spins_in_polls", "spins_at_start"] {
        let mut cell = Guest::wat(guest).with("cpu", "50ms").serve().await;
        assert_eq!(cell.exit().await, Exit::CpuLimit("handler.cpu"), "{guest}");
        assert_eq!(cell.peer.rest().await, Err(ErrorKind::ConnectionReset), "{guest}");
        let used = cell.account.cpu();
        assert!(used >= Duration::from_millis(50), "{guest}: {used:?}");
        assert!(used < Duration::from_millis(500), "{guest}: {used:?}");
    }
}

#[tokio::test]
async fn cpu_time_counts_from_the_last_byte() {
    // Less than all of it, and far more than there is between two bytes.
    let limit = format!("{}ms", all_of_it().await.as_millis() / 2);
    let mut cell = Guest::wat("spins_between_bytes").with("cpu", &limit).serve().await;
    assert_eq!(cell.exit().await, Exit::Ok, "{limit}");
}

/// The CPU time of `spins_between_bytes`.
async fn all_of_it() -> Duration {
    let mut cell = Guest::wat("spins_between_bytes").with("cpu", "none").serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    cell.account.cpu()
}

#[tokio::test]
async fn cpu_time_in_all_counts_every_byte() {
    let limit = format!("{}ms", all_of_it().await.as_millis() / 4);
    let guest = Guest::wat("spins_between_bytes").with("cpu", "none").with("cpu-total", &limit);
    let mut cell = guest.serve().await;
    assert_eq!(cell.exit().await, Exit::CpuLimit("handler.cpu_total"));
    assert!((1..10).contains(&cell.account.bytes_out()), "{} bytes", cell.account.bytes_out());
}

#[tokio::test]
async fn waiting_is_no_cpu_time() {
    let mut cell = Guest::calls(&["poll 0 0 300"]).with("cpu", "150ms").serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
}

#[tokio::test]
async fn a_lifetime_ends_a_guest_that_spins_and_one_that_waits_in_good_order() {
    for guest in ["spins_forever", "spins_in_host_calls", "echo"] {
        let guest = Guest::wat(guest).with("cpu", "none").with("lifetime", "100ms");
        let mut cell = guest.serve().await;
        assert_eq!(cell.exit().await, Exit::Lifetime);
        assert_eq!(cell.peer.rest().await, Ok(Vec::new()));
        cell.peer.end().await;
        cell.closed().await;
    }
}

#[tokio::test]
async fn silence_ends_every_kind_of_wait_in_good_order() {
    let far = 3_600_000_000_000_u64.to_le_bytes();
    let subscription = [&[0; 16][..], &1_u32.to_le_bytes(), &[0; 4], &far, &[0; 16]].concat();
    let vectors = [1024_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat();
    let record = [0, 0, 0, 0, 1, 0, 0, 0];
    let data: [(u32, &[u8]); 3] = [(4096, &subscription), (256, &vectors), (512, &record)];
    for call in [
        "read 0 100 1",
        "poll 512 1 -1",
        "poll 512 1 3600000",
        "poll 0 0 -1",
        "poll 0 0 3600000",
        "fd_read 0 256 1 128",
        "poll_oneoff 4096 8192 1 128",
    ] {
        let guest = Guest::command(&data, &[call]).with("idle-timeout", "60ms");
        let mut cell = guest.serve().await;
        assert_eq!(cell.exit().await, Exit::IdleTimeout, "{call}");
        assert_eq!(cell.peer.rest().await, Ok(Vec::new()), "{call}");
    }
    let guest = Guest::calls(&["set_timeout 0 0 3600000", "read 0 100 1"]);
    let mut cell = guest.with("idle-timeout", "60ms").serve().await;
    assert_eq!(cell.exit().await, Exit::IdleTimeout);
}

#[tokio::test]
async fn silence_ends_a_write_that_waits_where_there_is_no_write_timeout() {
    let guest = Guest::wat("writes_forever").over_small_buffers();
    let guest = guest.with("write-timeout", "none").with("idle-timeout", "100ms");
    assert_eq!(guest.serve().await.exit().await, Exit::IdleTimeout);
}

#[tokio::test]
async fn a_guests_own_bound_ends_its_wait_before_the_hosts_does() {
    let calls = ["set_timeout 0 0 30", "read 0 100 1", "write 0 100 1", "read 0 100 1"];
    let mut cell = Guest::calls(&calls).with("idle-timeout", "10s").serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    assert_eq!(cell.told(), ["0", "-73", "1", "-73"]);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_reset() {
    let guest = Guest::wat("writes_forever").over_small_buffers();
    let mut cell = guest.with("write-timeout", "100ms").serve().await;
    assert_eq!(cell.exit().await, Exit::WriteTimeout);
    cell.closed().await;
    assert_eq!(cell.peer.rest().await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_guest_that_looks_up_from_its_writes_does_not_put_the_write_timeout_off() {
    // Both directions, at 512.
    let record = [0, 0, 0, 0, 3, 0, 0, 0];
    let write = "write 0 1024 2000000";
    for call in [write, "poll 512 1 30"] {
        // Its own bound is far shorter than that of the host. The kernel takes a little more some
        // 40 ms after the first bytes, when the peer's has acknowledged those.
        let calls = [&["set_timeout 0 1 30"][..], &[write; 4], &[call; 400]].concat();
        let guest = Guest::calls_in(33, &[(512, &record)], &calls).over_small_buffers();
        let guest = guest.with("write-timeout", "300ms").with("idle-timeout", "none");
        let mut cell = guest.with("cpu", "none").serve().await;
        assert_eq!(cell.exit().await, Exit::WriteTimeout, "{call}: {:?}", cell.told().last());
    }
}

#[tokio::test]
async fn a_peer_that_is_not_written_to_has_no_write_timeout() {
    let record = [0, 0, 0, 0, 1, 0, 0, 0];
    for call in ["poll 512 1 1000", "poll 0 0 1000", "close 0"] {
        let calls = ["set_timeout 0 1 30", "write 0 1024 2000000", call];
        let guest = Guest::calls_in(33, &[(512, &record)], &calls).over_small_buffers();
        let guest = guest.with("write-timeout", "300ms").with("idle-timeout", "none");
        assert_eq!(guest.serve().await.exit().await, Exit::Ok, "{call}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_reset_from_a_command_too() {
    let vectors = [[0, 0, 0, 0], 65536_u32.to_le_bytes()].concat();
    let calls = ["fd_write 1 256 1 128"; 50];
    let guest = Guest::command(&[(256, &vectors)], &calls).over_small_buffers();
    assert_eq!(guest.with("write-timeout", "100ms").serve().await.exit().await, Exit::WriteTimeout);
}

#[tokio::test]
async fn a_peer_that_reads_slowly_is_not_cut_by_the_write_timeout() {
    let guest = Guest::calls_in(33, &[], &["write 0 100 2000000"]).over_small_buffers();
    let mut cell = guest.with("write-timeout", "2s").serve().await;
    for _ in 0..2000 {
        cell.peer.receive(1000).await;
    }
    assert_eq!(cell.exit().await, Exit::Ok);
}

#[tokio::test]
async fn a_peer_that_resets_is_peer_reset_whatever_the_guest_returns() {
    for call in ["return 0", "return 3"] {
        let mut cell = Guest::calls(&["read 0 100 1", call]).serve().await;
        cell.peer.reset();
        assert_eq!(cell.exit().await, Exit::PeerReset);
    }
}

#[tokio::test]
async fn deep_recursion_is_a_trap() {
    let exit = Guest::wat("recurses_forever").serve().await.exit().await;
    let what = "wasm trap: call stack exhausted (server.stack) in `deeper`";
    assert_eq!(exit, Exit::Trap(what.into()));
}

#[tokio::test]
async fn host_calls_from_the_end_of_the_stack_have_a_stack_of_their_own() {
    let exit = Guest::wat("recurses_into_the_host").serve().await.exit().await;
    let what = "wasm trap: call stack exhausted (server.stack) in `deeper`";
    assert_eq!(exit, Exit::Trap(what.into()));
}
