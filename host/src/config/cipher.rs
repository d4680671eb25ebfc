//! The cipher suites of TLS that there are: those with forward secrecy and authenticated
//! encryption. No others are implemented.

use super::nearest;
use super::tls::Version::{self, Tls12, Tls13};

/// A cipher suite.
#[derive(Debug, PartialEq, Eq)]
pub struct Cipher {
    /// Its number in the registry of IANA ("TLS Cipher Suites").
    pub code: u16,
    /// Its name there.
    pub iana: &'static str,
    /// What OpenSSL calls it.
    pub openssl: &'static str,
    /// The version of TLS that it is for.
    pub version: Version,
}

/// Every suite that there is, the best first.
pub const CIPHERS: &[Cipher] = &[
    cipher(0x1302, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", Tls13),
    cipher(0x1301, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", Tls13),
    cipher(0x1303, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", Tls13),
    cipher(
        0xc02c,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        Tls12,
    ),
    cipher(
        0xc02b,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        Tls12,
    ),
    cipher(
        0xcca9,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        Tls12,
    ),
    cipher(0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", Tls12),
    cipher(0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", Tls12),
    cipher(
        0xcca8,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        Tls12,
    ),
];

const fn cipher(code: u16, iana: &'static str, openssl: &'static str, version: Version) -> Cipher {
    Cipher { code, iana, openssl, version }
}

impl Cipher {
    /// The suite of this name, IANA's or OpenSSL's, in upper or lower case; or why there is none.
    pub(super) fn named(name: &str) -> Result<&'static Self, String> {
        let is_it = |cipher: &&Self| {
            cipher.iana.eq_ignore_ascii_case(name) || cipher.openssl.eq_ignore_ascii_case(name)
        };
        if let Some(cipher) = CIPHERS.iter().find(is_it) {
            return Ok(cipher);
        }
        let all = list(CIPHERS.iter());
        if is_filter(name) {
            return Err(format!(
                "`{name}` is a filter of OpenSSL's; write the names of the suites themselves, as \
                 a list: {all}"
            ));
        }
        let names = CIPHERS.iter().flat_map(|cipher| [cipher.iana, cipher.openssl]);
        let hint = nearest::did_you_mean(name, names);
        Err(format!("`{name}` is not one of them{hint}; those are {all}"))
    }
}

/// The names of suites, as a message lists them.
pub(super) fn list<'a>(ciphers: impl Iterator<Item = &'a Cipher>) -> String {
    ciphers.map(|cipher| cipher.iana).collect::<Vec<_>>().join(", ")
}

/// Whether this is more than a name, or a group of suites (openssl-ciphers(1)).
fn is_filter(name: &str) -> bool {
    const GROUPS: &[&str] =
        &["ALL", "DEFAULT", "HIGH", "MEDIUM", "LOW", "SECURE", "FIPS", "COMPLEMENTOFDEFAULT"];
    name.contains([':', '!', '+', '@', ',', ' ', '=']) || GROUPS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_has_two_names() {
        for cipher in CIPHERS {
            for name in [cipher.iana, cipher.openssl, &cipher.iana.to_lowercase()] {
                assert_eq!(Cipher::named(name), Ok(cipher));
            }
        }
    }

    #[test]
    fn other_names_are_refused_with_the_list() {
        for (name, start) in [
            ("HIGH:!aNULL", "`HIGH:!aNULL` is a filter of OpenSSL's; "),
            ("DEFAULT", "`DEFAULT` is a filter of OpenSSL's; "),
            ("AES128-SHA", "`AES128-SHA` is not one of them; those are "),
            (
                "ECDHE-RSA-AES128-GCM-SHA265",
                "`ECDHE-RSA-AES128-GCM-SHA265` is not one of them; \
                 did you mean `ECDHE-RSA-AES128-GCM-SHA256`?; those are ",
            ),
        ] {
            let why = Cipher::named(name).unwrap_err();
            assert!(why.starts_with(start), "{why}");
            assert!(CIPHERS.iter().all(|cipher| why.contains(cipher.iana)), "{why}");
        }
    }
}
