//! Several messages, streams that come in pieces, and ends.

use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use portcell_sdk::{Connection, Peer};

use crate::client::{bytes, datagrams, example, framed, message, query, stream, unframed};

/// Questions with the ids from 0 on.
fn questions(count: u16) -> Vec<Vec<u8>> {
    (0..count)
        .map(|id| {
            let mut question = query("two.example.org.", RecordType::A);
            question.metadata.id = id;
            bytes(&question)
        })
        .collect()
}

/// The ids of replies that have two answers each.
fn ids(replies: &[Vec<u8>]) -> Vec<u16> {
    let replies = replies.iter().map(|reply| message(reply));
    replies
        .map(|reply| {
            assert_eq!(reply.answers.len(), 2);
            reply.id
        })
        .collect()
}

/// Lets `client` talk over a stream to a handler that runs beside it; gives the handler's result.
fn beside(client: impl FnOnce(Peer)) -> io::Result<()> {
    let (connection, peer) = Connection::pair();
    thread::scope(|scope| {
        let handler = scope.spawn(|| dns::serve(connection, &example()));
        client(peer);
        handler.join().expect("the handler does not panic")
    })
}

fn read_reply(peer: &mut Peer) -> Vec<u8> {
    let mut length = [0; 2];
    peer.read_exact(&mut length).expect("a length");
    let mut reply = vec![0; u16::from_be_bytes(length).into()];
    peer.read_exact(&mut reply).expect("a reply");
    reply
}

#[test]
fn each_message_is_answered_in_its_turn() {
    for replies in [datagrams(&example(), &questions(5)), stream(&example(), &questions(5))] {
        assert_eq!(ids(&replies), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn what_needs_no_answer_holds_up_nothing() {
    let mut response = query("two.example.org.", RecordType::A).into_response();
    response.metadata.id = 7;
    let mut messages = questions(2);
    messages.insert(1, bytes(&response));
    messages.insert(1, b"too short".to_vec());
    messages.insert(1, Vec::new());
    for replies in [datagrams(&example(), &messages), stream(&example(), &messages)] {
        assert_eq!(ids(&replies), [0, 1]);
    }
}

#[test]
fn a_stream_may_come_byte_by_byte() {
    beside(|mut peer| {
        for question in questions(2) {
            for byte in framed(&question) {
                peer.write_all(&[byte]).unwrap();
            }
            assert_eq!(ids(&[read_reply(&mut peer)]).len(), 1);
        }
    })
    .unwrap();
}

#[test]
fn a_stream_may_end_anywhere() {
    let question = framed(&questions(1)[0]);
    for cut in 0..question.len() {
        let (connection, mut peer) = Connection::pair();
        peer.write_all(&question).unwrap();
        peer.write_all(&question[..cut]).unwrap();
        peer.finish();
        dns::serve(connection, &example()).unwrap();
        let mut output = Vec::new();
        peer.read_to_end(&mut output).unwrap();
        assert_eq!(ids(&unframed(&output)), [0]);
    }
}

#[test]
fn a_client_that_goes_away_is_no_error() {
    let (connection, mut peer) = Connection::pair();
    peer.write_all(&framed(&questions(1)[0])).unwrap();
    peer.reset();
    dns::serve(connection, &example()).unwrap();
}

#[test]
fn a_host_that_drains_ends_the_wait_for_more_but_not_an_answer() {
    for (connection, peer) in [Connection::pair(), Connection::datagram_pair()] {
        connection.set_read_timeout(Some(Duration::ZERO)).unwrap();
        peer.drain();
        dns::serve(connection, &example()).unwrap();
        drop(peer);
    }

    let (connection, peer) = Connection::datagram_pair();
    peer.send(&questions(1)[0]).unwrap();
    peer.drain();
    dns::serve(connection, &example()).unwrap();
    let mut buffer = [0; 512];
    let length = peer.recv(&mut buffer).unwrap().expect("an answer");
    assert_eq!(ids(&[buffer[..length].to_vec()]), [0]);
}

#[test]
fn the_folder_is_read_only_for_a_question_that_needs_it() {
    // A folder that is not there is SERVFAIL; this is before it.
    let mut messages = questions(2);
    messages[0][2] = 0x20; // opcode 4
    messages[1][5] = 0; // no question
    let replies = datagrams(Path::new("/nowhere"), &messages);
    let codes: Vec<_> = replies.iter().map(|reply| reply[3] & 0xf).collect();
    assert_eq!(codes, [4, 1]);
}
