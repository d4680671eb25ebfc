//! Commands and replies, and the ways in which a conversation ends.

use std::io::ErrorKind;
use std::path::Path;
use std::thread;

use portcell_sdk::{Connection, run};
use smtp::Settings;

use crate::client::{beside, codes, messages, settings, talk};

/// A message, with all that is around it.
const MESSAGE: &str = "EHLO client.example\r\nMAIL FROM:<ada@a.example>\r\n\
    RCPT TO:<bob@b.example>\r\nDATA\r\nSubject: hello\r\n\r\nhello\r\n..\r\n.\r\nQUIT\r\n";

#[test]
fn a_message_is_received() {
    let settings = settings("a_message_is_received");
    let ended = beside(&settings, |client| {
        client.begin();
        client.say("DATA", "354 ");
        client.send("Subject: hello\r\n\r\nhello\r\n");
        let stored = client.say(".", "250 Stored as ");
        let name = stored.trim_end().rsplit(' ').next().unwrap();
        assert!(settings.folder.join(format!("{name}.eml")).is_file());
        client.say("QUIT", "221 mail.example ");
        client.expect_end();
    });
    ended.unwrap();
    assert_eq!(messages(&settings.folder), [b"Subject: hello\r\n\r\nhello\r\n"]);
}

#[test]
fn the_greeting_and_ehlo_name_the_server() {
    let settings = settings("the_greeting_and_ehlo_name_the_server");
    let replies = talk(&settings, "EHLO a\r\nHELO a\r\nNOOP\r\n");
    assert_eq!(
        replies,
        "220 mail.example ESMTP portcell\r\n\
         250-mail.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 10485760\r\n250 STARTTLS\r\n\
         250 mail.example\r\n250 OK\r\n"
    );
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let settings = settings("pipelined_commands_are_answered_in_order");
    let replies = talk(&settings, MESSAGE);
    assert_eq!(codes(&replies), ["220", "250", "250", "250", "354", "250", "221"]);
    assert_eq!(messages(&settings.folder).len(), 1);
}

#[test]
fn a_conversation_in_crumbs_is_the_same() {
    let settings = settings("a_conversation_in_crumbs_is_the_same");
    let ended = beside(&settings, |client| {
        for byte in MESSAGE.bytes() {
            client.send([byte]);
            thread::yield_now();
        }
        for code in ["250", "250", "250", "354", "250", "221"] {
            client.expect(code);
        }
        client.expect_end();
    });
    ended.unwrap();
    assert_eq!(messages(&settings.folder), [b"Subject: hello\r\n\r\nhello\r\n.\r\n"]);
}

#[test]
fn what_is_wrong_does_not_end_a_conversation() {
    let settings = settings("what_is_wrong_does_not_end_a_conversation");
    let long = "x".repeat(600);
    let ended = beside(&settings, |client| {
        client.say("MAIL FROM:<ada@a.example>", "503 ");
        client.say("BREW coffee", "500 ");
        client.say("EXPN staff", "502 ");
        client.say(&long, "500 ");
        client.say("NOOP \u{e9}", "500 ");
        client.say("VRFY bob", "252 ");
        client.begin();
        client.say("RCPT TO:<nobody>", "501 ");
        client.say("RCPT TO:<eve@b.example> NOTIFY=NEVER", "555 ");
        client.say("DATA", "354 ");
        client.say("hello\r\n.", "250 ");
    });
    ended.unwrap();
    assert_eq!(messages(&settings.folder).len(), 1);
}

#[test]
fn too_many_mistakes_end_it() {
    let settings = settings("too_many_mistakes_end_it");
    let mut expected = vec!["220"];
    expected.extend(["500"; 10]);
    expected.push("421");
    assert_eq!(codes(&talk(&settings, "BREW coffee\r\n".repeat(20))), expected);

    // A browser that is sent here.
    let request = format!("POST / HTTP/1.1\r\n{}\r\n{MESSAGE}", "A: b\r\n".repeat(8));
    assert_eq!(codes(&talk(&settings, request)), expected);
    assert!(messages(&settings.folder).is_empty());
}

#[test]
fn what_is_no_line_ends_it_at_once() {
    let settings = settings("what_is_no_line_ends_it_at_once");
    for input in
        [&b"EHLO a\nQUIT\r\n"[..], b"NOOP\rNOOP\r\n", b"NO\0OP\r\n", b"\x16\x03\x01\x02\x00\x01"]
    {
        let ended = beside(&settings, |client| {
            client.send(input);
            client.expect("421 mail.example ");
            client.expect_end();
        });
        ended.unwrap();
    }
}

#[test]
fn a_command_hides_no_other() {
    let settings = settings("a_command_hides_no_other");
    for hiding in ["MAIL FROM:<a@b>\nRCPT TO:<c@d>\r\n", "MAIL FROM:<a@b>\rRCPT TO:<c@d>\r\n"] {
        let input = format!("EHLO a\r\n{hiding}DATA\r\nhello\r\n.\r\n");
        assert_eq!(codes(&talk(&settings, input)), ["220", "250", "421"], "{hiding:?}");
    }
    assert!(messages(&settings.folder).is_empty());
}

#[test]
fn a_host_that_drains_ends_it_at_the_next_command() {
    let settings = settings("a_host_that_drains_ends_it_at_the_next_command");
    let ended = beside(&settings, |client| {
        client.say("NOOP", "250 ");
        client.peer.drain();
        client.expect("421 mail.example ");
        client.expect_end();
    });
    ended.unwrap();

    let ended = beside(&settings, |client| {
        client.begin();
        client.say("DATA", "354 ");
        client.peer.drain();
        client.say("hello\r\n.", "250 ");
        client.expect("421 ");
        client.expect_end();
    });
    ended.unwrap();
    assert_eq!(messages(&settings.folder).len(), 1);
}

#[test]
fn a_client_that_goes_away_is_no_error() {
    let settings = settings("a_client_that_goes_away_is_no_error");
    for cut in 0..MESSAGE.len() {
        let replies = talk(&settings, &MESSAGE[..cut]);
        assert!(replies.starts_with("220 "), "{cut}: {replies}");
    }
    // Those that were cut within QUIT.
    assert_eq!(messages(&settings.folder).len(), "QUIT\r\n".len());

    for cut in [0, 10, MESSAGE.len() - 20] {
        let ended = beside(&settings, |client| {
            client.send(&MESSAGE[..cut]);
            // The replies are lost, and perhaps what was sent.
            let (_, other) = Connection::pair();
            std::mem::replace(&mut client.peer, other).reset();
        });
        assert!(ended.is_ok(), "{cut}");
    }
    assert_eq!(run(smtp::smtp), 0, "a trial run");
}

#[test]
fn datagrams_are_no_way_to_speak_it() {
    let (connection, _peer) = Connection::datagram_pair();
    let error = smtp::serve(connection, &Settings::new(Path::new("/mail"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
