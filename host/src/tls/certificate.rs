//! One certificate, as far as the checks at start have to look into it. What clients show is
//! verified by rustls, not here.

use std::net::IpAddr;
use std::time::SystemTime;

use rustls::client::verify_server_name;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::asn1::SequenceRef;
use x509_cert::der::{self, Decode as _, Encode as _, Reader as _, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::error::{Problem, Which};

/// A certificate that could be read.
pub(super) struct Certificate<'a> {
    der: &'a CertificateDer<'static>,
    /// `Raw` takes serial numbers as they are: there are CAs with longer ones than RFC 5280 allows,
    /// and rustls takes them too.
    parsed: CertificateInner<Raw>,
    which: Which,
}

impl<'a> Certificate<'a> {
    /// All certificates of a file.
    pub(super) fn all(ders: &'a [CertificateDer<'static>]) -> Result<Vec<Self>, Problem> {
        ders.iter().enumerate().map(|(i, der)| Self::read(i + 1, der)).collect()
    }

    fn read(number: usize, der: &'a CertificateDer<'static>) -> Result<Self, Problem> {
        let unreadable = |why: String| Problem::Certificate { number, why };
        let parsed =
            CertificateInner::from_der(der).map_err(|error| unreadable(error.to_string()))?;
        // What rustls cannot read, it could not show.
        ParsedCertificate::try_from(der).map_err(|error| unreadable(error.to_string()))?;
        let subject = parsed.tbs_certificate().subject();
        let which = Which { number, subject: subject.to_string() };
        let mut certificate = Self { der, parsed, which };
        if certificate.which.subject.is_empty() {
            let name = certificate.names().into_iter().next();
            certificate.which.subject = name.unwrap_or_else(|| "without a name".to_owned());
        }
        Ok(certificate)
    }

    pub(super) fn which(&self) -> &Which {
        &self.which
    }

    /// The last moment at which it is good.
    pub(super) fn not_after(&self) -> SystemTime {
        self.parsed.tbs_certificate().validity().not_after.to_system_time()
    }

    /// Fails if it is not good at `now` (RFC 5280, section 4.1.2.5: both ends are included).
    pub(super) fn good_at(&self, now: SystemTime) -> Result<(), Problem> {
        let which = || self.which.clone();
        let from = self.parsed.tbs_certificate().validity().not_before.to_system_time();
        if now > self.not_after() {
            Err(Problem::Expired { which: which(), when: self.not_after() })
        } else if now < from {
            Err(Problem::NotYetValid { which: which(), when: from })
        } else {
            Ok(())
        }
    }

    /// The names and addresses that it is for, as text; none if it has none that clients look for.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.parsed.tbs_certificate().get_extension::<SubjectAltName>();
        let names = names.ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
        names.iter().filter_map(name).collect()
    }

    /// Fails if it is not for `name`, which may be `*.` and a rest.
    pub(super) fn is_for(&self, name: &str) -> Result<(), Problem> {
        let is_for = match ServerName::try_from(name) {
            Ok(server_name) if !name.starts_with("*.") => ParsedCertificate::try_from(self.der)
                .is_ok_and(|parsed| verify_server_name(&parsed, &server_name).is_ok()),
            // Each of the names that a wildcard stands for is covered by the same wildcard only.
            _ => self.names().iter().any(|own| own.eq_ignore_ascii_case(name)),
        };
        if is_for {
            return Ok(());
        }
        let (which, name) = (self.which.clone(), name.to_owned());
        Err(Problem::Name { which, name, has: self.names_in_words() })
    }

    fn names_in_words(&self) -> String {
        const MOST: usize = 5;
        let names = self.names();
        let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
        match names.len() {
            0 => "no name at all".to_owned(),
            n if n > MOST => format!("{shown} and {} more", n - MOST),
            _ => shown,
        }
    }

    /// Whether it says of itself that it is a CA's.
    pub(super) fn is_ca(&self) -> bool {
        let constraints = self.parsed.tbs_certificate().get_extension::<BasicConstraints>();
        matches!(constraints, Ok(Some((_, BasicConstraints { ca: true, .. }))))
    }

    /// Its subject as DER, which is how issuers are compared (as webpki does).
    pub(super) fn subject(&self) -> Vec<u8> {
        self.parsed.tbs_certificate().subject().to_der().unwrap_or_default()
    }

    /// Fails if `issuer` has not signed it. Signatures of kinds that `algorithms` lacks are not
    /// looked at: old roots have them, and clients do not check those either.
    pub(super) fn issued_by(
        &self,
        issuer: &Self,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Problem> {
        let (lower, upper) = (self.which.clone(), issuer.which.clone());
        let tbs = self.parsed.tbs_certificate();
        if tbs.issuer() != issuer.parsed.tbs_certificate().subject() {
            let wanted = tbs.issuer().to_string();
            return Err(Problem::Order { issuer: upper, issued: lower, wanted });
        }
        match self.signature_is_good(issuer, algorithms) {
            Some(false) => Err(Problem::Signature { issuer: upper, issued: lower }),
            None | Some(true) => Ok(()),
        }
    }

    /// Whether it was signed with the key of `issuer`; `None` if that cannot be told.
    fn signature_is_good(
        &self,
        issuer: &Self,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Option<bool> {
        let key = issuer.parsed.tbs_certificate().subject_public_key_info();
        let of_key = inside(&key.algorithm).ok()?;
        let of_signature = inside(self.parsed.signature_algorithm()).ok()?;
        let fits = algorithms.all.iter().filter(|algorithm| {
            algorithm.public_key_alg_id().as_ref() == of_key
                && algorithm.signature_alg_id().as_ref() == of_signature
        });
        let signed = signed_part(self.der).ok()?;
        let (key, signature) =
            (key.subject_public_key.as_bytes()?, self.parsed.signature().as_bytes()?);
        let good = |good: Option<bool>, is_good: bool| Some(good == Some(true) || is_good);
        fits.map(|algorithm| algorithm.verify_signature(key, signed, signature).is_ok())
            .fold(None, good)
    }
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(address) => {
            let address = address.as_bytes();
            let v4 = <[u8; 4]>::try_from(address).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(address).map(IpAddr::from);
            v4.or(v6).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// An algorithm's identifier and parameters, without what is around them.
fn inside(algorithm: &AlgorithmIdentifierOwned) -> der::Result<Vec<u8>> {
    let der = algorithm.to_der()?;
    Ok(<&SequenceRef>::from_der(&der)?.as_bytes().to_vec())
}

/// What a certificate's signature is about: its first part, byte by byte.
fn signed_part(certificate: &[u8]) -> der::Result<&[u8]> {
    let inner = <&SequenceRef>::from_der(certificate)?.as_bytes();
    SliceReader::new(inner)?.tlv_bytes()
}

/// The SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` prints it.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(certificate);
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
