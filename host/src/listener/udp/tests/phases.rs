//! What a listener is asked to do, and what becomes of its flows.

use super::*;

#[tokio::test]
async fn a_suspended_listener_goes_on_with_its_flows_and_takes_nobody_else() {
    let mut served = Served::at("127.0.0.1:0");
    let (a, b) = (served.peer().await, served.peer().await);
    served.life.ask(Phase::Suspended);
    a.send(b"waits in the kernel").await.unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(served.life.counts().datagrams.get(), 0);
    served.life.ask(Phase::Accepting);
    let mut of_a = served.cell().await;
    assert_eq!(of_a.text().await, "waits in the kernel");

    served.life.ask(Phase::Suspended);
    b.send(b"b").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    a.send(b"a").await.unwrap();
    assert_eq!(of_a.text().await, "a");
    of_a.write(b"yes").await.unwrap();
    assert_eq!(receive(&a).await, b"yes");
    served.life.ask(Phase::Accepting);
    b.send(b"again").await.unwrap();
    assert_eq!(served.cell().await.text().await, "again");
}

#[tokio::test]
async fn a_drain_goes_on_with_open_flows_drops_newcomers_and_ends_with_the_last() {
    let mut served = Served::at("127.0.0.1:0");
    let (a, b) = (served.peer().await, served.peer().await);
    a.send(b"a").await.unwrap();
    let mut of_a = served.cell().await;
    served.life.ask(Phase::Draining);
    b.send(b"b").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    a.send(b"more").await.unwrap();
    assert_eq!((of_a.text().await, of_a.text().await), ("a".into(), "more".into()));
    a.send(b"unread").await.unwrap();
    served.counted(|counts| counts.datagrams.get(), 4).await;
    assert!(!served.running.is_finished());
    of_a.write(b"last").await.unwrap();
    drop(of_a);
    served.ends().await;
    assert_eq!(receive(&a).await, b"last");
    assert_eq!(served.life.counts().dropped.get(), 2, "what was unread begins nothing");
    assert!(served.cells.is_empty());
}

#[tokio::test]
async fn a_drain_without_flows_ends_at_once() {
    let mut served = Served::at("127.0.0.1:0");
    served.life.ask(Phase::Draining);
    served.ends().await;
}

#[tokio::test]
async fn a_loop_that_goes_on_where_another_stopped_goes_on_with_its_flows() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"1").await.unwrap();
    let mut cell = served.cell().await;
    cell.write(b"written before").await.unwrap();
    served.life.ask(Phase::Stopped);
    served.ends().await;
    assert_eq!(receive(&peer).await, b"written before");
    peer.send(b"2").await.unwrap();
    cell.write(b"meanwhile").await.unwrap();
    served.goes_on();
    assert_eq!((cell.text().await, cell.text().await), ("1".into(), "2".into()));
    assert_eq!(receive(&peer).await, b"meanwhile");
}

#[tokio::test]
async fn when_the_socket_is_dropped_its_flows_are_over() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"1").await.unwrap();
    let mut cell = served.cell().await;
    served.life.ask(Phase::Stopped);
    served.ends().await;
    drop(served);
    assert_eq!(cell.text().await, "1", "what has come in is still there");
    assert_eq!(cell.read().await, Err(Errno::NotConn));
    assert_eq!(cell.write(b"x").await, Err(Errno::Pipe));
    assert!(!cell.connection.is_broken(), "the peer has done nothing");
    let over = portcell_abi::poll::OVER;
    assert_eq!(cell.connection.poll(0, Some(Duration::ZERO)).await, over);
}

#[test]
fn errors_of_receiving_are_sorted_by_whose_they_are() {
    use rustix::io::Errno;
    let mut backoff = Backoff::new(config(|_| {}).accept_backoff, 100);
    let mut verdict = |errno: Errno| verdict(&mut backoff, &errno.into());
    for errno in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::INTR] {
        assert_eq!(verdict(errno), Verdict::GoOn, "{errno}");
    }
    for errno in [Errno::NOMEM, Errno::NOBUFS] {
        assert!(matches!(verdict(errno), Verdict::Wait(_)), "{errno}");
    }
    for errno in [Errno::BADF, Errno::NOTSOCK] {
        assert_eq!(verdict(errno), Verdict::GiveUp, "{errno}");
    }
}
