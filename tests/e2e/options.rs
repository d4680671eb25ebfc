//! Socket options, as the kernel and clients see them.

use std::net::TcpListener;

use crate::harness::{Client, Program, Server, has_ipv6, plugin, portcell, wait_until};

/// A server of echo with these flags, and its port.
fn start(arguments: &[&str]) -> (Server, u16) {
    let server = Server::run(plugin("echo")).arguments(arguments).start();
    let port = server.port();
    (server, port)
}

/// What the kernel says of the server's socket that listens at `port`, with `flags` of ss.
fn listening(flags: &str, port: u16) -> String {
    let filter = format!("sport = :{port}");
    let said = Program::new("ss").arguments(&["-Htln", flags, &filter]).text();
    assert!(said.starts_with("LISTEN"), "{said}");
    said
}

/// The same of its end of a connection.
fn connected(flags: &str, port: u16) -> String {
    let filter = format!("sport = :{port}");
    let said = Program::new("ss").arguments(&["-Htn", flags, "state", "established", &filter]);
    said.text()
}

#[test]
fn the_queue_of_the_kernel_is_as_long_as_configured() {
    for (arguments, backlog) in [(&["--backlog", "7"][..], "7"), (&[], "1024")] {
        let (_server, port) = start(arguments);
        let said = listening("-e", port);
        // State, what is in the queue, how long it may be.
        assert_eq!(said.split_whitespace().nth(2), Some(backlog), "{said}");
    }
}

#[test]
fn a_silent_client_is_asked_if_it_is_there_where_that_is_configured() {
    let (_server, port) = start(&["--keepalive", "50m:10s:3"]);
    let mut client = Client::connect(("127.0.0.1", port));
    client.is_echoed();
    wait_until("nothing is under way", || connected("-o", port).contains("timer:(keepalive,"));
    let said = connected("-o", port);
    let left = said.split("timer:(keepalive,").nth(1).unwrap();
    assert!(left.starts_with("50min,") || left.starts_with("49min"), "{said}");

    let (_server, port) = start(&[]);
    let mut client = Client::connect(("127.0.0.1", port));
    client.is_echoed();
    wait_until("nothing is under way", || !connected("-o", port).contains("timer:("));
}

#[test]
fn buffers_are_as_large_as_configured() {
    // The kernel books twice as much: socket(7).
    let (_server, port) = start(&["--receive-buffer", "30000", "--send-buffer", "40000"]);
    let _client = Client::connect(("127.0.0.1", port));
    for said in [listening("-m", port), connected("-m", port)] {
        assert!(said.contains("rb60000,") && said.contains("tb80000,"), "{said}");
    }
}

#[test]
fn two_servers_can_share_a_port_if_both_want_to() {
    let share = ["--reuse-port", "true"];
    let (first, port) = start(&share);
    let address = format!("127.0.0.1:{port}");
    let at_same = || Server::run(plugin("echo")).listen(&address);
    let (code, log) = at_same().fail_by(portcell());
    assert_eq!(code, 1, "{log}");
    let said = format!("cannot listen on tcp://{address}: it is taken by another program");
    assert!(log.contains(&said), "{log}");
    let second = at_same().arguments(&share).start();
    // Both get clients: the kernel deals them out by their addresses.
    let mut clients = Vec::new();
    wait_until("both serve somebody", || {
        let mut client = Client::connect(("127.0.0.1", port));
        client.is_echoed();
        clients.push(client);
        [&first, &second].iter().all(|server| open_connections(server) > 0)
    });
    drop(clients);
    first.stop();
    Client::connect(("127.0.0.1", port)).is_echoed();
    second.stop();
}

/// How many connections a server has, by its sockets.
fn open_connections(server: &Server) -> usize {
    let process = format!("pid={},", server.pid().as_raw_nonzero());
    let filter = format!("sport = :{}", server.port());
    let said = Program::new("ss").arguments(&["-Htnp", "state", "established", &filter]).text();
    said.lines().filter(|line| line.contains(&process)).count()
}

#[test]
fn every_interface_can_be_those_of_ipv6_only() {
    if !has_ipv6() {
        return;
    }
    // Another program has the port in IPv4.
    let theirs = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = theirs.local_addr().unwrap().port();
    let everywhere = || Server::run(plugin("echo")).listen(&format!(":{port}"));
    let (code, log) = everywhere().fail_by(portcell());
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("it is taken by another program"), "{log}");
    let _server = everywhere().arguments(&["--v6-only", "true"]).start();
    Client::connect(("::1", port)).is_echoed();
}

#[test]
fn an_address_that_comes_later_can_be_listened_on() {
    // RFC 5737: no machine has it.
    let address = "192.0.2.1:0";
    let server =
        Server::run(plugin("echo")).arguments(&["--ip-freebind", "true"]).listen(address).start();
    assert!(server.addresses("echo", 1)[0].starts_with("tcp://192.0.2.1:"));
    let (code, log) = Server::run(plugin("echo")).listen(address).fail_by(portcell());
    assert_eq!(code, 1, "{log}");
}

#[test]
fn a_client_that_says_nothing_takes_no_place_where_that_is_deferred() {
    let (server, port) = start(&["--defer-accept", "60s", "--spawn", "1"]);
    let mut silent = Client::connect(("127.0.0.1", port));
    let mut speaks = Client::connect(("127.0.0.1", port));
    speaks.is_echoed();
    speaks.end();
    speaks.ends_in_good_order();
    silent.is_echoed();
    assert_eq!(server.receipts(1).len(), 1);
}

#[test]
fn an_option_that_none_of_the_addresses_has_is_refused() {
    for (arguments, address) in [
        (["--keepalive", "60s:10s:3"], "udp://127.0.0.1:0"),
        (["--backlog", "5"], "udp://127.0.0.1:0"),
        (["--unix-mode", "0600"], "tcp://127.0.0.1:0"),
        (["--mode", "datagram"], "tcp://127.0.0.1:0"),
        (["--max-datagram", "1KiB"], "tcp://127.0.0.1:0"),
    ] {
        let server = Server::run(plugin("echo")).arguments(&arguments).listen(address);
        let (code, log) = server.fail_by(portcell());
        assert_eq!(code, 64, "{arguments:?}: {log}");
        assert!(log.lines().count() == 1 && log.contains(arguments[0]), "{arguments:?}: {log}");
    }
}

#[test]
fn an_option_that_the_kernel_refuses_is_named_with_its_address() {
    let (code, log) = Server::run(plugin("echo"))
        .arguments(&["--device", "no-such-device"])
        .listen("127.0.0.1:0")
        .fail_by(portcell());
    assert_eq!(code, 1, "{log}");
    let said = "cannot listen on tcp://127.0.0.1:0: `device` (no-such-device) is refused: ";
    assert!(log.lines().count() == 1 && log.contains(said), "{log}");
}
