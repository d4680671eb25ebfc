//! A client of TLS, and its handshake with a profile, in memory.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{Acceptor, ServerConnection};
use rustls::{
    DigitallySignedStruct, Error, HandshakeKind, RootCertStore, SignatureScheme,
    SupportedProtocolVersion, version,
};

use super::authority::{Authority, Leaf};
use crate::tls::{Profile, UnknownName};

pub(super) const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
pub(super) const ONLY_12: &[&SupportedProtocolVersion] = &[&version::TLS12];
pub(super) const ONLY_13: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// How clients go about it.
#[derive(Clone)]
pub(super) struct Client {
    roots: Arc<RootCertStore>,
    pub(super) versions: &'static [&'static SupportedProtocolVersion],
    pub(super) provider: CryptoProvider,
    pub(super) alpn: Vec<&'static str>,
    /// Its certificate with the chain, if it has one.
    certificate: Option<(Vec<CertificateDer<'static>>, Arc<Leaf>)>,
}

/// Both ends after a handshake.
pub(super) struct Connected {
    pub(super) client: ClientConnection,
    pub(super) server: ServerConnection,
    pub(super) handler: Option<Arc<str>>,
}

/// How a handshake failed.
#[derive(Debug)]
pub(super) enum Failed {
    Unknown(UnknownName),
    /// At the server, before the client had heard of it.
    Server(Error),
    Client(Error),
}

impl Client {
    /// One that trusts this CA.
    pub(super) fn of(authority: &Authority) -> Self {
        Self::trusting(&authority.der())
    }

    pub(super) fn trusting(certificate: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        Self {
            roots: roots.into(),
            versions: BOTH,
            provider: aws_lc_rs::default_provider(),
            alpn: Vec::new(),
            certificate: None,
        }
    }

    pub(super) fn with_versions(
        mut self,
        versions: &'static [&'static SupportedProtocolVersion],
    ) -> Self {
        self.versions = versions;
        self
    }

    pub(super) fn with_alpn(mut self, alpn: &[&'static str]) -> Self {
        self.alpn = alpn.to_vec();
        self
    }

    /// One that shows a certificate, with these CAs behind it.
    pub(super) fn showing(mut self, leaf: &Arc<Leaf>, chain: &[&Authority]) -> Self {
        let chain = std::iter::once(leaf.der()).chain(chain.iter().map(|issuer| issuer.der()));
        self.certificate = Some((chain.collect(), Arc::clone(leaf)));
        self
    }

    /// Its settings, with a memory for sessions.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(self.provider.clone());
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::clone(&self.roots),
            Arc::clone(&provider),
        );
        let verifier = Arc::new(Stapled(verifier.build().unwrap()));
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.certificate {
            Some((chain, leaf)) => {
                config.with_client_auth_cert(chain.clone(), leaf.key_der()).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols =
            self.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Connects to a profile and asks for `name`.
    pub(super) fn connect(&self, profile: &Profile, name: &str) -> Result<Connected, Failed> {
        connect(&self.config(), profile, name)
    }
}

/// Connects with the settings of a client, and its memory.
pub(super) fn connect(
    config: &Arc<ClientConfig>,
    profile: &Profile,
    name: &str,
) -> Result<Connected, Failed> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut acceptor = Acceptor::default();
    let hello = sent(&mut client);
    acceptor.read_tls(&mut &hello[..]).unwrap();
    let accepted = acceptor.accept().map_err(|(error, _)| Failed::Server(error))?;
    let accepted = accepted.expect("a whole ClientHello was sent");
    let selected =
        profile.select(accepted.client_hello().server_name()).map_err(Failed::Unknown)?;
    let mut server =
        accepted.into_connection(selected.server).map_err(|(error, _)| Failed::Server(error))?;
    for _ in 0..10 {
        // What the server has to say goes out even if it has failed.
        let to_client = sent_by(&mut server);
        take(&mut client, &to_client).map_err(Failed::Client)?;
        let to_server = sent(&mut client);
        let taken = server
            .read_tls(&mut &to_server[..])
            .and_then(|_| server.process_new_packets().map_err(io::Error::other));
        if let Err(error) = taken {
            let to_client = sent_by(&mut server);
            take(&mut client, &to_client).map_err(Failed::Client)?;
            panic!("the server failed and said nothing: {error}");
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking(), "the handshake goes on");
    Ok(Connected { client, server, handler: selected.handler })
}

fn sent(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn sent_by(server: &mut ServerConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn take(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

impl Connected {
    pub(super) fn version(&self) -> &'static str {
        match self.server.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn resumed(&self) -> bool {
        self.server.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The certificate that the client was shown.
    pub(super) fn shown(&self) -> CertificateDer<'static> {
        self.client.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Sends something each way.
    pub(super) fn talk(&mut self) {
        self.client.writer().write_all(b"ping").unwrap();
        let bytes = sent(&mut self.client);
        self.server.read_tls(&mut &bytes[..]).unwrap();
        self.server.process_new_packets().unwrap();
        let mut got = [0; 4];
        self.server.reader().read_exact(&mut got).unwrap();
        self.server.writer().write_all(&got).unwrap();
        let bytes = sent_by(&mut self.server);
        take(&mut self.client, &bytes).unwrap();
        self.client.reader().read_exact(&mut got).unwrap();
        assert_eq!(&got, b"ping");
    }
}

/// Verifies servers as usual; one that staples something has to staple [`STAPLE`].
#[derive(Debug)]
struct Stapled(Arc<WebPkiServerVerifier>);

/// An OCSP response that says nothing: `SEQUENCE { ENUMERATED 0 }`.
pub(super) const STAPLE: &[u8] = &[0x30, 3, 0x0a, 1, 0];

impl ServerCertVerifier for Stapled {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !ocsp_response.is_empty() && ocsp_response != STAPLE {
            return Err(Error::General(format!("stapled: {ocsp_response:?}")));
        }
        self.0.verify_server_cert(end_entity, intermediates, server_name, &[], now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
