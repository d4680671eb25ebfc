//! The loop on real sockets. Connections are driven by the tests, without guests.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use portcell_abi::Errno;
use socket2::{Domain, SockRef, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::account::Account;
use crate::admission::{self, Admission, Opening};
use crate::config::{Config, UdpConfig};
use crate::connection::{Connection, Direction, Placement, Shutdown};
use crate::listener::{Bound, State};

/// What a wait that should be short may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited for {PATIENCE:?}: {what}"))
}

/// A socket whose flows come to the test.
struct Served {
    datagrams: Arc<Datagrams>,
    config: Arc<ListenerConfig>,
    gate: Gate,
    life: Arc<Life>,
    sender: mpsc::UnboundedSender<Cell>,
    cells: mpsc::UnboundedReceiver<Cell>,
    running: JoinHandle<Result<(), Gone>>,
}

/// A connection, and the place that it has.
struct Cell {
    connection: Connection,
    _entry: Entry,
}

impl Cell {
    async fn read(&mut self) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; 70_000];
        let read = within("a datagram for the guest", self.connection.read(&mut buf)).await?;
        buf.truncate(read);
        Ok(buf)
    }

    async fn text(&mut self) -> String {
        String::from_utf8(self.read().await.unwrap()).unwrap()
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        within("room for an answer", self.connection.write(bytes)).await
    }

    fn info(&self, name: &str) -> String {
        self.connection.info(name).unwrap_or_default().into_owned()
    }
}

fn config(adjust: impl FnOnce(&mut UdpConfig)) -> Arc<ListenerConfig> {
    let config = Config::from_flags(Path::new("x.wasm"), &[]).unwrap();
    let mut listener = (*config.listeners[0]).clone();
    adjust(&mut listener.udp);
    Arc::new(listener)
}

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn bind(address: &str) -> std::net::UdpSocket {
    let address: SocketAddr = address.parse().unwrap();
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(false).unwrap();
    }
    socket.bind(&address.into()).unwrap();
    socket.into()
}

impl Served {
    fn at(address: &str) -> Self {
        Self::with(bind(address), config(|_| {}))
    }

    fn with(socket: std::net::UdpSocket, config: Arc<ListenerConfig>) -> Self {
        let address = Bound::Udp(socket.local_addr().unwrap());
        let datagrams = Arc::new(Datagrams::new(socket, address).unwrap());
        let bounds =
            admission::Bounds { most: config.udp.max_flows, ..admission::Bounds::default() };
        let gate = Admission::new(1, number(1), 100).gate(&bounds, Opening::Datagram);
        let (sender, cells) = mpsc::unbounded_channel();
        let life = Arc::new(Life::new(Phase::Accepting));
        let running = run(&datagrams, &config, &gate, &life, &sender);
        Self { datagrams, config, gate, life, sender, cells, running }
    }

    /// Another loop on the same socket.
    fn goes_on(&mut self) {
        self.life = Arc::new(Life::new(Phase::Accepting));
        let Self { datagrams, config, gate, life, sender, .. } = self;
        self.running = run(datagrams, config, gate, life, sender);
    }

    fn port(&self) -> u16 {
        self.datagrams.bound.port()
    }

    /// A peer that talks to `ip`.
    async fn peer_of(&self, ip: &str) -> UdpSocket {
        let ip: IpAddr = ip.parse().unwrap();
        let any = if ip.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let peer = UdpSocket::bind(any).await.unwrap();
        peer.connect((ip, self.port())).await.unwrap();
        peer
    }

    async fn peer(&self) -> UdpSocket {
        let ip = self.datagrams.bound.ip();
        self.peer_of(&ip.to_string()).await
    }

    async fn cell(&mut self) -> Cell {
        within("a flow to begin", self.cells.recv()).await.unwrap()
    }

