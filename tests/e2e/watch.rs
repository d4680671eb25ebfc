//! `watch`: modules are loaded again when their files change.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{Folder, Server, wait_until};

/// Waits until new connections are answered so.
fn answers(server: &Server, expected: &str) {
    wait_until(&format!("the answer is `{expected}`"), || server.connect().ask("") == expected);
}

#[test]
fn a_module_is_replaced_however_its_file_is() {
    let folder = Folder::new();
    let path = folder.version("module", "first-");
    let server = Server::run(&path).arguments(&["--watch"]).start();
    let mut old = server.connect();
    assert_eq!(old.ask(""), "first- 1");

    // By another name that is given its name, as editors do.
    folder.version("module", "second");
    let said = server.find_line("handler module: v2 (sha256 ");
    assert!(said.ends_with(") is in service; 1 connection finishes on v1"), "{said}");
    assert_eq!(server.connect().ask(""), "second 2");
    // By its content, as cp does.
    fs::copy(folder.version("other", "third-"), &path).unwrap();
    answers(&server, "third- 3");
    // By a link to another one.
    fs::remove_file(&path).unwrap();
    symlink(folder.version("other", "fourth"), &path).unwrap();
    answers(&server, "fourth 4");
    // By what the link leads to.
    folder.version("other", "fifth-");
    answers(&server, "fifth- 5");
    assert_eq!(old.ask(""), "first- 1");
}

#[test]
fn a_file_that_stays_bad_is_told_once_and_the_version_stays() {
    let folder = Folder::new();
    let path = folder.version("module", "first-");
    let server = Server::run(&path).arguments(&["--watch"]).start();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let said = server.find_line("; v1 stays");
    assert!(said.contains("handler module: ") && said.contains("it ends in the middle"), "{said}");
    assert_eq!(server.connect().ask(""), "first- 1");
    folder.version("module", "second");
    answers(&server, "second 2");
    // A module that cannot serve is whole: that is told at once.
    folder.wat(
        "module",
        r#"(module (memory (export "memory") 1) (func (export "handle") unreachable))"#,
    );
    let said = server.find_line("; v2 stays");
    assert!(said.contains("the trial of v3 failed: "), "{said}");
    assert_eq!(server.log().matches(" stays").count(), 2, "{}", server.log());
    assert_eq!(server.connect().ask(""), "second 2");
}
