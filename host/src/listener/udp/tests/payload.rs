//! What a datagram can be, and what becomes of its bytes.

use super::*;

#[tokio::test]
async fn the_longest_datagrams_of_both_protocols_go_both_ways() {
    for (address, longest) in [("127.0.0.1:0", 65_507), ("[::1]:0", 65_527)] {
        let mut served = Served::at(address);
        let peer = served.peer().await;
        let payload: Vec<u8> = (0..longest).map(|at: u32| at.to_le_bytes()[0] ^ 0x5a).collect();
        peer.send(&payload).await.unwrap();
        let mut cell = served.cell().await;
        assert!(cell.read().await.unwrap() == payload, "{address}");
        assert_eq!(cell.info("datagram.size"), longest.to_string());
        let too_long = vec![0; payload.len() + 1];
        assert_eq!(cell.write(&too_long).await, Err(Errno::MsgSize), "{address}");
        assert_eq!(cell.write(&payload).await, Ok(payload.len()));
        assert!(receive(&peer).await == payload, "{address}");
        assert_eq!(served.life.counts().truncated.get(), 0);
    }
}

#[tokio::test]
async fn an_ipv4_peer_of_an_ipv6_socket_has_the_length_of_ipv4() {
    let mut served = Served::at("[::]:0");
    let peer = served.peer_of("127.0.0.1").await;
    peer.send(b"x").await.unwrap();
    let mut cell = served.cell().await;
    assert_eq!(cell.write(&vec![0; 65_508]).await, Err(Errno::MsgSize));
    assert_eq!(cell.write(&vec![7; 65_507]).await, Ok(65_507));
    assert_eq!(receive(&peer).await.len(), 65_507);
}

#[tokio::test]
async fn what_is_longer_than_it_may_be_is_cut_and_counted() {
    let mut served = Served::with(bind("127.0.0.1:0"), config(|udp| udp.max_datagram = 100));
    let peer = served.peer().await;
    peer.send(&[b'a'; 101]).await.unwrap();
    peer.send(&[b'b'; 100]).await.unwrap();
    let mut cell = served.cell().await;
    assert_eq!(cell.read().await.unwrap(), [b'a'; 100]);
    assert_eq!(cell.info("datagram.size"), "101");
    assert_eq!(cell.read().await.unwrap(), [b'b'; 100]);
    assert_eq!(cell.info("datagram.size"), "100");
    served.counted(|counts| counts.truncated.get(), 1).await;
    served.counted(|counts| counts.datagrams.get(), 2).await;
}

#[tokio::test]
async fn empty_datagrams_go_both_ways_and_are_no_end() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"").await.unwrap();
    let mut cell = served.cell().await;
    assert_eq!(cell.read().await.unwrap(), b"");
    assert_eq!(cell.info("datagram.size"), "0");
    assert_eq!(cell.write(b"").await, Ok(0));
    assert_eq!(receive(&peer).await, b"");
    peer.send(b"more").await.unwrap();
    assert_eq!(cell.text().await, "more");
}

#[tokio::test]
async fn a_call_that_took_all_there_was_is_not_repeated_until_there_is_more() {
    let socket = bind("127.0.0.1:0");
    let address = Bound::Udp(socket.local_addr().unwrap());
    let datagrams = Datagrams::new(socket, address).unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    peer.connect(datagrams.bound).await.unwrap();
    let asks_kernel = || {
        let mut asked = false;
        let _ = datagrams.socket.try_io(Interest::READABLE, |_| {
            asked = true;
            io::Result::Ok(())
        });
        asked
    };
    let mut incoming = Incoming::new(100);
    let mut next = 0;
    for (sent, whole_calls, more) in [(1, 0, 1), (BATCH + 1, 1, 1), (BATCH, 1, 0), (3, 0, 3)] {
        for n in 0..sent {
            peer.send(&(next + n).to_le_bytes()).await.unwrap();
        }
        within("datagrams", datagrams.ready(true, false)).await.unwrap();
        for taken in (0..whole_calls).map(|_| BATCH).chain((more > 0).then_some(more)) {
            datagrams.receive(&mut incoming, BATCH).unwrap();
            for arrived in incoming.arrived() {
                assert_eq!(arrived.bytes, next.to_le_bytes());
                next += 1;
            }
            assert_eq!(incoming.arrived().len(), taken);
            assert_eq!(asks_kernel(), taken == BATCH, "there may be more after {taken}");
        }
        if more == 0 {
            let none = datagrams.receive(&mut incoming, BATCH).unwrap_err();
            assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
            assert!(!asks_kernel());
        }
    }
}

#[tokio::test]
async fn what_the_kernel_drops_is_counted() {
    let socket = bind("127.0.0.1:0");
    SockRef::from(&socket).set_recv_buffer_size(4096).unwrap();
    let mut served = Served::with(socket, config(|_| {}));
    let peer = served.peer().await;
    served.life.ask(Phase::Suspended);
    let sent = 100;
    for _ in 0..sent {
        peer.send(&[0; 1000]).await.unwrap();
    }
    served.life.ask(Phase::Accepting);
    let _cell = served.cell().await;
    let there = within("what the kernel has kept", async {
        let mut before = 0;
        loop {
            // A later datagram brings the kernel's count.
            peer.send(b"?").await.unwrap();
            let counts = served.life.counts();
            while counts.datagrams.get() == before {
                tokio::task::yield_now().await;
            }
            before = counts.datagrams.get();
            if counts.kernel_dropped.get() > 0 {
                return counts.kernel_dropped.get();
            }
        }
    })
    .await;
    assert!((1..sent).contains(&there), "{there} dropped");
}
