//! What becomes of a message: what is stored, and what is refused.

use std::fs;
use std::path::Path;

use smtp::Settings;

use crate::client::{beside, codes, messages, settings, talk};

/// What is stored of the text `input`, which has an end.
fn stored(settings: &Settings, input: &[u8]) -> Vec<Vec<u8>> {
    let ended = beside(settings, |client| {
        client.begin();
        client.say("DATA", "354 ");
        client.send(input);
        client.expect("250 ");
    });
    ended.unwrap();
    let found = messages(&settings.folder);
    fs::remove_dir_all(&settings.folder).unwrap();
    fs::create_dir(&settings.folder).unwrap();
    found
}

/// Asserts that the text `input`, which has an end, is refused with `code`, that nothing of it is
/// stored, and that the next message is received.
fn check_refused(settings: &Settings, input: &[u8], code: &str) {
    let ended = beside(settings, |client| {
        client.begin();
        client.say("DATA", "354 ");
        client.send(input);
        client.expect(code);
        client.say("RCPT TO:<c@d>", "503 ");
        client.begin();
        client.say("DATA", "354 ");
        client.say("next\r\n.", "250 ");
    });
    ended.unwrap();
    assert_eq!(messages(&settings.folder), [b"next\r\n"]);
    fs::remove_dir_all(&settings.folder).unwrap();
    fs::create_dir(&settings.folder).unwrap();
}

#[test]
fn dots_in_front_are_taken_away_once() {
    let settings = settings("dots_in_front_are_taken_away_once");
    for (input, expected) in [
        (".\r\n", ""),
        ("..\r\n.\r\n", ".\r\n"),
        ("...\r\n.\r\n", "..\r\n"),
        (".hidden\r\n.\r\n", "hidden\r\n"),
        ("a.\r\n.\r\n", "a.\r\n"),
        ("\r\n.\r\n", "\r\n"),
        ("a\r\n..\r\n.b\r\n\r\n..c\r\n.\r\n", "a\r\n.\r\nb\r\n\r\n.c\r\n"),
        (". \r\n.\r\n", " \r\n"),
    ] {
        assert_eq!(stored(&settings, input.as_bytes()), [expected.as_bytes()], "{input:?}");
    }
}

#[test]
fn any_other_byte_is_stored_as_it_is() {
    let settings = settings("any_other_byte_is_stored_as_it_is");
    let text: Vec<u8> = (0..=u8::MAX).filter(|byte| !b"\r\n".contains(byte)).collect();
    let line = [&text[..], b"\r\n"].concat();
    assert_eq!(stored(&settings, &[&line[..], b".\r\n"].concat()), [line]);
}

#[test]
fn what_is_only_like_an_end_ends_nothing_and_is_refused() {
    let settings = settings("what_is_only_like_an_end_ends_nothing_and_is_refused");
    let hidden = "MAIL FROM:<eve@b.example>\r\nRCPT TO:<c@d>\r\nDATA\r\nhidden\r\n";
    for end in
        ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\n.\r", "\r.\r", "\r\r\n.\n", "\r\n.\0\n"]
    {
        let input = format!("hello{end}{hidden}\r\n.\r\n");
        check_refused(&settings, input.as_bytes(), "554 ");
    }
    // Where a line that is too long is cut, no line begins.
    for length in 998..1005 {
        let input = format!("{}.\r\n{hidden}\r\n.\r\n", "x".repeat(length));
        check_refused(&settings, input.as_bytes(), "554 ");
    }
    // These are whole lines, and not the end.
    for end in ["\r\n.\0\r\n", "\r\n. \r\n", "\0\r\n..\r\n"] {
        let input = format!("hello{end}{hidden}.\r\n");
        let stored = stored(&settings, input.as_bytes());
        assert!(stored.len() == 1 && stored[0].ends_with(hidden.as_bytes()), "{end:?}");
    }
}

#[test]
fn lines_have_a_longest_length() {
    let settings = settings("lines_have_a_longest_length");
    let line = |length: usize| format!("{}\r\n", "x".repeat(length));
    let longest = line(998);
    assert_eq!(stored(&settings, format!("{longest}.\r\n").as_bytes()), [longest.as_bytes()]);
    // The dot in front does not count.
    assert_eq!(stored(&settings, format!(".{longest}.\r\n").as_bytes()), [longest.as_bytes()]);
    for length in [999, 1000, 1001, 5_000, 50_000] {
        check_refused(&settings, format!("{}a\r\n.\r\n", line(length)).as_bytes(), "554 ");
    }
}

