//! Who may sign certificates of clients, and which of those were revoked.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_cert::der::asn1::SequenceRef;
use x509_cert::der::{self, Decode as _, Encode as _, Reader as _, SliceReader, Tag};
use x509_cert::name::Name;
use x509_cert::time::Time;

use super::certificate::Certificate;
use super::error::{Doubt, LoadError, Problem, Warning};
use super::file::{self, Digest};
use crate::config::{ClientAuth, ClientTrust, CrlScope, NamedFile};

/// The content of the files of a [`ClientAuth`], in their order.
pub(super) struct Content {
    /// What is done with it: the configuration without its paths.
    rules: &'static [u8],
    ca: Vec<Vec<u8>>,
    crl: Vec<Vec<u8>>,
}

impl Content {
    /// Of all that decides which clients are good.
    pub(super) fn digest(&self) -> Digest {
        let Self { rules, ca, crl } = self;
        let files = ca.iter().map(Vec::as_slice).chain([&b"crl"[..]]);
        Digest::of([*rules].into_iter().chain(files).chain(crl.iter().map(Vec::as_slice)))
    }
}

/// Reads the files, or says all that is wrong with them.
pub(super) fn read(auth: &ClientAuth) -> Result<Content, Vec<LoadError>> {
    let (trust, rules) = match auth {
        ClientAuth::None => return Ok(Content { rules: b"none", ca: vec![], crl: vec![] }),
        ClientAuth::Optional(trust @ ClientTrust { crl_scope: CrlScope::Chain, .. }) => {
            (trust, &b"optional chain"[..])
        }
        ClientAuth::Optional(trust) => (trust, &b"optional leaf"[..]),
        ClientAuth::Required(trust @ ClientTrust { crl_scope: CrlScope::Chain, .. }) => {
            (trust, &b"required chain"[..])
        }
        ClientAuth::Required(trust) => (trust, &b"required leaf"[..]),
    };
    let mut errors = Vec::new();
    let mut read = |files: &[NamedFile], most| {
        let mut contents = Vec::new();
        for file in files {
            match file::read(&file.path, most) {
                Ok(content) => contents.push(content),
                Err(problem) => errors.push(LoadError::new(file, problem)),
            }
        }
        contents
    };
    let ca = read(&trust.ca, file::MAX_SIZE);
    let crl = read(&trust.crl, file::MAX_CRL_SIZE);
    if errors.is_empty() { Ok(Content { rules, ca, crl }) } else { Err(errors) }
}

/// A verifier, and what should be looked at; or what is wrong.
type Loaded = Result<(Arc<dyn ClientCertVerifier>, Vec<Warning>), Vec<LoadError>>;

/// Makes a verifier of the files, or says all that is wrong with them.
pub(super) fn load(
    auth: &ClientAuth,
    content: &Content,
    provider: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Loaded {
    let (trust, anonymous) = match auth {
        ClientAuth::None => return Ok((WebPkiClientVerifier::no_client_auth(), Vec::new())),
        ClientAuth::Optional(trust) => (trust, true),
        ClientAuth::Required(trust) => (trust, false),
    };
    let mut loading = Loading { trust, now, errors: Vec::new(), warnings: Vec::new() };
    let lists = loading.each(&trust.crl, &content.crl, Loading::lists);
    let issuers: Vec<_> = lists.iter().map(|list| list.issuer.as_slice()).collect();
    let roots = loading
        .each(&trust.ca, &content.ca, |loading, path, bytes| loading.roots(path, bytes, &issuers));
    if !loading.errors.is_empty() {
        return Err(loading.errors);
    }
    let roots = RootCertStore { roots: roots.into_iter().flat_map(|store| store.roots).collect() };
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
    // Each alone, to tell which of them rustls does not take.
    let bad = lists.iter().filter_map(|list| {
        let error = builder.clone().with_crls([list.der.clone()]).build().err()?;
        let problem = Problem::Crl { number: list.number, why: error.to_string() };
        Some(LoadError::new(&list.file, problem))
    });
    let bad: Vec<_> = bad.collect();
    if !bad.is_empty() {
        return Err(bad);
    }
    let mut builder = builder
        .with_crls(lists.into_iter().map(|list| list.der))
        // A list that is out of date may lack what was revoked since.
        .enforce_revocation_expiration();
    if trust.crl_scope == CrlScope::Leaf {
        builder = builder.only_check_end_entity_revocation();
    }
    if anonymous {
        builder = builder.allow_unauthenticated();
    }
    let verifier = builder.build().map_err(|error| {
        let problem = || Problem::Unusable(rustls::Error::General(error.to_string()));
        trust.ca.iter().take(1).map(|file| LoadError::new(file, problem())).collect::<Vec<_>>()
    })?;
    Ok((verifier, loading.warnings))
}

struct Loading<'a> {
    trust: &'a ClientTrust,
    now: SystemTime,
    errors: Vec<LoadError>,
    warnings: Vec<Warning>,
}

