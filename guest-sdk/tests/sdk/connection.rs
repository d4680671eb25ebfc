//! What each call gives, on the pipe that stands for the host.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use portcell_sdk::testing::converse;
use portcell_sdk::{Address, Connection, Error, Interest, Transport};

const NEVER_WAIT: Option<Duration> = Some(Duration::ZERO);
const SHORTLY: Option<Duration> = Some(Duration::from_millis(1));
const PATIENTLY: Option<Duration> = Some(Duration::from_secs(10));

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

mod streams {
    use super::*;

    #[test]
    fn bytes_go_both_ways() {
        let (mut conn, mut peer) = Connection::pair();
        let mut buffer = [0; 8];
        peer.write_all(b"question").unwrap();
        conn.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"question");
        conn.write_all(b"answer").unwrap();
        assert_eq!(peer.read(&mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"answer");
    }

    #[test]
    fn an_empty_read_takes_nothing() {
        let (mut conn, mut peer) = Connection::pair();
        peer.write_all(b"x").unwrap();
        assert_eq!(conn.read(&mut []).unwrap(), 0);
        assert_eq!(conn.read(&mut [0; 2]).unwrap(), 1);
    }

    #[test]
    fn the_end_is_read_after_what_was_written_and_then_stays() {
        let (mut conn, mut peer) = Connection::pair();
        peer.write_all(b"last").unwrap();
        drop(peer);
        assert_eq!(conn.read(&mut [0; 8]).unwrap(), 4);
        assert_eq!(conn.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(conn.recv(&mut [0; 8]).unwrap(), Some(0));
    }

    #[test]
    fn a_dropped_writer_is_the_end_while_reading_goes_on() {
        let (conn, mut peer) = Connection::pair();
        let (mut reader, mut writer) = conn.split();
        writer.write_all(b"bye").unwrap();
        drop(writer);
        assert_eq!(io::read_to_string(&peer).unwrap(), "bye");
        peer.write_all(b"still here").unwrap();
        assert_eq!(reader.read(&mut [0; 16]).unwrap(), 10);
    }

    #[test]
    fn a_dropped_reader_ends_nothing() {
        let (conn, mut peer) = Connection::pair();
        let (reader, mut writer) = conn.split();
        drop(reader);
        peer.write_all(b"x").unwrap();
        writer.write_all(b"y").unwrap();
        assert_eq!(peer.read(&mut [0; 2]).unwrap(), 1);
    }

    #[test]
    fn the_halves_make_the_connection_again() {
        let (conn, peer) = Connection::pair();
        let (reader, writer) = conn.split();
        Connection::unsplit(reader, writer).write_all(b"whole").unwrap();
        assert_eq!(io::read_to_string(&peer).unwrap(), "whole");
    }

    #[test]
    fn a_closed_connection_still_delivers_and_takes_no_more() {
        let (mut conn, mut peer) = Connection::pair();
        conn.write_all(b"bye").unwrap();
        conn.close().unwrap();
        assert_eq!(io::read_to_string(&peer).unwrap(), "bye");
        assert_eq!(kind(peer.write(b"x")), Some(ErrorKind::BrokenPipe));
    }

    #[test]
    fn a_reset_loses_what_was_not_read() {
        let (mut conn, mut peer) = Connection::pair();
        conn.write_all(b"lost").unwrap();
        conn.reset().unwrap();
        assert_eq!(kind(peer.read(&mut [0; 8])), Some(ErrorKind::ConnectionReset));
    }

    #[test]
    fn a_peer_that_resets_is_an_error_again_and_again() {
        let (mut conn, mut peer) = Connection::pair();
        peer.write_all(b"lost").unwrap();
        peer.reset();
        for _ in 0..2 {
            assert_eq!(kind(conn.read(&mut [0; 8])), Some(ErrorKind::ConnectionReset));
            assert_eq!(kind(conn.write(b"x")), Some(ErrorKind::BrokenPipe));
        }
    }

    #[test]
    fn a_peer_that_is_gone_takes_no_bytes() {
        let (mut conn, peer) = Connection::pair();
        drop(peer);
        assert_eq!(kind(conn.write(b"x")), Some(ErrorKind::BrokenPipe));
    }

    #[test]
    fn a_direction_can_be_ended_and_ended_again() {
        let (mut conn, mut peer) = Connection::pair();
        peer.write_all(b"unread").unwrap();
        for _ in 0..2 {
            conn.shutdown(Shutdown::Read).unwrap();
        }
        assert_eq!(conn.read(&mut [0; 8]).unwrap(), 0);
        conn.write_all(b"x").unwrap();

        conn.shutdown(Shutdown::Both).unwrap();
        assert_eq!(kind(conn.write(b"x")), Some(ErrorKind::BrokenPipe));
        assert_eq!(io::read_to_string(&peer).unwrap(), "x");
    }

    #[test]
    fn a_full_buffer_makes_the_writer_wait_for_the_reader() {
        let long = vec![b'x'; 200_000];
        let sent = converse(|mut conn: Connection| conn.write_all(&long), "");
        assert!(sent == long);
    }

    #[test]
    fn lines_come_one_by_one_from_a_peer_in_another_thread() {
        let (conn, mut peer) = Connection::pair();
        let client = thread::spawn(move || {
            let mut answer = [0; 1];
            for line in ["one\n", "two\n"] {
                peer.write_all(line.as_bytes()).unwrap();
                peer.read_exact(&mut answer).unwrap();
            }
        });
        let (reader, mut writer) = conn.split();
        let mut lines = Vec::new();
        for line in BufReader::new(reader).lines() {
            lines.push(line.unwrap());
            writer.write_all(b".").unwrap();
        }
        client.join().unwrap();
        assert_eq!(lines, ["one", "two"]);
    }
}

mod datagrams {
    use super::*;

