//! `shout` sends back every line in capitals, those of ASCII.

use std::path::Path;

use serde_json::json;

use crate::conversation::{converse, converse_by_bytes};
use crate::harness::Server;
use crate::rehearsal::goes_through_torture;

/// The most bytes of a line, without its end.
const LONGEST: usize = 64 * 1024;

macro_rules! shout {
    ($language:ident) => {
        tests! { $language shout:
            each_line_is_answered_when_it_is_whole
            lines_that_come_at_once_are_answered_in_their_order
            lines_that_come_byte_by_byte_are_answered_as_others
            the_last_line_needs_no_line_end_and_gets_one
            a_carriage_return_stays
            bytes_that_are_no_letters_of_ascii_stay
            a_mebibyte_in_lines_is_answered
            a_line_may_have_64_kib
            a_longer_line_ends_it_with_a_code
            its_conversations_go_through_torture
        }
    };
}

pub(crate) fn each_line_is_answered_when_it_is_whole(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.ask("hello"), "HELLO");
    client.send("wor");
    assert_eq!(client.ask("ld"), "WORLD");
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn lines_that_come_at_once_are_answered_in_their_order(module: &Path) {
    let server = Server::run(module).start();
    assert_eq!(converse(&server, "one\n\n2 two\n"), b"ONE\n\n2 TWO\n");
}

pub(crate) fn lines_that_come_byte_by_byte_are_answered_as_others(module: &Path) {
    let server = Server::run(module).start();
    assert_eq!(converse_by_bytes(&server, "one\n\n2 two\nthree"), "ONE\n\n2 TWO\nTHREE\n");
}

pub(crate) fn the_last_line_needs_no_line_end_and_gets_one(module: &Path) {
    let server = Server::run(module).start();
    assert_eq!(converse(&server, "good\nbye"), b"GOOD\nBYE\n");
    assert_eq!(converse(&server, ""), b"");
}

pub(crate) fn a_carriage_return_stays(module: &Path) {
    let server = Server::run(module).start();
    assert_eq!(converse(&server, "a\r\nb\rc\r"), b"A\r\nB\rC\r\n");
}

pub(crate) fn bytes_that_are_no_letters_of_ascii_stay(module: &Path) {
    let server = Server::run(module).start();
    assert_eq!(converse(&server, b"w\xc3\xb6rld @[`{ \x00\xff\n"), b"W\xc3\xb6RLD @[`{ \x00\xff\n");
}

pub(crate) fn a_mebibyte_in_lines_is_answered(module: &Path) {
    let server = Server::run(module).start();
    let lines: Vec<_> = (0..1 << 14).map(|number| format!("{number:>60} am\n")).collect();
    let input = lines.concat();
    assert_eq!(input.len(), 1 << 20);
    assert!(converse(&server, &input) == input.to_uppercase().as_bytes());
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn a_line_may_have_64_kib(module: &Path) {
    let server = Server::run(module).start();
    let input = [vec![b'x'; LONGEST], vec![b'\n', b'y']].concat();
    assert!(converse(&server, &input) == [vec![b'X'; LONGEST], b"\nY\n".to_vec()].concat());
}

pub(crate) fn a_longer_line_ends_it_with_a_code(module: &Path) {
    let server = Server::run(module).start();
    let input = [b"short\n".to_vec(), vec![b'x'; LONGEST + 1], b"\n".to_vec()].concat();
    assert_eq!(converse(&server, input), b"SHORT\n");
    assert_eq!(server.receipt()["exit"], json!({ "kind": "failed", "code": 1 }));
}

pub(crate) fn its_conversations_go_through_torture(module: &Path) {
    goes_through_torture(module, "shout");
}
