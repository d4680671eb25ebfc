//! From plaintext to TLS: what the handler and its peer see of it.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use portcell_sdk::{Connection, Peer, Transport, run};

const REPLY: &[u8] = b"220 ready\r\n";

/// Upgrades, and answers with all that it reads afterwards.
fn echo_over_tls(conn: Connection) -> io::Result<()> {
    let (mut reader, mut writer) = conn.start_tls(REPLY)?.split();
    io::copy(&mut reader, &mut writer).map(drop)
}

/// Lets `client` talk to a handler that runs beside it; gives the handler's result.
fn beside<T: Send>(
    handler: impl FnOnce(Connection) -> T + Send,
    client: impl FnOnce(&mut Peer),
) -> T {
    let (conn, mut peer) = Connection::pair();
    thread::scope(|scope| {
        let handler = scope.spawn(|| handler(conn));
        client(&mut peer);
        drop(peer);
        handler.join().expect("the handler does not panic")
    })
}

fn read_reply(peer: &mut Peer) {
    let mut reply = [0; REPLY.len()];
    peer.read_exact(&mut reply).unwrap();
    assert_eq!(reply, REPLY);
}

fn refused(conn: Connection) -> (ErrorKind, Connection) {
    let error = conn.start_tls(REPLY).expect_err("no TLS");
    (error.kind(), error.into_connection())
}

#[test]
fn the_reply_is_plaintext_and_what_follows_is_tls() {
    let facts = |conn: Connection| {
        let plain = conn.transport().unwrap();
        let conn = conn.start_tls(REPLY).unwrap();
        (plain, conn.transport().unwrap(), conn.info("tls.version"), conn.info("tls.server_name"))
    };
    let facts = beside(facts, |peer| {
        peer.set_fact("tls.server_name", "a.example");
        read_reply(peer);
        peer.start_tls().unwrap();
    });
    assert_eq!(
        facts,
        (Transport::Tcp, Transport::Tls, Some("1.3".into()), Some("a.example".into()))
    );
}

#[test]
fn what_was_written_before_comes_before_the_reply() {
    let handler = |mut conn: Connection| {
        conn.write_all(b"hello\r\n").unwrap();
        conn.start_tls(REPLY).map(drop)
    };
    let ended = beside(handler, |peer| {
        let mut hello = [0; 7];
        peer.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello\r\n");
        read_reply(peer);
        peer.start_tls().unwrap();
    });
    ended.unwrap();
}

#[test]
fn what_the_peer_sends_before_the_reply_is_never_read() {
    let (conn, mut peer) = Connection::pair();
    peer.write_all(b"injected").unwrap();
    let handler = thread::spawn(|| echo_over_tls(conn));
    read_reply(&mut peer);
    peer.start_tls().unwrap();
    peer.write_all(b"meant").unwrap();
    peer.finish();
    assert_eq!(io::read_to_string(&peer).unwrap(), "meant");
    handler.join().unwrap().unwrap();
}

#[test]
fn what_a_reader_had_buffered_goes_with_it() {
    let handler = |conn: Connection| {
        let mut reader = BufReader::new(conn);
        reader.read_exact(&mut [0; 1]).unwrap();
        assert_eq!(reader.buffer(), b"injected");
        echo_over_tls(reader.into_inner())
    };
    let ended = beside(handler, |peer| {
        peer.write_all(b"!injected").unwrap();
        read_reply(peer);
        peer.start_tls().unwrap();
        peer.finish();
        assert_eq!(io::read_to_string(peer).unwrap(), "");
    });
    ended.unwrap();
}

