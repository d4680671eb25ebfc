//! How a profile is made of a configuration.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::error::{LoadError, LoadErrors, Problem, Warning};
use super::file::Digest;
use super::identity::Wanted;
use super::sessions::Sessions;
use super::{Profile, Selected, Shown, Trust, identity, provider, self_signed, trust};
use crate::config::{
    CertificateConfig, CertificateFiles, ClientAuth, NameConfig, NamedFile, TlsConfig,
};

/// What [`Profile::load`] does, as if it were `now`.
pub(super) fn load(
    config: &TlsConfig,
    old: Option<&Profile>,
    now: SystemTime,
) -> Result<Profile, LoadErrors> {
    let (profile, errors) = Loading::new(config, old, now).profile();
    LoadErrors::or(errors, profile)
}

/// What [`Profile::renew`] does, as if it were `now`.
pub(super) fn renew(old: &Profile, now: SystemTime) -> (Option<Profile>, Option<LoadErrors>) {
    let loading = Loading { kept: Some(old), ..Loading::new(&old.config, Some(old), now) };
    let (profile, errors) = loading.profile();
    (profile, LoadErrors::some(errors))
}

/// Each certificate of a configuration once, with the names that it is shown for.
fn certificates(config: &TlsConfig) -> Vec<(&CertificateConfig, Vec<&str>)> {
    let mut certificates: Vec<(&CertificateConfig, Vec<&str>)> = Vec::new();
    certificates.extend(config.certificate.as_ref().map(|certificate| (certificate, Vec::new())));
    for NameConfig { name, certificate, .. } in &config.names {
        match certificates.iter_mut().find(|(other, _)| *other == certificate) {
            Some((_, names)) => names.push(name),
            None => certificates.push((certificate, vec![name])),
        }
    }
    certificates
}

/// What clients get, by name and otherwise.
fn selection(
    config: &TlsConfig,
    shown: &[Shown],
    trust: &Trust,
) -> (Option<Arc<ServerConfig>>, HashMap<String, Selected>) {
    let server = |certificate: &CertificateConfig| {
        let shown = shown.iter().find(|shown| shown.config == *certificate)?;
        Some(Arc::clone(&shown.server))
    };
    let selected = |NameConfig { name, certificate, handler }: &NameConfig| {
        let server = server(certificate)?;
        let (clients, handler) = (trust.verifier(), handler.as_deref().map(Arc::from));
        Some((name.clone(), Selected { server, clients, handler }))
    };
    let names = config.names.iter().filter_map(selected).collect();
    (config.certificate.as_ref().and_then(server), names)
}

/// Every file of a configuration, none twice.
fn files(config: &TlsConfig) -> Vec<PathBuf> {
    let of_certificates = certificates(config).into_iter().flat_map(|(certificate, _)| {
        let files = match certificate {
            CertificateConfig::Files(CertificateFiles { certificate, key, ocsp }) => {
                [Some(certificate), Some(key), ocsp.as_ref()]
            }
            CertificateConfig::SelfSigned(_) => [None; 3],
        };
        files.into_iter().flatten()
    });
    let of_clients = match &config.client_auth {
        ClientAuth::None => None,
        ClientAuth::Optional(trust) | ClientAuth::Required(trust) => Some(trust),
    };
    let of_clients = of_clients.into_iter().flat_map(|trust| trust.ca.iter().chain(&trust.crl));
    let mut files = Vec::new();
    for NamedFile { path, .. } in of_certificates.chain(of_clients) {
        if !files.contains(path) {
            files.push(path.clone());
        }
    }
    files
}

struct Loading<'a> {
    config: &'a TlsConfig,
    old: Option<&'a Profile>,
    /// What goes on in place of what cannot be used. It has the same configuration.
    kept: Option<&'a Profile>,
    now: SystemTime,
    provider: Arc<CryptoProvider>,
    errors: Vec<LoadError>,
    warnings: Vec<Warning>,
}

impl<'a> Loading<'a> {
    fn new(config: &'a TlsConfig, old: Option<&'a Profile>, now: SystemTime) -> Self {
        let provider = Arc::new(provider::provider(&config.ciphers));
        let (errors, warnings) = (Vec::new(), Vec::new());
        Self { config, old, kept: None, now, provider, errors, warnings }
    }

    /// The profile, if nothing is wrong or what is kept makes up for it; and what is wrong.
    fn profile(mut self) -> (Option<Profile>, Vec<LoadError>) {
        let trust = self.trust();
        let certificates = certificates(self.config);
        let mut shown = Vec::new();
        for (certificate, names) in &certificates {
            let certified = self.certified(certificate, names);
            let one = trust
                .as_ref()
                .zip(certified)
                .and_then(|(trust, certified)| self.shown(certificate, certified, trust));
            shown.extend(one);
        }
        let is_whole = shown.len() == certificates.len();
        let profile = trust.filter(|_| is_whole).map(|trust| {
            let (default, names) = selection(self.config, &shown, &trust);
            let (config, files, warnings) =
                (self.config.clone(), files(self.config), self.warnings);
            Profile { config, trust, shown, default, names, files, warnings }
        });
        (profile, self.errors)
    }

