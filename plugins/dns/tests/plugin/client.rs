//! A client for the tests. It reads replies with the library that wrote them; what the bytes are,
//! a real client says elsewhere.

use std::path::{Path, PathBuf};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use portcell_sdk::Connection;
use portcell_sdk::testing::converse;

pub(crate) const ID: u16 = 0x5eed;

/// The zones that come with the plugin.
pub(crate) fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("zones")
}

/// A folder of the tests' zones.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zones").join(name)
}

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

pub(crate) fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("a message that can be sent")
}

pub(crate) fn message(bytes: &[u8]) -> Message {
    Message::from_vec(bytes).expect("a message")
}

pub(crate) fn query(owner: &str, kind: RecordType) -> Message {
    let mut message = Message::new(ID, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name(owner), kind));
    message
}

/// The same, from a client that takes datagrams of `payload` bytes.
pub(crate) fn roomy_query(owner: &str, kind: RecordType, payload: u16) -> Message {
    let mut message = query(owner, kind);
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    message.set_edns(edns);
    message
}

/// All replies to `messages`, which are the datagrams of one flow.
pub(crate) fn datagrams(folder: &Path, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (connection, peer) = Connection::datagram_pair();
    for message in messages {
        peer.send(message).expect("room in the pipe");
    }
    peer.finish();
    dns::serve(connection, folder).expect("the handler's result");
    let mut replies = Vec::new();
    let mut buffer = vec![0; 65_536];
    while let Some(length) = peer.recv(&mut buffer).expect("a reply or the end") {
        replies.push(buffer[..length].to_vec());
    }
    replies
}

/// All replies to `messages`, which come one after the other over a stream.
pub(crate) fn stream(folder: &Path, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let input: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
    unframed(&converse(|connection| dns::serve(connection, folder), input))
}

/// `message` with its length in front.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).expect("a length").to_be_bytes(), message].concat()
}

pub(crate) fn unframed(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = bytes.split_at_checked(2) {
        let (message, rest) = rest.split_at(u16::from_be_bytes([length[0], length[1]]).into());
        messages.push(message.to_vec());
        bytes = rest;
    }
    messages
}

/// The reply to `message` from the zones of `folder`, which is the same over both transports.
pub(crate) fn reply(folder: &Path, message: &Message) -> Message {
    let message = [bytes(message)];
    let over_udp = datagrams(folder, &message);
    assert_eq!(over_udp.len(), 1, "replies");
    assert_eq!(stream(folder, &message), over_udp, "over a stream");
    self::message(&over_udp[0])
}

/// The reply from the zones of `folder`, with its records as lines of a zone file.
pub(crate) fn ask(folder: &Path, owner: &str, kind: RecordType) -> Reply {
    let message = reply(folder, &query(owner, kind));
    let lines = |records: &[_]| records.iter().map(ToString::to_string).collect();
    Reply {
        answers: lines(&message.answers),
        authorities: lines(&message.authorities),
        additionals: lines(&message.additionals),
        message,
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) message: Message,
    pub(crate) answers: Vec<String>,
    pub(crate) authorities: Vec<String>,
    pub(crate) additionals: Vec<String>,
}
