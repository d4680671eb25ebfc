//! What a peer's certificate says (RFC 5280), as text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::OctetString;
use x509_cert::der::pem::{LineEnding, encode_string};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::text::{hexadecimal, printable};

/// The certificate that a peer has shown, with its chain. It was good when it was shown; what is
/// in it can be anything that its issuer signs.
#[derive(Clone, Copy, Debug)]
pub struct PeerCertificate<'a> {
    own: &'a CertificateDer<'static>,
    chain: &'a [CertificateDer<'static>],
}

impl<'a> PeerCertificate<'a> {
    /// Of a chain that begins with the peer's own; `None` if it is empty.
    pub(super) fn first_of(chain: &'a [CertificateDer<'static>]) -> Option<Self> {
        Some(Self { own: chain.first()?, chain })
    }

    /// Whose it is, as RFC 4514 writes it: `CN=a.example,O=Example`. It can be empty.
    pub fn subject(&self) -> Option<String> {
        Some(printable(&self.parsed()?.tbs_certificate().subject().to_string()))
    }

    /// Who signed it, written likewise.
    pub fn issuer(&self) -> Option<String> {
        Some(printable(&self.parsed()?.tbs_certificate().issuer().to_string()))
    }

    /// Its number among those of its issuer, in hexadecimal.
    pub fn serial(&self) -> Option<String> {
        Some(hexadecimal(self.parsed()?.tbs_certificate().serial_number().as_bytes()))
    }

    /// The digest of the whole of it, in hexadecimal.
    pub fn sha256(&self) -> String {
        hexadecimal(&Sha256::digest(self.own))
    }

    /// Its subject alternative names (RFC 5280, section 4.2.1.6), one a line, each with what it is
    /// a name of: `DNS:a.example`, `IP:192.0.2.1`, `email:a@a.example`, `URI:spiffe://a.example/b`.
    /// Names of other kinds are left out. `None` if it has none.
    pub fn names(&self) -> Option<String> {
        let parsed = self.parsed()?;
        let names = parsed.tbs_certificate().get_extension::<SubjectAltName>().ok()??.1;
        let names: Vec<_> = names.0.iter().filter_map(name).collect();
        (!names.is_empty()).then(|| names.join("\n"))
    }

    /// It and what else the peer has shown, as PEM.
    pub fn chain(&self) -> String {
        let pem = |der: &CertificateDer<'_>| encode_string("CERTIFICATE", LineEnding::LF, der).ok();
        self.chain.iter().filter_map(pem).collect()
    }

    /// Its parts. rustls knows a certificate by fewer of them, so this can fail.
    fn parsed(&self) -> Option<CertificateInner<Raw>> {
        CertificateInner::from_der(self.own).ok()
    }
}

fn name(name: &GeneralName) -> Option<String> {
    let (kind, text) = match name {
        GeneralName::DnsName(name) => ("DNS", name.to_string()),
        GeneralName::Rfc822Name(name) => ("email", name.to_string()),
        GeneralName::UniformResourceIdentifier(name) => ("URI", name.to_string()),
        GeneralName::IpAddress(bytes) => ("IP", address(bytes)?.to_string()),
        _ => return None,
    };
    // A name with a line in it is one name still.
    Some(format!("{kind}:{}", printable(&text)))
}

fn address(bytes: &OctetString) -> Option<IpAddr> {
    let bytes = bytes.as_bytes();
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}