    /// Waits until the loop has counted so much.
    async fn counted(&self, what: impl Fn(&crate::listener::Counts) -> u64, count: u64) {
        within("the loop to count", async {
            while what(self.life.counts()) < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(what(self.life.counts()), count);
    }

    async fn ends(&mut self) {
        within("the loop to end", &mut self.running).await.unwrap().unwrap();
    }
}

fn run(
    datagrams: &Arc<Datagrams>,
    config: &Arc<ListenerConfig>,
    gate: &Gate,
    life: &Arc<Life>,
    sender: &mpsc::UnboundedSender<Cell>,
) -> JoinHandle<Result<(), Gone>> {
    let (datagrams, config, gate) = (Arc::clone(datagrams), Arc::clone(config), gate.clone());
    let (life, sender) = (Arc::clone(life), sender.clone());
    let placement = Arc::new(Placement {
        listener: "l".into(),
        handler: "h".into(),
        version: 1,
        tenant: "t".into(),
        memory: 1,
        cpu: None,
        idle_timeout: None,
    });
    tokio::spawn(async move {
        let start = |client: Accepted, entry| {
            let account = Arc::new(Account::new(1));
            let connection = Connection::new(client.into_socket(), account, Arc::clone(&placement));
            let _ = sender.send(Cell { connection, _entry: entry });
        };
        take_in(&datagrams, &gate, &config, &life, start).await
    })
}

async fn receive(peer: &UdpSocket) -> Vec<u8> {
    let mut buf = vec![0; 70_000];
    let read = within("an answer", peer.recv(&mut buf)).await.unwrap();
    buf.truncate(read);
    buf
}

#[tokio::test]
async fn the_longest_datagrams_of_both_protocols_go_both_ways() {
    for (address, longest) in [("127.0.0.1:0", 65_507), ("[::1]:0", 65_527)] {
        let mut served = Served::at(address);
        let peer = served.peer().await;
        let payload: Vec<u8> = (0..longest).map(|at: u32| at.to_le_bytes()[0] ^ 0x5a).collect();
        peer.send(&payload).await.unwrap();
        let mut cell = served.cell().await;
        assert!(cell.read().await.unwrap() == payload, "{address}");
        assert_eq!(cell.info("datagram.size"), longest.to_string());
        let too_long = vec![0; payload.len() + 1];
        assert_eq!(cell.write(&too_long).await, Err(Errno::MsgSize), "{address}");
        assert_eq!(cell.write(&payload).await, Ok(payload.len()));
        assert!(receive(&peer).await == payload, "{address}");
        assert_eq!(served.life.counts().truncated.get(), 0);
    }
}

#[tokio::test]
async fn an_ipv4_peer_of_an_ipv6_socket_has_the_length_of_ipv4() {
    let mut served = Served::at("[::]:0");
    let peer = served.peer_of("127.0.0.1").await;
    peer.send(b"x").await.unwrap();
    let mut cell = served.cell().await;
    assert_eq!(cell.write(&vec![0; 65_508]).await, Err(Errno::MsgSize));
    assert_eq!(cell.write(&vec![7; 65_507]).await, Ok(65_507));
    assert_eq!(receive(&peer).await.len(), 65_507);
}

#[tokio::test]
async fn what_is_longer_than_it_may_be_is_cut_and_counted() {
    let mut served = Served::with(bind("127.0.0.1:0"), config(|udp| udp.max_datagram = 100));
    let peer = served.peer().await;
    peer.send(&[b'a'; 101]).await.unwrap();
    peer.send(&[b'b'; 100]).await.unwrap();
    let mut cell = served.cell().await;
    assert_eq!(cell.read().await.unwrap(), [b'a'; 100]);
    assert_eq!(cell.info("datagram.size"), "101");
    assert_eq!(cell.read().await.unwrap(), [b'b'; 100]);
    assert_eq!(cell.info("datagram.size"), "100");
    served.counted(|counts| counts.truncated.get(), 1).await;
    served.counted(|counts| counts.datagrams.get(), 2).await;
}

#[tokio::test]
async fn empty_datagrams_go_both_ways_and_are_no_end() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"").await.unwrap();
    let mut cell = served.cell().await;
    assert_eq!(cell.read().await.unwrap(), b"");
    assert_eq!(cell.info("datagram.size"), "0");
    assert_eq!(cell.write(b"").await, Ok(0));
    assert_eq!(receive(&peer).await, b"");
    peer.send(b"more").await.unwrap();
    assert_eq!(cell.text().await, "more");
}

