//! How a conversation can be played.

use std::fmt;

use super::client::Manner;
use crate::connection::Cut;

/// Bytes that a handler can write before its client reads, where that is not what is tried.
const ROOM: usize = 64 << 10;

/// How a conversation is played. Handlers must not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As it is written, each `send` one write.
    Plain,
    /// Each byte is a write of its own, which the handler reads before the next.
    Bytewise,
    /// What nothing keeps apart is one write.
    Merged,
    /// The client has room for one byte, and reads one at a time.
    SlowReader,
    /// The client resets when the handler has read so many bytes.
    ResetAfterRead(u64),
    /// The client resets when the handler has written so many bytes.
    ResetAfterWritten(u64),
    /// The client ends its side when the handler has read so many bytes.
    EndAfterRead(u64),
}

impl Mode {
    /// Those in which everything has to be the same.
    pub(super) const OTHERS: [Self; 3] = [Self::Bytewise, Self::Merged, Self::SlowReader];

    /// How the client goes about it.
    pub(super) const fn manner(self) -> Manner {
        Manner {
            sends_bytewise: matches!(self, Self::Bytewise),
            reads: if matches!(self, Self::SlowReader) { 1 } else { ROOM },
        }
    }

    /// Bytes that the handler can write before the client reads.
    pub(super) const fn room(self) -> usize {
        if matches!(self, Self::SlowReader) { 1 } else { ROOM }
    }

    /// Where the client leaves early, if it does.
    pub(super) const fn cut(self) -> Option<Cut> {
        match self {
            Self::ResetAfterRead(at) => Some(Cut::ResetAfterRead(at)),
            Self::ResetAfterWritten(at) => Some(Cut::ResetAfterWritten(at)),
            Self::EndAfterRead(at) => Some(Cut::EndAfterRead(at)),
            _ => None,
        }
    }

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Bytewise => "bytewise",
            Self::Merged => "merged",
            Self::SlowReader => "slow_reader",
            Self::ResetAfterRead(_) => "reset_after_read",
            Self::ResetAfterWritten(_) => "reset_after_written",
            Self::EndAfterRead(_) => "end_after_read",
        }
    }

    /// Where the client leaves, in bytes.
    pub const fn at(self) -> Option<u64> {
        match self {
            Self::ResetAfterRead(at) | Self::ResetAfterWritten(at) | Self::EndAfterRead(at) => {
                Some(at)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("as it is written"),
            Self::Bytewise => f.write_str("sent one byte per write"),
            Self::Merged => f.write_str("sent all at once"),
            Self::SlowReader => f.write_str("read one byte at a time"),
            Self::ResetAfterRead(at) => write!(f, "reset after it has read {}", bytes(*at)),
            Self::ResetAfterWritten(at) => write!(f, "reset after it has written {}", bytes(*at)),
            Self::EndAfterRead(at) => write!(f, "ended after it has read {}", bytes(*at)),
        }
    }
}

fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}
