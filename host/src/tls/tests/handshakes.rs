//! What clients get of the settings of a profile.

use std::sync::Arc;

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, ClientConnection, Error, NamedGroup};

use super::authority::Authority;
use super::client::{BOTH, Client, Failed, ONLY_12, ONLY_13, connect};
use super::folder::Folder;
use crate::config::CIPHERS;

#[test]
fn the_default_is_the_best_of_both_versions() {
    let authority = Authority::root("CA");
    let profile = Folder::with(&authority.leaf(&["a.example"])).load_usual("");
    for (versions, version, group) in [
        (BOTH, "1.3", NamedGroup::X25519MLKEM768),
        (ONLY_13, "1.3", NamedGroup::X25519MLKEM768),
        (ONLY_12, "1.2", NamedGroup::X25519),
    ] {
        let client = Client::of(&authority).with_versions(versions);
        let mut connected = client.connect(&profile, "a.example").unwrap();
        assert_eq!(connected.version(), version);
        let agreed = connected.server.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(agreed, group);
        assert_eq!(connected.server.alpn_protocol(), None);
        connected.talk();
    }
    assert!(profile.warnings().is_empty());
    assert_eq!(profile.self_signed(), None);
}

#[test]
fn a_client_of_another_version_is_refused() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    for (versions, good, bad) in [("1.2", ONLY_12, ONLY_13), ("1.3", ONLY_13, ONLY_12)] {
        let profile = folder.load_usual(&format!("versions = \"{versions}\"\n"));
        let client = Client::of(&authority).with_versions(good);
        assert_eq!(client.connect(&profile, "a.example").unwrap().version(), versions);
        let client = Client::of(&authority).with_versions(bad);
        match client.connect(&profile, "a.example") {
            Err(Failed::Server(Error::PeerIncompatible(_))) => {}
            other => panic!("{:?}", other.err()),
        }
    }
}

#[test]
fn only_the_suites_that_were_written_are_used() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    folder.write_leaf("rsa-", &authority.leaf_with(&["a.example"], key, |_| ()));
    for cipher in CIPHERS {
        let (version, prefix) = match cipher.version {
            crate::config::Version::Tls13 => ("1.3", ""),
            crate::config::Version::Tls12 if cipher.iana.contains("ECDSA") => ("1.2", ""),
            crate::config::Version::Tls12 => ("1.2", "rsa-"),
        };
        let profile = folder.load(&format!(
            "certificate = \"{prefix}cert.pem\"\nkey = \"{prefix}key.pem\"\n\
             versions = \"{version}\"\nciphers = \"{}\"\n",
            cipher.openssl
        ));
        let connected = Client::of(&authority).connect(&profile, "a.example").unwrap();
        let suite = connected.server.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(suite, CipherSuite::from(cipher.code));
    }
}

#[test]
fn the_client_chooses_among_the_suites() {
    let authority = Authority::root("CA");
    let profile = Folder::with(&authority.leaf(&["a.example"])).load_usual("");
    let mut client = Client::of(&authority);
    let all = aws_lc_rs::default_provider().cipher_suites;
    for wanted in [0x1301, 0x1302, 0x1303].map(CipherSuite::from) {
        let mut suites = all.clone();
        suites.sort_by_key(|suite| suite.suite() != wanted);
        client.provider = CryptoProvider { cipher_suites: suites, ..client.provider };
        let connected = client.connect(&profile, "a.example").unwrap();
        assert_eq!(connected.server.negotiated_cipher_suite().unwrap().suite(), wanted);
    }
}

#[test]
fn a_protocol_is_agreed_on_or_the_client_is_refused() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    let profile = folder.load_usual("alpn = [\"h2\", \"http/1.1\"]\n");
    let client = |alpn: &[&'static str]| Client::of(&authority).with_alpn(alpn);
    for (alpn, agreed) in [
        (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let connected = client(alpn).connect(&profile, "a.example").unwrap();
        assert_eq!(connected.server.alpn_protocol(), agreed);
        assert_eq!(connected.client.alpn_protocol(), agreed);
    }
    match client(&["smtp"]).connect(&profile, "a.example") {
        Err(Failed::Server(Error::NoApplicationProtocol)) => {}
        other => panic!("{:?}", other.err()),
    }
    // Where nothing is configured, nobody is refused.
    let profile = folder.load_usual("");
    let connected = client(&["smtp"]).connect(&profile, "a.example").unwrap();
    assert_eq!(connected.server.alpn_protocol(), None);
}

#[test]
fn keys_of_every_kind_are_shown() {
    let authority = Authority::root("CA");
    for algorithm in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let leaf = authority.leaf_with(&["a.example"], key, |_| ());
        let profile = Folder::with(&leaf).load_usual("");
        for versions in [ONLY_12, ONLY_13] {
            let client = Client::of(&authority).with_versions(versions);
            let connected = client.connect(&profile, "a.example").unwrap();
            assert_eq!(connected.shown(), leaf.der());
        }
    }
}