#[tokio::test]
async fn answers_leave_from_the_address_that_was_asked() {
    for (bound, ips) in [
        ("0.0.0.0:0", &["127.0.0.2", "127.0.0.3"][..]),
        ("[::]:0", &["127.0.0.2", "::1", "127.0.0.1"]),
        ("127.0.0.2:0", &["127.0.0.2"]),
    ] {
        let mut served = Served::at(bound);
        for ip in ips {
            // A connected socket hears nobody but the address that it asked.
            let peer = served.peer_of(ip).await;
            peer.send(b"who are you?").await.unwrap();
            let mut cell = served.cell().await;
            cell.text().await;
            let local = peer.peer_addr().unwrap().to_string();
            assert_eq!(cell.info("local.address"), local, "{bound}");
            assert_eq!(cell.info("peer.address"), peer.local_addr().unwrap().to_string());
            assert_eq!(cell.info("transport"), "udp");
            cell.write(local.as_bytes()).await.unwrap();
            assert_eq!(receive(&peer).await, local.as_bytes(), "{bound}");
        }
    }
}

#[tokio::test]
async fn answers_from_several_addresses_go_out_together() {
    let mut served = Served::at("0.0.0.0:0");
    let mut both = Vec::new();
    for ip in ["127.0.0.2", "127.0.0.3"] {
        let peer = served.peer_of(ip).await;
        peer.send(b"x").await.unwrap();
        both.push((served.cell().await, peer));
    }
    // On this thread the loop gets its turn when this waits: all of it is queued by then.
    for n in 0..50_u8 {
        for (cell, _) in &mut both {
            assert_eq!(cell.connection.write(&[n]).await, Ok(1));
        }
    }
    for (_, peer) in &both {
        for n in 0..50_u8 {
            assert_eq!(receive(peer).await, [n]);
        }
    }
}

#[tokio::test]
async fn the_datagrams_of_two_peers_do_not_mix() {
    let mut served = Served::at("127.0.0.1:0");
    let (a, b) = (served.peer().await, served.peer().await);
    a.send(b"a1").await.unwrap();
    let mut of_a = served.cell().await;
    b.send(b"b1").await.unwrap();
    let mut of_b = served.cell().await;
    for n in 2..50 {
        a.send(format!("a{n}").as_bytes()).await.unwrap();
        b.send(format!("b{n}").as_bytes()).await.unwrap();
    }
    for n in 1..50 {
        assert_eq!(of_b.text().await, format!("b{n}"));
        assert_eq!(of_a.text().await, format!("a{n}"));
    }
    of_a.write(b"to a").await.unwrap();
    of_b.write(b"to b").await.unwrap();
    assert_eq!(receive(&b).await, b"to b");
    assert_eq!(receive(&a).await, b"to a");
    served.counted(|counts| counts.accepted.get(), 2).await;
}

#[tokio::test]
async fn after_a_flow_has_ended_its_peer_begins_another_with_what_was_not_read() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    for text in ["1", "2", "3"] {
        peer.send(text.as_bytes()).await.unwrap();
    }
    let mut cell = served.cell().await;
    assert_eq!(cell.text().await, "1");
    served.counted(|counts| counts.datagrams.get(), 3).await;
    cell.write(b"bye").await.unwrap();
    drop(cell);
    assert_eq!(receive(&peer).await, b"bye");
    // It is not begun with the same again, though it reads nothing.
    drop(served.cell().await);
    let mut cell = served.cell().await;
    assert_eq!(cell.text().await, "3");
    peer.send(b"4").await.unwrap();
    assert_eq!(cell.text().await, "4");
    assert_eq!(served.life.counts().dropped.get(), 0);
}