    /// Who clients may be.
    fn trust(&mut self) -> Option<Trust> {
        let auth = &self.config.client_auth;
        let kept = self.kept.map(|kept| kept.trust.clone());
        let content = match trust::read(auth) {
            Ok(content) => content,
            Err(errors) => {
                self.errors.extend(errors);
                return kept;
            }
        };
        let digest = content.digest();
        match trust::load(auth, &content, &self.provider, self.now) {
            Ok((verifier, warnings)) => {
                self.warnings.extend(warnings);
                Some(Trust { verifier, digest })
            }
            Err(errors) => {
                // What was good has only become too old, and is better than no change at all.
                let in_use = self.old.filter(|old| old.trust.digest == digest);
                if in_use.is_some() {
                    self.warnings.extend(errors.into_iter().map(Warning::still_used));
                } else {
                    self.errors.extend(errors);
                }
                in_use.map(|old| old.trust.clone()).or(kept)
            }
        }
    }

    /// A certificate with its key, and the digest of its files if it has some.
    fn certified(
        &mut self,
        certificate: &CertificateConfig,
        names: &[&str],
    ) -> Option<(Arc<CertifiedKey>, Option<Digest>)> {
        let certified = match certificate {
            CertificateConfig::Files(files) => self.of_files(certificate, files, names),
            CertificateConfig::SelfSigned(for_names) => self.made(certificate, for_names),
        };
        let kept = || {
            let kept = self.kept?.shown.iter().find(|kept| kept.config == *certificate)?;
            Some((Arc::clone(&kept.certified), kept.digest))
        };
        certified.map_err(|error| self.errors.push(error)).ok().or_else(kept)
    }

    fn of_files(
        &mut self,
        certificate: &CertificateConfig,
        files: &CertificateFiles,
        names: &[&str],
    ) -> Result<(Arc<CertifiedKey>, Option<Digest>), LoadError> {
        let content = identity::read(files)?;
        let digest = Some(content.digest());
        let wanted = Wanted {
            provider: &self.provider,
            ciphers: &self.config.ciphers,
            names,
            now: self.now,
            in_use: self.shown_before(certificate).is_some_and(|old| old.digest == digest),
        };
        let (certified, warnings) = identity::load(files, &content, &wanted)?;
        self.warnings.extend(warnings);
        Ok((Arc::new(certified), digest))
    }

    /// The certificate that was made before, as long as it is good, or a new one.
    fn made(
        &self,
        certificate: &CertificateConfig,
        names: &[String],
    ) -> Result<(Arc<CertifiedKey>, Option<Digest>), LoadError> {
        let error = |problem| LoadError::without_file(&self.config.origin, problem);
        if let Some(old) = self.shown_before(certificate)
            && self_signed::is_good(&old.certified.cert, self.now)
        {
            return Ok((Arc::clone(&old.certified), None));
        }
        let (chain, key) =
            self_signed::make(names, self.now).map_err(|why| error(Problem::SelfSigned(why)))?;
        let certified = CertifiedKey::from_der(vec![chain], key, &self.provider);
        Ok((Arc::new(certified.map_err(|why| error(Problem::Unusable(why)))?), None))
    }

    /// Joins certificate, clients and the rest.
    fn shown(
        &mut self,
        certificate: &CertificateConfig,
        (certified, digest): (Arc<CertifiedKey>, Option<Digest>),
        trust: &Trust,
    ) -> Option<Shown> {
        let sessions = match self.sessions(certificate, &certified, trust) {
            Some(kept) => Ok(kept),
            None => Sessions::new(),
        };
        let joined = sessions.and_then(|sessions| {
            let server = self.server(&certified, &sessions, trust)?;
            Ok(Shown { config: certificate.clone(), digest, certified, sessions, server })
        });
        let error = |why| LoadError::without_file(&self.config.origin, Problem::Unusable(why));
        joined.map_err(error).map_err(|error| self.errors.push(error)).ok()
    }

    /// The sessions that clients can go on with: those of the same certificate, where the same
    /// clients were let in.
    fn sessions(
        &self,
        certificate: &CertificateConfig,
        certified: &CertifiedKey,
        trust: &Trust,
    ) -> Option<Sessions> {
        let old = self.old.filter(|old| old.trust.digest == trust.digest)?;
        let old = old.shown.iter().find(|old| old.config == *certificate)?;
        (old.certified.cert == certified.cert).then(|| old.sessions.clone())
    }

    fn server(
        &self,
        certified: &Arc<CertifiedKey>,
        sessions: &Sessions,
        trust: &Trust,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let resolver = SingleCertAndKey::from(Arc::clone(certified));
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&provider::versions(self.config.versions))?
            .with_client_cert_verifier(Arc::clone(&trust.verifier))
            .with_cert_resolver(Arc::new(resolver));
        server.alpn_protocols =
            self.config.alpn.iter().map(|protocol| protocol.clone().into_bytes()).collect();
        server.session_storage = Arc::clone(&sessions.storage);
        server.ticketer = Arc::clone(&sessions.tickets);
        // Early data can be replayed, and no guest could tell.
        server.max_early_data_size = 0;
        Ok(Arc::new(server))
    }

    fn shown_before(&self, certificate: &CertificateConfig) -> Option<&Shown> {
        self.old?.shown.iter().find(|old| old.config == *certificate)
    }
}
