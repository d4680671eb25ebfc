//! A server leaves its sockets to a process that takes its place.

use std::io;
use std::os::fd::OwnedFd;

use super::Server;
use super::listener::Listener;
use super::socket::Socket;
use crate::address::Address;
use crate::listener::Parcel;

/// The sockets of a server, for a process that is to take its place. Until
/// [`Control::leave`](super::Control::leave) the server goes on with them.
#[derive(Debug)]
pub struct HandOver(Vec<Left>);

/// A socket, with its listener and the address that is configured for it.
#[derive(Debug)]
struct Left {
    listener: String,
    address: Address,
    socket: Socket,
}

impl HandOver {
    pub(super) fn of(server: &Server) -> Self {
        let all = server.listeners.iter();
        Self(all.flat_map(|(name, listener)| sockets(name, listener)).collect())
    }

    /// What the new process has to be started with. `ready` is where it says that it serves;
    /// `others` are sockets that are not the server's.
    pub fn parcel(
        &self,
        ready: OwnedFd,
        others: Vec<(String, Address, OwnedFd)>,
    ) -> io::Result<Parcel> {
        // What was inherited is passed on as such, by the parcel.
        let own = self.0.iter().filter(|left| !matches!(left.address, Address::Inherited(_)));
        let duplicate = |left: &Left| {
            Ok((left.listener.clone(), left.address.clone(), left.socket.duplicate()?))
        };
        let sockets: io::Result<Vec<_>> = own.map(duplicate).collect();
        Parcel::new(sockets?.into_iter().chain(others), ready)
    }

    /// Whether these are the sockets that the server has now.
    pub(super) fn is_all_of(&self, server: &Server) -> bool {
        let now = Self::of(server);
        let has = |other: &Left| self.0.iter().any(|left| left.socket.is(&other.socket));
        now.0.len() == self.0.len() && now.0.iter().all(has)
    }

    pub(super) fn leave(&self) {
        for left in &self.0 {
            left.socket.is_left_to_successor();
        }
    }
}

/// The sockets of a listener. Those at a port that the kernel has picked have the address that
/// asks for one.
fn sockets(name: &str, listener: &Listener) -> Vec<Left> {
    let sockets = listener.running().map_or(&[][..], |running| &running.sockets);
    let left = |(asked, socket): &(Address, Socket)| {
        let at = |address: &Address| socket.address().asked_again(address);
        let configured = listener.config.bind.iter().find(|address| at(address) == at(asked));
        Left {
            listener: name.to_owned(),
            address: configured.unwrap_or(asked).clone(),
            socket: socket.clone(),
        }
    };
    sockets.iter().map(left).collect()
}
