//! Receipts: one JSON object a line for each connection that has ended. Writing them never makes
//! a connection wait.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::config;
use crate::connection::{Connection, Secured, Transport};
use crate::exit::Exit;
use crate::followers::Followers;
use crate::route::Route;

/// Lines that may wait to be written. More are lost, and counted.
const QUEUE: usize = 4096;

/// How long the end of a server waits for receipts to be written. Without it a pipe that nobody
/// reads would hold it up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one connection was and how it ended.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// When it ended, as in RFC 3339, in UTC.
    pub time: String,
    /// Unique in this run of the server.
    pub id: u64,
    /// The listener's name.
    pub listener: String,
    /// The handler's name.
    pub handler: String,
    /// The handler's version.
    pub version: u64,
    /// The sha256 of the handler's module.
    pub digest: String,
    /// Who owns the handler.
    pub tenant: String,
    /// How the bytes travelled.
    pub transport: String,
    /// The other end.
    pub peer: Option<String>,
    /// This end.
    pub local: Option<String>,
    /// Facts of TLS; `null` without it.
    pub tls: Option<TlsReceipt>,
    /// Bytes that the guest read.
    pub bytes_in: u64,
    /// Bytes that the guest wrote and the kernel took.
    pub bytes_out: u64,
    /// From the beginning until the socket was closed, in milliseconds.
    pub duration_ms: u64,
    /// CPU time of the instance, in microseconds.
    pub cpu_us: u64,
    /// The most memory it had at once, in bytes.
    pub memory_peak: u64,
    /// How it ended.
    pub exit: Exit,
}

/// What a handshake has agreed on: the facts `tls.*`, without those that are long.
#[derive(Clone, Debug, Serialize)]
pub struct TlsReceipt {
    /// `1.2` or `1.3`.
    pub version: String,
    /// The cipher suite, as IANA names it.
    pub cipher: Option<String>,
    /// What the peer asked for.
    pub server_name: Option<String>,
    /// The application's protocol that was agreed on.
    pub alpn: Option<String>,
    /// Whether an earlier session went on.
    pub resumed: bool,
    /// The peer's certificate, if it has shown one.
    pub peer: Option<PeerReceipt>,
}

/// Who a peer is.
#[derive(Clone, Debug, Serialize)]
pub struct PeerReceipt {
    /// Whose the certificate is.
    pub subject: Option<String>,
    /// The digest of the certificate.
    pub sha256: String,
}

impl TlsReceipt {
    fn of(secured: &Secured) -> Self {
        Self {
            version: secured.version().into(),
            cipher: secured.cipher().map(str::to_owned),
            server_name: secured.server_name().map(str::to_owned),
            alpn: secured.alpn().map(str::to_owned),
            resumed: secured.resumed(),
            peer: secured
                .peer()
                .map(|peer| PeerReceipt { subject: peer.subject(), sha256: peer.sha256() }),
        }
    }
}

impl Receipt {
    /// The beginning of a receipt: what can be known only while the socket is open.
    pub fn begin(connection: &Connection, route: &Route) -> Self {
        let fact = |name: &str| connection.info(name).map(std::borrow::Cow::into_owned);
        let placement = connection.placement();
        Self {
            time: String::new(),
            id: connection.account().id(),
            listener: placement.listener.clone(),
            handler: placement.handler.clone(),
            version: placement.version,
            digest: route.handler.digest().into(),
            tenant: placement.tenant.clone(),
            transport: fact("transport").unwrap_or_default(),
            peer: fact("peer.address"),
            local: fact("local.address"),
            tls: None,
            bytes_in: 0,
            bytes_out: 0,
            duration_ms: 0,
            cpu_us: 0,
            memory_peak: 0,
            exit: Exit::Ok,
        }
    }

    /// Says by which TLS the bytes travelled in the end, if by any.
    #[must_use]
    pub fn secured(self, secured: Option<&Secured>) -> Self {
        let Some(secured) = secured else { return self };
        let transport = Transport::Tls.name().into();
        Self { transport, tls: Some(TlsReceipt::of(secured)), ..self }
    }

