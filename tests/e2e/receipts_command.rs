//! `portcell receipts`: what it finds and how it says it.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::{Folder, Program, Server, plugin, portcell};

/// A line that a server could have written.
fn line(id: u64, change: &Value) -> String {
    let mut receipt = json!({
        "time": "2026-01-02T03:04:05.678Z", "id": id, "listener": "web", "handler": "http",
        "version": 1, "digest": "d", "tenant": "default", "transport": "tcp",
        "peer": "127.0.0.1:40711", "local": "127.0.0.1:80", "tls": null, "bytes_in": 5,
        "bytes_out": 6, "duration_ms": 7, "waited_ms": 6, "cpu_us": 8, "memory_peak": 65536,
        "host_calls": {}, "exit": { "kind": "ok" },
    });
    for (field, value) in change.as_object().unwrap() {
        receipt[field] = value.clone();
    }
    format!("{receipt}\n")
}

/// Receipts of several kinds, with lines between them that are none.
fn some() -> String {
    [
        line(1, &json!({})),
        "2026-01-02T03:04:05Z INFO a line of the log\n".into(),
        line(2, &json!({ "handler": "dns", "exit": { "kind": "failed", "code": 3 } })),
        "{\"a\":\"line that is JSON\"}\n".into(),
        line(3, &json!({ "listener": "other", "peer": "[::1]:5", "exit": { "kind": "cut" } })),
        line(4, &json!({ "exit": { "kind": "trap", "detail": "in `\u{1b}[2J`" } })),
        line(5, &json!({ "time": "2999-01-02T03:04:05.678Z" })),
    ]
    .concat()
}

/// The ids of those that the command finds.
fn found(flags: &[&str]) -> Vec<u64> {
    let command = Program::portcell().arguments(&["receipts", "-", "--json"]).arguments(flags);
    let text = command.input(some()).text();
    let ids = text.lines().map(|line| {
        assert!(some().lines().any(|given| given == line), "as they are: {line}");
        serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap()
    });
    ids.collect()
}

#[test]
fn receipts_are_found_by_what_they_say() {
    for (flags, ids) in [
        (&[][..], &[1, 2, 3, 4, 5][..]),
        (&["--handler", "dns"], &[2]),
        (&["--handler", "dns", "--handler", "http", "--listener", "other"], &[3]),
        (&["--exit", "trap", "--exit", "cut"], &[3, 4]),
        (&["--exit", "!ok", "--exit", "!cut"], &[2, 4]),
        (&["--failed"], &[2, 3, 4]),
        (&["--peer", "::1"], &[3]),
        (&["--peer", "127.0.0.1:1"], &[]),
        (&["--since", "1h"], &[5]),
        (&["--tail", "2"], &[4, 5]),
        (&["--failed", "--tail", "1"], &[4]),
    ] {
        assert_eq!(found(flags), ids, "{flags:?}");
    }
}

#[test]
fn a_table_is_for_people_and_its_rows_cannot_be_forged() {
    let output = Program::portcell().arguments(&["receipts", "-"]).input(some()).run();
    assert_eq!((output.code, &*output.stderr), (0, "portcell: 2 lines were no receipts\n"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.starts_with("UTC "), "{text}");
    assert!(text.contains("trap: in `\\u{1b}[2J`\n"), "{text}");
    assert!(text.contains(" failed with code 3\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn what_is_asked_for_must_make_sense() {
    for (flags, said) in [
        (&["-", "--exit", "trp"][..], "`trp` is not an exit; they are ok, failed, trap"),
        (&["-", "--since", "soon"], "--since"),
        (&["-", "--tail", "0"], "--tail"),
        (&["/no/such/file"], "cannot read /no/such/file"),
        (&["--config", "/no/such/file"], "/no/such/file"),
    ] {
        let output = Program::portcell().argument("receipts").arguments(flags).run();
        assert_eq!(output.code, 64, "{flags:?}");
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
}

#[test]
fn the_configuration_says_where_they_are() {
    let folder = Folder::new();
    let config = |receipts: &str| {
        format!(
            "server.receipts = \"{receipts}\"\n\
             listener = [{{ name = \"e\", bind = \"127.0.0.1:0\", handler = \"echo\" }}]\n\
             handler.echo.module = \"{}\"\n",
            plugin("echo").display()
        )
    };
    let server = Server::serve(&folder, &config("./receipts.json")).start();
    let mut client = server.connect();
    client.is_echoed();
    client.end();
    client.ends_in_good_order();
    server.stop();
    let text = Program::portcell().argument("receipts").directory(folder.path()).text();
    let row = text.lines().nth(1).unwrap();
    assert!(row.contains(" echo@1 ") && row.ends_with(" ok"), "{text}");
    for (receipts, said) in [("off", "is off"), ("stderr", "portcell receipts -")] {
        let path = folder.write("portcell.toml", config(receipts));
        let output = Program::portcell().arguments(&["receipts", "--config"]).argument(path).run();
        assert_eq!(output.code, 64);
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
}

/// A command that follows a file, and its lines.
struct Following(Child, BufReader<std::process::ChildStdout>);

impl Following {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_file_is_followed_over_its_rotation() {
    let folder = Folder::new();
    let path = folder.write("receipts.json", [1, 2].map(|id| line(id, &json!({}))).concat());
    let mut command = portcell();
    command.args(["receipts", "--json", "--follow", "--tail", "1"]).arg(&path);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut following = Following(child, output);
    assert_eq!(following.line(), line(2, &json!({})));
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(line(3, &json!({})).as_bytes()).unwrap();
    assert_eq!(following.line(), line(3, &json!({})));
    std::fs::rename(&path, folder.at("receipts.json.1")).unwrap();
    file.write_all(line(4, &json!({})).as_bytes()).unwrap();
    folder.write("receipts.json", line(5, &json!({})));
    assert_eq!(following.line(), line(4, &json!({})));
    assert_eq!(following.line(), line(5, &json!({})));
}
