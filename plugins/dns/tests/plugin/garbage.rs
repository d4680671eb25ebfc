//! What is no question, or none that the plugin knows.

use hickory_proto::op::Edns;
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{RData, Record, RecordType, rdata};

use crate::client::{ID, bytes, datagrams, example, name, query, roomy_query, stream};

const FORMERR: u8 = 1;
const NXDOMAIN: u8 = 3;
const NOTIMP: u8 = 4;

fn question() -> Vec<u8> {
    bytes(&query("two.example.org.", RecordType::A))
}

/// The header of `question()`, which says that one question follows, and then `rest`.
fn with_header(rest: &[u8]) -> Vec<u8> {
    [&question()[..12], rest].concat()
}

/// The only reply to `message`, which is the same over both transports.
fn reply(message: &[u8]) -> Vec<u8> {
    let messages = [message.to_vec()];
    let mut replies = datagrams(&example(), &messages);
    assert_eq!(replies.len(), 1, "replies to {message:x?}");
    assert_eq!(stream(&example(), &messages), replies, "over a stream");
    replies.remove(0)
}

/// Such a reply is a header: the id, that it is a response, and the code.
fn assert_is_formerr(message: &[u8]) {
    let [high, low] = ID.to_be_bytes();
    let expected = [high, low, 0x80, FORMERR, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(reply(message), expected, "{message:x?}");
}

#[test]
fn a_message_that_ends_too_early_is_formerr() {
    let whole = bytes(&roomy_query("two.example.org.", RecordType::A, 1232));
    for length in 12..whole.len() {
        assert_is_formerr(&whole[..length]);
    }
}

#[test]
fn a_message_that_goes_on_after_its_end_is_formerr() {
    assert_is_formerr(&[question(), vec![0]].concat());
}

#[test]
fn another_count_of_questions_than_one_is_formerr() {
    let only = question();
    let mut message = [&only[..], &only[12..]].concat();
    message[5] = 2;
    assert_is_formerr(&message);
    for count in [0, 2, u16::MAX] {
        message.truncate(only.len());
        message[4..6].copy_from_slice(&count.to_be_bytes());
        assert_is_formerr(&message);
    }
}

#[test]
fn a_name_that_is_none_is_formerr() {
    let too_long = [&b"\x01x".repeat(127)[..], b"\x01x\0\0\x01\0\x01"].concat();
    for question in [
        &b"\xc0\x0c\0\x01\0\x01"[..], // a pointer to itself
        b"\xc0\xff\0\x01\0\x01",      // a pointer out of the message
        b"\x3fshort\0\0\x01\0\x01",   // a label out of the message
        b"\x80x\0\0\x01\0\x01",       // a label of a kind that there is not
        &too_long,
    ] {
        assert_is_formerr(&with_header(question));
    }
}

#[test]
fn the_longest_name_is_one() {
    // 255 bytes with the last one, which is zero.
    let below = b"\x01x".repeat(121);
    let longest = [&below[..], b"\x07example\x03org\0\0\x01\0\x01"].concat();
    assert_eq!(longest.len() - 4, 255);
    let reply = reply(&with_header(&longest));
    assert_eq!(reply[3] & 0x0f, NXDOMAIN);
    assert_eq!(reply[12..12 + longest.len()], longest);
}

#[test]
fn an_opt_record_in_the_wrong_place_or_name_or_twice_is_formerr() {
    let opt = Record::from(&Edns::new());
    let mut answer = query("two.example.org.", RecordType::A);
    answer.add_answer(opt.clone());
    let mut twice = query("two.example.org.", RecordType::A);
    twice.add_additionals([opt.clone(), opt.clone()]);
    let mut named = query("two.example.org.", RecordType::A);
    named.add_additional(opt);
    named.additionals[0].name = name("x.");
    for message in [answer, twice, named] {
        assert_is_formerr(&bytes(&message));
    }
}

#[test]
fn other_records_beside_a_question_change_nothing() {
    let data = RData::A(rdata::A::new(192, 0, 2, 1));
    let record = Record::from_rdata(name("x.example.org."), 1, data);
    let mut message = query("two.example.org.", RecordType::A);
    message.add_answer(record.clone()).add_authority(record.clone()).add_additional(record);
    assert_eq!(reply(&bytes(&message)), reply(&question()));
}

#[test]
fn other_opcodes_are_not_implemented_whatever_follows() {
    for opcode in 1..16 {
        let mut message = with_header(&[0xff]);
        message[2] = opcode << 3 | 0x01;
        let reply = reply(&message);
        assert_eq!(reply[..2], ID.to_be_bytes());
        assert_eq!(reply[2..], [0x80 | opcode << 3 | 0x01, NOTIMP, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn a_response_and_less_than_a_header_are_met_with_silence() {
    let mut messages = vec![bytes(&query("two.example.org.", RecordType::A).into_response())];
    messages.extend((0..12).map(|length| question()[..length].to_vec()));
    assert!(datagrams(&example(), &messages).is_empty());
    assert!(stream(&example(), &messages).is_empty());
}

#[test]
fn a_datagram_that_is_longer_than_the_server_takes_is_formerr() {
    let mut message = roomy_query("two.example.org.", RecordType::A, 1232);
    let padding = EdnsOption::Unknown(12, vec![0; 1232]);
    message.edns.as_mut().expect("an OPT record").options_mut().insert(padding);
    let message = [bytes(&message)];
    assert_eq!(datagrams(&example(), &message)[0][3] & 0x0f, FORMERR);
    assert_eq!(stream(&example(), &message)[0][3] & 0x0f, 0);
}
