//! Clients of others: OpenSSL's, curl, Python's.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::HandshakeKind;

use super::Secured;
use crate::harness::{Authority, Folder, Program, Server, TlsClient, plugin, wait_until};

/// `openssl s_client`, which must end well; gives what it writes, the text of the server last.
fn s_client(secured: &Secured, flags: &[&str]) -> (i32, String) {
    let output = Program::new("openssl")
        .arguments(&["s_client", "-connect", &format!("127.0.0.1:{}", secured.server.port())])
        .arguments(&["-CAfile", &secured.ca(), "-verify_return_error", "-ign_eof"])
        .arguments(flags)
        .run();
    (output.code, format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr))
}

#[test]
fn openssl_is_served_over_both_versions() {
    let secured = Secured::run(|_| plugin("daytime"), &["--tls-alpn", "daytime"]);
    for (version, flag) in [("1.2", "-tls1_2"), ("1.3", "-tls1_3")] {
        let flags = [flag, "-servername", "localhost", "-alpn", "other,daytime"];
        let (code, said) = s_client(&secured, &flags);
        assert_eq!(code, 0, "{said}");
        for text in ["Verify return code: 0 (ok)", "ALPN protocol: daytime", "CN = localhost"] {
            assert!(said.replace("CN=", "CN = ").contains(text), "{text}: {said}");
        }
        let receipts = secured.server.receipts(if version == "1.2" { 1 } else { 2 });
        let receipt = receipts.last().unwrap();
        assert_eq!(receipt["transport"], "tls");
        assert_eq!(receipt["tls"]["version"], version);
        assert_eq!(receipt["tls"]["server_name"], "localhost");
        assert_eq!(receipt["tls"]["alpn"], "daytime");
        assert!(receipt["tls"]["cipher"].as_str().unwrap().starts_with("TLS_"), "{receipt}");
        assert_eq!(receipt["exit"]["kind"], "ok");
    }
}

#[test]
fn openssl_resumes_its_sessions() {
    let secured = Secured::run(|_| plugin("daytime"), &[]);
    for flag in ["-tls1_2", "-tls1_3"] {
        let session = secured.folder.at(flag).display().to_string();
        let (code, first) = s_client(&secured, &[flag, "-sess_out", &session]);
        assert!(code == 0 && first.contains("\nNew, "), "{first}");
        let (code, second) = s_client(&secured, &[flag, "-sess_in", &session]);
        assert!(code == 0 && second.contains("\nReused, "), "{second}");
    }
    let resumed: Vec<_> = secured.server.receipts(4);
    let resumed: Vec<_> = resumed.iter().map(|r| r["tls"]["resumed"].as_bool().unwrap()).collect();
    assert_eq!(resumed, [false, true, false, true]);
}

#[test]
fn only_clients_with_a_certificate_are_served_where_one_is_required() {
    let folder = Folder::new();
    let clients = Authority::new("Clients");
    let leaf = clients.sign(&folder, "client", &["client.example", "192.0.2.1"]);
    let others = Authority::new("Others");
    let other = others.sign(&folder, "other", &["client.example"]);
    let ca = clients.file(&folder);
    let ca = ca.to_str().unwrap();
    let flags = ["--tls-client-auth", "required", "--tls-client-ca", ca];
    let secured = Secured::run(|folder| folder.guest("tells_facts"), &flags);
    let port = secured.server.port();
    let connect = |leaf| {
        let config = Arc::new(secured.authority.client_as(leaf));
        TlsClient::connect(port, &config, "localhost")
    };
    let mut client = connect(Some(&leaf)).unwrap();
    assert_eq!(client.ask("transport"), "tls");
    assert_eq!(client.ask("tls.peer.subject"), "CN=client.example");
    assert_eq!(client.ask("tls.peer.issuer"), "CN=Clients");
    assert_eq!(client.ask("tls.peer.names"), "DNS:client.example");
    assert_eq!(client.receive(13), "IP:192.0.2.1\n");
    let digest = client.ask("tls.peer.sha256");
    assert_eq!(digest.len(), 64);
    assert_eq!(client.ask("tls.peer.chain"), "-----BEGIN CERTIFICATE-----");
    // With TLS 1.3 a client hears only after its handshake that it is not wanted.
    for refused in [None, Some(&other)] {
        let refused = connect(refused).and_then(|mut client| client.rest());
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidData, "an alert");
    }
    drop(client);
    let receipt = secured.server.receipt();
    assert_eq!(receipt["tls"]["peer"]["sha256"], digest.as_str());
    assert_eq!(receipt["tls"]["peer"]["subject"], "CN=client.example");
}

