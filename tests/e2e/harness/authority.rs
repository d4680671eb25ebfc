//! Certificates, made for one test.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Folder;

/// Somebody who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in files and in memory.
pub(crate) struct Leaf {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    der: CertificateDer<'static>,
    pair: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, as a file.
    pub(crate) fn file(&self, folder: &Folder) -> PathBuf {
        folder.write("ca.pem", self.0.pem())
    }

    /// A certificate for these names, of which the first is the common name, in `STEM.pem` and
    /// `STEM.key`.
    pub(crate) fn sign(&self, folder: &Folder, stem: &str, names: &[&str]) -> Leaf {
        self.sign_with(folder, stem, names, |_| ())
    }

    /// The same, with something else about it.
    pub(crate) fn sign_with(
        &self,
        folder: &Folder,
        stem: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.distinguished_name.push(DnType::CommonName, &names[0]);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let pair = KeyPair::generate().unwrap();
        let signed = params.signed_by(&pair, &self.0).unwrap();
        Leaf {
            certificate: folder.write(&format!("{stem}.pem"), signed.pem()),
            key: folder.write(&format!("{stem}.key"), pair.serialize_pem()),
            der: signed.der().clone(),
            pair,
        }
    }

    /// A client that trusts nobody else.
    pub(crate) fn client(&self) -> ClientConfig {
        self.client_as(None)
    }

    /// The same, which shows a certificate.
    pub(crate) fn client_as(&self, leaf: Option<&Leaf>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_webpki_verifier(verifier.build().unwrap());
        match leaf {
            None => config.with_no_client_auth(),
            Some(leaf) => {
                let key = PrivateKeyDer::try_from(leaf.pair.serialize_der()).unwrap();
                config.with_client_auth_cert(vec![leaf.der.clone()], key).unwrap()
            }
        }
    }
}
