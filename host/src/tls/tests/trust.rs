//! Certificates of clients: who is let in.

use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{KeyPair, SerialNumber};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{AlertDescription, CertificateError, Error};

use super::authority::{Authority, DAY, Leaf};
use super::client::{Client, Connected, Failed, ONLY_12, ONLY_13};
use super::folder::Folder;

/// A server, and a CA of clients with one below it.
struct Place {
    servers: Authority,
    root: Authority,
    below: Authority,
    folder: Folder,
}

impl Place {
    fn new() -> Self {
        let servers = Authority::root("Servers");
        let root = Authority::root("Clients");
        let below = root.below_with("Below", |params| {
            params.serial_number = Some(SerialNumber::from(77));
        });
        let folder = Folder::with(&servers.leaf(&["a.example"]));
        folder.write("ca.pem", root.pem());
        Self { servers, root, below, folder }
    }

    fn client(&self) -> Client {
        Client::of(&self.servers)
    }

    /// What becomes of a client with these settings of the server.
    fn connect(&self, more: &str, client: &Client) -> Result<Connected, Failed> {
        let profile = self.folder.load_usual(more);
        let mut connected = client.connect(&profile, "a.example")?;
        connected.talk();
        Ok(connected)
    }

    /// The alert that a client gets, with both versions.
    fn refused(&self, more: &str, client: &Client) -> AlertDescription {
        let [alert, other] = [ONLY_12, ONLY_13].map(|versions| {
            match self.connect(more, &client.clone().with_versions(versions)) {
                Err(Failed::Client(Error::AlertReceived(alert))) => alert,
                Err(other) => panic!("{other:?}"),
                Ok(_) => panic!("it was let in"),
            }
        });
        if alert != AlertDescription::HandshakeFailure {
            assert_eq!(alert, other);
        }
        other
    }
}

fn client_of(authority: &Authority, serial: u64) -> Arc<Leaf> {
    let key = KeyPair::generate().unwrap();
    Arc::new(authority.leaf_with(&["client"], key, |params| {
        params.serial_number = Some(SerialNumber::from(serial));
    }))
}

const REQUIRED: &str = "client_auth = \"required\"\nclient_ca = \"ca.pem\"\n";
const OPTIONAL: &str = "client_auth = \"optional\"\nclient_ca = \"ca.pem\"\n";

#[test]
fn a_client_with_a_good_certificate_is_let_in() {
    let place = Place::new();
    let (near, far) = (client_of(&place.root, 1), client_of(&place.below, 2));
    for more in [REQUIRED, OPTIONAL] {
        for versions in [ONLY_12, ONLY_13] {
            let client = || place.client().with_versions(versions);
            let connected = place.connect(more, &client().showing(&near, &[])).unwrap();
            assert_eq!(connected.server.peer_certificates().unwrap()[0], near.der());
            let connected = place.connect(more, &client().showing(&far, &[&place.below])).unwrap();
            assert_eq!(connected.server.peer_certificates().unwrap().len(), 2);
        }
    }
}

#[test]
fn a_client_without_a_certificate_is_refused_only_where_one_is_required() {
    let place = Place::new();
    let alert = place.refused(REQUIRED, &place.client());
    assert_eq!(alert, AlertDescription::CertificateRequired);
    let connected = place.connect(OPTIONAL, &place.client()).unwrap();
    assert_eq!(connected.server.peer_certificates(), None);
}

#[test]
fn a_certificate_of_somebody_else_is_refused_in_either_case() {
    let place = Place::new();
    let stranger = client_of(&Authority::root("Clients"), 1);
    for more in [REQUIRED, OPTIONAL] {
        // Its issuer has the right name and another key.
        let alert = place.refused(more, &place.client().showing(&stranger, &[]));
        assert_eq!(alert, AlertDescription::DecryptError);
    }
}

#[test]
fn who_is_not_asked_is_not_checked() {
    let place = Place::new();
    let stranger = client_of(&Authority::root("Strangers"), 1);
    let connected = place.connect("", &place.client().showing(&stranger, &[])).unwrap();
    assert_eq!(connected.server.peer_certificates(), None);
}

#[test]
fn what_was_revoked_is_refused() {
    let place = Place::new();
    let more = format!("{REQUIRED}client_crl = \"crl.pem\"\n");
    place.folder.write("crl.pem", place.root.crl(&[2, 3], 30 * DAY).pem().unwrap());
    let client = |serial| place.client().showing(&client_of(&place.root, serial), &[]);
    assert!(place.connect(&more, &client(1)).is_ok());
    assert_eq!(place.refused(&more, &client(3)), AlertDescription::CertificateRevoked);
}

#[test]
fn a_revoked_ca_takes_its_clients_with_it() {
    let place = Place::new();
    let of_below = place.below.crl(&[], 30 * DAY).pem().unwrap();
    place.folder.write("crl.pem", place.root.crl(&[77], 30 * DAY).pem().unwrap() + &of_below);
    let client = place.client().showing(&client_of(&place.below, 1), &[&place.below]);
    let more = format!("{REQUIRED}client_crl = \"crl.pem\"\n");
    assert_eq!(place.refused(&more, &client), AlertDescription::CertificateRevoked);
    let leaf = format!("{more}client_crl_scope = \"leaf\"\n");
    assert!(place.connect(&leaf, &client).is_ok());
}

