//! The load: clients in a closed loop, each with at most one message on its way. Every reply is
//! compared byte for byte with what was sent. One thread drives all clients; what it costs is
//! reported beside the results, because the servers share the machine with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use crate::tls::Connector;

/// What a reply may take beyond the window before the clients count as stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clients use 127.0.0.2 and as many addresses after it: a closed connection keeps its port for a
/// minute, and one address has too few of them for a run.
const SOURCES: u32 = 64;

/// 4.3 s, in nanoseconds.
const LONGEST: u32 = u32::MAX;

/// Above this a message is read while it is still being written, as no socket need hold it whole.
const AT_ONCE: usize = 16 * 1024;

/// Where clients connect to, and how.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) over: Over,
}

/// What carries the bytes.
#[derive(Clone)]
pub(crate) enum Over {
    Tcp,
    /// TLS over TCP, after a whole handshake.
    Tls(Connector),
    /// A datagram for each message, from a socket of each client's own.
    Udp,
}

/// A set of clients of one server.
pub(crate) struct Load {
    clients: Vec<Client>,
    pace: Pace,
}

/// When a client begins its next operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// When it is done with the last one.
    Own,
    /// When all are done with the last one, and every connection is closed.
    Waves,
}

/// What the clients got done in one window.
pub(crate) struct Work {
    /// Nanoseconds of each operation, ascending, never empty; `LONGEST` stands for all above it.
    latencies: Vec<u32>,
    /// From the first operation's start to the last one's end.
    pub(crate) elapsed: Duration,
}

/// When a client stops: at the first of both.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    /// No operation starts after this time.
    pub(crate) window: Duration,
    /// Operations of all clients together.
    pub(crate) operations: usize,
}

impl Load {
    /// Opens `count` connections and echoes `size` bytes over each, so that none is new to the
    /// server when the window starts. An operation is one echo.
    pub(crate) async fn open(target: &Target, count: usize, size: usize) -> Result<Self> {
        let mut load = Self { clients: Vec::with_capacity(count), pace: Pace::Own };
        load.add(target, count, size).await?;
        Ok(load)
    }

    /// Makes `count` clients that connect anew each time. An operation is connect, a whole
    /// handshake where there is TLS, echo of `size` bytes, end of the client's side, end of the
    /// server's side, close.
    pub(crate) fn connecting(target: &Target, count: usize, size: usize) -> Self {
        let clients = (0..count).map(|seed| Client::new(target, seed, size));
        Self { clients: clients.collect(), pace: Pace::Own }
    }

    /// Makes `count` clients that all connect at the same time, over plain TCP, and again when all
    /// have their echo of `size` bytes and have closed in good order. An operation is connect and
    /// echo; its latency is from connect(2), with a socket that is made and bound already, to the
    /// first byte of the echo.
    pub(crate) fn opening(target: &Target, count: usize, size: usize) -> Self {
        Self { pace: Pace::Waves, ..Self::connecting(target, count, size) }
    }

    /// Opens `count` more connections.
    pub(crate) async fn add(&mut self, target: &Target, count: usize, size: usize) -> Result<()> {
        for _ in 0..count {
            let mut stream = in_time(connect(target)).await?;
            let mut message = Message::new(self.clients.len(), size);
            in_time(message.echo(&mut stream)).await?;
            self.clients.push(Client { target: target.clone(), stream: Some(stream), message });
        }
        Ok(())
    }

    /// Runs all clients until the bound. Waits for operations under way.
    ///
    /// Fails when any client failed or got another answer than it should; says how many, and what
    /// the first one saw.
    pub(crate) async fn run(&mut self, bound: Bound) -> Result<Work> {
        let start = Instant::now();
        let mut latencies = match self.pace {
            Pace::Own => self.run_each(start, bound).await?,
            Pace::Waves => self.run_waves(start, bound).await?,
        };
        let elapsed = start.elapsed();
        ensure!(!latencies.is_empty(), "no operation was done");
        latencies.sort_unstable();
        Ok(Work { latencies, elapsed })
    }

