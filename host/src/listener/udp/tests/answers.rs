//! Where answers come from, and what bounds them.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;

#[tokio::test]
async fn answers_leave_from_the_address_that_was_asked() {
    for (bound, ips) in [
        ("0.0.0.0:0", &["127.0.0.2", "127.0.0.3"][..]),
        ("[::]:0", &["127.0.0.2", "::1", "127.0.0.1"]),
        ("127.0.0.2:0", &["127.0.0.2"]),
    ] {
        let mut served = Served::at(bound);
        for ip in ips {
            // A connected socket hears nobody but the address that it asked.
            let peer = served.peer_of(ip).await;
            peer.send(b"who are you?").await.unwrap();
            let mut cell = served.cell().await;
            cell.text().await;
            let local = peer.peer_addr().unwrap().to_string();
            assert_eq!(cell.info("local.address"), local, "{bound}");
            assert_eq!(cell.info("peer.address"), peer.local_addr().unwrap().to_string());
            assert_eq!(cell.info("transport"), "udp");
            cell.write(local.as_bytes()).await.unwrap();
            assert_eq!(receive(&peer).await, local.as_bytes(), "{bound}");
        }
    }
}

#[tokio::test]
async fn answers_from_several_addresses_go_out_together() {
    let mut served = Served::at("0.0.0.0:0");
    let mut both = Vec::new();
    for ip in ["127.0.0.2", "127.0.0.3"] {
        let peer = served.peer_of(ip).await;
        peer.send(b"x").await.unwrap();
        both.push((served.cell().await, peer));
    }
    // On this thread the loop gets its turn when this waits: all of it is queued by then.
    for n in 0..50_u8 {
        for (cell, _) in &mut both {
            assert_eq!(cell.connection.write(&[n]).await, Ok(1));
        }
    }
    for (_, peer) in &both {
        for n in 0..50_u8 {
            assert_eq!(receive(peer).await, [n]);
        }
    }
}

#[tokio::test]
async fn a_peer_gets_no_more_than_so_many_times_what_it_sent() {
    let mut served =
        Served::with(bind("127.0.0.1:0"), config(|udp| udp.max_reply_factor = Some(number(3))));
    let peer = served.peer().await;
    peer.send(b"1234567890").await.unwrap();
    let mut cell = served.cell().await;
    assert_eq!(cell.write(&[1; 20]).await, Ok(20));
    assert_eq!(cell.write(&[2; 11]).await, Ok(11), "as if the network had lost it");
    assert_eq!(cell.connection.account().bytes_out(), 20, "it was not sent");
    assert_eq!(cell.write(&[3; 10]).await, Ok(10));
    assert_eq!((receive(&peer).await, receive(&peer).await), (vec![1; 20], vec![3; 10]));
    served.counted(|counts| counts.unsent.get(), 1).await;
    peer.send(b"1").await.unwrap();
    served.counted(|counts| counts.datagrams.get(), 2).await;
    assert_eq!(cell.write(&[4; 3]).await, Ok(3));
    assert_eq!(receive(&peer).await, [4; 3]);
}

