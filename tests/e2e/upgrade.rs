//! Another program in the place of a server that runs: nobody is turned away, and if it does not
//! come to serve, nothing has changed.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;

use crate::harness::{
    Client, Folder, Passed, Peer, Program, Server, plugin, portcell_with, wait_until,
};

/// Echo everywhere.
fn echo() -> String {
    format!(
        "[[listener]]\nname = \"tcp\"\nbind = \"127.0.0.1:0\"\nhandler = \"echo\"\n\
         [[listener]]\nname = \"unix\"\nbind = \"unix:x.sock\"\nhandler = \"echo\"\n\
         [[listener]]\nname = \"udp\"\nbind = \"udp://127.0.0.1:0\"\nhandler = \"echo\"\n\
         [handler.echo]\nmodule = \"{}\"\n",
        plugin("echo").display()
    )
}

#[test]
fn nobody_is_turned_away_and_those_who_are_there_may_finish() {
    let folder = Folder::new();
    let mut server = Server::serve(&folder, &echo()).start();
    let (tcp, udp) = (server.port_of("tcp"), server.port_of("udp"));
    let path = folder.at("x.sock");
    let mut stays = server.connect_to("tcp");
    stays.is_echoed();
    server.peer_of("udp").is_echoed();

    let (done, came) = (AtomicBool::new(false), AtomicUsize::new(0));
    let successor = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                Client::connect(("127.0.0.1", tcp)).is_echoed();
                Client::connect_unix(&path).is_echoed();
                came.fetch_add(1, SeqCst);
            }
        });
        wait_until("clients come and go", || came.load(SeqCst) > 10);
        let successor = server.upgrade();
        let before = came.load(SeqCst);
        wait_until("clients still come and go", || came.load(SeqCst) > before + 10);
        done.store(true, SeqCst);
        successor
    });
    stays.is_echoed();
    Peer::of(("127.0.0.1", udp)).is_echoed();
    stays.leaves();
    server.ends();

    // Now there is only the other one.
    Client::connect(("127.0.0.1", tcp)).is_echoed();
    Client::connect_unix(&path).is_echoed();
    Peer::of(("127.0.0.1", udp)).is_echoed();
    successor.signal(Signal::TERM);
    wait_until("its file is gone", || !path.exists());
}

#[test]
fn a_program_that_does_not_come_to_serve_changes_nothing() {
    let folder = Folder::new();
    let mut server = Server::serve(&folder, &echo()).start();
    let mut stays = server.connect_to("tcp");
    stays.is_echoed();
    // All but one thing is good, and that comes to light when the sockets are bound.
    let wrong = "[[listener]]\nname = \"wrong\"\nbind = \"unix:none/x\"\nhandler = \"echo\"\n";
    fs::write(folder.at("portcell.toml"), wrong.to_owned() + &echo()).unwrap();
    server.signal(Signal::USR2);
    let why = server.find_line("; this process serves on");
    assert!(why.contains("could not serve: ") && why.contains("cannot listen on unix:"), "{why}");
    stays.is_echoed();
    server.connect_to("tcp").is_echoed();
    Client::connect_unix(&folder.at("x.sock")).is_echoed();
    server.peer_of("udp").is_echoed();

    fs::write(folder.at("portcell.toml"), echo()).unwrap();
    let successor = server.upgrade();
    stays.leaves();
    server.ends();
    Client::connect_unix(&folder.at("x.sock")).is_echoed();
    drop(successor);
}

#[test]
fn who_asks_for_the_end_meanwhile_gets_the_end_of_both() {
    let folder = Folder::new();
    let server = Server::serve(&folder, &echo()).start();
    hangs(&server, &folder);
    server.signal(Signal::USR2);
    server.find_line("upgrade: one is under way already");
    server.signal(Signal::TERM);
    // Of the log, that is: both have it.
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("this process is to end; the new one was ended"), "{log}");
}

/// Begins an upgrade whose new process waits for somebody to write its configuration.
fn hangs(server: &Server, folder: &Folder) {
    let config = folder.at("portcell.toml");
    fs::remove_file(&config).unwrap();
    mkfifoat(CWD, &config, Mode::RWXU).unwrap();
    server.signal(Signal::USR2);
    server.find_line("upgrade: starting");
}