#[tokio::test]
async fn a_guests_close_ends_the_flow() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"1").await.unwrap();
    let mut cell = served.cell().await;
    cell.write(b"bye").await.unwrap();
    within("a close", cell.connection.close()).await.unwrap();
    assert_eq!(receive(&peer).await, b"bye");
    assert_eq!(cell.read().await, Err(Errno::BadFd));
    peer.send(b"2").await.unwrap();
    assert_eq!(served.cell().await.text().await, "2");
}

#[tokio::test]
async fn a_direction_that_was_ended_stays_so() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"x").await.unwrap();
    let mut cell = served.cell().await;
    cell.connection.shutdown(Shutdown::Read).unwrap();
    assert_eq!(cell.read().await, Err(Errno::NotConn));
    assert_eq!(cell.write(b"still").await, Ok(5));
    cell.connection.shutdown(Shutdown::Write).unwrap();
    assert_eq!(cell.write(b"no more").await, Err(Errno::Pipe));
    assert_eq!(cell.write(b"").await, Err(Errno::Pipe));
    assert_eq!(receive(&peer).await, b"still");
}

#[tokio::test]
async fn a_newcomer_without_a_place_is_dropped_and_the_longest_silent_makes_room() {
    let mut served =
        Served::with(bind("127.0.0.1:0"), config(|udp| udp.max_flows = Some(number(2))));
    let (a, b, c) = (served.peer().await, served.peer().await, served.peer().await);
    a.send(b"a").await.unwrap();
    let of_a = served.cell().await;
    b.send(b"b").await.unwrap();
    let of_b = served.cell().await;
    c.send(b"c").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    assert_eq!(served.life.state(), State::Full);
    assert_eq!(served.life.counts().evicted.get(), 0, "nobody was silent for long");

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    let moves = of_b.connection.account();
    moves.poll_begins();
    moves.wrote(1);
    c.send(b"c").await.unwrap();
    served.counted(|counts| counts.evicted.get(), 1).await;
    assert!(of_a.connection.account().is_evicted() && !moves.is_evicted());
    drop(of_a);
    let mut of_c = loop {
        // Whether the loop has heard of the free place yet is a race.
        c.send(b"again").await.unwrap();
        tokio::task::yield_now().await;
        if let Ok(cell) = served.cells.try_recv() {
            break cell;
        }
    };
    assert_eq!(of_c.text().await, "again");
    assert_eq!(served.life.state(), State::Accepting);
}

#[tokio::test]
async fn a_guest_that_does_not_read_loses_what_it_has_no_room_for() {
    let mut served = Served::with(bind("127.0.0.1:0"), config(|udp| udp.flow_queue = number(2)));
    let peer = served.peer().await;
    for n in 0..5_u8 {
        peer.send(&[n]).await.unwrap();
    }
    served.counted(|counts| counts.datagrams.get(), 5).await;
    served.counted(|counts| counts.dropped.get(), 3).await;
    let mut cell = served.cell().await;
    assert_eq!(cell.read().await.unwrap(), [0]);
    assert_eq!(cell.read().await.unwrap(), [1]);
    peer.send(&[9]).await.unwrap();
    assert_eq!(cell.read().await.unwrap(), [9]);
}

#[tokio::test]
async fn what_the_kernel_drops_is_counted() {
    let socket = bind("127.0.0.1:0");
    SockRef::from(&socket).set_recv_buffer_size(4096).unwrap();
    let mut served = Served::with(socket, config(|_| {}));
    let peer = served.peer().await;
    served.life.ask(Phase::Suspended);
    let sent = 100;
    for _ in 0..sent {
        peer.send(&[0; 1000]).await.unwrap();
    }
    served.life.ask(Phase::Accepting);
    let _cell = served.cell().await;
    let there = within("what the kernel has kept", async {
        let mut before = 0;
        loop {
            // A later datagram brings the kernel's count.
            peer.send(b"?").await.unwrap();
            let counts = served.life.counts();
            while counts.datagrams.get() == before {
                tokio::task::yield_now().await;
            }
            before = counts.datagrams.get();
            if counts.kernel_dropped.get() > 0 {
                return counts.kernel_dropped.get();
            }
        }
    })
    .await;
    assert!((1..sent).contains(&there), "{there} dropped");
}

