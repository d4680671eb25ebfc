//! `portcell test`: the plugins go through the conversations in plugins/conversations, and what is
//! wrong is told.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::TestResult;
use crate::harness::{Folder, Output, Program, plugin, repository};

/// A guest that says hello and traps when its client resets the connection.
const FRAGILE: &str = r#"(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "hello\n")
  (func $trust (param i32) (if (i32.lt_s (local.get 0) (i32.const 0)) (then (unreachable))))
  (func (export "handle") (result i32)
    (drop (call $write (i32.const 0) (i32.const 0) (i32.const 6)))
    (drop (call $log (i32.const 1) (i32.const 0) (i32.const 5)))
    (call $trust (call $read (i32.const 0) (i32.const 100) (i32.const 100)))
    (i32.const 0)))"#;

/// The plugin `name` goes through its conversations, with these flags.
fn goes_through(name: &str, flags: &[&str]) {
    let script = repository().join(format!("plugins/conversations/{name}.txt"));
    let output = rehearsed(name, &script, flags);
    assert_eq!(output.code, 0, "{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let (summary, conversations) = lines.split_last().unwrap();
    assert!(summary.ends_with(" replays, all as written"), "{text}");
    for line in conversations {
        assert!(line.starts_with("ok    ") && line.contains("  torture: "), "{text}");
    }
}

fn rehearsed(name: &str, script: &Path, flags: &[&str]) -> Output {
    Program::portcell()
        .argument("test")
        .argument(plugin(name))
        .argument("--torture")
        .arguments(flags)
        .argument("--script")
        .argument(script)
        .run()
}

#[test]
fn echo_shout_and_daytime_go_through_torture() {
    for name in ["echo", "shout", "daytime"] {
        goes_through(name, &[]);
    }
}

#[test]
fn a_plain_program_goes_through_torture() {
    goes_through("hello-inetd", &[]);
}

#[test]
fn http_goes_through_torture_with_its_files() {
    let www = format!("{}::/www", repository().join("plugins/http/www").display());
    goes_through("http", &["--dir", &www]);
}

#[test]
fn smtp_goes_through_torture_and_keeps_no_half_of_a_message() -> TestResult {
    let folder = Folder::new();
    let grant = format!("{}::/mail::rw", folder.path().display());
    goes_through("smtp", &["--dir", &grant, "--env", "SERVER_NAME=mail.example"]);
    let mut messages = 0;
    for entry in fs::read_dir(folder.path())? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        assert!(text.ends_with("\r\nSubject: hello\r\n\r\nhello\r\n.\r\n"), "{path:?}: {text}");
        messages += 1;
    }
    // Once as it is written, and once in each way but those with a reset before it was stored.
    assert!(messages >= 4, "{messages}");
    Ok(())
}

#[test]
fn dns_goes_through_torture_with_its_zones() {
    let zones = format!("{}::/zones", repository().join("plugins/dns/zones").display());
    goes_through("dns", &["--dir", &zones]);
}

