//! How a connection ended: the closed vocabulary of receipts, logs and metrics.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The handler returned success.
    Ok,
    /// The handler returned this code, which is not 0.
    Failed(i32),
    /// The guest trapped; what kind of trap, and where.
    Trap(String),
    /// A trap or failure after a growth of memory was denied; by which key.
    MemoryLimit(&'static str),
    /// It computed for longer than it may; which key says so.
    CpuLimit(&'static str),
    /// The instance was older than the handler allows.
    Lifetime,
    /// Nothing moved in either direction for too long.
    IdleTimeout,
    /// A flow that was silent made room for another: a kind of idle timeout.
    MadeRoom,
    /// The peer did not read for too long.
    WriteTimeout,
    /// More bytes moved than may; which key says so.
    BytesLimit(&'static str),
    /// The peer was slower than it may be.
    SlowPeer,
    /// The peer reset the connection.
    PeerReset,
    /// The handshake failed; why.
    HandshakeFailed(String),
    /// The client was turned away before there was an instance; why.
    Refused(String),
    /// Ended in good order because the server is draining.
    Drained,
    /// Ended by the deadline of a drain.
    Cut,
    /// Ended by a command.
    Killed,
    /// The host could not do its part; why.
    HostError(String),
}

/// How the socket is closed after an [`Exit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// What was written is delivered first.
    Orderly,
    /// The peer sees a reset at once.
    Reset,
}

impl Exit {
    /// Every word that [`Exit::kind`] gives.
    pub const KINDS: [&str; 17] = [
        "ok",
        "failed",
        "trap",
        "memory_limit",
        "cpu_limit",
        "lifetime",
        "idle_timeout",
        "write_timeout",
        "bytes_limit",
        "slow_peer",
        "peer_reset",
        "handshake_failed",
        "refused",
        "drained",
        "cut",
        "killed",
        "host_error",
    ];

    /// The word for it in receipts, logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(_) => "failed",
            Self::Trap(_) => "trap",
            Self::MemoryLimit(_) => "memory_limit",
            Self::CpuLimit(_) => "cpu_limit",
            Self::Lifetime => "lifetime",
            Self::IdleTimeout | Self::MadeRoom => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::BytesLimit(_) => "bytes_limit",
            Self::SlowPeer => "slow_peer",
            Self::PeerReset => "peer_reset",
            Self::HandshakeFailed(_) => "handshake_failed",
            Self::Refused(_) => "refused",
            Self::Drained => "drained",
            Self::Cut => "cut",
            Self::Killed => "killed",
            Self::HostError(_) => "host_error",
        }
    }

    /// What more is known: of a limit, its key.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Trap(detail)
            | Self::HostError(detail)
            | Self::Refused(detail)
            | Self::HandshakeFailed(detail) => Some(detail),
            Self::MemoryLimit(key) | Self::CpuLimit(key) | Self::BytesLimit(key) => Some(key),
            Self::Lifetime => Some("handler.lifetime"),
            Self::IdleTimeout => Some("listener.idle_timeout"),
            Self::MadeRoom => Some("max_flows"),
            Self::WriteTimeout => Some("listener.write_timeout"),
            Self::SlowPeer => Some("listener.min_rate"),
            Self::Drained => Some("server.drain_idle"),
            Self::Ok | Self::Failed(_) | Self::PeerReset | Self::Cut | Self::Killed => None,
        }
    }

    /// How the socket is closed after it: a guest or peer that broke a rule is cut off, so that what
    /// it has does not look whole; everything else ends in good order.
    pub const fn closing(&self) -> Closing {
        match self {
            Self::Ok
            | Self::Failed(_)
            | Self::IdleTimeout
            | Self::MadeRoom
            | Self::Lifetime
            | Self::HandshakeFailed(_)
            | Self::Refused(_)
            | Self::Drained => Closing::Orderly,
            Self::Trap(_)
            | Self::MemoryLimit(_)
            | Self::CpuLimit(_)
            | Self::WriteTimeout
            | Self::BytesLimit(_)
            | Self::SlowPeer
            | Self::PeerReset
            | Self::Cut
            | Self::Killed
            | Self::HostError(_) => Closing::Reset,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(code) => write!(f, "failed with code {code}"),
            _ => match self.detail() {
                Some(detail) => write!(f, "{}: {detail}", self.kind()),
                None => f.write_str(self.kind()),
            },
        }
    }
}

/// `{"kind": "failed", "code": 3}`, `{"kind": "cpu_limit", "detail": "handler.cpu"}`,
/// `{"kind": "ok"}`.
impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind())?;
        if let Self::Failed(code) = self {
            map.serialize_entry("code", code)?;
        }
        if let Some(detail) = self.detail() {
            map.serialize_entry("detail", detail)?;
        }
        map.end()
    }
}
