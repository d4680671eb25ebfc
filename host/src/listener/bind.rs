//! From an address to sockets that are bound to it.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::error::{BindError, Why};
use super::inherit::inherited;
use super::{Bound, Listening, hosts, options, unix};
use crate::address::Address;
use crate::config::SocketOptions;

/// A socket that is bound, of the kind that its address is of.
#[derive(Debug)]
pub enum Made {
    /// TCP or Unix: it listens.
    Stream(Listening),
    /// UDP.
    Datagram(DatagramSocket),
}

/// A UDP socket that is bound.
#[derive(Debug)]
pub struct DatagramSocket {
    /// It does not block.
    pub socket: UdpSocket,
    /// Always [`Bound::Udp`].
    pub address: Bound,
}

/// Binds `address`; what is of streams listens. It must run inside a tokio runtime, and waits only
/// for names to be looked up, and up to a second for another server that looks at the same
/// folder's sockets.
///
/// - Every interface is one socket for IPv6 and IPv4; one for IPv4 where there is no IPv6; one for
///   IPv6 only with `v6_only`.
/// - A host name is bound at each of its addresses. With port 0 the first gets one from the
///   kernel, and the others the same. An IPv6 address is left out where there is no IPv6, unless
///   it is the only one.
/// - A name of inherited sockets gives each socket that has it.
pub async fn bind(address: &Address, options: &SocketOptions) -> Result<Vec<Made>, BindError> {
    let make_stream = |address| stream(address, options).map(Made::Stream);
    let make_datagram = |address| {
        let socket = datagram(address, options)?;
        let address = Bound::Udp(socket.local_addr()?);
        Ok(Made::Datagram(DatagramSocket { socket, address }))
    };
    let made = match address {
        Address::Tcp { host, port } => {
            hosts::bind(host, *port, options.v6_only, &make_stream).await
        }
        Address::Udp { host, port } => {
            hosts::bind(host, *port, options.v6_only, &make_datagram).await
        }
        Address::Unix(path) => unix(path, options).await.map(one),
        Address::UnixAbstract(name) => unix_abstract(name, options).map(one),
        Address::Inherited(which) => inherited(which, options).map_err(Why::from),
    };
    made.map_err(|why| BindError::because(address, why))
}

impl Made {
    /// What it is bound to.
    pub const fn address(&self) -> &Bound {
        match self {
            Self::Stream(listening) => listening.address(),
            Self::Datagram(socket) => &socket.address,
        }
    }
}

impl Listening {
    /// Of a socket that listens and does not block.
    pub(super) fn new(socket: Socket, address: Bound, options: &SocketOptions) -> io::Result<Self> {
        Ok(Self {
            file: None,
            socket: registered(socket.into(), Interest::READABLE)?,
            address,
            inherited: false,
            send_buffer: AtomicU32::new(options.send_buffer.map_or(0, NonZeroU32::get)),
            owner: AtomicU64::new(0),
        })
    }
}

/// A UDP socket that does not block. It never has `SO_REUSEADDR`, with which another program could
/// take its port away.
pub(super) fn datagram(address: SocketAddr, options: &SocketOptions) -> Result<UdpSocket, Why> {
    let kind = Type::DGRAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    options::set_fixed(&socket, address, options)?;
    options::set_common(&socket, options)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn stream(address: SocketAddr, options: &SocketOptions) -> Result<Listening, Why> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // A restart finds connections of the last run in TIME_WAIT.
    socket.set_reuse_address(true)?;
    options::set_fixed(&socket, address, options)?;
    options::set_common(&socket, options)?;
    options::set_stream(&socket, options, false)?;
    socket.bind(&address.into())?;
    socket.listen(options::backlog(options))?;
    let socket = TcpListener::from(socket);
    let address = Bound::Tcp(socket.local_addr()?);
    Ok(Listening::new(socket.into(), address, options)?)
}

async fn unix(path: &Path, options: &SocketOptions) -> Result<Listening, Why> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    options::set_unix(&socket, options)?;
    let file = unix::bind(&socket, path, options).await?;
    socket.listen(options::backlog(options))?;
    let listening = Listening::new(socket, Bound::Unix(path.to_path_buf()), options)?;
    Ok(Listening { file: Some(file), ..listening })
}

fn unix_abstract(name: &str, options: &SocketOptions) -> Result<Listening, Why> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    options::set_unix(&socket, options)?;
    // A first byte of 0 is what makes it abstract: unix(7).
    socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
    socket.listen(options::backlog(options))?;
    Ok(Listening::new(socket, Bound::UnixAbstract(name.into()), options)?)
}

fn one(listening: Listening) -> Vec<Made> {
    vec![Made::Stream(listening)]
}

