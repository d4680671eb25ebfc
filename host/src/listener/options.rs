//! The options of sockets: set before one is bound, changed on one that is bound already, and
//! which of them cannot be changed.
//!
//! An option that is not configured is left as it is on a socket that somebody else made.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::SetSockOpt;
use nix::sys::socket::sockopt::SetStruct;
use socket2::{SockRef, Socket, TcpKeepalive};

use super::error::{AdjustError, Why};
use super::refused::Refused;
use super::{Bound, Listening};
use crate::config::{SocketOptions, display_duration};

/// `TCP_DEFER_ACCEPT`, in seconds (tcp(7)).
#[derive(Clone, Copy)]
struct DeferAccept;

nix::setsockopt_impl!(
    DeferAccept,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    i32,
    SetStruct<'_, i32>
);

/// Whether a socket that is bound to `address` has to be made anew for what changed from `old` to
/// `new`; everything else is changed by [`Listening::adjust`].
///
/// Beside what the kernel looks at when it binds, these are options that it has no way back from
/// once they have been set. The file of a Unix socket never asks for it. A socket that was
/// inherited can be adopted again at any time, and is the same as before.
pub fn must_rebind(address: &Bound, old: &SocketOptions, new: &SocketOptions) -> bool {
    let address = match address {
        Bound::Tcp(address) | Bound::Udp(address) => address,
        Bound::Unix(_) | Bound::UnixAbstract(_) => return false,
    };
    let taken_back = |old: Option<_>, new: Option<_>| old.is_some() && new.is_none();
    old.reuse_port != new.reuse_port
        || old.ip_freebind != new.ip_freebind
        || old.device != new.device
        || is_everywhere(*address) && old.v6_only != new.v6_only
        || taken_back(old.mark, new.mark)
        || taken_back(old.receive_buffer, new.receive_buffer)
        || taken_back(old.send_buffer, new.send_buffer)
}

impl Listening {
    /// Changes it to `options`, for connections from now on: all that [`must_rebind`] does not
    /// tell. What is no longer configured goes back to the kernel's default; on an inherited
    /// socket it stays, and so does the backlog, which is that of whoever passed it.
    ///
    /// The rights of a Unix socket's file are changed too, unless they are not configured. Waits
    /// only for the names of its user and group to be looked up. What is refused, which can be
    /// `mark`, buffers, and owner and group of the file, ends it: what came before has changed.
    pub async fn adjust(&self, options: &SocketOptions) -> Result<(), AdjustError> {
        let adjusted = self.try_adjust(options).await;
        adjusted.map_err(|why| AdjustError::because(self.address.clone(), why))
    }

    async fn try_adjust(&self, options: &SocketOptions) -> Result<(), Why> {
        let socket = SockRef::from(&self.socket);
        match &self.address {
            Bound::Tcp(_) => {
                set_common(&socket, options)?;
                set_stream(&socket, options, self.inherited)?;
            }
            Bound::Udp(_) => set_common(&socket, options)?,
            Bound::Unix(_) | Bound::UnixAbstract(_) => {
                set_unix(&socket, options)?;
                self.send_buffer.store(options.send_buffer.map_or(0, NonZeroU32::get), Relaxed);
            }
        }
        if let Some(file) = &self.file {
            file.adjust(options).await?;
        }
        if !self.inherited {
            socket.listen(backlog(options))?;
        }
        Ok(())
    }
}

/// Sets what is fixed once the socket is bound to `address`.
pub(super) fn set_fixed(
    socket: &Socket,
    address: SocketAddr,
    options: &SocketOptions,
) -> Result<(), Why> {
    if address.is_ipv6() {
        socket.set_only_v6(options.v6_only || !is_everywhere(address))?;
    }
    if options.reuse_port {
        named("reuse_port", &true, socket.set_reuse_port(true))?;
    }
    if options.ip_freebind {
        let set = match address {
            SocketAddr::V4(_) => socket.set_freebind_v4(true),
            SocketAddr::V6(_) => socket.set_freebind_v6(true),
        };
        named("ip_freebind", &true, set)?;
    }
    if let Some(device) = &options.device {
        named("device", device, socket.bind_device(Some(device.as_bytes())))?;
    }
    Ok(())
}

