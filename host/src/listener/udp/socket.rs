//! One UDP socket: datagrams in and out, many in one call, with the address of this machine that
//! each came to or leaves from. (recvmmsg(2), sendmmsg(2), ip(7) `IP_PKTINFO`, ipv6(7)
//! `IPV6_RECVPKTINFO`, socket(7) `SO_RXQ_OVFL`.)

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage,
    recvmmsg, sendmmsg, setsockopt, sockopt,
};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::flows::Flows;
use super::multicast::Groups;
use super::thread::Thread;
use crate::connection::{Ends, Outbox, Outgoing, Source};
use crate::listener::{Bound, Life, SUCCESSOR, registered};

/// Datagrams that one call of the kernel takes or gives.
pub(super) const BATCH: usize = 32;

/// How often it is tried to send where the kernel cannot be asked to tell of room.
const LOOK: Duration = Duration::from_millis(10);

/// A bound UDP socket, with the flows that share it. They last as long as this, whoever reads it
/// meanwhile: a loop that goes on where another has stopped goes on with its flows.
#[derive(Debug)]
pub struct Datagrams {
    /// Registered for reading only: otherwise the kernel would wake its thread for every datagram
    /// that a peer has taken, because there is room for another.
    pub(super) socket: AsyncFd<UdpSocket>,
    pub(super) address: Bound,
    pub(super) bound: SocketAddr,
    pub(super) groups: Groups,
    pub(super) outbox: Arc<Outbox>,
    /// The kernel's count of what it has dropped, as last seen.
    drops: AtomicU32,
    /// Who runs its loop; `None` is the runtime that it was made in.
    thread: Option<Arc<Thread>>,
    /// What the one loop that reads the socket has.
    pub(super) flows: Mutex<Flows>,
    /// The [`Life`] that goes on with it.
    owner: AtomicU64,
}

/// A datagram just in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived<'a> {
    pub(super) ends: Ends,
    /// What was taken of it.
    pub(super) bytes: &'a [u8],
    /// How long it was.
    pub(super) size: usize,
}

/// Room for what one call receives. Pages that no datagram has reached cost nothing.
pub(super) struct Incoming {
    bytes: Vec<u8>,
    /// The room for one datagram.
    room: usize,
    taken: Vec<Header>,
}

/// What one call has received.
struct Took {
    messages: usize,
    /// Datagrams that the kernel has dropped since the last time.
    drops: u32,
}

/// What the kernel says of a datagram.
struct Header {
    /// Which of the rooms it is in.
    place: usize,
    ends: Ends,
    size: usize,
}

