//! Why a conversation cannot go on.

use std::io;

pub(crate) enum Failure {
    /// The request is at fault: it gets an answer, and because nobody can tell where the next one
    /// begins, the connection ends.
    Refused {
        /// The status of the answer.
        status: u16,
        /// A sentence for whoever reads the answer.
        reason: &'static str,
    },
    /// The connection broke, or a file could not be read to its end.
    Broken(io::Error),
}

impl Failure {
    pub(crate) fn refused(status: u16, reason: &'static str) -> Self {
        Self::Refused { status, reason }
    }

    pub(crate) fn bad(reason: &'static str) -> Self {
        Self::refused(400, reason)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}
