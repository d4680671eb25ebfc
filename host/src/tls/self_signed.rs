//! Certificates for development, which live in memory only.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::Certificate;

const DAY: Duration = Duration::from_hours(24);

/// Whether a certificate that was made before can go on.
pub(super) fn is_good(chain: &[CertificateDer<'static>], now: SystemTime) -> bool {
    let certificates = Certificate::all(chain).unwrap_or_default();
    certificates.first().is_some_and(|certificate| certificate.good_at(now + DAY).is_ok())
}

/// A certificate for these names and addresses, good for a year, with a new key (ECDSA, P-256).
pub(super) fn make(
    names: &[String],
    now: SystemTime,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "portcell, for development");
    // The clocks of clients may be behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + 365 * DAY).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.into(), key.into()))
}
