//! Writing: what the guest sends its peer, and until when it waits for that.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use portcell_abi::Errno;

use super::{Connection, Output, Socket};
use crate::account::Excess;

/// How far a write has come.
#[derive(Debug, Default)]
pub(crate) struct Writing {
    /// Bytes that are taken.
    done: usize,
    /// What it gives, when nothing but the delivery is left.
    outcome: Option<Result<usize, Errno>>,
}

impl Connection {
    /// Takes all of `buf`, unless an error or the guest's timeout comes in between; then it
    /// returns the count so far, and an error comes at the next call. Of datagrams one is sent,
    /// also an empty one, or `MsgSize`.
    pub async fn write(&mut self, buf: &[u8]) -> Result<usize, Errno> {
        let mut writing = Writing::default();
        poll_fn(|cx| self.poll_write(cx, buf, &mut writing)).await
    }

    /// As [`Connection::write`], but it does not wait, whatever the guest's timeout is: `Again` where
    /// nothing is taken.
    pub async fn write_now(&mut self, buf: &[u8]) -> Result<usize, Errno> {
        let (mut writing, at_once) = (Writing::default(), Some(Duration::ZERO));
        poll_fn(|cx| self.poll_write_within(cx, buf, &mut writing, at_once)).await
    }

    /// [`Connection::write`], as a future polls it: until it is ready, with the same `buf` and
    /// `writing`.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
        writing: &mut Writing,
    ) -> Poll<Result<usize, Errno>> {
        self.poll_write_within(cx, buf, writing, self.output_timeout)
    }

    fn poll_write_within(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
        writing: &mut Writing,
        timeout: Option<Duration>,
    ) -> Poll<Result<usize, Errno>> {
        let outcome = loop {
            if let Some(outcome) = writing.outcome {
                break outcome;
            }
            match ready!(self.poll_some(cx, &buf[writing.done..], timeout)) {
                Ok(written) => {
                    writing.done += written;
                    if writing.done == buf.len() {
                        writing.outcome = Some(Ok(writing.done));
                    }
                }
                Err(_) if writing.done > 0 => writing.outcome = Some(Ok(writing.done)),
                Err(errno) => writing.outcome = Some(Err(errno)),
            }
        };
        if timeout != Some(Duration::ZERO) {
            ready!(self.poll_deliver(cx, timeout));
        }
        self.waits_no_more();
        Poll::Ready(outcome)
    }

    /// Waits until the kernel has what was written. Errors are those of the next call.
    fn poll_deliver(&mut self, cx: &mut Context<'_>, timeout: Option<Duration>) -> Poll<()> {
        let Ok(socket @ Socket::Tls(_)) = self.link.socket() else { return Poll::Ready(()) };
        if socket.poll_flush(cx).is_ready() {
            self.account.write_moves();
            return Poll::Ready(());
        }
        self.account.write_waits();
        // What a timeout leaves over goes out beside the guest's later waits.
        if self.has_waited(timeout) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_some(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
        timeout: Option<Duration>,
    ) -> Poll<Result<usize, Errno>> {
        let Self { account, link, .. } = self;
        let socket = link.socket_mut()?;
        if self.output != Output::Open {
            return Poll::Ready(Err(Errno::Pipe));
        }
        if let Some(errno) = self.broken {
            // The first call after a reset says so, a later write finds a broken pipe: send(2).
            let errno = if errno == Errno::ConnReset { Errno::Pipe } else { errno };
            return Poll::Ready(Err(errno));
        }
        let longest = socket.longest_datagram();
        match longest {
            None if buf.is_empty() => return Poll::Ready(Ok(0)),
            Some(longest) if buf.len() > longest => return Poll::Ready(Err(Errno::MsgSize)),
            _ => {}
        }
        let room = self.most[1].saturating_sub(account.bytes_out());
        let fits = usize::try_from(room).map_or(buf.len(), |room| room.min(buf.len()));
        if fits < buf.len() && (fits == 0 || longest.is_some()) {
            account.exceeds(Excess::Out);
            return Poll::Pending;
        }
        let buf = &buf[..fits];
        let polled = match timeout {
            Some(Duration::ZERO) => Poll::Ready(socket.try_write(buf)),
            _ => socket.poll_write(cx, buf),
        };
        Poll::Ready(match polled {
            Poll::Pending => {
                account.write_waits();
                if !self.has_waited(timeout) {
                    return Poll::Pending;
                }
                Err(Errno::TimedOut)
            }
            // The kernel takes at least a byte or says why not.
            Poll::Ready(Ok(0)) if longest.is_none() => Err(Errno::Io),
            Poll::Ready(Ok(n)) => {
                account.wrote(n);
                account.write_moves();
                Ok(n)
            }
            // Lost, as on a network: nothing has moved, or a guest could keep at it for ever.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::QuotaExceeded => {
                Ok(buf.len())
            }
            Poll::Ready(Err(error)) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    account.write_moves();
                }
                Err(self.latch(&error))
            }
        })
    }
}
