//! Connections that are there the whole time, over every kind of change.

use std::fs;
use std::sync::Arc;

use rustls::ClientConfig;

use super::{Steered, config};
use crate::harness::{Authority, Client, Folder, Server, Successor, TlsClient, wait_until};

/// Those who stay.
struct Stays {
    steered: Steered,
    plain: Client,
    secured: TlsClient,
    config: Arc<ClientConfig>,
    authority: Authority,
    /// How often each was heard.
    echoes: u64,
}

const MORE: &str = r#"
    [[listener]]
    name = "secured"
    bind = "tcp://127.0.0.1:0"
    handler = "echo"
    [listener.tls]
    certificate = "server.pem"
    key = "server.key"
"#;

impl Stays {
    fn start() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new("Test CA"));
        folder.guest("echo");
        folder.guest("does_as_told");
        authority.sign(&folder, "server", &["localhost"]);
        let server = Server::serve(&folder, &config("", MORE)).start();
        let steered = Steered { server, folder };
        let config = Arc::new(authority.client());
        let port = steered.server.port_of("secured");
        let secured = TlsClient::connect(port, &config, "localhost").unwrap();
        let plain = steered.server.connect_to("echo");
        Self { steered, plain, secured, config, authority, echoes: 0 }
    }

    fn are_there(&mut self) {
        self.plain.is_echoed();
        self.secured.is_echoed();
        self.echoes += 1;
    }

    /// Runs a command, after which they are still there.
    fn said(&mut self, arguments: &[&str], expected: &str) {
        let said = self.steered.said(arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
        self.are_there();
    }

    /// Puts this configuration in the place of the other.
    fn reloads(&mut self, config: &str) {
        self.steered.folder.write("portcell.toml", config);
        self.said(&["reload"], "the configuration was applied");
    }

    /// The certificate that a new client is shown.
    fn shown(&self) -> Vec<u8> {
        let port = self.steered.server.port_of("secured");
        let mut client = TlsClient::connect(port, &self.config, "localhost").unwrap();
        client.is_echoed();
        client.session().peer_certificates().unwrap()[0].to_vec()
    }
}

#[test]
fn a_connection_outlives_every_kind_of_change() {
    let mut stays = Stays::start();
    stays.are_there();

    // What has nothing to do with it.
    let new = "[[listener]]\nname = \"new\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"new\"\n\
               [handler.new]\nmodule = \"does_as_told.wasm\"\n";
    let unrelated = config("", &format!("{MORE}{new}"))
        .replace("handler = \"told\"", "handler = \"told\"\nidle_timeout = \"5m\"");
    stays.reloads(&unrelated);
    stays.steered.server.connect_to("new").leaves();

    // Its own limits, and those of its handler; and what cannot be applied.
    let limits = unrelated
        .replace("handler = \"echo\"", "handler = \"echo\"\nmax_connections = 9")
        .replace("module = \"echo.wasm\"", "module = \"echo.wasm\"\nmemory = \"1MiB\"");
    stays.reloads(&limits);
    stays.said(&["limits", "set", "listener.echo", "1"], "listener.echo: at most 1, 1 used");
    stays.said(&["limits", "set", "listener.echo", "none"], "listener.echo: no bound");
    stays.steered.folder.write("portcell.toml", limits.clone() + "nonsense = 1");
    assert!(stays.steered.refused(&["reload"]).contains("nonsense"));
    stays.are_there();
    stays.reloads(&config("", MORE));

    // Its handler, and back.
    let folder = &stays.steered.folder;
    let echo = fs::read(folder.at("echo.wasm")).unwrap();
    folder.write("echo.wasm", fs::read(folder.at("does_as_told.wasm")).unwrap());
    stays.said(&["reload", "echo"], "echo has version 2");
    let mut second = stays.steered.server.connect_to("echo");
    second.send("e");
    assert_eq!(second.receive(1), "e");
    stays.said(&["rollback", "echo"], "echo has version 1");
    stays.steered.folder.write("echo.wasm", echo);

    // Listeners, its own among them.
    stays.said(&["suspend", "echo"], "echo is suspended");
    stays.said(&["resume", "echo"], "echo is accepting");
    stays.said(&["drain", "told"], "told has stopped; 0 connections were cut");
    stays.said(&["start", "told"], "told is accepting");

    // The certificate that it was shown.
    let before = stays.shown();
    stays.authority.sign(&stays.steered.folder, "server", &["localhost"]);
    wait_until("the new certificate is shown", || stays.shown() != before);
    stays.are_there();

    // The program.
    let answer = stays.steered.json(&["upgrade", "--json"]);
    let _successor = Successor::of(answer["successor"].as_i64().unwrap().try_into().unwrap());
    stays.are_there();
    stays.steered.echoed().leaves();
    second.leaves();

    let Stays { mut steered, plain, mut secured, echoes, .. } = stays;
    plain.leaves();
    secured.end();
    assert_eq!(secured.rest().unwrap(), b"");
    steered.server.ends();
    for listener in ["echo", "secured"] {
        // Of those who stayed.
        let receipt = steered.server.find_receipt(|receipt| {
            receipt["listener"] == listener && receipt["bytes_in"] == echoes
        });
        assert_eq!((&receipt["version"], &receipt["exit"]["kind"]), (&1.into(), &"ok".into()));
        assert_eq!(receipt["bytes_out"], echoes);
    }
}
