//! `watch`: modules are loaded again when their files change.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{Folder, Program, Server, wait_until};

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

#[test]
fn of_two_that_stay_bad_both_are_told_and_good_ones_clear_that() {
    let folder = Folder::new();
    let (half, traps) = (folder.version("half", "first-"), folder.version("traps", "first-"));
    let config = "[[listener]]\nname = \"l\"\nbind = \"127.0.0.1:0\"\nhandler = \"half\"\n\
                  [[listener]]\nname = \"m\"\nbind = \"unix:m.sock\"\nhandler = \"traps\"\n\
                  [handler.half]\nmodule = \"half.wasm\"\nwatch = true\n\
                  [handler.traps]\nmodule = \"traps.wasm\"\nwatch = true\n";
    let server = Server::serve(&folder, config).start();
    let whole = fs::read(&half).unwrap();
    // The first one is told when that lasts, the second one at once.
    fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    fs::remove_file(&traps).unwrap();
    folder.wat(
        "traps",
        r#"(module (memory (export "memory") 1) (func (export "handle") unreachable))"#,
    );
    server.find_line("handler traps: ");
    let said = server.find_line("handler half: ");
    assert!(said.contains("it ends in the middle") && said.ends_with("; v1 stays"), "{said}");
    let errors = || {
        let program = Program::portcell().arguments(&["status", "--json"]);
        let said = program.directory(folder.path()).run().stdout;
        let status: serde_json::Value = serde_json::from_slice(&said).unwrap();
        let handlers = status["handlers"].as_array().unwrap().clone();
        handlers.iter().filter(|handler| !handler["error"].is_null()).count()
    };
    assert_eq!(errors(), 2);
    folder.version("half", "second");
    answers(&server, "second 2");
    wait_until("its error is gone", || errors() == 1);
    folder.version("traps", "second");
    wait_until("both errors are gone", || errors() == 0);
}

#[test]
fn a_folder_that_is_swapped_as_a_whole_and_one_that_goes_and_comes_back_are_followed() {
    let folder = Folder::new();
    for (name, tag) in [("one", "first-"), ("two", "second")] {
        fs::create_dir(folder.at(name)).unwrap();
        fs::rename(folder.version("module", tag), folder.at(name).join("module.wasm")).unwrap();
    }
    // As Kubernetes has it: a file is a link through a link, which is swapped.
    symlink("one", folder.at("..data")).unwrap();
    symlink("..data/module.wasm", folder.at("module.wasm")).unwrap();
    let server = Server::run(folder.at("module.wasm")).arguments(&["--watch"]).start();
    assert_eq!(server.connect().ask(""), "first- 1");
    symlink("two", folder.at("..data_tmp")).unwrap();
    fs::rename(folder.at("..data_tmp"), folder.at("..data")).unwrap();
    answers(&server, "second 2");
    fs::rename(folder.at("two"), folder.at("away")).unwrap();
    let said = server.find_line("; v2 stays");
    assert!(said.contains("there is no such file"), "{said}");
    assert_eq!(server.connect().ask(""), "second 2");
    fs::rename(folder.at("one"), folder.at("two")).unwrap();
    // The module is one that it has had.
    answers(&server, "first- 1");
}
