//! UDP: flows of datagrams, with clients that know nothing of them.

use std::net::UdpSocket;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Folder, Peer, Program, Server, has_ipv6, plugin, portcell, wait_until};

/// A server of this guest at a free port.
fn start(guest: &str, arguments: &[&str]) -> Server {
    let folder = Folder::new();
    Server::run(folder.guest(guest)).arguments(arguments).listen("udp://127.0.0.1:0").start()
}

/// How often the log says that something is wrong, for as long as it lasts.
fn warnings(server: &Server, what: &str) -> usize {
    server.log().lines().filter(|line| line.contains("WARN") && line.contains(what)).count()
}

fn kind(name: &str) -> Value {
    json!({ "kind": name })
}

/// The exit of a limit, with its key.
fn limit(name: &str, key: &str) -> Value {
    json!({ "kind": name, "detail": key })
}

/// Bytes that are all different for a while, so that one at the wrong place is seen.
fn bytes(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

#[test]
fn datagrams_of_every_length_come_back_as_they_were() {
    let server = start("echoes_datagrams", &["--drain-timeout", "1ms"]);
    let peer = server.peer();
    for length in [1, 0, 512, 0, 8193, 65_507, 0] {
        peer.send(bytes(length));
        assert!(peer.receive() == bytes(length), "{length}");
    }
    let receipt = server.stop().remove(0);
    let total = 1 + 512 + 8193 + 65_507;
    assert_eq!((&receipt["bytes_in"], &receipt["bytes_out"]), (&json!(total), &json!(total)));
}

#[test]
fn ipv6_carries_twenty_bytes_more() {
    if !has_ipv6() {
        return;
    }
    let folder = Folder::new();
    let server = Server::run(folder.guest("echoes_datagrams")).listen("udp://[::1]:0").start();
    let peer = Peer::of(("::1", server.udp_port()));
    peer.send(bytes(65_527));
    assert!(peer.receive() == bytes(65_527));
}

#[test]
fn a_flow_has_the_facts_of_its_peer() {
    let server = start("tells_facts_by_datagram", &["--tenant", "me"]);
    let peer = server.peer();
    assert_eq!(peer.ask("transport"), "udp");
    assert_eq!(peer.ask("peer.address"), peer.address());
    assert_eq!(peer.ask("local.address"), format!("127.0.0.1:{}", server.udp_port()));
    assert_eq!(peer.ask("datagram.size"), "13");
    assert_eq!(peer.ask("listener"), "tells_facts_by_datagram");
    assert_eq!(peer.ask("handler"), "tells_facts_by_datagram");
    assert_eq!(peer.ask("tenant"), "me");
    assert_eq!(peer.ask("limits.idle_timeout"), "30000", "that of UDP");
    for absent in ["peer.pid", "tls.version", "nonsense", ""] {
        assert_eq!(peer.ask(absent), "-", "{absent}");
    }
}

#[test]
fn each_peer_has_an_instance_of_its_own() {
    let server = start("tells_facts_by_datagram", &[]);
    let peers: Vec<_> = (0..20).map(|_| server.peer()).collect();
    let ids: Vec<_> = peers.iter().map(|peer| peer.ask("connection.id")).collect();
    for other in 1..ids.len() {
        assert!(!ids[..other].contains(&ids[other]), "{ids:?}");
    }
    // Another round, all of them at once.
    for peer in &peers {
        peer.send("connection.id");
        peer.send("peer.address");
    }
    for (peer, id) in peers.iter().zip(&ids) {
        assert_eq!(peer.receive(), id.as_bytes());
        assert_eq!(peer.receive(), peer.address().as_bytes());
    }
}

#[test]
fn silence_ends_a_flow_and_the_next_datagram_begins_another() {
    let server = start("tells_facts_by_datagram", &["--idle-timeout", "100ms"]);
    let peer = server.peer();
    let first = peer.ask("connection.id");
    let receipt = server.receipt();
    assert_eq!(receipt["exit"], limit("idle_timeout", "listener.idle_timeout"));
    assert_eq!(receipt["transport"], "udp");
    assert_eq!(receipt["peer"], peer.address());
    assert_eq!(receipt["local"], format!("127.0.0.1:{}", server.udp_port()));
    assert_eq!(receipt["id"].to_string(), first);
    assert_eq!(receipt["bytes_in"], 13);
    assert_eq!(receipt["bytes_out"], first.len());
    assert_ne!(peer.ask("connection.id"), first);
}

#[test]
fn guests_that_compute_hold_up_no_other_flow_of_their_socket() {
    let server = start("does_as_told", &["--cpu", "none", "--idle-timeout", "none"]);
    let spinning: Vec<_> = std::iter::repeat_with(|| server.peer()).take(6).collect();
    for peer in &spinning {
        peer.send(b"S");
        assert_eq!(peer.receive(), b"S");
    }
    let quick = server.peer();
    for _ in 0..100 {
        quick.send(b"e");
        assert_eq!(quick.receive(), b"e");
    }
}

#[test]
fn a_guest_that_returns_ends_its_flow() {
    let server = start("does_as_told", &[]);
    let peer = server.peer();
    for (told, exit) in
        [("o", kind("ok")), ("f", json!({ "kind": "failed", "code": 3 })), ("o", kind("ok"))]
    {
        peer.send("e");
        assert_eq!(peer.receive(), b"e");
        let before = server.log().matches("\"exit\":").count();
        peer.send(told);
        assert_eq!(server.receipts(before + 1)[before]["exit"], exit);
    }
}

#[test]
fn one_instance_a_datagram_where_that_is_asked_for() {
    let server = start("tells_facts_by_datagram", &["--mode", "datagram"]);
    let peer = server.peer();
    let ids: Vec<_> = (0..5).map(|_| peer.ask("connection.id")).collect();
    for other in 1..ids.len() {
        assert!(!ids[..other].contains(&ids[other]), "{ids:?}");
    }
    for receipt in server.receipts(5) {
        assert_eq!(receipt["exit"], kind("ok"));
        assert_eq!(receipt["bytes_in"], 13);
        assert_eq!(receipt["peer"], peer.address());
    }
}

#[test]
fn a_flow_that_is_open_goes_on_in_a_drain_and_no_other_begins() {
    let server =
        start("tells_facts_by_datagram", &["--idle-timeout", "none", "--drain-timeout", "none"]);
    let peer = server.peer();
    let id = peer.ask("connection.id");
    server.drain();
    let newcomer = server.peer();
    newcomer.send("connection.id");
    assert!(newcomer.hears_nothing(), "a flow begins in a drain");
    assert_eq!(peer.ask("connection.id"), id);
    server.signal(Signal::TERM);
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(r#""exit":{"kind":"cut"}"#), "{log}");
    assert!(log.contains("1 connection was cut"), "{log}");
}

#[test]
fn a_flow_can_end_by_itself_in_a_drain() {
    let server = start("does_as_told", &["--idle-timeout", "none", "--drain-timeout", "none"]);
    let peer = server.peer();
    assert_eq!(peer.ask("e"), "e");
    peer.send("d");
    server.signal(Signal::TERM);
    assert_eq!(peer.receive(), b"d");
    let (code, log) = server.wait();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains(r#""exit":{"kind":"ok"}"#), "{log}");
}

#[test]
fn newcomers_are_dropped_while_there_is_no_place_and_the_longest_silent_makes_room() {
    let flags = ["--max-flows", "2", "--idle-timeout", "none", "--receipts-for", "all"];
    let server = start("tells_facts_by_datagram", &flags);
    let (silent, busy, newcomer) = (server.peer(), server.peer(), server.peer());
    let (first, second) = (silent.ask("connection.id"), busy.ask("connection.id"));
    newcomer.send("peer.address");
    let dropped = "datagrams of new peers are dropped for want of places (max_flows)";
    server.find_line(dropped);
    // The busy one is never silent for as long as it takes to lose a place.
    wait_until("the newcomer has a flow", || {
        assert_eq!(busy.ask("connection.id"), second);
        newcomer.send("peer.address");
        newcomer.hears() == Some(newcomer.address().into_bytes())
    });
    let receipt = server.receipt();
    assert_eq!(receipt["id"].to_string(), first);
    assert_eq!(receipt["exit"], limit("idle_timeout", "max_flows"));
    assert_eq!(busy.ask("connection.id"), second);
    let ended = "silent flows are ended to make room for others (max_flows)";
    server.find_line(ended);
    assert_eq!(warnings(&server, dropped), 1, "{}", server.log());
    assert_eq!(warnings(&server, ended), 1, "{}", server.log());
    // Those that were dropped have none: their senders can be forged.
    assert_eq!(server.receipts(1).len(), 1);
}

#[test]
fn a_datagram_longer_than_it_may_be_is_cut_and_that_is_logged_once() {
    let server = start("tells_facts_by_datagram", &["--max-datagram", "13"]);
    let peer = server.peer();
    assert_eq!(peer.ask("datagram.size"), "13");
    assert!(!server.log().contains("(max_datagram)"));
    assert_eq!(peer.ask("datagram.size, and more"), "23");
    assert_eq!(peer.ask("datagram.size, and more"), "23");
    server.find_line("datagrams are cut (max_datagram)");
    assert_eq!(warnings(&server, "(max_datagram)"), 1, "{}", server.log());
}

#[test]
fn a_peer_is_not_sent_more_than_it_may_be() {
    let server = start("sends_datagrams_forever", &["--max-reply-factor", "3"]);
    let peer = server.peer();
    peer.send(bytes(1000));
    for _ in 0..3 {
        assert_eq!(peer.receive().len(), 1000);
    }
    assert!(peer.hears_nothing());
    server.find_line("answers are not sent (max_reply_factor)");
}

#[test]
fn a_plain_program_is_a_server_over_udp_too() {
    let server = Server::run(plugin("hello-inetd")).listen("udp://127.0.0.1:0").start();
    let (ada, grace) = (server.peer(), server.peer());
    for (peer, name) in [(&ada, "Ada"), (&grace, "Grace")] {
        assert_eq!(peer.ask(format!("{name}\n")), "Hello, 127.0.0.1! Who is there?\n");
        assert_eq!(peer.receive(), format!("Hello, {name}!\n").as_bytes());
    }
    // A line may come in pieces.
    ada.send("Hed");
    assert_eq!(ada.ask("y\n"), "Hello, Hedy!\n");
}

#[test]
fn a_command_is_told_of_its_peer_as_ucspi_has_it() {
    let server = start("tells_environment", &[]);
    let peer = server.peer();
    let told = peer.ask("?");
    let variables: Vec<_> = told.split_terminator('\0').collect();
    let (peer_port, port) = (peer.address(), server.udp_port());
    let peer_port = peer_port.rsplit_once(':').unwrap().1;
    for expected in [
        "PROTO=UDP",
        "REMOTE_ADDR=127.0.0.1",
        "UDPREMOTEIP=127.0.0.1",
        &format!("UDPREMOTEPORT={peer_port}"),
        "UDPLOCALIP=127.0.0.1",
        &format!("UDPLOCALPORT={port}"),
    ] {
        assert!(variables.contains(&expected), "no {expected} in {variables:?}");
    }
}

#[test]
fn echo_answers_socat_over_udp() {
    let server = Server::run(plugin("echo")).listen("udp://127.0.0.1:0").start();
    // It ends when it has read as much.
    let server_end = format!("UDP:127.0.0.1:{},readbytes=6", server.udp_port());
    let socat = Program::new("socat").arguments(&["-t", "30", "-", &server_end]);
    assert_eq!(socat.input("hello\n").text(), "hello\n");
}

#[test]
fn python_hears_of_its_datagrams() {
    let server = start("tells_facts_by_datagram", &[]);
    let script = r#"
import socket, sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(30)
    address = ("127.0.0.1", int(sys.argv[1]))
    client.sendto(b"datagram.size", address)
    data, sender = client.recvfrom(65536)
    print("Received", data.decode(), "bytes;", "same address:", sender == address)
"#;
    let python = Program::new("python3").arguments(&["-c", script]);
    let said = python.argument(server.udp_port().to_string()).text();
    assert_eq!(said, "Received 13 bytes; same address: True\n");
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let folder = Folder::new();
    let guest = folder.guest("tells_facts_by_datagram");
    for everywhere in ["udp://:0", "udp://0.0.0.0:0"] {
        let server = Server::run(&guest).listen(everywhere).start();
        let port = server.udp_port();
        // A peer hears nothing that comes from another address.
        for ip in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
            let peer = Peer::of((ip, port));
            assert_eq!(peer.ask("local.address"), format!("{ip}:{port}"), "{everywhere}");
            assert_eq!(peer.ask("peer.address"), peer.address(), "{everywhere}");
        }
        if has_ipv6() && everywhere == "udp://:0" {
            let peer = Peer::of(("::1", port));
            assert_eq!(peer.ask("local.address"), format!("[::1]:{port}"));
            assert_eq!(peer.ask("peer.address"), peer.address());
        }
    }
}

#[test]
fn a_burst_of_one_peer_comes_back_whole_and_in_order() {
    let server = start("echoes_datagrams", &[]);
    let peer = server.peer();
    peer.is_echoed();
    for round in 0..20_u8 {
        // More than one call takes, and as many as wait for a guest at most.
        let datagram = |n: u8| [&[round, n][..], &bytes(usize::from(n))].concat();
        for n in 0..64 {
            peer.send(datagram(n));
        }
        for n in 0..64 {
            assert!(peer.receive() == datagram(n), "{n} of round {round}");
        }
    }
    assert!(peer.hears_nothing(), "one came twice");
}

#[test]
fn bursts_of_many_peers_come_back_whole_in_order_and_from_the_address_that_was_asked() {
    let folder = Folder::new();
    let guest = folder.guest("echoes_datagrams");
    let server = Server::run(&guest).listen("udp://:0").arguments(&["--flow-queue", "64"]).start();
    let mut addresses = vec!["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    if has_ipv6() {
        addresses.push("::1");
    }
    // Neighbours ask at different addresses. A peer hears nothing that comes from another.
    let addresses = addresses.into_iter().cycle().take(20);
    let peers: Vec<_> = addresses.map(|ip| Peer::of((ip, server.udp_port()))).collect();
    for peer in &peers {
        peer.is_echoed();
    }
    for round in 0..20_u8 {
        for n in 0..8_u8 {
            for peer in &peers {
                peer.send([round, n]);
            }
        }
        for (at, peer) in peers.iter().enumerate() {
            for n in 0..8_u8 {
                assert_eq!(peer.receive(), [round, n], "peer {at}");
            }
        }
    }
    for (at, peer) in peers.iter().enumerate() {
        peer.send("last");
        assert_eq!(peer.receive(), b"last", "peer {at} got one twice");
    }
}

#[test]
fn a_peer_that_asks_at_two_addresses_has_two_flows() {
    let server = {
        let folder = Folder::new();
        Server::run(folder.guest("tells_facts_by_datagram")).listen("udp://:0").start()
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = server.udp_port();
    let ask = |ip: &str| {
        socket.send_to(b"connection.id", (ip, port)).unwrap();
        let mut buffer = [0; 100];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(from.to_string(), format!("{ip}:{port}"));
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let (first, second) = (ask("127.0.0.1"), ask("127.0.0.2"));
    assert_ne!(first, second);
    assert_eq!((ask("127.0.0.1"), ask("127.0.0.2")), (first, second));
}

#[test]
fn a_port_that_is_taken_is_named_and_not_shared() {
    let first = start("echoes_datagrams", &[]);
    let address = format!("udp://127.0.0.1:{}", first.udp_port());
    let (code, said) = Server::run(plugin("echo")).listen(&address).fail_by(portcell());
    assert_eq!(code, 1, "{said}");
    let taken = format!("cannot listen on {address}: it is taken by another program");
    assert!(said.lines().count() == 1 && said.contains(&taken), "{said}");
    first.peer().is_echoed();
}
