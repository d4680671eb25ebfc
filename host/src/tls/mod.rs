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
mod sessions;
mod trust;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;

use crate::config::{CertificateConfig, TlsConfig};
use file::Digest;
use sessions::Sessions;

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

impl Trust {
    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }
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

/// What a client gets.
#[derive(Clone, Debug)]
pub struct Selected {
    /// How to go on with its handshake.
    pub server: Arc<ServerConfig>,
    /// Who it may be.
    pub clients: Arc<dyn ClientCertVerifier>,
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

impl Selected {
    /// Whether a client that resumes its session is still let in at `now`. This is the chain that it
    /// has shown when the session began, which can be half a day ago: it may have expired since, or
    /// the lists of what was revoked may be out of date.
    pub fn check_resumed(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        match chain {
            // It has shown none, and need not.
            [] => Ok(()),
            [own, others @ ..] => {
                self.clients.verify_client_cert(own, others, now).map(|_verified| ())
            }
        }
    }

    /// As `server`, for a client whose session does not go on: it gets a new one.
    pub fn server_anew(&self) -> Arc<ServerConfig> {
        Arc::new(sessions::anew(&self.server))
    }
}

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

    /// Reads all files again. What cannot be used stays as it is, each certificate with its key for
    /// itself, and so does who clients may be; that is what the errors are about. `None` if even
    /// that cannot be had. It reads files and computes: not for a thread that serves connections.
    pub fn renew(&self) -> (Option<Self>, Option<LoadErrors>) {
        load::renew(self, SystemTime::now())
    }

    /// What a client gets that asks for this name: the one of the whole name, else that of its
    /// wildcard, else the default.
    pub fn select(&self, server_name: Option<&str>) -> Result<Selected, UnknownName> {
        let name = server_name.map(|name| name.strip_suffix('.').unwrap_or(name).to_lowercase());
        let of_name = name.as_ref().and_then(|name| {
            let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
            self.names.get(name).or_else(|| self.names.get(&wildcard()?))
        });
        let default = || {
            let (server, clients) = (Arc::clone(self.default.as_ref()?), self.trust.verifier());
            Some(Selected { server, clients, handler: None })
        };
        of_name.cloned().or_else(default).ok_or(UnknownName(name))
    }

    /// Every file that was read, for those who watch them; none twice.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
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