#[test]
fn what_comes_differently_is_told_and_is_a_failure() -> TestResult {
    let folder = Folder::new();
    let module = folder.wat("fragile", FRAGILE);
    folder.write("good.txt", "expect \"hello\\n\"\nend\nexpect end\n");
    folder.write("bad.txt", "# what it does not say\nexpect \"help\\n\"\n");
    let rehearse = |arguments: &[&str]| {
        let program = Program::portcell().directory(folder.path());
        program.argument("test").argument(&module).arguments(arguments).run()
    };
    let plain = rehearse(&["--script", "good.txt"]);
    assert_eq!((plain.code, plain.stderr.as_str()), (0, ""));
    assert_eq!(plain.stdout, b"ok    good.txt:1\n1 conversation, all as written\n");

    let output = rehearse(&["--script", "good.txt", "bad.txt", "--torture"]);
    assert_eq!(output.code, 1);
    assert_eq!(output.stderr, "portcell: 2 of 2 conversations went wrong\n");
    let text = String::from_utf8(output.stdout)?;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "WRONG good.txt:1  line 3, reset after it has read 0 bytes");
    assert_eq!(lines[1], "  expected  exit ok, failed or peer_reset");
    assert_eq!(lines[2], "  came      exit trap");
    assert!(lines[3].starts_with("  handler   trap: wasm trap: "), "{text}");
    assert!(lines[4].starts_with("            in ") && lines[4].contains("trust"), "{text}");
    assert!(lines.contains(&"  its log   ERROR hello"), "{text}");
    let bad = "WRONG bad.txt:2  line 2, as it is written, byte 3 of what the handler sends";
    let at = lines.iter().position(|line| *line == bad).expect(&text);
    assert_eq!(lines[at + 1..at + 3], [r#"  expected  "help\n""#, r#"  came      "hello\n""#]);

    let output = rehearse(&["--script", "good.txt", "bad.txt", "--torture", "--json"]);
    assert_eq!(output.code, 1);
    let value: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(value["ok"], false);
    let reset = &value["conversations"][0];
    assert_eq!((&reset["script"], &reset["line"]), (&json!("good.txt"), &json!(1)));
    assert_eq!(reset["torture"]["replays"], 4);
    let difference = &reset["difference"];
    assert_eq!(difference["mode"], "reset_after_read");
    assert_eq!(difference["left_at"], 0);
    assert_eq!(difference["exit"]["kind"], "trap");
    assert_eq!(difference["log"], json!([{ "level": "ERROR", "text": "hello" }]));
    let bad = &value["conversations"][1]["difference"];
    assert_eq!((&bad["mode"], &bad["offset"]), (&json!("plain"), &json!(3)));
    assert_eq!(bad["came"], r#""hello\n""#);
    Ok(())
}

#[test]
fn a_script_that_cannot_be_read_is_bad_usage_and_nothing_is_played() {
    let folder = Folder::new();
    let module = folder.wat("fragile", FRAGILE);
    folder.write("good.txt", "end\n");
    folder.write("bad.txt", "end\n\nsned \"a\"\n");
    for (arguments, said) in [
        (&["--script", "good.txt", "bad.txt"][..], "portcell: bad.txt:3: `sned` is no action"),
        (&["--script", "none.txt"], "portcell: none.txt: cannot read the script: No such file"),
        (&["--script", "good.txt", "--memory", "lots"], "portcell: --memory: takes a size"),
        (&["--script", "good.txt", "--memory", "none"], "portcell: "),
        (&["--script", "good.txt", "--listen", ":7000"], "error: unexpected argument '--listen'"),
        (&["--script", "good.txt", "--watch"], "error: unexpected argument '--watch'"),
        (&[], "error: the following required arguments"),
    ] {
        let test = Program::portcell().directory(folder.path()).argument("test").argument(&module);
        let output = test.arguments(arguments).run();
        assert_eq!(output.code, 64, "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.starts_with(said), "{arguments:?}: {}", output.stderr);
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
    let none = folder.path().join("none.wasm");
    let test = Program::portcell().directory(folder.path()).argument("test").argument(&none);
    let output = test.arguments(&["--script", "good.txt"]).run();
    assert_eq!(output.code, 64);
    assert!(output.stderr.contains("none.wasm: "), "{}", output.stderr);
}

#[test]
fn a_handler_has_the_limits_and_grants_that_are_given() {
    let folder = Folder::new();
    let spins = folder.wat(
        "spins",
        r#"(module (memory (export "memory") 1) (func (export "handle") (loop $on (br $on))))"#,
    );
    folder.write("spins.txt", "end\nexpect exit cpu_limit\n");
    for limits in [&["--cpu", "20ms"][..], &["--meter", "fuel", "--fuel", "100000"]] {
        Program::portcell()
            .directory(folder.path())
            .argument("test")
            .argument(&spins)
            .arguments(limits)
            .arguments(&["--script", "spins.txt"])
            .output();
    }
}
