//! The receipts, which scripts read.

use std::fs;

use serde_json::{Value, json};

use crate::TestResult;
use crate::harness::{Folder, Program, Server, plugin};

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
        "host_calls": { "read": 2, "write": 1 },
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
