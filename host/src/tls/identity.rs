//! A certificate with its chain, key and OCSP response, checked and ready to be shown.

use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_cert::der::asn1::{AnyRef, SequenceRef};
use x509_cert::der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};

use super::certificate::Certificate;
use super::error::{Doubt, LoadError, Problem, Warning};
use super::file::{self, Digest};
use super::provider;
use crate::config::{CertificateFiles, Cipher, NamedFile, Version};

/// When to say that a certificate expires. Those of ACME are renewed a month or more before.
const SOON: Duration = Duration::from_hours(14 * 24);

/// The content of a certificate's files.
pub(super) struct Content {
    certificate: Vec<u8>,
    /// `None` if it is in the certificate's file.
    key: Option<Vec<u8>>,
    ocsp: Option<Vec<u8>>,
}

impl Content {
    pub(super) fn digest(&self) -> Digest {
        let Self { certificate, key, ocsp } = self;
        let parts = [Some(certificate), key.as_ref(), ocsp.as_ref()];
        Digest::of(parts.map(|part| part.map_or(&[][..], Vec::as_slice)))
    }
}

/// Reads the files; each is read once, so that one with certificate and key is read whole.
pub(super) fn read(files: &CertificateFiles) -> Result<Content, LoadError> {
    let read = |file: &NamedFile| {
        file::read(&file.path, file::MAX_SIZE).map_err(|problem| LoadError::new(file, problem))
    };
    let key = Some(&files.key).filter(|key| **key != files.certificate);
    Ok(Content {
        certificate: read(&files.certificate)?,
        key: key.map(read).transpose()?,
        ocsp: files.ocsp.as_ref().map(read).transpose()?,
    })
}

/// What the checks need to know.
pub(super) struct Wanted<'a> {
    pub(super) provider: &'a CryptoProvider,
    pub(super) ciphers: &'a [&'static Cipher],
    /// The names that it is to be shown for.
    pub(super) names: &'a [&'a str],
    pub(super) now: SystemTime,
    /// Whether this content is in use already: then it is not refused for its age.
    pub(super) in_use: bool,
}

/// Makes a certificate of its files, or says what is wrong with them.
pub(super) fn load(
    files: &CertificateFiles,
    content: &Content,
    wanted: &Wanted<'_>,
) -> Result<(CertifiedKey, Vec<Warning>), LoadError> {
    let of_certificate = |problem| LoadError::new(&files.certificate, problem);
    let of_key = |problem| LoadError::new(&files.key, problem);
    let chain = file::certificates(&content.certificate).map_err(of_certificate)?;
    let doubts = check_chain(&chain, wanted).map_err(of_certificate)?;
    let key = content.key.as_ref().unwrap_or(&content.certificate);
    let key = file::private_key(key).map_err(of_key)?;
    let mut certified = certified(files, chain, key, wanted.provider).map_err(of_key)?;
    let mut warnings: Vec<_> =
        doubts.into_iter().map(|doubt| Warning::new(&files.certificate.path, doubt)).collect();
    let suites = check_suites(&certified, wanted.ciphers).map_err(of_certificate)?;
    warnings.extend(suites.map(|doubt| Warning::new(&files.certificate.path, doubt)));
    if let (Some(file), Some(ocsp)) = (&files.ocsp, &content.ocsp) {
        check_ocsp(ocsp).map_err(|problem| LoadError::new(file, problem))?;
        certified.ocsp = Some(ocsp.clone());
    }
    Ok((certified, warnings))
}

fn check_chain(
    chain: &[CertificateDer<'static>],
    wanted: &Wanted<'_>,
) -> Result<Vec<Doubt>, Problem> {
    let certificates = Certificate::all(chain)?;
    for pair in certificates.windows(2) {
        pair[0].issued_by(&pair[1], &wanted.provider.signature_verification_algorithms)?;
    }
    let mut doubts = Vec::new();
    for certificate in &certificates {
        match certificate.good_at(wanted.now) {
            Err(problem) if wanted.in_use => doubts.push(Doubt::StillUsed(problem)),
            good => good?,
        }
        let when = certificate.not_after();
        let left = when.duration_since(wanted.now).ok().filter(|left| *left < SOON);
        doubts.extend(left.map(|left| {
            let which = certificate.which().clone();
            Doubt::Expires { which, when, left }
        }));
    }
    if let Some(certificate) = certificates.first() {
        wanted.names.iter().try_for_each(|name| certificate.is_for(name))?;
        if certificate.names().is_empty() {
            doubts.push(Doubt::NoNames(certificate.which().clone()));
        }
    }
    Ok(doubts)
}

/// Joins a chain and a key that belong together.
fn certified(
    files: &CertificateFiles,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Problem> {
    let key = provider.key_provider.load_private_key(key).map_err(Problem::Key)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => {
            let first = Certificate::all(&certified.cert[..1])?;
            let which = first.first().map(Certificate::which).cloned();
            Err(which.map_or(Problem::Unusable(Error::NoCertificatesPresented), |which| {
                Problem::KeyMismatch { which, certificate: files.certificate.path.clone() }
            }))
        }
        Err(error) => Err(Problem::Unusable(error)),
    }
}

/// There has to be a suite for the key, and should be one for each version.
fn check_suites(
    certified: &CertifiedKey,
    ciphers: &[&'static Cipher],
) -> Result<Option<Doubt>, Problem> {
    let key = &*certified.key;
    let fit: Vec<_> = ciphers.iter().filter(|cipher| provider::fits(cipher, key)).collect();
    let is_12 = |cipher: &&&'static Cipher| cipher.version == Version::Tls12;
    match fit.is_empty() {
        true => Err(Problem::NoCipher(provider::kind(key))),
        false if ciphers.iter().any(|cipher| is_12(&cipher)) && !fit.iter().any(is_12) => {
            Ok(Some(Doubt::No12(provider::kind(key))))
        }
        false => Ok(None),
    }
}

/// Whether it is an OCSP response with an answer (RFC 6960, section 4.2.1). What the answer is,
/// clients judge.
fn check_ocsp(response: &[u8]) -> Result<(), Problem> {
    let status = || {
        let inner = <&SequenceRef>::from_der(response)?.as_bytes();
        let status = SliceReader::new(inner)?.decode::<AnyRef<'_>>()?;
        Ok::<_, x509_cert::der::Error>((status.tag(), status.value().to_vec()))
    };
    match status() {
        Ok((Tag::Enumerated, status)) if status == [0] => Ok(()),
        Ok((Tag::Enumerated, status)) if status.len() == 1 => Err(Problem::OcspStatus(status[0])),
        _ => Err(Problem::NotOcsp),
    }
}