    async fn run_each(&mut self, start: Instant, bound: Bound) -> Result<Vec<u32>> {
        let share = bound.operations.div_ceil(self.clients.len().max(1));
        let mut running = JoinSet::new();
        for client in self.clients.drain(..) {
            running.spawn(client.run(start + bound.window, share));
        }
        let mut latencies = Vec::new();
        for (client, own) in all(running, bound.window + PATIENCE).await? {
            self.clients.push(client);
            latencies.extend(own);
        }
        Ok(latencies)
    }

    async fn run_waves(&mut self, start: Instant, bound: Bound) -> Result<Vec<u32>> {
        let mut latencies = Vec::new();
        while start.elapsed() < bound.window && latencies.len() < bound.operations {
            let sockets: Vec<TcpSocket> =
                self.clients.iter().map(|_| socket()).collect::<Result<_>>()?;
            let mut opening = JoinSet::new();
            for (client, socket) in self.clients.drain(..).zip(sockets) {
                opening.spawn(client.open(socket));
            }
            let mut open = Vec::new();
            for (client, stream, latency) in all(opening, PATIENCE).await? {
                self.clients.push(client);
                latencies.push(latency);
                open.push(stream);
            }
            for stream in open {
                in_time(end(stream)).await?;
            }
        }
        Ok(latencies)
    }

    /// Ends every open connection in good order. Fails when a server sends anything else than its
    /// end of the stream.
    pub(crate) async fn close(self) -> Result<()> {
        for stream in self.clients.into_iter().filter_map(|client| client.stream) {
            in_time(finish(stream)).await?;
        }
        Ok(())
    }
}

impl Work {
    pub(crate) fn operations(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that `share` (0 to 1) of the operations did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let count = self.latencies.len();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "counts are far below 2^52 and the share is not negative"
        )]
        let rank = (share * count as f64).ceil() as usize;
        Duration::from_nanos(self.latencies[rank.clamp(1, count) - 1].into())
    }
}

/// What became of all clients. Fails when any of them failed, and says what the first one saw.
async fn all<T: 'static>(mut running: JoinSet<Result<T>>, patience: Duration) -> Result<Vec<T>> {
    let count = running.len();
    let (mut done, mut errors) = (Vec::with_capacity(count), Vec::new());
    let finish = async {
        while let Some(client) = running.join_next().await {
            match client.context("a client panicked").and_then(|ended| ended) {
                Ok(client) => done.push(client),
                Err(error) => errors.push(error),
            }
        }
    };
    let stuck = tokio::time::timeout(patience, finish).await.is_err();
    if let Some(first) = errors.first() {
        bail!("{} of {count} clients failed; the first: {first:#}", errors.len());
    }
    ensure!(!stuck, "{} of {count} clients wait for an answer", running.len());
    Ok(done)
}

struct Client {
    target: Target,
    /// None for a client that connects anew each time.
    stream: Option<Stream>,
    message: Message,
}

impl Client {
    /// One that connects anew each time. Its messages are those of `seed`.
    fn new(target: &Target, seed: usize, size: usize) -> Self {
        Self { target: target.clone(), stream: None, message: Message::new(seed, size) }
    }

    async fn run(mut self, end: Instant, operations: usize) -> Result<(Self, Vec<u32>)> {
        let mut latencies = Vec::new();
        let mut before = Instant::now();
        while before < end && latencies.len() < operations {
            if let Some(stream) = &mut self.stream {
                self.message.echo(stream).await?;
            } else {
                let mut stream = connect(&self.target).await?;
                self.message.echo(&mut stream).await?;
                finish(stream).await?;
            }
            let now = Instant::now();
            latencies.push(nanoseconds(now - before));
            before = now;
        }
        Ok((self, latencies))
    }

    /// Connects, and returns with the whole echo; how long it took to the echo's first byte.
    async fn open(mut self, socket: TcpSocket) -> Result<(Self, TcpStream, u32)> {
        let begun = Instant::now();
        let mut stream = socket.connect(self.target.address).await.context("connecting")?;
        let first = self.message.first_byte(&mut stream).await?;
        Ok((self, stream, nanoseconds(first - begun)))
    }
}

fn nanoseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos()).unwrap_or(LONGEST)
}

/// A connection.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Udp(UdpSocket),
}