impl Datagrams {
    /// Makes a socket that is bound and does not block ready to take in datagrams. It must run
    /// inside a tokio runtime.
    pub fn new(socket: UdpSocket, address: Bound) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        let set = |outcome: nix::Result<()>| outcome.map_err(io::Error::from);
        if bound.ip().is_unspecified() {
            let options = SockRef::from(&socket);
            set(setsockopt(&socket, sockopt::Ipv4PacketInfo, &true))?;
            // Otherwise every group that another program has joined comes in here, too. A kernel
            // that does not know the option leaves it so.
            let _ = options.set_multicast_all_v4(false);
            if bound.is_ipv6() {
                set(setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true))?;
                let _ = options.set_multicast_all_v6(false);
            }
        }
        set(setsockopt(&socket, sockopt::RxqOvfl, &1))?;
        let socket = registered(socket, Interest::READABLE)?;
        Ok(Self {
            socket,
            address,
            bound,
            groups: Groups::default(),
            outbox: Arc::default(),
            drops: AtomicU32::new(0),
            thread: None,
            flows: Mutex::default(),
            owner: AtomicU64::new(0),
        })
    }

    /// As [`Datagrams::new`], with a thread that runs the loop: one that is shared with few other
    /// sockets.
    pub fn with_thread(socket: UdpSocket, address: Bound) -> io::Result<Self> {
        let thread = Thread::find()?;
        let mut this = {
            let _there = thread.enter();
            Self::new(socket, address)?
        };
        this.thread = Some(thread);
        Ok(this)
    }

    /// Runs `task` where its loop belongs.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match &self.thread {
            Some(thread) => thread.spawn(task),
            None => tokio::spawn(task),
        }
    }

    /// Who runs its loop, and has the timers of its guests.
    pub(super) fn thread(&self) -> Option<Arc<Thread>> {
        self.thread.as_ref().map(Arc::clone)
    }

    /// From now on another process receives here. The loop that reads it stops, and its flows get
    /// nothing more.
    pub fn is_left_to_successor(&self) {
        self.owner.store(SUCCESSOR, SeqCst);
    }

    /// The same socket once more, for another process.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// From now on `life` goes on with it, and the one before leaves its flows alone when it ends.
    pub fn belongs_to(&self, life: &Life) {
        self.owner.store(life.id(), SeqCst);
    }

    /// Whether another than `life` goes on with it.
    pub(super) fn has_left(&self, life: &Life) -> bool {
        !matches!(self.owner.load(SeqCst), 0) && self.owner.load(SeqCst) != life.id()
    }

    /// What it is bound to.
    pub const fn address(&self) -> &Bound {
        &self.address
    }

    /// Waits until there is something to read, or room to send, or an error; for ever if neither is
    /// wanted. Safe to cancel.
    pub(super) async fn ready(&self, read: bool, write: bool) -> io::Result<()> {
        tokio::select! {
            heard = self.socket.readable(), if read => heard?.retain_ready(),
            () = self.has_room(), if write => {}
            else => std::future::pending().await,
        }
        Ok(())
    }

    /// Waits until there is room to send.
    async fn has_room(&self) {
        let another = self.duplicate().and_then(|socket| registered(socket, Interest::WRITABLE));
        match another {
            Ok(another) => drop(another.writable().await),
            // There is no descriptor left to ask with.
            Err(_) => sleep(LOOK).await,
        }
    }

    /// Takes up to `most` datagrams that are there into `incoming`, which forgets what it had;
    /// `WouldBlock` if there are none. Gives how many the kernel has dropped since the last time.
    pub(super) fn receive(&self, incoming: &mut Incoming, most: usize) -> io::Result<u32> {
        incoming.taken.clear();
        let mut received = None;
        let outcome = self.socket.try_io(Interest::READABLE, |_| {
            let Took { messages, drops } = incoming.receive(self, most)?;
            if messages == most {
                return Ok(drops);
            }
            // There were no more, and none is looked for until the kernel says so. What has come
            // since is not missed: the kernel says so anew, which this does not take back.
            received = Some(drops);
            Err(io::ErrorKind::WouldBlock.into())
        });
        received.map_or(outcome, Ok)
    }

    /// Sends `datagrams`, which leave from the same address; gives how many of the first of them
    /// went out, at least one. `WouldBlock` when there is no room, another error if the first of
    /// them cannot be sent.
    pub(super) fn send(&self, datagrams: &[Outgoing]) -> io::Result<usize> {
        let Some(first) = datagrams.first() else { return Ok(0) };
        let source = first.ends().source;
        match (source, self.bound) {
            (None, _) => self.send_with(datagrams, &[], None),
            (Some(source), SocketAddr::V4(_)) => {
                let info = info_4(source);
                let space = nix::cmsg_space!(in_pktinfo);
                self.send_with(datagrams, &[ControlMessage::Ipv4PacketInfo(&info)], Some(space))
            }
            (Some(source), SocketAddr::V6(_)) => {
                let info = info_6(source);
                let space = nix::cmsg_space!(in6_pktinfo);
                self.send_with(datagrams, &[ControlMessage::Ipv6PacketInfo(&info)], Some(space))
            }
        }
    }

    fn send_with(
        &self,
        datagrams: &[Outgoing],
        control: &[ControlMessage<'_>],
        space: Option<Vec<u8>>,
    ) -> io::Result<usize> {
        let slices: Vec<_> = datagrams.iter().map(|out| [IoSlice::new(out.bytes())]).collect();
        let to: Vec<_> =
            datagrams.iter().map(|out| Some(SockaddrStorage::from(out.ends().peer))).collect();
        let mut headers = MultiHeaders::preallocate(datagrams.len(), space);
        let fd = self.socket.as_fd().as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = sendmmsg(fd, &mut headers, &slices, to, control, flags)?;
        Ok(sent.count())
    }

    /// From where to where a datagram from `peer` goes, by what the kernel says beside it.
    fn ends(&self, peer: SocketAddr, told: &Told) -> Ends {
        let to = |ip| SocketAddr::new(ip, self.bound.port());
        match (told.v4, told.v6) {
            // Over IPv4 the kernel itself names what answers should leave from, also for groups
            // and broadcasts. (An IPv6 socket is told both.)
            (Some(info), _) => {
                let ip = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
                let source = Source { ip: ip.into(), interface: 0 };
                let local = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into();
                let source = (!ip.is_unspecified()).then_some(source);
                Ends { peer, local: to(local), source }
            }
            (None, Some(info)) => {
                let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                let interface = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
                let source = Source { ip: ip.into(), interface };
                Ends { peer, local: to(ip.into()), source: (!ip.is_multicast()).then_some(source) }
            }
            (None, None) => Ends { peer, local: self.bound, source: None },
        }
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// What the kernel says beside a datagram.
#[derive(Default)]
struct Told {
    v4: Option<in_pktinfo>,
    v6: Option<in6_pktinfo>,
    drops: Option<u32>,
}

impl Incoming {
    /// Room for datagrams of `longest` bytes; what is longer is cut.
    pub(super) fn new(longest: usize) -> Self {
        let room = longest.max(1);
        Self { bytes: vec![0; BATCH * room], room, taken: Vec::with_capacity(BATCH) }
    }

    /// What came in with the last call.
    pub(super) fn arrived(&self) -> impl ExactSizeIterator<Item = Arrived<'_>> {
        self.taken.iter().map(|header| {
            let room = &self.bytes[header.place * self.room..][..self.room];
            let bytes = &room[..header.size.min(room.len())];
            Arrived { ends: header.ends, bytes, size: header.size }
        })
    }

    fn receive(&mut self, datagrams: &Datagrams, most: usize) -> io::Result<Took> {
        let rooms = self.bytes.chunks_mut(self.room).take(most);
        let mut slices: Vec<_> = rooms.map(|room| [IoSliceMut::new(room)]).collect();
        // Made anew for each call: the kernel leaves in them how much of their room it has used.
        let space = nix::cmsg_space!(in_pktinfo, in6_pktinfo, u32);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), Some(space));
        // With `MSG_TRUNC` the length is that of the datagram, however little is taken of it.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let fd = datagrams.socket.as_fd().as_raw_fd();
        let mut drops = None;
        let mut messages = 0;
        let received = recvmmsg(fd, &mut headers, slices.iter_mut(), flags, None)?;
        for (place, message) in received.enumerate() {
            messages += 1;
            let told = Told::by(&message);
            drops = told.drops.or(drops);
            let Some(peer) = message.address.as_ref().and_then(socket_address) else { continue };
            let header = Header { place, ends: datagrams.ends(peer, &told), size: message.bytes };
            self.taken.push(header);
        }
        let since = |drops: u32| drops.wrapping_sub(datagrams.drops.swap(drops, Relaxed));
        Ok(Took { messages, drops: drops.map_or(0, since) })
    }
}

impl Told {
    fn by(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Self {
        let mut told = Self::default();
        // There is room for all that was asked for.
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => told.v4 = Some(info),
                ControlMessageOwned::Ipv6PacketInfo(info) => told.v6 = Some(info),
                ControlMessageOwned::RxqOvfl(drops) => told.drops = Some(drops),
                _ => {}
            }
        }
        told
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}

/// What an IPv4 socket is told to send from.
fn info_4(source: Source) -> in_pktinfo {
    let ip = match source.ip {
        IpAddr::V4(ip) => ip,
        // An IPv4 socket is told no others.
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let address = |ip: Ipv4Addr| in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
    in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: address(ip),
        ipi_addr: address(Ipv4Addr::UNSPECIFIED),
    }
}

/// What an IPv6 socket is told to send from, to peers of either kind.
fn info_6(source: Source) -> in6_pktinfo {
    let ip = match source.ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    in6_pktinfo { ipi6_addr: in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: source.interface }
}
