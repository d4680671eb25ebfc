//! TLS over a stream, as one of the transports of a connection: it gives and takes plaintext.
//!
//! Records that carry none (tickets, key updates, alerts) are dealt with on the way and are not
//! seen by anybody who waits. Early data is never accepted.

mod accept;
mod certificate;
mod secured;
mod session;
mod wire;

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use super::socket::{KernelEvents, Socket};

pub use self::accept::{HandshakeError, accept};
pub use self::certificate::PeerCertificate;
pub use self::secured::Secured;
use self::session::Session;
use self::wire::{AtOnce, Known, Polled, Waiting};

/// How many times the kernel is asked for more ciphertext by a call that may not wait. Without a
/// bound, a peer that sends records with nothing in them could hold it up.
const AT_ONCE: usize = 64;

/// A stream with TLS on it, whose handshake is done.
#[derive(Debug)]
pub struct Tls {
    /// TCP or Unix.
    wire: Socket,
    /// Only the connection's own task has it: nobody ever waits for the lock. It is there because
    /// records are taken in also where a wait on `wire` has it borrowed.
    session: Mutex<Session>,
    secured: Arc<Secured>,
}

impl Tls {
    fn new(wire: Socket, session: Session, secured: Arc<Secured>) -> Self {
        Self { wire, session: Mutex::new(session), secured }
    }

    /// What it runs over.
    pub(super) const fn wire(&self) -> &Socket {
        &self.wire
    }

    pub(super) fn into_wire(self) -> Socket {
        self.wire
    }

    /// What the handshake has agreed on.
    pub(super) const fn secured(&self) -> &Arc<Secured> {
        &self.secured
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let session = self.session.get_mut().unwrap_or_else(PoisonError::into_inner);
        while !session.has_input() {
            let received = session.receive(&mut Polled { socket: &mut self.wire, cx });
            // Answers, as to a key update, go out beside the waiting, and their errors are those
            // of the next write.
            let _ = flush(session, &self.wire, &mut Waiting { socket: &self.wire, cx });
            if received.is_err() {
                return Poll::Pending;
            }
        }
        Poll::Ready(session.read(buf))
    }

    pub(super) fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session();
        self.receive_at_once(&mut session);
        session.read(buf)
    }

    /// What was encrypted before is sent first, so that little waits here.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut session = self.session();
        ready!(self.poll_flush_of(&mut session, cx))?;
        let written = session.write(buf)?;
        // What is not taken now is what `poll_flush` is for, and so are errors: this was written.
        let _ = self.poll_flush_of(&mut session, cx);
        Poll::Ready(Ok(written))
    }

    pub(super) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut session = self.session();
        flush(&mut session, &self.wire, &mut AtOnce(&self.wire))?;
        let written = session.write(buf)?;
        let _ = flush(&mut session, &self.wire, &mut AtOnce(&self.wire));
        Ok(written)
    }

    /// Ready when the kernel has taken all that was written, and the end if that was asked for.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush_of(&mut self.session(), cx)
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut session = self.session();
        while !session.has_input() {
            if ready!(self.wire.poll_input(cx)).is_err() {
                break;
            }
            // When nothing is there, tokio has been told, and waits above.
            let _ = session.receive(&mut Known(&self.wire));
            let _ = flush(&mut session, &self.wire, &mut AtOnce(&self.wire));
        }
        Poll::Ready(())
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.poll_flush(cx)).is_err() {
            return Poll::Ready(());
        }
        self.wire.poll_writable(cx)
    }

    pub(super) fn events(&self) -> KernelEvents {
        let mut session = self.session();
        self.receive_at_once(&mut session);
        let kernel = self.wire.events();
        KernelEvents {
            readable: session.has_input(),
            writable: kernel.writable && !session.wants_write() || session.has_failed(),
            failed: kernel.failed || session.has_failed(),
            over: kernel.over,
        }
    }

    /// Tells the peer that nothing more will come, with `close_notify` and then the end of the
    /// transport, as far as the kernel takes it now.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        let mut session = self.session();
        session.end();
        if !session.wants_write() {
            // Behind an alert there is no goodbye.
            return self.wire.shutdown_write();
        }
        match flush(&mut session, &self.wire, &mut AtOnce(&self.wire)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            flushed => flushed,
        }
    }

    fn poll_flush_of(&self, session: &mut Session, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match flush(session, &self.wire, &mut Waiting { socket: &self.wire, cx }) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            flushed => Poll::Ready(flushed),
        }
    }

    fn receive_at_once(&self, session: &mut Session) {
        for _ in 0..AT_ONCE {
            if session.has_input() || session.receive(&mut AtOnce(&self.wire)).is_err() {
                break;
            }
        }
        let _ = flush(session, &self.wire, &mut AtOnce(&self.wire));
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what there is, and behind a goodbye the end of the transport.
fn flush(session: &mut Session, wire: &Socket, out: &mut dyn io::Write) -> io::Result<()> {
    if !session.wants_write() {
        return Ok(());
    }
    session.flush(out)?;
    if session.has_ended() { wire.shutdown_write() } else { Ok(()) }
}

#[cfg(test)]
mod tests;