#[test]
fn a_session_does_not_outlive_the_certificate_of_its_client() {
    let (folder, clients) = (Folder::new(), Authority::new("Clients"));
    let leaf = clients.sign_with(&folder, "client", &["client.example"], |params| {
        params.not_after = (SystemTime::now() + Duration::from_secs(3)).into();
    });
    let ca = clients.file(&folder);
    let flags = ["--tls-client-auth", "required", "--tls-client-ca", ca.to_str().unwrap()];
    let secured = Secured::echo(&flags);
    let config = Arc::new(secured.authority.client_as(Some(&leaf)));
    let connect = || {
        let mut client = TlsClient::connect(secured.server.port(), &config, "localhost")?;
        client.try_ask("x")?;
        Ok::<_, std::io::Error>(client.session().handshake_kind())
    };
    assert_eq!(connect().unwrap(), Some(HandshakeKind::Full));
    let mut last = None;
    wait_until("the certificate has expired", || {
        last = Some(connect());
        last.as_ref().is_some_and(Result::is_err)
    });
    let refused = last.unwrap().unwrap_err();
    assert!(refused.to_string().contains("CertificateExpired"), "{refused}");
    let kinds = secured.server.receipts(2);
    assert_eq!(kinds[1]["tls"]["resumed"], true);
}

#[test]
fn curl_gets_a_page_over_https() {
    let secured = Secured::run(|_| plugin("http"), &[]);
    let url = format!("https://localhost:{}/facts", secured.server.port());
    let answer = Program::new("curl")
        .arguments(&["--silent", "--show-error", "--fail-with-body", "--cacert", &secured.ca()])
        .arguments(&["--resolve", &format!("localhost:{}:127.0.0.1", secured.server.port()), &url])
        .run();
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(!answer.stdout.is_empty());
}

#[test]
fn python_says_goodbye_and_hears_it() {
    const SCRIPT: &str = r#"
import socket, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=ca)
def connect():
    plain = socket.create_connection(("127.0.0.1", port), 30)
    return context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
client = connect()
sent = bytes(range(256)) * 1000
client.sendall(sent)
got = b""
while len(got) < len(sent):
    got += client.recv(1 << 16)
assert got == sent
plain = client.unwrap()
assert plain.recv(1) == b"", "something after the goodbye"
"#;
    let secured = Secured::echo(&[]);
    let output = Program::new("python3")
        .arguments(&["-c", SCRIPT, &secured.server.port().to_string(), &secured.ca()])
        .run();
    assert_eq!(output.code, 0, "{}", output.stderr);
    let receipt = secured.server.receipt();
    assert_eq!((&receipt["exit"]["kind"], &receipt["bytes_in"]), (&"ok".into(), &256_000.into()));
}

#[test]
fn a_command_finds_tls_in_its_environment() {
    let (folder, clients) = (Folder::new(), Authority::new("Clients"));
    let leaf = clients.sign(&folder, "client", &["client.example"]);
    let ca = clients.file(&folder);
    let flags = ["--tls-client-auth", "optional", "--tls-client-ca", ca.to_str().unwrap()];
    let secured = Secured::run(|folder| folder.guest("tells_environment"), &flags);
    let environment = |leaf| {
        let config = Arc::new(secured.authority.client_as(leaf));
        let mut client = TlsClient::connect(secured.server.port(), &config, "localhost").unwrap();
        String::from_utf8(client.rest().unwrap()).unwrap()
    };
    let told = environment(Some(&leaf));
    for variable in [
        "PROTO=SSL\0",
        "TCPREMOTEIP=127.0.0.1\0",
        "SSL_PROTOCOL=TLSv1.3\0",
        "SSL_CIPHER=TLS_",
        "SSL_TLS_SNI_SERVERNAME=localhost\0",
        "SSL_PEER_CERT_HASH=SHA256:",
        "SSL_PEER_CERT_SUBJECT=CN=client.example\0",
    ] {
        assert!(told.contains(variable), "{variable:?}: {told:?}");
    }
    assert!(!environment(None).contains("SSL_PEER"));
}

#[test]
fn the_fingerprint_of_a_certificate_for_development_is_told() {
    let folder = Folder::new();
    let server = Server::run(plugin("daytime")).arguments(&["--tls-self-signed"]).start();
    let address = format!("127.0.0.1:{}", server.port());
    let shown = Program::new("openssl").arguments(&["s_client", "-connect", &address]).run();
    let certificate = folder.write("shown.pem", shown.stdout).display().to_string();
    let printed = Program::new("openssl")
        .arguments(&["x509", "-in", &certificate, "-noout", "-fingerprint", "-sha256"])
        .text();
    let fingerprint = printed.trim().rsplit_once('=').unwrap().1;
    assert_eq!(fingerprint.len(), 32 * 3 - 1);
    server.find_line(&format!(
        "daytime: made a certificate for development, whose SHA-256 fingerprint is {fingerprint}"
    ));
}
