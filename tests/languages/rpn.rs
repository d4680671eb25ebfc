//! `rpn` is a calculator in reverse Polish notation.

use std::path::Path;

use crate::conversation::converse;
use crate::harness::Server;
use crate::rehearsal::goes_through_torture;

macro_rules! rpn {
    ($language:ident) => {
        tests! { $language rpn:
            lines_are_calculated
            a_line_of_more_than_4_kib_ends_it
            its_conversations_go_through_torture
        }
    };
}

pub(crate) fn lines_are_calculated(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    for (line, answer) in [
        ("1 2 +", "3"),
        ("  1 2 +   4 *\r", "12"),
        ("2 3 -", "-1"),
        ("1 8 /", "0.125"),
        ("0.1 0.2 +", "0.3"),
        ("1e3 -2.5", "1000 -2.5"),
        ("", ""),
        ("1 +", "error: + wants two numbers"),
        ("1 0 /", "error: division by zero"),
        ("1 two +", "error: what is two?"),
        ("4 4 *", "16"),
    ] {
        assert_eq!(client.ask(line), answer, "{line}");
    }
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn a_line_of_more_than_4_kib_ends_it(module: &Path) {
    let server = Server::run(module).start();
    assert_eq!(converse(&server, vec![b'1'; 4097]), b"");
    assert_eq!(server.receipt()["exit"]["code"], 1);
}

pub(crate) fn its_conversations_go_through_torture(module: &Path) {
    goes_through_torture(module, "rpn");
}
