//! What the kernel knows of TCP sockets, and what it does to them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};

use rustix::net::Shutdown;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1 that the kernel gives to nobody who asks for any port.
#[derive(Debug)]
pub(crate) struct Port(Socket);

impl Port {
    pub(crate) fn new() -> Self {
        Self(bound(0))
    }

    pub(crate) fn number(&self) -> u16 {
        self.0.local_addr().unwrap().as_socket().unwrap().port()
    }

    /// As listeners take it.
    pub(crate) fn address(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.number())
    }

    /// Somebody who listens at it.
    pub(crate) fn take(&self) -> Socket {
        let socket = bound(self.number());
        socket.listen(1).unwrap();
        socket
    }
}

/// A socket that does not listen, beside which others can be bound.
fn bound(port: u16) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()).unwrap();
    socket
}

/// How many sockets at this address programs have open: listeners, and connections that were
/// accepted.
pub(crate) fn open_at(address: &str) -> usize {
    inodes(address, |_| true).len()
}

/// Takes the socket that listens at this address away from a process: it will accept nobody any
/// more.
pub(crate) fn lose(pid: Pid, address: &str) {
    const LISTEN: &str = "0A";
    let inode = inodes(address, |state| state == LISTEN)[0].clone();
    let descriptor = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))
        .unwrap()
        .flatten()
        .find(|entry| {
            let link = fs::read_link(entry.path());
            link.is_ok_and(|link| link.to_str() == Some(&format!("socket:[{inode}]")))
        })
        .unwrap();
    let number = descriptor.file_name().to_str().unwrap().parse().unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let socket = pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap();
    rustix::net::shutdown(socket, Shutdown::Both).unwrap();
}

/// The open sockets at an address as listeners have it, by the numbers that `/proc` has for them.
fn inodes(address: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let address: SocketAddrV4 = address.strip_prefix("tcp://").unwrap().parse().unwrap();
    let ip = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{ip:08X}:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let inode = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (state, inode) = (fields[3], fields[9]);
        // What is left of a connection when its program has closed it has none.
        (fields[1] == local && inode != "0" && is_wanted(state)).then(|| inode.to_owned())
    };
    table.lines().skip(1).filter_map(inode).collect()
}
