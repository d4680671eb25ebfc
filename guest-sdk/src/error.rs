//! From the host's errnos to `io::Error`. The numbers are WASI's, also where the platform's differ.

use std::io::{self, ErrorKind};

use portcell_abi::Errno;

/// The count in a result of an import, or its errno. A number that is not in the contract is
/// [`Errno::Io`].
#[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "the pipe gives errnos"))]
pub(crate) fn count(result: i32) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::from_result(result).unwrap_or(Errno::Io))
}

/// The table of the crate's front page.
pub(crate) fn error(errno: Errno) -> io::Error {
    match errno {
        Errno::Again => ErrorKind::WouldBlock.into(),
        Errno::BadFd => io::Error::new(ErrorKind::NotConnected, "the connection is closed"),
        Errno::ConnAborted => ErrorKind::ConnectionAborted.into(),
        Errno::ConnReset => ErrorKind::ConnectionReset.into(),
        Errno::Inval => ErrorKind::InvalidInput.into(),
        Errno::Io => io::Error::other("the transport failed"),
        Errno::MsgSize => io::Error::new(ErrorKind::InvalidInput, "the datagram is too long"),
        Errno::NoEnt => ErrorKind::NotFound.into(),
        Errno::NotConn => ErrorKind::NotConnected.into(),
        Errno::NotSup => ErrorKind::Unsupported.into(),
        Errno::Pipe => ErrorKind::BrokenPipe.into(),
        Errno::TimedOut => ErrorKind::TimedOut.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_has_the_kind_that_std_gives_it() {
        let kinds = Errno::ALL.map(|errno| (errno.name(), error(errno).kind()));
        assert_eq!(
            kinds,
            [
                ("EAGAIN", ErrorKind::WouldBlock),
                ("EBADF", ErrorKind::NotConnected),
                ("ECONNABORTED", ErrorKind::ConnectionAborted),
                ("ECONNRESET", ErrorKind::ConnectionReset),
                ("EINVAL", ErrorKind::InvalidInput),
                ("EIO", ErrorKind::Other),
                ("EMSGSIZE", ErrorKind::InvalidInput),
                ("ENOENT", ErrorKind::NotFound),
                ("ENOTCONN", ErrorKind::NotConnected),
                ("ENOTSUP", ErrorKind::Unsupported),
                ("EPIPE", ErrorKind::BrokenPipe),
                ("ETIMEDOUT", ErrorKind::TimedOut),
            ]
        );
    }

    #[test]
    fn a_result_is_a_count_or_an_errno() {
        assert_eq!(count(0), Ok(0));
        assert_eq!(count(i32::MAX), Ok(2_147_483_647));
        assert_eq!(count(-6), Err(Errno::Again));
        assert_eq!(count(-1), Err(Errno::Io));
    }
}