#[tokio::test]
async fn a_writer_waits_for_room_and_others_are_not_kept_from_theirs() {
    let mut served = Served::at("127.0.0.1:0");
    let (a, b) = (served.peer().await, served.peer().await);
    a.send(b"a").await.unwrap();
    let mut of_a = served.cell().await;
    b.send(b"b").await.unwrap();
    let mut of_b = served.cell().await;
    // Nobody sends now.
    served.life.ask(Phase::Stopped);
    served.ends().await;
    let never_wait = Some(Duration::ZERO);
    of_a.connection.set_timeout(Direction::Write, never_wait).unwrap();
    let mut queued = 0_u32;
    while of_a.write(&queued.to_le_bytes()).await.is_ok() {
        queued += 1;
    }
    assert!(queued > 1, "{queued}");
    assert_eq!(of_a.write(b"x").await, Err(Errno::Again));
    let writable = portcell_abi::poll::WRITABLE;
    assert_eq!(of_a.connection.poll(writable, never_wait).await, 0);
    assert_eq!(of_b.write(b"goes out").await, Ok(8));
    of_a.connection.set_timeout(Direction::Write, None).unwrap();
    let waiting = tokio::spawn(async move {
        assert_eq!(of_a.connection.poll(writable, None).await, writable);
        of_a.write(b"last").await
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    served.goes_on();
    assert_eq!(within("the writer", waiting).await.unwrap(), Ok(4));
    for n in 0..queued {
        assert_eq!(receive(&a).await, n.to_le_bytes());
    }
    assert_eq!(receive(&a).await, b"last");
    assert_eq!(receive(&b).await, b"goes out");
}

#[tokio::test]
async fn answers_of_guests_that_are_asked_together_go_out_together() {
    const PEERS: usize = 10;

    let peers: Arc<Vec<_>> = Arc::new((0..PEERS).map(|_| bind("127.0.0.1:0")).collect());
    let written = Arc::new(AtomicUsize::new(0));
    let (all, counted) = (Arc::clone(&peers), Arc::clone(&written));
    let echo: Guest = Arc::new(move |mut cell| {
        let (peers, written) = (Arc::clone(&all), Arc::clone(&counted));
        Box::pin(async move {
            assert_eq!(cell.text().await, "1");
            cell.write(b"yes").await.unwrap();
            // What is sent here is there at once.
            let answered = |peer: &&std::net::UdpSocket| peer.peek(&mut [0; 9]).is_ok();
            assert_eq!(peers.iter().filter(answered).count(), 0);
            written.fetch_add(1, SeqCst);
            assert_eq!(cell.text().await, "never");
        })
    });
    let served = Served::doing(bind("127.0.0.1:0"), config(|_| {}), echo);
    // This thread runs the loop, and not before all of them are there.
    for peer in peers.iter() {
        peer.connect(served.datagrams.bound).unwrap();
        peer.send(b"1").unwrap();
    }
    served.counted(|counts| counts.accepted.get(), PEERS as u64).await;
    for peer in peers.iter() {
        peer.set_nonblocking(false).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buf = [0; 9];
        assert_eq!(peer.recv(&mut buf).unwrap(), 3);
    }
    assert_eq!(written.load(SeqCst), PEERS);
}

#[tokio::test]
async fn a_datagram_that_cannot_be_sent_stops_nobody() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"x").await.unwrap();
    let mut cell = served.cell().await;
    // Nobody can be at port 0.
    let ends =
        Ends { peer: ([127, 0, 0, 1], 0).into(), local: served.datagrams.bound, source: None };
    let bounds = Bounds { queue: number(1), reply_factor: None };
    let first = Datagram { bytes: [].into(), size: 0 };
    let (said, _) = mpsc::unbounded_channel();
    let outbox = Arc::clone(&served.datagrams.outbox);
    let (flow, _feed) = crate::connection::Flow::begin(ends, first, bounds, outbox, said);
    let mut nowhere = Connection::new(
        Socket::Flow(flow),
        Arc::new(Account::new(2)),
        Arc::clone(cell.connection.placement()),
    );
    for n in 0..10 {
        assert_eq!(nowhere.write(b"lost").await, Ok(4));
        assert_eq!(cell.write(&[n]).await, Ok(1));
    }
    for n in 0..10 {
        assert_eq!(receive(&peer).await, [n]);
    }
    cell.write(b"none of them twice").await.unwrap();
    assert_eq!(receive(&peer).await, b"none of them twice");
}

#[tokio::test]
async fn a_group_is_joined_and_answers_come_from_an_address() {
    let group: Ipv4Addr = [239, 255, 11, 7].into();
    for bound in ["0.0.0.0:0", "[::]:0"] {
        let mut served = Served::at(bound);
        // Another program is a member all the time: that is nothing to this one.
        let member = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        member.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        SockRef::from(&peer).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let groups = [group.into(), "ff01::1:7".parse().unwrap()];
        for _ in 0..2 {
            served.datagrams.join(&groups, Some("lo")).unwrap();
        }
        peer.send_to(b"anybody?", (group, served.port())).await.unwrap();
        let mut cell = served.cell().await;
        assert_eq!(cell.text().await, "anybody?");
        assert_eq!(cell.info("local.address"), format!("{group}:{}", served.port()), "{bound}");
        cell.write(b"me").await.unwrap();
        let mut buf = [0; 10];
        let (_, from) = within("an answer", peer.recv_from(&mut buf)).await.unwrap();
        assert_eq!(from, (Ipv4Addr::LOCALHOST, served.port()).into(), "{bound}");

        served.datagrams.leave_others(&[]);
        peer.send_to(b"still?", (group, served.port())).await.unwrap();
        peer.send_to(b"you?", (Ipv4Addr::LOCALHOST, served.port())).await.unwrap();
        assert_eq!(served.cell().await.text().await, "you?");
        assert_eq!(served.life.counts().datagrams.get(), 2);
        served.datagrams.join(&groups, Some("lo")).unwrap();
        peer.send_to(b"back?", (group, served.port())).await.unwrap();
        assert_eq!(cell.text().await, "back?");
    }
}

#[tokio::test]
async fn a_broadcast_is_answered_from_an_address() {
    for bound in ["0.0.0.0:0", "[::]:0"] {
        let mut served = Served::at(bound);
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        peer.set_broadcast(true).unwrap();
        peer.send_to(b"anybody?", ("127.255.255.255", served.port())).await.unwrap();
        let mut cell = served.cell().await;
        assert_eq!(cell.info("local.address"), format!("127.255.255.255:{}", served.port()));
        cell.write(b"me").await.unwrap();
        let (_, from) = within("an answer", peer.recv_from(&mut [0; 10])).await.unwrap();
        assert_eq!(from, (Ipv4Addr::LOCALHOST, served.port()).into(), "{bound}");
    }
}

#[tokio::test]
async fn a_group_that_cannot_be_joined_is_named() {
    let served = Served::at("0.0.0.0:0");
    let join = |group: &str, device| {
        served.datagrams.join(&[group.parse().unwrap()], device).unwrap_err().to_string()
    };
    let at = format!("udp://0.0.0.0:{}", served.port());
    assert_eq!(
        join("10.1.2.3", None),
        format!("cannot join the group 10.1.2.3 at {at}: Invalid argument (os error 22)")
    );
    assert_eq!(
        join("239.1.2.3", Some("nonesuch")),
        format!("cannot join multicast groups at {at}: no interface is named nonesuch")
    );
}
