//! The server that portcell is held against: an echo on plain tokio, or tokio-rustls, as its
//! authors would write it, with a task per connection and a buffer of 16 KiB. It runs as a process
//! of its own, so that the kernel accounts its CPU time and memory apart from the load's.

use std::io::{IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg,
};
use nix::sys::{prctl, signal::Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

use crate::tls;

const BUFFER: usize = 16 * 1024;

/// Datagrams that one call of the kernel takes or gives; as portcell has it.
const BATCH: usize = 32;

/// Whether datagrams are echoed instead of streams, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datagrams {
    None,
    /// Each with a call to receive and a call to send it.
    Single,
    /// Many in a call (recvmmsg(2), sendmmsg(2)).
    Batched,
}

/// Serves on a loopback port of the kernel's choice until it is killed or its parent ends, and
/// says on stderr where that is, in the words that portcell uses. Over TLS if there is a
/// certificate and its key, in DER.
pub(crate) fn serve(identity: Option<(&Path, &Path)>, datagrams: Datagrams) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("asking to end with the parent")?;
    let tls = identity.map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if datagrams != Datagrams::None {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            writeln!(std::io::stderr(), "listening on udp://{} (tokio)", socket.local_addr()?)?;
            return match datagrams {
                Datagrams::Batched => tokio::spawn(echo_batches(socket)).await?,
                _ => tokio::spawn(echo_datagrams(socket)).await?,
            };
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stderr(), "listening on tcp://{} (tokio)", listener.local_addr()?)?;
        // On a worker: a task that `block_on` drives is woken across threads for every client.
        tokio::spawn(accept(listener, tls)).await?
    })
}

/// Echoes to every client of `listener`; ends only when accepting fails.
pub(crate) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>) -> Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await.context("accepting")?;
        stream.set_nodelay(true)?;
        // A client that breaks off sees its own error; there is nobody else to tell.
        match tls.clone() {
            None => drop(tokio::spawn(async move { echo(&mut stream).await })),
            Some(tls) => drop(tokio::spawn(async move {
                let mut stream = tls.accept(stream).await?;
                echo(&mut stream).await?;
                stream.shutdown().await
            })),
        }
    }
}

async fn echo_datagrams(socket: UdpSocket) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.context("receiving")?;
        socket.send_to(&buffer[..length], peer).await.context("sending")?;
    }
}

/// Nothing is said beside a datagram.
const NO_CONTROL: [ControlMessage<'static>; 0] = [];

async fn echo_batches(socket: UdpSocket) -> Result<()> {
    let mut rooms = vec![[0; 2048]; BATCH];
    loop {
        socket.readable().await.context("receiving")?;
        let mut received = Vec::with_capacity(BATCH);
        let outcome = socket.try_io(Interest::READABLE, || {
            let mut slices: Vec<_> = rooms.iter_mut().map(|room| [IoSliceMut::new(room)]).collect();
            let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
            let (fd, flags) = (socket.as_fd().as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let messages = recvmmsg(fd, &mut headers, slices.iter_mut(), flags, None)?;
            received.extend(messages.map(|message| (message.bytes, message.address)));
            // There are no more, and tokio is to wait for the next ones.
            if received.len() < BATCH { Err(std::io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match outcome {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                return Err(error).context("receiving");
            }
            _ => {}
        }
        let mut sent = 0;
        while sent < received.len() {
            let rest = &received[sent..];
            let slices: Vec<_> = std::iter::zip(&rooms[sent..], rest)
                .map(|(room, (length, _))| [IoSlice::new(&room[..*length])])
                .collect();
            let to: Vec<_> = rest.iter().map(|(_, peer)| *peer).collect();
            let outcome = socket.try_io(Interest::WRITABLE, || {
                let mut headers = MultiHeaders::preallocate(slices.len(), None);
                let (fd, flags) = (socket.as_fd().as_raw_fd(), MsgFlags::MSG_DONTWAIT);
                Ok(sendmmsg(fd, &mut headers, &slices, to, NO_CONTROL, flags)?.count())
            });
            match outcome {
                Ok(number) => sent += number,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    socket.writable().await.context("sending")?;
                }
                Err(error) => return Err(error).context("sending"),
            }
        }
    }
}

async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
        // What is written over TLS may still be here.
        stream.flush().await?;
    }
}
