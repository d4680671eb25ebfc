//! Reading: what the guest gets of its peer's bytes, and what it waits for.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use portcell_abi::Errno;

use super::{Connection, Input};
use crate::account::Excess;

impl Connection {
    /// Waits until something is there: 1 to `buf.len()` bytes, or 0 at the peer's end of stream
    /// and for an empty `buf`. Of datagrams the next one, cut to `buf`; 0 for an empty one, and
    /// `NotConn` when the flow is over.
    pub async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// As [`Connection::read`], but it does not wait, whatever the guest's timeout is: `Again` where
    /// nothing is there.
    pub async fn read_now(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        poll_fn(|cx| self.poll_read_within(cx, buf, Some(Duration::ZERO))).await
    }

    /// [`Connection::read`], as a future polls it: until it is ready, with the same `buf`.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, Errno>> {
        self.poll_read_within(cx, buf, self.input_timeout)
    }

    fn poll_read_within(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        timeout: Option<Duration>,
    ) -> Poll<Result<usize, Errno>> {
        self.flush();
        let datagrams = self.link.socket()?.has_datagrams();
        if buf.is_empty() && !datagrams {
            return Poll::Ready(Ok(0));
        }
        match self.take_held(buf) {
            Some(read) => Poll::Ready(Ok(read)),
            None => self.poll_receive(cx, buf, timeout),
        }
    }

    /// What is not held, but comes from the socket. With a timeout of zero it does not wait.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        timeout: Option<Duration>,
    ) -> Poll<Result<usize, Errno>> {
        let received = ready!(self.poll_socket(cx, buf, timeout));
        self.waits_no_more();
        Poll::Ready(received)
    }

    fn poll_socket(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        timeout: Option<Duration>,
    ) -> Poll<Result<usize, Errno>> {
        let Self { account, link, .. } = self;
        let socket = link.socket_mut()?;
        let datagrams = socket.has_datagrams();
        let no_more = if datagrams { Err(Errno::NotConn) } else { Ok(0) };
        if self.input != Input::Open {
            return Poll::Ready(no_more);
        }
        if let Some(errno) = self.broken {
            return Poll::Ready(Err(errno));
        }
        let room = self.most[0].saturating_sub(account.bytes_in());
        // Whether there is more than may be read is known when a byte of it is.
        let mut beyond = [0];
        let buf = match usize::try_from(room) {
            Ok(0) if !datagrams => &mut beyond[..],
            Ok(room) if !datagrams && room < buf.len() => &mut buf[..room],
            _ => buf,
        };
        let polled = match timeout {
            Some(Duration::ZERO) => Poll::Ready(socket.try_read(buf)),
            _ => socket.poll_read(cx, buf),
        };
        let is_there = match &polled {
            Poll::Pending => false,
            Poll::Ready(Err(error)) => error.kind() != io::ErrorKind::WouldBlock,
            Poll::Ready(Ok(_)) => true,
        };
        if !is_there && self.drain_ends_input && account.is_draining() {
            self.input = Input::Unwanted;
            return Poll::Ready(no_more);
        }
        match polled {
            Poll::Pending => {
                account.write_moves();
                account.waits_for_peer();
                if self.has_waited(timeout) {
                    Poll::Ready(Err(Errno::TimedOut))
                } else {
                    Poll::Pending
                }
            }
            Poll::Ready(Ok(0)) if !datagrams => {
                self.input = Input::Ended;
                Poll::Ready(Ok(0))
            }
            Poll::Ready(Ok(n)) if n as u64 > room => {
                account.exceeds(Excess::In);
                Poll::Pending
            }
            Poll::Ready(Ok(n)) => {
                account.read(n);
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.latch(&error))),
        }
    }
}