/// Bytes that differ from client to client and from echo to echo.
struct Message {
    sent: Vec<u8>,
    received: Vec<u8>,
    number: u64,
}

impl Message {
    fn new(seed: usize, size: usize) -> Self {
        let mut state = 0x9E37_79B9_7F4A_7C15 ^ ((seed as u64 + 1) << 20);
        let sent = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        });
        Self { sent: sent.take(size).collect(), received: vec![0; size], number: 0 }
    }

    async fn echo(&mut self, stream: &mut Stream) -> Result<()> {
        self.stamp();
        let (sent, received) = (&self.sent, &mut self.received);
        match stream {
            Stream::Plain(stream) if sent.len() <= AT_ONCE => {
                in_turn(stream, sent, received).await?;
            }
            Stream::Plain(stream) => {
                let (reader, writer) = stream.split();
                at_once(reader, writer, sent, received).await?;
            }
            Stream::Tls(stream) if sent.len() <= AT_ONCE => {
                in_turn(stream, sent, received).await?;
            }
            Stream::Tls(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                at_once(reader, writer, sent, received).await?;
            }
            Stream::Udp(socket) => {
                socket.send(sent).await.context("sending")?;
                let length = socket.recv(received).await.context("receiving the echo")?;
                ensure!(length == sent.len(), "{length} bytes came back of {}", sent.len());
            }
        }
        self.compare()
    }

    /// The same over plain TCP; when the first byte came back.
    async fn first_byte(&mut self, stream: &mut TcpStream) -> Result<Instant> {
        self.stamp();
        write(stream, &self.sent).await?;
        let length = stream.read(&mut self.received).await.context("reading the echo")?;
        let first = Instant::now();
        ensure!(length > 0, "the stream ended before the echo");
        stream.read_exact(&mut self.received[length..]).await.context("reading the echo")?;
        self.compare()?;
        Ok(first)
    }

    fn stamp(&mut self) {
        self.number += 1;
        for (byte, stamp) in self.sent.iter_mut().zip(self.number.to_le_bytes()) {
            *byte = stamp;
        }
    }

    fn compare(&self) -> Result<()> {
        if self.sent != self.received {
            let same = self.sent.iter().zip(&self.received).take_while(|(a, b)| a == b).count();
            bail!("echo {} differs from what was sent at byte {same}", self.number);
        }
        Ok(())
    }
}

async fn in_turn(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    sent: &[u8],
    received: &mut [u8],
) -> Result<()> {
    write(stream, sent).await?;
    stream.read_exact(received).await.context("reading the echo")?;
    Ok(())
}

async fn at_once(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    sent: &[u8],
    received: &mut [u8],
) -> Result<()> {
    tokio::try_join!(write(&mut writer, sent), async {
        reader.read_exact(received).await.context("reading the echo")
    })?;
    Ok(())
}

/// TLS may still have some of it when it is written.
async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<()> {
    writer.write_all(bytes).await.context("writing")?;
    writer.flush().await.context("writing")
}

async fn connect(target: &Target) -> Result<Stream> {
    Ok(match &target.over {
        Over::Tcp => Stream::Plain(connect_plain(target.address).await?),
        Over::Tls(tls) => {
            Stream::Tls(Box::new(tls.connect(connect_plain(target.address).await?).await?))
        }
        Over::Udp => {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            socket.connect(target.address).await?;
            Stream::Udp(socket)
        }
    })
}

async fn connect_plain(address: SocketAddr) -> Result<TcpStream> {
    socket()?.connect(address).await.context("connecting")
}

/// A socket with the next of the clients' addresses.
fn socket() -> Result<TcpSocket> {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let number = NEXT.fetch_add(1, Ordering::Relaxed) % SOURCES;
    let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 2)) + number);
    let socket = TcpSocket::new_v4()?;
    // The port is then picked by connect(2), and needs to be free only towards this server.
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind((source, 0).into()).with_context(|| format!("binding to {source}"))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn finish(stream: Stream) -> Result<()> {
    match stream {
        Stream::Plain(stream) => end(stream).await,
        Stream::Tls(stream) => end(stream).await,
        // There is nothing to end.
        Stream::Udp(_) => Ok(()),
    }
}