#[test]
fn what_comes_after_the_reply_and_is_no_handshake_ends_the_connection() {
    let ended = beside(echo_over_tls, |peer| {
        read_reply(peer);
        peer.write_all(b"injected").unwrap();
        assert_eq!(peer.start_tls().unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(peer.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn a_peer_that_ends_does_no_handshake() {
    for end in [Peer::finish as fn(&Peer), |_| ()] {
        let ended = beside(echo_over_tls, |peer| {
            read_reply(peer);
            end(peer);
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::NotConnected);
    }
}

#[test]
fn a_failed_handshake_leaves_nothing_to_read_or_write() {
    let handler = |conn: Connection| {
        let (kind, mut conn) = refused(conn);
        assert_eq!(kind, ErrorKind::NotConnected);
        assert_eq!(conn.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(conn.write(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
    };
    beside(handler, |peer| {
        read_reply(peer);
        peer.write_all(b"injected").unwrap();
    });
}

#[test]
fn without_settings_the_connection_goes_on_as_it_was() {
    let (conn, mut peer) = Connection::pair();
    peer.refuse_tls();
    peer.write_all(b"more").unwrap();
    let (kind, mut conn) = refused(conn);
    assert_eq!(kind, ErrorKind::Unsupported);
    conn.write_all(b"454 not now\r\n").unwrap();
    assert_eq!(conn.read(&mut [0; 8]).unwrap(), 4);
    assert_eq!(conn.transport().unwrap(), Transport::Tcp);
    drop(conn);
    assert_eq!(io::read_to_string(&peer).unwrap(), "454 not now\r\n");
}

#[test]
fn the_listeners_own_settings_have_its_name() {
    let ended = beside(
        |conn| conn.start_tls_with("test", REPLY).map(drop),
        |peer| {
            read_reply(peer);
            peer.start_tls().unwrap();
        },
    );
    ended.unwrap();

    let conn = Connection::pair().0;
    let error = conn.start_tls_with("other", REPLY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(io::Error::from(error).to_string().contains("configuration"));
}

#[test]
fn only_a_whole_stream_in_plaintext_becomes_tls() {
    let (flow, _peer) = Connection::datagram_pair();
    assert_eq!(refused(flow).0, ErrorKind::InvalidInput);

    let (conn, peer) = Connection::pair();
    peer.set_fact("transport", "tls");
    assert_eq!(refused(conn).0, ErrorKind::InvalidInput);

    for direction in [Shutdown::Read, Shutdown::Write] {
        let (conn, _peer) = Connection::pair();
        conn.shutdown(direction).unwrap();
        assert_eq!(refused(conn).0, ErrorKind::InvalidInput, "{direction:?}");
    }

    let again = |conn: Connection| refused(conn.start_tls(REPLY).unwrap()).0;
    let kind = beside(again, |peer| {
        read_reply(peer);
        peer.start_tls().unwrap();
    });
    assert_eq!(kind, ErrorKind::InvalidInput);
}

#[test]
fn it_is_offered_where_it_could_be_called_now() {
    let (conn, peer) = Connection::pair();
    assert!(conn.tls_is_offered());
    conn.shutdown(Shutdown::Read).unwrap();
    assert!(!conn.tls_is_offered());
    drop((conn, peer));

    let (conn, peer) = Connection::pair();
    peer.refuse_tls();
    assert!(!conn.tls_is_offered());
    peer.set_fact("tls.offered", "true");
    assert!(conn.tls_is_offered(), "what a test has set stays");
    assert!(!Connection::datagram_pair().0.tls_is_offered());

    let over_tls = |conn: Connection| conn.start_tls(REPLY).unwrap().tls_is_offered();
    let again = beside(over_tls, |peer| {
        read_reply(peer);
        peer.start_tls().unwrap();
    });
    assert!(!again);
}

#[test]
fn bounds_of_the_handler_are_not_for_the_handshake() {
    let handler = |mut conn: Connection| {
        conn.set_read_timeout(Some(Duration::ZERO)).unwrap();
        conn.set_write_timeout(Some(Duration::ZERO)).unwrap();
        // The reply finds no room until the peer reads.
        assert_eq!(conn.write(&vec![0; 70_000]).unwrap(), 65_536);
        let mut conn = conn.start_tls(REPLY).unwrap();
        conn.read(&mut [0; 8]).unwrap_err().kind()
    };
    let kind = beside(handler, |peer| {
        peer.read_exact(&mut vec![0; 65_536]).unwrap();
        read_reply(peer);
        peer.start_tls().unwrap();
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    });
    assert_eq!(kind, ErrorKind::WouldBlock);
}

#[test]
fn a_peer_reads_the_reply_before_it_shakes_hands() {
    let ended = beside(echo_over_tls, |peer| {
        assert_eq!(peer.start_tls().unwrap_err().kind(), ErrorKind::InvalidInput);
        read_reply(peer);
        peer.start_tls().unwrap();
    });
    ended.unwrap();
}

#[test]
fn a_peer_is_told_that_the_handler_has_ended_or_does_not_move() {
    let (conn, mut peer) = Connection::pair();
    peer.set_patience(Duration::ZERO);
    assert_eq!(peer.start_tls().unwrap_err().kind(), ErrorKind::TimedOut);
    drop(conn);
    assert_eq!(peer.start_tls().unwrap_err().kind(), ErrorKind::ConnectionAborted);
}

#[test]
fn a_trial_run_has_nobody_to_shake_hands_with() {
    assert_eq!(run(|conn: Connection| assert_eq!(refused(conn).0, ErrorKind::NotConnected)), 0);
}
