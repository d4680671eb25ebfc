//! The dns plugin: messages with two bytes of length in front, over a stream as they are, and as
//! datagrams. Each that is a question gets an answer with its id.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcell_fuzz::{converse, datagrams, repository};

/// Datagrams that the pipe has room for, with their answers.
const AT_ONCE: usize = 40;

static ZONES: LazyLock<PathBuf> = LazyLock::new(|| repository("plugins/dns/zones"));

fuzz_target!(|bytes: &[u8]| {
    let serve = |connection| dns::serve(connection, &ZONES);
    let mut messages = framed(bytes);
    let expected: Vec<_> = messages.iter().copied().filter_map(id_of_question).collect();
    let streamed = converse(serve, bytes);
    let ids: Vec<_> = framed(&streamed).into_iter().map(id_of_answer).collect();
    assert_eq!(ids, expected, "over a stream");

    messages.truncate(AT_ONCE);
    messages.retain(|message| message.len() < 1500);
    let expected: Vec<_> = messages.iter().copied().filter_map(id_of_question).collect();
    let answers = datagrams(serve, &messages);
    let ids: Vec<_> = answers.iter().map(|answer| id_of_answer(answer)).collect();
    assert_eq!(ids, expected, "as datagrams");
});

/// The messages in a stream; the last may be missing its end, and is left out then.
fn framed(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = bytes.split_at_checked(2)
        && let Some((message, rest)) =
            rest.split_at_checked(u16::from_be_bytes([length[0], length[1]]).into())
    {
        messages.push(message);
        bytes = rest;
    }
    messages
}

/// What is less than a header, or a response, gets no answer.
fn id_of_question(message: &[u8]) -> Option<[u8; 2]> {
    (message.len() >= 12 && message[2] & 0x80 == 0).then(|| [message[0], message[1]])
}

fn id_of_answer(message: &[u8]) -> [u8; 2] {
    assert!(message.len() >= 12 && message[2] & 0x80 != 0, "{message:?}");
    [message[0], message[1]]
}
