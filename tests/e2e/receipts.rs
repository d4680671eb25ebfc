//! The receipts, which scripts read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::TestResult;
use crate::harness::{Folder, Program, Server, plugin, wait_until};

/// The fields, in the order in which they are written.
const FIELDS: [&str; 19] = [
    "time",
    "id",
    "listener",
    "handler",
    "version",
    "digest",
    "tenant",
    "transport",
    "peer",
    "local",
    "tls",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "waited_ms",
    "cpu_us",
    "memory_peak",
    "host_calls",
    "exit",
];

#[test]
fn a_receipt_says_what_the_connection_was() {
    let server = Server::run(plugin("echo")).arguments(&["--tenant", "me"]).start();
    let mut client = server.connect();
    client.send("hello");
    assert_eq!(client.receive(5), "hello");
    client.end();
    client.ends_in_good_order();

    let receipt = server.receipt();
    let line = server.find_line("\"exit\":");
    let keys: Vec<_> = FIELDS.iter().map(|field| line.find(&format!("\"{field}\":"))).collect();
    assert!(keys.is_sorted() && keys.iter().all(Option::is_some), "{line}");
    assert_eq!(receipt.as_object().unwrap().len(), FIELDS.len(), "{line}");

    let digest = Program::new("sha256sum").argument(plugin("echo")).text();
    let id = receipt["id"].as_u64().unwrap();
    let expected = json!({
        "id": id,
        "listener": "echo",
        "handler": "echo",
        "version": 1,
        "digest": digest.split_whitespace().next(),
        "tenant": "me",
        "transport": "tcp",
        "peer": client.address(),
        "local": format!("127.0.0.1:{}", server.port()),
        "tls": null,
        "bytes_in": 5,
        "bytes_out": 5,
        "host_calls": { "info": 1, "read": 2, "shutdown": 1, "write": 1 },
        "exit": { "kind": "ok" },
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&receipt[field], value, "{field}");
    }
    for (field, least) in [("cpu_us", 1), ("memory_peak", 65_536), ("duration_ms", 0)] {
        assert!(receipt[field].as_u64() >= Some(least), "{field}: {receipt}");
    }
    assert!(receipt["waited_ms"].as_u64() <= receipt["duration_ms"].as_u64(), "{receipt}");
    let now = Program::new("date").arguments(&["-u", "+%Y-%m-%dT"]).text();
    let time = receipt["time"].as_str().unwrap();
    assert!(time.starts_with(now.trim()) && time.ends_with('Z'), "{time}");
}

#[test]
fn a_file_is_appended_to() -> TestResult {
    let folder = Folder::new();
    let file = folder.write("receipts.json", "{\"from\":\"before\"}\n");
    let config = format!(
        r#"
        server.receipts = "receipts.json"
        listener = [{{ name = "e", bind = "tcp://127.0.0.1:0", handler = "echo" }}]
        handler.echo.module = "{}"
        "#,
        plugin("echo").display()
    );
    for run in 1..=2 {
        let server = Server::serve(&folder, &config).start();
        for _ in 0..3 {
            let mut client = server.connect();
            client.is_echoed();
            client.end();
            client.ends_in_good_order();
        }
        server.stop();
        let text = fs::read_to_string(&file)?;
        let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        assert_eq!(lines.len(), 1 + 3 * run, "{text}");
        assert_eq!(lines[0]["from"], "before");
        assert!(lines[1..].iter().all(|line| line["exit"]["kind"] == "ok"), "{text}");
    }
    Ok(())
}

#[test]
fn none_are_written_unless_they_are_asked_for() {
    let folder = Folder::new();
    let config = format!(
        "listener = [{{ name = \"e\", bind = \"127.0.0.1:0\", handler = \"echo\" }}]\n\
         handler.echo.module = \"{}\"\n",
        plugin("echo").display()
    );
    let server = Server::serve(&folder, &config).start();
    server.connect().is_echoed();
    assert!(server.stop().is_empty());
}

#[test]
fn a_server_that_ends_has_written_all_of_them() {
    let server = Server::run(plugin("echo")).arguments(&["--drain-timeout", "1ms"]).start();
    let mut clients: Vec<_> = (0..400).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.is_echoed();
    }
    let receipts = server.stop();
    assert_eq!(receipts.len(), 400);
    assert!(receipts.iter().all(|receipt| receipt["exit"]["kind"] == "cut"));
}

#[test]
fn a_place_that_cannot_be_written_is_refused_at_start() {
    let output = Program::portcell()
        .arguments(&["run", "--listen", "127.0.0.1:0", "--receipts", "/no/such/folder/receipts"])
        .argument(plugin("echo"))
        .run();
    assert_ne!(output.code, 0);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("/no/such/folder"), "{}", output.stderr);
}

/// The configuration of an echo whose receipts go to ./receipts.json, with more keys of the server.
fn to_a_file(keys: &str) -> String {
    format!(
        "server = {{ receipts = \"./receipts.json\"{keys} }}\n\
         listener = [{{ name = \"e\", bind = \"tcp://127.0.0.1:0\", handler = \"echo\" }}]\n\
         handler.echo.module = \"{}\"\n",
        plugin("echo").display()
    )
}

