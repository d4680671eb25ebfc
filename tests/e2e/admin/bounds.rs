//! Clients of the admin socket that are too many, or too slow.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use super::{Ask as _, Steered, asked, open};
use crate::harness::wait_until;

#[test]
fn beside_64_that_say_nothing_one_is_told_so_and_connections_are_served() {
    let steered = Steered::start();
    let mut silent: Vec<UnixStream> = (0..64).map(|_| open(&steered)).collect();
    for stream in &mut silent {
        stream.write_all(b"GET /v1/status HTTP/1.1\r\n").unwrap();
    }
    let mut refused = None;
    wait_until("one is one too many", || {
        let (status, _, body) = open(&steered).answer_to_status();
        refused = (status == 503).then_some(body);
        refused.is_some()
    });
    assert!(refused.unwrap().contains("\"error\""));
    let said = steered.refused(&["status"]);
    assert!(said.contains("too many"), "{said}");
    steered.echoed();
    drop(silent);
    wait_until("there is room again", || steered.command(&["status"]).code == 0);
}

/// A request that may be refused before it is read.
trait AnswerToStatus {
    fn answer_to_status(self) -> (u16, String, String);
}

impl AnswerToStatus for UnixStream {
    fn answer_to_status(mut self) -> (u16, String, String) {
        let _ = self.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n");
        self.answer()
    }
}

#[test]
fn one_who_does_not_read_the_answer_holds_nobody() {
    let steered = Steered::start();
    let clients: Vec<_> = (0..40).map(|_| steered.echoed()).collect();
    let mut lazy: Vec<_> = (0..8).map(|_| open(&steered)).collect();
    for stream in &mut lazy {
        stream.write_all(b"GET /v1/connections HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    }
    for mut client in clients {
        client.is_echoed();
    }
    assert_eq!(asked(&steered, "GET", "/v1/status", "").0, 200);
}