#[tokio::test]
async fn a_suspended_listener_goes_on_with_its_flows_and_takes_nobody_else() {
    let mut served = Served::at("127.0.0.1:0");
    let (a, b) = (served.peer().await, served.peer().await);
    served.life.ask(Phase::Suspended);
    a.send(b"waits in the kernel").await.unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(served.life.counts().datagrams.get(), 0);
    served.life.ask(Phase::Accepting);
    let mut of_a = served.cell().await;
    assert_eq!(of_a.text().await, "waits in the kernel");

    served.life.ask(Phase::Suspended);
    b.send(b"b").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    a.send(b"a").await.unwrap();
    assert_eq!(of_a.text().await, "a");
    of_a.write(b"yes").await.unwrap();
    assert_eq!(receive(&a).await, b"yes");
    served.life.ask(Phase::Accepting);
    b.send(b"again").await.unwrap();
    assert_eq!(served.cell().await.text().await, "again");
}

#[tokio::test]
async fn a_drain_goes_on_with_open_flows_drops_newcomers_and_ends_with_the_last() {
    let mut served = Served::at("127.0.0.1:0");
    let (a, b) = (served.peer().await, served.peer().await);
    a.send(b"a").await.unwrap();
    let mut of_a = served.cell().await;
    served.life.ask(Phase::Draining);
    b.send(b"b").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    a.send(b"more").await.unwrap();
    assert_eq!((of_a.text().await, of_a.text().await), ("a".into(), "more".into()));
    a.send(b"unread").await.unwrap();
    served.counted(|counts| counts.datagrams.get(), 4).await;
    assert!(!served.running.is_finished());
    of_a.write(b"last").await.unwrap();
    drop(of_a);
    served.ends().await;
    assert_eq!(receive(&a).await, b"last");
    assert_eq!(served.life.counts().dropped.get(), 2, "what was unread begins nothing");
    assert!(served.cells.is_empty());
}

#[tokio::test]
async fn a_drain_without_flows_ends_at_once() {
    let mut served = Served::at("127.0.0.1:0");
    served.life.ask(Phase::Draining);
    served.ends().await;
}

#[tokio::test]
async fn a_loop_that_goes_on_where_another_stopped_goes_on_with_its_flows() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"1").await.unwrap();
    let mut cell = served.cell().await;
    cell.write(b"written before").await.unwrap();
    served.life.ask(Phase::Stopped);
    served.ends().await;
    assert_eq!(receive(&peer).await, b"written before");
    peer.send(b"2").await.unwrap();
    cell.write(b"meanwhile").await.unwrap();
    served.goes_on();
    assert_eq!((cell.text().await, cell.text().await), ("1".into(), "2".into()));
    assert_eq!(receive(&peer).await, b"meanwhile");
}

#[tokio::test]
async fn when_the_socket_is_dropped_its_flows_are_over() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"1").await.unwrap();
    let mut cell = served.cell().await;
    served.life.ask(Phase::Stopped);
    served.ends().await;
    drop(served);
    assert_eq!(cell.text().await, "1", "what has come in is still there");
    assert_eq!(cell.read().await, Err(Errno::NotConn));
    assert_eq!(cell.write(b"x").await, Err(Errno::Pipe));
    assert!(!cell.connection.is_broken(), "the peer has done nothing");
    let over = portcell_abi::poll::OVER;
    assert_eq!(cell.connection.poll(0, Some(Duration::ZERO)).await, over);
}

