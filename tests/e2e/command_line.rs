//! What can be typed, and what is said.

use std::env;
use std::fs;

use crate::harness::{Folder, Program, plugin, repository};

/// Compares with tests/golden/`name`.txt, or writes it where `UPDATE_EXPECT` is set.
pub(crate) fn is_golden(name: &str, text: &str) {
    let path = repository().join("tests/golden").join(format!("{name}.txt"));
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; set UPDATE_EXPECT=1", path.display()));
    assert!(
        text == expected,
        "{name} is not {}; UPDATE_EXPECT=1 writes it:\n{text}",
        path.display()
    );
}

#[test]
fn help_teaches() {
    for (name, arguments) in [
        ("portcell", &["--help"][..]),
        ("run", &["run", "--help"]),
        ("run-short", &["run", "-h"]),
        ("serve", &["serve", "--help"]),
        ("check", &["check", "--help"]),
        ("inspect", &["inspect", "--help"]),
        ("dev", &["dev", "--help"]),
        ("receipts", &["receipts", "--help"]),
        ("new", &["new", "--help"]),
        ("status", &["status", "--help"]),
        ("connections", &["connections", "--help"]),
        ("kill", &["kill", "--help"]),
        ("drain", &["drain", "--help"]),
        ("reload", &["reload", "--help"]),
        ("rollback", &["rollback", "--help"]),
        ("upgrade", &["upgrade", "--help"]),
        ("diff", &["diff", "--help"]),
        ("limits", &["limits", "--help"]),
        ("limits-set", &["limits", "set", "--help"]),
        ("test", &["test", "--help"]),
    ] {
        let output = Program::portcell().arguments(arguments).run();
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{arguments:?}");
        is_golden(&format!("help/{name}"), &String::from_utf8(output.stdout).unwrap());
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = Program::portcell().argument("--version").text();
    assert_eq!(version, format!("portcell {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn nothing_typed_is_answered_with_the_help() {
    let output = Program::portcell().run();
    assert_eq!(output.code, 64);
    assert!(output.stderr.contains("Usage: portcell"), "{}", output.stderr);
}

#[test]
fn what_is_not_known_is_bad_usage_with_the_nearest_name() {
    for (arguments, said) in [
        (&["servee"][..], "'serve'"),
        (&["run", "x.wasm", "--idle-timout", "1s"], "'--idle-timeout'"),
        (&["run"], "PLUGIN.wasm"),
        (&["run", "x.wasm", "--log-format", "xml"], "text, json"),
        (&["inspect", "a.wasm", "b.wasm"], "b.wasm"),
        (&["check", "--bogus"], "'--bogus'"),
    ] {
        let output = Program::portcell().arguments(arguments).run();
        assert_eq!(output.code, 64, "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains(said), "{arguments:?}: {}", output.stderr);
    }
}

#[test]
fn bad_values_of_flags_are_each_a_line() {
    let output = Program::portcell()
        .argument("run")
        .argument(plugin("echo"))
        .arguments(&["--idle-timeout", "30", "--memory", "lots", "--spawn", "0"])
        .run();
    assert_eq!(output.code, 64);
    let begins: Vec<_> =
        output.stderr.lines().map(|line| line.split(':').nth(1).unwrap().trim()).collect();
    let mut sorted = begins.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["--idle-timeout", "--memory", "--spawn"], "{}", output.stderr);
}

#[test]
fn a_bad_log_filter_is_bad_usage() {
    let output = Program::portcell().arguments(&["--log", "info,guest=loud", "check"]).run();
    assert_eq!(output.code, 64, "{}", output.stderr);
    assert!(output.stderr.contains("--log"), "{}", output.stderr);
}

#[test]
fn check_says_good_or_every_error() {
    let folder = Folder::new();
    let module = folder.guest("does_as_told");
    let listener = "[[listener]]\nname = \"a\"\nbind = \"127.0.0.1:0\"\nhandler = \"a\"\n";
    let config = folder
        .write("good.toml", format!("{listener}[handler.a]\nmodule = \"{}\"\n", module.display()));
    let text = Program::portcell().argument("check").argument(&config).text();
    assert_eq!(text, format!("{}: good: 1 listener, 1 handler\n", config.display()));

    let bad = format!("{listener}backlog = 0\n[handler.a]\nmodule = 1\n");
    let output =
        Program::portcell().argument("check").argument(folder.write("bad.toml", bad)).run();
    assert_eq!(output.code, 64);
    let lines: Vec<_> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("bad.toml:5: ") && lines[1].contains("bad.toml:7: "), "{lines:?}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let folder = Folder::new();
    for command in ["check", "serve"] {
        let output = Program::portcell().directory(folder.path()).argument(command).run();
        assert_eq!(output.code, 64, "{}", output.stderr);
        assert!(output.stderr.starts_with("portcell: portcell.toml: "), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    }
}
