//! TLS up to a ready [`ServerConfig`]: files are read and checked, and what a client is shown is
//! chosen by the name that it asks for.
//!
//! Handshakes are not here, and neither are sockets. Nothing is logged, nothing is global.

mod certificate;
mod error;
mod file;
mod identity;
mod load;
mod provider;
mod self_signed;
mod trust;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, StoresServerSessions};
use rustls::sign::CertifiedKey;

use crate::config::{CertificateConfig, TlsConfig};
use file::Digest;

pub use error::{Doubt, LoadError, LoadErrors, Problem, Warning, Which};

/// What a listener needs for its handshakes: certificates with their keys by server name, and who
/// its clients may be.
///
/// A profile does not change; new files make a new profile, and connections that have begun keep
/// the old one.
pub struct Profile {
    config: TlsConfig,
    trust: Trust,
    shown: Vec<Shown>,
    /// What those are shown that ask for a name that is not in `names`, or for none.
    default: Option<Arc<ServerConfig>>,
    names: HashMap<String, Selected>,
    files: Vec<PathBuf>,
    warnings: Vec<Warning>,
}

/// Who clients may be.
#[derive(Clone)]
struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Of all that says so.
    digest: Digest,
}

/// A certificate in use.
struct Shown {
    config: CertificateConfig,
    /// Of its files; `None` if it was made here.
    digest: Option<Digest>,
    certified: Arc<CertifiedKey>,
    sessions: Sessions,
    server: Arc<ServerConfig>,
}

/// What lets clients resume their sessions. It is never shared: a session of one certificate or of
/// clients that nobody has checked must not be resumed with another.
#[derive(Clone)]
struct Sessions {
    storage: Arc<dyn StoresServerSessions>,
    tickets: Arc<dyn ProducesTickets>,
}

/// What a client gets.
#[derive(Clone, Debug)]
pub struct Selected {
    /// How to go on with its handshake.
    pub server: Arc<ServerConfig>,
    /// The handler of its server name; `None` is the listener's.
    pub handler: Option<Arc<str>>,
}

/// There is nothing to show to a client: it asks for a name that is not configured, or for none,
/// and there is no certificate for others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", match .0 {
    Some(name) => format!("no certificate is for `{name}`"),
    None => "the client asks for no name".to_owned(),
})]
pub struct UnknownName(
    /// What it asks for.
    pub Option<String>,
);

impl UnknownName {
    /// The record to answer with before closing: the fatal alert `unrecognized_name` (RFC 6066,
    /// section 3, in the form of RFC 8446, sections 5.1 and 6).
    pub const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Profile {
    /// Reads and checks all files of `config`, or says all that is wrong with them. It reads files
    /// and computes: not for a thread that serves connections.
    ///
    /// `old` is the profile of the same listener that this one is to replace, if there is one, and
    /// of no other listener. Clients can resume their sessions with it if neither the certificate
    /// nor anything about client certificates has changed. A certificate that `old` has already is
    /// not refused for its age, and one that was made for development is kept.
    pub fn load(config: &TlsConfig, old: Option<&Self>) -> Result<Self, LoadErrors> {
        load::load(config, old, SystemTime::now())
    }

    /// What a client gets that asks for this name: the one of the whole name, else that of its
    /// wildcard, else the default.
    pub fn select(&self, server_name: Option<&str>) -> Result<Selected, UnknownName> {
        let name = server_name.map(|name| name.strip_suffix('.').unwrap_or(name).to_lowercase());
        let of_name = name.as_ref().and_then(|name| {
            let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
            self.names.get(name).or_else(|| self.names.get(&wildcard()?))
        });
        let default =
            || Some(Selected { server: Arc::clone(self.default.as_ref()?), handler: None });
        of_name.cloned().or_else(default).ok_or(UnknownName(name))
    }

    /// Every file that was read, for those who watch them; none twice.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether a file has other content now, or cannot be read. It reads them all: not for a thread
    /// that serves connections.
    pub fn changed_on_disk(&self) -> bool {
        let unchanged = |shown: &Shown| match &shown.config {
            CertificateConfig::Files(files) => {
                identity::read(files).is_ok_and(|content| Some(content.digest()) == shown.digest)
            }
            CertificateConfig::SelfSigned(_) => true,
        };
        let trust = trust::read(&self.config.client_auth);
        !trust.is_ok_and(|content| content.digest() == self.trust.digest)
            || !self.shown.iter().all(unchanged)
    }

    /// Whether clients would notice no difference to `other`: the same configuration, and the same
    /// content of all files.
    pub fn is_like(&self, other: &Self) -> bool {
        let same =
            |(a, b): (&Shown, &Shown)| a.digest == b.digest && a.certified.cert == b.certified.cert;
        self.config == other.config
            && self.trust.digest == other.trust.digest
            && self.shown.iter().zip(&other.shown).all(same)
    }

    /// What works and should be looked at.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The SHA-256 of the certificate that was made for development, as
    /// `openssl x509 -fingerprint -sha256` prints it, if there is one.
    pub fn self_signed(&self) -> Option<String> {
        let is_made = |shown: &&Shown| matches!(shown.config, CertificateConfig::SelfSigned(_));
        let certified = &self.shown.iter().find(is_made)?.certified;
        certified.cert.first().map(certificate::fingerprint)
    }
}

#[cfg(test)]
mod tests;
