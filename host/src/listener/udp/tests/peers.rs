//! Which flow a datagram belongs to, and who has a place.

use super::*;

#[tokio::test]
async fn the_datagrams_of_two_peers_do_not_mix() {
    let mut served = Served::at("127.0.0.1:0");
    let (a, b) = (served.peer().await, served.peer().await);
    a.send(b"a1").await.unwrap();
    let mut of_a = served.cell().await;
    b.send(b"b1").await.unwrap();
    let mut of_b = served.cell().await;
    for n in 2..50 {
        a.send(format!("a{n}").as_bytes()).await.unwrap();
        b.send(format!("b{n}").as_bytes()).await.unwrap();
    }
    for n in 1..50 {
        assert_eq!(of_b.text().await, format!("b{n}"));
        assert_eq!(of_a.text().await, format!("a{n}"));
    }
    of_a.write(b"to a").await.unwrap();
    of_b.write(b"to b").await.unwrap();
    assert_eq!(receive(&b).await, b"to b");
    assert_eq!(receive(&a).await, b"to a");
    served.counted(|counts| counts.accepted.get(), 2).await;
}

#[tokio::test]
async fn after_a_flow_has_ended_its_peer_begins_another_with_what_was_not_read() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    for text in ["1", "2", "3"] {
        peer.send(text.as_bytes()).await.unwrap();
    }
    let mut cell = served.cell().await;
    assert_eq!(cell.text().await, "1");
    served.counted(|counts| counts.datagrams.get(), 3).await;
    cell.write(b"bye").await.unwrap();
    drop(cell);
    assert_eq!(receive(&peer).await, b"bye");
    // It is not begun with the same again, though it reads nothing.
    drop(served.cell().await);
    let mut cell = served.cell().await;
    assert_eq!(cell.text().await, "3");
    peer.send(b"4").await.unwrap();
    assert_eq!(cell.text().await, "4");
    assert_eq!(served.life.counts().dropped.get(), 0);
}

#[tokio::test]
async fn a_guests_close_ends_the_flow() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"1").await.unwrap();
    let mut cell = served.cell().await;
    cell.write(b"bye").await.unwrap();
    within("a close", cell.connection.close()).await.unwrap();
    assert_eq!(receive(&peer).await, b"bye");
    assert_eq!(cell.read().await, Err(Errno::BadFd));
    peer.send(b"2").await.unwrap();
    assert_eq!(served.cell().await.text().await, "2");
}

#[tokio::test]
async fn a_direction_that_was_ended_stays_so() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"x").await.unwrap();
    let mut cell = served.cell().await;
    cell.connection.shutdown(Shutdown::Read).unwrap();
    assert_eq!(cell.read().await, Err(Errno::NotConn));
    assert_eq!(cell.write(b"still").await, Ok(5));
    cell.connection.shutdown(Shutdown::Write).unwrap();
    assert_eq!(cell.write(b"no more").await, Err(Errno::Pipe));
    assert_eq!(cell.write(b"").await, Err(Errno::Pipe));
    assert_eq!(receive(&peer).await, b"still");
}

#[tokio::test]
async fn a_newcomer_without_a_place_is_dropped_and_the_longest_silent_makes_room() {
    let mut served =
        Served::with(bind("127.0.0.1:0"), config(|udp| udp.max_flows = Some(number(2))));
    let (a, b, c) = (served.peer().await, served.peer().await, served.peer().await);
    a.send(b"a").await.unwrap();
    let of_a = served.cell().await;
    b.send(b"b").await.unwrap();
    let of_b = served.cell().await;
    c.send(b"c").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    assert_eq!(served.life.state(), State::Full);
    assert_eq!(served.life.counts().evicted.get(), 0, "nobody was silent for long");

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    let moves = of_b.connection.account();
    moves.poll_begins();
    moves.wrote(1);
    c.send(b"c").await.unwrap();
    served.counted(|counts| counts.evicted.get(), 1).await;
    assert!(of_a.connection.account().is_evicted() && !moves.is_evicted());
    drop(of_a);
    let mut of_c = loop {
        // Whether the loop has heard of the free place yet is a race.
        c.send(b"again").await.unwrap();
        tokio::task::yield_now().await;
        if let Ok(cell) = served.cells.try_recv() {
            break cell;
        }
    };
    assert_eq!(of_c.text().await, "again");
    assert_eq!(served.life.state(), State::Accepting);
}

#[tokio::test]
async fn a_guest_that_does_not_read_loses_what_it_has_no_room_for() {
    let mut served = Served::with(bind("127.0.0.1:0"), config(|udp| udp.flow_queue = number(2)));
    let peer = served.peer().await;
    for n in 0..5_u8 {
        peer.send(&[n]).await.unwrap();
    }
    served.counted(|counts| counts.datagrams.get(), 5).await;
    served.counted(|counts| counts.dropped.get(), 3).await;
    let mut cell = served.cell().await;
    assert_eq!(cell.read().await.unwrap(), [0]);
    assert_eq!(cell.read().await.unwrap(), [1]);
    peer.send(&[9]).await.unwrap();
    assert_eq!(cell.read().await.unwrap(), [9]);
}

#[tokio::test]
async fn in_datagram_mode_each_datagram_is_a_flow_of_its_own() {
    let mut served = Served::with(bind("127.0.0.1:0"), config(|udp| udp.mode = UdpMode::Datagram));
    let peer = served.peer().await;
    for text in ["1", "2"] {
        peer.send(text.as_bytes()).await.unwrap();
    }
    let (mut first, mut second) = (served.cell().await, served.cell().await);
    assert_eq!(second.text().await, "2");
    assert_eq!(first.text().await, "1");
    assert_eq!(first.read().await, Err(Errno::NotConn));
    // It may answer as often as it likes, in any order.
    for text in ["b1", "b2"] {
        second.write(text.as_bytes()).await.unwrap();
        assert_eq!(receive(&peer).await, text.as_bytes());
    }
    first.write(b"a").await.unwrap();
    assert_eq!(receive(&peer).await, b"a");
    served.life.ask(Phase::Draining);
    peer.send(b"3").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    drop(first);
    assert!(!served.running.is_finished());
    drop(second);
    served.ends().await;
}

#[tokio::test]
async fn in_datagram_mode_each_instance_needs_a_place() {
    let mut served = Served::with(
        bind("127.0.0.1:0"),
        config(|udp| {
            udp.mode = UdpMode::Datagram;
            udp.max_flows = Some(number(1));
        }),
    );
    let peer = served.peer().await;
    peer.send(b"1").await.unwrap();
    let cell = served.cell().await;
    peer.send(b"2").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    drop(cell);
    peer.send(b"3").await.unwrap();
    assert_eq!(served.cell().await.text().await, "3");
}
