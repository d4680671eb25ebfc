//! The loop on real sockets. Connections are driven by the tests, without guests.

mod answers;
mod payload;
mod peers;
mod phases;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use portcell_abi::Errno;
use socket2::{Domain, SockRef, Type};
use tokio::io::Interest;
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
    work: Guest,
    cells: mpsc::UnboundedReceiver<Cell>,
    running: JoinHandle<Result<(), Gone>>,
}

/// What is done for a flow.
type Guest = Arc<dyn Fn(Cell) -> Work + Send + Sync>;

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
        let (sender, cells) = mpsc::unbounded_channel();
        let hands_over = move |cell| {
            let _ = sender.send(cell);
            Box::pin(std::future::ready(())) as Work
        };
        Self { cells, ..Self::doing(socket, config, Arc::new(hands_over)) }
    }

    /// Its flows do not come to the test: this is done for each.
    fn doing(socket: std::net::UdpSocket, config: Arc<ListenerConfig>, work: Guest) -> Self {
        let address = Bound::Udp(socket.local_addr().unwrap());
        let datagrams = Arc::new(Datagrams::new(socket, address).unwrap());
        let bounds =
            admission::Bounds { most: config.udp.max_flows, ..admission::Bounds::default() };
        let gate = Admission::new(1, number(1), 100).gate(&bounds, Opening::Datagram);
        let life = Arc::new(Life::new(Phase::Accepting));
        let running = run(&datagrams, &config, &gate, &life, &work);
        let (_, cells) = mpsc::unbounded_channel();
        Self { datagrams, config, gate, life, work, cells, running }
    }

    /// Another loop on the same socket.
    fn goes_on(&mut self) {
        self.life = Arc::new(Life::new(Phase::Accepting));
        let Self { datagrams, config, gate, life, work, .. } = self;
        self.running = run(datagrams, config, gate, life, work);
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
    work: &Guest,
) -> JoinHandle<Result<(), Gone>> {
    let (datagrams, config, gate) = (Arc::clone(datagrams), Arc::clone(config), gate.clone());
    let (life, work) = (Arc::clone(life), Arc::clone(work));
    let placement = Arc::new(Placement {
        listener: "l".into(),
        handler: "h".into(),
        version: 1,
        digest: "d".into(),
        tenant: "t".into(),
        memory: 1,
        cpu: None,
        idle_timeout: None,
    });
    tokio::spawn(async move {
        let start = |client: Accepted, entry| {
            let account = Arc::new(Account::new(1));
            let connection = Connection::new(client.into_socket(), account, Arc::clone(&placement));
            work(Cell { connection, _entry: entry })
        };
        take_in(&datagrams, &gate, &config, &life, Handle::current(), start).await
    })
}

async fn receive(peer: &UdpSocket) -> Vec<u8> {
    let mut buf = vec![0; 70_000];
    let read = within("an answer", peer.recv(&mut buf)).await.unwrap();
    buf.truncate(read);
    buf
}