/// Registers with the reactor. tokio's own listeners cannot tell that a client is there without
/// accepting it, and a place is taken before a client is; its own sockets are registered for more
/// than is asked of them here.
#[expect(unsafe_code, reason = "tokio asks for a descriptor that stays what it is")]
pub(super) fn registered<T>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>>
where
    T: AsRawFd + Into<OwnedFd>,
{
    // SAFETY: the `AsyncFd` owns the socket, whose descriptor is open and the same until it is
    // dropped.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};
    use std::os::unix::net::UnixStream;

    use socket2::SockRef;

    use super::*;
    use crate::address::Host;
    use crate::connection;
    use crate::listener::Source as _;
    use crate::listener::options::defaults;

    async fn stream_at(address: &str, options: &SocketOptions) -> Listening {
        match bind(&address.parse().unwrap(), options).await.unwrap().remove(0) {
            Made::Stream(listening) => listening,
            Made::Datagram(socket) => panic!("{socket:?}"),
        }
    }

    fn udp(host: Host, port: u16) -> Address {
        Address::Udp { host, port }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_what_to_do() {
        let listening = stream_at("127.0.0.1:0", &defaults()).await;
        let address = listening.address().to_string();
        let error = bind(&address.parse().unwrap(), &defaults()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {address}: it is taken by another program; stop that, or choose \
                 another (port 0 picks a free one)"
            )
        );
    }

    #[tokio::test]
    async fn a_port_whose_connections_linger_can_be_bound_at_once() {
        let listening = stream_at("127.0.0.1:0", &defaults()).await;
        let address = listening.address().to_string();
        let port = listening.address().port().unwrap();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        listening.ready().await.unwrap();
        // Who closes first is left in TIME_WAIT.
        drop(listening.accept().unwrap());
        drop(listening);
        drop(client);
        stream_at(&address, &defaults()).await;
    }

    #[tokio::test]
    async fn a_name_is_bound_by_its_addresses() {
        for made in bind(&"localhost:0".parse().unwrap(), &defaults()).await.unwrap() {
            let Bound::Tcp(address) = made.address() else { panic!("{made:?}") };
            assert!(address.ip().is_loopback() && address.port() != 0, "{address}");
        }
        // RFC 6761, section 6.4: no resolver knows it.
        let said = bind(&"a.invalid:0".parse().unwrap(), &defaults()).await.unwrap_err();
        let said = said.to_string();
        assert!(
            said.starts_with("cannot listen on tcp://a.invalid:0: its name cannot be"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1);
    }

    #[tokio::test]
    async fn a_udp_port_belongs_to_one_socket_that_does_not_block() {
        let address = udp(Host::Any, 0);
        let made = bind(&address, &defaults()).await.unwrap().remove(0);
        let Made::Datagram(DatagramSocket { socket, address }) = made else { panic!("{made:?}") };
        assert_eq!(address, Bound::Udp(socket.local_addr().unwrap()));
        assert!(!SockRef::from(&socket).reuse_address().unwrap());
        assert!(SockRef::from(&socket).nonblocking().unwrap());
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = address.port().unwrap();
        client.send_to(b"x", (Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_eq!(socket.recv(&mut [0; 2]).unwrap(), 1);
        let same = bind(&udp(Host::Any, port), &defaults()).await.unwrap_err().to_string();
        let begin = format!("cannot listen on udp://:{port}: it is taken by another program");
        assert!(same.starts_with(&begin), "{same}");
    }

    #[tokio::test]
    async fn a_udp_socket_has_its_options() {
        let options = SocketOptions {
            receive_buffer: NonZeroU32::new(30_000),
            send_buffer: NonZeroU32::new(40_000),
            ..defaults()
        };
        let address = udp(Host::Ip(Ipv4Addr::LOCALHOST.into()), 0);
        let made = bind(&address, &options).await.unwrap().remove(0);
        let Made::Datagram(DatagramSocket { socket, .. }) = made else { panic!("{made:?}") };
        let socket = SockRef::from(&socket);
        assert_eq!(socket.recv_buffer_size().unwrap(), 2 * 30_000);
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * 40_000);
    }

    #[tokio::test]
    async fn connections_at_unix_sockets_get_the_buffer_that_they_do_not_inherit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let with = SocketOptions { send_buffer: NonZeroU32::new(40_000), ..defaults() };
        let listening = stream_at(&format!("unix:{}", path.display()), &with).await;
        let size = async || {
            let _client = UnixStream::connect(&path).unwrap();
            listening.ready().await.unwrap();
            match listening.accept().unwrap().into_socket() {
                connection::Socket::Unix(stream) => SockRef::from(&stream).send_buffer_size(),
                other => panic!("it is a Unix socket: {other:?}"),
            }
        };
        assert_eq!(size().await.unwrap(), 2 * 40_000);
        listening.adjust(&defaults()).await.unwrap();
        let plain = UnixStream::pair().unwrap().0;
        assert_eq!(size().await.unwrap(), SockRef::from(&plain).send_buffer_size().unwrap());
    }

    #[tokio::test]
    async fn an_abstract_name_belongs_to_one_socket() {
        let address: Address = format!("unix:@portcell-{}", std::process::id()).parse().unwrap();
        let made = bind(&address, &defaults()).await.unwrap();
        assert_eq!(made[0].address().to_string(), address.to_string());
        let said = bind(&address, &defaults()).await.unwrap_err().to_string();
        assert!(said.contains("it is taken by another program"), "{said}");
    }
}
