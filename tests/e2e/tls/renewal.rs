//! Certificates that are renewed while the server runs.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use rustix::process::Signal;

use crate::harness::{Authority, Folder, Server, TlsClient, plugin, portcell, wait_until};

const CONFIG: &str = r#"
[[listener]]
name = "echo"
bind = "tcp://127.0.0.1:0"
handler = "echo"
[listener.tls]
certificate = "server.pem"
key = "server.key"
"#;

struct Renewed {
    folder: Folder,
    authority: Authority,
    server: Server,
}

fn start() -> Renewed {
    let (folder, authority) = (Folder::new(), Authority::new("Test CA"));
    authority.sign(&folder, "server", &["localhost"]);
    let config = format!("{CONFIG}[handler.echo]\nmodule = \"{}\"\n", plugin("echo").display());
    let server = Server::serve(&folder, &config).start();
    Renewed { folder, authority, server }
}

/// The certificate that a new client is shown.
fn shown(port: u16, config: &Arc<rustls::ClientConfig>) -> Vec<u8> {
    let mut client = TlsClient::connect(port, config, "localhost").unwrap();
    client.is_echoed();
    client.session().peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_renewed_certificate_is_shown_without_a_failed_connection() {
    let Renewed { folder, authority, server } = start();
    let port = server.port();
    let client = || Arc::new(authority.client());
    let mut old = TlsClient::connect(port, &client(), "localhost").unwrap();
    let before = shown(port, &client());
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    shown(port, &client());
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        for _ in 0..3 {
            let before = shown(port, &client());
            authority.sign(&folder, "server", &["localhost"]);
            server.signal(Signal::HUP);
            wait_until("the new certificate is shown", || shown(port, &client()) != before);
        }
        let so_far = served.load(SeqCst);
        wait_until("more are served", || served.load(SeqCst) > so_far + 20);
        stop.store(true, SeqCst);
    });
    old.is_echoed();
    assert_ne!(shown(port, &client()), before);
}

#[test]
fn a_bad_certificate_keeps_the_old_one() {
    let Renewed { folder, authority, server } = start();
    let client = Arc::new(authority.client());
    let before = shown(server.port(), &client);
    let key = fs::read(folder.at("server.key")).unwrap();
    authority.sign(&folder, "server", &["localhost"]);
    folder.write("server.key", key);
    server.signal(Signal::HUP);
    let said = server.find_line("server.key");
    assert!(said.contains("this is not the key of"), "{said}");
    assert_eq!(shown(server.port(), &client), before);
}

#[test]
fn what_has_not_changed_keeps_its_sessions() {
    let Renewed { folder: _folder, server, authority } = start();
    let client = Arc::new(authority.client());
    shown(server.port(), &client);
    server.signal(Signal::HUP);
    server.find_line("the configuration was applied");
    let mut again = TlsClient::connect(server.port(), &client, "localhost").unwrap();
    again.is_echoed();
    assert_eq!(again.session().handshake_kind(), Some(rustls::HandshakeKind::Resumed));
}

#[test]
fn files_that_change_are_read_without_being_told() {
    let Renewed { folder, authority, server } = start();
    let client = || Arc::new(authority.client());
    let before = shown(server.port(), &client());
    // One after the other, as renewal tools do; the key alone is no use.
    let elsewhere = Folder::new();
    let new = authority.sign(&elsewhere, "server", &["localhost"]);
    fs::rename(new.key, folder.at("server.key")).unwrap();
    fs::rename(new.certificate, folder.at("server.pem")).unwrap();
    server.find_line("echo: new certificates are in force");
    assert_ne!(shown(server.port(), &client()), before);
    let log = server.log();
    assert!(!log.contains("stay in force"), "{log}");
}

#[test]
fn files_that_are_no_use_are_told_when_that_lasts() {
    let Renewed { folder, authority, server } = start();
    let client = Arc::new(authority.client());
    let before = shown(server.port(), &client);
    folder.write("server.pem", "nothing");
    server.find_line("the old certificates stay in force: ");
    assert_eq!(shown(server.port(), &client), before);
}

#[test]
fn a_name_whose_files_are_no_use_keeps_no_other_from_its_renewal() {
    let (folder, authority) = (Folder::new(), Authority::new("Test CA"));
    authority.sign(&folder, "server", &["localhost"]);
    let names = ["localhost", "other.example"].map(|name| {
        authority.sign(&folder, name, &[name]);
        let files = format!("certificate = \"{name}.pem\"\nkey = \"{name}.key\"\n");
        format!("[[listener.tls.name]]\nname = \"{name}\"\n{files}")
    });
    let handler = format!("[handler.echo]\nmodule = \"{}\"\n", plugin("echo").display());
    let config = format!("{CONFIG}{}{handler}", names.concat());
    let server = Server::serve(&folder, &config).start();
    let client = || Arc::new(authority.client());
    let before = shown(server.port(), &client());
    folder.write("other.example.pem", "nothing");
    server.find_line("the old certificates stay in force: ");
    authority.sign(&folder, "localhost", &["localhost"]);
    wait_until("the new certificate is shown", || shown(server.port(), &client()) != before);
    let mut other = TlsClient::connect(server.port(), &client(), "other.example").unwrap();
    other.is_echoed();
}

#[test]
fn room_for_handshakes_is_made_by_a_reload_or_it_is_refused() {
    let (folder, authority) = (Folder::new(), Authority::new("Test CA"));
    authority.sign(&folder, "server", &["localhost"]);
    let plain = format!("[handler.echo]\nmodule = \"{}\"\n", plugin("echo").display());
    let plain = format!("{}{plain}", CONFIG.split("[listener.tls]").next().unwrap());
    let tls = "[listener.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n[handler";
    let limited = |most: &str| format!("[server]\nmax_connections = {most}\n{plain}");
    // Enough for the connections, and not for as many handshakes beside them.
    let mut command = Command::new("prlimit");
    command.arg("--nofile=1300:1300").arg(portcell().get_program());
    command.env_remove("PORTCELL_LOG").stdin(Stdio::null()).stdout(Stdio::null());
    let server = Server::serve(&folder, &limited("1000")).start_by(command);
    folder.write("portcell.toml", limited("1000").replacen("[handler", tls, 1));
    server.signal(Signal::HUP);
    let refused = server.find_line("server.max_connections is 1000, but this machine allows ");
    let room = refused.split("allows ").nth(1).unwrap().split(':').next().unwrap();
    assert!(room.parse::<u32>().unwrap() < 1000, "{refused}");
    server.connect().is_echoed();
    folder.write("portcell.toml", limited("\"auto\"").replacen("[handler", tls, 1));
    server.signal(Signal::HUP);
    server.find_line(&format!("room for {room} connections"));
    server.find_line("the configuration was applied");
    shown(server.port(), &Arc::new(authority.client()));
}
