//! Which certificate and which handler a name has.

use std::sync::Arc;

use super::authority::Authority;
use super::client::{Client, Failed};
use super::folder::Folder;
use crate::tls::{Profile, UnknownName};

const NAMES: &str = "\
[[listener.tls.name]]
name = \"a.site.example\"
certificate = \"a-cert.pem\"
key = \"a-key.pem\"
handler = \"other\"
[[listener.tls.name]]
name = \"*.site.example\"
certificate = \"wild-cert.pem\"
key = \"wild-key.pem\"
[[listener.tls.name]]
name = \"b.site.example\"
certificate = \"wild-cert.pem\"
key = \"wild-key.pem\"
handler = \"other\"
";

fn folder(authority: &Authority) -> Folder {
    let folder = Folder::with(&authority.leaf(&["default.test"]));
    folder.write_leaf("a-", &authority.leaf(&["a.site.example"]));
    folder.write_leaf("wild-", &authority.leaf(&["*.site.example"]));
    folder
}

/// What a name gets: the names that others with the same certificate have, and the handler.
fn selected(profile: &Profile, name: Option<&str>) -> (&'static str, Option<Arc<str>>) {
    let Ok(selected) = profile.select(name) else { return ("nothing", None) };
    let of = |name: &str| {
        profile.select(Some(name)).is_ok_and(|other| Arc::ptr_eq(&other.server, &selected.server))
    };
    let which = [("a.site.example", "a"), ("x.site.example", "wild"), ("nobody", "default")];
    let which = which.into_iter().find(|(name, _)| of(name)).map_or("?", |(_, which)| which);
    (which, selected.handler)
}

#[test]
fn a_whole_name_comes_before_a_wildcard_and_that_before_the_default() {
    let authority = Authority::root("CA");
    let folder = folder(&authority);
    let other = || Some(Arc::from("other"));
    let profile = folder.load_usual(NAMES);
    for (name, which, handler) in [
        (Some("a.site.example"), "a", other()),
        (Some("A.SITE.EXAMPLE"), "a", other()),
        (Some("a.site.example."), "a", other()),
        (Some("b.site.example"), "wild", other()),
        (Some("c.site.example"), "wild", None),
        (Some("C.Site.Example."), "wild", None),
        (Some("a.b.site.example"), "default", None),
        (Some("site.example"), "default", None),
        (Some("*.site.example"), "wild", None),
        (Some(""), "default", None),
        (Some("."), "default", None),
        (None, "default", None),
    ] {
        assert_eq!(selected(&profile, name), (which, handler), "{name:?}");
    }
    let names = ["cert.pem", "key.pem", "a-cert.pem", "a-key.pem", "wild-cert.pem", "wild-key.pem"];
    assert_eq!(profile.files(), names.map(|name| folder.path(name)));
}

#[test]
fn without_a_default_others_are_told_that_their_name_is_unknown() {
    let authority = Authority::root("CA");
    let profile = folder(&authority).load(NAMES);
    let unknown = |name: Option<&str>| profile.select(name).unwrap_err();
    assert_eq!(unknown(Some("No.Where.")), UnknownName(Some("no.where".to_owned())));
    assert_eq!(unknown(Some("no.where")).to_string(), "no certificate is for `no.where`");
    assert_eq!(unknown(None).to_string(), "the client asks for no name");
    match Client::of(&authority).connect(&profile, "no.where") {
        Err(Failed::Unknown(UnknownName(name))) => assert_eq!(name.as_deref(), Some("no.where")),
        other => panic!("{:?}", other.err()),
    }
    // A client sends no name for an address.
    match Client::of(&authority).connect(&profile, "127.0.0.1") {
        Err(Failed::Unknown(UnknownName(None))) => {}
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn the_alert_is_understood_by_clients() {
    let authority = Authority::root("CA");
    let name = "a.site.example".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Client::of(&authority).config(), name).unwrap();
    client.read_tls(&mut &UnknownName::ALERT[..]).unwrap();
    let alert = rustls::AlertDescription::UnrecognisedName;
    assert_eq!(client.process_new_packets(), Err(rustls::Error::AlertReceived(alert)));
}

#[test]
fn each_name_is_shown_its_certificate() {
    let authority = Authority::root("CA");
    let profile = folder(&authority).load_usual(NAMES);
    for name in ["a.site.example", "b.site.example", "c.site.example", "default.test"] {
        let connected = Client::of(&authority).connect(&profile, name).unwrap();
        let handler = connected.handler.as_deref();
        assert_eq!(handler.is_some(), matches!(name, "a.site.example" | "b.site.example"));
    }
}