#[tokio::test]
async fn in_datagram_mode_each_datagram_is_a_flow_of_its_own() {
    let mut served = Served::with(bind("127.0.0.1:0"), config(|udp| udp.mode = UdpMode::Datagram));
    let peer = served.peer().await;
    for text in ["1", "2"] {
        peer.send(text.as_bytes()).await.unwrap();
    }
    let (mut first, mut second) = (served.cell().await, served.cell().await);
    assert_eq!(second.text().await, "2");
    assert_eq!(first.text().await, "1");
    assert_eq!(first.read().await, Err(Errno::NotConn));
    // It may answer as often as it likes, in any order.
    for text in ["b1", "b2"] {
        second.write(text.as_bytes()).await.unwrap();
        assert_eq!(receive(&peer).await, text.as_bytes());
    }
    first.write(b"a").await.unwrap();
    assert_eq!(receive(&peer).await, b"a");
    served.life.ask(Phase::Draining);
    peer.send(b"3").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    drop(first);
    assert!(!served.running.is_finished());
    drop(second);
    served.ends().await;
}

#[tokio::test]
async fn in_datagram_mode_each_instance_needs_a_place() {
    let mut served = Served::with(
        bind("127.0.0.1:0"),
        config(|udp| {
            udp.mode = UdpMode::Datagram;
            udp.max_flows = Some(number(1));
        }),
    );
    let peer = served.peer().await;
    peer.send(b"1").await.unwrap();
    let cell = served.cell().await;
    peer.send(b"2").await.unwrap();
    served.counted(|counts| counts.dropped.get(), 1).await;
    drop(cell);
    peer.send(b"3").await.unwrap();
    assert_eq!(served.cell().await.text().await, "3");
}

#[tokio::test]
async fn a_peer_gets_no_more_than_so_many_times_what_it_sent() {
    let mut served =
        Served::with(bind("127.0.0.1:0"), config(|udp| udp.max_reply_factor = Some(number(3))));
    let peer = served.peer().await;
    peer.send(b"1234567890").await.unwrap();
    let mut cell = served.cell().await;
    assert_eq!(cell.write(&[1; 20]).await, Ok(20));
    assert_eq!(cell.write(&[2; 11]).await, Ok(11), "as if the network had lost it");
    assert_eq!(cell.connection.account().bytes_out(), 20, "it was not sent");
    assert_eq!(cell.write(&[3; 10]).await, Ok(10));
    assert_eq!((receive(&peer).await, receive(&peer).await), (vec![1; 20], vec![3; 10]));
    served.counted(|counts| counts.unsent.get(), 1).await;
    peer.send(b"1").await.unwrap();
    served.counted(|counts| counts.datagrams.get(), 2).await;
    assert_eq!(cell.write(&[4; 3]).await, Ok(3));
    assert_eq!(receive(&peer).await, [4; 3]);
}

