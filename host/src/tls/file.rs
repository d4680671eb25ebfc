//! Files with certificates and keys: how they are read, and what is in them, PEM or DER.
//!
//! What the certificates say is not looked at.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_cert::der::asn1::{ObjectIdentifier, OctetStringRef, SequenceRef};
use x509_cert::der::{Decode as _, Reader as _, SliceReader};

use super::error::Problem;

/// The largest file, in bytes. The CAs of a whole system are a quarter of it.
pub(super) const MAX_SIZE: u64 = 1024 * 1024;

/// The largest file with lists of revoked certificates, in bytes: a million of them and more.
pub(super) const MAX_CRL_SIZE: u64 = 64 * 1024 * 1024;

/// Reads a whole file, which has at most `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Problem> {
    // Opening a pipe would wait for who writes to it.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(Problem::NotAFile);
    }
    let mut bytes = Vec::new();
    let size = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    match size.map_err(io)? {
        0 => Err(Problem::Empty),
        size if size as u64 > most => Err(Problem::TooLarge(most)),
        _ => Ok(bytes),
    }
}

/// The SHA-256 of what was read: enough to tell whether it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    /// Of these, in this order; where one ends matters.
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

fn io(error: std::io::Error) -> Problem {
    match error.kind() {
        ErrorKind::NotFound => Problem::Missing,
        ErrorKind::PermissionDenied => Problem::Permission,
        _ => Problem::Io(error),
    }
}

/// The certificates of a file, at least one: those of PEM in their order, or the one of DER.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    all(bytes, "CERTIFICATE", "certificate", || {
        let der = looks_like(bytes, |inner| inner.decode::<&SequenceRef>().is_ok());
        der.then(|| CertificateDer::from(bytes.to_vec()))
    })
}

/// The lists of revoked certificates of a file, at least one.
pub(super) fn crls(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Problem> {
    all(bytes, "X509 CRL", "list of revoked certificates (X509 CRL)", || {
        let der = looks_like(bytes, |inner| inner.decode::<&SequenceRef>().is_ok());
        der.then(|| CertificateRevocationListDer::from(bytes.to_vec()))
    })
}

/// The private key of a file, which is the only one in it.
pub(super) fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    const WANTED: &str = "private key";
    if let Some(how) = encrypted(bytes) {
        return Err(Problem::EncryptedKey(how));
    }
    let blocks = blocks(bytes);
    if blocks.is_empty() {
        let key = PrivateKeyDer::try_from(bytes).map(|key| key.clone_key());
        return key.map_err(|_| not_found(bytes, WANTED));
    }
    let keys: Vec<_> = blocks.iter().filter(|block| KEY_LABELS.contains(&&*block.label)).collect();
    match keys[..] {
        [] => Err(not_found(bytes, WANTED)),
        [key] => key.content(),
        _ => Err(Problem::Keys(keys.len())),
    }
}

/// What `pki_types` takes for private keys: PKCS#8, PKCS#1 and SEC1.
const KEY_LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/// The blocks with this label, or what is there as DER.
fn all<T: PemObject>(
    bytes: &[u8],
    label: &str,
    wanted: &'static str,
    der: impl FnOnce() -> Option<T>,
) -> Result<Vec<T>, Problem> {
    let blocks = blocks(bytes);
    let found: Vec<T> = if blocks.is_empty() {
        der().into_iter().collect()
    } else {
        let found = blocks.iter().filter(|block| block.label == label);
        found.map(Block::content).collect::<Result<_, _>>()?
    };
    if found.is_empty() { Err(not_found(bytes, wanted)) } else { Ok(found) }
}

/// A block of PEM.
struct Block<'a> {
    label: String,
    /// Where it begins, from 1.
    line: usize,
    /// All of it, with what follows up to the next one.
    text: &'a [u8],
}

