//! Binding addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Bound, Listening, file_id};
use crate::address::{Address, Host};
use crate::config::SocketOptions;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", explain(error))]
pub struct BindError {
    address: String,
    error: io::Error,
}

/// Binds `address` and listens. A host name is bound at each of its addresses. It must run inside
/// a tokio runtime, and waits only for the name's resolution.
pub async fn bind(address: &Address, options: &SocketOptions) -> Result<Vec<Listening>, BindError> {
    let failed = |error| BindError { address: address.to_string(), error };
    let sockets = match address {
        Address::Tcp { host: Host::Any, port } => vec![any(*port, options)],
        Address::Tcp { host: Host::Ip(ip), port } => {
            vec![tcp(SocketAddr::new(*ip, *port), options)]
        }
        Address::Tcp { host: Host::Name(name), port } => {
            let found = tokio::net::lookup_host((name.as_str(), *port)).await.map_err(failed)?;
            let mut addresses: Vec<SocketAddr> = found.collect();
            addresses.sort_unstable();
            addresses.dedup();
            addresses.into_iter().map(|address| tcp(address, options)).collect()
        }
        Address::Unix(path) => vec![unix(path, options)],
        Address::UnixAbstract(name) => vec![unix_abstract(name, options)],
        Address::Udp { .. } | Address::Inherited(_) => {
            vec![Err(io::ErrorKind::Unsupported.into())]
        }
    };
    sockets.into_iter().collect::<io::Result<Vec<_>>>().map_err(failed)
}

impl Listening {
    /// Changes how it was made, for connections from now on.
    pub fn adjust(&self, options: &SocketOptions) {
        let socket = SockRef::from(&self.socket);
        // It listens already: neither call can fail on it.
        let _ = socket.listen(backlog(options));
        if let Bound::Tcp(_) = self.address {
            let _ = socket.set_tcp_nodelay(options.nodelay);
        }
    }
}

/// Every interface: IPv6 and IPv4 on one socket, or IPv4 where there is no IPv6.
fn any(port: u16, options: &SocketOptions) -> io::Result<Listening> {
    match tcp(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port), options) {
        Err(error)
            if matches!(
                error.raw_os_error().map(rustix::io::Errno::from_raw_os_error),
                Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
            ) =>
        {
            tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), options)
        }
        bound => bound,
    }
}

fn tcp(address: SocketAddr, options: &SocketOptions) -> io::Result<Listening> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    // A restart finds connections of the last run in TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it: one call here instead of one for each connection.
    socket.set_tcp_nodelay(options.nodelay)?;
    socket.bind(&address.into())?;
    let bound = |socket: &Socket| {
        let bound = socket.local_addr()?.as_socket();
        Ok(Bound::Tcp(bound.ok_or(io::ErrorKind::AddrNotAvailable)?))
    };
    listen(socket, options, bound)
}

fn unix(path: &Path, options: &SocketOptions) -> io::Result<Listening> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(path)?;
    if let Err(error) = socket.bind(&address) {
        // The file of a server that did not end in good order is in the way, and nobody is there.
        let stale = error.kind() == io::ErrorKind::AddrInUse && is_socket(path) && is_stale(path);
        if !stale {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&address)?;
    }
    let bound = Bound::Unix(path.to_path_buf());
    let mut listening = listen(socket, options, |_| Ok(bound))?;
    listening.file = file_id(path);
    Ok(listening)
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Whether nobody has the socket at `path`. Anything but a plain refusal is somebody: one that is
/// busy, of another kind, or another user's.
fn is_stale(path: &Path) -> bool {
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // One whose backlog is full would make a blocking call wait.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    connect().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn unix_abstract(name: &str, options: &SocketOptions) -> io::Result<Listening> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A first byte of 0 is what makes it abstract: unix(7).
    socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
    listen(socket, options, |_| Ok(Bound::UnixAbstract(name.into())))
}

fn listen(
    socket: Socket,
    options: &SocketOptions,
    bound: impl FnOnce(&Socket) -> io::Result<Bound>,
) -> io::Result<Listening> {
    socket.set_nonblocking(true)?;
    socket.listen(backlog(options))?;
    let address = bound(&socket)?;
    Ok(Listening {
        socket: register(socket.into())?,
        address,
        file: None,
        owner: std::sync::atomic::AtomicU64::new(0),
    })
}

fn backlog(options: &SocketOptions) -> i32 {
    i32::try_from(options.backlog.get()).unwrap_or(i32::MAX)
}

/// Registers with the reactor. tokio's own listeners cannot tell that a client is there without
/// accepting it, and a place is taken before a client is.
#[expect(unsafe_code, reason = "tokio asks for a descriptor that stays what it is")]
fn register(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the `AsyncFd` owns the `OwnedFd`, whose descriptor is open and the same until it is
    // dropped.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}

/// What is wrong and what to do.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "it is taken by another program; stop that, or choose another (port 0 picks a free one)"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE, a Unix socket \
             a folder that can be written"
                .into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; `:PORT` listens on all it has".into()
        }
        io::ErrorKind::NotFound => "the folder does not exist".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_socket_that_listens_can_be_adjusted() {
        let config = Config::from_flags(Path::new("x.wasm"), &[]).unwrap();
        let options = config.listeners[0].socket.clone();
        let address: Address = "127.0.0.1:0".parse().unwrap();
        let bound = bind(&address, &options).await.unwrap();
        for nodelay in [false, true] {
            bound[0].adjust(&SocketOptions { nodelay, ..options.clone() });
            assert_eq!(SockRef::from(&bound[0].socket).tcp_nodelay().unwrap(), nodelay);
        }
    }
}
