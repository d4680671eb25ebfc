//! Membership in multicast groups. (ip(7) `IP_ADD_MEMBERSHIP`, RFC 3493 section 5.2.)

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use socket2::{InterfaceIndexOrAddress, SockRef};

use super::Datagrams;

/// A multicast group cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The interface does not exist.
    #[error("cannot join multicast groups at {address}: no interface is named {device}")]
    Device {
        /// What the socket is bound to.
        address: String,
        /// The name that was given.
        device: String,
    },
    /// The kernel refused it.
    #[error("cannot join the group {group} at {address}: {}", explain(error))]
    Group {
        /// The group.
        group: IpAddr,
        /// What the socket is bound to.
        address: String,
        /// Why.
        error: io::Error,
    },
}

/// The groups that a socket has joined, and the number of the interface of each, 0 for the one
/// that the kernel picked.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<Vec<(IpAddr, u32)>>);

impl Datagrams {
    /// Joins `groups`, as far as the socket has their kind of address, on the interface named
    /// `device` or the one that the kernel picks. All of them or, after an error, none that it was
    /// not in before.
    pub fn join(&self, groups: &[IpAddr], device: Option<&str>) -> Result<(), JoinError> {
        let interface = self.interface(device)?;
        let mut joined = self.groups.lock();
        let before = joined.len();
        for group in groups.iter().copied().filter(|group| self.takes(*group)) {
            if joined.contains(&(group, interface)) {
                continue;
            }
            match self.change(Change::Join, group, interface) {
                Ok(()) => joined.push((group, interface)),
                // One that was handed over to this process can be a member already.
                Err(error) if is(&error, Errno::ADDRINUSE) => {}
                Err(error) => {
                    for (group, interface) in joined.drain(before..) {
                        let _ = self.change(Change::Leave, group, interface);
                    }
                    let address = self.address.to_string();
                    return Err(JoinError::Group { group, address, error });
                }
            }
        }
        Ok(())
    }

    /// Leaves the groups that it has joined and that are not among these.
    pub fn leave_others(&self, groups: &[IpAddr]) {
        self.groups.lock().retain(|(group, interface)| {
            let stays = groups.contains(group);
            if !stays {
                // It fails where the interface is gone, and the membership with it.
                let _ = self.change(Change::Leave, *group, *interface);
            }
            stays
        });
    }

    fn interface(&self, device: Option<&str>) -> Result<u32, JoinError> {
        let Some(device) = device else { return Ok(0) };
        rustix::net::netdevice::name_to_index(self.socket.as_fd(), device).map_err(|_| {
            JoinError::Device { address: self.address.to_string(), device: device.into() }
        })
    }

    /// Whether datagrams to this kind of address come in here: an IPv6 socket on every interface
    /// has both kinds, unless it was told otherwise.
    fn takes(&self, group: IpAddr) -> bool {
        match (self.bound, group) {
            (SocketAddr::V4(_), IpAddr::V4(_)) | (SocketAddr::V6(_), IpAddr::V6(_)) => true,
            (SocketAddr::V6(bound), IpAddr::V4(_)) => {
                bound.ip().is_unspecified()
                    && SockRef::from(&self.socket).only_v6().is_ok_and(|only| !only)
            }
            (SocketAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }

    fn change(&self, change: Change, group: IpAddr, interface: u32) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        let index = InterfaceIndexOrAddress::Index(interface);
        match (change, group) {
            (Change::Join, IpAddr::V4(group)) => socket.join_multicast_v4_n(&group, &index),
            (Change::Join, IpAddr::V6(group)) => socket.join_multicast_v6(&group, interface),
            (Change::Leave, IpAddr::V4(group)) => socket.leave_multicast_v4_n(&group, &index),
            (Change::Leave, IpAddr::V6(group)) => socket.leave_multicast_v6(&group, interface),
        }
    }
}

impl Groups {
    fn lock(&self) -> MutexGuard<'_, Vec<(IpAddr, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Join,
    Leave,
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// What is wrong and what to do.
fn explain(error: &io::Error) -> String {
    if is(error, Errno::NODEV) {
        return "no interface leads there; name one with `device`".into();
    }
    error.to_string()
}
