//! What `[listener.tls]` says. Whether the files are there and good is seen when they are loaded.

use std::path::PathBuf;

use super::{Cipher, Origin};

/// `[listener.tls]`: TLS for the streams of a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsConfig {
    /// What clients are shown that ask for none of `names`, or for no name; with `None` they are
    /// refused, and there are names.
    pub certificate: Option<CertificateConfig>,
    /// By server name, each once.
    pub names: Vec<NameConfig>,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
    /// The versions that clients can use.
    pub versions: Versions,
    /// The cipher suites that clients can use: at least one for each of `versions`, and none for
    /// others.
    pub ciphers: Vec<&'static Cipher>,
    /// The protocols of applications, the best first; each has 1 to 255 bytes and is there once.
    pub alpn: Vec<String>,
    /// When TLS begins.
    pub start: TlsStart,
    /// What the guest reads when a connection ends without `close_notify`.
    pub truncation: Truncation,
    /// Where the table is, for what is wrong with it as a whole.
    pub origin: Origin,
}

/// A certificate to show, with its key.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateConfig {
    /// From files.
    Files(CertificateFiles),
    /// Made at start, for these names and IP addresses; at least one.
    SelfSigned(Vec<String>),
}

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateFiles {
    /// The certificate with its chain.
    pub certificate: NamedFile,
    /// Its key; it can be the same file.
    pub key: NamedFile,
    /// An OCSP response about it.
    pub ocsp: Option<NamedFile>,
}

/// A file, and where the configuration names it, for errors when it is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedFile {
    /// The file.
    pub path: PathBuf,
    /// Where it was written.
    pub origin: Origin,
}

/// `[[listener.tls.name]]`: what is different for clients that ask for a name.
#[derive(Clone, Debug, PartialEq)]
pub struct NameConfig {
    /// In lower case, without a dot at the end; with `*.` in front, every name with one more label.
    pub name: String,
    /// What these clients are shown.
    pub certificate: CertificateConfig,
    /// A handler of this configuration; `None` is the listener's, and it always is with
    /// [`TlsStart::Request`].
    pub handler: Option<String>,
}

/// Whether clients show certificates.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// They can; what they show has to be good.
    Optional(ClientTrust),
    /// They have to.
    Required(ClientTrust),
}

/// Which certificates of clients are good.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientTrust {
    /// Who may sign them; at least one file.
    pub ca: Vec<NamedFile>,
    /// What was revoked; nothing is looked up if there are none.
    pub crl: Vec<NamedFile>,
    /// What is looked up there.
    pub crl_scope: CrlScope,
}

/// Which certificates of a client's chain are looked up among those that were revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlScope {
    /// All but the CA's, which nobody revokes.
    Chain,
    /// The client's own.
    Leaf,
}

/// The versions of TLS that clients can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// One of the two.
    Only(Version),
    /// 1.2 and 1.3.
    Both,
}

impl Versions {
    /// Whether clients can use this one.
    pub fn has(self, version: Version) -> bool {
        match self {
            Self::Only(only) => only == version,
            Self::Both => true,
        }
    }
}

/// A version of TLS. Those before 1.2 are not secure (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// As it is written in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsStart {
    /// With the connection.
    Connect,
    /// When the guest asks for it; the connection is plaintext until then.
    Request,
}

/// What the guest reads when a connection ends without `close_notify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    /// An error: somebody may have cut it.
    Error,
    /// The end.
    Eof,
}
