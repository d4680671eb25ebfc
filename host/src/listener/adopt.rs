//! Sockets that somebody else has made, looked at before they are used.

use std::fs::{File, FileType};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;

use socket2::{Domain, Protocol, Socket, Type};

use super::bind::{DatagramSocket, Made};
use super::refused::Refused;
use super::{Bound, Listening, options};
use crate::config::SocketOptions;
use crate::text::printable;

/// A descriptor that no listener can use. The message says what it is and what to do, without a
/// subject.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Something else than a socket.
    #[error("is {0}; pass a socket")]
    NoSocket(&'static str),
    /// A socket of a family, type or protocol that is not served.
    #[error("is a socket of a kind that is not served ({0}); pass TCP, UDP or a Unix stream")]
    Kind(String),
    /// A stream socket that has an address only.
    #[error("is bound but does not listen; whoever passes it must call listen(2)")]
    NotListening,
    /// A socket without an address.
    #[error("is a socket that is not bound; whoever passes it must call bind(2)")]
    NotBound,
    /// A connection, or a datagram socket with one peer only.
    #[error("is connected to {0}; pass the socket that clients come to (systemd: Accept=no)")]
    Connected(String),
    /// An option that cannot be set on it.
    #[error("cannot be used: {0}")]
    Option(String),
    /// The kernel does not let it be looked at or used.
    #[error("cannot be used: {0}")]
    Failed(#[from] io::Error),
}

impl Made {
    /// Takes a socket that somebody else has made: TCP or a Unix stream that listens, or UDP that
    /// is bound. It must run inside a tokio runtime.
    ///
    /// It is made non-blocking, for everybody who has it. Options that belong to connections or
    /// datagrams are set where they are configured; the others, and the backlog, are as whoever
    /// made it wanted them. The file of a Unix socket is never removed.
    pub fn adopt(socket: OwnedFd, options: &SocketOptions) -> Result<Self, Unfit> {
        let (socket, address) = inspect(socket)?;
        socket.set_nonblocking(true)?;
        match address {
            Bound::Tcp(_) => {
                options::set_common(&socket, options)?;
                options::set_stream(&socket, options, true)?;
            }
            Bound::Unix(_) | Bound::UnixAbstract(_) => options::set_unix(&socket, options)?,
            Bound::Udp(_) => {
                options::set_common(&socket, options)?;
                return Ok(Self::Datagram(DatagramSocket { socket: socket.into(), address }));
            }
        }
        let listening = Listening::new(socket, address, options)?;
        Ok(Self::Stream(Listening { inherited: true, ..listening }))
    }
}

impl From<Refused> for Unfit {
    fn from(refused: Refused) -> Self {
        Self::Option(refused.to_string())
    }
}

/// The socket, if a listener can use it, and what it is bound to.
fn inspect(descriptor: OwnedFd) -> Result<(Socket, Bound), Unfit> {
    let file = File::from(descriptor);
    let kind = file.metadata()?.file_type();
    if !kind.is_socket() {
        return Err(Unfit::NoSocket(name(kind)));
    }
    let socket = Socket::from(OwnedFd::from(file));
    let (domain, kind, protocol) = (socket.domain()?, socket.r#type()?, socket.protocol()?);
    let internet = matches!(domain, Domain::IPV4 | Domain::IPV6);
    let stream = match (kind, protocol) {
        (Type::STREAM, Some(Protocol::TCP | Protocol::MPTCP)) if internet => true,
        (Type::STREAM, _) if domain == Domain::UNIX => true,
        (Type::DGRAM, Some(Protocol::UDP)) if internet => false,
        _ => return Err(Unfit::Kind(format!("{domain:?}, {kind:?}"))),
    };
    if let Ok(peer) = socket.peer_addr() {
        let peer = peer.as_socket().map_or_else(|| "a Unix socket".into(), |it| it.to_string());
        return Err(Unfit::Connected(peer));
    }
    let address = bound(&socket, stream)?.ok_or(Unfit::NotBound)?;
    if stream && !socket.is_listener()? {
        return Err(Unfit::NotListening);
    }
    Ok((socket, address))
}

/// What it is bound to, if it is.
fn bound(socket: &Socket, stream: bool) -> io::Result<Option<Bound>> {
    let address = socket.local_addr()?;
    Ok(match (address.as_socket(), address.as_pathname(), address.as_abstract_namespace()) {
        (Some(address), ..) if address.port() == 0 => None,
        (Some(address), ..) if stream => Some(Bound::Tcp(address)),
        (Some(address), ..) => Some(Bound::Udp(address)),
        (_, Some(path), _) => Some(Bound::Unix(path.into())),
        (.., Some(name)) => Some(Bound::UnixAbstract(printable(&String::from_utf8_lossy(name)))),
        _ => None,
    })
}

fn name(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_file() {
        "a file"
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "no socket"
    }
}

#[cfg(test)]
mod tests {
    use std::io::pipe;
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::num::NonZeroU32;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    use std::time::Duration;

    use socket2::{SockAddr, SockRef};

    use super::*;
    use crate::config::Keepalive;
    use crate::connection;
    use crate::listener::Source as _;
    use crate::listener::options::defaults;

    fn stream(socket: impl Into<OwnedFd>, options: &SocketOptions) -> Listening {
        match Made::adopt(socket.into(), options).unwrap() {
            Made::Stream(listening) => listening,
            Made::Datagram(socket) => panic!("{socket:?}"),
        }
    }

    fn refused(descriptor: impl Into<OwnedFd>) -> String {
        Made::adopt(descriptor.into(), &defaults()).unwrap_err().to_string()
    }

    fn bound(domain: Domain, kind: Type, address: impl Into<SockAddr>) -> Socket {
        let socket = Socket::new(domain, kind, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket
    }

    fn anywhere() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[tokio::test]
    async fn a_tcp_socket_that_listens_accepts() {
        let theirs = TcpListener::bind(anywhere()).unwrap();
        let at = theirs.local_addr().unwrap();
        let listening = stream(theirs.try_clone().unwrap(), &defaults());
        assert_eq!(*listening.address(), Bound::Tcp(at));
        assert!(listening.is_inherited());
        assert!(SockRef::from(&theirs).nonblocking().unwrap());
        let client = TcpStream::connect(at).unwrap();
        listening.ready().await.unwrap();
        match listening.accept().unwrap().into_socket() {
            connection::Socket::Tcp(_, peer) => assert_eq!(peer, client.local_addr().unwrap()),
            other => panic!("{other:?}"),
        }
        drop(listening);
        TcpStream::connect(at).expect("whoever passed it has it still");
    }

    #[tokio::test]
    async fn the_file_of_a_unix_socket_is_left_to_whoever_made_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let theirs = UnixListener::bind(&path).unwrap();
        let listening = stream(theirs.try_clone().unwrap(), &defaults());
        assert_eq!(*listening.address(), Bound::Unix(path.clone()));
        let _client = UnixStream::connect(&path).unwrap();
        listening.ready().await.unwrap();
        listening.accept().unwrap();
        listening.remove_file();
        drop(listening);
        UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn an_abstract_name_is_shown_as_one_line() {
        let name = format!("\0portcell\n{}", std::process::id());
        let socket = bound(Domain::UNIX, Type::STREAM, SockAddr::unix(name).unwrap());
        socket.listen(1).unwrap();
        let address = stream(socket, &defaults()).address().to_string();
        assert_eq!(address, format!("unix:@portcell\\n{}", std::process::id()));
    }

    #[tokio::test]
    async fn a_udp_socket_that_is_bound_receives() {
        let theirs = UdpSocket::bind(anywhere()).unwrap();
        let at = theirs.local_addr().unwrap();
        let made = Made::adopt(theirs.into(), &defaults()).unwrap();
        let Made::Datagram(DatagramSocket { socket, address }) = made else { panic!("{made:?}") };
        assert_eq!(address.to_string(), format!("udp://{at}"));
        assert!(SockRef::from(&socket).nonblocking().unwrap());
        UdpSocket::bind(anywhere()).unwrap().send_to(b"x", at).unwrap();
        assert_eq!(socket.recv(&mut [0; 2]).unwrap(), 1);
    }

    #[tokio::test]
    async fn what_is_configured_is_set_and_the_rest_is_left() {
        let theirs = TcpListener::bind(anywhere()).unwrap();
        let shown = SockRef::from(&theirs);
        shown.set_keepalive(true).unwrap();
        shown.set_tcp_user_timeout(Some(Duration::from_secs(5))).unwrap();
        let listening = stream(theirs.try_clone().unwrap(), &defaults());
        listening.adjust(&defaults()).await.unwrap();
        assert!(shown.tcp_nodelay().unwrap());
        assert!(shown.keepalive().unwrap());
        assert_eq!(shown.tcp_user_timeout().unwrap(), Some(Duration::from_secs(5)));
        let options = SocketOptions {
            keepalive: Some(Keepalive {
                idle: Duration::from_secs(61),
                interval: Duration::from_secs(7),
                count: NonZeroU32::MIN,
            }),
            user_timeout: Some(Duration::from_secs(6)),
            receive_buffer: NonZeroU32::new(30_000),
            ..defaults()
        };
        let _listening = stream(theirs.try_clone().unwrap(), &options);
        assert_eq!(shown.tcp_keepalive_time().unwrap(), Duration::from_secs(61));
        assert_eq!(shown.tcp_user_timeout().unwrap(), Some(Duration::from_secs(6)));
        assert_eq!(shown.recv_buffer_size().unwrap(), 2 * 30_000);
    }

    #[tokio::test]
    async fn an_option_that_cannot_be_set_is_named() {
        let options = SocketOptions { receive_buffer: Some(NonZeroU32::MAX), ..defaults() };
        let theirs = TcpListener::bind(anywhere()).unwrap();
        let said = Made::adopt(theirs.into(), &options).unwrap_err().to_string();
        assert!(said.starts_with("cannot be used: `receive_buffer` (4294967295) is"), "{said}");
    }

    #[tokio::test]
    async fn a_socket_that_is_not_ready_for_clients_is_refused_with_what_it_lacks() {
        let not_listening = "is bound but does not listen; whoever passes it must call listen(2)";
        let not_bound = "is a socket that is not bound; whoever passes it must call bind(2)";
        assert_eq!(refused(bound(Domain::IPV4, Type::STREAM, anywhere())), not_listening);
        let folder = tempfile::tempdir().unwrap();
        let path = SockAddr::unix(folder.path().join("x.sock")).unwrap();
        assert_eq!(refused(bound(Domain::UNIX, Type::STREAM, path)), not_listening);
        for (domain, kind) in [
            (Domain::IPV4, Type::STREAM),
            (Domain::UNIX, Type::STREAM),
            (Domain::IPV4, Type::DGRAM),
        ] {
            let said = refused(Socket::new(domain, kind, None).unwrap());
            assert_eq!(said, not_bound, "{domain:?} {kind:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_refused_with_its_peer() {
        let server = TcpListener::bind(anywhere()).unwrap();
        let at = server.local_addr().unwrap();
        let connected = |to: &str| {
            format!(
                "is connected to {to}; pass the socket that clients come to \
                     (systemd: Accept=no)"
            )
        };
        assert_eq!(refused(TcpStream::connect(at).unwrap()), connected(&at.to_string()));
        assert_eq!(refused(UnixStream::pair().unwrap().0), connected("a Unix socket"));
        let peer = UdpSocket::bind(anywhere()).unwrap();
        let at = peer.local_addr().unwrap();
        let datagrams = UdpSocket::bind(anywhere()).unwrap();
        datagrams.connect(at).unwrap();
        assert_eq!(refused(datagrams), connected(&at.to_string()));
    }

    #[tokio::test]
    async fn a_socket_of_another_kind_is_refused_with_its_kind() {
        let packets = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        for (socket, kind) in [
            (UnixDatagram::unbound().unwrap().into(), "AF_UNIX, SOCK_DGRAM"),
            (OwnedFd::from(packets), "AF_UNIX, SOCK_SEQPACKET"),
        ] {
            let said = refused(socket);
            let why = format!("is a socket of a kind that is not served ({kind}); ");
            assert!(said.starts_with(&why), "{said}");
        }
    }

    #[tokio::test]
    async fn what_is_no_socket_is_refused_with_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let null = File::open("/dev/null").unwrap();
        for (descriptor, what) in [
            (OwnedFd::from(pipe().unwrap().0), "a pipe"),
            (tempfile::tempfile().unwrap().into(), "a file"),
            (File::open(folder.path()).unwrap().into(), "a folder"),
            (null.into(), "a device"),
        ] {
            assert_eq!(refused(descriptor), format!("is {what}; pass a socket"));
        }
    }
}
