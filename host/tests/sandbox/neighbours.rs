//! What a guest does to those beside it, on the one thread of this runtime: nothing.

use std::time::Duration;

use portcell::account::Order;
use portcell::exit::Exit;

use crate::harness::Guest;

#[tokio::test]
async fn beside_a_guest_that_holds_the_processor_others_are_served() {
    for guest in ["spins_forever", "spins_in_host_calls", "spins_in_polls", "spins_at_start"] {
        let hog = Guest::wat(guest).with("cpu", "none").with("lifetime", "30s");
        let mut hog = hog.serve().await;
        let mut echo = Guest::wat("echo").serve().await;
        for _ in 0..20 {
            echo.peer.send(b"are you there?").await;
            assert_eq!(echo.peer.receive(14).await, b"are you there?");
        }
        assert!(!hog.has_ended(), "{guest}");
        // A slice is 10 ms, and an answer takes a few of them.
        let held = hog.account.cpu();
        assert!(held < Duration::from_secs(3), "{guest} held the thread for {held:?}");
        hog.account.order(Order::Cut);
        assert_eq!(hog.exit().await, Exit::Cut, "{guest}");
    }
}

#[tokio::test]
async fn beside_a_guest_that_traps_others_go_on() {
    let mut echo = Guest::wat("echo").serve().await;
    for guest in ["points_outside", "recurses_forever", "grows_memory"] {
        echo.peer.send(b"before").await;
        assert_eq!(echo.peer.receive(6).await, b"before");
        let exit = Guest::wat(guest).serve().await.exit().await;
        assert!(matches!(exit, Exit::Trap(_) | Exit::MemoryLimit(_)), "{exit}");
    }
    echo.peer.end().await;
    assert_eq!(echo.exit().await, Exit::Ok);
}

#[tokio::test]
async fn a_cut_ends_a_guest_that_waits() {
    let mut cell = Guest::wat("echo").serve().await;
    cell.peer.send(b"x").await;
    cell.peer.receive(1).await;
    cell.account.order(Order::Cut);
    assert_eq!(cell.exit().await, Exit::Cut);
    assert_eq!(cell.peer.rest().await, Err(std::io::ErrorKind::ConnectionReset));
}
