//! What carries the bytes of a connection, parsed from the host's fact.

use core::fmt;
use core::str::FromStr;

use crate::error::Error;

/// What carries the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Bytes over TCP.
    Tcp,
    /// Bytes over TLS over TCP; the handler sees plaintext.
    Tls,
    /// Datagrams: each read is one, and so is each write.
    Udp,
    /// Bytes over a Unix socket.
    Unix,
}

impl Transport {
    /// Compares bytes, so that a handler that asks needs nothing that reads UTF-8.
    pub(crate) fn from_fact(fact: &[u8]) -> Result<Self, Error> {
        match fact {
            b"tcp" => Ok(Self::Tcp),
            b"tls" => Ok(Self::Tls),
            b"udp" => Ok(Self::Udp),
            b"unix" => Ok(Self::Unix),
            _ => Err(Error::UNSUPPORTED),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
            Self::Unix => "unix",
        })
    }
}

impl FromStr for Transport {
    type Err = Error;

    /// [`Error::UNSUPPORTED`] for one that this SDK does not know.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::from_fact(name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_displays_as_its_fact() {
        for fact in ["tcp", "tls", "udp", "unix"] {
            assert_eq!(fact.parse::<Transport>().unwrap().to_string(), fact);
        }
        assert_eq!("quic".parse::<Transport>(), Err(Error::UNSUPPORTED));
    }
}
