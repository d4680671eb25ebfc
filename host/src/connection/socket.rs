//! The transports of a connection, behind one set of calls. What differs between them is here.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use portcell_abi::Errno;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, Shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP, with the peer that accept named.
    Tcp(TcpStream, SocketAddr),
    /// A Unix stream.
    Unix(UnixStream),
}

/// How bytes travel: a fact about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, plaintext.
    Tcp,
    /// A Unix stream socket.
    Unix,
}

impl Transport {
    /// The word for it in facts and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
        }
    }
}

/// What the kernel says of a socket.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the kernel's own four answers")]
pub(super) struct KernelEvents {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) failed: bool,
    pub(super) over: bool,
}

/// Runs the same expression on whichever stream there is.
macro_rules! each {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket {
            Socket::Tcp($stream, _) => $call,
            Socket::Unix($stream) => $call,
        }
    };
}

impl Socket {
    /// The transport.
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Tcp(..) => Transport::Tcp,
            Self::Unix(_) => Transport::Unix,
        }
    }

    /// The peer, in the form of the fact `peer.address`.
    pub fn peer_address(&self) -> String {
        match self {
            Self::Tcp(_, peer) => canonical(*peer).to_string(),
            Self::Unix(stream) => match stream.peer_cred() {
                Ok(cred) => {
                    let pid = cred.pid().map_or_else(|| "?".into(), |pid| pid.to_string());
                    format!("unix:pid={pid},uid={}", cred.uid())
                }
                Err(_) => "unix:pid=?,uid=?".into(),
            },
        }
    }

    /// This side, in the form of the fact `local.address`.
    pub fn local_address(&self) -> Option<String> {
        match self {
            Self::Tcp(..) => self.local_socket_address().map(|address| address.to_string()),
            Self::Unix(stream) => {
                let address = stream.local_addr().ok()?;
                Some(match address.as_pathname() {
                    Some(path) => format!("unix:{}", path.display()),
                    None => match address.as_abstract_name() {
                        Some(name) => format!("unix:@{}", String::from_utf8_lossy(name)),
                        None => "unix:".into(),
                    },
                })
            }
        }
    }

    /// This side's IP address and port.
    pub(super) fn local_socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream, _) => stream.local_addr().ok().map(canonical),
            Self::Unix(_) => None,
        }
    }

    /// The peer's process, user and group, over a Unix socket.
    pub(super) fn credentials(&self) -> Option<tokio::net::unix::UCred> {
        match self {
            Self::Tcp(..) => None,
            Self::Unix(stream) => stream.peer_cred().ok(),
        }
    }

    /// Sends as much of `text` as the kernel takes at once.
    pub fn say(&self, text: &str) {
        if !text.is_empty() {
            // A peer that is gone already misses nothing.
            let _ = self.try_write(text.as_bytes());
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(each!(self, stream => Pin::new(stream).poll_read(cx, &mut buf)))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    /// Asks the kernel itself: what tokio remembers of readiness may be stale, and a call that
    /// may not wait must not report a stale "nothing".
    pub(super) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let flags = RecvFlags::DONTWAIT;
        Ok(each!(self, stream => rustix::net::recv(stream.as_fd(), buf, flags))?.0)
    }

    /// As [`Socket::try_read`], for writing.
    pub(super) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
        Ok(each!(self, stream => rustix::net::send(stream.as_fd(), buf, flags))?)
    }

    /// Ready when a read gives bytes, the end or an error.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(each!(self, stream => stream.poll_read_ready(cx))).is_err() {
                return Poll::Ready(());
            }
            // Readiness may be left over from before the last read; a `WouldBlock` clears it. To
            // peek would take the socket's error away from the read that is to give it.
            let empty = each!(self, stream => stream.try_io(Interest::READABLE, || {
                if self.events().readable { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            }));
            if empty.is_ok() {
                return Poll::Ready(());
            }
        }
    }

    /// Ready when a write takes at least one byte, or gives an error.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(each!(self, stream => stream.poll_write_ready(cx))).is_err() {
                return Poll::Ready(());
            }
            let full = each!(self, stream => stream.try_io(Interest::WRITABLE, || {
                if self.events().writable { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            }));
            if full.is_ok() {
                return Poll::Ready(());
            }
        }
    }

    /// Waits until the connection broke.
    pub(super) async fn failed(&self) {
        // An error of the wait itself is a failure too.
        let _ = each!(self, stream => stream.ready(Interest::ERROR).await);
    }

    /// What is there now.
    pub(super) fn events(&self) -> KernelEvents {
        let asked = PollFlags::IN | PollFlags::OUT;
        let fd = each!(self, stream => stream.as_fd());
        let mut polled = [PollFd::from_borrowed_fd(fd, asked)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if rustix::event::poll(&mut polled, Some(&at_once)).is_err() {
            return KernelEvents::default();
        }
        let found = polled[0].revents();
        KernelEvents {
            readable: found.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            writable: found.intersects(PollFlags::OUT | PollFlags::ERR),
            failed: found.contains(PollFlags::ERR),
            over: found.contains(PollFlags::HUP),
        }
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        let fd = each!(self, stream => stream.as_fd());
        Ok(rustix::net::shutdown(fd, Shutdown::Write)?)
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        each!(self, stream => stream.readable().await)
    }

    /// As [`Socket::try_read`], and remembers that nothing is there, so that
    /// [`Socket::readable`] waits.
    pub(super) fn take(&self, buf: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_read(buf))
    }

    /// Closes so that the peer sees a reset. A Unix socket knows none: it is closed.
    pub(super) fn reset(self) {
        if let Self::Tcp(stream, _) = &self {
            // It fails only on a socket that is dead already.
            let _ = stream.set_zero_linger();
        }
    }
}

/// The number that a guest sees for an error of the transport.
pub(super) fn errno(error: &io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::WouldBlock => Errno::Again,
        io::ErrorKind::BrokenPipe => Errno::Pipe,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::NotConnected
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        // The kernel gave up on a peer that does not acknowledge: not the guest's own bound.
        | io::ErrorKind::TimedOut => Errno::ConnReset,
        io::ErrorKind::ConnectionAborted => Errno::ConnAborted,
        _ => Errno::Io,
    }
}

/// An IPv4 peer of a dual-stack listener, as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
