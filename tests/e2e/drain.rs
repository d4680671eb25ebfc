//! Ending a server.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use rustix::process::Signal;

use crate::harness::{Client, Folder, PATIENCE, Server, plugin, wait_until};

#[test]
fn a_drain_lets_connections_end_and_takes_no_new_ones() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::run(plugin("echo")).start();
        let mut client = server.connect();
        client.is_echoed();
        server.signal(signal);
        server.find_line("draining: 1 connection");
        assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
        client.is_echoed();
        client.end();
        client.ends_in_good_order();
        let (code, log) = server.wait();
        assert_eq!(code, 0, "{log}");
        assert!(log.contains(r#""exit":{"kind":"ok"}"#), "{log}");
        assert!(!log.contains("cut"), "{log}");
    }
}

#[test]
fn a_server_without_connections_ends_at_once() {
    let server = Server::run(plugin("echo")).start();
    server.signal(Signal::TERM);
    let began = Instant::now();
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(began.elapsed().as_secs() < 5);
}

#[test]
fn a_second_signal_ends_at_once() {
    let server = Server::run(plugin("echo")).arguments(&["--drain-timeout", "none"]).start();
    let mut client = server.connect();
    client.is_echoed();
    server.drain();
    client.is_echoed();
    server.signal(Signal::TERM);
    client.is_reset();
    let (code, log) = server.wait();
    assert_eq!(code, 0);
    assert!(log.contains(r#""exit":{"kind":"cut"}"#), "{log}");
}

#[test]
fn a_second_signal_cuts_a_guest_that_spins() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("does_as_told"))
        .arguments(&["--cpu", "none", "--drain-timeout", "none"])
        .start();
    let mut client = server.connect();
    client.send("S");
    assert_eq!(client.receive(1), "S");
    server.drain();
    server.signal(Signal::INT);
    client.is_reset();
    let (code, log) = server.wait();
    assert_eq!(code, 0);
    assert!(log.contains(r#""exit":{"kind":"cut"}"#), "{log}");
}

#[test]
fn a_second_signal_ends_a_close_that_lingers() {
    let folder = Folder::new();
    let server =
        Server::run(folder.guest("does_as_told")).arguments(&["--drain-timeout", "none"]).start();
    let mut client = server.connect();
    client.send("o");
    // The guest has ended; its connection waits for this side's end, up to two seconds.
    client.ends_in_good_order();
    server.drain();
    server.signal(Signal::TERM);
    let receipt = server.receipt();
    assert_eq!(receipt["exit"]["kind"], "ok", "what ended well was not cut");
    let lasted = receipt["duration_ms"].as_u64().unwrap();
    assert!(lasted < 1_500, "{lasted} ms");
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("cut"), "{log}");
}

#[test]
fn a_guest_that_asks_is_told_of_the_drain_and_ends_by_itself() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("does_as_told"))
        .arguments(&["--drain-timeout", "none", "--idle-timeout", "none"])
        .start();
    let mut client = server.connect();
    client.send("ed");
    assert_eq!(client.receive(1), "e");
    server.drain();
    assert_eq!(client.rest().unwrap(), b"d");
    drop(client);
    let (code, log) = server.wait();
    assert_eq!(code, 0);
    assert!(log.contains(r#""exit":{"kind":"ok"}"#), "{log}");
}

#[test]
fn busy_connections_are_not_silent_ones() {
    let server = Server::run(plugin("echo"))
        .arguments(&["--drain-idle", "1500ms", "--drain-timeout", "none"])
        .start();
    let mut busy = server.connect();
    let mut silent = server.connect();
    busy.is_echoed();
    silent.is_echoed();
    server.drain();
    for _ in 0..12 {
        busy.is_echoed();
        assert!(busy.hears_nothing());
    }
    silent.ends_in_good_order();
    drop(silent);
    busy.is_echoed();
    busy.end();
    busy.ends_in_good_order();
    assert_eq!(server.receipts(2)[0]["exit"]["kind"], "drained");
    assert_eq!(server.receipts(2)[1]["exit"]["kind"], "ok");
    assert_eq!(server.wait().0, 0);
}

#[test]
fn clients_that_connected_before_the_drain_are_served() {
    let folder = Folder::new();
    let names = ["a", "b", "c", "d"];
    // One client a turn: the drain comes while most of them are not accepted yet.
    let listener = |name: &str| {
        format!(
            "[[listener]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nhandler = \"echo\"\n\
             max_accept = 1\n"
        )
    };
    let config = format!(
        "server.receipts = \"stderr\"\n{}[handler.echo]\nmodule = \"{}\"\n",
        names.map(listener).concat(),
        plugin("echo").display()
    );
    let server = Server::serve(&folder, &config).start();
    let ports = names.map(|name| server.port_of(name));
    server.halt();
    let connect = |number: usize| Client::connect(("127.0.0.1", ports[number % ports.len()]));
    let mut clients: Vec<_> = (0..400).map(connect).collect();
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    server.find_line("draining: 400 connections are open");
    for client in &mut clients {
        client.is_echoed();
        client.end();
        client.ends_in_good_order();
    }
    let (code, log) = server.wait();
    assert_eq!(code, 0);
    assert_eq!(log.matches(r#""exit":{"kind":"ok"}"#).count(), 400, "{log}");
}

/// Connects again and again until it is refused. Once it is connected, it must be answered, or
/// the connection must end in good order. Counts the answers.
fn hammers(port: u16, answered: &AtomicUsize) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let said = stream.local_addr().unwrap().to_string();
        let mut heard = Vec::new();
        stream.write_all(said.as_bytes()).unwrap_or_else(|error| panic!("{said}: {error}"));
        stream.shutdown(Shutdown::Write).unwrap_or_else(|error| panic!("{said}: {error}"));
        stream.read_to_end(&mut heard).unwrap_or_else(|error| panic!("{said}: {error}"));
        assert!(heard == said.as_bytes() || heard.is_empty(), "{said}: {heard:?}");
        answered.fetch_add(usize::from(!heard.is_empty()), SeqCst);
    }
}

#[test]
fn of_those_who_connect_while_it_ends_nobody_is_reset() {
    for signal in [Signal::TERM, Signal::INT, Signal::TERM] {
        let server = Server::run(plugin("echo")).start();
        let (port, answered) = (server.port(), Arc::new(AtomicUsize::new(0)));
        let hammer = || {
            let answered = Arc::clone(&answered);
            std::thread::spawn(move || hammers(port, &answered))
        };
        let clients: Vec<_> = (0..16).map(|_| hammer()).collect();
        wait_until("it is busy", || answered.load(SeqCst) > 500);
        server.signal(signal);
        for client in clients {
            client.join().unwrap();
        }
        let (code, log) = server.wait();
        assert_eq!(code, 0, "{log}");
        let receipts = log.matches(r#""exit":{"kind":"ok"}"#).count();
        assert_eq!(receipts, answered.load(SeqCst), "each has one receipt");
        assert!(!log.contains("cut") && !log.contains("peer_reset"), "{log}");
    }
}

#[test]
fn clients_for_whom_there_is_no_place_do_not_hold_up_a_drain() {
    let server = Server::run(plugin("echo")).arguments(&["--max-connections", "1"]).start();
    let mut client = server.connect();
    client.is_echoed();
    let mut waiting = server.connect();
    server.drain();
    waiting.ends_in_good_order();
    client.is_echoed();
    client.end();
    client.ends_in_good_order();
    assert_eq!(server.wait().0, 0);
}

#[test]
fn a_program_without_a_poll_reads_the_end_where_that_is_asked_for() {
    for (drain_input, ends) in [("end", true), ("open", false)] {
        let server = Server::run(plugin("hello-inetd"))
            .arguments(&["--drain-input", drain_input, "--drain-timeout", "none"])
            .start();
        let mut client = server.connect();
        client.line();
        server.drain();
        if ends {
            client.ends_in_good_order();
        } else {
            client.send("ann\n");
            assert!(client.line().contains("ann"));
            client.end();
            client.ends_in_good_order();
        }
        drop(client);
        let (code, log) = server.wait();
        assert_eq!(code, 0);
        assert!(log.contains(r#""exit":{"kind":"ok"}"#), "{log}");
    }
}

#[test]
fn the_end_of_a_drain_resets_nobody_who_is_turned_away() {
    let server = Server::run(plugin("echo")).arguments(&["--max-connections", "1"]).start();
    let mut place = server.connect();
    place.is_echoed();
    let mut waiting: Vec<_> = (0..20).map(|_| server.connect()).collect();
    // At the same moment the drain begins and the only connection ends.
    server.halt();
    for client in &mut waiting {
        client.send("x");
        client.end();
    }
    place.end();
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    for client in &mut waiting {
        let said = client.rest().unwrap();
        assert!(said.is_empty() || said == b"x", "{said:?}");
    }
    assert_eq!(server.wait().0, 0);
}
