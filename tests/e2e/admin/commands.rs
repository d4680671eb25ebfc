//! What the commands show and do.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Steered, asked};
use crate::harness::{portcell, wait_until};

/// The names in an object.
fn names(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The lines of a table that have all of these words.
fn lines<'a>(table: &'a str, words: &[&str]) -> Vec<&'a str> {
    table.lines().filter(|line| words.iter().all(|word| line.contains(word))).collect()
}

#[test]
fn status_says_what_the_server_its_listeners_and_its_handlers_do() {
    let steered = Steered::with("max_memory = \"1GiB\"", "");
    let _client = steered.echoed();
    let status = steered.json(&["status", "--json"]);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], steered.server.pid().as_raw_nonzero().get());
    assert_eq!((&status["state"], &status["connections"]), (&json!("running"), &json!(1)));
    assert_eq!((&status["memory"], &status["max_memory"]), (&json!(65536), &json!(1 << 30)));
    let echo = &status["listeners"][0];
    assert_eq!((&echo["name"], &echo["state"]), (&json!("echo"), &json!("accepting")));
    assert_eq!((&echo["accepted"], &echo["connections"]), (&json!(1), &json!(1)));
    let nobody = json!({ "descriptors": 0, "full": 0, "gone": 0, "tenant": 0, "waited": 0 });
    assert_eq!(echo["refusals"], nobody);
    let handler = &status["handlers"][0];
    let [version] = &handler["versions"].as_array().unwrap()[..] else { panic!("{handler}") };
    assert_eq!(names(version), ["connections", "digest", "loaded", "state", "version"]);
    assert_eq!((&version["version"], &version["connections"]), (&json!(1), &json!(1)));
    assert_eq!((&version["state"], &handler["error"]), (&json!("in_service"), &Value::Null));
    let text = steered.said(&["status"]);
    assert!(!text.contains('\x1b'), "colours are for terminals: {text}");
    let address = echo["addresses"][0].as_str().unwrap();
    assert_eq!(lines(&text, &["echo", "accepting", address]).len(), 1, "{text}");
    assert_eq!(lines(&text, &["listener.told", "none", "live"]).len(), 1, "{text}");
    let used = ["1 of 200 connections", "64KiB of 1GiB of memory"];
    assert_eq!(lines(&text, &used).len(), 1, "{text}");
}

