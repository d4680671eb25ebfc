//! The server that portcell is held against: an echo on plain tokio, or tokio-rustls, as its
//! authors would write it, with a task per connection and a buffer of 16 KiB. It runs as a process
//! of its own, so that the kernel accounts its CPU time and memory apart from the load's.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::{prctl, signal::Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

use crate::tls;

const BUFFER: usize = 16 * 1024;

/// Serves on a loopback port of the kernel's choice until it is killed or its parent ends, and
/// says on stderr where that is, in the words that portcell uses. Over TLS if there is a
/// certificate and its key, in DER; datagrams with `udp`.
pub(crate) fn serve(identity: Option<(&Path, &Path)>, udp: bool) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("asking to end with the parent")?;
    let tls = identity.map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if udp {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            writeln!(std::io::stderr(), "listening on udp://{} (tokio)", socket.local_addr()?)?;
            return tokio::spawn(echo_datagrams(socket)).await?;
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