/// The lines of a file, each a receipt.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One connection from its beginning to its end.
fn one(server: &Server) {
    let mut client = server.connect();
    client.is_echoed();
    client.end();
    client.ends_in_good_order();
}

#[test]
fn a_file_that_was_renamed_is_opened_again_on_sighup_and_no_line_is_lost_or_written_twice() {
    let folder = Folder::new();
    let server = Server::serve(&folder, &to_a_file("")).start();
    let current = folder.at("receipts.json");
    let old: Vec<_> = (0..5).map(|turn| folder.at(&format!("receipts.json.{turn}"))).collect();
    for old in &old {
        for _ in 0..20 {
            one(&server);
        }
        fs::rename(&current, old).unwrap();
        // Until it is told, it goes on with the old one.
        one(&server);
        wait_until("the line is in the old file", || lines(old).len() > 20);
        server.signal(Signal::HUP);
        wait_until("there is a new file", || current.exists());
    }
    one(&server);
    assert_eq!(server.stop().len(), 0, "they go to the file");
    let files = old.iter().chain([&current]);
    let ids: Vec<_> = files.flat_map(|file| lines(file)).map(|line| line["id"].as_u64()).collect();
    assert_eq!(ids.len(), 5 * 21 + 1);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "none is there twice");
}

#[test]
fn a_configuration_that_is_refused_keeps_no_file_from_being_rotated() {
    let folder = Folder::new();
    let server = Server::serve(&folder, &to_a_file("")).start();
    let current = folder.at("receipts.json");
    fs::rename(&current, folder.at("old")).unwrap();
    folder.write("portcell.toml", "nonsense");
    server.signal(Signal::HUP);
    server.find_line("the old configuration stays in force");
    wait_until("there is a new file", || current.exists());
}

#[test]
fn a_pipe_that_nobody_reads_makes_no_connection_wait() {
    let folder = Folder::new();
    let pipe = folder.at("receipts.json");
    mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
    // Open, so that it can be written, and never read.
    let reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let server = Server::serve(&folder, &to_a_file("")).start();
    // A pipe holds 64 KiB: the thread that writes is stuck before the half of them.
    for _ in 0..400 {
        one(&server);
    }
    server.signal(Signal::TERM);
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("are not written yet"), "{log}");
    drop(reader);
}

#[test]
fn a_pipe_without_a_reader_is_refused_at_start() {
    let folder = Folder::new();
    let pipe = folder.at("pipe");
    mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
    let output = Program::portcell()
        .arguments(&["run", "--listen", "127.0.0.1:0", "--receipts"])
        .argument(&pipe)
        .argument(plugin("echo"))
        .run();
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("cannot write receipts to"), "{}", output.stderr);
}

#[test]
fn a_full_disk_is_said_once_and_nobody_waits_for_it() {
    let folder = Folder::new();
    let config = to_a_file("").replace("./receipts.json", "/dev/full");
    let server = Server::serve(&folder, &config).start();
    for _ in 0..20 {
        one(&server);
    }
    server.signal(Signal::TERM);
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    let said = log.lines().filter(|line| line.contains("they cannot be written")).count();
    assert_eq!(said, 1, "{log}");
    assert!(log.contains("20 receipts were lost"), "{log}");
}

#[test]
fn clients_that_are_turned_away_have_receipts_if_all_are_wanted() {
    let flags = ["--max-connections", "1", "--when-full", "refuse", "--farewell", "no\n"];
    let server =
        Server::run(plugin("echo")).arguments(&flags).arguments(&["--receipts-for", "all"]).start();
    let mut first = server.connect();
    first.is_echoed();
    let mut second = server.connect();
    assert_eq!(second.line(), "no");
    let receipt = server.receipt();
    let expected = json!({
        "id": null,
        "listener": "echo",
        "handler": null,
        "version": null,
        "digest": null,
        "tenant": null,
        "transport": "tcp",
        "peer": second.address(),
        "local": format!("127.0.0.1:{}", server.port()),
        "bytes_in": 0,
        "host_calls": {},
        "exit": { "kind": "refused", "detail": "it is full (server.max_connections)" },
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&receipt[field], value, "{field}");
    }
    assert_eq!(receipt.as_object().unwrap().len(), FIELDS.len());
    first.end();
    first.ends_in_good_order();
    assert_eq!(server.stop().len(), 2);
}

#[test]
fn who_gets_receipts_changes_with_a_reload() {
    let folder = Folder::new();
    let config = |whom: &str| {
        to_a_file(&format!(", receipts_for = \"{whom}\"")).replace(
            "handler = \"echo\"",
            "handler = \"echo\", max_connections = 1, when_full = \"refuse\"",
        )
    };
    let server = Server::serve(&folder, &config("connections")).start();
    let mut first = server.connect();
    first.is_echoed();
    assert_eq!(server.connect().rest().unwrap(), b"");
    folder.write("portcell.toml", config("all"));
    server.signal(Signal::HUP);
    server.find_line("the configuration was applied");
    assert_eq!(server.connect().rest().unwrap(), b"");
    first.end();
    first.ends_in_good_order();
    server.stop();
    let receipts = lines(&folder.at("receipts.json"));
    let kinds: Vec<_> = receipts.iter().map(|receipt| &receipt["exit"]["kind"]).collect();
    assert_eq!(kinds, ["refused", "ok"]);
}
