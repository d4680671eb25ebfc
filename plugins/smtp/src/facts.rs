//! What the host says of a connection, as mail writes it.

use std::fmt::Write;
use std::io;

use portcell_sdk::{Address, Connection, Transport};

use crate::reply::Reply;
use crate::settings::Settings;

/// The facts of one moment: TLS may start later.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The number of the connection.
    pub(crate) id: u64,
    /// The address of the other side, such as `[192.0.2.1]`.
    pub(crate) peer: String,
    /// The name of this side: the one in the settings, or its address.
    pub(crate) server: String,
    /// The comment on TLS, if there is TLS.
    pub(crate) tls: Option<String>,
    /// Whether there could be.
    pub(crate) tls_is_offered: bool,
}

impl Facts {
    /// Those of now. An error if there is no peer.
    pub(crate) fn of(connection: &Connection, settings: &Settings) -> io::Result<Self> {
        let server = match &settings.server_name {
            Some(name) => name.clone(),
            None => literal(&connection.local_address()?).unwrap_or_else(|| "localhost".into()),
        };
        let peer = connection.peer_address()?;
        let tls = (connection.transport()? == Transport::Tls).then(|| {
            let fact = |name| connection.info(name).unwrap_or_else(|| "unknown".into());
            let mut comment =
                format!("using TLS {} with {}", fact("tls.version"), fact("tls.cipher"));
            if let Some(digest) = connection.info("tls.peer.sha256") {
                let _ = write!(comment, " and the certificate {digest}");
            }
            comment
        });
        Ok(Self {
            id: connection.id()?,
            peer: literal(&peer).unwrap_or_else(|| peer.to_string()),
            server,
            tls,
            tls_is_offered: connection.tls_is_offered(),
        })
    }

    /// Whether there is no TLS, and will be none.
    pub(crate) fn has_no_tls(&self) -> bool {
        self.tls.is_none() && !self.tls_is_offered
    }

    /// The reply before this side ends the connection.
    pub(crate) fn farewell(&self, reason: &str) -> Reply {
        Reply::new(421, format!("{} {reason}", self.server))
    }
}

/// An IP address as mail writes it (RFC 5321 section 4.1.3); `None` for a Unix socket.
fn literal(address: &Address) -> Option<String> {
    let ip = address.ip()?;
    Some(if ip.is_ipv6() { format!("[IPv6:{ip}]") } else { format!("[{ip}]") })
}
