//! `chargen` sends characters until its peer goes: RFC 864.

use std::path::Path;

use crate::harness::Server;
use crate::rehearsal::goes_through_torture;

macro_rules! chargen {
    ($language:ident) => {
        tests! { $language chargen:
            lines_are_those_of_the_rfc
            what_the_peer_sends_is_thrown_away_and_its_end_is_no_end
            it_ends_when_its_peer_goes
            a_drain_ends_it_in_good_order
            its_conversations_go_through_torture
        }
    };
}

/// The line of this number, from 0.
fn line(number: usize) -> String {
    let characters = (' '..='~').cycle().skip(number % 95).take(72);
    characters.chain("\r\n".chars()).collect()
}

pub(crate) fn lines_are_those_of_the_rfc(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    for number in 0..1000 {
        assert_eq!(client.receive(74), line(number));
    }
}

pub(crate) fn what_the_peer_sends_is_thrown_away_and_its_end_is_no_end(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    client.send("something\n");
    client.end();
    // More than is on its way when the end arrives.
    let much = client.receive(95 * 74 * 2000);
    assert!(much.ends_with(&line(94)));
}

pub(crate) fn it_ends_when_its_peer_goes(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    client.receive(74);
    drop(client);
    assert_eq!(server.receipt()["exit"]["kind"], "peer_reset");
}

pub(crate) fn a_drain_ends_it_in_good_order(module: &Path) {
    let server = Server::run(module).start();
    let mut client = server.connect();
    client.receive(74);
    server.drain();
    let rest = client.rest().unwrap();
    assert!(rest.ends_with(b"\r\n"));
    drop(client);
    assert_eq!(server.wait().0, 0);
}

pub(crate) fn its_conversations_go_through_torture(module: &Path) {
    goes_through_torture(module, "chargen");
}
