//! A line of the log without a heap.

use core::fmt::{self, Write as _};

/// A line that is cut where its bound is.
pub(crate) struct Line {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Line {
    /// As long as the host has lines of a log, unless it is configured otherwise.
    const LONGEST: usize = 1024;

    pub(crate) fn of(message: fmt::Arguments<'_>) -> Self {
        let mut line = Self { bytes: [0; Self::LONGEST], length: 0 };
        // An error is that of the bound.
        let _ = line.write_fmt(message);
        line
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Write for Line {
    /// An error, and the beginning of `text`, if it does not fit.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let fitting = text.floor_char_boundary(room.len());
        room[..fitting].copy_from_slice(&text.as_bytes()[..fitting]);
        self.length += fitting;
        if fitting < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: fmt::Arguments<'_>) -> String {
        String::from_utf8(Line::of(message).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_what_was_formatted() {
        assert_eq!(line(format_args!("{} and {}", 1, "two")), "1 and two");
    }

    #[test]
    fn a_line_is_cut_at_its_bound_and_nothing_comes_behind() {
        let long = "x".repeat(Line::LONGEST - 1);
        assert_eq!(line(format_args!("{long}{}", "y")), format!("{long}y"));
        assert_eq!(line(format_args!("{long}{}{}", "yz", "!")), format!("{long}y"));
    }

    #[test]
    fn a_line_is_not_cut_within_a_character() {
        let long = "x".repeat(Line::LONGEST - 1);
        assert_eq!(line(format_args!("{long}{}{}", "\u{e9}", "!")), long);
    }
}