impl Block<'_> {
    fn content<T: PemObject>(&self) -> Result<T, Problem> {
        T::from_pem_slice(self.text).map_err(|error| Problem::Pem {
            line: self.line,
            label: self.label.clone(),
            why: match error {
                PemError::MissingSectionEnd { .. } => "it has no end".to_owned(),
                PemError::IllegalSectionStart { .. } => "its first line is broken".to_owned(),
                PemError::Base64Decode(_) => "it is not base64".to_owned(),
                other => other.to_string(),
            },
        })
    }
}

const BEGIN: &[u8] = b"-----BEGIN ";

/// The blocks of PEM in a file; none if it is something else.
fn blocks(bytes: &[u8]) -> Vec<Block<'_>> {
    // Editors of Windows put it there, and the first line would not be seen.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let (mut line, mut at, mut begun) = (0, 0, 0);
    for text in bytes.split_inclusive(|byte| *byte == b'\n') {
        line += 1;
        if let Some(rest) = text.strip_prefix(BEGIN) {
            if let Some(last) = blocks.last_mut() {
                last.text = &bytes[begun..at];
            }
            let end = rest.iter().position(|byte| matches!(byte, b'-' | b'\r' | b'\n'));
            let label = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]).into_owned();
            begun = at;
            blocks.push(Block { label, line, text: &bytes[begun..] });
        }
        at += text.len();
    }
    blocks
}

/// How it is seen that the private key in a file is encrypted, if it is.
fn encrypted(bytes: &[u8]) -> Option<&'static str> {
    const PKCS8: &str = "ENCRYPTED PRIVATE KEY";
    const TRADITIONAL: &str = "Proc-Type: 4,ENCRYPTED";
    let blocks = blocks(bytes);
    if blocks.is_empty() {
        // EncryptedPrivateKeyInfo (RFC 5958, section 3): an algorithm, then what it has made.
        let encrypted = looks_like(bytes, |inner| {
            let algorithm = inner.decode::<&SequenceRef>().map(SequenceRef::as_bytes);
            let algorithm = algorithm.and_then(SliceReader::new);
            algorithm.and_then(|mut algorithm| algorithm.decode::<ObjectIdentifier>()).is_ok()
                && inner.decode::<&OctetStringRef>().is_ok()
        });
        return encrypted.then_some(PKCS8);
    }
    if blocks.iter().any(|block| block.label == PKCS8) {
        return Some(PKCS8);
    }
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.any(|line| line.trim_ascii() == TRADITIONAL.as_bytes()).then_some(TRADITIONAL)
}

/// Whether this is a sequence of ASN.1 and nothing else, with such an inside.
fn looks_like(bytes: &[u8], inside: impl FnOnce(&mut SliceReader<'_>) -> bool) -> bool {
    let inner = <&SequenceRef>::from_der(bytes).map(SequenceRef::as_bytes);
    inner.and_then(SliceReader::new).is_ok_and(|mut inner| inside(&mut inner))
}

/// Says what a file is or has, where it should have something else.
fn not_found(bytes: &[u8], wanted: &'static str) -> Problem {
    let blocks = blocks(bytes);
    let found = if blocks.is_empty() {
        // PFX (RFC 7292, section 4) begins with its version, 3.
        if looks_like(bytes, |inner| matches!(inner.decode::<u8>(), Ok(3))) {
            "this is PKCS#12; convert it with `openssl pkcs12 -in OLD -nodes -out NEW`".to_owned()
        } else {
            "it is not PEM, and not DER of one".to_owned()
        }
    } else if blocks.iter().any(|block| block.label == "OPENSSH PRIVATE KEY") {
        "this key is in OpenSSH's own form; convert it with `ssh-keygen -p -m PEM -f FILE`"
            .to_owned()
    } else {
        let mut labels: Vec<_> = blocks.iter().map(|block| &*block.label).collect();
        labels.dedup();
        let more = labels.len().saturating_sub(5);
        let shown = labels[..labels.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("it has {shown}{more}")
    };
    Problem::NotFound { wanted, found }
}
