//! The guests in `tests/guests`.

use std::fs;
use std::path::{Path, PathBuf};

use portcell::plugin::Plugin;

use crate::harness::loader;

#[test]
fn every_guest_has_a_test() {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut tests = String::new();
    for folder in [
        "host/tests/sandbox",
        "tests/e2e",
        "tests/e2e/harness",
        "tests/e2e/hostile",
        "tests/e2e/tls",
    ] {
        for path in files(&repository.join(folder), "rs") {
            tests.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let guests = files(&repository.join("tests/guests"), "wat");
    assert!(guests.len() > 10, "{guests:?}");
    for guest in guests {
        let name = guest.file_stem().unwrap().to_str().unwrap();
        let is_used =
            tests.contains(&format!("\"{name}\"")) || tests.contains(&format!("/{name}.wat"));
        assert!(is_used, "no test uses {name}.wat");
    }
}

#[test]
fn the_guest_that_calls_as_it_is_told_can_call_everything() {
    let module = wat::parse_file("../tests/guests/calls_as_told.wat").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls_as_told.wasm");
    fs::write(&path, module).unwrap();
    let plugin = Plugin::read(&path, 1 << 20).unwrap();
    for offered in loader().offered() {
        assert!(plugin.imports().contains(offered), "it cannot call {offered:?}");
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}