    /// The rest of it.
    #[must_use]
    pub fn end(self, account: &crate::account::Account, exit: Exit) -> Self {
        let whole = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        Self {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            bytes_in: account.bytes_in(),
            bytes_out: account.bytes_out(),
            duration_ms: whole(account.age().as_millis()),
            cpu_us: whole(account.cpu().as_micros()),
            memory_peak: account.memory_peak(),
            exit,
            ..self
        }
    }
}

/// Where receipts go.
#[derive(Debug, Default)]
pub struct Receipts {
    writer: Option<SyncSender<Work>>,
    lost: AtomicU64,
    followers: Followers,
}

/// What the writing thread is given.
#[derive(Debug)]
enum Work {
    Line(String),
    /// Say so when everything before this is written.
    Flush(SyncSender<()>),
}

/// The place for receipts cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write receipts to {}", path.display())]
pub struct ReceiptsError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Receipts {
    /// Opens the place that the configuration names; a file is appended to.
    pub fn open(place: &config::Receipts) -> Result<Self, ReceiptsError> {
        let output: Box<dyn Write + Send> = match place {
            config::Receipts::Off => return Ok(Self::default()),
            config::Receipts::Stderr => Box::new(io::stderr()),
            config::Receipts::File(path) => {
                let failed = |source| ReceiptsError { path: path.clone(), source };
                Box::new(OpenOptions::new().append(true).create(true).open(path).map_err(failed)?)
            }
        };
        let (writer, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("receipts".into());
        thread.spawn(move || write(&queue, output)).map_err(|source| ReceiptsError {
            path: PathBuf::from("a thread of their own"),
            source,
        })?;
        Ok(Self { writer: Some(writer), ..Self::default() })
    }

    /// Whether anybody wants receipts.
    pub fn are_wanted(&self) -> bool {
        self.writer.is_some() || self.followers.are_there()
    }

    /// Those who hear of each receipt as it comes.
    pub const fn followers(&self) -> &Followers {
        &self.followers
    }

    /// Hands in a receipt. It is lost, and counted, when too many wait.
    pub fn file(&self, receipt: &Receipt) {
        let line = serde_json::to_string(receipt);
        if let Ok(line) = &line {
            self.followers.tell(line);
        }
        let Some(writer) = &self.writer else { return };
        if !line.is_ok_and(|line| writer.try_send(Work::Line(line)).is_ok()) {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Waits until those that were handed in are written, for at most 5 s.
    pub fn close(&self) {
        let lost = self.lost.load(Relaxed);
        if lost > 0 {
            tracing::warn!("{lost} receipts were lost: their place is too slow");
        }
        let Some(writer) = self.writer.clone() else { return };
        let (done, written) = sync_channel(1);
        // Elsewhere, since handing it in waits, too, where the place is too slow.
        let asking = std::thread::Builder::new().name("receipts-end".into());
        let asked = asking.spawn(move || writer.send(Work::Flush(done)).is_ok());
        if asked.is_ok() {
            // Too late, or a writer that panicked and has said so: nobody waits longer.
            let _ = written.recv_timeout(PATIENCE);
        }
    }
}

fn write(queue: &Receiver<Work>, mut output: Box<dyn Write + Send>) {
    let mut failing = false;
    for work in queue {
        let mut line = match work {
            Work::Line(line) => line,
            Work::Flush(done) => {
                // Who asked may have given up.
                let _ = done.try_send(());
                continue;
            }
        };
        // One call a line: lines of several processes do not mix in one file.
        line.push('\n');
        match output.write_all(line.as_bytes()) {
            Ok(()) if failing => {
                failing = false;
                tracing::info!("receipts are written again");
            }
            Err(error) if !failing => {
                failing = true;
                tracing::error!("receipts cannot be written: {error}");
            }
            _ => {}
        }
    }
}