#[test]
fn a_client_whose_signer_has_no_list_is_refused() {
    let place = Place::new();
    place.folder.write("root.crl", place.root.crl(&[], 30 * DAY).der());
    place.folder.write("below.crl", place.below.crl(&[], 30 * DAY).der());
    let far = place.client().showing(&client_of(&place.below, 1), &[&place.below]);
    let more = |crl: &str| format!("{REQUIRED}client_crl = {crl}\n");
    let unknown = AlertDescription::UnknownCA;
    assert_eq!(place.refused(&more("\"root.crl\""), &far), unknown);
    assert_eq!(place.refused(&more("\"below.crl\""), &far), unknown);
    assert!(place.connect(&more("[\"root.crl\", \"below.crl\"]"), &far).is_ok());
    let leaf = "client_crl_scope = \"leaf\"\n";
    assert!(place.connect(&(more("\"below.crl\"") + leaf), &far).is_ok());
    assert_eq!(place.refused(&(more("\"root.crl\"") + leaf), &far), unknown);
}

#[test]
fn a_list_that_goes_out_of_date_while_it_is_used_is_believed_no_more() {
    let place = Place::new();
    place.folder.write("crl.pem", place.root.crl(&[], 30 * DAY).pem().unwrap());
    let config = place.folder.usual(&format!("{REQUIRED}client_crl = \"crl.pem\"\n"));
    let profile = place.folder.loaded(crate::tls::Profile::load(&config, None));
    let verifier = &profile.trust.verifier;
    let client = client_of(&place.root, 1).der();
    let at = |days: u32| {
        let now = SystemTime::now() + days * DAY;
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = UnixTime::since_unix_epoch(since);
        verifier.verify_client_cert(&client, &[], now).map(|_| ())
    };
    assert_eq!(at(0), Ok(()));
    let refused = format!("{:?}", at(31).unwrap_err());
    assert!(refused.contains("ExpiredRevocationList"), "{refused}");
}

#[test]
fn what_will_refuse_clients_is_said_at_start() {
    let place = Place::new();
    let old = Authority::root_with("Old", |params| {
        params.not_after = (SystemTime::now() - DAY).into();
    });
    let leaf = place.servers.leaf(&["a.example"]);
    let text = place.root.pem() + &old.pem() + &leaf.pem() + &place.below.pem();
    place.folder.write("ca.pem", text);
    place.folder.write("crl.pem", place.root.crl(&[], 30 * DAY).pem().unwrap());
    let profile = place.folder.load_usual(&format!("{REQUIRED}client_crl = \"crl.pem\"\n"));
    let warnings = place.folder.warnings(&profile);
    let [expired, no_ca, no_list] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(expired.starts_with("ca.pem: certificate 2 (CN=Old) has expired on "), "{expired}");
    assert!(expired.ends_with("; clients of this CA are refused"), "{expired}");
    assert_eq!(
        no_ca,
        "ca.pem: certificate 3 (CN=a.example) is not a CA's, so it has signed no client's \
         certificate"
    );
    assert_eq!(
        no_list,
        "ca.pem: certificate 4 (CN=Below) has no list in `client_crl`, so clients of this CA are \
         refused"
    );
    let client = place.client().showing(&client_of(&old, 1), &[]);
    let unknown = place.refused(&format!("{REQUIRED}client_crl = \"crl.pem\"\n"), &client);
    assert_eq!(unknown, AlertDescription::UnknownCA);
}

#[test]
fn who_resumes_is_checked_as_at_the_beginning() {
    let place = Place::new();
    let now = SystemTime::now();
    let until = |days: u32| (now + days * DAY).into();
    let key = KeyPair::generate().unwrap();
    let leaf = place.below.leaf_with(&["client"], key, |params| params.not_after = until(3));
    place.folder.write("root.crl", place.root.crl(&[], 6 * DAY).pem().unwrap());
    place.folder.write("below.crl", place.below.crl(&[], 9 * DAY).pem().unwrap());
    let chain = [leaf.der(), place.below.der()];
    let at = |days: u32| {
        UnixTime::since_unix_epoch(
            (now + days * DAY).duration_since(SystemTime::UNIX_EPOCH).unwrap(),
        )
    };
    let checked = |more: &str, chain: &[CertificateDer<'_>], days| {
        let profile = place.folder.load_usual(more);
        profile.select(Some("a.example")).unwrap().check_resumed(chain, at(days))
    };
    assert_eq!(checked(OPTIONAL, &chain, 2), Ok(()));
    let expired = checked(OPTIONAL, &chain, 4).unwrap_err();
    assert!(matches!(expired, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })));
    assert_eq!(checked(OPTIONAL, &[], 4), Ok(()), "it has shown none");
    let crl = format!("{OPTIONAL}client_crl = [\"root.crl\", \"below.crl\"]\n");
    assert_eq!(checked(&crl, &chain, 2), Ok(()));
    place.folder.write("below.crl", place.below.crl(&[], 2 * DAY).pem().unwrap());
    let too_old = checked(&crl, &chain, 2).unwrap_err();
    let is_expected = matches!(
        too_old,
        Error::InvalidCertificate(CertificateError::ExpiredRevocationListContext { .. })
    );
    assert!(is_expected, "{too_old:?}");
    let other = place.servers.leaf(&["client"]);
    assert!(checked(OPTIONAL, &[other.der()], 2).is_err(), "of another CA");
}
