//! `portcell receipts --follow`, asked of the server.

use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Steered, command, config};
use crate::harness::{Client, Folder, Log, Server, portcell, wait_until};

/// A command that follows, and what it has said so far.
struct Following {
    child: Child,
    said: Log,
    complained: Log,
}

impl Following {
    /// In this folder, with more arguments.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = portcell();
        command.args(["receipts", "--follow"]).args(arguments).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Log::collect(child.stdout.take().unwrap());
        let complained = Log::collect(child.stderr.take().unwrap());
        Self { child, said, complained }
    }

    /// Lets clients come and go until it has told of one: it follows from then on.
    fn follows(&self, steered: &Steered) {
        wait_until("it follows", || {
            steered.echoed().leaves();
            !self.said.lines().is_empty()
        });
    }

    /// Waits for a line that has all of these words.
    fn line(&self, words: &[&str]) -> String {
        self.said.find(&words.join(" "), |lines| {
            lines.iter().find(|line| words.iter().all(|word| line.contains(word))).cloned()
        })
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; gives the exit code and what it has complained of.
    fn ends(mut self) -> (Option<i32>, String) {
        self.complained.wait_for_its_end();
        let status = self.child.wait().unwrap();
        (status.code(), self.complained.lines().join("\n"))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It has ended already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of `told` whose handler ends with 3.
fn fails(steered: &Steered) {
    let mut told = steered.server.connect_to("told");
    told.send("f");
    told.leaves();
}

#[test]
fn receipts_of_a_server_that_writes_no_file_come_in_a_table_and_as_they_are() {
    let steered = Steered::start();
    let table = Following::start(steered.folder.path(), &[]);
    let failed = Following::start(steered.folder.path(), &["--failed", "--json", "--tail", "9"]);
    let elsewhere = Folder::new();
    let admin = format!("unix:{}", steered.socket().display());
    let told = Following::start(elsewhere.path(), &["--listener", "told", "--admin", &admin]);
    table.follows(&steered);
    // Until these follow, too.
    wait_until("both have told of one", || {
        fails(&steered);
        !failed.said.lines().is_empty() && !told.said.lines().is_empty()
    });
    assert!(table.said.lines()[0].starts_with("UTC "), "{:?}", table.said.lines());
    table.line(&[" echo@1 ", " ok"]);
    table.line(&[" told@1 ", " failed with code 3"]);
    told.line(&[" told@1 ", " failed with code 3"]);
    assert!(!told.said.lines().iter().any(|line| line.contains("echo@1")));
    let receipt: Value = serde_json::from_str(&failed.said.lines()[0]).unwrap();
    assert_eq!(
        (&receipt["exit"]["kind"], &receipt["listener"]),
        (&"failed".into(), &"told".into())
    );

    steered.said(&["drain"]);
    for following in [table, failed, told] {
        let (code, said) = following.ends();
        assert_eq!(code, Some(0));
        assert_eq!(said, "portcell: the server has ended; there are no more receipts");
    }
}

#[test]
fn who_has_seen_enough_ends_it_and_a_server_that_is_killed_is_told_of() {
    let steered = Steered::start();
    let following = Following::start(steered.folder.path(), &[]);
    following.follows(&steered);
    following.signal(Signal::INT);
    assert_eq!(following.ends(), (Some(0), String::new()));

    let following = Following::start(steered.folder.path(), &[]);
    following.follows(&steered);
    steered.server.signal(Signal::KILL);
    let (code, said) = following.ends();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the server has gone"), "{said}");
}

#[test]
fn one_who_does_not_read_is_told_how_many_were_missed() {
    const CONNECTIONS: usize = 2500;
    let steered = Steered::start();
    let following = Following::start(steered.folder.path(), &["--json", "--listener", "echo"]);
    following.follows(&steered);
    let marks = steered.echoed();
    let id = steered.connections()[0]["id"].clone();
    marks.leaves();
    following.line(&[&format!("\"id\":{id},")]);
    let heard = following.said.lines().len();
    following.signal(Signal::STOP);
    let port = steered.server.port_of("echo");
    for _ in 0..CONNECTIONS {
        Client::connect(("127.0.0.1", port)).leaves();
    }
    wait_until("all have ended", || steered.json(&["status", "--json"])["connections"] == 0);
    following.signal(Signal::CONT);
    let missed = |lines: &[String]| -> usize {
        let number = |line: &String| line.split(' ').nth(1)?.parse::<usize>().ok();
        lines.iter().filter_map(number).sum()
    };
    wait_until("all have been told of or missed", || {
        let missed = missed(&following.complained.lines());
        missed > 0 && following.said.lines().len() - heard + missed == CONNECTIONS
    });
    let said = following.complained.lines().remove(0);
    assert!(said.ends_with(" were missed: they came faster than they were read"), "{said}");
}

#[test]
fn what_is_asked_of_a_server_is_what_comes() {
    let steered = Steered::start();
    for (arguments, said) in [
        (&["receipts", "--admin", "unix:portcell.sock"][..], "add --follow"),
        (&["receipts", "--follow", "--admin", "unix:x", "file"], "name one of them"),
        (&["receipts"], "portcell receipts -"),
    ] {
        let output = steered.command(arguments);
        assert_eq!(output.code, 64, "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains(said), "{arguments:?}: {}", output.stderr);
    }
    let nowhere = command(&Folder::new(), &["receipts", "--follow"]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("no server at unix:portcell.sock"), "{}", nowhere.stderr);
}

#[test]
fn a_file_that_the_configuration_names_is_followed_itself() {
    let folder = Folder::new();
    folder.guest("echo");
    folder.guest("does_as_told");
    let config = config("", "").replace("\"stderr\"", "\"./receipts.json\"");
    let steered = Steered { server: Server::serve(&folder, &config).start(), folder };
    steered.echoed().leaves();
    // It was there before.
    let following = Following::start(steered.folder.path(), &["--json"]);
    following.line(&["\"listener\":\"echo\""]);
}
