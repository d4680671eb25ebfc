//! The server that portcell is held against: an echo on plain tokio as its authors would write
//! it, with a task per connection and a buffer of 16 KiB. It runs as a process of its own, so that
//! the kernel accounts its CPU time and memory apart from the load's.

use std::io::Write;

use anyhow::{Context, Result};
use nix::sys::{prctl, signal::Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BUFFER: usize = 16 * 1024;

/// Serves on a loopback port of the kernel's choice until it is killed or its parent ends, and
/// says on stderr where that is, in the words that portcell uses.
pub(crate) fn serve() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("asking to end with the parent")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stderr(), "listening on tcp://{} (tokio)", listener.local_addr()?)?;
        // On a worker: a task that `block_on` drives is woken across threads for every client.
        tokio::spawn(accept(listener)).await?
    })
}

/// Echoes to every client of `listener`; ends only when accepting fails.
pub(crate) async fn accept(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await.context("accepting")?;
        stream.set_nodelay(true)?;
        tokio::spawn(echo(stream));
    }
}

/// A client that breaks off sees its own error; there is nobody else to tell.
async fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
