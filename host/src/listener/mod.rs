//! A listener: bound addresses, and the accept loop of each.

mod accept;
mod backoff;
mod bind;
mod closing;
mod episode;
mod life;
mod refusal;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};

use crate::address::Address;
use crate::connection::Socket;

pub use self::accept::{Gone, Source, accept_until};
pub use self::bind::{BindError, bind};
pub use self::life::{Counter, Counts, Life, Phase, State};

/// A bound socket that listens.
#[derive(Debug)]
pub struct Listening {
    socket: AsyncFd<OwnedFd>,
    address: Bound,
    /// The file of a Unix socket.
    file: Option<(u64, u64)>,
    /// The [`Life`] that goes on with it.
    owner: AtomicU64,
}

/// What a socket is bound to, with the port that the kernel picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket at a path, which is removed when the listener goes.
    Unix(PathBuf),
    /// A Unix socket in Linux's abstract namespace.
    UnixAbstract(String),
}

/// A socket just in: nothing read, nothing promised.
#[derive(Debug)]
pub struct Accepted(Socket);

impl Accepted {
    /// The socket. There is no handshake before plaintext.
    pub fn into_socket(self) -> Socket {
        self.0
    }
}

impl Listening {
    /// What it is bound to.
    pub const fn address(&self) -> &Bound {
        &self.address
    }

    /// From now on `life` goes on with it, and the one before leaves it alone when it ends.
    pub fn belongs_to(&self, life: &Life) {
        self.owner.store(life.id(), SeqCst);
    }

    /// `asked` with the port that the kernel picked: where to listen another time.
    pub fn bound_at(&self, asked: &Address) -> Address {
        match (asked, &self.address) {
            (Address::Tcp { host, port: 0 }, Bound::Tcp(bound)) => {
                Address::Tcp { host: host.clone(), port: bound.port() }
            }
            _ => asked.clone(),
        }
    }

    fn take(&self, socket: &OwnedFd) -> io::Result<Accepted> {
        // One call for a descriptor that does not block and is closed on exec.
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (client, peer) = rustix::net::acceptfrom_with(socket.as_fd(), flags)?;
        self.adopt(client, peer)
    }

    fn adopt(&self, client: OwnedFd, peer: Option<SocketAddrAny>) -> io::Result<Accepted> {
        Ok(Accepted(match self.address {
            Bound::Tcp(_) => {
                let stream = std::net::TcpStream::from(client);
                let peer = match peer.map(SocketAddr::try_from) {
                    Some(Ok(peer)) => peer,
                    _ => stream.peer_addr()?,
                };
                Socket::Tcp(TcpStream::from_std(stream)?, peer)
            }
            Bound::Unix(_) | Bound::UnixAbstract(_) => {
                Socket::Unix(UnixStream::from_std(client.into())?)
            }
        }))
    }
}

impl Source for Listening {
    async fn ready(&self) -> io::Result<()> {
        let mut guard = self.socket.ready(Interest::READABLE).await?;
        guard.retain_ready();
        Ok(())
    }

    fn has_client(&self) -> io::Result<bool> {
        let there = self.socket.try_io(Interest::READABLE, |socket| {
            let mut asked = [PollFd::new(socket, PollFlags::IN)];
            match poll(&mut asked, Some(&Timespec::default()))? {
                // tokio forgets what it has heard, and waits for the next one.
                0 => Err(io::ErrorKind::WouldBlock.into()),
                // It does not listen any more. Accept would say the same.
                _ if asked[0].revents().contains(PollFlags::HUP) => Err(Errno::INVAL.into()),
                _ => Ok(()),
            }
        });
        match there {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            there => there.map(|()| true),
        }
    }

    fn accept(&self) -> io::Result<Accepted> {
        self.socket.try_io(Interest::READABLE, |socket| self.take(socket))
    }

    fn accept_unheard(&self) -> io::Result<Accepted> {
        self.take(self.socket.get_ref())
    }

    fn address(&self) -> &Bound {
        &self.address
    }

    fn close_to_newcomers(&self, life: &Life) -> bool {
        self.owner.load(SeqCst) == life.id() && self.close_door()
    }

    fn is_connecting(&self) -> bool {
        self.has_handshakes()
    }
}

impl Listening {
    /// Removes the file of a Unix socket, if it is still this one's.
    fn remove_file(&self) {
        // Another server may have taken the path meanwhile.
        if let Bound::Unix(path) = &self.address
            && self.file.is_some()
            && self.file == file_id(path)
        {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.remove_file();
    }
}

/// As the ready line has it: `tcp://127.0.0.1:7000`, `unix:/run/x.sock`.
impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixAbstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

/// What tells the file of one socket from that of another at the same path: device and inode.
fn file_id(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
