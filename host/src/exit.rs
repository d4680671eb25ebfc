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
    /// A trap or failure after a growth of memory was denied.
    MemoryLimit,
    /// CPU time without bytes moving, or in total, was over the handler's limit.
    CpuLimit,
    /// The instance was older than the handler allows.
    Lifetime,
    /// Nothing moved in either direction for too long.
    IdleTimeout,
    /// The peer did not read for too long.
    WriteTimeout,
    /// The peer reset the connection.
    PeerReset,
    /// The guest began TLS and the handshake failed.
    HandshakeFailed,
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
    /// The word for it in receipts, logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(_) => "failed",
            Self::Trap(_) => "trap",
            Self::MemoryLimit => "memory_limit",
            Self::CpuLimit => "cpu_limit",
            Self::Lifetime => "lifetime",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::PeerReset => "peer_reset",
            Self::HandshakeFailed => "handshake_failed",
            Self::Drained => "drained",
            Self::Cut => "cut",
            Self::Killed => "killed",
            Self::HostError(_) => "host_error",
        }
    }

    /// How the socket is closed after it: a guest that broke a rule is cut off, everything else
    /// ends in good order.
    pub const fn closing(&self) -> Closing {
        match self {
            Self::Ok
            | Self::Failed(_)
            | Self::IdleTimeout
            | Self::Lifetime
            | Self::HandshakeFailed
            | Self::Drained => Closing::Orderly,
            Self::Trap(_)
            | Self::MemoryLimit
            | Self::CpuLimit
            | Self::WriteTimeout
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
            Self::Trap(detail) | Self::HostError(detail) => write!(f, "{}: {detail}", self.kind()),
            _ => f.write_str(self.kind()),
        }
    }
}

/// `{"kind": "failed", "code": 3}`, `{"kind": "trap", "detail": "..."}`, `{"kind": "ok"}`.
impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind())?;
        match self {
            Self::Failed(code) => map.serialize_entry("code", code)?,
            Self::Trap(detail) | Self::HostError(detail) => {
                map.serialize_entry("detail", detail)?;
            }
            _ => {}
        }
        map.end()
    }
}
