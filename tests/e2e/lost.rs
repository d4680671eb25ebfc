//! Listeners whose sockets die under them: here whoever has passed one on shuts it down.

use std::net::{Shutdown, TcpListener};

use rustix::process::Signal;
use socket2::SockRef;

use crate::harness::{Client, Folder, Passed, Server, plugin, portcell_with};

fn tcp() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Listeners `a` and `b`, at two sockets.
fn start(a: &TcpListener, b: &TcpListener) -> (Folder, Server) {
    let folder = Folder::new();
    let listener = |name: &str| {
        format!("[[listener]]\nname = \"{name}\"\nbind = \"fd://{name}\"\nhandler = \"echo\"\n")
    };
    let config = format!(
        "server.receipts = \"stderr\"\n{}{}[handler.echo]\nmodule = \"{}\"\n",
        listener("a"),
        listener("b"),
        plugin("echo").display()
    );
    let passed = [Passed::new("a", a), Passed::new("b", b)];
    let server = Server::serve(&folder, &config).start_by(portcell_with(&passed));
    server.addresses("a", 1);
    server.addresses("b", 1);
    (folder, server)
}

/// Nobody can accept from it any more.
fn lose(socket: &TcpListener) {
    SockRef::from(socket).shutdown(Shutdown::Both).unwrap();
}

fn client(socket: &TcpListener) -> Client {
    let mut client = Client::connect(socket.local_addr().unwrap());
    client.is_echoed();
    client
}

#[test]
fn a_server_that_loses_its_last_listener_ends_with_1_when_its_connections_have_ended() {
    let socket = tcp();
    let server = Server::run(plugin("echo"))
        .listen("fd://3")
        .arguments(&["--drain-timeout", "none"])
        .start_by(portcell_with(&[Passed::new("web", &socket)]));
    let at = format!("tcp://{}", socket.local_addr().unwrap());
    let mut open = client(&socket);
    lose(&socket);
    let gone = format!("the listener at {at} is gone: Invalid argument (os error 22)");
    server.find_line(&gone);
    server.find_line("draining: 1 connection is open");
    open.is_echoed();
    open.end();
    open.ends_in_good_order();
    let (code, log) = server.wait();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("listener echo failed, and it was the last: the listener at "), "{log}");
    assert_eq!(log.matches(&gone).count(), 2, "when it happens, and at the end: {log}");
    assert!(log.contains(r#""exit":{"kind":"ok"}"#), "{log}");
}

#[test]
fn a_listener_that_is_lost_takes_no_other_and_no_connection_with_it() {
    let (a, b) = (tcp(), tcp());
    let (_folder, server) = start(&a, &b);
    let (mut of_a, mut of_b) = (client(&a), client(&b));
    lose(&a);
    let at = a.local_addr().unwrap();
    server.find_line(&format!("the listener at tcp://{at} is gone: "));
    for _ in 0..3 {
        of_a.is_echoed();
        of_b.is_echoed();
        let mut newcomer = client(&b);
        newcomer.end();
        newcomer.ends_in_good_order();
    }
    // A drain waits for the connections of both.
    server.signal(Signal::TERM);
    server.find_line("draining: 2 connections are open");
    for mut client in [of_a, of_b] {
        client.is_echoed();
        client.end();
        client.ends_in_good_order();
    }
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("it was the last"), "{log}");
}

#[test]
fn the_second_of_two_is_the_last() {
    let (a, b) = (tcp(), tcp());
    let (_folder, server) = start(&a, &b);
    lose(&a);
    server.find_line("is gone: ");
    client(&b);
    lose(&b);
    let (code, log) = server.wait();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("listener b failed, and it was the last: "), "{log}");
}
