//! `portcell diff CONFIG`: what would be different if another file were the configuration.

use serde_json::json;

use super::{Steered, asked, command, config};
use crate::harness::{Folder, Output, Program, Server};

/// `portcell diff` of a file with this text, which is in a folder where the server is not.
fn diff(steered: &Steered, text: &str, flags: &[&str]) -> Output {
    let elsewhere = Folder::new();
    elsewhere.write("new.toml", text);
    let admin = format!("unix:{}", steered.socket().display());
    let arguments = [&["diff", "new.toml", "--admin", &admin], flags].concat();
    command(&elsewhere, &arguments)
}

#[test]
fn a_file_is_compared_as_if_it_were_in_the_place_of_the_configuration() {
    let steered = Steered::start();
    let _stays = steered.echoed();
    let said = |text: &str| {
        let Output { code, stdout, stderr } = diff(&steered, text, &[]);
        assert_eq!((code, stderr.as_str()), (0, ""));
        String::from_utf8(stdout).unwrap()
    };
    assert_eq!(said(&config("", "")), "nothing is different\n", "its paths are the server's");
    let other = config("max_flows = 9", "tenant = \"t\"\n[tenant.t]\ncpu = 0.5")
        .replace("handler = \"told\"", "handler = \"told\"\nwrite_timeout = \"5m\"");
    assert_eq!(
        said(&other),
        "server: max_flows 1024 -> 9; needs a restart\n\
         listener told: write_timeout 1m -> 5m\n\
         handler told: tenant default -> t\n\
         tenant t: new\n"
    );
    let Output { stdout, .. } = diff(&steered, &config("max_flows = 9", ""), &["--json"]);
    let found: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    let flows = "server: max_flows 1024 -> 9";
    assert_eq!(
        found,
        json!([{ "path": "server.max_flows", "difference": flows, "needs_restart": true }])
    );
    assert_eq!(steered.said(&["diff"]), "nothing is different\n");
    assert_eq!(steered.json(&["status", "--json"])["reloads"]["last"], serde_json::Value::Null);
}

#[test]
fn a_file_is_checked_as_a_whole_and_every_error_names_it() {
    let steered = Steered::start();
    // In `[server]`, and in both handlers.
    let wrong = config("cpus = 3", "").replace("cpu =", "cpu_ =");
    let Output { code, stdout, stderr } = diff(&steered, &wrong, &[]);
    assert_eq!((code, stdout.as_slice()), (64, &b""[..]), "{stderr}");
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    assert!(lines[0].starts_with("portcell: new.toml:5: unknown key `cpus`"), "{stderr}");
    assert!(lines.iter().all(|line| line.starts_with("portcell: new.toml:")), "{stderr}");
    for (text, said) in [
        ("no toml".to_owned(), "new.toml:1: not TOML"),
        (format!("# {}", "x".repeat(1 << 20)), "new.toml: it is larger than 1MiB"),
    ] {
        let Output { code, stderr, .. } = diff(&steered, &text, &[]);
        assert_eq!(code, 64, "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
    let missing = steered.command(&["diff", "no.toml"]);
    assert_eq!((missing.code, missing.stderr.contains("no.toml: there is no")), (64, true));
    let (status, answer) = asked(&steered, "POST", "/v1/diff", "nonsense");
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().starts_with("configuration:1: "), "{answer}");
    assert_eq!(asked(&steered, "POST", "/v1/diff?nam=x", "").0, 400);
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(asked(&steered, "POST", "/v1/diff", &large).0, 413);
}

#[test]
fn without_a_configuration_there_is_nothing_to_be_in_the_place_of() {
    let folder = Folder::new();
    let admin = format!("unix:{}", folder.at("x.sock").display());
    let _server = Server::run(folder.guest("echo")).arguments(&["--admin", &admin]).start();
    folder.write("new.toml", "");
    let diff = Program::portcell().arguments(&["diff", "new.toml", "--admin", &admin]);
    let Output { code, stderr, .. } = diff.directory(folder.path()).run();
    assert_eq!(code, 1);
    assert!(stderr.contains("the server was started with flags"), "{stderr}");
}