#[test]
fn a_message_has_a_largest_size() {
    let settings = Settings { max_size: 10, ..settings("a_message_has_a_largest_size") };
    // Dots that are taken away do not count, nor does the last one; line ends do.
    assert_eq!(stored(&settings, b"..3456789\r\n.\r\n"), [b".3456789\r\n"]);
    for input in ["123456789\r\n.\r\n", "123\r\n678\r\n1\r\n.\r\n"] {
        check_refused(&settings, input.as_bytes(), "552 ");
    }
    let replies = talk(&settings, "EHLO a\r\nMAIL FROM:<a@b> SIZE=11\r\nRCPT TO:<c@d>\r\n");
    assert_eq!(codes(&replies), ["220", "250", "552", "503"]);
}

#[test]
fn a_message_that_is_far_too_large_ends_the_connection() {
    let settings = Settings {
        max_size: 1000,
        ..settings("a_message_that_is_far_too_large_ends_the_connection")
    };
    for line in ["x".repeat(900) + "\r\n", "x".repeat(900)] {
        let ended = beside(&settings, |client| {
            client.begin();
            client.say("DATA", "354 ");
            client.send(line.repeat(3));
            client.expect("421 mail.example ");
            client.expect_end();
        });
        ended.unwrap();
    }
    assert!(messages(&settings.folder).is_empty());
}

#[test]
fn a_large_message_comes_whole() {
    let settings = settings("a_large_message_comes_whole");
    let mut text = Vec::new();
    for number in 0..100_000 {
        text.extend_from_slice(format!("this is line {number}\r\n").as_bytes());
    }
    let stored = stored(&settings, &[&text[..], b".\r\n"].concat());
    assert!(stored == [text], "the message is another");
}

#[test]
fn messages_of_one_connection_have_names_of_their_own() {
    let settings = settings("messages_of_one_connection_have_names_of_their_own");
    let ended = beside(&settings, |client| {
        for text in ["one", "two", "three"] {
            client.begin();
            client.say("DATA", "354 ");
            client.say(&format!("{text}\r\n."), "250 ");
        }
    });
    ended.unwrap();
    assert_eq!(messages(&settings.folder), [&b"one\r\n"[..], b"two\r\n", b"three\r\n"]);
}

#[test]
fn a_file_says_from_whom_to_whom_and_how_it_came() {
    let settings = settings("a_file_says_from_whom_to_whom_and_how_it_came");
    let replies = talk(
        &settings,
        "EHLO client.example\r\nMAIL FROM:<ada@a.example> BODY=8BITMIME\r\n\
         RCPT TO:<bob@b.example>\r\nRCPT TO:<Postmaster>\r\nDATA\r\nhello\r\n.\r\n",
    );
    let file = fs::read_dir(&settings.folder).unwrap().next().unwrap().unwrap();
    let name = file.file_name().into_string().unwrap();
    let name = name.strip_suffix(".eml").unwrap();
    assert!(name.ends_with("-1-1") && replies.ends_with(&format!("250 Stored as {name}\r\n")));
    let text = fs::read_to_string(file.path()).unwrap();
    let expected = format!(
        "Return-Path: <ada@a.example>\r\n\
         X-Envelope-To: <bob@b.example>\r\n\
         X-Envelope-To: <Postmaster>\r\n\
         Received: from client.example ([192.0.2.1])\r\n\
         \tby mail.example with ESMTP id {name};\r\n\t"
    );
    assert!(text.starts_with(&expected), "{text}");
}

#[test]
fn without_a_folder_clients_are_told_to_come_again() {
    for folder in ["/there/is/no/such/folder", "/dev/null"] {
        let settings = Settings::new(Path::new(folder));
        let ended = beside(&settings, |client| {
            client.begin();
            client.say("DATA", "451 ");
            client.say("QUIT", "221 ");
        });
        ended.unwrap();
    }
}

#[test]
fn a_folder_that_goes_while_a_message_comes_is_told() {
    let settings = settings("a_folder_that_goes_while_a_message_comes_is_told");
    let ended = beside(&settings, |client| {
        client.begin();
        client.say("DATA", "354 ");
        fs::remove_dir_all(&settings.folder).unwrap();
        client.say("hello\r\n.", "451 ");
    });
    ended.unwrap();
}

#[test]
fn nobody_takes_a_message_that_is_not_whole_for_one() {
    let settings = settings("nobody_takes_a_message_that_is_not_whole_for_one");
    let ended = beside(&settings, |client| {
        client.begin();
        client.say("DATA", "354 ");
        let names: Vec<_> = fs::read_dir(&settings.folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.len() == 1 && names[0].starts_with('.'), "{names:?}");
        client.send("hello\r\n");
    });
    ended.unwrap();
    assert!(messages(&settings.folder).is_empty());
}
