//! What the SDK has of std: `Read` and `Write`, `io::Error`, and facts on the heap. Not there in a
//! handler that is built for wasm without the feature `std`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use portcell_abi::shutdown;

use crate::address::Address;
use crate::connection::{Connection, Reader, Writer};
use crate::error::Error;
use crate::start_tls::StartTlsError;
use crate::sys::Handle;

/// Longer than any address: the path of a Unix socket has at most 107 bytes.
const SHORT_FACT: usize = 128;

impl Error {
    /// The kind that it has as an [`io::Error`].
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::BROKEN_PIPE => ErrorKind::BrokenPipe,
            Self::CLOSED | Self::NOT_CONNECTED => ErrorKind::NotConnected,
            Self::CONNECTION_ABORTED => ErrorKind::ConnectionAborted,
            Self::CONNECTION_RESET => ErrorKind::ConnectionReset,
            Self::INVALID_INPUT | Self::TOO_LONG => ErrorKind::InvalidInput,
            Self::NOT_FOUND => ErrorKind::NotFound,
            Self::TIMED_OUT => ErrorKind::TimedOut,
            Self::UNSUPPORTED => ErrorKind::Unsupported,
            Self::WOULD_BLOCK => ErrorKind::WouldBlock,
            _ => ErrorKind::Other,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error.kind() {
            // Several of ours are of one kind, or it says less.
            ErrorKind::InvalidInput | ErrorKind::NotConnected | ErrorKind::Other => {
                Self::new(error.kind(), error)
            }
            kind => kind.into(),
        }
    }
}

impl Connection {
    /// Where the peer is. Behind a Unix socket: which process it is.
    ///
    /// [`ErrorKind::NotConnected`] in a trial run, which has no peer.
    pub fn peer_address(&self) -> io::Result<Address> {
        self.address("peer.address")
    }

    /// The address that the peer connected to; an error as for
    /// [`peer_address`](Self::peer_address).
    pub fn local_address(&self) -> io::Result<Address> {
        self.address("local.address")
    }

    /// A fact about the connection by its name in the contract, such as `tls.server_name`. `None`
    /// if it does not exist here.
    pub fn info(&self, name: &str) -> Option<String> {
        info(self.handle(), name)
    }

    /// Ends a direction, or both. After `Write` the peer reads the end; after `Read` reads give
    /// the end. Ending a direction again is fine.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => shutdown::READ,
            Shutdown::Write => shutdown::WRITE,
            Shutdown::Both => shutdown::BOTH,
        };
        Ok(self.handle().shutdown(how)?)
    }

    fn address(&self, name: &str) -> io::Result<Address> {
        let mut buffer = [0; SHORT_FACT];
        let fact = str::from_utf8(self.fact(name, &mut buffer)?);
        Ok(Address::from_fact(fact.map_err(|_| ErrorKind::InvalidData)?))
    }
}

impl Read for Connection {
    /// As for [`Reader`].
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv(buf)?.unwrap_or_default())
    }
}

impl Write for Connection {
    /// As for [`Writer`].
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(self.handle().write(buf)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader {
    /// As [`Connection::info`].
    pub fn info(&self, name: &str) -> Option<String> {
        info(self.handle(), name)
    }
}

impl Read for Reader {
    /// One call of the host, which waits until there is something.
    ///
    /// The end of a stream is 0, and so is the end of a flow. A datagram is read whole, cut to
    /// `buf`; an empty one is 0 as well, so what must tell it from the end uses
    /// [`recv`](Self::recv).
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv(buf)?.unwrap_or_default())
    }
}

impl Write for Writer {
    /// One call of the host. It takes all of `buf`, unless an error or the end of the bound came
    /// in between; then it gives the count so far. Over UDP it sends one datagram.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(self.handle().write(buf)?)
    }

    /// Does nothing: the host sends what it holds when the handler next waits or ends.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StartTlsError {
    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.error().kind()
    }
}

impl From<StartTlsError> for io::Error {
    fn from(error: StartTlsError) -> Self {
        match error.reason() {
            Some(reason) => Self::new(error.kind(), reason),
            None => error.error().into(),
        }
    }
}

fn info(handle: &Handle, name: &str) -> Option<String> {
    let mut buffer = vec![0; SHORT_FACT];
    loop {
        let length = handle.info(name, &mut buffer).ok()?;
        if length <= buffer.len() {
            buffer.truncate(length);
            return Some(String::from_utf8_lossy(&buffer).into_owned());
        }
        buffer.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use portcell_abi::Errno;

    use super::*;

    #[test]
    fn every_errno_has_the_kind_that_std_gives_it() {
        let kinds =
            Errno::ALL.map(|errno| (errno.name(), io::Error::from(Error::from(errno)).kind()));
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
    fn an_error_says_the_same_with_std_and_without() {
        for errno in Errno::ALL {
            let error = Error::from(errno);
            assert_eq!(error.to_string(), io::Error::from(error).to_string());
        }
    }
}
