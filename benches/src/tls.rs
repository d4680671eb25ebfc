//! TLS of both sides: a certificate for the run, what the plain tokio server shows, and how the
//! clients of the load connect.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, HandshakeKind, ProtocolVersion,
    ServerConfig, SignatureScheme, version,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What clients ask for, and what the certificate is for.
const NAME: &str = "localhost";

/// A certificate (ECDSA, P-256) and its key, as files for the servers and as what clients expect.
pub(crate) struct Identity {
    /// DER.
    pub(crate) certificate: PathBuf,
    /// PKCS#8, DER.
    pub(crate) key: PathBuf,
    pub(crate) connector: Connector,
}

impl Identity {
    /// Makes a new one and writes its files into `folder`.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let (certificate, key) = (folder.join("certificate.der"), folder.join("key.der"));
        fs::write(&certificate, made.cert.der())?;
        fs::write(&key, made.signing_key.serialize_der())?;
        let connector = Connector::new(made.cert.into())?;
        Ok(Self { certificate, key, connector })
    }
}

/// What a plain tokio server with these files does: TLS 1.2 and 1.3 with the suites and key
/// exchanges of aws-lc-rs, and tickets that need no memory, all as in portcell.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
    let key = PrivateKeyDer::try_from(read(key)?).map_err(|why| anyhow!("the key: {why}"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(read(certificate)?)], key)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// How clients make a connection one of TLS 1.3; cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: TlsConnector,
    name: ServerName<'static>,
}

impl Connector {
    fn new(expected: CertificateDer<'static>) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Pinned { expected, provider: Arc::clone(&provider) };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { tls: Arc::new(config).into(), name: ServerName::try_from(NAME)? })
    }

    /// Does a whole handshake of TLS 1.3; fails if it was anything less.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<TlsStream<S>> {
        let tls = self.tls.connect(self.name.clone(), stream).await.context("the handshake")?;
        let (_, done) = tls.get_ref();
        let (version, kind) = (done.protocol_version(), done.handshake_kind());
        ensure!(
            version == Some(ProtocolVersion::TLSv1_3) && kind == Some(HandshakeKind::Full),
            "the handshake was {version:?}, {kind:?}"
        );
        Ok(tls)
    }
}

/// Takes one certificate only, and leaves out what a client would have to compute to know that the
/// server has its key. The server's work is the same; the load is to be cheaper than that.
#[derive(Debug)]
struct Pinned {
    expected: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
