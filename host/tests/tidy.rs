//! House rules that the compiler does not hold.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcell::config::{KEYS, parse_duration};
use portcell::exit::Exit;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file at or under `path` of the host, with its code: comments are left out.
fn code(path: &str) -> Vec<(PathBuf, String)> {
    let path = Path::new("host/src").join(path);
    sources(&path)
        .into_iter()
        .map(|(path, text)| {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let code = lines.collect::<Vec<_>>().join("\n");
            (path, code)
        })
        .collect()
}

/// Every Rust file at or under `path`, as it is.
fn sources(path: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![root().join(path)];
    while let Some(path) = left.pop() {
        if path.is_dir() && !path.ends_with("target") {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["host", "tests", "plugins", "guest-sdk"] {
        for (_, text) in sources(Path::new(folder)) {
            let mut lines = text.lines().map(str::trim_start);
            while let Some(line) = lines.next() {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    let function = lines.find_map(|line| Some(line.split_once("fn ")?.1));
                    names.extend(function.and_then(|name| name.split('(').next()).map(Into::into));
                }
            }
        }
    }
    assert!(names.len() > 400, "the tests were not found");
    names
}

/// What stands in backticks.
fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
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
        "admin",
        "account.rs",
        "presence.rs",
        "tally.rs",
        "watchdog.rs",
        "drain.rs",
        "exit.rs",
        "address",
        "capacity.rs",
        "config",
        "rehearsal/bytes.rs",
        "rehearsal/client.rs",
        "rehearsal/script.rs",
    ];
    must_not_name(&parts, &["wasmtime", "wasmparser", "crate::guest", "crate::instance"]);
}

#[test]
fn the_wasm_half_knows_no_sockets() {
    let parts = [
        "compile",
        "cache",
        "engine.rs",
        "plugin",
        "handler.rs",
        "guest.rs",
        "guest_log.rs",
        "instance.rs",
        "trial.rs",
        "rehearsal",
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
        Exit::MemoryLimit("handler.memory"),
        Exit::CpuLimit("handler.cpu"),
        Exit::Lifetime,
        Exit::IdleTimeout,
        Exit::WriteTimeout,
        Exit::BytesLimit("listener.max_bytes_in"),
        Exit::SlowPeer,
        Exit::PeerReset,
        Exit::HandshakeFailed(text()),
        Exit::Refused(text()),
        Exit::Drained,
        Exit::Cut,
        Exit::Killed,
        Exit::HostError(text()),
    ];
    let operations = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    assert_eq!(exits.each_ref().map(Exit::kind).len(), Exit::KINDS.len());
    for exit in exits {
        assert!(Exit::KINDS.contains(&exit.kind()), "{} is not among the kinds", exit.kind());
        let row = format!("| `{}` |", exit.kind());
        assert!(operations.contains(&row), "docs/operations.md has no row for {row}");
    }
}

#[test]
fn the_unit_gives_a_drain_its_time_and_says_what_its_chapter_says() {
    let unit = fs::read_to_string(root().join("packaging/portcell.service")).unwrap();
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let drain = KEYS.iter().find(|key| key.name == "drain_timeout").unwrap();
    let drain = parse_duration(drain.default.connections().unwrap().trim_matches('"')).unwrap();
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert!(Duration::from_secs(stop.parse().unwrap()) > drain, "{stop} s, of {drain:?}");
    let (_, chapter) = page.split_once("\n## systemd\n").unwrap();
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    let sockets: BTreeSet<_> = unit
        .lines()
        .chain(chapter.lines())
        .flat_map(|line| line.split('"'))
        .filter(|word| word.starts_with("unix:/"))
        .collect();
    assert_eq!(sockets.len(), 1, "{sockets:?}");
}

#[test]
fn every_plugin_is_tested_end_to_end() {
    let tests: String = ["tests/e2e", "tests/languages"]
        .iter()
        .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let plugins = fs::read_dir(root().join("plugins")).unwrap().map(|entry| entry.unwrap().path());
    let mut seen = 0;
    for plugin in plugins.filter(|path| path.join("Cargo.toml").is_file()) {
        let name = plugin.file_name().unwrap().to_string_lossy().into_owned();
        assert!(tests.contains(&format!("\"{name}\"")), "no test with a server uses {name}");
        seen += 1;
    }
    assert!(seen >= 5, "the plugins were not found");
}

/// Checks the last column of the page's tables that have one with the heading `shown by`: each row
/// names tests that exist, or says one of `without`. Other tables are those with one of `plain` as
/// their last heading.
fn every_row_is_shown(page: &str, more_than: usize, without: &[&str], plain: &[&str]) {
    let tests = tests();
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut rows = 0;
    // The heading of the table that a line is in.
    let mut heading = None;
    for line in text.lines() {
        // A `|` within backticks would be a cell of its own in the page, too.
        let last =
            line.strip_prefix('|').and_then(|row| row.trim_end_matches('|').split('|').next_back());
        let Some(last) = last.map(str::trim) else {
            heading = None;
            continue;
        };
        let of_table = *heading.get_or_insert(last);
        assert!(of_table == "shown by" || plain.contains(&of_table), "no tests: {line}");
        if of_table != "shown by" || [of_table, "---"].contains(&last) {
            continue;
        }
        rows += 1;
        let mut names = in_backticks(last).peekable();
        assert!(names.peek().is_some() || without.contains(&last), "nothing shows this: {line}");
        for name in names {
            assert!(tests.contains(name), "{page} names a test that is not there: {name}");
        }
    }
    assert!(rows > more_than, "the tables of {page} were not found");
}

#[test]
fn every_row_of_the_comparison_names_tests_that_exist() {
    let without = ["not in this version", "not offered", "by review"];
    every_row_is_shown("docs/from-gevent.md", 100, &without, &[]);
}

#[test]
fn every_attack_names_tests_that_exist() {
    every_row_is_shown("docs/security.md", 20, &[], &["is trusted with"]);
}

#[test]
fn every_guest_that_misbehaves_is_in_the_list_of_attacks() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let used: String =
        sources(Path::new("tests/e2e/hostile")).into_iter().map(|(_, text)| text).collect();
    let mut guests = 0;
    for entry in fs::read_dir(root().join("tests/guests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if used.contains(&format!("\"{name}\"")) {
            assert!(page.contains(&format!("`{name}`")), "docs/security.md leaves out {name}.wat");
            guests += 1;
        }
    }
    assert!(guests > 30, "the guests were not found");
}

#[test]
fn every_test_that_shows_an_invariant_exists() {
    let tests = tests();
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, invariants) = page.split_once("## Invariants").unwrap();
    let (invariants, _) = invariants.split_once("\n## ").unwrap();
    // Names of tests are sentences; what else is named here is shorter.
    let named: Vec<_> =
        in_backticks(invariants).filter(|word| word.split('_').count() > 3).collect();
    assert!(named.len() > 30, "the invariants were not found");
    for name in named {
        assert!(tests.contains(name), "ARCHITECTURE.md names a test that is not there: {name}");
    }
}
