//! What is measured: the scenarios, and one measurement of a running server in each.

use std::time::Duration;

use anyhow::Result;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::http::{self, Keep};
use crate::load::{Bound, Load};
use crate::machine::Processors;
use crate::process::Process;
use crate::running::Server;

/// The message where its size is not what is asked.
const SMALL: usize = 64;
/// The most that a record of TLS holds (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;

/// After a window: what the server still has to do for connections that its clients closed.
const SETTLE: Duration = Duration::from_millis(20);

/// What is between clients and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Tcp,
    Tls,
    Udp,
}

/// A kind of load, and what is told from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scenario {
    /// So many bytes echoed over open connections.
    Echo(usize),
    /// 64 B echoed over so many open connections.
    Over(usize),
    /// 64 B echoed in datagrams.
    Udp,
    /// Connect, echo 64 B, close in good order.
    Connect,
    /// Connect and the first byte of an echo of 64 B, with so many clients that connect at once.
    FirstByte(usize),
    /// Connections that are open and silent.
    Idle,
    /// 64 B echoed over open connections, over TLS.
    TlsEcho,
    /// 16 KiB echoed over open connections, over TLS.
    TlsEchoRecord,
    /// Connect, a whole handshake of TLS, echo 64 B, close in good order.
    TlsConnect,
    /// One small GET after the other, with wrk as the load.
    Http(Keep),
}

/// How much of it.
#[derive(Clone, Copy)]
pub(crate) struct Amount {
    /// Clients at once, where the scenario does not say how many.
    pub(crate) connections: usize,
    /// Open connections in `idle`.
    pub(crate) idle: usize,
    /// The measured window; a fifth of its time goes before it unmeasured.
    pub(crate) bound: Bound,
}

/// One number that a scenario tells.
pub(crate) struct Metric {
    /// In JSON.
    pub(crate) name: &'static str,
    /// In the table.
    pub(crate) heading: &'static str,
    /// In the table, after the point.
    pub(crate) decimals: usize,
    /// JSON has its extremes, its ratio and its difference in any case.
    pub(crate) compared: Compared,
}

/// What the table has of a metric beside the median.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    Not,
    /// The extremes, and the ratio to the first server.
    Ratio,
    /// The same, and by how much it is over the first server.
    Difference,
}

/// A percentage of one processor. With more than this used by others, the kernel tends to leave the
/// servers' network work to its own threads (ksoftirqd), where nobody's clock counts it.
const QUIET: f64 = 25.0;

/// A percentage of one processor, which is all that the load can use: it runs in one thread.
const ALL_OF_ONE: f64 = 95.0;

const LOAD_BUSY: usize = 5;
const OTHER_BUSY: usize = 6;
use Compared::{Difference, Not, Ratio};

const WORK: [Metric; 7] = [
    Metric { name: "operations_per_second", heading: "op/s", decimals: 0, compared: Ratio },
    Metric { name: "cpu_us_per_operation", heading: "CPU us/op", decimals: 2, compared: Ratio },
    Metric { name: "latency_p50_us", heading: "p50 us", decimals: 0, compared: Not },
    Metric { name: "latency_p99_us", heading: "p99 us", decimals: 0, compared: Not },
    Metric { name: "latency_p999_us", heading: "p99.9 us", decimals: 0, compared: Not },
    Metric { name: "load_busy_percent", heading: "load busy %", decimals: 0, compared: Not },
    Metric { name: "other_busy_percent", heading: "other busy %", decimals: 0, compared: Not },
];

/// As `WORK`; the rate, of which closing is a part, is not what is asked.
const FIRST_BYTE: [Metric; 7] = [
    Metric { name: "operations_per_second", heading: "op/s", decimals: 0, compared: Not },
    Metric { name: "cpu_us_per_operation", heading: "CPU us/op", decimals: 2, compared: Not },
    Metric { name: "latency_p50_us", heading: "p50 us", decimals: 1, compared: Difference },
    Metric { name: "latency_p99_us", heading: "p99 us", decimals: 1, compared: Ratio },
    Metric { name: "latency_p999_us", heading: "p99.9 us", decimals: 0, compared: Not },
    Metric { name: "load_busy_percent", heading: "load busy %", decimals: 0, compared: Not },
    Metric { name: "other_busy_percent", heading: "other busy %", decimals: 0, compared: Not },
];

const MEMORY: [Metric; 3] = [
    Metric { name: "resident_kib", heading: "RSS KiB", decimals: 1, compared: Ratio },
    Metric { name: "proportional_kib", heading: "PSS KiB", decimals: 1, compared: Not },
    Metric { name: "page_tables_kib", heading: "tables KiB", decimals: 1, compared: Ratio },
];

