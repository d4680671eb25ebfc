//! Replies (RFC 5321 section 4.2): a code, and text for people.

use std::borrow::Cow;
use std::fmt;

/// One reply. Displays as it is sent, with its line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    code: u16,
    text: Cow<'static, str>,
}

impl Reply {
    /// `text` may have several lines.
    pub(crate) fn new(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    /// Whether it says that the client has made a mistake.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code >= 500
    }

    /// Whether the connection ends after it (RFC 5321 section 3.8).
    pub(crate) fn is_last(&self) -> bool {
        matches!(self.code, 221 | 421)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.text.lines().peekable();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { '-' } else { ' ' };
            write!(f, "{}{mark}{line}\r\n", self.code)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_code_and_the_last_one_a_space() {
        assert_eq!(Reply::new(250, "ok").to_string(), "250 ok\r\n");
        assert_eq!(Reply::new(250, "a\nb\nc").to_string(), "250-a\r\n250-b\r\n250 c\r\n");
    }
}