/// Runs a command in the folder of a server, whose configuration is not read for it. It must be
/// done.
fn told(folder: &Folder, arguments: &[&str]) {
    let command = Program::portcell().arguments(arguments);
    let at = ["--admin", "unix:portcell.sock"];
    let output = command.arguments(&at).directory(folder.path()).run();
    assert_eq!(output.code, 0, "{arguments:?}: {}", output.stderr);
}

#[test]
fn who_drains_by_a_command_meanwhile_gets_the_end_of_both() {
    let folder = Folder::new();
    let server = Server::serve(&folder, &echo()).start();
    let mut stays = server.connect_to("tcp");
    stays.is_echoed();
    hangs(&server, &folder);
    told(&folder, &["drain"]);
    server.find_line("this process is to end; the new one was ended");
    stays.leaves();
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("serves on"), "{log}");
}

#[test]
fn a_listener_that_is_stopped_meanwhile_calls_it_off() {
    let folder = Folder::new();
    let mut server = Server::serve(&folder, &echo()).start();
    let port = server.port_of("tcp");
    hangs(&server, &folder);
    // What is closed here is closed for the other one, too, which would serve nobody there.
    told(&folder, &["stop", "tcp"]);
    let path = folder.at("portcell.toml");
    fs::write(&path, echo()).unwrap();
    let why = server.find_line("; this process serves on");
    assert!(why.contains("a listener was changed, started or stopped meanwhile"), "{why}");
    Client::connect_unix(&folder.at("x.sock")).is_echoed();
    told(&folder, &["start", "tcp"]);
    Client::connect(("127.0.0.1", port)).is_echoed();

    fs::remove_file(&path).unwrap();
    fs::write(&path, echo()).unwrap();
    let _successor = server.upgrade();
    server.ends();
    Client::connect(("127.0.0.1", port)).is_echoed();
}

#[test]
fn one_upgrade_follows_another_and_an_old_process_starts_none() {
    let folder = Folder::new();
    let mut server = Server::serve(&folder, &echo()).start();
    let mut stays = server.connect_to("tcp");
    stays.is_echoed();
    let first = server.upgrade();
    server.signal(Signal::USR2);
    server.find_line("upgrade: the server is draining, and then ends");
    first.signal(Signal::USR2);
    let lines = server.find_lines(2, " serves from now on");
    assert!(!lines[1].contains(&format!("process {} ", first.pid())), "{lines:?}");
    stays.is_echoed();
    stays.leaves();
    server.ends();
    Client::connect(("127.0.0.1", server.port_of("tcp"))).is_echoed();
    Client::connect_unix(&folder.at("x.sock")).is_echoed();
    server.peer_of("udp").is_echoed();
    told(&folder, &["drain"]);
    wait_until("its file is gone", || !folder.at("x.sock").exists());
}

#[test]
fn a_listener_that_is_not_configured_any_more_leaves_no_file() {
    let folder = Folder::new();
    let mut server = Server::serve(&folder, &echo()).start();
    Client::connect_unix(&folder.at("x.sock")).is_echoed();
    fs::write(folder.at("portcell.toml"), echo().replace("unix:x.sock", "unix:y.sock")).unwrap();
    let _successor = server.upgrade();
    server.ends();
    wait_until("its file is gone", || !folder.at("x.sock").exists());
    Client::connect_unix(&folder.at("y.sock")).is_echoed();
}

#[test]
fn sockets_that_it_was_started_with_are_passed_on_by_their_names_and_numbers() {
    for address in ["fd://web", "fd://3"] {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        let command = portcell_with(&[Passed::new("web", &socket)]);
        let mut server = Server::run(plugin("echo")).listen(address).start_by(command);
        drop(socket);
        Client::connect(at).is_echoed();
        let successor = server.upgrade();
        server.ends();
        Client::connect(at).is_echoed();
        successor.signal(Signal::TERM);
        wait_until("nobody listens", || Client::try_connect(&at.to_string()).is_err());
    }
}
