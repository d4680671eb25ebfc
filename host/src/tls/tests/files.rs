//! What is wrong with files, in words.

use std::time::SystemTime;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};

use super::authority::{Authority, DAY, Leaf};
use super::folder::Folder;

/// A CA and a folder with a certificate of it.
fn place() -> (Authority, Leaf, Folder) {
    let authority = Authority::root("CA");
    let leaf = authority.leaf(&["a.example"]);
    let folder = Folder::with(&leaf);
    (authority, leaf, folder)
}

const USUAL: &str = "certificate = \"cert.pem\"\nkey = \"key.pem\"\n";

/// What is said of a folder, which is one line about one file.
fn refused(folder: &Folder, more: &str) -> String {
    let errors = folder.refused(&format!("{USUAL}{more}"));
    let line = errors.strip_prefix("portcell.toml:").unwrap_or_else(|| panic!("{errors}"));
    line.split_once(": ").unwrap_or_else(|| panic!("{errors}")).1.to_owned()
}

/// What is said when the certificate's file has this content.
fn of_certificate(folder: &Folder, content: impl AsRef<[u8]>) -> String {
    folder.write("cert.pem", content);
    refused(folder, "")
}

/// What is said when the key's file has this content.
fn of_key(folder: &Folder, content: impl AsRef<[u8]>) -> String {
    folder.write("key.pem", content);
    refused(folder, "")
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let (_, _, folder) = place();
    assert_eq!(of_certificate(&folder, ""), "cert.pem: it is empty");
    assert_eq!(
        of_certificate(&folder, vec![b'#'; 1024 * 1024 + 1]),
        "cert.pem: it is larger than 1MiB, the most for such a file"
    );
    std::fs::remove_file(folder.path("cert.pem")).unwrap();
    assert_eq!(refused(&folder, ""), "cert.pem: there is no such file");
    std::fs::create_dir(folder.path("cert.pem")).unwrap();
    assert_eq!(refused(&folder, ""), "cert.pem: this is not a file");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let (authority, leaf, folder) = place();
    folder.write_leaf("b-", &authority.leaf(&["b.example"]));
    folder.write("other.pem", leaf.pem());
    folder.write("ca.pem", "");
    let errors = folder.refused(
        "certificate = \"gone.pem\"\nclient_auth = \"required\"\nclient_ca = [\"ca.pem\", \"no.pem\"]\n\
         [[listener.tls.name]]\nname = \"b.example\"\ncertificate = \"b-cert.pem\"\nkey = \"b-key.pem\"\n\
         [[listener.tls.name]]\nname = \"c.example\"\ncertificate = \"other.pem\"\nkey = \"key.pem\"\n",
    );
    assert_eq!(
        errors,
        "portcell.toml:9: ca.pem: it is empty\n\
         portcell.toml:9: no.pem: there is no such file\n\
         portcell.toml:7: gone.pem: there is no such file\n\
         portcell.toml:16: other.pem: certificate 1 (CN=a.example) is not for `c.example`, for \
         which it is to be shown; it is for a.example"
    );
}

#[test]
fn files_with_something_else_are_refused_with_what_they_have() {
    let (authority, leaf, folder) = place();
    assert_eq!(
        of_certificate(&folder, leaf.key_pem()),
        "cert.pem: there is no certificate in it; it has PRIVATE KEY"
    );
    let neither = "cert.pem: there is no certificate in it; it is not PEM, and not DER of one";
    for content in ["hello", "-----BEGIN", "\u{fffd}\u{fffd}"] {
        assert_eq!(of_certificate(&folder, content), neither);
    }
    assert_eq!(
        of_certificate(&folder, [&leaf.der()[..], b"\n"].concat()),
        neither,
        "there is something behind it"
    );
    folder.write("cert.pem", leaf.pem());
    assert_eq!(
        of_key(&folder, leaf.pem() + &authority.pem()),
        "key.pem: there is no private key in it; it has CERTIFICATE"
    );
    assert_eq!(
        of_key(&folder, "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"),
        "key.pem: there is no private key in it; it has PUBLIC KEY"
    );
    let not_der = "key.pem: there is no private key in it; it is not PEM, and not DER of one";
    assert_eq!(of_key(&folder, "secret"), not_der);
    assert_eq!(of_key(&folder, leaf.der()), not_der);
    let many: String = ["A", "B", "C", "D", "E", "F", "G"]
        .map(|label| format!("-----BEGIN {label}-----\n-----END {label}-----\n"))
        .concat();
    assert_eq!(
        of_key(&folder, many),
        "key.pem: there is no private key in it; it has A, B, C, D, E and 2 more"
    );
    assert_eq!(
        refused(&folder, "ocsp = \"cert.pem\"\n"),
        "key.pem: there is no private key in it; it has A, B, C, D, E and 2 more"
    );
}

