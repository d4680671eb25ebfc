//! A listener: bound addresses, and the loop of each that takes clients in.

mod accept;
mod adopt;
mod backoff;
mod bind;
mod closing;
mod episode;
mod error;
mod handover;
mod handshake;
mod hosts;
mod inherit;
mod life;
mod options;
mod refusal;
mod refused;
mod udp;
mod unix;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};

use self::bind::registered;
use self::unix::SocketFile;
use crate::address::Address;
use crate::connection::Socket;

pub use self::accept::{Gone, Source, accept_until};
pub use self::adopt::Unfit;
pub use self::bind::{DatagramSocket, Made, bind};
pub use self::error::{AdjustError, BindError};
pub use self::handover::{Parcel, SERVES, complete, fail, left_for, why_not};
pub use self::handshake::{Handshaking, Shaken};
pub use self::inherit::inherit;
pub use self::life::{Counter, Counts, Life, Phase, Refused, State};
pub use self::options::must_rebind;
pub use self::udp::{Datagrams, JoinError, Work, take_in};

/// As the number of a [`Life`]: that of another process.
const SUCCESSOR: u64 = u64::MAX;

/// A bound socket that listens.
#[derive(Debug)]
pub struct Listening {
    /// Of a Unix socket that is ours. It goes first: its number may be another file's once the
    /// socket is closed.
    file: Option<SocketFile>,
    socket: AsyncFd<OwnedFd>,
    address: Bound,
    inherited: bool,
    /// For connections at Unix sockets, which do not inherit it; 0 leaves it to the kernel.
    send_buffer: AtomicU32,
    /// The [`Life`] that goes on with it.
    owner: AtomicU64,
}

/// What a socket is bound to, with the port that the kernel picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// TCP.
    Tcp(SocketAddr),
    /// UDP.
    Udp(SocketAddr),
    /// A Unix socket at a path, which is removed when the listener goes, unless it was inherited.
    Unix(PathBuf),
    /// A Unix socket in Linux's abstract namespace.
    UnixAbstract(String),
}

/// A socket just in: nothing read, nothing promised.
#[derive(Debug)]
pub struct Accepted(Socket);

impl Accepted {
    /// The socket. Where there is to be a handshake, it has not begun.
    pub fn into_socket(self) -> Socket {
        self.0
    }

    /// The socket, to look at.
    pub(crate) const fn socket(&self) -> &Socket {
        &self.0
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

    /// From now on another process goes on with it: nobody here closes its door to newcomers or
    /// removes its file.
    pub fn is_left_to_successor(&self) {
        self.owner.store(SUCCESSOR, SeqCst);
        if let Some(file) = &self.file {
            file.leave();
        }
    }

    /// The same socket once more, for another process.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.socket.get_ref().try_clone()
    }

    /// Whether somebody else made it, who may go on using it: what is done to the socket itself
    /// is done to them.
    pub const fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// Removes the file of a Unix socket that is ours, if it is still there: clients that come
    /// later do not find it, and those that are in the queue can still be accepted. Otherwise that
    /// happens when it is dropped.
    pub fn remove_file(&self) {
        if let Some(file) = &self.file {
            file.remove();
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
            Bound::Udp(_) => return Err(io::ErrorKind::Unsupported.into()),
            Bound::Unix(_) | Bound::UnixAbstract(_) => {
                if let Some(size) = NonZeroU32::new(self.send_buffer.load(Relaxed)) {
                    options::set_accepted(&client, size);
                }
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

impl Bound {
    /// The port, where there are ports.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) | Self::Udp(address) => Some(address.port()),
            Self::Unix(_) | Self::UnixAbstract(_) => None,
        }
    }

    /// `asked` with the port that the kernel picked: where to listen another time.
    pub fn asked_again(&self, asked: &Address) -> Address {
        match (asked, self.port()) {
            (Address::Tcp { host, port: 0 }, Some(port)) => {
                Address::Tcp { host: host.clone(), port }
            }
            (Address::Udp { host, port: 0 }, Some(port)) => {
                Address::Udp { host: host.clone(), port }
            }
            _ => asked.clone(),
        }
    }
}

/// As the ready line has it: `tcp://127.0.0.1:7000`, `unix:/run/x.sock`.
impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixAbstract(name) => write!(f, "unix:@{name}"),
        }
    }
}
