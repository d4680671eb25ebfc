//! Receipts: one JSON object a line for each connection that has ended, and if that is asked for,
//! for each client with whom there was none.

mod writer;

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::account::Account;
use crate::connection::{Connection, Secured, Socket, Transport};
use crate::exit::Exit;
use crate::host_calls::HostCalls;
use crate::route::Route;

pub use self::writer::{Receipts, ReceiptsError};

/// What one connection was and how it ended.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// When it ended, as in RFC 3339, in UTC.
    pub time: String,
    /// Unique in this run of the server; `null` for a client that was turned away at once.
    pub id: Option<u64>,
    /// The listener's name.
    pub listener: String,
    /// The handler's name; `null`, as the next three, for a client that did not come to one.
    pub handler: Option<String>,
    /// The handler's version.
    pub version: Option<u64>,
    /// The sha256 of the handler's module.
    pub digest: Option<String>,
    /// Who owns the handler.
    pub tenant: Option<String>,
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
    /// Of that, what the instance waited for its peer or a timer of its own, in milliseconds.
    pub waited_ms: u64,
    /// CPU time of the instance, in microseconds.
    pub cpu_us: u64,
    /// The most memory it had at once, in bytes.
    pub memory_peak: u64,
    /// How often the guest called the host.
    pub host_calls: HostCalls,
    /// How it ended.
    pub exit: Ending,
}

/// How a connection ended, and where the guest was then.
#[derive(Clone, Debug, Serialize)]
pub struct Ending {
    /// How.
    #[serde(flatten)]
    pub exit: Exit,
    /// The guest's functions that were running when it trapped, from the innermost; left out if it
    /// did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
}

/// A client with whom there may be no connection.
#[derive(Clone, Debug)]
pub struct Client {
    transport: &'static str,
    peer: String,
    local: Option<String>,
}

impl Client {
    /// Who is at the other end of `socket`.
    pub fn of(socket: &Socket) -> Self {
        Self {
            transport: socket.transport().name(),
            peer: socket.peer_address(),
            local: socket.local_address(),
        }
    }
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
    /// The beginning of a receipt: what can be known only while the socket is open. Without it,
    /// `local` is not known.
    pub fn begin(connection: &Connection, route: &Route) -> Self {
        let fact = |name: &str| connection.info(name).map(std::borrow::Cow::into_owned);
        let placement = connection.placement();
        let presence = connection.account().presence();
        Self {
            id: Some(connection.account().id()),
            handler: Some(placement.handler.clone()),
            version: Some(placement.version),
            digest: Some(route.handler.digest().into()),
            tenant: Some(placement.tenant.clone()),
            transport: presence.transport().name().into(),
            peer: presence.peer().map(|peer| peer.to_string()),
            local: fact("local.address"),
            ..Self::empty(&placement.listener)
        }
    }

    /// The receipt of a client who came to `listener` and did not come to a handler. It has an
    /// account if it was taken in.
    pub fn without_handler(
        listener: &str,
        client: Client,
        account: Option<&Account>,
        exit: Exit,
    ) -> Self {
        Self {
            time: now(),
            id: account.map(Account::id),
            transport: client.transport.into(),
            peer: Some(client.peer),
            local: client.local,
            duration_ms: account.map_or(0, |account| millis(account.age())),
            exit: Ending { exit, backtrace: Vec::new() },
            ..Self::empty(listener)
        }
    }

    fn empty(listener: &str) -> Self {
        Self {
            time: String::new(),
            id: None,
            listener: listener.into(),
            handler: None,
            version: None,
            digest: None,
            tenant: None,
            transport: String::new(),
            peer: None,
            local: None,
            tls: None,
            bytes_in: 0,
            bytes_out: 0,
            duration_ms: 0,
            waited_ms: 0,
            cpu_us: 0,
            memory_peak: 0,
            host_calls: HostCalls::default(),
            exit: Ending { exit: Exit::Ok, backtrace: Vec::new() },
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
    pub fn end(self, account: &Account, host_calls: HostCalls, exit: Ending) -> Self {
        Self {
            time: now(),
            bytes_in: account.bytes_in(),
            bytes_out: account.bytes_out(),
            duration_ms: millis(account.age()),
            waited_ms: millis(account.waited()),
            cpu_us: u64::try_from(account.cpu().as_micros()).unwrap_or(u64::MAX),
            memory_peak: account.memory_peak(),
            host_calls,
            exit,
            ..self
        }
    }
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
