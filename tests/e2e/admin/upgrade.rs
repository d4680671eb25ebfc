//! `portcell upgrade`: another process in the place of a server, or the reason why there is none.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use super::{Steered, command, config};
use crate::harness::{Folder, Output, Server, Successor, shared_cache};

/// Whatever portcell.toml is meanwhile.
const UPGRADE: [&str; 3] = ["upgrade", "--admin", "unix:portcell.sock"];

fn process(number: &Value) -> Successor {
    Successor::of(number.as_i64().unwrap().try_into().unwrap())
}

/// The process that answers.
fn present(steered: &Steered) -> Value {
    steered.json(&["status", "--json", "--admin", "unix:portcell.sock"])["pid"].clone()
}

#[test]
fn another_process_takes_the_place_of_the_server_and_both_are_named() {
    let mut steered = Steered::start();
    let mut stays = steered.echoed();
    let first = present(&steered);
    let answer = steered.json(&["upgrade", "--json"]);
    assert_eq!(answer["pid"], first);
    let _second = process(&answer["successor"]);
    assert_eq!(present(&steered), answer["successor"]);
    stays.is_echoed();
    steered.echoed().leaves();
    stays.leaves();
    steered.server.ends();

    let said = steered.said(&["upgrade"]);
    let third = present(&steered);
    let _third = process(&third);
    assert_eq!(
        said,
        format!(
            "process {third} serves from now on; process {} drains, and then ends\n",
            answer["successor"]
        )
    );
    steered.echoed().leaves();
}

#[test]
fn a_new_process_that_cannot_serve_has_its_reason_told_and_the_old_one_serves_on() {
    let steered = Steered::start();
    let mut stays = steered.echoed();
    let first = present(&steered);
    let wrong = "[[listener]]\nname = \"wrong\"\nbind = \"unix:none/x\"\nhandler = \"echo\"\n";
    for (written, why) in [
        (config("", wrong), "cannot listen on unix:"),
        ("[server]\nnonsense = 1\nmore = 2\n".into(), "portcell.toml:3: unknown key `more`"),
    ] {
        steered.folder.write("portcell.toml", written);
        let said = steered.refused(&UPGRADE);
        assert!(said.starts_with("portcell: the new process could not serve: "), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(said.ends_with(&format!("; process {first} serves on\n")), "{said}");
        assert_eq!((said.lines().count(), present(&steered)), (1, first.clone()));
        stays.is_echoed();
        steered.echoed().leaves();
    }
}

#[test]
fn a_new_program_that_ends_without_a_word_is_told_of_too() {
    let folder = Folder::new();
    folder.guest("echo");
    folder.guest("does_as_told");
    let program = folder.at("portcell");
    symlink(env!("CARGO_BIN_EXE_portcell"), &program).unwrap();
    let mut start = Command::new(&program);
    start.env("XDG_CACHE_HOME", shared_cache());
    let steered =
        Steered { server: Server::serve(&folder, &config("", "")).start_by(start), folder };
    for (new, why) in [
        (Some("/bin/false"), "ended before it served (exit status: 1); the log has what it said"),
        (None, "cannot start "),
    ] {
        fs::remove_file(&program).unwrap();
        if let Some(new) = new {
            symlink(new, &program).unwrap();
        }
        let said = steered.refused(&UPGRADE);
        assert!(said.contains(why), "{said}");
        steered.echoed().leaves();
    }
}

#[test]
fn one_at_a_time_is_made_and_who_waits_hears_of_the_end() {
    let steered = Steered::start();
    let path = steered.folder.at("portcell.toml");
    fs::remove_file(&path).unwrap();
    // The new process waits for somebody to write its configuration.
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    thread::scope(|scope| {
        let waits = scope.spawn(|| command(&steered.folder, &UPGRADE));
        steered.server.find_line("upgrade: starting");
        let said = steered.refused(&UPGRADE);
        assert!(said.contains("one is under way already"), "{said}");
        steered.server.signal(Signal::TERM);
        let Output { code, stderr, .. } = waits.join().unwrap();
        assert_eq!(code, 1);
        let said = "portcell: this process is to end; the new one was ended\n";
        assert_eq!(stderr, said);
    });
    assert_eq!(steered.server.wait().0, 0);
}
