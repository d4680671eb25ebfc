//! Receipts: one JSON object a line for each connection that has ended, and if that is asked for,
//! for each client with whom there was none.

mod queue;
mod receipts;
mod writer;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::account::Account;
use crate::connection::{Placement, Secured, Socket, Transport};
use crate::exit::Exit;
use crate::host_calls::HostCalls;
use crate::presence::Peer;

pub use self::receipts::{Receipts, ReceiptsError};

/// What one connection was and how it ended. It is put into words where it is written, which is no
/// connection's time.
#[derive(Clone, Debug)]
pub struct Receipt {
    ended: SystemTime,
    /// `None` for a client that was turned away at once.
    id: Option<u64>,
    place: Place,
    transport: Transport,
    peer: Option<Peer>,
    local: Option<String>,
    /// `None` without TLS.
    secured: Option<Arc<Secured>>,
    bytes_in: u64,
    bytes_out: u64,
    lasted: Duration,
    waited: Duration,
    cpu: Duration,
    memory_peak: u64,
    host_calls: HostCalls,
    ending: Ending,
}

/// Where a client came to.
#[derive(Clone, Debug)]
enum Place {
    Handler(Arc<Placement>),
    /// No further than to the listener of this name.
    Listener(String),
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
    transport: Transport,
    peer: Peer,
    local: Option<String>,
}

impl Client {
    /// Who is at the other end of `socket`.
    pub fn of(socket: &Socket) -> Self {
        Self { transport: socket.transport(), peer: socket.peer(), local: socket.local_address() }
    }
}

impl Receipt {
    /// The receipt of a connection that came to a handler and is over. Its address at this end is
    /// known only while the socket is open.
    pub fn of_connection(
        account: &Account,
        placement: Arc<Placement>,
        local: Option<String>,
        host_calls: HostCalls,
        ending: Ending,
    ) -> Self {
        let presence = account.presence();
        Self {
            id: Some(account.id()),
            transport: presence.transport(),
            peer: presence.peer(),
            local,
            bytes_in: account.bytes_in(),
            bytes_out: account.bytes_out(),
            lasted: account.age(),
            waited: account.waited(),
            cpu: account.cpu(),
            memory_peak: account.memory_peak(),
            host_calls,
            ..Self::empty(Place::Handler(placement), ending)
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
        let ending = Ending { exit, backtrace: Vec::new() };
        Self {
            id: account.map(Account::id),
            transport: client.transport,
            peer: Some(client.peer),
            local: client.local,
            lasted: account.map_or(Duration::ZERO, Account::age),
            ..Self::empty(Place::Listener(listener.into()), ending)
        }
    }

    /// Says by which TLS the bytes travelled in the end, if by any.
    #[must_use]
    pub fn secured(self, secured: Option<Arc<Secured>>) -> Self {
        match secured {
            None => self,
            secured => Self { transport: Transport::Tls, secured, ..self },
        }
    }

    fn empty(place: Place, ending: Ending) -> Self {
        Self {
            ended: SystemTime::now(),
            id: None,
            place,
            transport: Transport::Tcp,
            peer: None,
            local: None,
            secured: None,
            bytes_in: 0,
            bytes_out: 0,
            lasted: Duration::ZERO,
            waited: Duration::ZERO,
            cpu: Duration::ZERO,
            memory_peak: 0,
            host_calls: HostCalls::default(),
            ending,
        }
    }
}

impl Serialize for Receipt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (listener, placement) = match &self.place {
            Place::Handler(placement) => (&placement.listener, Some(placement)),
            Place::Listener(name) => (name, None),
        };
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let line = Line {
            time: humantime::format_rfc3339_millis(self.ended).to_string(),
            id: self.id,
            listener,
            handler: placement.map(|placement| &*placement.handler),
            version: placement.map(|placement| placement.version),
            digest: placement.map(|placement| &*placement.digest),
            tenant: placement.map(|placement| &*placement.tenant),
            transport: self.transport.name(),
            peer: self.peer.map(|peer| peer.to_string()),
            local: self.local.as_deref(),
            tls: self.secured.as_deref().map(TlsLine::of),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            duration_ms: millis(self.lasted),
            waited_ms: millis(self.waited),
            cpu_us: u64::try_from(self.cpu.as_micros()).unwrap_or(u64::MAX),
            memory_peak: self.memory_peak,
            host_calls: &self.host_calls,
            exit: &self.ending,
        };
        line.serialize(serializer)
    }
}

/// A receipt in the words of its line.
#[derive(Serialize)]
struct Line<'a> {
    /// When it ended, as in RFC 3339, in UTC.
    time: String,
    /// Unique in this run of the server; `null` for a client that was turned away at once.
    id: Option<u64>,
    listener: &'a str,
    /// `null`, as the next three, for a client that did not come to a handler.
    handler: Option<&'a str>,
    version: Option<u64>,
    digest: Option<&'a str>,
    tenant: Option<&'a str>,
    transport: &'static str,
    peer: Option<String>,
    local: Option<&'a str>,
    /// `null` without TLS.
    tls: Option<TlsLine<'a>>,
    /// Bytes that the guest read.
    bytes_in: u64,
    /// Bytes that the guest wrote and the kernel took.
    bytes_out: u64,
    /// From the beginning until the socket was closed.
    duration_ms: u64,
    /// Of that, what the instance waited for its peer or a timer of its own.
    waited_ms: u64,
    /// CPU time of the instance.
    cpu_us: u64,
    /// The most memory it had at once, in bytes.
    memory_peak: u64,
    host_calls: &'a HostCalls,
    exit: &'a Ending,
}

/// What a handshake has agreed on: the facts `tls.*`, without those that are long.
#[derive(Serialize)]
struct TlsLine<'a> {
    version: &'static str,
    cipher: Option<&'a str>,
    server_name: Option<&'a str>,
    alpn: Option<&'a str>,
    resumed: bool,
    /// The peer's certificate, if it has shown one.
    peer: Option<PeerLine>,
}

#[derive(Serialize)]
struct PeerLine {
    subject: Option<String>,
    /// The digest of the certificate.
    sha256: String,
}

impl<'a> TlsLine<'a> {
    fn of(secured: &'a Secured) -> Self {
        let peer = secured.peer();
        Self {
            version: secured.version(),
            cipher: secured.cipher(),
            server_name: secured.server_name(),
            alpn: secured.alpn(),
            resumed: secured.resumed(),
            peer: peer.map(|peer| PeerLine { subject: peer.subject(), sha256: peer.sha256() }),
        }
    }
}
