//! What is wrong with the files of a profile, and what may soon be.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::{NamedFile, Origin, display_size};
use crate::text::printable;

/// Everything that is wrong with the files of a profile: at least one thing, one a line.
#[derive(Debug)]
pub struct LoadErrors(Vec<LoadError>);

impl LoadErrors {
    /// The errors, in the order of the configuration; never empty.
    pub fn iter(&self) -> std::slice::Iter<'_, LoadError> {
        self.0.iter()
    }

    /// All of `errors`, if there are any.
    pub(super) fn some(errors: Vec<LoadError>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// `value`, if nothing is wrong.
    pub(super) fn or<T>(errors: Vec<LoadError>, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            _ => {
                debug_assert!(!errors.is_empty(), "a profile failed without an error");
                Err(Self(errors))
            }
        }
    }
}

impl<'a> IntoIterator for &'a LoadErrors {
    type Item = &'a LoadError;
    type IntoIter = std::slice::Iter<'a, LoadError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

/// One thing that is wrong; displayed as one line,
/// `portcell.toml:12: cert.pem: what is wrong, and what to do`.
#[derive(Debug, thiserror::Error)]
#[error("{}", printable(&format!("{origin}: {file}{problem}")))]
pub struct LoadError {
    origin: Origin,
    file: File,
    problem: Box<Problem>,
}

impl LoadError {
    pub(super) fn new(file: &NamedFile, problem: Problem) -> Self {
        let NamedFile { path, origin } = file.clone();
        Self { origin, file: File(Some(path)), problem: Box::new(problem) }
    }

    /// About something that is in no file.
    pub(super) fn without_file(origin: &Origin, problem: Problem) -> Self {
        Self { origin: origin.clone(), file: File(None), problem: Box::new(problem) }
    }

    /// Where the configuration names the file.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

#[derive(Debug)]
struct File(Option<PathBuf>);

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(path) => write!(f, "{}: ", path.display()),
            None => Ok(()),
        }
    }
}

/// Something that works and should be looked at; displayed as one line.
#[derive(Debug, thiserror::Error)]
#[error("{}", printable(&format!("{}: {doubt}", path.display())))]
pub struct Warning {
    path: PathBuf,
    doubt: Doubt,
}

impl Warning {
    pub(super) fn new(path: &Path, doubt: Doubt) -> Self {
        Self { path: path.to_owned(), doubt }
    }

    /// What is wrong with something that stays in use.
    pub(super) fn still_used(error: LoadError) -> Self {
        let LoadError { file: File(path), problem, .. } = error;
        Self { path: path.unwrap_or_default(), doubt: Doubt::StillUsed(*problem) }
    }

    /// What should be looked at.
    pub fn doubt(&self) -> &Doubt {
        &self.doubt
    }
}

/// A certificate of a file, as messages name it: `certificate 2 (CN=Example CA)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// Its place among the certificates of the file, from 1.
    pub number: usize,
    /// Its subject (RFC 4514), or its first name where it has none.
    pub subject: String,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate {} ({})", self.number, self.subject)
    }
}

