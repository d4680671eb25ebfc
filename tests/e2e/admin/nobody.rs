//! Commands without a server.

use super::{Steered, command, config};
use crate::harness::{Folder, Program};

/// What a command says that fails with 1.
fn refused(folder: &Folder, arguments: &[&str]) -> String {
    let output = command(folder, arguments);
    assert_eq!(output.code, 1, "{}", output.stderr);
    output.stderr
}

#[test]
fn a_command_without_a_server_says_where_it_has_looked() {
    let folder = Folder::new();
    let said = refused(&folder, &["status"]);
    assert_eq!(
        said,
        "portcell: no server at unix:portcell.sock (no portcell.toml is here): there is no such file; \
         start one, or say where it is with --admin ADDRESS or PORTCELL_ADMIN\n"
    );
    let said = refused(&folder, &["kill", "1", "--admin", "unix:/no/such.sock"]);
    assert!(said.contains("no server at unix:/no/such.sock (--admin)"), "{said}");
    let said = refused(&folder, &["status", "--admin", "tcp://127.0.0.1:1"]);
    assert!(said.contains("nobody listens there"), "{said}");
    folder.write("portcell.toml", "[server]\nadmin = \"unix:x.sock\"\nbroken here too = 1");
    let output = command(&folder, &["status"]);
    assert_eq!(output.code, 64, "{}", output.stderr);
    folder.write("portcell.toml", "[server]\nadmin = \"unix:x.sock\"\nno_such_key = 1");
    let said = refused(&folder, &["status"]);
    assert!(said.contains("no server at unix:x.sock (portcell.toml)"), "{said}");
    folder.write("portcell.toml", config("admin = \"off\"", ""));
    let said = refused(&folder, &["status"]);
    assert!(said.contains("portcell.toml: `admin` is off"), "{said}");
}

#[test]
fn the_environment_says_where_the_server_is() {
    let steered = Steered::start();
    let elsewhere = Folder::new();
    let mut program = std::process::Command::new("env");
    program.arg(format!("PORTCELL_ADMIN=unix:{}", steered.socket().display()));
    program.args([env!("CARGO_BIN_EXE_portcell"), "status", "--json"]);
    let output = program.current_dir(elsewhere.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_no_portcell_is_named() {
    let folder = Folder::new();
    let listener = std::os::unix::net::UnixListener::bind(folder.at("x.sock")).unwrap();
    let answers = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut [0; 4096]).unwrap();
        client.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno").unwrap();
    });
    let said = refused(&folder, &["status", "--admin", "unix:x.sock"]);
    assert!(said.contains("this is not portcell; it answers 404"), "{said}");
    answers.join().unwrap();
}

#[test]
fn every_command_has_help() {
    for name in [
        "status",
        "connections",
        "kill",
        "suspend",
        "resume",
        "start",
        "stop",
        "drain",
        "reload",
        "rollback",
        "upgrade",
        "diff",
        "limits",
    ] {
        let help = Program::portcell().arguments(&[name, "--help"]).text();
        assert!(help.contains("--admin <ADDRESS>") && help.contains("PORTCELL_ADMIN"), "{help}");
    }
}
