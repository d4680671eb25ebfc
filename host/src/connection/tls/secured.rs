//! What a handshake has agreed on, and who the peer says it is.

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};

use super::certificate::PeerCertificate;
use crate::text::printable;

/// What a handshake has agreed on. It stays known when the connection is closed.
#[derive(Debug)]
pub struct Secured {
    version: &'static str,
    cipher: Option<String>,
    server_name: Option<String>,
    alpn: Option<String>,
    resumed: bool,
    /// The peer's own first; empty if it has shown none.
    chain: Vec<CertificateDer<'static>>,
}

impl Secured {
    pub(super) fn of(tls: &ServerConnection) -> Self {
        let suite = tls.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        Self {
            version: match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            },
            // The registry of IANA has no word for the version in them.
            cipher: suite.map(|name| name.replacen("TLS13_", "TLS_", 1)),
            server_name: tls.server_name().map(str::to_owned),
            alpn: tls.alpn_protocol().map(|name| printable(&String::from_utf8_lossy(name))),
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
            chain: tls.peer_certificates().map(<[_]>::to_vec).unwrap_or_default(),
        }
    }

    /// `1.2` or `1.3`.
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// The cipher suite, as IANA names it.
    pub fn cipher(&self) -> Option<&str> {
        self.cipher.as_deref()
    }

    /// What the peer asked for (RFC 6066, section 3).
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The application's protocol, if one was agreed on (RFC 7301).
    pub fn alpn(&self) -> Option<&str> {
        self.alpn.as_deref()
    }

    /// Whether an earlier session went on.
    pub const fn resumed(&self) -> bool {
        self.resumed
    }

    /// What the peer has shown, and was good.
    pub fn peer(&self) -> Option<PeerCertificate<'_>> {
        PeerCertificate::first_of(&self.chain)
    }
}
