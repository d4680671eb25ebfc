//! Who is let in, and who waits.

use rustix::process::{Resource, Rlimit, prlimit};

use crate::harness::{Client, Folder, Program, Server, plugin};

/// Checks that `most` connections are served at once and the next one waits for an end.
fn check(server: &Server, connect: impl Fn() -> Client, most: usize) {
    let mut open: Vec<_> = (0..most).map(|_| connect()).collect();
    for client in &mut open {
        client.is_echoed();
    }
    let mut waiting = connect();
    waiting.send("x");
    assert!(waiting.hears_nothing(), "one more than {most} is served");
    let mut ends = open.pop().unwrap();
    ends.end();
    ends.ends_in_good_order();
    assert_eq!(waiting.receive(1), "x");
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

#[test]
fn the_server_serves_as_many_as_it_may_and_the_next_one_waits() {
    let server = Server::run(plugin("echo")).arguments(&["--max-connections", "3"]).start();
    server.find_line("room for 3 connections; set by server.max_connections");
    check(&server, || server.connect(), 3);
}

#[test]
fn spawn_bounds_how_many_are_served() {
    for (spawn, most) in [("inline", 1), ("2", 2)] {
        let server = Server::run(plugin("echo")).arguments(&["--spawn", spawn]).start();
        check(&server, || server.connect(), most);
    }
}

#[test]
fn a_listener_that_is_full_does_not_keep_another_waiting() {
    let folder = Folder::new();
    let config = format!(
        r#"
        server.receipts = "stderr"
        [[listener]]
        name = "small"
        bind = "tcp://127.0.0.1:0"
        handler = "echo"
        max_connections = 2
        [[listener]]
        name = "other"
        bind = "tcp://127.0.0.1:0"
        handler = "echo"
        [handler.echo]
        module = "{}"
        "#,
        plugin("echo").display()
    );
    let server = Server::serve(&folder, &config).start();
    check(&server, || server.connect_to("small"), 2);
    let mut full: Vec<_> = (0..3).map(|_| server.connect_to("small")).collect();
    let mut others: Vec<_> = (0..10).map(|_| server.connect_to("other")).collect();
    for client in &mut others {
        client.is_echoed();
    }
    assert!(full[2].hears_nothing());
}

#[test]
fn listeners_share_the_places_of_the_server() {
    let folder = Folder::new();
    let listener = |name: &str| {
        format!(
            "[[listener]]\nname = \"{name}\"\nbind = \"tcp://127.0.0.1:0\"\nhandler = \"echo\"\n"
        )
    };
    let config = format!(
        "[server]\nreceipts = \"stderr\"\nmax_connections = 2\n{}{}[handler.echo]\nmodule = \"{}\"\n",
        listener("a"),
        listener("b"),
        plugin("echo").display()
    );
    let server = Server::serve(&folder, &config).start();
    let mut a = server.connect_to("a");
    a.is_echoed();
    check(&server, || server.connect_to("b"), 1);
}

#[test]
fn more_connections_than_the_machine_allows_are_refused_at_start() {
    let output = Program::portcell()
        .arguments(&["run", "--max-connections", "4000000000", "--listen", "127.0.0.1:0"])
        .argument(plugin("echo"))
        .run();
    assert_eq!(output.code, 64);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("4000000000, but this machine allows "), "{}", output.stderr);
}

#[test]
fn a_machine_without_room_for_one_connection_is_refused_at_start() {
    let folder = Folder::new();
    let config = format!(
        "[[listener]]\nname = \"e\"\nbind = \"127.0.0.1:0\"\nhandler = \"e\"\n\
         [handler.e]\nmodule = \"{}\"\n",
        plugin("echo").display()
    );
    let config = folder.write("portcell.toml", config).display().to_string();
    let echo = plugin("echo").display().to_string();
    let starts =
        [&["run", &echo, "--listen", "127.0.0.1:0"][..], &["serve", &config], &["check", &config]];
    for arguments in starts {
        let output = Program::new("prlimit")
            .argument("--nofile=100:100")
            .argument(env!("CARGO_BIN_EXE_portcell"))
            .arguments(arguments)
            .run();
        let said = &output.stderr;
        assert_eq!(output.code, 64, "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.contains("a server needs a connection"), "{arguments:?}: {said}");
        assert!(said.contains("allows 0: the hard limit of open files is 100"), "{said}");
    }
}

#[test]
fn a_server_that_runs_out_of_descriptors_goes_on_when_there_are_some_again() {
    let server = Server::run(plugin("echo")).start();
    let mut open = server.connect();
    open.is_echoed();
    let used = std::fs::read_dir(format!("/proc/{}/fd", server.pid().as_raw_nonzero()));
    let most = Some(used.unwrap().count() as u64 + 5);
    prlimit(Some(server.pid()), Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let mut clients: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("x");
    }
    let said = server.find_line("cannot accept at");
    assert!(said.contains("Too many open files"), "{said}");
    open.is_echoed();
    // Some end, and the others are served one after another.
    for mut client in clients {
        assert_eq!(client.receive(1), "x");
        client.end();
        client.ends_in_good_order();
    }
    server.find_line("again; it failed ");
    server.connect().is_echoed();
}
