//! What ciphertext travels over, as the reader and writer that rustls asks for.

use std::io::{self, ErrorKind, IoSlice};
use std::task::{Context, Poll};

use super::Socket;

/// Registers the task when there is nothing, as `poll` functions do.
pub(super) struct Polled<'a, 'b, 'c> {
    pub(super) socket: &'a mut Socket,
    pub(super) cx: &'b mut Context<'c>,
}

/// Keeps what is read.
pub(super) struct Copied<'a, R>(pub(super) &'a mut R, pub(super) &'a mut Vec<u8>);

/// Asks the kernel itself, and registers nobody.
pub(super) struct AtOnce<'a>(pub(super) &'a Socket);

/// As far as tokio knows, and tells tokio when there is nothing.
pub(super) struct Known<'a>(pub(super) &'a Socket);

/// For writing: registers the task when the kernel takes no more.
pub(super) struct Waiting<'a, 'b, 'c> {
    pub(super) socket: &'a Socket,
    pub(super) cx: &'b mut Context<'c>,
}

impl io::Read for Polled<'_, '_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.socket.poll_read(self.cx, buf) {
            Poll::Ready(read) => read,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl<R: io::Read> io::Read for Copied<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buf)?;
        self.1.extend_from_slice(&buf[..read]);
        Ok(read)
    }
}

impl io::Read for AtOnce<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.receive(buf)
    }
}

impl io::Read for Known<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.take(buf)
    }
}

impl io::Write for AtOnce<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.send(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.send(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Write for Waiting<'_, '_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.socket.poll_send(self.cx, bufs) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