/// Sets what TCP and UDP have, and what can change at any time. For TCP it belongs before listen:
/// what a client is offered comes from the buffer that there is when it connects (tcp(7)).
pub(super) fn set_common(socket: &Socket, options: &SocketOptions) -> Result<(), Refused> {
    if let Some(mark) = options.mark {
        named("mark", &mark, socket.set_mark(mark.get()))?;
    }
    buffer(
        ("receive_buffer", "net.core.rmem_max"),
        options.receive_buffer,
        |size| socket.set_recv_buffer_size(size),
        || socket.recv_buffer_size(),
    )?;
    set_send_buffer(socket, options)
}

/// Sets what TCP has. Connections inherit it from the socket that listens: one call here instead
/// of one for each.
pub(super) fn set_stream(
    socket: &Socket,
    options: &SocketOptions,
    inherited: bool,
) -> Result<(), Refused> {
    let default = |value| (!inherited).then_some(value);
    named("nodelay", &options.nodelay, socket.set_tcp_nodelay(options.nodelay))?;
    if let Some(keepalive) = options.keepalive {
        let numbers = TcpKeepalive::new()
            .with_time(keepalive.idle)
            .with_interval(keepalive.interval)
            .with_retries(keepalive.count.get());
        let value = format!(
            "{}, {}, {}",
            display_duration(keepalive.idle),
            display_duration(keepalive.interval),
            keepalive.count
        );
        named("keepalive", &value, socket.set_tcp_keepalive(&numbers))?;
    } else if !inherited {
        named("keepalive", &"none", socket.set_keepalive(false))?;
    }
    if let Some(timeout) = options.user_timeout.or(default(Duration::ZERO)) {
        let value = display_duration(timeout);
        named("user_timeout", &value, socket.set_tcp_user_timeout(Some(timeout)))?;
    }
    if let Some(wait) = options.defer_accept.or(default(Duration::ZERO)) {
        let seconds = i32::try_from(wait.as_secs()).unwrap_or(i32::MAX);
        let set = DeferAccept.set(socket, &seconds).map_err(io::Error::from);
        named("defer_accept", &display_duration(wait), set)?;
    }
    Ok(())
}

/// Sets what Unix sockets have, as a check: connections do not inherit it, and each is given its
/// own. What comes in is in the sender's buffer there (unix(7)).
pub(super) fn set_unix(socket: &Socket, options: &SocketOptions) -> Result<(), Refused> {
    set_send_buffer(socket, options)
}

/// Sets what connections at Unix sockets do not inherit. The socket that listens has taken it.
pub(super) fn set_accepted(client: &OwnedFd, send_buffer: NonZeroU32) {
    let size = usize::try_from(send_buffer.get()).unwrap_or(usize::MAX);
    // A client is not turned away for it.
    let _ = SockRef::from(client).set_send_buffer_size(size);
}

/// How many connections the kernel queues.
pub(super) fn backlog(options: &SocketOptions) -> i32 {
    i32::try_from(options.backlog.get()).unwrap_or(i32::MAX)
}

fn set_send_buffer(socket: &Socket, options: &SocketOptions) -> Result<(), Refused> {
    buffer(
        ("send_buffer", "net.core.wmem_max"),
        options.send_buffer,
        |size| socket.set_send_buffer_size(size),
        || socket.send_buffer_size(),
    )
}

