//! The transports of a connection, behind one set of calls. What differs between them is here.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use portcell_abi::Errno;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::flow::Flow;
use super::pipe::{self, Pipe};
use super::tls::{Secured, Tls};
use crate::presence::Peer;

/// A connected socket, or what stands in for one.
#[derive(Debug)]
pub enum Socket {
    /// TCP, with the peer that accept named.
    Tcp(TcpStream, SocketAddr),
    /// A Unix stream.
    Unix(UnixStream),
    /// The datagrams of one UDP peer.
    Flow(Flow),
    /// TLS over one of the streams.
    Tls(Box<Tls>),
    /// A stream in memory, which guests take for TCP.
    Pipe(Pipe),
}

/// How bytes travel: a fact about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, plaintext.
    Tcp,
    /// TLS, over TCP or a Unix stream socket.
    Tls,
    /// UDP.
    Udp,
    /// A Unix stream socket.
    Unix,
}

impl Transport {
    /// The word for it in facts and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
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

/// Runs the same expression on whichever plain stream the kernel has, or another on a flow, on TLS
/// or on a pipe.
macro_rules! each {
    (
        $socket:expr,
        $stream:ident => $call:expr,
        $flow:ident => $of_flow:expr,
        $tls:ident => $of_tls:expr,
        $pipe:ident => $of_pipe:expr
    ) => {
        match $socket {
            Socket::Tcp($stream, _) => $call,
            Socket::Unix($stream) => $call,
            Socket::Flow($flow) => $of_flow,
            Socket::Tls($tls) => $of_tls,
            Socket::Pipe($pipe) => $of_pipe,
        }
    };
}

impl Socket {
    /// The transport.
    pub const fn transport(&self) -> Transport {
        match self {
            Self::Tcp(..) | Self::Pipe(_) => Transport::Tcp,
            Self::Unix(_) => Transport::Unix,
            Self::Flow(_) => Transport::Udp,
            Self::Tls(_) => Transport::Tls,
        }
    }

    /// Whether what comes and goes are datagrams, not a stream of bytes.
    pub(super) const fn has_datagrams(&self) -> bool {
        matches!(self, Self::Flow(_))
    }

    /// The peer, in the form of the fact `peer.address`.
    pub fn peer_address(&self) -> String {
        self.peer().to_string()
    }

    /// The peer.
    pub fn peer(&self) -> Peer {
        match self {
            Self::Tcp(_, peer) => Peer::Ip(canonical(*peer)),
            Self::Unix(stream) => {
                let cred = stream.peer_cred().ok();
                let pid = cred.as_ref().and_then(tokio::net::unix::UCred::pid);
                Peer::Unix { pid, uid: cred.map(|cred| cred.uid()) }
            }
            Self::Flow(flow) => Peer::Ip(flow.peer()),
            Self::Tls(tls) => tls.wire().peer(),
            Self::Pipe(_) => Peer::Ip(pipe::PEER),
        }
    }

    /// This side, in the form of the fact `local.address`.
    pub fn local_address(&self) -> Option<String> {
        match self {
            Self::Tcp(..) | Self::Flow(_) | Self::Pipe(_) => {
                self.local_socket_address().map(|address| address.to_string())
            }
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
            Self::Tls(tls) => tls.wire().local_address(),
        }
    }

