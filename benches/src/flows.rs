//! Very many flows to a UDP server from one descriptor: their peers have addresses of their own in
//! 127.0.0.0/8 and the same port (ip(7), `IP_PKTINFO`).

use std::collections::HashSet;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
    sockopt,
};

/// What a peer sends: its number, again and again. In bytes.
const MESSAGE: usize = 64;

/// Peers that wait for their echo at once. More could fill the buffers of the kernel, which drops
/// what does not fit.
const AT_ONCE: usize = 64;

/// How long an echo may take.
const ECHO: Duration = Duration::from_secs(5);

/// The last address that they have.
const MOST: u32 = 0x00ff_fffe;

/// Flows to one server; one for each peer.
pub(crate) struct Flows {
    socket: UdpSocket,
    server: SocketAddr,
    peers: u32,
}

impl Flows {
    /// None yet.
    pub(crate) fn to(server: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        socket.set_read_timeout(Some(ECHO))?;
        Ok(Self { socket, server, peers: 0 })
    }

    /// So many more, each of which has its echo when this returns.
    pub(crate) fn add(&mut self, more: usize) -> Result<()> {
        let first = self.peers;
        let most = u32::try_from(more).ok().and_then(|more| first.checked_add(more));
        self.peers = most.filter(|most| *most < MOST).context("more peers than addresses")?;
        self.echo(first..self.peers)
    }

    /// Each peer sends once more, and gets it back.
    pub(crate) fn echo_all(&self) -> Result<()> {
        self.echo(0..self.peers)
    }

    fn echo(&self, mut peers: Range<u32>) -> Result<()> {
        let mut waiting = HashSet::new();
        loop {
            while waiting.len() < AT_ONCE
                && let Some(peer) = peers.next()
            {
                self.send(peer)?;
                waiting.insert(peer);
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let peer = self.receive().with_context(|| format!("waiting for {waiting:?}"))?;
            ensure!(waiting.remove(&peer), "peer {peer} has an echo that it did not ask for");
        }
    }

    fn send(&self, peer: u32) -> Result<()> {
        let SocketAddr::V4(server) = self.server else { bail!("{} is not IPv4", self.server) };
        let none = in_addr { s_addr: 0 };
        let from = in_addr { s_addr: u32::from(address(peer)).to_be() };
        let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: from, ipi_addr: none };
        let bytes = message(peer);
        let sent = sendmsg(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            &[ControlMessage::Ipv4PacketInfo(&info)],
            MsgFlags::empty(),
            Some(&SockaddrIn::from(server)),
        )
        .with_context(|| format!("sending from {}", address(peer)))?;
        ensure!(sent == MESSAGE, "{sent} bytes were sent");
        Ok(())
    }

    /// Who has got its echo.
    fn receive(&self) -> Result<u32> {
        let mut bytes = [0; MESSAGE + 1];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let mut space = nix::cmsg_space!(in_pktinfo);
        let received = recvmsg::<SockaddrIn>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            MsgFlags::empty(),
        )?;
        let to = received.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_addr.s_addr),
            _ => None,
        });
        let to = Ipv4Addr::from(u32::from_be(to.context("the kernel does not say to whom")?));
        let length = received.bytes;
        let peer = u32::from(to).wrapping_sub(FIRST);
        ensure!(bytes[..length] == message(peer), "what came to {to} is not what it had sent");
        Ok(peer)
    }
}

/// 127.0.0.2.
const FIRST: u32 = 0x7f00_0002;

fn address(peer: u32) -> Ipv4Addr {
    Ipv4Addr::from(FIRST + peer)
}

fn message(peer: u32) -> [u8; MESSAGE] {
    let number = peer.to_be_bytes();
    std::array::from_fn(|at| number[at % number.len()])
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A server that answers so many datagrams, with what `answer` makes of each.
    fn server(datagrams: usize, answer: fn(&mut [u8])) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut bytes = [0; MESSAGE];
            for _ in 0..datagrams {
                let (length, peer) = socket.recv_from(&mut bytes).unwrap();
                answer(&mut bytes[..length]);
                socket.send_to(&bytes[..length], peer).unwrap();
            }
        });
        address
    }

    #[test]
    fn each_peer_has_its_echo_again_and_again() {
        let mut flows = Flows::to(server(700, |_| {})).unwrap();
        flows.add(100).unwrap();
        flows.add(200).unwrap();
        flows.echo_all().unwrap();
        flows.add(100).unwrap();
        assert_eq!(address(flows.peers - 1), Ipv4Addr::new(127, 0, 1, 145));
    }

    #[test]
    fn an_echo_that_is_not_what_was_sent_is_told() {
        let mut flows = Flows::to(server(1, |bytes| bytes[3] += 1)).unwrap();
        let said = format!("{:#}", flows.add(1).unwrap_err());
        assert!(said.contains("what came to 127.0.0.2 is not what it had sent"), "{said}");
    }
}
