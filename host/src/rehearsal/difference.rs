//! What came and what was expected, for people and for machines.

use std::fmt;
use std::time::Duration;

use super::bytes::around;
use super::client::Missing;
use super::log::Line;
use super::mode::Mode;
use crate::config::display_duration;
use crate::exit::Exit;

/// The first difference between a conversation and its script.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The line of the script.
    pub line: usize,
    /// How it was played.
    pub mode: Mode,
    /// What is different.
    pub(super) what: What,
    /// How the handler ended, if it did.
    pub exit: Option<Exit>,
    /// The guest's functions that were running when it trapped, from the innermost.
    pub backtrace: Vec<String>,
    /// What the guest has written into its log, the last lines of it.
    pub log: Vec<Line>,
}

/// What is different. An offset counts in all that the handler sends.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// Other bytes; the first so many are as expected.
    Other { expected: Vec<u8>, came: Vec<u8>, same: usize, offset: usize },
    /// Not all of the bytes.
    Missing { expected: Vec<u8>, came: Vec<u8>, offset: usize, missing: Missing },
    /// A line that the expression does not match.
    Line { expression: String, line: Vec<u8>, offset: usize },
    /// No whole line.
    MissingLine { expression: String, came: Vec<u8>, offset: usize, missing: Missing },
    /// Bytes where the end was expected.
    Surplus { came: Vec<u8>, offset: usize },
    /// No end.
    MissingEnd(Missing),
    /// Another exit.
    Exit(String),
    /// No exit, so long after the client had left.
    Stays(Duration),
    /// After a reset, the handler had sent what it does not send otherwise.
    Strays { expected: Vec<u8>, came: Vec<u8>, same: usize },
}

impl Difference {
    /// Where it begins in what the handler sends, in bytes; `None` if it is not about bytes.
    pub fn offset(&self) -> Option<usize> {
        match &self.what {
            What::Other { same, offset, .. } => Some(offset + same),
            What::Missing { came, offset, .. } | What::MissingLine { came, offset, .. } => {
                Some(offset + came.len())
            }
            What::Line { offset, .. } | What::Surplus { offset, .. } => Some(*offset),
            What::Strays { same, .. } => Some(*same),
            What::MissingEnd(_) | What::Exit(_) | What::Stays(_) => None,
        }
    }

    /// What was expected: bytes as a string of a script, those around the place.
    pub fn expected(&self) -> String {
        match &self.what {
            What::Other { expected, same, .. } | What::Strays { expected, same, .. } => {
                around(expected, *same)
            }
            What::Missing { expected, came, .. } => around(expected, came.len()),
            What::Line { expression, .. } | What::MissingLine { expression, .. } => {
                format!("a line that matches /{expression}/")
            }
            What::Surplus { .. } | What::MissingEnd(_) => "the end".to_owned(),
            What::Exit(expected) => format!("exit {expected}"),
            What::Stays(_) => "the handler's end".to_owned(),
        }
    }

    /// What came, in the same words.
    pub fn came(&self) -> String {
        match &self.what {
            What::Other { came, same, .. } | What::Strays { came, same, .. } => around(came, *same),
            What::Line { line, .. } => around(line, 0),
            What::Surplus { came, .. } => around(came, 0),
            What::Missing { came, missing, .. } | What::MissingLine { came, missing, .. } => {
                if came.is_empty() {
                    missing.to_string()
                } else {
                    format!("{} and then {missing}", around(came, came.len()))
                }
            }
            What::MissingEnd(missing) => missing.to_string(),
            What::Exit(_) => match &self.exit {
                Some(exit) => format!("exit {}", exit.kind()),
                None => "none".to_owned(),
            },
            What::Stays(patience) => {
                format!("nothing: it has not ended in {}", display_duration(*patience))
            }
        }
    }
}

/// Several lines, with what is known of the guest.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}", self.line, self.mode)?;
        if let Some(offset) = self.offset() {
            write!(f, ", byte {offset} of what the handler sends")?;
        }
        write!(f, "\n  expected  {}\n  came      {}", self.expected(), self.came())?;
        match &self.exit {
            Some(exit) => write!(f, "\n  handler   {exit}")?,
            None => f.write_str("\n  handler   has not ended")?,
        }
        for function in &self.backtrace {
            write!(f, "\n            in {function}")?;
        }
        for (at, line) in self.log.iter().enumerate() {
            let name = if at == 0 { "its log" } else { "" };
            write!(f, "\n  {name:<9} {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the end"),
            Self::Reset => f.write_str("a reset"),
            Self::Silent(patience) => write!(f, "nothing for {}", display_duration(*patience)),
        }
    }
}
