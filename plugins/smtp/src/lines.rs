//! Lines, which end with CR LF and nothing else (RFC 5321 section 2.3.8), within the lengths of
//! section 4.5.3.1.

use std::io::{self, ErrorKind};

use crate::wire::Wire;

/// The longest command with its end: 512 bytes and what SIZE and BODY add to MAIL (RFC 1870
/// section 3, RFC 6152 section 2).
const LONGEST_COMMAND: usize = 512 + 26 + 17;

/// How much of a command that is too long is skipped; more is no mistake of a mail client.
const MOST_SKIPPED: usize = 32 * 1024;

/// The longest line of a message with its end, and with the dot that may be in front of it.
const LONGEST_TEXT: usize = LONGEST_PLAIN_TEXT + 1;

/// The same without the dot.
pub(crate) const LONGEST_PLAIN_TEXT: usize = 1000;

/// What came where a command should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line without its end. It may have tabs and bytes that are no ASCII.
    Whole(&'a [u8]),
    /// A line that was longer than a command can be.
    TooLong,
    /// Bytes that are in no line, such as a line feed alone, or the start of a TLS handshake.
    /// Nobody can tell where the next command begins.
    Garbage,
    /// The end of the input.
    End,
}

/// A line of a message, or a piece of one that is longer than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// Without the end. It may have a CR or LF that does not belong to one.
    pub(crate) bytes: &'a [u8],
    /// Whether the line ends here.
    pub(crate) is_ended: bool,
}

/// The next command. The wrong byte of [`Line::Garbage`] need not end a line, and is told at once.
pub(crate) fn command(wire: &mut Wire) -> io::Result<Line<'_>> {
    let mut skipped = 0;
    let length = loop {
        let buffered = wire.buffered();
        match buffered.iter().position(|byte| byte.is_ascii_control() && *byte != b'\t') {
            Some(at) if buffered[at..].starts_with(b"\r\n") => break at,
            // The last byte so far may be half of a line end.
            Some(at) if buffered[at..] != *b"\r" => return Ok(Line::Garbage),
            _ => {}
        }
        let whole = length_without_half_end(buffered);
        if whole > LONGEST_COMMAND {
            skipped += whole;
            wire.take(whole);
        }
        if skipped > MOST_SKIPPED {
            return Ok(Line::Garbage);
        }
        if !wire.fill()? {
            return Ok(Line::End);
        }
    };
    let line = wire.take(length + 2);
    if skipped > 0 || line.len() > LONGEST_COMMAND {
        return Ok(Line::TooLong);
    }
    Ok(Line::Whole(&line[..length]))
}

/// The next line of a message. [`ErrorKind::UnexpectedEof`] at the end of the input, also if it is
/// within a line.
pub(crate) fn text(wire: &mut Wire) -> io::Result<Text<'_>> {
    let (length, is_ended) = loop {
        let buffered = wire.buffered();
        let window = &buffered[..buffered.len().min(LONGEST_TEXT)];
        if let Some(length) = window.windows(2).position(|pair| pair == b"\r\n") {
            break (length, true);
        }
        if window.len() == LONGEST_TEXT {
            break (length_without_half_end(window), false);
        }
        if !wire.fill()? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    };
    let taken = if is_ended { length + 2 } else { length };
    Ok(Text { bytes: &wire.take(taken)[..length], is_ended })
}

fn length_without_half_end(bytes: &[u8]) -> usize {
    bytes.len() - usize::from(bytes.ends_with(b"\r"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use portcell_sdk::{Connection, Peer};

    use super::*;
    use crate::wire::CAPACITY;

    /// Reads that would wait are [`ErrorKind::WouldBlock`].
    fn wire() -> (Wire, Peer) {
        let (connection, peer) = Connection::pair();
        connection.set_read_timeout(Some(Duration::ZERO)).unwrap();
        (Wire::new(connection), peer)
    }

    #[test]
    fn commands_come_one_by_one_however_they_are_split() {
        let input = b"EHLO a\r\n\r\nQUIT\r\n";
        for cut in 0..input.len() {
            let (mut wire, mut peer) = wire();
            let mut lines = Vec::new();
            for part in [&input[..cut], &input[cut..]] {
                peer.write_all(part).unwrap();
                while let Ok(Line::Whole(line)) = command(&mut wire) {
                    lines.push(line.to_vec());
                }
            }
            assert_eq!(lines, [b"EHLO a".to_vec(), b"".to_vec(), b"QUIT".to_vec()], "{cut}");
            peer.finish();
            assert_eq!(command(&mut wire).unwrap(), Line::End);
        }
    }

    #[test]
    fn a_command_that_is_cut_by_the_end_is_none() {
        let (mut wire, mut peer) = wire();
        peer.write_all(b"QUIT\r").unwrap();
        peer.finish();
        assert_eq!(command(&mut wire).unwrap(), Line::End);
    }

    #[test]
    fn what_is_no_line_is_told_before_it_ends() {
        for input in
            [&b"QUIT\n"[..], b"\n", b"QUIT\rQUIT\r\n", b"\r\r\n", b"NO\0P\r\n", b"\x16\x03\x01"]
        {
            let (mut wire, mut peer) = wire();
            peer.write_all(input).unwrap();
            assert_eq!(command(&mut wire).unwrap(), Line::Garbage, "{input:?}");
        }
    }

    #[test]
    fn a_command_has_a_longest_length() {
        let (mut wire, mut peer) = wire();
        // CAPACITY - 1: the first read ends within the line end.
        for (length, fits) in [(553, true), (554, false), (CAPACITY - 1, false), (30_000, false)] {
            let line = vec![b'x'; length];
            peer.write_all(&line).unwrap();
            peer.write_all(b"\r\nQUIT\r\n").unwrap();
            let expected = if fits { Line::Whole(&line) } else { Line::TooLong };
            assert_eq!(command(&mut wire).unwrap(), expected, "{length}");
            assert_eq!(command(&mut wire).unwrap(), Line::Whole(b"QUIT"));
        }
    }

    #[test]
    fn a_command_without_an_end_is_not_skipped_for_ever() {
        let (mut wire, mut peer) = wire();
        peer.write_all(&vec![b'x'; 64 * 1024]).unwrap();
        assert_eq!(command(&mut wire).unwrap(), Line::Garbage);
    }

    #[test]
    fn lines_of_a_message_come_one_by_one_however_they_are_split() {
        let input = b"a\r\n\r\n.b\n\r\nc\rd\r\n";
        for cut in 0..input.len() {
            let (mut wire, mut peer) = wire();
            let mut lines = Vec::new();
            for part in [&input[..cut], &input[cut..]] {
                peer.write_all(part).unwrap();
                while let Ok(Text { bytes, is_ended: true }) = text(&mut wire) {
                    lines.push(bytes.to_vec());
                }
            }
            assert_eq!(lines, [&b"a"[..], b"", b".b\n", b"c\rd"], "{cut}");
            peer.finish();
            assert_eq!(text(&mut wire).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_long_line_comes_in_pieces_that_do_not_tear_its_end() {
        for length in 995..1005 {
            let (mut wire, mut peer) = wire();
            let line = vec![b'x'; length];
            peer.write_all(&line).unwrap();
            peer.write_all(b"\r\n").unwrap();
            let mut found = Vec::new();
            let mut is_over = false;
            while !is_over {
                let Text { bytes, is_ended } = text(&mut wire).unwrap();
                assert!(bytes.len() <= LONGEST_TEXT);
                found.extend_from_slice(bytes);
                is_over = is_ended;
            }
            assert_eq!(found, line);
            assert!(wire.buffered().is_empty());
        }
    }
}
