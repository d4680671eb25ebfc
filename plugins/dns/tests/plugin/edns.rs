//! EDNS(0), and what fits into a datagram.

use std::path::Path;

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;

use crate::client::{
    bytes, datagrams, example, folder, message, query, reply, roomy_query, stream,
};

const LARGE: &str = "large.example.org.";

/// The only reply over UDP, and its length.
fn datagram(folder: &Path, question: &Message) -> (Message, usize) {
    let replies = datagrams(folder, &[bytes(question)]);
    assert_eq!(replies.len(), 1, "replies");
    (message(&replies[0]), replies[0].len())
}

/// A question whose OPT record is changed by `change`.
fn with_edns(change: impl FnOnce(&mut Edns)) -> Message {
    let mut question = roomy_query("two.example.org.", RecordType::A, 1232);
    change(question.edns.as_mut().expect("an OPT record"));
    question
}

#[test]
fn an_opt_record_is_answered_with_one() {
    let reply = reply(&example(), &with_edns(|_| ()));
    let edns = reply.edns.as_ref().expect("an OPT record");
    assert_eq!((edns.max_payload(), edns.version(), edns.rcode_high()), (1232, 0, 0));
    assert_eq!(reply.answers.len(), 2);
}

#[test]
fn without_an_opt_record_there_is_none() {
    assert_eq!(reply(&example(), &query("two.example.org.", RecordType::A)).edns, None);
}

#[test]
fn what_does_not_fit_is_left_out_and_the_reply_says_so() {
    let mut questions = vec![query(LARGE, RecordType::TXT)];
    questions.extend(
        [512, 1232, 4096, 65_535].map(|payload| roomy_query(LARGE, RecordType::TXT, payload)),
    );
    for question in questions {
        let (reply, _) = datagram(&example(), &question);
        assert!(reply.truncation && reply.authoritative);
        assert_eq!(reply.response_code, ResponseCode::NoError);
        assert_eq!(reply.queries, question.queries);
        assert_eq!(reply.edns.is_some(), question.edns.is_some());
        assert_eq!(reply.all_sections().count(), 0);
    }
}

#[test]
fn over_a_stream_everything_fits() {
    for question in [query(LARGE, RecordType::TXT), roomy_query(LARGE, RecordType::TXT, 512)] {
        let replies = stream(&example(), &[bytes(&question)]);
        assert!(replies[0].len() > 1232, "{}", replies[0].len());
        let reply = message(&replies[0]);
        assert!(!reply.truncation);
        assert_eq!(reply.answers.len(), 18);
    }
}

#[test]
fn a_datagram_is_as_long_as_the_client_takes_and_not_longer() {
    let ask = |payload: usize| {
        let payload = u16::try_from(payload).unwrap();
        let question = roomy_query("medium.example.net.", RecordType::TXT, payload);
        datagram(&folder("several"), &question)
    };
    let (whole, length) = ask(1232);
    assert!(!whole.truncation && length > 512, "{length}");
    assert_eq!(ask(length), (whole, length));
    let (cut, shorter) = ask(length - 1);
    assert!(cut.truncation && shorter < length);
}

#[test]
fn every_client_takes_512_bytes_and_without_edns_no_more() {
    let question = query("medium.example.net.", RecordType::TXT);
    assert!(datagram(&folder("several"), &question).0.truncation);

    let mut question = bytes(&roomy_query("example.org.", RecordType::SOA, 512));
    let end = question.len();
    question[end - 8..end - 6].copy_from_slice(&50_u16.to_be_bytes()); // the class of the OPT record
    let reply = message(&datagrams(&example(), &[question])[0]);
    assert!(!reply.truncation);
    assert_eq!(reply.answers.len(), 1);
}

#[test]
fn another_version_is_refused_with_ours() {
    for version in [1, 255] {
        let reply = reply(
            &example(),
            &with_edns(|edns| {
                edns.set_version(version);
            }),
        );
        assert_eq!(u16::from(reply.response_code), 16, "BADVERS");
        assert_eq!(reply.edns.as_ref().expect("an OPT record").version(), 0);
        assert_eq!(reply.all_sections().count(), 0);
    }
}

#[test]
fn of_the_flags_only_the_one_for_dnssec_comes_back() {
    let reply = reply(
        &example(),
        &with_edns(|edns| {
            edns.flags_mut().dnssec_ok = true;
            edns.flags_mut().z = 0x1234;
        }),
    );
    let flags = *reply.edns.as_ref().expect("an OPT record").flags();
    assert_eq!((flags.dnssec_ok, flags.z), (true, 0));
}

#[test]
fn an_option_that_nobody_knows_changes_nothing() {
    let option = EdnsOption::Unknown(65_001, b"hello".to_vec());
    let reply = reply(&example(), &with_edns(|edns| edns.options_mut().insert(option)));
    assert_eq!(reply.answers.len(), 2);
    assert!(reply.edns.expect("an OPT record").options().as_ref().is_empty());
}