#[test]
fn connections_are_listed_filtered_and_sorted() {
    let steered = Steered::start();
    assert_eq!(steered.json(&["connections", "--json"]), json!([]));
    let mut first = steered.echoed();
    let mut told = steered.server.connect_to("told");
    told.send("e");
    assert_eq!(told.receive(1), "e");
    first.send("hello");
    assert_eq!(first.receive(5), "hello");
    let mut found = Vec::new();
    wait_until("both wait", || {
        found = steered.connections();
        found.iter().all(|one| one["state"] == "waiting")
    });
    let (echo, other) = (&found[0], &found[1]);
    let expected = [
        "age_ms",
        "bytes_in",
        "bytes_out",
        "cpu_us",
        "handler",
        "id",
        "idle_ms",
        "listener",
        "memory",
        "memory_peak",
        "peer",
        "state",
        "transport",
        "version",
    ];
    assert_eq!(names(echo), expected);
    assert_eq!(echo["peer"], first.address());
    assert_eq!((&echo["bytes_in"], &echo["bytes_out"]), (&json!(6), &json!(6)));
    assert_eq!((&echo["listener"], &echo["handler"]), (&json!("echo"), &json!("echo")));
    assert_eq!((&echo["version"], &echo["transport"]), (&json!(1), &json!("tcp")));
    assert_eq!(echo["memory"], echo["memory_peak"]);
    assert!(other["memory"].as_u64() >= Some(2 * 65536), "{other}");
    let ids = |arguments: &[&str]| {
        let found = steered.json(&[&["connections", "--json"], arguments].concat());
        let found = found.as_array().unwrap().clone();
        found.iter().map(|one| one["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let (a, b) = (echo["id"].as_u64().unwrap(), other["id"].as_u64().unwrap());
    let port = told.address();
    for (arguments, expected) in [
        (&[][..], vec![a, b]),
        (&["--listener", "told"], vec![b]),
        (&["--handler", "echo"], vec![a]),
        (&["--handler", "nobody"], vec![]),
        (&["--peer", &port], vec![b]),
        (&["--peer", "127.0.0."], vec![a, b]),
        (&["--older-than", "0s"], vec![a, b]),
        (&["--older-than", "1d"], vec![]),
        (&["--idle-longer-than", "1d"], vec![]),
        (&["--sort", "bytes_in"], vec![a, b]),
        (&["--sort", "memory"], vec![b, a]),
        (&["--sort", "memory", "--limit", "1"], vec![b]),
    ] {
        assert_eq!(ids(arguments), expected, "{arguments:?}");
    }
    let table = steered.said(&["connections"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert_eq!(lines(&table, &["echo", "waiting", &first.address()]).len(), 1, "{table}");
    let (code, one) = asked(&steered, "GET", &format!("/v1/connections/{a}"), "");
    assert_eq!((code, &one["id"]), (200, &json!(a)));
}

#[test]
fn connections_are_followed_with_an_array_a_line() {
    let steered = Steered::start();
    let _client = steered.echoed();
    let mut following = portcell()
        .args(["connections", "--json", "--follow"])
        .current_dir(steered.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let found: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(found[0]["listener"], "echo");
    }
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn following_ends_when_nobody_reads_any_more() {
    let steered = Steered::start();
    let _client = steered.echoed();
    for format in [&[][..], &["--json"]] {
        let mut following = portcell()
            .args([&["connections", "--follow"], format].concat())
            .current_dir(steered.folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = following.stdout.take().unwrap();
        let said = BufReader::new(output).lines().map(Result::unwrap);
        let is_there = |line: &String| line.contains("waiting") && line.contains("echo");
        assert!(said.take(5).any(|line| is_there(&line)));
        assert!(following.wait().unwrap().success());
    }
}

#[test]
fn a_listener_is_suspended_resumed_stopped_and_started_by_commands() {
    let steered = Steered::start();
    assert_eq!(steered.said(&["suspend", "echo"]), "echo is suspended\n");
    let mut waits = steered.server.connect_to("echo");
    waits.send("x");
    assert!(waits.hears_nothing());
    assert_eq!(steered.said(&["resume", "echo"]), "echo is accepting\n");
    assert_eq!(waits.receive(1), "x");
    assert_eq!(steered.said(&["stop", "echo"]), "echo has stopped; 1 connection was cut\n");
    waits.is_reset();
    assert!(steered.refused(&["suspend", "echo"]).contains("listener echo is stopped; start it"));
    assert_eq!(steered.said(&["start", "echo"]), "echo is accepting\n");
    steered.echoed();
    let said = steered.refused(&["suspend", "ecko"]);
    assert!(said.contains("there is no listener `ecko`; did you mean `echo`?"), "{said}");
}

#[test]
fn a_configuration_is_reloaded_or_refused_and_status_says_which() {
    let steered = Steered::start();
    let _stays = steered.echoed();
    let more = "[[listener]]\nname = \"new\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"";
    steered.folder.write("portcell.toml", super::config("", more));
    assert_eq!(steered.said(&["reload"]), "the configuration was applied\n");
    steered.server.connect_to("new").is_echoed();
    steered.folder.write("portcell.toml", super::config("cpus = 3", more));
    let said = steered.refused(&["reload"]);
    assert!(said.contains("portcell.toml:5: unknown key `cpus`"), "{said}");
    let fixed = "admin = \"unix:other.sock\"";
    steered.folder.write("portcell.toml", super::config(fixed, more));
    let said = steered.refused(&["reload", "--admin", "unix:portcell.sock"]);
    assert!(said.contains("server.admin cannot change while the server runs"), "{said}");
    let status = steered.json(&["status", "--json", "--admin", "unix:portcell.sock"]);
    let reloads = &status["reloads"];
    assert_eq!((&reloads["applied"], &reloads["refused"]), (&json!(1), &json!(2)));
    assert!(reloads["last"]["error"].as_str().unwrap().contains("admin"), "{reloads}");
    assert_eq!(status["connections"], 1);
}

#[test]
fn a_handler_takes_what_its_file_has_now() {
    let steered = Steered::start();
    let mut before = steered.echoed();
    assert_eq!(steered.said(&["reload", "echo"]), "echo has version 1\n");
    std::fs::copy(steered.folder.at("does_as_told.wasm"), steered.folder.at("echo.wasm")).unwrap();
    assert_eq!(steered.said(&["reload", "echo"]), "echo has version 2\n");
    before.is_echoed();
    let mut after = steered.server.connect_to("echo");
    after.send("e");
    assert_eq!(after.receive(1), "e");
    let status = steered.json(&["status", "--json"]);
    let versions = status["handlers"][0]["versions"].as_array().unwrap();
    let of =
        |version: &Value| json!([version["version"], version["state"], version["connections"]]);
    let versions: Vec<_> = versions.iter().map(of).collect();
    assert_eq!(versions, [json!([1, "kept", 1]), json!([2, "in_service", 1])]);
    assert!(steered.said(&["status"]).contains("1, and 1 of version 1"));
    steered.folder.write("echo.wasm", "no wasm");
    assert!(steered.refused(&["reload", "echo"]).contains("echo.wasm"));
    let last = &steered.json(&["status", "--json"])["swaps"]["last"];
    assert_eq!(last["handler"], "echo");
    // What goes well elsewhere does not hide it.
    steered.said(&["reload", "told"]);
    let text = steered.said(&["status"]);
    assert_eq!(lines(&text, &["echo.wasm", "is not a wasm module"]).len(), 1, "{text}");
    for command in ["reload", "rollback"] {
        let said = steered.refused(&[command, "ecko"]);
        assert!(said.contains("there is no handler `ecko`; did you mean `echo`?"), "{said}");
    }
    assert_eq!(steered.said(&["rollback", "echo"]), "echo has version 1\n");
    steered.server.connect_to("echo").is_echoed();
    let said = steered.refused(&["rollback", "echo"]);
    assert!(said.contains("handler echo has no version before v1 to go back to"), "{said}");
    let swaps = &steered.json(&["status", "--json"])["swaps"];
    assert_eq!((&swaps["applied"], &swaps["refused"]), (&json!(4), &json!(4)));
}

#[test]
fn what_a_reload_would_change_is_told_and_nothing_is_changed() {
    let steered = Steered::start();
    assert_eq!(steered.said(&["diff"]), "nothing is different\n");
    let more = "[[listener]]\nname = \"new\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"";
    steered.folder.write("portcell.toml", super::config("max_flows = 9", more));
    let said = "server: max_flows 1024 -> 9; needs a restart\nlistener new: new\n";
    assert_eq!(steered.said(&["diff"]), said);
    let found = steered.json(&["diff", "--json"]);
    assert_eq!(found[0]["path"], "server.max_flows");
    assert_eq!(found[1]["needs_restart"], false);
    let status = steered.json(&["status", "--json"]);
    assert_eq!(status["listeners"].as_array().unwrap().len(), 2);
    assert_eq!(status["reloads"]["last"], Value::Null);
    steered.folder.write("portcell.toml", super::config("cpus = 3", more));
    assert!(steered.refused(&["diff"]).contains("portcell.toml:5: unknown key `cpus`"));
}

#[test]
fn bounds_are_shown_and_set() {
    let pool = "[[listener]]\nname = \"pooled\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"\n\
                spawn = { pool = \"small\" }\n[pool.small]\nsize = 3";
    let steered = Steered::with("", pool);
    let of = |name: &str| {
        let limits = steered.json(&["limits", "--json"]);
        let limits = limits.as_array().unwrap().clone();
        limits.into_iter().find(|limit| limit["name"] == name).unwrap()
    };
    assert_eq!(of("server")["most"], 200);
    assert_eq!(of("listener.echo")["most"], Value::Null);
    assert_eq!((&of("pool.small")["most"], &of("handshakes")["live"]), (&json!(3), &json!(false)));
    let said = steered.said(&["limits", "set", "listener.echo", "1"]);
    assert_eq!(said, "listener.echo: at most 1, 0 used\n");
    let _one = steered.echoed();
    assert_eq!(of("listener.echo")["used"], 1);
    let mut waits = steered.server.connect_to("echo");
    waits.send("x");
    assert!(waits.hears_nothing());
    let said = steered.said(&["limits", "set", "listener.echo", "none"]);
    assert!(said.starts_with("listener.echo: no bound, "), "{said}");
    assert_eq!(waits.receive(1), "x");
    assert_eq!(
        steered.said(&["limits", "set", "pool.small", "9"]),
        "pool.small: at most 9, 0 used\n"
    );
    assert!(steered.said(&["limits"]).contains("pool.small"));
    for (name, most, said) in [
        ("server", "201", "there is room for 200 connections"),
        ("listener.ecko", "1", "there is no listener `ecko`; did you mean `echo`?"),
        ("pool.smal", "1", "there is no pool `smal`; did you mean `small`?"),
        ("sever", "1", "there is no limit `sever`; did you mean `server`?"),
        ("flows", "1", "`flows` is fixed while the server runs"),
    ] {
        let refused = steered.refused(&["limits", "set", name, most]);
        assert!(refused.contains(said), "{refused}");
    }
    let none = steered.command(&["limits", "set", "pool.small", "none"]);
    assert_eq!(none.code, 64, "{}", none.stderr);
}

#[test]
fn what_cannot_be_meant_is_bad_usage() {
    let steered = Steered::start();
    for (arguments, said) in [
        (&["kill", "x"][..], "invalid digit"),
        (&["kill"], "ID"),
        (&["suspend"], "LISTENER"),
        (&["suspend", "a b"], "`a b` is no name"),
        (&["suspend", "a/b"], "`a/b` is no name"),
        (&["drain", "--deadline", "5"], "has no unit"),
        (&["limits", "set", "server", "0"], "a number from 1 on, or none"),
        (&["limits", "set", "server"], "N"),
        (&["connections", "--sort", "cpus"], "did you mean `cpu`?"),
        (&["connections", "--older-than", "5"], "has no unit"),
        (&["connections", "--limit", "0"], "a number from 1 on"),
        (&["status", "--admin", "nonsense"], "--admin: bad address `nonsense`"),
        (&["status", "--admin", "udp://127.0.0.1:1"], "is no admin socket"),
    ] {
        let output = steered.command(arguments);
        assert_eq!(output.code, 64, "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains(said), "{arguments:?}: {}", output.stderr);
    }
}
