//! House rules that the compiler does not hold.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

use std::fs;
use std::path::{Path, PathBuf};

use portcell::exit::Exit;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file at or under `path`, with its code: comments are left out.
fn code(path: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![root().join("host/src").join(path)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.push((path.clone(), lines.collect::<Vec<_>>().join("\n")));
        }
    }
    found
}

fn must_not_name(parts: &[&str], words: &[&str]) {
    for (path, text) in parts.iter().flat_map(|part| code(part)) {
        for word in words {
            assert!(!text.contains(word), "{} must not know of `{word}`", path.display());
        }
    }
}

#[test]
fn the_net_half_and_the_leaves_know_no_wasm() {
    let parts = [
        "listener",
        "admission",
        "connection",
        "tls",
        "account.rs",
        "watchdog.rs",
        "drain.rs",
        "exit.rs",
        "address",
        "capacity.rs",
        "config",
    ];
    must_not_name(&parts, &["wasmtime", "wasmparser", "crate::guest", "crate::instance"]);
}

#[test]
fn the_wasm_half_knows_no_sockets() {
    let parts = [
        "engine.rs",
        "plugin.rs",
        "handler.rs",
        "guest.rs",
        "guest_log.rs",
        "instance.rs",
        "hostcalls",
    ];
    must_not_name(
        &parts,
        &["tokio::net", "rustix::net", "socket2", "crate::listener", "TcpStream"],
    );
}

#[test]
fn only_guest_and_hostcalls_touch_a_guests_memory() {
    let everything = code("");
    assert!(everything.len() > 40, "the sources were not found");
    for (path, text) in everything {
        let may =
            path.ends_with("guest.rs") || path.components().any(|c| c.as_os_str() == "hostcalls");
        for call in ["data_and_store_mut", ".data_mut(&", "Memory::"] {
            assert!(may || !text.contains(call), "{} touches memory: {call}", path.display());
        }
    }
}

#[test]
fn every_exit_is_explained_to_operators() {
    let text = || String::new();
    let exits = [
        Exit::Ok,
        Exit::Failed(1),
        Exit::Trap(text()),
        Exit::MemoryLimit,
        Exit::CpuLimit,
        Exit::Lifetime,
        Exit::IdleTimeout,
        Exit::WriteTimeout,
        Exit::PeerReset,
        Exit::Drained,
        Exit::Cut,
        Exit::HostError(text()),
    ];
    let operations = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    for exit in exits {
        let row = format!("| `{}` |", exit.kind());
        assert!(operations.contains(&row), "docs/operations.md has no row for {row}");
    }
}

#[test]
fn every_plugin_is_tested_end_to_end() {
    let tests: String = fs::read_dir(root().join("tests/e2e"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let plugins = fs::read_dir(root().join("plugins")).unwrap().map(|entry| entry.unwrap().path());
    let mut seen = 0;
    for plugin in plugins.filter(|path| path.join("Cargo.toml").is_file()) {
        let name = plugin.file_name().unwrap().to_string_lossy().into_owned();
        assert!(tests.contains(&format!("\"{name}\"")), "no end-to-end test uses {name}");
        seen += 1;
    }
    assert!(seen >= 5, "the plugins were not found");
}