impl Scenario {
    /// All scenarios and their names, in the order in which they are measured.
    pub(crate) const NAMES: [(&'static str, Self); 20] = [
        ("echo-64", Self::Echo(64)),
        ("echo-64k", Self::Echo(64 << 10)),
        ("connect", Self::Connect),
        ("first-byte", Self::FirstByte(1)),
        ("first-byte-80", Self::FirstByte(80)),
        ("idle", Self::Idle),
        ("udp-64", Self::Udp),
        ("tls-echo-64", Self::TlsEcho),
        ("tls-echo-16k", Self::TlsEchoRecord),
        ("tls-connect", Self::TlsConnect),
        ("echo-16", Self::Echo(16)),
        ("echo-256", Self::Echo(256)),
        ("echo-4k", Self::Echo(4 << 10)),
        ("echo-16k", Self::Echo(16 << 10)),
        ("echo-1m", Self::Echo(1 << 20)),
        ("over-1", Self::Over(1)),
        ("over-10", Self::Over(10)),
        ("over-100", Self::Over(100)),
        ("over-1000", Self::Over(1000)),
        ("over-10000", Self::Over(10_000)),
    ];

    /// Those that are measured by default; the others are for curves.
    pub(crate) const USUAL: [&'static str; 10] = [
        "echo-64",
        "echo-64k",
        "connect",
        "first-byte",
        "first-byte-80",
        "idle",
        "udp-64",
        "tls-echo-64",
        "tls-echo-16k",
        "tls-connect",
    ];

    /// Of the servers that are not compared with the others, because they speak HTTP.
    pub(crate) const HTTP: [(&'static str, Self); 2] =
        [("http-keep-alive", Self::Http(Keep::Alive)), ("http-close", Self::Http(Keep::Close))];

    /// Whether it is measured by default.
    pub(crate) fn is_usual(self) -> bool {
        Self::NAMES.into_iter().any(|(name, known)| known == self && Self::USUAL.contains(&name))
    }

    /// Whether it has a table of its own; others are points of curves.
    pub(crate) fn has_table(self) -> bool {
        self.is_usual() || matches!(self, Self::Http(_))
    }

    /// What `measure` returns, in order.
    pub(crate) fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Idle => &MEMORY,
            Self::FirstByte(_) => &FIRST_BYTE,
            _ => &WORK,
        }
    }

    /// What is between clients and server; over TLS the plain tokio server is one of tokio-rustls.
    pub(crate) const fn carrier(self) -> Carrier {
        match self {
            Self::TlsEcho | Self::TlsEchoRecord | Self::TlsConnect => Carrier::Tls,
            Self::Udp => Carrier::Udp,
            Self::Echo(_) | Self::Over(_) | Self::Connect | Self::FirstByte(_) | Self::Idle => {
                Carrier::Tcp
            }
            Self::Http(_) => Carrier::Tcp,
        }
    }

    /// Whether other work on the machine was too much to trust these values of a measurement.
    pub(crate) fn disturbed(self, values: &[f64]) -> bool {
        self != Self::Idle && values[OTHER_BUSY] > QUIET
    }

    /// Whether the load had no time left in a measurement, so that its rate is the load's own.
    pub(crate) fn load_bound(self, values: &[f64]) -> bool {
        self != Self::Idle && values[LOAD_BUSY] > ALL_OF_ONE
    }

    /// What happens in it, in one line.
    pub(crate) fn about(self, amount: Amount) -> String {
        let Amount { connections, idle, .. } = amount;
        match self {
            Self::Echo(size) => {
                format!("{} echoed over {connections} open connections", display_size(size))
            }
            Self::Over(count) => format!("64 B echoed over {count} open connections"),
            Self::Udp => format!("datagrams of 64 B echoed to {connections} clients"),
            Self::Connect => {
                format!("connect, echo 64 B, orderly close; {connections} clients at once")
            }
            Self::FirstByte(1) => {
                "connect to the first byte back of an echo of 64 B; one client".to_owned()
            }
            Self::FirstByte(count) => format!(
                "connect to the first byte back of an echo of 64 B; {count} clients that connect \
                 at once"
            ),
            Self::Idle => {
                format!("memory of each of {idle} idle connections that echoed 64 B once")
            }
            Self::TlsEcho => format!("64 B echoed over {connections} open connections, TLS 1.3"),
            Self::TlsEchoRecord => {
                format!("16 KiB echoed over {connections} open connections, TLS 1.3")
            }
            Self::Http(Keep::Alive) => {
                format!("a small GET over one of {connections} connections that are kept, by wrk")
            }
            Self::Http(Keep::Close) => format!(
                "a connection for each small GET, with `Connection: close`; {connections} clients \
                 at once, by wrk"
            ),
            Self::TlsConnect => format!(
                "connect, whole handshake of TLS 1.3, echo 64 B, orderly close; {connections} \
                 clients at once"
            ),
        }
    }

    /// Puts a fresh server under this load and returns a value for each of the metrics.
    pub(crate) async fn measure(self, server: &Server, amount: Amount) -> Result<Vec<f64>> {
        let Amount { connections, bound, .. } = amount;
        let open = async |size| Load::open(&server.target, connections, size).await;
        let load = match self {
            Self::Echo(size) => open(size).await?,
            Self::Over(count) => Load::open(&server.target, count, SMALL).await?,
            Self::TlsEcho | Self::Udp => open(SMALL).await?,
            Self::TlsEchoRecord => open(RECORD).await?,
            Self::Connect | Self::TlsConnect => {
                Load::connecting(&server.target, connections, SMALL)
            }
            Self::FirstByte(count) => Load::opening(&server.target, count, SMALL),
            Self::Idle => return idle(server, amount.idle).await,
            Self::Http(keep) => return requests(server, keep, connections, bound.window).await,
        };
        work(server, load, bound).await
    }
}

async fn work(server: &Server, mut load: Load, bound: Bound) -> Result<Vec<f64>> {
    load.run(Bound { window: bound.window / 5, ..bound }).await?;
    tokio::time::sleep(SETTLE).await;
    let before = Usage::now(server)?;
    let done = load.run(bound).await?;
    tokio::time::sleep(SETTLE).await;
    let usage = Usage::now(server)?;
    load.close().await?;
    let percentiles = [0.5, 0.99, 0.999].map(|share| microseconds(done.percentile(share)));
    Ok(usage.values(&before, done.operations(), done.elapsed, percentiles))
}

async fn requests(
    server: &Server,
    keep: Keep,
    clients: usize,
    window: Duration,
) -> Result<Vec<f64>> {
    let address = server.target.address;
    http::check(address).await?;
    http::load(address, keep, clients, window / 5).await?;
    tokio::time::sleep(SETTLE).await;
    let before = Usage::now(server)?;
    let done = http::load(address, keep, clients, window).await?;
    tokio::time::sleep(SETTLE).await;
    let usage = Usage::now(server)?;
    let elapsed = Duration::from_micros(done.elapsed.into());
    let percentiles = [done.p50, done.p99, done.p999].map(f64::from);
    Ok(usage.values(&before, usize::try_from(done.requests)?, elapsed, percentiles))
}

/// Time of processors that was used up to a moment.
struct Usage {
    server: Duration,
    /// By what the server is a proxy of, which is neither its own nor other work.
    behind: Duration,
    /// By this process and the programs that it has run, but not by those that still run.
    load: Duration,
    all: Processors,
}

impl Usage {
    fn now(server: &Server) -> Result<Self> {
        let ended = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let ended = (ended.user_time() + ended.system_time()).num_microseconds();
        let behind = server.behind.as_ref().map_or(Ok(Duration::ZERO), |it| it.process.cpu())?;
        Ok(Self {
            server: server.process.cpu()?,
            behind,
            load: Process::this().cpu()? + Duration::from_micros(ended.try_into()?),
            all: Processors::now()?,
        })
    }

