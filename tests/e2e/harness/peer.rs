//! A UDP client that does not wait for ever.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use super::{A_MOMENT, PATIENCE};

/// One sender of datagrams. It hears only what comes from the address that it sends to.
#[derive(Debug)]
pub(crate) struct Peer(UdpSocket);

impl Peer {
    pub(crate) fn of(server: impl ToSocketAddrs) -> Self {
        let server = server.to_socket_addrs().unwrap().next().unwrap();
        let any = match server {
            SocketAddr::V4(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// Its own address, as the server sees it.
    pub(crate) fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    pub(crate) fn send(&self, datagram: impl AsRef<[u8]>) {
        let datagram = datagram.as_ref();
        assert_eq!(self.0.send(datagram).unwrap(), datagram.len());
    }

    /// Waits for a datagram.
    pub(crate) fn receive(&self) -> Vec<u8> {
        self.try_receive().unwrap_or_else(|| panic!("waited in vain for a datagram"))
    }

    /// Sends a datagram and gives the answer, as text.
    pub(crate) fn ask(&self, datagram: impl AsRef<[u8]>) -> String {
        self.send(datagram);
        String::from_utf8(self.receive()).unwrap()
    }

    /// Sends a datagram, and checks that it comes back.
    pub(crate) fn is_echoed(&self) {
        assert_eq!(self.ask("x"), "x");
    }

    /// What comes within a moment.
    pub(crate) fn hears(&self) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(A_MOMENT)).unwrap();
        let heard = self.try_receive();
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        heard
    }

    /// Whether nothing comes for a moment.
    pub(crate) fn hears_nothing(&self) -> bool {
        self.hears().is_none()
    }

    /// A datagram, if there is one within the socket's patience.
    fn try_receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        match self.0.recv(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                Some(buffer)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}
