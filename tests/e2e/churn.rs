//! Many short connections while listeners are suspended, drained and started again, through the
//! library: nobody who was connected is lost, reset, or answered twice.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use portcell::config::{ListenerConfig, Receipts, WhenFull};
use portcell::listener::State;
use portcell::server::Limit;
use serde_json::Value;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::TestResult;
use crate::harness::{Client, Folder, Local, config, edit, open_at, plugin, until, wait_until};

const FAREWELL: &str = "421 too many connections\r\n";

/// What became of clients.
#[derive(Debug, Default)]
struct Counts {
    served: AtomicU64,
    /// With a farewell and in good order.
    turned_away: AtomicU64,
}

impl Counts {
    /// One short connection, which sends `line`: once it is connected it must be answered whole,
    /// or turned away in good order. Whether it was connected.
    fn meets(&self, address: &str, line: &str) -> bool {
        let Ok(mut client) = Client::try_connect(address) else { return false };
        client.send(line);
        client.end();
        let said = client.rest().unwrap_or_else(|error| panic!("{address} {line:?}: {error}"));
        let count = if said == line.as_bytes() {
            &self.served
        } else {
            assert_eq!(String::from_utf8_lossy(&said), FAREWELL, "{address} {line:?}");
            &self.turned_away
        };
        count.fetch_add(1, SeqCst);
        true
    }

    fn served(&self) -> u64 {
        self.served.load(SeqCst)
    }

    /// Waits until so many more were served.
    async fn serves(&self, more: u64) {
        let wanted = self.served() + more;
        until(&format!("{wanted} were served"), async || (self.served() >= wanted).then_some(()))
            .await;
    }
}

/// Clients that connect again and again.
struct Crowd {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Comes to the listener `a`, and lets some of them be served.
    async fn comes(server: &Local, counts: &Arc<Counts>) -> Self {
        let over = Arc::<AtomicBool>::default();
        let client = |number: usize| {
            let (counts, over) = (Arc::clone(counts), Arc::clone(&over));
            let address = server.address("a").to_owned();
            spawn_blocking(move || {
                let mut turn = 0;
                while !over.load(SeqCst) {
                    counts.meets(&address, &format!("client {number}, turn {turn}\n"));
                    turn += 1;
                }
            })
        };
        let clients = (0..16).map(client).collect();
        let crowd = Self { over, clients };
        counts.serves(50).await;
        crowd
    }

    /// Nobody may have met anything that is wrong.
    async fn goes(mut self) -> TestResult {
        self.over.store(true, SeqCst);
        for client in std::mem::take(&mut self.clients) {
            client.await?;
        }
        Ok(())
    }
}

impl Drop for Crowd {
    /// A test that fails ends, too: its runtime waits for the clients.
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
    }
}

/// Drains a listener at `bind` many times, and at last the server, while clients connect.
async fn check(bind: &str, change: impl FnOnce(&mut ListenerConfig)) -> TestResult {
    let mut config = config(&plugin("echo"), &["a"]);
    edit(&mut config, "a", |listener| {
        listener.bind = vec![bind.parse().unwrap()];
        listener.farewell = FAREWELL.into();
        change(listener);
    });
    let server = Local::start(config).await;
    let counts = Arc::default();
    for _ in 0..30 {
        let crowd = Crowd::comes(&server, &counts).await;
        assert_eq!(server.stop("a").await, 0);
        crowd.goes().await?;
        server.control().start("a").await?;
    }
    let crowd = Crowd::comes(&server, &counts).await;
    assert_eq!(server.drain().await.cut, 0);
    crowd.goes().await
}

const TCP: &str = "tcp://127.0.0.1:0";

