//! `hello-inetd` is a plain program: its standard input and output are the connection.

use std::path::Path;

use crate::conversation::{converse, converse_by_bytes};
use crate::harness::Server;
use crate::rehearsal::goes_through_torture;

const GREETING: &str = "Hello, 127.0.0.1! Who is there?";

macro_rules! hello_inetd {
    ($language:ident) => {
        tests! { $language hello_inetd:
            the_peer_is_greeted_before_it_says_anything
            each_name_is_greeted_at_its_line_end
            names_that_come_byte_by_byte_are_greeted_as_others
            spaces_around_a_name_are_not_part_of_it
            a_reset_ends_one_program_and_no_other
            its_conversations_go_through_torture
        }
    };
}

pub(crate) fn the_peer_is_greeted_before_it_says_anything(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.line(), GREETING);
    client.leaves();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn each_name_is_greeted_at_its_line_end(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.line(), GREETING);
    assert_eq!(client.ask("Ada"), "Hello, Ada!");
    client.send("Grace\nJo");
    assert_eq!(client.line(), "Hello, Grace!");
    client.send("an");
    client.end();
    assert_eq!(client.rest().unwrap(), b"Hello, Joan!\n");
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

pub(crate) fn names_that_come_byte_by_byte_are_greeted_as_others(module: &Path) {
    let server = Server::run(module).start();
    let answer = converse_by_bytes(&server, "Ada\nGrace");
    assert_eq!(answer, format!("{GREETING}\nHello, Ada!\nHello, Grace!\n"));
}

pub(crate) fn spaces_around_a_name_are_not_part_of_it(module: &Path) {
    let server = Server::run(module).start();
    let answer = converse(&server, "  Ada Lovelace \r\n \n\n");
    let answer = String::from_utf8(answer).unwrap();
    let lines: Vec<_> = answer.lines().skip(1).collect();
    let nobody = "Hello, whoever you are!";
    assert_eq!(lines, ["Hello, Ada Lovelace!", nobody, nobody]);
}

pub(crate) fn a_reset_ends_one_program_and_no_other(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    assert_eq!(client.line(), GREETING);
    client.reset();
    assert_eq!(server.receipt()["exit"]["kind"], "peer_reset");
    assert_eq!(server.connect().line(), GREETING);
}

pub(crate) fn its_conversations_go_through_torture(module: &Path) {
    goes_through_torture(module, "hello-inetd");
}