/// The kernel cuts a size that is too large without a word.
fn buffer(
    (key, bound): (&'static str, &str),
    wanted: Option<NonZeroU32>,
    set: impl FnOnce(usize) -> io::Result<()>,
    get: impl FnOnce() -> io::Result<usize>,
) -> Result<(), Refused> {
    let Some(wanted) = wanted else { return Ok(()) };
    let size = usize::try_from(wanted.get()).unwrap_or(usize::MAX);
    named(key, &wanted, set(size))?;
    // It books twice as much, for its own needs (socket(7)).
    let granted = named(key, &wanted, get())? / 2;
    if granted < size {
        let why =
            format!("this machine grants {granted} bytes at most; raise {bound}, or ask for less");
        return Err(Refused::new(key, &wanted, why));
    }
    Ok(())
}

fn named<T>(key: &'static str, value: &impl Display, result: io::Result<T>) -> Result<T, Refused> {
    result.map_err(|error| Refused::by(key, value, &error))
}

/// Whether it is every interface, IPv6 and IPv4 alike.
fn is_everywhere(address: SocketAddr) -> bool {
    address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

/// Those of a configuration that says nothing of them.
#[cfg(test)]
pub(super) fn defaults() -> SocketOptions {
    let config = crate::config::Config::from_flags(std::path::Path::new("x.wasm"), &[]).unwrap();
    config.listeners[0].socket.clone()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpStream, UdpSocket};
    use std::os::fd::AsFd;

    use nix::sys::socket::GetSockOpt;
    use nix::sys::socket::sockopt::GetStruct;

    use super::*;
    use crate::address::{Address, Host};
    use crate::config::Keepalive;
    use crate::connection;
    use crate::listener::Source as _;
    use crate::listener::{Made, bind};

    nix::getsockopt_impl!(
        DeferAccept,
        libc::IPPROTO_TCP,
        libc::TCP_DEFER_ACCEPT,
        i32,
        GetStruct<i32>
    );

    async fn listen(address: &str, options: &SocketOptions) -> Result<Listening, String> {
        let made = bind(&address.parse().unwrap(), options).await;
        match made.map_err(|error| error.to_string())?.remove(0) {
            Made::Stream(listening) => Ok(listening),
            Made::Datagram(socket) => panic!("{socket:?}"),
        }
    }

    fn at(listening: &Listening) -> SocketAddr {
        match listening.address() {
            Bound::Tcp(address) => *address,
            other => panic!("{other}"),
        }
    }

    /// A connection, with the client's end of it.
    async fn connection(listening: &Listening) -> (TcpStream, tokio::net::TcpStream) {
        let mut client = TcpStream::connect(at(listening)).unwrap();
        // One that is deferred is accepted when there is something to read.
        client.write_all(b"x").unwrap();
        listening.ready().await.unwrap();
        match listening.accept().unwrap().into_socket() {
            connection::Socket::Tcp(stream, _) => (client, stream),
            other => panic!("it is TCP: {other:?}"),
        }
    }

    fn everything() -> SocketOptions {
        SocketOptions {
            nodelay: false,
            keepalive: Some(Keepalive {
                idle: Duration::from_secs(61),
                interval: Duration::from_secs(7),
                count: NonZeroU32::new(3).unwrap(),
            }),
            user_timeout: Some(Duration::from_millis(4321)),
            receive_buffer: NonZeroU32::new(30_000),
            send_buffer: NonZeroU32::new(40_000),
            defer_accept: Some(Duration::from_secs(5)),
            ..defaults()
        }
    }

    fn has_everything(socket: impl AsFd) {
        let socket = SockRef::from(&socket);
        assert!(!socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(61));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(4321)));
        assert_eq!(socket.recv_buffer_size().unwrap(), 2 * 30_000);
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * 40_000);
    }

    fn has_defaults(socket: impl AsFd) {
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(!socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }

    #[tokio::test]
    async fn connections_inherit_what_the_socket_that_listens_was_made_with() {
        let listening = listen("127.0.0.1:0", &everything()).await.unwrap();
        has_everything(&listening.socket);
        // The kernel counts in retries, and rounds up.
        assert!(DeferAccept.get(&listening.socket).unwrap() >= 5);
        let (_client, stream) = connection(&listening).await;
        has_everything(&stream);
        let plain = listen("127.0.0.1:0", &defaults()).await.unwrap();
        assert_eq!(DeferAccept.get(&plain.socket).unwrap(), 0);
        let (_client, stream) = connection(&plain).await;
        has_defaults(&stream);
    }

    #[tokio::test]
    async fn a_socket_that_listens_is_changed_for_the_next_connection() {
        let listening = listen("127.0.0.1:0", &defaults()).await.unwrap();
        listening.adjust(&everything()).await.unwrap();
        has_everything(&connection(&listening).await.1);
        assert!(DeferAccept.get(&listening.socket).unwrap() >= 5);
        listening.adjust(&defaults()).await.unwrap();
        has_defaults(&connection(&listening).await.1);
        assert_eq!(DeferAccept.get(&listening.socket).unwrap(), 0);
    }

    #[tokio::test]
    async fn what_a_socket_that_listens_does_not_take_is_named() {
        let listening = listen("127.0.0.1:0", &defaults()).await.unwrap();
        let options = SocketOptions { send_buffer: Some(NonZeroU32::MAX), ..defaults() };
        let said = listening.adjust(&options).await.unwrap_err().to_string();
        let address = listening.address();
        let begin = format!("{address} cannot be changed: `send_buffer` (4294967295) is refused");
        assert!(said.starts_with(&begin), "{said}");
    }

    #[tokio::test]
    async fn what_this_process_may_not_set_is_named() {
        let options = SocketOptions { mark: NonZeroU32::new(7), ..defaults() };
        match listen("127.0.0.1:0", &options).await {
            Ok(listening) => {
                assert_eq!(SockRef::from(&connection(&listening).await.1).mark().unwrap(), 7);
            }
            Err(said) => assert_eq!(
                said,
                "cannot listen on tcp://127.0.0.1:0: `mark` (7) is refused: it needs \
                 CAP_NET_ADMIN; grant that, or leave it out"
            ),
        }
    }

    #[tokio::test]
    async fn a_socket_is_bound_to_an_interface() {
        let device = |name: &str| SocketOptions { device: Some(name.into()), ..defaults() };
        match listen("127.0.0.1:0", &device("lo")).await {
            Ok(listening) => {
                let device = SockRef::from(&listening.socket).device().unwrap();
                assert_eq!(device.as_deref(), Some(&b"lo"[..]));
            }
            // Linux before 5.7 asks for a right.
            Err(said) => assert!(said.contains("`device` (lo) is refused: it needs"), "{said}"),
        }
        let said = listen("127.0.0.1:0", &device("not-there")).await.unwrap_err();
        assert_eq!(
            said,
            "cannot listen on tcp://127.0.0.1:0: `device` (not-there) is refused: \
             there is no such interface; `ip link` lists those that there are"
        );
    }

    #[tokio::test]
    async fn a_buffer_that_the_kernel_would_cut_is_refused() {
        let most = Some(NonZeroU32::MAX);
        let receive = SocketOptions { receive_buffer: most, ..defaults() };
        let send = SocketOptions { send_buffer: most, ..defaults() };
        for (address, options, key, bound) in [
            ("127.0.0.1:0", &receive, "receive_buffer", "net.core.rmem_max"),
            ("127.0.0.1:0", &send, "send_buffer", "net.core.wmem_max"),
            ("unix:@portcell-buffers", &send, "send_buffer", "net.core.wmem_max"),
        ] {
            let said = listen(address, options).await.unwrap_err();
            let begin = format!("`{key}` (4294967295) is refused: this machine grants ");
            assert!(said.contains(&begin), "{said}");
            assert!(said.ends_with(&format!("raise {bound}, or ask for less")), "{said}");
        }
    }

    #[tokio::test]
    async fn an_address_that_the_machine_does_not_have_can_be_bound_if_that_is_asked_for() {
        // Of documentation: RFC 5737, RFC 3849.
        let bare = listen("192.0.2.1:0", &defaults()).await.unwrap_err();
        assert!(bare.contains("this machine does not have that address"), "{bare}");
        let options = SocketOptions { ip_freebind: true, ..defaults() };
        listen("192.0.2.1:0", &options).await.unwrap();
        if UdpSocket::bind("[::1]:0").is_ok() {
            listen("[2001:db8::1]:0", &options).await.unwrap();
        }
    }

    #[tokio::test]
    async fn ipv6_sockets_take_ipv4_clients_only_where_they_are_on_every_interface() {
        let both = listen(":0", &defaults()).await.unwrap();
        assert!(TcpStream::connect(("127.0.0.1", at(&both).port())).is_ok());
        if UdpSocket::bind("[::1]:0").is_err() {
            return;
        }
        let only = SocketOptions { v6_only: true, ..defaults() };
        for (address, options, v6_only) in
            [(":0", &defaults(), false), (":0", &only, true), ("[::1]:0", &defaults(), true)]
        {
            let listening = listen(address, options).await.unwrap();
            assert_eq!(SockRef::from(&listening.socket).only_v6().unwrap(), v6_only, "{address}");
            let port = at(&listening).port();
            assert_eq!(TcpStream::connect(("127.0.0.1", port)).is_ok(), !v6_only, "{address}");
            assert!(TcpStream::connect(("::1", port)).is_ok(), "{address}");
        }
    }

    #[tokio::test]
    async fn a_port_is_shared_only_if_all_of_its_sockets_ask_for_it() {
        let shared = SocketOptions { reuse_port: true, ..defaults() };
        let host = Host::Ip(Ipv4Addr::LOCALHOST.into());
        for udp in [false, true] {
            let address = |port| {
                let host = host.clone();
                if udp { Address::Udp { host, port } } else { Address::Tcp { host, port } }
            };
            let first = bind(&address(0), &shared).await.unwrap().remove(0);
            let same = address(first.address().port().unwrap());
            bind(&same, &shared).await.unwrap();
            let said = bind(&same, &defaults()).await.unwrap_err().to_string();
            assert!(said.contains("it is taken by another program"), "{said}");
        }
    }

    #[test]
    fn what_is_fixed_when_a_socket_is_bound_asks_for_a_new_one() {
        let everywhere = Bound::Tcp("[::]:1".parse().unwrap());
        let one = Bound::Udp("127.0.0.1:1".parse().unwrap());
        let file = Bound::Unix("x".into());
        let plain = defaults();
        for (change, addresses) in [
            (SocketOptions { reuse_port: true, ..defaults() }, [true, true, false]),
            (SocketOptions { ip_freebind: true, ..defaults() }, [true, true, false]),
            (SocketOptions { device: Some("lo".into()), ..defaults() }, [true, true, false]),
            (SocketOptions { v6_only: true, ..defaults() }, [true, false, false]),
            (SocketOptions { unix_mode: Some(0o600), ..defaults() }, [false; 3]),
            (everything(), [false; 3]),
            (SocketOptions { mark: NonZeroU32::new(1), ..defaults() }, [false; 3]),
        ] {
            let asks = [&everywhere, &one, &file].map(|to| must_rebind(to, &plain, &change));
            assert_eq!(asks, addresses, "{change:?}");
        }
        // What is taken back stays in the kernel.
        for change in [everything(), SocketOptions { mark: NonZeroU32::new(1), ..defaults() }] {
            assert!(must_rebind(&one, &change, &plain), "{change:?}");
            assert!(!must_rebind(&file, &change, &plain), "{change:?}");
        }
        assert!(!must_rebind(&everywhere, &plain, &plain));
    }
}
