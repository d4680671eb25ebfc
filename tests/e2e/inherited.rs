//! Sockets that a server is started with, by whoever holds them before and after it: here the test.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::harness::{
    Client, Folder, Passed, Peer, Server, plugin, portcell, portcell_with, wait_until,
};

fn tcp() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A server of echo at `address`, started with one descriptor.
fn start(address: &str, passed: Passed<'_>) -> Server {
    Server::run(plugin("echo")).listen(address).start_by(portcell_with(&[passed]))
}

/// Checks that a server that is started with this cannot listen at `address`.
fn refused(address: &str, descriptor: &impl AsFd, said: &str) {
    let command = portcell_with(&[Passed::new("web", descriptor)]);
    let (code, log) = Server::run(plugin("echo")).listen(address).fail_by(command);
    assert_eq!(code, 1, "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    let whole = format!("cannot listen on {address}: {said}");
    assert!(log.contains(&whole), "no `{whole}` in {log}");
}

fn does_not_block(socket: &impl AsFd) -> bool {
    fcntl_getfl(socket).unwrap().contains(OFlags::NONBLOCK)
}

fn has_address(server: &Server, address: &str) {
    assert_eq!(server.addresses("echo", 1), [address]);
}

#[test]
fn a_socket_is_served_by_its_number_and_by_its_name() {
    for address in ["fd://3", "fd://web"] {
        let (socket, at) = tcp();
        assert!(!does_not_block(&socket), "as a program makes them that knows nothing of this");
        // Whoever has connected before the server begins is served, too.
        let mut early: Vec<_> = (0..3).map(|_| Client::connect(at)).collect();
        early[0].send("x");
        let server = start(address, Passed::new("web", &socket));
        has_address(&server, &format!("tcp://{at}"));
        assert_eq!(early[0].receive(1), "x");
        early[1].is_echoed();
        Client::connect(at).is_echoed();
        early[2].is_echoed();
        assert!(does_not_block(&socket), "a blocking accept would hold up everybody");
    }
}

#[test]
fn a_udp_socket_is_served() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let early = Peer::of(at);
    early.send("early");
    let server = start("fd://dgram", Passed::new("dgram", &socket));
    has_address(&server, &format!("udp://{at}"));
    assert_eq!(early.receive(), b"early");
    Peer::of(at).is_echoed();
}

#[test]
fn the_file_of_a_unix_socket_stays_with_whoever_made_it() {
    let folder = Folder::new();
    let path = folder.at("x.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let mut early = Client::connect_unix(&path);
    let server = start("fd://3", Passed::new("", &socket));
    has_address(&server, &format!("unix:{}", path.display()));
    early.is_echoed();
    early.end();
    early.ends_in_good_order();
    server.stop();
    assert!(path.exists());
    // The next server goes on with it.
    let mut between = Client::connect_unix(&path);
    let _next = start("fd://3", Passed::new("", &socket));
    between.is_echoed();
}

#[test]
fn a_name_stands_for_all_sockets_that_have_it() {
    let (tcp, at) = tcp();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let passed = [Passed::new("both", &tcp), Passed::new("both", &udp)];
    let server = Server::run(plugin("echo")).listen("fd://both").start_by(portcell_with(&passed));
    assert_eq!(server.addresses("echo", 2)[0], format!("tcp://{at}"));
    Client::connect(at).is_echoed();
    Peer::of(udp.local_addr().unwrap()).is_echoed();
}

#[test]
fn names_tell_sockets_apart() {
    let folder = Folder::new();
    let guest = folder.guest("tells_facts");
    let (first, first_at) = tcp();
    let (second, second_at) = tcp();
    let listener = |name: &str| {
        format!("[[listener]]\nname = \"{name}\"\nbind = \"fd://{name}\"\nhandler = \"h\"\n")
    };
    let config = format!(
        "{}{}[handler.h]\nmodule = \"{}\"\n",
        listener("b"),
        listener("a"),
        guest.display()
    );
    let passed = [Passed::new("a", &first), Passed::new("b", &second)];
    let server = Server::serve(&folder, &config).start_by(portcell_with(&passed));
    assert_eq!(server.addresses("a", 1), [format!("tcp://{first_at}")]);
    assert_eq!(Client::connect(first_at).ask("listener"), "a");
    assert_eq!(Client::connect(second_at).ask("listener"), "b");
    assert_eq!(Client::connect(second_at).ask("local.address"), second_at.to_string());
}

#[test]
fn what_is_passed_must_be_a_socket_that_clients_come_to() {
    let (listens, at) = tcp();
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let unbound = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    let connection = TcpStream::connect(at).unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.connect(at).unwrap();
    let file = File::open(plugin("echo")).unwrap();
    let folder = File::open(Folder::new().path()).unwrap();
    let (pipe, _other_end) = std::io::pipe().unwrap();
    let (packets, _) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    let connected = format!("descriptor 3 is connected to {at}; pass the socket that clients");
    refused("fd://3", &bound, "descriptor 3 is bound but does not listen; whoever passes it must");
    refused("fd://web", &bound, "descriptor 3 is bound but does not listen; ");
    refused("fd://3", &unbound, "descriptor 3 is a socket that is not bound; whoever passes it");
    refused("fd://3", &connection, &connected);
    refused("fd://3", &datagrams, &connected);
    refused("fd://3", &file, "descriptor 3 is a file; pass a socket");
    refused("fd://3", &folder, "descriptor 3 is a folder; pass a socket");
    refused("fd://3", &pipe, "descriptor 3 is a pipe; pass a socket");
    refused("fd://3", &packets, "descriptor 3 is a socket of a kind that is not served");
    refused("fd://9", &listens, "descriptor 9 was not open when the program began");
    refused("fd://mail", &listens, "no socket was passed under this name; there is web");
}

#[test]
fn without_a_service_manager_there_are_no_names() {
    let (code, log) = Server::run(plugin("echo")).listen("fd://web").fail_by(portcell());
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("cannot listen on fd://web: no socket was passed under a name"), "{log}");
    // What is said to another process is not said to this one.
    let mut command = portcell();
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "web");
    let (code, log) = Server::run(plugin("echo")).listen("fd://web").fail_by(command);
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("no socket was passed under a name"), "{log}");
}

