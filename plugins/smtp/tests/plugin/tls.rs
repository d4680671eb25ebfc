//! STARTTLS: what it leads to, and what it must not let through.

use std::fs;

use smtp::Settings;

use crate::client::{Client, beside, codes, messages, settings, talk};

fn start_tls(client: &mut Client) {
    client.say("STARTTLS", "220 ");
    client.peer.start_tls().expect("a handshake");
}

#[test]
fn a_message_over_tls_says_so() {
    let settings = settings("a_message_over_tls_says_so");
    let ended = beside(&settings, |client| {
        assert!(client.say("EHLO client.example", "250 ").contains("STARTTLS"));
        start_tls(client);
        assert!(!client.say("EHLO client.example", "250 ").contains("STARTTLS"));
        client.begin();
        client.say("DATA", "354 ");
        client.say("hello\r\n.", "250 ");
        client.say("STARTTLS", "503 ");
    });
    ended.unwrap();
    let file = fs::read_dir(&settings.folder).unwrap().next().unwrap().unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    let expected =
        "\r\n\t(using TLS 1.3 with TLS_AES_256_GCM_SHA384)\r\n\tby mail.example with ESMTPS id";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn what_was_said_in_plaintext_is_forgotten() {
    let settings = settings("what_was_said_in_plaintext_is_forgotten");
    let ended = beside(&settings, |client| {
        client.begin();
        start_tls(client);
        client.say("DATA", "503 ");
        client.say("RCPT TO:<c@d>", "503 ");
        client.say("MAIL FROM:<a@b>", "503 ");
        client.say("EHLO a", "250 ");
        client.say("DATA", "503 ");
    });
    ended.unwrap();
}

#[test]
fn commands_behind_starttls_are_never_obeyed() {
    let settings = settings("commands_behind_starttls_are_never_obeyed");
    let injected = "EHLO eve\r\nMAIL FROM:<eve@b.example>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let ended = beside(&settings, |client| {
        // One segment, so that the handler has read all of it with STARTTLS.
        client.send(format!("EHLO a\r\nSTARTTLS\r\n{injected}"));
        client.expect("250 ");
        client.expect("220 ");
        client.peer.start_tls().expect("a handshake");
        // An answer to what was injected would come here.
        client.say("NOOP", "250 OK");
        client.say("RCPT TO:<c@d>", "503 ");
        client.say("QUIT", "221 ");
        client.expect_end();
    });
    ended.unwrap();

    // What comes when the reply is on its way is no handshake.
    let ended = beside(&settings, |client| {
        client.say("STARTTLS", "220 ");
        client.send(injected);
        client.expect_end();
    });
    ended.unwrap();

    let replies = talk(&settings, format!("STARTTLS\r\n{injected}hello\r\n.\r\n"));
    assert_eq!(codes(&replies), ["220", "220"]);
    assert!(messages(&settings.folder).is_empty());
}

#[test]
fn half_a_command_behind_starttls_does_not_begin_the_next() {
    let settings = settings("half_a_command_behind_starttls_does_not_begin_the_next");
    let ended = beside(&settings, |client| {
        client.send("STARTTLS\r\nMAIL FROM:<eve@b.example> SIZE=");
        client.expect("220 ");
        client.peer.start_tls().expect("a handshake");
        client.say("EHLO a", "250 ");
    });
    ended.unwrap();
}

#[test]
fn a_handshake_that_fails_is_no_error_of_the_handler() {
    let settings = settings("a_handshake_that_fails_is_no_error_of_the_handler");
    let ended = beside(&settings, |client| {
        client.say("STARTTLS", "220 ");
        client.peer.finish();
        client.expect_end();
    });
    ended.unwrap();
}

#[test]
fn where_there_is_no_tls_the_conversation_goes_on() {
    let settings = settings("where_there_is_no_tls_the_conversation_goes_on");
    let ended = beside(&settings, |client| {
        client.peer.refuse_tls();
        client.begin();
        client.send("STARTTLS\r\nNOOP\r\n");
        client.expect("454 ");
        client.expect("250 OK");
        client.say("DATA", "354 ");
        client.say("hello\r\n.", "250 ");
        assert!(!client.say("EHLO a", "250 ").contains("STARTTLS"));
    });
    ended.unwrap();
    assert_eq!(messages(&settings.folder).len(), 1);
}

#[test]
fn mail_in_plaintext_can_be_refused() {
    let settings = Settings { require_tls: true, ..settings("mail_in_plaintext_can_be_refused") };
    let ended = beside(&settings, |client| {
        client.say("EHLO a", "250 ");
        client.say("MAIL FROM:<a@b>", "530 ");
        client.say("RCPT TO:<c@d>", "503 ");
        client.say("NOOP", "250 ");
        start_tls(client);
        client.begin();
        client.say("DATA", "354 ");
        client.say("hello\r\n.", "250 ");
    });
    ended.unwrap();
    assert_eq!(messages(&settings.folder).len(), 1);
}