    /// The values of `WORK` for what was done since `before`.
    fn values(
        &self,
        before: &Self,
        operations: usize,
        elapsed: Duration,
        percentiles: [f64; 3],
    ) -> Vec<f64> {
        let since = |of: fn(&Self) -> Duration| of(self).saturating_sub(of(before));
        let (server, load) = (since(|usage| usage.server), since(|usage| usage.load));
        let known = server + load + since(|usage| usage.behind);
        let other = self.all.busy_since(&before.all).saturating_sub(known);
        #[expect(clippy::cast_precision_loss, reason = "operations are far below 2^52")]
        let operations = operations as f64;
        let percent = |busy: Duration| 100.0 * busy.as_secs_f64() / elapsed.as_secs_f64();
        let [p50, p99, p999] = percentiles;
        let rate = operations / elapsed.as_secs_f64();
        vec![rate, microseconds(server) / operations, p50, p99, p999, percent(load), percent(other)]
    }
}

/// The first connection is not counted: it pays for what all share.
async fn idle(server: &Server, count: usize) -> Result<Vec<f64>> {
    let mut load = Load::open(&server.target, 1, SMALL).await?;
    tokio::time::sleep(SETTLE).await;
    let one = server.process.memory()?;
    load.add(&server.target, count, SMALL).await?;
    tokio::time::sleep(SETTLE).await;
    let all = server.process.memory()?;
    load.close().await?;
    #[expect(clippy::cast_precision_loss, reason = "KiB and counts are far below 2^52")]
    let each = |before: u64, after: u64| (after as f64 - before as f64) / count as f64;
    Ok(vec![
        each(one.resident, all.resident),
        each(one.proportional, all.proportional),
        each(one.page_tables, all.page_tables),
    ])
}

/// As people say it: 64 B, 16 KiB.
fn display_size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
