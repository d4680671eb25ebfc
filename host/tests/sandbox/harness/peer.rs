//! The other end of the connection. Every wait of it has a bound.

use std::future::Future;
use std::io;
use std::time::Duration;

use portcell::connection::Socket;
use socket2::SockRef;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use super::flow::{FlowPeer, Udp};

/// What a wait that should be short may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`, for as long as a test may.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = timeout(PATIENCE, future).await else {
        panic!("waited for {PATIENCE:?}: {what}")
    };
    output
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Tcp6,
    SmallBuffers,
    Unix,
    Udp(Udp),
}

/// The client's end; gone after a reset.
#[derive(Debug)]
pub(crate) struct Peer(Option<Stream>);

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream, TempDir),
    Flow(FlowPeer),
}

macro_rules! each {
    ($peer:expr, $stream:ident => $call:expr) => {
        match $peer.0.as_mut().expect("the peer is there") {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream, _) => $call,
            Stream::Flow(_) => panic!("it has datagrams"),
        }
    };
}

impl Peer {
    /// Both ends of a new connection.
    pub(crate) async fn connect(transport: Transport) -> (Self, Socket) {
        match transport {
            Transport::Unix => {
                let folder = TempDir::new().unwrap();
                let path = folder.path().join("cell.sock");
                let listener = UnixListener::bind(&path).unwrap();
                let peer = UnixStream::connect(&path).await.unwrap();
                let (socket, _) = listener.accept().await.unwrap();
                (Self(Some(Stream::Unix(peer, folder))), Socket::Unix(socket))
            }
            Transport::Udp(udp) => {
                let (peer, socket) = FlowPeer::connect(udp).await;
                (Self(Some(Stream::Flow(peer))), socket)
            }
            tcp => {
                let address = if tcp == Transport::Tcp6 { "[::1]:0" } else { "127.0.0.1:0" };
                let listener = TcpListener::bind(address).await.unwrap();
                let client = match tcp {
                    Transport::Tcp6 => TcpSocket::new_v6(),
                    _ => TcpSocket::new_v4(),
                };
                let client = client.unwrap();
                if tcp == Transport::SmallBuffers {
                    client.set_recv_buffer_size(4096).unwrap();
                }
                let peer = client.connect(listener.local_addr().unwrap()).await.unwrap();
                let (socket, from) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                peer.set_nodelay(true).unwrap();
                if tcp == Transport::SmallBuffers {
                    SockRef::from(&socket).set_send_buffer_size(4096).unwrap();
                }
                (Self(Some(Stream::Tcp(peer))), Socket::Tcp(socket, from))
            }
        }
    }

    /// Sends bytes, or one datagram.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        if let Some(Stream::Flow(peer)) = &self.0 {
            peer.socket.send(bytes).await.unwrap();
            return;
        }
        within("the guest to read", async { each!(self, stream => stream.write_all(bytes).await) })
            .await
            .unwrap();
    }

    /// Sends until the guest's end refuses it; gives how many bytes that took, 1 GiB at most.
    pub(crate) async fn flood(&mut self) -> usize {
        let bytes = vec![b'x'; 1 << 16];
        let mut sent = 0;
        let flooding = async {
            while sent < 1 << 30 && each!(self, stream => stream.write_all(&bytes).await).is_ok() {
                sent += bytes.len();
            }
        };
        within("the guest's end to refuse a flood", flooding).await;
        sent
    }

    /// The next `length` bytes.
    pub(crate) async fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        within("bytes", async { each!(self, stream => stream.read_exact(&mut bytes).await) })
            .await
            .unwrap();
        bytes
    }

    /// The next datagram.
    pub(crate) async fn datagram(&self) -> Vec<u8> {
        let Some(Stream::Flow(peer)) = &self.0 else { panic!("it has a stream") };
        let mut bytes = vec![0; 70_000];
        let length = within("a datagram", peer.socket.recv(&mut bytes)).await.unwrap();
        bytes.truncate(length);
        bytes
    }

    /// Everything up to the end of the stream, or the error instead of an end.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>, io::ErrorKind> {
        let mut bytes = Vec::new();
        within("the end", async { each!(self, stream => stream.read_to_end(&mut bytes).await) })
            .await
            .map_err(|error| error.kind())?;
        Ok(bytes)
    }

    /// Ends the stream towards the guest; reading goes on. A flow is ended by its listener.
    pub(crate) async fn end(&mut self) {
        if let Some(Stream::Flow(peer)) = &self.0 {
            return peer.end();
        }
        each!(self, stream => stream.shutdown().await).unwrap();
    }

    /// Resets the connection. A Unix socket is closed with input unread, which is the same.
    pub(crate) fn reset(&mut self) {
        if let Some(Stream::Tcp(stream)) = self.0.take() {
            stream.set_zero_linger().unwrap();
        }
    }

    /// Closes.
    pub(crate) fn close(&mut self) {
        self.0 = None;
    }

    /// Stops reading for good: over a Unix socket, the guest's writes are refused from then on.
    pub(crate) fn stop_reading(&self) {
        match &self.0 {
            Some(Stream::Unix(stream, _)) => {
                SockRef::from(stream).shutdown(std::net::Shutdown::Read).unwrap();
            }
            _ => panic!("only a Unix socket says so to the other side"),
        }
    }

    /// The address of this end, over TCP or UDP.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        match &self.0 {
            Some(Stream::Tcp(stream)) => stream.local_addr().unwrap(),
            Some(Stream::Flow(peer)) => peer.socket.local_addr().unwrap(),
            _ => panic!("no peer with a port"),
        }
    }

    /// The address of the guest's end, over TCP or UDP.
    pub(crate) fn of_guest(&self) -> std::net::SocketAddr {
        match &self.0 {
            Some(Stream::Tcp(stream)) => stream.peer_addr().unwrap(),
            Some(Stream::Flow(peer)) => peer.socket.peer_addr().unwrap(),
            _ => panic!("no peer with a port"),
        }
    }

    /// The path of the guest's end, over a Unix socket.
    pub(crate) fn path_of_guest(&self) -> String {
        match &self.0 {
            Some(Stream::Unix(_, folder)) => folder.path().join("cell.sock").display().to_string(),
            _ => panic!("no Unix peer"),
        }
    }
}
