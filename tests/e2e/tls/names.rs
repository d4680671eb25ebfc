//! Certificates and handlers by the name that a client asks for.

use std::sync::Arc;

use crate::harness::{Authority, Folder, Program, Server, TlsClient, plugin};

#[test]
fn a_name_has_its_certificate_and_its_handler() {
    let (folder, authority) = (Folder::new(), Authority::new("Test CA"));
    for name in ["a.example", "b.example"] {
        authority.sign(&folder, name, &[name]);
    }
    let config = format!(
        r#"
        [[listener]]
        name = "names"
        bind = "tcp://127.0.0.1:0"
        handler = "echo"
        [[listener.tls.name]]
        name = "a.example"
        certificate = "a.example.pem"
        key = "a.example.key"
        [[listener.tls.name]]
        name = "b.example"
        certificate = "b.example.pem"
        key = "b.example.key"
        handler = "shout"
        [handler.echo]
        module = "{}"
        [handler.shout]
        module = "{}"
        "#,
        plugin("echo").display(),
        plugin("shout").display(),
    );
    let server = Server::serve(&folder, &config).start();
    let client = Arc::new(authority.client());
    let mut a = TlsClient::connect(server.port(), &client, "a.example").unwrap();
    let mut b = TlsClient::connect(server.port(), &client, "b.example").unwrap();
    assert_eq!((a.ask("hello"), b.ask("hello")), ("hello".into(), "HELLO".into()));
    let unknown = TlsClient::connect(server.port(), &client, "c.example").err().unwrap();
    assert!(unknown.to_string().contains("UnrecognisedName"), "{unknown}");
    let address = format!("127.0.0.1:{}", server.port());
    let nameless = Program::new("openssl")
        .arguments(&["s_client", "-connect", &address, "-noservername"])
        .run();
    assert!(nameless.stderr.contains("unrecognized name"), "{}", nameless.stderr);
}