/// A list of revoked certificates.
struct List {
    file: NamedFile,
    /// Its place in the file, from 1.
    number: usize,
    der: CertificateRevocationListDer<'static>,
    /// The name of who has revoked them, as DER.
    issuer: Vec<u8>,
}

impl Loading<'_> {
    /// What `load` gives for each file.
    fn each<T>(
        &mut self,
        files: &[NamedFile],
        contents: &[Vec<u8>],
        mut load: impl FnMut(&mut Self, &NamedFile, &[u8]) -> Result<Vec<T>, Problem>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for (file, bytes) in files.iter().zip(contents) {
            match load(self, file, bytes) {
                Ok(found) => all.extend(found),
                Err(problem) => self.errors.push(LoadError::new(file, problem)),
            }
        }
        all
    }

    /// The CAs of a file; those that have expired are left out, because rustls does not look at
    /// the dates of what it is told to trust.
    fn roots(
        &mut self,
        file: &NamedFile,
        bytes: &[u8],
        issuers: &[&[u8]],
    ) -> Result<Vec<RootCertStore>, Problem> {
        let ders = file::certificates(bytes)?;
        let mut stores = Vec::new();
        for (certificate, der) in Certificate::all(&ders)?.iter().zip(&ders) {
            let which = certificate.which().clone();
            match certificate.good_at(self.now) {
                Err(Problem::Expired { when, .. }) => {
                    self.warn(file, Doubt::CaExpired { which, when });
                    continue;
                }
                good => good?,
            }
            let mut store = RootCertStore::empty();
            store.add(der.clone()).map_err(|error| Problem::Certificate {
                number: which.number,
                why: error.to_string(),
            })?;
            stores.push(store);
            if !certificate.is_ca() {
                self.warn(file, Doubt::NotCa(which));
            } else if !self.trust.crl.is_empty()
                && self.trust.crl_scope == CrlScope::Chain
                && !issuers.contains(&&*certificate.subject())
            {
                self.warn(file, Doubt::NoCrl(which));
            }
        }
        if stores.is_empty() { Err(Problem::NoCa) } else { Ok(stores) }
    }

    fn lists(&mut self, file: &NamedFile, bytes: &[u8]) -> Result<Vec<List>, Problem> {
        let list = |(i, der): (usize, CertificateRevocationListDer<'static>)| {
            let number = i + 1;
            let issuer = check_list(number, &der, self.now)?;
            Ok(List { file: file.clone(), number, der, issuer })
        };
        file::crls(bytes)?.into_iter().enumerate().map(list).collect()
    }

    fn warn(&mut self, file: &NamedFile, doubt: Doubt) {
        self.warnings.push(Warning::new(&file.path, doubt));
    }
}

/// Gives the issuer of a list, as DER.
fn check_list(number: usize, crl: &[u8], now: SystemTime) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: der::Error| Problem::Crl { number, why: error.to_string() };
    let (issuer, due) = head(crl).map_err(unreadable)?;
    match due.map(|due| due.to_system_time()) {
        Some(when) if now > when => {
            Err(Problem::CrlExpired { number, issuer: issuer.to_string(), when })
        }
        _ => issuer.to_der().map_err(unreadable),
    }
}

/// Who has made a list, and when the next one is due (RFC 5280, section 5.1). What it lists may be
/// large, and is left to rustls.
fn head(crl: &[u8]) -> der::Result<(Name, Option<Time>)> {
    let list = <&SequenceRef>::from_der(crl)?.as_bytes();
    let list = SliceReader::new(list)?.decode::<&SequenceRef>()?.as_bytes();
    let mut list = SliceReader::new(list)?;
    if Tag::peek(&list)? == Tag::Integer {
        list.decode::<u8>()?; // the version
    }
    list.decode::<&SequenceRef>()?; // the algorithm of the signature
    let issuer = list.decode()?;
    list.decode::<Time>()?; // when it was made
    let has_next = matches!(Tag::peek(&list), Ok(Tag::UtcTime | Tag::GeneralizedTime));
    Ok((issuer, has_next.then(|| list.decode()).transpose()?))
}
