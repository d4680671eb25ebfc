//! `netstring` sends netstrings back with their bytes in reverse order.

use std::path::Path;

use serde_json::json;

use crate::conversation::{converse, converse_by_bytes};
use crate::harness::Server;
use crate::rehearsal::goes_through_torture;

/// The most bytes of a string.
const LONGEST: usize = 64 * 1024;

macro_rules! netstring {
    ($language:ident) => {
        tests! { $language netstring:
            each_one_comes_back_reversed_when_it_is_whole
            those_that_come_byte_by_byte_are_taken_as_others
            one_may_have_64_kib_of_any_bytes
            what_is_none_ends_it_with_a_code
            its_conversations_go_through_torture
        }
    };
}

pub(crate) fn each_one_comes_back_reversed_when_it_is_whole(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    client.send("5:hello,");
    assert_eq!(client.receive(8), "5:olleh,");
    client.send("0:,2::,,12:a");
    assert_eq!(client.receive(8), "0:,2:,:,");
    client.send("bcdefghijkl,");
    assert_eq!(client.receive(16), "12:lkjihgfedcba,");
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn those_that_come_byte_by_byte_are_taken_as_others(module: &Path) {
    let server = Server::run(module).start();
    assert_eq!(converse_by_bytes(&server, "5:hello,0:,2::,,"), "5:olleh,0:,2:,:,");
}

pub(crate) fn one_may_have_64_kib_of_any_bytes(module: &Path) {
    let server = Server::run(module).start();
    let netstring = |bytes: &[u8]| [b"65536:", bytes, b","].concat();
    let mut bytes: Vec<u8> = (0..=255).cycle().take(LONGEST - 1).collect();
    bytes.push(b',');
    let input = netstring(&bytes).repeat(16);
    bytes.reverse();
    assert!(converse(&server, input) == netstring(&bytes).repeat(16));
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn what_is_none_ends_it_with_a_code(module: &Path) {
    for wrong in ["x", ":,", "-1:a,", "01:a,", "1:ab", "65537:", "99999999999999999999:", "5:hel"] {
        let server = Server::run(module).start();
        assert_eq!(converse(&server, format!("1:a,{wrong}")), b"1:a,", "{wrong}");
        let exit = server.receipt()["exit"].clone();
        assert_eq!(exit, json!({ "kind": "failed", "code": 1 }), "{wrong}");
    }
}

pub(crate) fn its_conversations_go_through_torture(module: &Path) {
    goes_through_torture(module, "netstring");
}
