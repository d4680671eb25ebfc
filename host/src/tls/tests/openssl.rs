//! Files as OpenSSL writes them.

use std::process::Command;

use super::authority::Authority;
use super::client::Client;
use super::folder::Folder;

/// Runs `openssl` in the folder with the words of `arguments`.
fn openssl(folder: &Folder, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder.path(""))
        .output()
        .unwrap_or_else(|error| panic!("openssl (Debian: apt-get install openssl): {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
}

/// A folder with `key.pem` of this kind, in PKCS#8, and a certificate of it in `cert.pem`.
fn folder(kind: &str) -> Folder {
    let folder = Folder::new();
    openssl(&folder, &format!("genpkey -out key.pem -outform PEM {kind}"));
    openssl(
        &folder,
        "req -x509 -key key.pem -out cert.pem -days 90 -subj /CN=a.example \
         -addext subjectAltName=DNS:a.example",
    );
    folder
}

const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

#[test]
fn keys_of_every_form_are_read() {
    for (kind, traditional) in [(RSA, "rsa"), (P256, "ec")] {
        let folder = folder(kind);
        openssl(&folder, "pkey -in key.pem -out pkcs8.der -outform DER");
        openssl(&folder, "pkey -in key.pem -out traditional.pem -traditional");
        openssl(&folder, &format!("{traditional} -in traditional.pem -out other.der -outform DER"));
        let mut keys = vec!["key.pem", "pkcs8.der", "traditional.pem", "other.der"];
        if kind == P256 {
            // With the block EC PARAMETERS in front.
            openssl(&folder, "ecparam -name prime256v1 -genkey -out with-parameters.pem");
            let text = std::fs::read_to_string(folder.path("with-parameters.pem")).unwrap();
            assert!(text.starts_with("-----BEGIN EC PARAMETERS-----"), "{text}");
            let parameters = text.split("-----BEGIN EC PRIVATE").next().unwrap();
            let key = std::fs::read_to_string(folder.path("traditional.pem")).unwrap();
            folder.write("with-parameters.pem", format!("{parameters}{key}"));
            keys.push("with-parameters.pem");
        }
        for key in keys {
            folder.load(&format!("certificate = \"cert.pem\"\nkey = \"{key}\"\n"));
        }
    }
}

#[test]
fn encrypted_keys_are_refused_by_that_name() {
    let folder = folder(RSA);
    openssl(&folder, "pkey -in key.pem -out pkcs8.pem -aes256 -passout pass:secret");
    openssl(&folder, "pkcs8 -topk8 -in key.pem -out pkcs8.der -outform DER -passout pass:secret");
    openssl(&folder, "rsa -in key.pem -out old.pem -traditional -aes128 -passout pass:secret");
    for (file, how) in [
        ("pkcs8.pem", "ENCRYPTED PRIVATE KEY"),
        ("pkcs8.der", "ENCRYPTED PRIVATE KEY"),
        ("old.pem", "Proc-Type: 4,ENCRYPTED"),
    ] {
        assert_eq!(
            folder.refused(&format!("certificate = \"cert.pem\"\nkey = \"{file}\"\n")),
            format!(
                "portcell.toml:8: {file}: the private key in it is encrypted ({how}), and nobody \
                 is there to give the passphrase; decrypt it with `openssl pkey -in OLD -out NEW`, \
                 and let only the server read the new file"
            )
        );
    }
    // What the message says helps.
    openssl(&folder, "pkey -in old.pem -out new.pem -passin pass:secret");
    folder.load("certificate = \"cert.pem\"\nkey = \"new.pem\"\n");
    // A certificate beside an encrypted key can be read.
    let text = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    folder.write("both.pem", text("old.pem") + &text("cert.pem"));
    folder.load("certificate = \"both.pem\"\nkey = \"new.pem\"\n");
}

#[test]
fn keys_of_other_kinds_are_refused() {
    for kind in [
        "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
        "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
        "-algorithm ED448",
    ] {
        let refused = folder(kind).refused("certificate = \"cert.pem\"\nkey = \"key.pem\"\n");
        assert_eq!(
            refused,
            "portcell.toml:8: key.pem: this private key cannot be used; those that can are RSA of \
             2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, and Ed25519",
            "{kind}"
        );
    }
}

#[test]
fn pkcs_12_is_refused_with_what_to_do() {
    let folder = folder(P256);
    openssl(&folder, "pkcs12 -export -in cert.pem -inkey key.pem -out both.p12 -passout pass:x");
    assert_eq!(
        folder.refused("certificate = \"both.p12\"\n"),
        "portcell.toml:7: both.p12: there is no certificate in it; this is PKCS#12; convert it \
         with `openssl pkcs12 -in OLD -nodes -out NEW`"
    );
    openssl(&folder, "pkcs12 -in both.p12 -nodes -out both.pem -passin pass:x");
    folder.load("certificate = \"both.pem\"\n");
}

#[test]
fn an_answer_of_a_real_responder_is_taken() {
    let authority = Authority::root("CA");
    let leaf = authority.leaf(&["a.example"]);
    let folder = Folder::with(&leaf);
    folder.write("ca.pem", authority.pem());
    folder.write("ca.key", authority.key_pem());
    folder.write("index.txt", "");
    openssl(
        &folder,
        "ocsp -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -issuer ca.pem \
         -cert cert.pem -noverify -respout ocsp.der",
    );
    let profile = folder.load_usual("ocsp = \"ocsp.der\"\n");
    let names: Vec<_> = ["cert.pem", "key.pem", "ocsp.der"].map(|name| folder.path(name)).into();
    assert_eq!(profile.files(), names);
    let refused = Client::of(&authority).connect(&profile, "a.example").err();
    let staple = format!("stapled: {:?}", std::fs::read(folder.path("ocsp.der")).unwrap());
    assert!(format!("{refused:?}").contains(&staple), "{refused:?}");
}

#[test]
fn the_fingerprint_is_what_openssl_prints() {
    let folder = Folder::new();
    let profile = folder.load("self_signed = true\n");
    folder.write("made.der", &profile.shown[0].certified.cert[0]);
    let output = Command::new("openssl")
        .args(["x509", "-in", "made.der", "-inform", "DER", "-noout", "-fingerprint", "-sha256"])
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let fingerprint = printed.trim().split_once('=').unwrap().1;
    assert_eq!(profile.self_signed().as_deref(), Some(fingerprint));
}