/// Over TLS both sides end with `close_notify`: a server that leaves it out is an error of reading.
async fn end(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    stream.shutdown().await.context("ending the client's side")?;
    match stream.read(&mut [0; 64]).await.context("reading the end of the stream")? {
        0 => Ok(()),
        n => bail!("{n} bytes beyond the echo"),
    }
}

async fn in_time<T>(step: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, step)
        .await
        .unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::tls::{Identity, acceptor};
    use crate::tokio_echo;

    const FEW: Bound = Bound { window: Duration::from_secs(5), operations: 8 };

    #[tokio::test]
    async fn open_connections_echo_small_and_large_messages_until_the_count_is_reached() {
        for size in [1, 64, AT_ONCE + 1, 1 << 20] {
            for target in [echo_server().await, tls_echo_server().await] {
                let mut load = Load::open(&target, 4, size).await.unwrap();
                assert_eq!(load.run(FEW).await.unwrap().operations(), 8);
                assert_eq!(load.run(FEW).await.unwrap().operations(), 8, "a second window");
                load.close().await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn connecting_clients_open_and_close_each_time() {
        for target in [echo_server().await, tls_echo_server().await] {
            let mut load = Load::connecting(&target, 4, 64);
            assert_eq!(load.run(FEW).await.unwrap().operations(), 8);
        }
    }

    #[tokio::test]
    async fn a_first_byte_is_timed_before_the_rest_of_the_echo_and_the_close() {
        /// How long the server holds back all but the first byte, and then the end of its side.
        const HELD: Duration = Duration::from_millis(30);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut bytes = [0; 64];
                    stream.read_exact(&mut bytes).await.unwrap();
                    stream.write_all(&bytes[..1]).await.unwrap();
                    tokio::time::sleep(HELD).await;
                    stream.write_all(&bytes[1..]).await.unwrap();
                    assert_eq!(stream.read(&mut bytes).await.unwrap(), 0);
                    tokio::time::sleep(HELD).await;
                });
            }
        });
        let mut load = Load::opening(&Target { address, over: Over::Tcp }, 2, 64);
        let work = load.run(Bound { operations: 4, ..FEW }).await.unwrap();
        assert_eq!(work.operations(), 4, "two waves of two");
        assert!(work.elapsed >= 2 * 2 * HELD, "{:?}", work.elapsed);
        // The least of them, as the machine may be busy.
        assert!(work.percentile(0.0) < HELD, "{:?}", work.percentile(0.0));
    }

    #[tokio::test]
    async fn a_wave_opens_all_its_connections_before_it_closes_any() {
        const CLIENTS: usize = 5;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Answers nobody before all are there.
        tokio::spawn(async move {
            let mut streams = Vec::new();
            while streams.len() < CLIENTS {
                streams.push(listener.accept().await.unwrap().0);
            }
            for stream in &mut streams {
                let mut bytes = [0; 64];
                stream.read_exact(&mut bytes).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
            }
            for mut stream in streams {
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            }
        });
        let mut load = Load::opening(&Target { address, over: Over::Tcp }, CLIENTS, 64);
        let work = load.run(Bound { operations: CLIENTS, ..FEW }).await.unwrap();
        assert_eq!(work.operations(), CLIENTS);
    }

    #[tokio::test]
    async fn a_first_echo_that_is_wrong_or_missing_fails_the_run() {
        let wrong = server(b"", |bytes| bytes[40] ^= 1).await;
        let error = Load::opening(&wrong, 2, 64).run(FEW).await.err().unwrap().to_string();
        assert!(error.ends_with("echo 1 differs from what was sent at byte 40"), "{error}");

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 64]).await.unwrap();
        });
        let target = Target { address, over: Over::Tcp };
        let error = Load::opening(&target, 1, 64).run(FEW).await.err().unwrap().to_string();
        assert!(error.ends_with("the stream ended before the echo"), "{error}");
    }

    #[tokio::test]
    async fn datagrams_are_echoed_and_one_that_is_cut_fails_the_run() {
        for (most, error) in [(64, None), (63, Some("63 bytes came back of 64"))] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let target = Target { address: socket.local_addr().unwrap(), over: Over::Udp };
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                loop {
                    let (_, peer) = socket.recv_from(&mut buffer).await.unwrap();
                    socket.send_to(&buffer[..most], peer).await.unwrap();
                }
            });
            let opened = Load::open(&target, 4, 64).await;
            match error {
                None => assert_eq!(opened.unwrap().run(FEW).await.unwrap().operations(), 8),
                Some(error) => assert_eq!(opened.err().unwrap().to_string(), error),
            }
        }
    }

    #[tokio::test]
    async fn an_end_without_close_notify_fails_the_run() {
        let (acceptor, target, listener) = tls_server().await;
        tokio::spawn(async move {
            let mut tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut bytes = [0; 64];
            tls.read_exact(&mut bytes).await.unwrap();
            tls.write_all(&bytes).await.unwrap();
            tls.flush().await.unwrap();
            assert_eq!(tls.read(&mut bytes).await.unwrap(), 0);
        });
        let error = Load::connecting(&target, 1, 64).run(FEW).await.err().unwrap().to_string();
        assert!(error.contains("reading the end of the stream"), "{error}");
    }

    #[tokio::test]
    async fn another_certificate_than_that_of_the_run_fails_it() {
        let (_, mut target, listener) = tls_server().await;
        tokio::spawn(tokio_echo::accept(listener, Some(tls_server().await.0)));
        let error = Load::connecting(&target, 1, 64).run(FEW).await.err().unwrap().to_string();
        assert!(error.contains("the handshake: invalid peer certificate"), "{error}");
        target.over = Over::Tcp;
        assert!(Load::connecting(&target, 1, 64).run(FEW).await.is_err(), "no TLS at all");
    }

    #[tokio::test]
    async fn a_wrong_byte_in_an_echo_fails_the_run() {
        let mut load = Load::connecting(&server(b"", |bytes| bytes[40] ^= 1).await, 2, 64);
        let error = load.run(FEW).await.err().unwrap().to_string();
        assert!(error.starts_with("2 of 2 clients failed"), "{error}");
        assert!(error.ends_with("echo 1 differs from what was sent at byte 40"), "{error}");
    }

    #[tokio::test]
    async fn bytes_beyond_the_echo_fail_the_run() {
        let mut load = Load::connecting(&server(b"more", |_| ()).await, 1, 64);
        let error = load.run(FEW).await.err().unwrap().to_string();
        assert!(error.ends_with("4 bytes beyond the echo"), "{error}");
    }

    #[test]
    fn percentiles_are_operations_that_happened() {
        let work = Work { latencies: (1..=1000).collect(), elapsed: Duration::ZERO };
        let nanoseconds = [0.0, 0.5, 0.99, 0.999, 1.0].map(|p| work.percentile(p).as_nanos());
        assert_eq!(nanoseconds, [1, 500, 990, 999, 1000]);
    }

    async fn echo_server() -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(tokio_echo::accept(listener, None));
        Target { address, over: Over::Tcp }
    }

    async fn tls_echo_server() -> Target {
        let (acceptor, target, listener) = tls_server().await;
        tokio::spawn(tokio_echo::accept(listener, Some(acceptor)));
        target
    }

    /// What a server needs that nobody serves yet.
    async fn tls_server() -> (TlsAcceptor, Target, TcpListener) {
        let folder = TempDir::new().unwrap();
        let Identity { certificate, key, connector } = Identity::new(folder.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (
            acceptor(&certificate, &key).unwrap(),
            Target { address, over: Over::Tls(connector) },
            listener,
        )
    }

    /// Echoes 64 bytes, changed by `change`, then sends `more`.
    async fn server(more: &'static [u8], change: fn(&mut [u8; 64])) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 64];
                stream.read_exact(&mut bytes).await.unwrap();
                change(&mut bytes);
                stream.write_all(&bytes).await.unwrap();
                stream.write_all(more).await.unwrap();
                stream.shutdown().await.unwrap();
                assert_eq!(stream.read(&mut bytes).await.unwrap(), 0);
            }
        });
        Target { address, over: Over::Tcp }
    }
}