/// What can be wrong with a file of a profile.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is not there.
    #[error("there is no such file")]
    Missing,
    /// The server's user cannot read it.
    #[error("there is no permission to read it; give it to the user that the server runs as")]
    Permission,
    /// It is a folder, or a device.
    #[error("this is not a file")]
    NotAFile,
    /// It is larger than anything of its kind.
    #[error("it is larger than {}, the most for such a file", display_size(*.0))]
    TooLarge(
        /// The most bytes.
        u64,
    ),
    /// It cannot be read for another reason.
    #[error("cannot read it: {0}")]
    Io(io::Error),
    /// It has nothing in it.
    #[error("it is empty")]
    Empty,
    /// A block of PEM is broken.
    #[error("line {line}: the {label} that begins here is not good PEM: {why}")]
    Pem {
        /// Where it begins, from 1.
        line: usize,
        /// What it says it is.
        label: String,
        /// What is broken.
        why: String,
    },
    /// What is looked for is not in it.
    #[error("there is no {wanted} in it; {found}")]
    NotFound {
        /// What is looked for.
        wanted: &'static str,
        /// What it is or has instead, and what to do.
        found: String,
    },
    /// The private key has a passphrase, which nobody could be asked for.
    #[error(
        "the private key in it is encrypted ({0}), and nobody is there to give the passphrase; \
         decrypt it with `openssl pkey -in OLD -out NEW`, and let only the server read the new file"
    )]
    EncryptedKey(
        /// How that is seen.
        &'static str,
    ),
    /// There is more than one private key.
    #[error("there are {0} private keys in it; leave only the one of the certificate")]
    Keys(
        /// How many.
        usize,
    ),
    /// The private key is of no kind that there is.
    #[error(
        "this private key cannot be used; those that can are RSA of 2048 to 8192 bits, ECDSA on \
         P-256, P-384 or P-521, and Ed25519"
    )]
    Key(#[source] rustls::Error),
    /// The private key is another's.
    #[error("this is not the key of {which} in {}", certificate.display())]
    KeyMismatch {
        /// The certificate.
        which: Which,
        /// Its file.
        certificate: PathBuf,
    },
    /// A certificate is not one.
    #[error("certificate {number} cannot be read: {why}")]
    Certificate {
        /// Its place in the file, from 1.
        number: usize,
        /// What the parser says.
        why: String,
    },
    /// A certificate is too old.
    #[error("{which} has expired on {}; renew it", date(*.when))]
    Expired {
        /// The certificate.
        which: Which,
        /// The last moment at which it was good.
        when: SystemTime,
    },
    /// A certificate is too new.
    #[error("{which} is good only from {} on; is the clock right?", date(*.when))]
    NotYetValid {
        /// The certificate.
        which: Which,
        /// The first moment at which it is good.
        when: SystemTime,
    },
    /// The chain is not in order.
    #[error(
        "{issuer} has not issued {issued}, whose issuer is {wanted}; the server's certificate is \
         the first, and each one has issued the one before it"
    )]
    Order {
        /// The later certificate.
        issuer: Which,
        /// The one before it.
        issued: Which,
        /// Who the one before it says has issued it.
        wanted: String,
    },
    /// The names of a chain fit, but its signatures do not.
    #[error(
        "{issued} was not signed with the key of {issuer}; take the issuer's certificate that \
         came with it"
    )]
    Signature {
        /// The certificate that should have signed.
        issuer: Which,
        /// The one that should be signed.
        issued: Which,
    },
    /// A certificate is not for a configured name.
    #[error("{which} is not for `{name}`, for which it is to be shown; it is for {has}")]
    Name {
        /// The certificate.
        which: Which,
        /// The name that was configured.
        name: String,
        /// The names that it is for, in words.
        has: String,
    },
    /// No suite that was configured can be used with the certificate's key.
    #[error(
        "none of `ciphers` is for a key like this one ({0}), so nobody could connect; add some, or \
         leave `ciphers` out"
    )]
    NoCipher(
        /// The kind of key.
        &'static str,
    ),
    /// It is no OCSP response.
    #[error("this is not an OCSP response in DER; `openssl ocsp -respout FILE` writes one")]
    NotOcsp,
    /// It is an OCSP response without an answer.
    #[error(
        "this OCSP response says that its responder could not answer (status {0}); get another"
    )]
    OcspStatus(
        /// `OCSPResponseStatus` (RFC 6960, section 4.2.1).
        u8,
    ),
    /// No certificate of clients' CAs can be used any more.
    #[error("all certificates in it have expired; nobody's certificate could be checked")]
    NoCa,
    /// A list of revoked certificates is not one.
    #[error("list {number} cannot be read: {why}")]
    Crl {
        /// Its place in the file, from 1.
        number: usize,
        /// What the parser says.
        why: String,
    },
    /// A list of revoked certificates is out of date.
    #[error(
        "list {number} (of {issuer}) was due to be replaced on {}; with it all clients of this \
         issuer would be refused: get the new one",
        date(*.when)
    )]
    CrlExpired {
        /// Its place in the file, from 1.
        number: usize,
        /// Whose it is.
        issuer: String,
        /// When the next one was due.
        when: SystemTime,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    SelfSigned(rcgen::Error),
    /// What was loaded does not fit together, or there is no randomness.
    #[error("cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// What works and should be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// A certificate has to be renewed.
    #[error("{which} expires on {}, {}; renew it", date(*.when), in_days(*.left))]
    Expires {
        /// The certificate.
        which: Which,
        /// The last moment at which it is good.
        when: SystemTime,
        /// How far away that is.
        left: Duration,
    },
    /// A certificate that is in use already is too old, or has become so otherwise.
    #[error(transparent)]
    StillUsed(Problem),
    /// A certificate has no names that clients look for.
    #[error("{0} has no names (subjectAltName), so clients that check it will refuse it")]
    NoNames(Which),
    /// There is no suite for a version with this key.
    #[error(
        "none of `ciphers` is for TLS 1.2 and a key like this one ({0}), so clients that know only \
         1.2 will be refused"
    )]
    No12(
        /// The kind of key.
        &'static str,
    ),
    /// A CA of clients is too old, and not used.
    #[error("{which} has expired on {}; clients of this CA are refused", date(*.when))]
    CaExpired {
        /// The CA's certificate.
        which: Which,
        /// The last moment at which it was good.
        when: SystemTime,
    },
    /// A certificate among those of CAs is none of a CA.
    #[error("{0} is not a CA's, so it has signed no client's certificate")]
    NotCa(Which),
    /// A CA of clients has no list of revoked certificates.
    #[error("{0} has no list in `client_crl`, so clients of this CA are refused")]
    NoCrl(Which),
}

/// A moment, to the second: `2026-01-31T23:59:59Z`.
fn date(when: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(when)
}

fn in_days(left: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match left.as_secs() / DAY {
        0 => "within a day".to_owned(),
        1 => "in a day".to_owned(),
        days => format!("in {days} days"),
    }
}