    /// This side's IP address and port.
    pub(super) fn local_socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream, _) => stream.local_addr().ok().map(canonical),
            Self::Unix(_) => None,
            Self::Flow(flow) => Some(flow.local()),
            Self::Tls(tls) => tls.wire().local_socket_address(),
            Self::Pipe(_) => Some(pipe::LOCAL),
        }
    }

    /// The size of the datagram that was read last.
    pub(super) const fn datagram_size(&self) -> Option<usize> {
        match self {
            Self::Tcp(..) | Self::Unix(_) | Self::Tls(_) | Self::Pipe(_) => None,
            Self::Flow(flow) => flow.size(),
        }
    }

    /// The longest datagram that can be sent; `None` on a stream.
    pub(super) fn longest_datagram(&self) -> Option<usize> {
        match self {
            Self::Tcp(..) | Self::Unix(_) | Self::Tls(_) | Self::Pipe(_) => None,
            Self::Flow(flow) => Some(flow.longest()),
        }
    }

    /// The peer's process, user and group, over a Unix socket.
    pub(super) fn credentials(&self) -> Option<tokio::net::unix::UCred> {
        match self {
            Self::Tcp(..) | Self::Flow(_) | Self::Pipe(_) => None,
            Self::Unix(stream) => stream.peer_cred().ok(),
            Self::Tls(tls) => tls.wire().credentials(),
        }
    }

    /// What a handshake has agreed on, if there was one.
    pub(super) const fn secured(&self) -> Option<&Arc<Secured>> {
        match self {
            Self::Tls(tls) => Some(tls.secured()),
            Self::Tcp(..) | Self::Unix(_) | Self::Flow(_) | Self::Pipe(_) => None,
        }
    }

    /// Whether the peer is owed more than the kernel's own goodbye.
    pub(super) const fn owes_goodbye(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Sends as much of `text` as is taken at once.
    pub fn say(&mut self, text: &str) {
        if !text.is_empty() {
            // A peer that is gone already misses nothing.
            let _ = self.try_write(text.as_bytes());
        }
    }

    /// Waits for bytes, the end of the stream, which is 0, or an error; or for a datagram, which is
    /// cut to `buf` and may be 0, or the end of the flow, which is `UnexpectedEof`.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buf);
        ready!(each!(
            self,
            stream => Pin::new(stream).poll_read(cx, &mut read),
            flow => return flow.poll_read(cx, buf),
            tls => return tls.poll_read(cx, buf),
            pipe => return pipe.poll_read(cx, buf)
        ))?;
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Waits until some of `buf` is taken, or until it is taken as one datagram. `QuotaExceeded` for
    /// one that is not sent because the peer has not sent enough itself.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(
            self,
            stream => Pin::new(stream).poll_write(cx, buf),
            flow => flow.poll_write(cx, buf),
            tls => tls.poll_write(cx, buf),
            pipe => pipe.poll_write(cx, buf)
        )
    }

    /// Ready when the kernel has taken all that was written. Only TLS holds anything: the rest of
    /// a write that would have waited.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(tls) => tls.poll_flush(cx),
            Self::Tcp(..) | Self::Unix(_) | Self::Flow(_) | Self::Pipe(_) => Poll::Ready(Ok(())),
        }
    }

    /// Asks the kernel itself: what tokio remembers of readiness may be stale, and a call that
    /// may not wait must not report a stale "nothing".
    pub(super) fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(..) | Self::Unix(_) => self.receive(buf),
            Self::Flow(flow) => flow.try_read(buf),
            Self::Tls(tls) => tls.try_read(buf),
            Self::Pipe(pipe) => pipe.read(buf),
        }
    }

    /// What the kernel has of a stream, plaintext or not. Nothing is there of a flow.
    pub(super) fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        let flags = RecvFlags::DONTWAIT;
        Ok(each!(
            self,
            stream => rustix::net::recv(stream.as_fd(), buf, flags)?.0,
            _flow => 0,
            tls => tls.wire().receive(buf)?,
            pipe => pipe.read(buf)?
        ))
    }

    /// Gives the kernel what is to go out on a stream, plaintext or not, as far as it takes it.
    pub(super) fn send(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut nothing = SendAncillaryBuffer::default();
        Ok(each!(
            self,
            stream => rustix::net::sendmsg(stream.as_fd(), bufs, &mut nothing, flags)?,
            _flow => 0,
            tls => tls.wire().send(bufs)?,
            pipe => pipe.write(first(bufs))?
        ))
    }

    /// As [`Socket::send`], and waits until some of it is taken.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let sent = each!(
                self,
                stream => stream.try_write_vectored(bufs),
                _flow => Ok(0),
                tls => return tls.wire().poll_send(cx, bufs),
                pipe => return pipe.poll_write(cx, first(bufs))
            );
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
            ready!(each!(
                self,
                stream => stream.poll_write_ready(cx),
                _flow => Poll::Ready(Ok(())),
                _tls => Poll::Ready(Ok(())),
                _pipe => Poll::Ready(Ok(()))
            ))?;
        }
    }

    /// Ready when there may be something to take from a stream, plaintext or not.
    pub(super) fn poll_input(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(
            self,
            stream => stream.poll_read_ready(cx),
            _flow => Poll::Ready(Ok(())),
            tls => tls.wire().poll_input(cx),
            pipe => pipe.poll_events(cx, |events| events.readable).map(Ok)
        )
    }

    /// As [`Socket::try_read`], for writing.
    pub(super) fn try_write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(each!(
            self,
            stream => rustix::net::send(stream.as_fd(), buf, flags)?,
            flow => flow.try_write(buf)?,
            tls => tls.try_write(buf)?,
            pipe => pipe.write(buf)?
        ))
    }

    /// Ready when a read gives bytes, the end or an error.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let ready = each!(
                self,
                stream => stream.poll_read_ready(cx),
                flow => return flow.poll_readable(cx),
                tls => return tls.poll_readable(cx),
                pipe => return pipe.poll_events(cx, |events| events.readable)
            );
            if ready!(ready).is_err() {
                return Poll::Ready(());
            }
            // Readiness may be left over from before the last read; a `WouldBlock` clears it. To
            // peek would take the socket's error away from the read that is to give it.
            let there = || {
                if self.events().readable { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            };
            let found = each!(
                self,
                stream => stream.try_io(Interest::READABLE, there),
                _flow => there(),
                _tls => there(),
                _pipe => there()
            );
            if found.is_ok() {
                return Poll::Ready(());
            }
        }
    }

    /// Ready when a write takes at least one byte, or gives an error.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let ready = each!(
                self,
                stream => stream.poll_write_ready(cx),
                flow => return flow.poll_writable(cx),
                tls => return tls.poll_writable(cx),
                pipe => return pipe.poll_events(cx, |events| events.writable)
            );
            if ready!(ready).is_err() {
                return Poll::Ready(());
            }
            let room = || {
                if self.events().writable { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            };
            let found = each!(
                self,
                stream => stream.try_io(Interest::WRITABLE, room),
                _flow => room(),
                _tls => room(),
                _pipe => room()
            );
            if found.is_ok() {
                return Poll::Ready(());
            }
        }
    }

    /// Waits until the connection broke.
    pub(super) async fn failed(&self) {
        let transport = if let Self::Tls(tls) = self { tls.wire() } else { self };
        // An error of the wait itself is a failure too. Nothing breaks a flow.
        let _ = each!(
            transport,
            stream => stream.ready(Interest::ERROR).await.map(|_| ()),
            _flow => std::future::pending().await,
            _tls => std::future::pending().await,
            pipe => poll_fn(|cx| pipe.poll_events(cx, |events| events.failed).map(Ok)).await
        );
    }

    /// What is there now.
    pub(super) fn events(&self) -> KernelEvents {
        let asked = PollFlags::IN | PollFlags::OUT;
        let fd = each!(
            self,
            stream => stream.as_fd(),
            flow => return flow.events(),
            tls => return tls.events(),
            pipe => return pipe.events()
        );
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

    /// Tells the peer that nothing more will come; a peer of datagrams is not told.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        let fd = each!(
            self,
            stream => stream.as_fd(),
            _flow => return Ok(()),
            tls => return tls.shutdown_write(),
            pipe => return pipe.shutdown_write()
        );
        Ok(rustix::net::shutdown(fd, Shutdown::Write)?)
    }

    /// Waits until [`Socket::take`] may find something.
    pub(super) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_input(cx)).await
    }

    /// As [`Socket::receive`], and remembers that nothing is there, so that [`Socket::readable`]
    /// waits. Nothing of a flow is lost by closing it early: it is at its end.
    pub(super) fn take(&self, buf: &mut [u8]) -> io::Result<usize> {
        each!(
            self,
            stream => stream.try_read(buf),
            _flow => Ok(0),
            tls => tls.wire().take(buf),
            pipe => pipe.read(buf)
        )
    }

    /// Closes so that the peer sees a reset. Unix sockets and flows know none: they are closed.
    pub(super) fn reset(self) {
        let transport = if let Self::Tls(tls) = self { tls.into_wire() } else { self };
        match &transport {
            Self::Tcp(stream, _) => {
                // It fails only on a socket that is dead already.
                let _ = stream.set_zero_linger();
            }
            Self::Pipe(pipe) => pipe.reset(),
            Self::Unix(_) | Self::Flow(_) | Self::Tls(_) => {}
        }
    }
}

/// The first of them that has something.
fn first<'a>(bufs: &'a [IoSlice<'_>]) -> &'a [u8] {
    bufs.iter().find(|buf| !buf.is_empty()).map_or(&[], |buf| buf)
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
        // A flow that is over; a stream's end is no error.
        io::ErrorKind::UnexpectedEof => Errno::NotConn,
        _ => Errno::Io,
    }
}

/// An IPv4 peer of a dual-stack listener, as IPv4.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
