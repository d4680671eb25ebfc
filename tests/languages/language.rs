//! The modules of a language, and whether they are there.

use std::collections::BTreeSet;
use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::harness::{Folder, plugin, portcell, repository};

/// What was compiled from this handler in this language. None if there is no compiler for it here,
/// which is an error in CI and a line elsewhere.
pub(crate) fn module((language, handler): (&str, &str)) -> Option<PathBuf> {
    let handler = handler.replace('_', "-");
    if language == "rust" {
        return Some(plugin(&handler));
    }
    let path = repository().join(format!("plugins/{language}/{handler}.wasm"));
    if path.exists() {
        compile(&path);
        return Some(path);
    }
    let is_buildable = has_compiler(language);
    assert!(!is_buildable, "there is no {}: run `make languages` first", path.display());
    None
}

/// Whether there is a compiler for this language here. None is an error in CI and a line elsewhere.
pub(crate) fn has_compiler(language: &str) -> bool {
    let Some(command) = what_is_missing(language) else { return true };
    assert!(!is_ci(), "handlers in {language} need: {command}");
    skip(language, &command);
    false
}

/// Has a module compiled into the cache of the tests. A large one, as those in Go are, would take
/// longer than a test waits if every test that comes first did it beside the others.
pub(crate) fn compile(module: &Path) {
    static DONE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if done.insert(module.to_owned()) {
        let folder = Folder::new();
        // `portcell check` would leave nothing in the cache.
        let script = folder.write("script.txt", "reset\n");
        let played = portcell().arg("test").arg(module).arg("--script").arg(script).output();
        let played = played.unwrap();
        assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    }
}

/// The command that installs the compiler of a language; none if it is there.
fn what_is_missing(language: &str) -> Option<String> {
    let script = repository().join("scripts/languages").join(language);
    let output = Command::new(&script).arg("check").output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}

/// Says once that a language is left out, past the test's own output, which nobody sees when it
/// succeeds.
fn skip(language: &str, command: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(language.to_owned()) {
        let _ = writeln!(io::stderr(), "SKIPPED: handlers in {language}, which need: {command}");
    }
}