    #[test]
    fn each_is_read_whole_or_cut() {
        let (mut conn, peer) = Connection::datagram_pair();
        peer.send(b"one").unwrap();
        peer.send(b"seventeen").unwrap();
        peer.send(b"last").unwrap();
        let mut buffer = [0; 5];
        assert_eq!(conn.recv(&mut buffer).unwrap(), Some(3));
        assert_eq!(conn.recv(&mut buffer).unwrap(), Some(5));
        assert_eq!(&buffer, b"seven");
        assert_eq!(conn.info("datagram.size").as_deref(), Some("9"));
        assert_eq!(conn.recv(&mut buffer).unwrap(), Some(4));
    }

    #[test]
    fn an_empty_one_is_not_the_end() {
        let (mut conn, peer) = Connection::datagram_pair();
        peer.send(b"").unwrap();
        peer.finish();
        assert_eq!(conn.recv(&mut [0; 8]).unwrap(), Some(0));
        assert_eq!(conn.recv(&mut [0; 8]).unwrap(), None);
        assert_eq!(conn.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn each_write_sends_one() {
        let (mut conn, peer) = Connection::datagram_pair();
        conn.send(b"one").unwrap();
        conn.send(b"").unwrap();
        write!(conn, "three").unwrap();
        drop(conn);
        let mut buffer = [0; 8];
        let sizes: Vec<usize> = std::iter::from_fn(|| peer.recv(&mut buffer).unwrap()).collect();
        assert_eq!(sizes, [3, 0, 5]);
    }

    #[test]
    fn what_came_in_is_given_as_it_is() {
        let (mut conn, peer) = Connection::datagram_pair();
        for datagram in [&b"whole"[..], b"", b"cut where the buffer ends"] {
            peer.send(datagram).unwrap();
        }
        peer.finish();
        let mut buffer = [b'?'; 8];
        for expected in [&b"whole"[..], b"", b"cut wher"] {
            assert_eq!(
                conn.recv_into(&mut buffer).unwrap(),
                Some(expected.to_vec().as_mut_slice())
            );
        }
        assert_eq!(conn.recv_into(&mut buffer), Ok(None));
    }

    #[test]
    fn one_that_is_too_long_is_not_sent() {
        let (mut conn, peer) = Connection::datagram_pair();
        assert_eq!(conn.send(&vec![0; 65_508]), Err(Error::TOO_LONG));
        conn.send(&vec![0; 65_507]).unwrap();
        assert_eq!(peer.recv(&mut vec![0; 70_000]).unwrap(), Some(65_507));
    }
}

mod bounds {
    use super::*;

    #[test]
    fn a_read_that_may_not_wait_would_block() {
        let (mut conn, mut peer) = Connection::pair();
        conn.set_read_timeout(NEVER_WAIT).unwrap();
        assert_eq!(kind(conn.read(&mut [0; 8])), Some(ErrorKind::WouldBlock));
        peer.write_all(b"x").unwrap();
        assert_eq!(conn.read(&mut [0; 8]).unwrap(), 1);
    }

    #[test]
    fn a_read_whose_bound_runs_out_is_timed_out() {
        let (mut conn, _peer) = Connection::pair();
        conn.set_read_timeout(SHORTLY).unwrap();
        assert_eq!(kind(conn.read(&mut [0; 8])), Some(ErrorKind::TimedOut));
    }

    #[test]
    fn a_write_out_of_time_tells_what_was_taken() {
        let (mut conn, mut peer) = Connection::pair();
        conn.set_write_timeout(NEVER_WAIT).unwrap();
        assert_eq!(conn.write(&vec![0; 100_000]).unwrap(), 65_536);
        assert_eq!(kind(conn.write(b"x")), Some(ErrorKind::WouldBlock));
        conn.set_write_timeout(SHORTLY).unwrap();
        assert_eq!(kind(conn.write(b"x")), Some(ErrorKind::TimedOut));
        assert_eq!(peer.read(&mut [0; 10]).unwrap(), 10);
        assert_eq!(conn.write(&[0; 100]).unwrap(), 10);
    }

    #[test]
    fn the_longest_bound_is_no_bound() {
        let (mut conn, mut peer) = Connection::pair();
        conn.set_read_timeout(Some(Duration::MAX)).unwrap();
        peer.write_all(b"x").unwrap();
        assert_eq!(conn.read(&mut [0; 8]).unwrap(), 1);
    }

    #[test]
    fn a_bound_is_that_of_its_half() {
        let (conn, peer) = Connection::pair();
        let (mut reader, mut writer) = conn.split();
        reader.set_read_timeout(NEVER_WAIT).unwrap();
        writer.set_write_timeout(None).unwrap();
        assert_eq!(kind(reader.read(&mut [0; 8])), Some(ErrorKind::WouldBlock));
        writer.write_all(b"x").unwrap();
        writer.finish().unwrap();
        assert_eq!(io::read_to_string(&peer).unwrap(), "x");
    }

    #[test]
    fn a_peer_does_not_wait_for_ever() {
        let (_conn, mut peer) = Connection::pair();
        peer.set_patience(Duration::from_millis(1));
        assert_eq!(kind(peer.read(&mut [0; 8])), Some(ErrorKind::TimedOut));
    }
}

mod buffers {
    use portcell_sdk::Buffer;

    use super::*;

    static BUFFER: Buffer<4> = Buffer::new();

    #[test]
    fn a_buffer_stays_as_it_was_left_and_is_had_by_one_at_a_time() {
        const ROUNDS: u8 = 100;
        let count = || {
            for _ in 0..ROUNDS {
                let mut buffer = BUFFER.lock();
                let seen = buffer[0];
                thread::yield_now();
                buffer[0] = seen + 1;
            }
        };
        thread::scope(|scope| {
            scope.spawn(count);
            scope.spawn(count);
        });
        assert_eq!(BUFFER.lock()[..], [2 * ROUNDS, 0, 0, 0]);
    }
}

mod polling {
    use super::*;

    #[test]
    fn nothing_is_ready_when_the_bound_runs_out() {
        let (conn, _peer) = Connection::pair();
        assert!(conn.poll(Interest::READABLE, SHORTLY).unwrap().is_empty());
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let (conn, mut peer) = Connection::pair();
        peer.write_all(b"x").unwrap();
        peer.drain();
        let ready = conn.poll(Interest::WRITABLE, PATIENTLY).unwrap();
        assert_eq!(format!("{ready:?}"), r#"{"writable"}"#);
        let all = Interest::READABLE | Interest::WRITABLE | Interest::DRAINING;
        let ready = conn.poll(all, PATIENTLY).unwrap();
        assert_eq!(format!("{ready:?}"), r#"{"readable", "writable", "draining"}"#);
    }

    #[test]
    fn a_half_close_is_readable_and_not_over() {
        let (conn, peer) = Connection::pair();
        peer.finish();
        let ready = conn.poll(Interest::READABLE, PATIENTLY).unwrap();
        assert!(ready.is_readable() && !ready.is_over());
        conn.shutdown(Shutdown::Write).unwrap();
        assert!(conn.poll(Interest::READABLE, PATIENTLY).unwrap().is_over());
    }

    #[test]
    fn a_broken_connection_is_always_told() {
        let (conn, peer) = Connection::pair();
        peer.reset();
        let ready = conn.poll(Interest::DRAINING, PATIENTLY).unwrap();
        assert_eq!(format!("{ready:?}"), r#"{"failed"}"#);
    }

    #[test]
    fn an_empty_datagram_is_readable() {
        let (conn, peer) = Connection::datagram_pair();
        assert!(conn.poll(Interest::READABLE, NEVER_WAIT).unwrap().is_empty());
        peer.send(b"").unwrap();
        assert!(conn.poll(Interest::READABLE, NEVER_WAIT).unwrap().is_readable());
    }

    #[test]
    fn a_full_buffer_is_writable_again_after_a_read() {
        let (mut conn, mut peer) = Connection::pair();
        conn.write_all(&vec![0; 65_536]).unwrap();
        assert!(conn.poll(Interest::WRITABLE, NEVER_WAIT).unwrap().is_empty());
        peer.read_exact(&mut [0; 1]).unwrap();
        assert!(conn.poll(Interest::WRITABLE, PATIENTLY).unwrap().is_writable());
    }

    #[test]
    fn a_drain_wakes_a_handler_that_waits() {
        let (conn, peer) = Connection::pair();
        let handler = thread::spawn(move || conn.poll(Interest::DRAINING, PATIENTLY));
        peer.drain();
        assert!(handler.join().unwrap().unwrap().is_draining());
    }
}

mod facts {
    use super::*;

    #[test]
    fn a_stream_and_a_flow_have_facts_from_the_start() {
        let (conn, _peer) = Connection::pair();
        assert_eq!(conn.transport().unwrap(), Transport::Tcp);
        assert_eq!(conn.peer_address().unwrap().to_string(), "192.0.2.1:50000");
        assert_eq!(conn.local_address().unwrap().to_string(), "192.0.2.2:7");
        assert_eq!(conn.id().unwrap(), 1);
        assert_eq!(Connection::datagram_pair().0.transport().unwrap(), Transport::Udp);
    }

    #[test]
    fn a_test_sets_what_it_needs() {
        let (conn, peer) = Connection::pair();
        peer.set_fact("transport", "unix");
        peer.set_fact("peer.address", "unix:pid=1,uid=0");
        assert_eq!(conn.transport().unwrap(), Transport::Unix);
        assert_eq!(conn.peer_address().unwrap(), Address::Unix("unix:pid=1,uid=0".into()));
    }

    #[test]
    fn a_long_fact_is_given_whole() {
        let (conn, peer) = Connection::pair();
        let chain = "certificate\n".repeat(1000);
        peer.set_fact("tls.peer.chain", &chain);
        assert_eq!(conn.info("tls.peer.chain"), Some(chain));
    }

    #[test]
    fn a_fact_is_given_in_a_buffer_whole_or_not_at_all() {
        let (conn, peer) = Connection::pair();
        peer.set_fact("tls.server_name", "a.example");
        assert_eq!(conn.info_into("tls.server_name", &mut [0; 9]), Ok("a.example"));
        assert_eq!(conn.info_into("tls.server_name", &mut [0; 8]), Err(Error::TOO_LONG));
        assert_eq!(conn.info_into("tls.alpn", &mut [0; 8]), Err(Error::NOT_FOUND));
    }

    #[test]
    fn a_fact_that_makes_no_sense_is_an_error() {
        let (conn, peer) = Connection::pair();
        peer.set_fact("connection.id", "one");
        assert_eq!(conn.id(), Err(Error::TRANSPORT));
        peer.set_fact("transport", "a pigeon that is not in a hurry");
        assert_eq!(conn.transport(), Err(Error::TRANSPORT));
        peer.set_fact("transport", "quic");
        assert_eq!(conn.transport(), Err(Error::UNSUPPORTED));
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert_eq!(Connection::pair().0.info("tls.alpn"), None);
    }
}
