//! Profiles that take the place of others.

use std::sync::Arc;
use std::time::SystemTime;

use super::authority::{Authority, DAY};
use super::client::{Client, ONLY_12, ONLY_13, connect};
use super::folder::Folder;
use crate::tls::{Profile, load};

const OPTIONAL: &str = "client_auth = \"optional\"\nclient_ca = \"ca.pem\"\n";
const REQUIRED: &str = "client_auth = \"required\"\nclient_ca = \"ca.pem\"\n";

/// Whether a client that was connected to `old` resumes its session with `new`, with both versions
/// of TLS.
fn resumes(client: &Client, old: &Profile, new: &Profile) -> bool {
    let [one, other] = [ONLY_12, ONLY_13].map(|versions| {
        let config = client.clone().with_versions(versions).config();
        assert!(!connect(&config, old, "a.example").unwrap().resumed());
        connect(&config, new, "a.example").unwrap().resumed()
    });
    assert_eq!(one, other);
    one
}

#[test]
fn sessions_outlive_a_reload_that_changes_nothing_about_who_is_who() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    let client = Client::of(&authority);
    let old = folder.load_usual("");
    for more in ["", "alpn = \"h2\"\n", "truncation = \"eof\"\n"] {
        let new = folder.loaded(Profile::load(&folder.usual(more), Some(&old)));
        assert!(resumes(&client, &old, &new), "{more}");
        assert_eq!(new.is_like(&old), more.is_empty());
    }
}

#[test]
fn sessions_end_with_the_certificate() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    let old = folder.load_usual("");
    folder.write_leaf("", &authority.leaf(&["a.example"]));
    let new = folder.loaded(Profile::load(&folder.usual(""), Some(&old)));
    assert!(!new.is_like(&old));
    assert!(!resumes(&Client::of(&authority), &old, &new));
}

#[test]
fn sessions_end_when_other_clients_are_let_in() {
    let authority = Authority::root("CA");
    let clients = Authority::root("Clients");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    folder.write("ca.pem", clients.pem());
    folder.write("crl.pem", clients.crl(&[], 30 * DAY).pem().unwrap());
    let leaf = Arc::new(clients.leaf(&["client"]));
    let client = Client::of(&authority).showing(&leaf, &[]);
    let with_list = format!("{REQUIRED}client_crl = \"crl.pem\"\n");
    let with_leaf = format!("{with_list}client_crl_scope = \"leaf\"\n");
    let all = ["", OPTIONAL, REQUIRED, &with_list, &with_leaf];
    for before in all {
        let old = folder.load_usual(before);
        for after in all {
            let new = folder.loaded(Profile::load(&folder.usual(after), Some(&old)));
            assert_eq!(resumes(&client, &old, &new), before == after, "{before}{after}");
        }
    }
    let old = folder.load_usual(&with_list);
    folder.write("crl.pem", clients.crl(&[1], 30 * DAY).pem().unwrap());
    let new = folder.loaded(Profile::load(&folder.usual(&with_list), Some(&old)));
    assert!(!resumes(&client, &old, &new));
    folder.write("ca.pem", clients.pem() + &Authority::root("More").pem());
    let newest = folder.loaded(Profile::load(&folder.usual(&with_list), Some(&new)));
    assert!(!resumes(&client, &new, &newest));
}

#[test]
fn a_bad_file_is_no_profile_and_the_old_one_is_as_it_was() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    let old = folder.load_usual("");
    let next = authority.leaf(&["a.example"]);
    // Renewal changes one file at a time.
    folder.write("cert.pem", next.pem());
    let errors = folder.errors(Profile::load(&folder.usual(""), Some(&old)));
    assert_eq!(
        errors,
        "portcell.toml:8: key.pem: this is not the key of certificate 1 (CN=a.example) in cert.pem"
    );
    assert!(Client::of(&authority).connect(&old, "a.example").is_ok());
    folder.write("key.pem", next.key_pem());
    let new = folder.loaded(Profile::load(&folder.usual(""), Some(&old)));
    let connected = Client::of(&authority).connect(&new, "a.example").unwrap();
    assert_eq!(connected.shown(), next.der());
    std::fs::remove_file(folder.path("key.pem")).unwrap();
}

#[test]
fn what_is_in_use_is_not_refused_for_its_age() {
    let authority = Authority::root("CA");
    let clients = Authority::root("Clients");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    folder.write("ca.pem", clients.pem());
    folder.write("crl.pem", clients.crl(&[], 100 * DAY).pem().unwrap());
    let config = folder
        .usual("client_auth = \"required\"\nclient_ca = \"ca.pem\"\nclient_crl = \"crl.pem\"\n");
    let old = folder.loaded(Profile::load(&config, None));
    assert_eq!(folder.warnings(&old), [""; 0]);
    let at =
        |days: u32, old: Option<&Profile>| load::load(&config, old, SystemTime::now() + days * DAY);
    let soon = folder.loaded(at(80, None));
    let [warning] = &folder.warnings(&soon)[..] else { panic!() };
    assert!(warning.starts_with("cert.pem: certificate 1 (CN=a.example) expires on "), "{warning}");
    assert!(warning.ends_with(", in 9 days; renew it"), "{warning}");
    let late = folder.loaded(at(101, Some(&old)));
    let [list, certificate] = &folder.warnings(&late)[..] else { panic!() };
    assert!(
        list.starts_with("crl.pem: list 1 (of CN=Clients) was due to be replaced on "),
        "{list}"
    );
    assert!(
        certificate.starts_with("cert.pem: certificate 1 (CN=a.example) has expired on "),
        "{certificate}"
    );
    // For a start it is too late, and for files that are new.
    let refused = folder.errors(at(101, None));
    assert_eq!(refused.lines().count(), 2, "{refused}");
    assert!(refused.lines().all(|line| line.starts_with("portcell.toml:")), "{refused}");
    folder.write_leaf("", &authority.leaf(&["a.example"]));
    let refused = folder.errors(at(101, Some(&old)));
    assert!(refused.contains("cert.pem: certificate 1 (CN=a.example) has expired on"), "{refused}");
}

#[test]
fn what_cannot_be_used_stays_and_the_rest_is_renewed() {
    let authority = Authority::root("CA");
    let folder = Folder::with(&authority.leaf(&["a.example"]));
    folder.write("ca.pem", authority.pem());
    folder.write_leaf("b-", &authority.leaf(&["b.example"]));
    let config = format!(
        "{OPTIONAL}[[listener.tls.name]]\nname = \"b.example\"\n\
         certificate = \"b-cert.pem\"\nkey = \"b-key.pem\"\n"
    );
    let old = folder.load_usual(&config);
    let client = Client::of(&authority);
    let shown = |profile: &Profile, name| client.connect(profile, name).unwrap().shown();
    assert!(matches!(old.renew(), (Some(same), None) if same.is_like(&old)));
    for broken in ["cert.pem", "ca.pem"] {
        let new = authority.leaf(&["b.example"]);
        folder.write_leaf("b-", &new);
        folder.write(broken, "nothing");
        let (renewed, errors) = old.renew();
        let (renewed, errors) = (renewed.unwrap(), errors.unwrap().to_string());
        assert!(errors.contains(broken), "{errors}");
        assert!(!renewed.is_like(&old));
        assert_eq!(shown(&renewed, "a.example"), shown(&old, "a.example"));
        assert_eq!(shown(&renewed, "b.example"), new.der());
    }
}
