//! Where a connection comes from, parsed from the host's facts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One end of a connection. Displays as the fact it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port. Never an IPv4 address mapped into IPv6.
    Socket(SocketAddr),
    /// A Unix socket: `unix:` and its path for this side, `unix:pid=..,uid=..` for the peer, which
    /// has no path of its own. The text is the whole fact.
    Unix(String),
}

impl Address {
    pub(crate) fn from_fact(fact: &str) -> Self {
        fact.parse().map_or_else(|_| Self::Unix(fact.into()), Self::Socket)
    }

    /// The IP address; `None` for a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Socket(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Unix(fact) => f.pad(fact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_displays_as_its_fact() {
        for fact in
            ["127.0.0.1:5", "[::1]:5", "[fe80::1%3]:5", "unix:/run/x.sock", "unix:pid=1,uid=0"]
        {
            assert_eq!(Address::from_fact(fact).to_string(), fact);
        }
    }

    #[test]
    fn only_a_socket_has_an_ip_address() {
        assert_eq!(Address::from_fact("[::1]:5").ip(), Some([0, 0, 0, 0, 0, 0, 0, 1].into()));
        assert_eq!(Address::from_fact("unix:/run/x.sock").ip(), None);
    }
}
