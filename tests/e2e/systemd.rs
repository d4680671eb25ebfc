//! The service manager: readiness, and signs of life.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::{Folder, PATIENCE, Program, Server, plugin, portcell};

/// A service manager that hears what it is told.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.at("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The server's program, which is told where to find the manager.
    fn starts(folder: &Folder) -> Command {
        let mut command = portcell();
        command.env("NOTIFY_SOCKET", folder.at("notify"));
        command
    }

    /// The next message.
    fn message(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The next message that is more than the status text and a sign of life.
    fn hears(&self) -> String {
        let tells =
            |message: &String| !message.starts_with("STATUS=") && !message.starts_with("WATCHDOG=");
        std::iter::repeat_with(|| self.message()).find(tells).unwrap()
    }

    /// What has come and was not looked at.
    fn so_far(&self) -> Vec<String> {
        self.0.set_nonblocking(true).unwrap();
        let mut message = [0; 4096];
        let mut all = Vec::new();
        while let Ok(length) = self.0.recv(&mut message) {
            all.push(String::from_utf8(message[..length].to_vec()).unwrap());
        }
        all
    }

    /// Waits for a message with this line in it.
    fn waits_for(&self, line: &str) {
        while !self.message().lines().any(|said| said == line) {}
    }
}

const ECHO: &str = "[[listener]]\nname = \"e\"\nbind = \"127.0.0.1:0\"\nhandler = \"e\"\n";

fn echo() -> String {
    format!("{ECHO}[handler.e]\nmodule = \"{}\"\n", plugin("echo").display())
}

#[test]
fn a_service_manager_is_told_of_readiness_reload_and_end() {
    let folder = Folder::new();
    let manager = Manager::listen(&folder);
    let server = Server::serve(&folder, &echo()).start_by(Manager::starts(&folder));
    assert_eq!(manager.hears(), "READY=1\n");
    server.connect().is_echoed();

    server.signal(Signal::HUP);
    let reloading = manager.hears();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.hears(), "READY=1\n");

    server.signal(Signal::TERM);
    assert_eq!(manager.hears(), "STOPPING=1\n");
    assert_eq!(server.wait().0, 0);
}

#[test]
fn the_process_that_takes_the_place_of_another_is_made_known() {
    let folder = Folder::new();
    let manager = Manager::listen(&folder);
    let mut server = Server::serve(&folder, &echo()).start_by(Manager::starts(&folder));
    assert_eq!(manager.hears(), "READY=1\n");
    let successor = server.upgrade();
    // Of both processes; a manager listens to the main one only.
    let heard = [manager.hears(), manager.hears()];
    assert!(heard.contains(&"READY=1\n".to_owned()), "{heard:?}");
    assert!(heard.contains(&format!("MAINPID={}\n", successor.pid())), "{heard:?}");
    server.ends();
}

#[test]
fn of_two_processes_only_the_one_that_serves_tells_of_its_end() {
    let folder = Folder::new();
    let manager = Manager::listen(&folder);
    let mut server = Server::serve(&folder, &echo()).start_by(Manager::starts(&folder));
    let mut stays = server.connect();
    stays.is_echoed();
    let successor = server.upgrade();
    let mut stays_with_the_other = server.connect();
    stays_with_the_other.is_echoed();
    server.signal(Signal::HUP);
    server.signal(Signal::TERM);
    stays.is_echoed();
    stays.leaves();
    server.ends();
    drop(stays_with_the_other);
    successor.signal(Signal::TERM);
    // Of the log, that is: both have it.
    server.wait();
    let heard = manager.so_far();
    let count = |line: &str| heard.iter().filter(|said| said.starts_with(line)).count();
    assert_eq!(
        (count("STOPPING=1"), count("RELOADING=1"), count("READY=1")),
        (1, 0, 2),
        "{heard:?}"
    );
}

#[test]
fn a_drain_by_a_command_is_an_end_that_is_told_and_no_reload_begins_in_it() {
    let folder = Folder::new();
    let manager = Manager::listen(&folder);
    let server = Server::serve(&folder, &echo()).start_by(Manager::starts(&folder));
    let mut stays = server.connect();
    stays.is_echoed();
    let drain = Program::portcell().arguments(&["drain"]).directory(folder.path()).run();
    assert_eq!(drain.code, 0, "{}", drain.stderr);
    manager.waits_for("STOPPING=1");
    server.signal(Signal::HUP);
    stays.leaves();
    assert_eq!(server.wait().0, 0);
    let heard = manager.so_far();
    assert!(!heard.iter().any(|said| said.starts_with("RELOADING=1")), "{heard:?}");
}

#[test]
fn the_status_text_says_how_many_connections_there_are_and_which_listeners_do_not_accept() {
    let folder = Folder::new();
    let manager = Manager::listen(&folder);
    let mut command = Manager::starts(&folder);
    // The text is looked at as often as the watchdog is fed.
    command.env("WATCHDOG_USEC", "20000");
    let config = format!("[server]\nmax_connections = 9\n{}", echo())
        .replace("handler = \"e\"", "handler = \"e\"\nspawn = 1");
    let server = Server::serve(&folder, &config).start_by(command);
    manager.waits_for("STATUS=0 of 9 connections");
    let mut client = server.connect();
    client.is_echoed();
    manager.waits_for("STATUS=1 of 9 connections");
    let waits = server.connect();
    manager.waits_for("STATUS=1 of 9 connections; e: full");
    drop(waits);
}

#[test]
fn the_watchdog_is_fed_until_the_end_and_also_in_a_drain() {
    let folder = Folder::new();
    let manager = Manager::listen(&folder);
    let mut command = Manager::starts(&folder);
    command.env("WATCHDOG_USEC", "20000");
    let server = Server::serve(&folder, &echo()).start_by(command);
    let mut client = server.connect();
    client.is_echoed();
    manager.waits_for("WATCHDOG=1");
    manager.waits_for("WATCHDOG=1");
    server.signal(Signal::TERM);
    manager.waits_for("STOPPING=1");
    manager.waits_for("WATCHDOG=1");
    manager.waits_for("WATCHDOG=1");
    drop(client);
    assert_eq!(server.wait().0, 0);
}