fn unix(folder: &Folder) -> String {
    format!("unix:{}", folder.at("a.sock").display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_resets_nobody_at_tcp_sockets() -> TestResult {
    check(TCP, |_| {}).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_resets_nobody_at_unix_sockets() -> TestResult {
    check(&unix(&Folder::new()), |_| {}).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_resets_nobody_at_abstract_sockets() -> TestResult {
    let process = std::process::id();
    check(&format!("unix:@portcell-churn-{process}"), |_| {}).await
}

fn has_little_room(listener: &mut ListenerConfig) {
    listener.max_connections = NonZeroU32::new(2);
    listener.when_full = WhenFull::Refuse;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_resets_nobody_at_tcp_sockets_for_whom_there_is_no_place() -> TestResult {
    check(TCP, has_little_room).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_resets_nobody_at_unix_sockets_for_whom_there_is_no_place() -> TestResult {
    check(&unix(&Folder::new()), has_little_room).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_20_000_short_connections_none_is_lost_or_answered_twice() -> TestResult {
    const CONNECTIONS: u64 = 20_000;
    const CLIENTS: usize = 16;
    let folder = Folder::new();
    let mut config = config(&plugin("echo"), &["a", "b"]);
    config.server.receipts = Receipts::File(folder.at("receipts"));
    for name in ["a", "b"] {
        edit(&mut config, name, |listener| {
            // Several addresses: the kernel keeps the ports of clients for a while.
            let addresses = (1..=4).map(|n| format!("tcp://127.0.0.{n}:0").parse().unwrap());
            listener.bind = addresses.collect();
            listener.farewell = FAREWELL.into();
        });
    }
    edit(&mut config, "b", |listener| listener.when_full = WhenFull::Refuse);
    let server = Local::start(config).await;
    let control = server.control();
    let [a, b]: [Arc<Counts>; 2] = Default::default();
    let client = |number: usize| {
        let at = |name: &str| server.addresses(name)[number % 4].to_owned();
        // Some go to `a` as long as it is there.
        let mut first = (number < CLIENTS / 2).then(|| at("a"));
        let (a, b, second) = (Arc::clone(&a), Arc::clone(&b), at("b"));
        spawn_blocking(move || {
            for turn in 0.. {
                if a.served() + b.served() >= CONNECTIONS {
                    break;
                }
                let line = format!("client {number}, turn {turn}\n");
                match &first {
                    Some(address) if !a.meets(address, &line) => first = None,
                    Some(_) => {}
                    None => assert!(b.meets(&second, &line), "{line:?} was not connected"),
                }
            }
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();

    for turn in 1.. {
        for (name, other) in [("a", &b), ("b", &a)] {
            control.suspend(name).await?;
            other.serves(50).await;
            let most = NonZeroU32::new(1 + turn % 10);
            control.limit(Limit::Listener(name.into()), most).await?;
            control.resume(name).await?;
            other.serves(50).await;
        }
        if a.served() + b.served() > CONNECTIONS / 2 {
            break;
        }
    }
    assert_eq!(server.stop("a").await, 0);
    assert_eq!(server.listener("a").await.state, State::Stopped);
    for client in clients {
        client.await?;
    }

    server.has_connections(0).await;
    let listener = server.listener("b").await;
    let turned_away = b.turned_away.load(SeqCst);
    assert_eq!((listener.accepted, listener.refused), (b.served(), turned_away));
    for address in server.addresses("b") {
        // The listener's.
        wait_until("the others are closed", || open_at(address) == 1);
    }
    assert_eq!(server.drain().await.cut, 0);

    let receipts = fs::read_to_string(folder.at("receipts"))?;
    let receipts = receipts.lines().map(serde_json::from_str);
    let receipts: Vec<Value> = receipts.collect::<Result<_, _>>()?;
    let of = |name: &str| receipts.iter().filter(|receipt| receipt["listener"] == name).count();
    assert_eq!((of("a") as u64, of("b") as u64), (a.served(), b.served()));
    assert!(receipts.iter().all(|receipt| receipt["exit"]["kind"] == "ok"));
    let ids: BTreeSet<_> = receipts.iter().map(|receipt| receipt["id"].as_u64()).collect();
    assert_eq!(ids.len(), receipts.len());
    Ok(())
}