#[test]
fn a_key_in_the_form_of_openssh_is_refused_with_what_to_do() {
    let (_, _, folder) = place();
    let label = "OPENSSH PRIVATE KEY";
    assert_eq!(
        of_key(&folder, format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")),
        "key.pem: there is no private key in it; this key is in OpenSSH's own form; convert it \
         with `ssh-keygen -p -m PEM -f FILE`"
    );
}

#[test]
fn broken_pem_is_refused_with_its_line() {
    let (_, leaf, folder) = place();
    let pem = leaf.pem();
    let broken = format!("# a comment\n\n{}", pem.replacen("MII", "M!!", 1));
    assert_eq!(
        of_certificate(&folder, broken),
        "cert.pem: line 3: the CERTIFICATE that begins here is not good PEM: it is not base64"
    );
    let cut = pem.split("-----END").next().unwrap();
    assert_eq!(
        of_certificate(&folder, format!("{pem}{cut}")),
        format!(
            "cert.pem: line {}: the CERTIFICATE that begins here is not good PEM: it has no end",
            pem.lines().count() + 1
        )
    );
    assert_eq!(
        of_certificate(&folder, pem.replacen("CERTIFICATE-----", "CERTIFICATE---", 1)),
        "cert.pem: line 1: the CERTIFICATE that begins here is not good PEM: its first line is \
         broken"
    );
    folder.write("cert.pem", &pem);
    assert_eq!(
        of_key(&folder, leaf.key_pem().replace("-----END", "-----FIN")),
        "key.pem: line 1: the PRIVATE KEY that begins here is not good PEM: it has no end"
    );
}

#[test]
fn pem_is_read_as_editors_of_all_systems_write_it() {
    let (_, leaf, folder) = place();
    let (pem, key) = (leaf.pem(), leaf.key_pem());
    for (certificate, key) in [
        (format!("\u{feff}{pem}"), format!("\u{feff}{key}")),
        (pem.replace('\n', "\r\n"), key.replace('\n', "\r\n")),
        (format!("subject=CN = a.example\n\n{pem}"), format!("Bag Attributes\n{key}")),
        (pem.trim_end().to_owned(), key.trim_end().to_owned()),
    ] {
        folder.write("cert.pem", certificate);
        folder.write("key.pem", key);
        folder.load_usual("");
    }
}

#[test]
fn der_and_files_with_both_are_read() {
    let (_, leaf, folder) = place();
    folder.write("cert.der", leaf.der());
    folder.write("key.der", leaf.key_der().secret_der());
    folder.load("certificate = \"cert.der\"\nkey = \"key.der\"\n");
    folder.write("both.pem", leaf.key_pem() + &leaf.pem());
    folder.load("certificate = \"both.pem\"\n");
    assert_eq!(
        folder.refused("certificate = \"cert.der\"\n"),
        "portcell.toml:7: cert.der: there is no private key in it; it is not PEM, and not DER of \
         one"
    );
}

#[test]
fn certificates_that_are_none_are_counted() {
    let (authority, leaf, folder) = place();
    let mut broken = leaf.der().to_vec();
    let end = broken.len() - 20;
    broken.truncate(end);
    broken[2..4].copy_from_slice(&u16::try_from(end - 4).unwrap().to_be_bytes());
    let said = of_certificate(&folder, broken);
    assert!(said.starts_with("cert.pem: certificate 1 cannot be read: "), "{said}");
    let label = "CERTIFICATE";
    let second = format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
    let said = of_certificate(&folder, leaf.pem() + &second + &authority.pem());
    assert!(said.starts_with("cert.pem: certificate 2 cannot be read: "), "{said}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (authority, _, folder) = place();
    let other = authority.leaf(&["a.example"]);
    assert_eq!(
        of_key(&folder, other.key_pem()),
        "key.pem: this is not the key of certificate 1 (CN=a.example) in cert.pem"
    );
    assert_eq!(
        of_key(&folder, other.key_pem() + &other.key_pem()),
        "key.pem: there are 2 private keys in it; leave only the one of the certificate"
    );
}

#[test]
fn a_chain_is_in_order() {
    let root = Authority::root("Root");
    let upper = root.below("Upper");
    let lower = upper.below("Lower");
    let leaf = lower.leaf(&["a.example"]);
    let folder = Folder::with(&leaf);
    let order = "the server's certificate is the first, and each one has issued the one before it";
    assert_eq!(
        of_certificate(&folder, leaf.pem() + &upper.pem() + &lower.pem()),
        format!(
            "cert.pem: certificate 2 (CN=Upper) has not issued certificate 1 (CN=a.example), \
             whose issuer is CN=Lower; {order}"
        )
    );
    assert_eq!(
        of_certificate(&folder, lower.pem() + &leaf.pem()),
        format!(
            "cert.pem: certificate 2 (CN=a.example) has not issued certificate 1 (CN=Lower), \
             whose issuer is CN=Upper; {order}"
        )
    );
    assert_eq!(
        of_certificate(&folder, leaf.pem() + &lower.pem() + &root.pem()),
        format!(
            "cert.pem: certificate 3 (CN=Root) has not issued certificate 2 (CN=Lower), whose \
             issuer is CN=Upper; {order}"
        )
    );
    // The issuer has a new key, and its old certificate was left in the chain.
    assert_eq!(
        of_certificate(&folder, leaf.pem() + &Authority::root("Upper").below("Lower").pem()),
        "cert.pem: certificate 1 (CN=a.example) was not signed with the key of certificate 2 \
         (CN=Lower); take the issuer's certificate that came with it"
    );
    folder.write("cert.pem", leaf.pem() + &lower.pem() + &upper.pem() + &root.pem());
    folder.load_usual("");
}

fn from_to(params: &mut CertificateParams, from: SystemTime, to: SystemTime) {
    (params.not_before, params.not_after) = (from.into(), to.into());
}

#[test]
fn dates_are_checked() {
    let authority = Authority::root("CA");
    let now = SystemTime::now();
    let leaf = |from: SystemTime, to: SystemTime| {
        let key = KeyPair::generate().unwrap();
        authority.leaf_with(&["a.example"], key, |params| from_to(params, from, to))
    };
    let date = |when| humantime::format_rfc3339_seconds(when).to_string();
    let ended = now - DAY;
    assert_eq!(
        refused(&Folder::with(&leaf(now - 2 * DAY, ended)), ""),
        format!("cert.pem: certificate 1 (CN=a.example) has expired on {}; renew it", date(ended))
    );
    let begins = now + DAY;
    assert_eq!(
        refused(&Folder::with(&leaf(begins, now + 2 * DAY)), ""),
        format!(
            "cert.pem: certificate 1 (CN=a.example) is good only from {} on; is the clock right?",
            date(begins)
        )
    );
    for (left, said) in [(13, Some("in 13 days")), (1, Some("in a day")), (0, Some("within a day"))]
    {
        let ends = now + left * DAY + DAY / 2;
        let folder = Folder::with(&leaf(ended, ends));
        let warnings = folder.warnings(&folder.load_usual(""));
        let expected = said.map(|said| {
            let which = "certificate 1 (CN=a.example)";
            format!("cert.pem: {which} expires on {}, {said}; renew it", date(ends))
        });
        assert_eq!(warnings, Vec::from_iter(expected));
    }
    let folder = Folder::with(&leaf(ended, now + 14 * DAY + DAY / 2));
    assert_eq!(folder.warnings(&folder.load_usual("")), [""; 0]);
}

#[test]
fn an_old_certificate_anywhere_in_the_chain_is_refused() {
    let root = Authority::root("Root");
    let old = root.below_with("Old", |params| {
        from_to(params, SystemTime::now() - 2 * DAY, SystemTime::now() - DAY);
    });
    let leaf = old.leaf(&["a.example"]);
    let said = of_certificate(&Folder::with(&leaf), leaf.pem() + &old.pem());
    assert!(said.starts_with("cert.pem: certificate 2 (CN=Old) has expired on "), "{said}");
}

#[test]
fn a_certificate_is_for_the_names_that_it_is_shown_for() {
    let authority = Authority::root("CA");
    let name = |name: &str| format!("[[listener.tls.name]]\nname = \"{name}\"\n");
    let leaf = authority.leaf(&["a.site.example", "*.wild.example", "192.0.2.1"]);
    let folder = Folder::with(&leaf);
    for good in ["a.site.example", "A.Site.Example.", "b.wild.example", "*.wild.example"] {
        folder.load_usual(&name(good));
    }
    let has = "a.site.example, *.wild.example, 192.0.2.1";
    for bad in ["b.site.example", "*.site.example", "b.c.wild.example", "wild.example"] {
        assert_eq!(
            refused(&folder, &name(bad)),
            format!(
                "cert.pem: certificate 1 (CN=a.site.example) is not for `{bad}`, for which it is \
                 to be shown; it is for {has}"
            )
        );
    }
    let many: Vec<_> = (0..7).map(|i| format!("n{i}.example.test")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let said = refused(&Folder::with(&authority.leaf(&many)), &name("b.site.example"));
    assert!(said.ends_with(", n3.example.test, n4.example.test and 2 more"), "{said}");
}

#[test]
fn a_certificate_without_names_is_a_warning_until_it_is_for_one() {
    let authority = Authority::root("CA");
    let key = KeyPair::generate().unwrap();
    let leaf = authority.leaf_with(&[], key, |params| {
        params.distinguished_name.push(DnType::CommonName, "a.example, or \"not\"\n");
    });
    let folder = Folder::with(&leaf);
    let which = r#"certificate 1 (CN=a.example\, or \"not\"\0a)"#;
    assert_eq!(
        folder.warnings(&folder.load_usual("")),
        [format!(
            "cert.pem: {which} has no names (subjectAltName), so clients that check it will \
             refuse it"
        )]
    );
    assert_eq!(
        refused(&folder, "[[listener.tls.name]]\nname = \"a.example\"\n"),
        format!(
            "cert.pem: {which} is not for `a.example`, for which it is to be shown; it is for no \
             name at all"
        )
    );
}

#[test]
fn a_certificate_without_a_subject_is_called_by_its_first_name() {
    let authority = Authority::root("CA");
    let key = KeyPair::generate().unwrap();
    let leaf = authority.leaf_with(&["a.example"], key, |params| {
        params.distinguished_name.remove(DnType::CommonName);
    });
    let said = refused(&Folder::with(&leaf), "[[listener.tls.name]]\nname = \"b.example\"\n");
    assert!(said.starts_with("cert.pem: certificate 1 (a.example) is not for"), "{said}");
}

#[test]
fn there_is_a_suite_for_the_key() {
    let authority = Authority::root("CA");
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let folder = Folder::with(&authority.leaf_with(&["a.example"], rsa, |_| ()));
    let ecdsa = "ciphers = [\"ECDHE-ECDSA-AES128-GCM-SHA256\", \"TLS_AES_128_GCM_SHA256\"]\n";
    assert_eq!(
        folder.warnings(&folder.load_usual(ecdsa)),
        ["cert.pem: none of `ciphers` is for TLS 1.2 and a key like this one (RSA), so clients \
          that know only 1.2 will be refused"]
    );
    assert_eq!(
        refused(&folder, "versions = \"1.2\"\nciphers = \"ECDHE-ECDSA-AES128-GCM-SHA256\"\n"),
        "cert.pem: none of `ciphers` is for a key like this one (RSA), so nobody could connect; \
         add some, or leave `ciphers` out"
    );
}

#[test]
fn an_ocsp_response_has_an_answer() {
    let (_, leaf, folder) = place();
    let of_ocsp = |content: &[u8]| {
        folder.write("ocsp.der", content);
        refused(&folder, "ocsp = \"ocsp.der\"\n")
    };
    let none = "ocsp.der: this is not an OCSP response in DER; `openssl ocsp -respout FILE` \
                writes one";
    for content in
        [&leaf.der()[..], b"x", &[0x30, 0], &[0x30, 3, 0x0a, 1, 0, 0], &[0x30, 2, 0x0a, 0]]
    {
        assert_eq!(of_ocsp(content), none);
    }
    assert_eq!(
        of_ocsp(&[0x30, 3, 0x0a, 1, 3]),
        "ocsp.der: this OCSP response says that its responder could not answer (status 3); get \
         another"
    );
    std::fs::remove_file(folder.path("ocsp.der")).unwrap();
    assert_eq!(refused(&folder, "ocsp = \"ocsp.der\"\n"), "ocsp.der: there is no such file");
}

#[test]
fn files_about_clients_are_checked() {
    let (authority, leaf, folder) = place();
    let clients = Authority::root("Clients");
    let more = "client_auth = \"required\"\nclient_ca = \"ca.pem\"\nclient_crl = \"crl.pem\"\n";
    let good_crl = clients.crl(&[], 30 * DAY);
    folder.write("ca.pem", clients.pem());
    let of_crl = |content: &[u8]| {
        folder.write("crl.pem", content);
        refused(&folder, more)
    };
    let wanted = "crl.pem: there is no list of revoked certificates (X509 CRL) in it";
    assert_eq!(of_crl(leaf.pem().as_bytes()), format!("{wanted}; it has CERTIFICATE"));
    assert_eq!(of_crl(b"x"), format!("{wanted}; it is not PEM, and not DER of one"));
    let said = of_crl(&leaf.der());
    assert!(said.starts_with("crl.pem: list 1 cannot be read: "), "{said}");
    // What follows the dates is left to rustls.
    let mut broken = good_crl.der().to_vec();
    let at = broken.windows(5).position(|bytes| bytes == [6, 3, 0x55, 0x1d, 0x14]).unwrap();
    broken[at + 4] = 0x1b; // the number of the list becomes the mark of a part of one
    let said = of_crl(&broken);
    assert!(said.starts_with("crl.pem: list 1 cannot be read: "), "{said}");
    let old = clients.crl(&[], DAY / 2).pem().unwrap();
    let said = of_crl((good_crl.pem().unwrap() + &old).as_bytes());
    let start = "crl.pem: list 2 (of CN=Clients) was due to be replaced on ";
    let end = "; with it all clients of this issuer would be refused: get the new one";
    assert!(said.starts_with(start) && said.ends_with(end), "{said}");
    folder.write("crl.pem", good_crl.der());
    let of_ca = |content: String| {
        folder.write("ca.pem", content);
        refused(&folder, more)
    };
    assert_eq!(of_ca(leaf.key_pem()), "ca.pem: there is no certificate in it; it has PRIVATE KEY");
    let when = |from: i32, to: i32| {
        let day = |days: i32| match u32::try_from(days) {
            Ok(days) => SystemTime::now() + days * DAY,
            Err(_) => SystemTime::now() - days.unsigned_abs() * DAY,
        };
        Authority::root_with("Other", |params| from_to(params, day(from), day(to))).pem()
    };
    assert_eq!(
        of_ca(when(-2, -1)),
        "ca.pem: all certificates in it have expired; nobody's certificate could be checked"
    );
    let said = of_ca(authority.pem() + &when(1, 2));
    assert!(said.starts_with("ca.pem: certificate 2 (CN=Other) is good only from "), "{said}");
}
