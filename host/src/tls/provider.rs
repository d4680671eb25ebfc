//! The cryptography that TLS is made of: aws-lc-rs, named wherever it is needed. Nothing depends on
//! what a process has installed as its default.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::ProducesTickets;
use rustls::sign::SigningKey;
use rustls::{CipherSuite, SignatureAlgorithm, SupportedProtocolVersion, version};

use crate::config::{Cipher, Version, Versions};

/// The provider with these suites. Its key exchanges are its own choice: X25519MLKEM768 comes
/// first, so that what is recorded today stays secret from the quantum computers of tomorrow.
pub(super) fn provider(ciphers: &[&Cipher]) -> CryptoProvider {
    let provider = aws_lc_rs::default_provider();
    let suites = provider.cipher_suites;
    let suite = |cipher: &&Cipher| {
        suites.iter().find(|suite| suite.suite() == CipherSuite::from(cipher.code)).copied()
    };
    CryptoProvider { cipher_suites: ciphers.iter().filter_map(suite).collect(), ..provider }
}

/// The versions that clients can use.
pub(super) fn versions(wanted: Versions) -> Vec<&'static SupportedProtocolVersion> {
    let versions = [(Version::Tls13, &version::TLS13), (Version::Tls12, &version::TLS12)];
    let versions = versions.into_iter().filter(|(version, _)| wanted.has(*version));
    versions.map(|(_, version)| version).collect()
}

/// A new source of tickets: they are good for 12 hours, their keys change every 6.
pub(super) fn tickets() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    aws_lc_rs::Ticketer::new()
}

/// Whether a suite can be used with a certificate of this key. TLS 1.3 has suites for all; the
/// names of those of 1.2 say it (RFC 8422, section 2, for Ed25519 too).
pub(super) fn fits(cipher: &Cipher, key: &dyn SigningKey) -> bool {
    let is_rsa = key.algorithm() == SignatureAlgorithm::RSA;
    cipher.version == Version::Tls13 || cipher.iana.contains("_ECDHE_RSA_") == is_rsa
}

/// The kind of a key, for messages.
pub(super) fn kind(key: &dyn SigningKey) -> &'static str {
    match key.algorithm() {
        SignatureAlgorithm::RSA => "RSA",
        SignatureAlgorithm::ECDSA => "ECDSA",
        SignatureAlgorithm::ED25519 => "Ed25519",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CIPHERS;

    #[test]
    fn the_suites_of_the_configuration_are_those_of_the_provider() {
        let all: Vec<_> = CIPHERS.iter().collect();
        let ours = provider(&all).cipher_suites;
        let theirs = aws_lc_rs::default_provider().cipher_suites;
        let codes = |suites: &[rustls::SupportedCipherSuite]| {
            let mut codes: Vec<u16> = suites.iter().map(|suite| suite.suite().into()).collect();
            codes.sort_unstable();
            codes
        };
        assert_eq!(codes(&ours), codes(&theirs));
        for (cipher, suite) in CIPHERS.iter().zip(ours) {
            let name = format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
            assert_eq!(cipher.iana, name);
            let is_13 = suite.tls13().is_some();
            assert_eq!(cipher.version == Version::Tls13, is_13, "{name}");
        }
    }

    #[test]
    fn the_first_key_exchange_withstands_quantum_computers() {
        let groups = provider(&[]).kx_groups;
        assert_eq!(groups[0].name(), rustls::NamedGroup::X25519MLKEM768);
        assert_eq!(groups[1].name(), rustls::NamedGroup::X25519);
    }
}