#[tokio::test]
async fn a_writer_waits_for_room_and_others_are_not_kept_from_theirs() {
    let mut served = Served::at("127.0.0.1:0");
    let (a, b) = (served.peer().await, served.peer().await);
    a.send(b"a").await.unwrap();
    let mut of_a = served.cell().await;
    b.send(b"b").await.unwrap();
    let mut of_b = served.cell().await;
    // Nobody sends now.
    served.life.ask(Phase::Stopped);
    served.ends().await;
    let never_wait = Some(Duration::ZERO);
    of_a.connection.set_timeout(Direction::Write, never_wait).unwrap();
    let mut queued = 0_u32;
    while of_a.write(&queued.to_le_bytes()).await.is_ok() {
        queued += 1;
    }
    assert!(queued > 1, "{queued}");
    assert_eq!(of_a.write(b"x").await, Err(Errno::Again));
    let writable = portcell_abi::poll::WRITABLE;
    assert_eq!(of_a.connection.poll(writable, never_wait).await, 0);
    assert_eq!(of_b.write(b"goes out").await, Ok(8));
    of_a.connection.set_timeout(Direction::Write, None).unwrap();
    let waiting = tokio::spawn(async move {
        assert_eq!(of_a.connection.poll(writable, None).await, writable);
        of_a.write(b"last").await
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    served.goes_on();
    assert_eq!(within("the writer", waiting).await.unwrap(), Ok(4));
    for n in 0..queued {
        assert_eq!(receive(&a).await, n.to_le_bytes());
    }
    assert_eq!(receive(&a).await, b"last");
    assert_eq!(receive(&b).await, b"goes out");
}

#[tokio::test]
async fn a_datagram_that_cannot_be_sent_stops_nobody() {
    let mut served = Served::at("127.0.0.1:0");
    let peer = served.peer().await;
    peer.send(b"x").await.unwrap();
    let mut cell = served.cell().await;
    // Nobody can be at port 0.
    let ends =
        Ends { peer: ([127, 0, 0, 1], 0).into(), local: served.datagrams.bound, source: None };
    let bounds = Bounds { queue: number(1), reply_factor: None };
    let first = Datagram { bytes: [].into(), size: 0 };
    let (said, _) = mpsc::unbounded_channel();
    let outbox = Arc::clone(&served.datagrams.outbox);
    let (flow, _feed) = crate::connection::Flow::begin(ends, first, bounds, outbox, said);
    let mut nowhere = Connection::new(
        Socket::Flow(flow),
        Arc::new(Account::new(2)),
        Arc::clone(cell.connection.placement()),
    );
    for n in 0..10 {
        assert_eq!(nowhere.write(b"lost").await, Ok(4));
        assert_eq!(cell.write(&[n]).await, Ok(1));
    }
    for n in 0..10 {
        assert_eq!(receive(&peer).await, [n]);
    }
}

#[tokio::test]
async fn a_group_is_joined_and_answers_come_from_an_address() {
    let group: Ipv4Addr = [239, 255, 11, 7].into();
    for bound in ["0.0.0.0:0", "[::]:0"] {
        let mut served = Served::at(bound);
        // Another program is a member all the time: that is nothing to this one.
        let member = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        member.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        SockRef::from(&peer).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let groups = [group.into(), "ff01::1:7".parse().unwrap()];
        for _ in 0..2 {
            served.datagrams.join(&groups, Some("lo")).unwrap();
        }
        peer.send_to(b"anybody?", (group, served.port())).await.unwrap();
        let mut cell = served.cell().await;
        assert_eq!(cell.text().await, "anybody?");
        assert_eq!(cell.info("local.address"), format!("{group}:{}", served.port()), "{bound}");
        cell.write(b"me").await.unwrap();
        let mut buf = [0; 10];
        let (_, from) = within("an answer", peer.recv_from(&mut buf)).await.unwrap();
        assert_eq!(from, (Ipv4Addr::LOCALHOST, served.port()).into(), "{bound}");

        served.datagrams.leave_others(&[]);
        peer.send_to(b"still?", (group, served.port())).await.unwrap();
        peer.send_to(b"you?", (Ipv4Addr::LOCALHOST, served.port())).await.unwrap();
        assert_eq!(served.cell().await.text().await, "you?");
        assert_eq!(served.life.counts().datagrams.get(), 2);
        served.datagrams.join(&groups, Some("lo")).unwrap();
        peer.send_to(b"back?", (group, served.port())).await.unwrap();
        assert_eq!(cell.text().await, "back?");
    }
}

#[tokio::test]
async fn a_group_that_cannot_be_joined_is_named() {
    let served = Served::at("0.0.0.0:0");
    let join = |group: &str, device| {
        served.datagrams.join(&[group.parse().unwrap()], device).unwrap_err().to_string()
    };
    let at = format!("udp://0.0.0.0:{}", served.port());
    assert_eq!(
        join("10.1.2.3", None),
        format!("cannot join the group 10.1.2.3 at {at}: Invalid argument (os error 22)")
    );
    assert_eq!(
        join("239.1.2.3", Some("nonesuch")),
        format!("cannot join multicast groups at {at}: no interface is named nonesuch")
    );
}