#[test]
fn the_whole_chain_is_shown() {
    let root = Authority::root("Root");
    let upper = root.below("Upper");
    let lower = upper.below("Lower");
    let leaf = lower.leaf(&["a.example"]);
    let folder = Folder::new();
    folder.write("chain.pem", leaf.pem() + &lower.pem() + &upper.pem() + &leaf.key_pem());
    let profile = folder.load("certificate = \"chain.pem\"\n");
    let connected = Client::of(&root).connect(&profile, "a.example").unwrap();
    assert_eq!(connected.client.peer_certificates().unwrap().len(), 3);
    assert_eq!(profile.files(), [folder.path("chain.pem")]);
}

#[test]
fn an_ocsp_response_is_sent_as_it_is() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    folder.write("good.der", super::client::STAPLE);
    folder.write("other.der", [0x30, 5, 0x0a, 1, 0, 5, 0]);
    let connect = |file: &str| {
        let profile = folder.load_usual(&format!("ocsp = \"{file}\"\n"));
        Client::of(&authority).connect(&profile, "a.example").map(|_| ())
    };
    assert!(connect("good.der").is_ok());
    let refused = format!("{:?}", connect("other.der").unwrap_err());
    assert!(refused.contains("stapled: [48, 5, 10, 1, 0, 5, 0]"), "{refused}");
}

#[test]
fn sessions_are_resumed_with_the_same_name_only() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["*.site.example"]));
    let other = authority.leaf(&["other.example"]);
    folder.write_leaf("other-", &other);
    let profile = folder.load_usual(
        "[[listener.tls.name]]\nname = \"other.example\"\ncertificate = \"other-cert.pem\"\n\
         key = \"other-key.pem\"\n",
    );
    for versions in [ONLY_12, ONLY_13] {
        let config = Client::of(&authority).with_versions(versions).config();
        let connect = |name: &str| {
            let mut connected = connect(&config, &profile, name).unwrap();
            connected.talk();
            assert!(connected.server.early_data().is_none());
            connected.resumed()
        };
        assert!(!connect("a.site.example"));
        assert!(connect("a.site.example"));
        assert!(!connect("b.site.example"));
        assert!(!connect("other.example"));
        assert!(connect("other.example"));
    }
}

#[test]
fn a_ticket_of_one_certificate_is_nothing_to_another() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    let (one, two) = (folder.load_usual(""), folder.load_usual(""));
    for versions in [ONLY_12, ONLY_13] {
        let config = Client::of(&authority).with_versions(versions).config();
        assert!(!connect(&config, &one, "a.example").unwrap().resumed());
        assert!(!connect(&config, &two, "a.example").unwrap().resumed());
        assert!(connect(&config, &two, "a.example").unwrap().resumed());
    }
}

#[test]
fn a_certificate_for_development_is_made_and_kept() {
    let folder = Folder::new();
    let config = folder.config(
        "self_signed = true\n[[listener.tls.name]]\nname = \"a.example\"\nhandler = \"other\"\n",
    );
    let profile = folder.loaded(crate::tls::Profile::load(&config, None));
    let fingerprint = profile.self_signed().unwrap();
    assert_eq!(fingerprint.len(), 32 * 3 - 1);
    assert_eq!(folder.warnings(&profile), [""; 0]);
    assert!(profile.files().is_empty());
    let made = profile.select(None).unwrap();
    let again = folder.loaded(crate::tls::Profile::load(&config, Some(&profile)));
    assert_eq!(again.self_signed().as_ref(), Some(&fingerprint));
    assert!(!Arc::ptr_eq(&made.server, &again.select(None).unwrap().server));
    let other = folder.loaded(crate::tls::Profile::load(&config, None));
    assert_ne!(other.self_signed(), Some(fingerprint));
    let shown = profile.shown[0].certified.cert[0].clone();
    for name in ["localhost", "127.0.0.1", "::1", "a.example"] {
        let connected = Client::trusting(&shown).connect(&profile, name).unwrap();
        assert_eq!(connected.handler.as_deref(), (name == "a.example").then_some("other"));
    }
}

#[test]
fn a_client_that_trusts_nobody_here_says_so() {
    let authority = Authority::root("CA");
    let profile = Folder::with(&authority.leaf(&["a.example"])).load_usual("");
    match Client::of(&Authority::root("Other")).connect(&profile, "a.example") {
        Err(Failed::Client(Error::InvalidCertificate(_))) => {}
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn early_data_is_never_accepted() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    let profile = folder.load_usual("");
    let mut config = ClientConfig::clone(&Client::of(&authority).with_versions(ONLY_13).config());
    config.enable_early_data = true;
    let config = Arc::new(config);
    assert!(!connect(&config, &profile, "a.example").unwrap().resumed());
    let name = ServerName::try_from("a.example").unwrap();
    let mut client = ClientConnection::new(Arc::clone(&config), name).unwrap();
    assert!(client.early_data().is_none(), "the session allows none");
    assert!(connect(&config, &profile, "a.example").unwrap().resumed());
}
