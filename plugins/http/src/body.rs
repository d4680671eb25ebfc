//! The body of a request as it comes in: of a known length, or chunked (RFC 9112 sections 6, 7).
//!
//! Nothing is gathered: a body is handed on in pieces of what the wire holds. Chunk extensions and
//! trailers are read and dropped.

use crate::failure::Failure;
use crate::wire::Wire;

/// The longest body that is taken, in bytes. Longer ones are 413 or, where the answer has begun,
/// the end of the connection.
pub(crate) const MAX_BODY: u64 = 8 * 1024 * 1024;

/// How much of a body that nobody wants is read and dropped to keep the connection, in bytes.
const MAX_DISCARDED: u64 = 64 * 1024;

/// The longest line with the size of a chunk and its extensions, in bytes.
const MAX_SIZE_LINE: usize = 256;

/// The longest trailer section, in bytes, and so the longest line in it.
const MAX_TRAILERS: usize = 4 * 1024;

pub(crate) struct Body {
    state: State,
    /// The client sends nothing before it is asked to (RFC 9110 section 10.1.1).
    waits_for_continue: bool,
    taken: u64,
}

enum State {
    /// So many bytes are left of a body of a known length; 0 is the end of any body.
    Length(u64),
    /// The line with the size of the next chunk follows.
    Size,
    /// So many bytes are left of a chunk; after them, an empty line.
    Chunk(u64),
    /// Trailers follow; they may still have so many bytes.
    Trailers(usize),
}

impl Body {
    pub(crate) fn of_length(length: u64, waits_for_continue: bool) -> Self {
        let waits_for_continue = waits_for_continue && length > 0;
        Self { state: State::Length(length), waits_for_continue, taken: 0 }
    }

    pub(crate) fn chunked(waits_for_continue: bool) -> Self {
        Self { state: State::Size, waits_for_continue, taken: 0 }
    }

    /// How long the body is, before any of it is taken; `None` if only its end will tell.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.state {
            State::Length(length) => Some(length),
            _ => None,
        }
    }

    /// Waits for the next piece, asking for it where the client waits for that. So many bytes at
    /// the front of the wire's input are body, and the caller takes them before it calls again; 0
    /// is the end.
    ///
    /// What is wrong with the body is refused, also when it ends too early or is longer than
    /// [`MAX_BODY`].
    pub(crate) fn next(&mut self, wire: &mut Wire) -> Result<usize, Failure> {
        loop {
            match self.state {
                State::Length(0) => return Ok(0),
                State::Length(left) => {
                    let count = self.piece(left, wire)?;
                    self.state = State::Length(left - count as u64);
                    return Ok(count);
                }
                State::Size => {
                    let size = chunk_size(self.line(MAX_SIZE_LINE, wire)?)?;
                    self.state = match size {
                        0 => State::Trailers(MAX_TRAILERS),
                        size => State::Chunk(size),
                    };
                }
                State::Chunk(0) => {
                    if !self.line(2, wire)?.is_empty() {
                        return Err(Failure::bad("A chunk is longer than its size."));
                    }
                    self.state = State::Size;
                }
                State::Chunk(left) => {
                    let count = self.piece(left, wire)?;
                    self.state = State::Chunk(left - count as u64);
                    return Ok(count);
                }
                State::Trailers(left) => {
                    let length = self.line(left, wire)?.len();
                    self.state = match length {
                        0 => State::Length(0),
                        _ => State::Trailers(left.saturating_sub(length + 2)),
                    };
                }
            }
        }
    }

    /// Takes what is left and drops it, so that the next request can be read. False if it is too
    /// long for that, or if the client still waits to be asked for it.
    pub(crate) fn discard(&mut self, wire: &mut Wire) -> Result<bool, Failure> {
        if self.waits_for_continue || self.length().is_some_and(|left| left > MAX_DISCARDED) {
            return Ok(false);
        }
        let before = self.taken;
        loop {
            let count = self.next(wire)?;
            if count == 0 {
                return Ok(true);
            }
            wire.skip(count);
            if self.taken - before > MAX_DISCARDED {
                return Ok(false);
            }
        }
    }

    /// As much of the next `left` bytes as is there, and one at least.
    fn piece(&mut self, left: u64, wire: &mut Wire) -> Result<usize, Failure> {
        if self.taken.saturating_add(left) > MAX_BODY {
            return Err(Failure::refused(413, "The body of a request may have 8 MiB."));
        }
        if wire.buffered().is_empty() {
            self.fill(wire)?;
        }
        let there = wire.buffered().len();
        let count = usize::try_from(left).map_or(there, |left| left.min(there));
        self.taken += count as u64;
        Ok(count)
    }

    /// Takes a line of at most `max` bytes with its CRLF, which is cut off.
    ///
    /// A line that ends with LF alone, or has a CR in it, is refused: some readers take these for
    /// the end of a line and some do not.
    fn line<'wire>(&mut self, max: usize, wire: &'wire mut Wire) -> Result<&'wire [u8], Failure> {
        let mut searched = 0;
        let length = loop {
            let bytes = wire.buffered();
            let bytes = &bytes[..bytes.len().min(max)];
            if let Some(end) = bytes[searched..].iter().position(|&byte| byte == b'\n') {
                break searched + end + 1;
            }
            if bytes.len() == max {
                return Err(Failure::bad("A line of a chunked body is too long."));
            }
            searched = bytes.len();
            self.fill(wire)?;
        };
        let line = wire.take(length);
        match line {
            [line @ .., b'\r', b'\n'] if !line.contains(&b'\r') => Ok(line),
            _ => Err(Failure::bad("Lines of a chunked body end with CRLF.")),
        }
    }

    fn fill(&mut self, wire: &mut Wire) -> Result<(), Failure> {
        if self.waits_for_continue {
            self.waits_for_continue = false;
            if wire.buffered().is_empty() {
                wire.output().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
        }
        if wire.fill()? { Ok(()) } else { Err(Failure::bad("The body ended too early.")) }
    }
}

/// The size at the start of a line, before the extensions (RFC 9112 section 7.1.1).
fn chunk_size(line: &[u8]) -> Result<u64, Failure> {
    let wrong = || Failure::bad("A chunk has no size that can be understood.");
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, extensions) = line.split_at(end);
    if !matches!(extensions.trim_ascii_start(), [] | [b';', ..]) {
        return Err(wrong());
    }
    let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
    u64::from_str_radix(digits, 16).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(line: &str) -> Option<u64> {
        chunk_size(line.as_bytes()).ok()
    }

    #[test]
    fn the_size_of_a_chunk_is_hexadecimal() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("1a"), Some(26));
        assert_eq!(size("00FF"), Some(255));
        assert_eq!(size("5;name=value"), Some(5));
        assert_eq!(size("5 ; name"), Some(5));
        assert_eq!(size("ffffffffffffffff"), Some(u64::MAX));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for line in ["", ";a", " 5", "+5", "-5", "0x5", "5g", "5 5", "10000000000000000", "5\0"] {
            assert_eq!(size(line), None, "{line:?}");
        }
    }
}
