//! Why a call of the host failed. The numbers are WASI's, also where the platform's differ.

use core::fmt;

use portcell_abi::Errno;

/// Why a call of the host failed. As small as a number; `?` makes it an `io::Error`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Error {
    /// As the host gave it, so that nothing has to be looked up on the way.
    errno: i32,
}

/// The table of the crate's front page.
impl Error {
    /// The peer is gone, or this half was ended, while writing.
    pub const BROKEN_PIPE: Self = Self::of(Errno::Pipe);
    /// The connection was closed by this side.
    pub const CLOSED: Self = Self::of(Errno::BadFd);
    /// A TLS stream ended without its end mark: it may have been cut.
    pub const CONNECTION_ABORTED: Self = Self::of(Errno::ConnAborted);
    /// The peer is gone, while reading.
    pub const CONNECTION_RESET: Self = Self::of(Errno::ConnReset);
    /// An argument is out of its range.
    pub const INVALID_INPUT: Self = Self::of(Errno::Inval);
    /// There is no peer: this is a trial run, or a flow is over.
    pub const NOT_CONNECTED: Self = Self::of(Errno::NotConn);
    /// There is no such fact here.
    pub const NOT_FOUND: Self = Self::of(Errno::NoEnt);
    /// A bound of the handler ran out.
    pub const TIMED_OUT: Self = Self::of(Errno::TimedOut);
    /// A datagram is longer than the protocol allows, or a fact longer than the buffer for it.
    pub const TOO_LONG: Self = Self::of(Errno::MsgSize);
    /// The transport failed in another way.
    pub const TRANSPORT: Self = Self::of(Errno::Io);
    /// The host's configuration does not offer it.
    pub const UNSUPPORTED: Self = Self::of(Errno::NotSup);
    /// A bound of zero, and nothing could be done.
    pub const WOULD_BLOCK: Self = Self::of(Errno::Again);

    const fn of(errno: Errno) -> Self {
        Self { errno: errno as i32 }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::BROKEN_PIPE => "broken pipe",
            Self::CLOSED => "the connection is closed",
            Self::CONNECTION_ABORTED => "connection aborted",
            Self::CONNECTION_RESET => "connection reset",
            Self::INVALID_INPUT => "invalid input parameter",
            Self::NOT_CONNECTED => "not connected",
            Self::NOT_FOUND => "entity not found",
            Self::TIMED_OUT => "timed out",
            Self::TOO_LONG => "too long",
            Self::UNSUPPORTED => "unsupported",
            Self::WOULD_BLOCK => "operation would block",
            _ => "the transport failed",
        }
    }
}

/// The count in a result of an import, or why there is none.
#[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "the pipe gives errnos"))]
#[inline]
pub(crate) fn count(result: i32) -> Result<usize, Error> {
    usize::try_from(result).map_err(|_| Error { errno: result.wrapping_neg() })
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Error").field(&self.message()).finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.message())
    }
}

impl core::error::Error for Error {}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::of(errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_a_count_or_an_error() {
        assert_eq!(count(0), Ok(0));
        assert_eq!(count(i32::MAX), Ok(2_147_483_647));
        assert_eq!(count(-6), Err(Error::WOULD_BLOCK));
        // Not in the contract.
        let unknown = count(i32::MIN).unwrap_err();
        assert_eq!(unknown.to_string(), "the transport failed");
    }
}