#[test]
fn the_queue_is_that_of_whoever_made_it() {
    let (socket, _) = tcp();
    let command = portcell_with(&[Passed::new("web", &socket)]);
    let server = Server::run(plugin("echo")).arguments(&["--backlog", "5"]).listen("fd://3");
    let (code, log) = server.fail_by(command);
    assert_eq!(code, 64, "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("--backlog"), "{log}");
}

#[test]
fn whom_one_server_leaves_in_the_queue_the_next_one_serves() {
    let (socket, at) = tcp();
    let passed = || portcell_with(&[Passed::new("web", &socket)]);
    let arguments = ["--max-connections", "1", "--drain-timeout", "none"];
    let first = Server::run(plugin("echo")).arguments(&arguments).listen("fd://3");
    let first = first.start_by(passed());
    let mut place = Client::connect(at);
    place.is_echoed();
    let mut queue: Vec<_> = (0..20).map(|_| Client::connect(at)).collect();
    for client in &mut queue {
        client.send("x");
    }
    first.drain();
    assert!(queue[0].hears_nothing(), "another server may want it");

    let second = start("fd://3", Passed::new("web", &socket));
    for client in &mut queue {
        assert_eq!(client.receive(1), "x");
        client.end();
        client.ends_in_good_order();
    }
    place.is_echoed();
    place.end();
    place.ends_in_good_order();
    let (code, log) = first.wait();
    assert_eq!(code, 0, "{log}");
    assert_eq!(log.matches("\"exit\":").count(), 1, "{log}");
    assert_eq!(second.stop().len(), 20);

    // Nobody serves it now, and nobody is refused.
    let mut between = Client::connect(at);
    between.send("x");
    let _third = start("fd://3", Passed::new("web", &socket));
    assert_eq!(between.receive(1), "x");
}

/// A configuration with these listeners at inherited sockets; one is always there.
fn config(folder: &Folder, guest: &Path, listeners: &[(&str, &str)]) -> String {
    let stays = format!("unix:{}", folder.at("stays.sock").display());
    let all = [&[("stays", &*stays)], listeners].concat();
    let all: Vec<_> = all
        .iter()
        .map(|(name, bind)| {
            format!("[[listener]]\nname = \"{name}\"\nbind = \"{bind}\"\nhandler = \"h\"\n")
        })
        .collect();
    format!("{}[handler.h]\nmodule = \"{}\"\n", all.concat(), guest.display())
}

#[test]
fn a_reload_keeps_it_and_a_listener_that_comes_back_has_it_again() {
    let folder = Folder::new();
    let guest = folder.guest("tells_facts");
    let config = |listeners: &[(&str, &str)]| config(&folder, &guest, listeners);
    let (socket, at) = tcp();
    let server = Server::serve(&folder, &config(&[("first", "fd://web")]))
        .start_by(portcell_with(&[Passed::new("web", &socket)]));
    let mut old = Client::connect(at);
    assert_eq!(old.ask("listener"), "first");
    let mut reloads = 0;
    let mut reload = |config: String| {
        reloads += 1;
        folder.write("portcell.toml", config);
        server.signal(Signal::HUP);
        server.find_lines(reloads, "the configuration was applied");
    };

    reload(config(&[("first", "fd://web")]));
    assert_eq!(Client::connect(at).ask("listener"), "first");
    assert_eq!(old.ask("listener"), "first");

    // Nobody serves it, and nobody is refused.
    reload(config(&[]));
    let mut waiting = Client::connect(at);
    waiting.send("listener\n");
    assert!(waiting.hears_nothing());
    assert_eq!(old.ask("listener"), "first");

    reload(config(&[("second", "fd://3")]));
    assert_eq!(waiting.line(), "second");
    assert_eq!(Client::connect(at).ask("listener"), "second");

    // The same socket by another name.
    reload(config(&[("third", "fd://web")]));
    wait_until("the third has it", || Client::connect(at).ask("listener") == "third");
    assert_eq!(waiting.ask("listener"), "second");
    assert_eq!(old.ask("listener"), "first");
}

#[test]
fn a_udp_socket_is_not_served_by_a_listener_with_tls() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let server = Server::run(plugin("echo")).listen("fd://web").arguments(&["--tls-self-signed"]);
    let (code, log) = server.fail_by(portcell_with(&[Passed::new("web", &socket)]));
    assert_eq!(code, 1, "{log}");
    let said = format!("udp://{at}, which was passed to the server, would be served without TLS");
    assert!(log.contains(&said), "{log}");
}
