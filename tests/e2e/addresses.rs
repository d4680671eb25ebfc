//! The addresses that a listener can have.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use rustix::process::Signal;

use crate::TestResult;
use crate::harness::{Client, Folder, Output, Peer, Program, Server, has_ipv6, plugin};

/// A server of `tells_facts` at these addresses.
fn start(listen: &[&str]) -> Server {
    let folder = Folder::new();
    let server = Server::run(folder.guest("tells_facts"));
    listen.iter().fold(server, |server, address| server.listen(address)).start()
}

/// `portcell run` at an address that nobody can listen on.
fn run_at(address: &str) -> Output {
    let program = Program::portcell().argument("run").argument(plugin("echo"));
    let output = program.arguments(&["--listen", address]).run();
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    output
}

/// What `portcell check` says of a listener there.
fn check(bind: &str) -> Output {
    let folder = Folder::new();
    let config = format!(
        "[[listener]]\nname = \"e\"\nbind = \"{bind}\"\nhandler = \"e\"\n\
         [handler.e]\nmodule = \"{}\"\n",
        plugin("echo").display()
    );
    Program::portcell().argument("check").argument(folder.write("portcell.toml", config)).run()
}

#[test]
fn no_host_is_every_interface_in_ipv4_and_ipv6() {
    for listen in [":0", "0", "tcp://:0"] {
        let server = start(&[listen]);
        let port = server.port();
        let mut client = Client::connect(("127.0.0.1", port));
        assert_eq!(client.ask("peer.address"), client.address(), "never v4-mapped");
        assert_eq!(client.ask("local.address"), format!("127.0.0.1:{port}"));
        if has_ipv6() {
            let mut client = Client::connect(("::1", port));
            assert_eq!(client.ask("peer.address"), client.address());
            assert_eq!(client.ask("local.address"), format!("[::1]:{port}"));
        }
    }
}

#[test]
fn an_ipv6_address_is_ipv6_only() {
    if !has_ipv6() {
        return;
    }
    let server = start(&["tcp://[::1]:0"]);
    let address: SocketAddr =
        server.addresses("tells_facts", 1)[0].trim_start_matches("tcp://").parse().unwrap();
    assert_eq!(address.ip(), Ipv6Addr::LOCALHOST);
    assert_eq!(Client::connect(address).ask("local.address"), address.to_string());
    // The same port is free in IPv4.
    TcpListener::bind(("127.0.0.1", address.port())).unwrap();
}

#[test]
fn a_listener_can_have_several_addresses() -> TestResult {
    let server = start(&["tcp://127.0.0.1:0", "tcp://127.0.0.2:0"]);
    let addresses = server.addresses("tells_facts", 2);
    for (address, ip) in addresses.iter().zip(["127.0.0.1", "127.0.0.2"]) {
        let address: SocketAddr = address.trim_start_matches("tcp://").parse()?;
        assert_eq!(address.ip().to_string(), ip);
        assert_eq!(Client::connect(address).ask("local.address"), address.to_string());
    }
    Ok(())
}

#[test]
fn a_host_name_is_each_of_its_addresses() -> TestResult {
    let server = start(&["localhost:0"]);
    let first: SocketAddr =
        server.addresses("tells_facts", 1)[0].trim_start_matches("tcp://").parse()?;
    assert!(first.ip().is_loopback(), "{first}");
    assert_eq!(Client::connect(first).ask("local.address"), first.to_string());
    Ok(())
}

#[test]
fn one_listener_can_have_addresses_of_every_kind() {
    let folder = Folder::new();
    let path = folder.at("every.sock").display().to_string();
    let config = format!(
        r#"
        server.receipts = "stderr"
        [[listener]]
        name = "every"
        bind = ["tcp://127.0.0.1:0", "udp://127.0.0.1:0", "unix:{path}", "unix:@{path}"]
        handler = "echo"
        [handler.echo]
        module = "{}"
        "#,
        plugin("echo").display()
    );
    let server = Server::serve(&folder, &config).start();
    let addresses = server.addresses("every", 4);
    let begins = ["tcp://127.0.0.1:", "udp://127.0.0.1:", "unix:/", "unix:@/"];
    for (address, begin) in addresses.iter().zip(begins) {
        assert!(address.starts_with(begin), "{address}");
    }
    let mut over_tcp = Client::connect(addresses[0].trim_start_matches("tcp://"));
    over_tcp.is_echoed();
    Peer::of(addresses[1].trim_start_matches("udp://")).is_echoed();
    let mut over_unix = Client::connect_unix(path.as_ref());
    over_unix.is_echoed();
    let by_name = Program::new("nc").arguments(&["-N", "-U", &format!("@{path}")]);
    assert_eq!(by_name.input("hello").text(), "hello");
    server.signal(Signal::TERM);
    server.find_line("draining: 3 connections are open");
    over_tcp.is_echoed();
    over_unix.is_echoed();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0, 0);
}

/// The table of services is a file of Debian's package netbase.
#[test]
fn a_port_can_be_the_name_of_a_service() {
    // RFC 5737: an address that no machine has, which is said before the right to have the port.
    for (address, means) in [
        ("192.0.2.1:http", "tcp://192.0.2.1:80"),
        ("tcp://192.0.2.1:www", "tcp://192.0.2.1:80"),
        ("udp://192.0.2.1:domain", "udp://192.0.2.1:53"),
        ("udp://192.0.2.1:syslog", "udp://192.0.2.1:514"),
    ] {
        let output = run_at(address);
        assert_eq!(output.code, 1, "{}", output.stderr);
        let said = format!("cannot listen on {means}: this machine does not have that address");
        assert!(output.stderr.contains(&said), "{address}: {}", output.stderr);
    }
    for address in [":http", "localhost:https", "udp://[::1]:domain"] {
        let output = check(address);
        assert_eq!(output.code, 0, "{address}: {}", output.stderr);
    }
}

#[test]
fn a_service_that_this_machine_does_not_know_is_bad_usage() {
    for (address, said) in [
        ("127.0.0.1:nonsense", "`nonsense` is not a tcp service of this machine"),
        ("udp://:nonsense", "`nonsense` is not a udp service of this machine"),
    ] {
        for output in [run_at(address), check(address)] {
            assert_eq!(output.code, 64, "{}", output.stderr);
            assert!(output.stderr.contains(said), "{address}: {}", output.stderr);
        }
    }
}

#[test]
fn a_bad_address_is_refused_with_what_to_write() {
    for (address, said) in [
        ("", "it is empty; write one like tcp://127.0.0.1:7000"),
        ("127.0.0.1", "there is no port; write one like tcp://127.0.0.1:7000"),
        ("udp:127.0.0.1:53", "udp needs two slashes; write udp://127.0.0.1:53"),
        ("udp://127.0.0.1", "there is no port; write one like udp://127.0.0.1:7000"),
        ("upd://127.0.0.1:53", "unknown scheme `upd`; did you mean udp://?"),
        ("http://127.0.0.1:80", "unknown scheme `http`; write one like tcp://127.0.0.1:7000"),
        ("127.0.0.1:65536", "port 65536 is out of range; the largest is 65535"),
        ("::1:7000", "an IPv6 address needs brackets; write tcp://[::1]:7000"),
        ("*:7000", "for every interface leave out the host; write tcp://:7000"),
        ("127.0.0.256:7000", "`127.0.0.256` is not an IPv4 address"),
        ("/run/x.sock", "a path needs its scheme; write unix:/run/x.sock"),
        ("unix:", "the path is missing"),
        ("fd://1", "descriptors 0 to 2 are standard input, output and error"),
        ("fd:3", "fd needs two slashes; write fd://3"),
    ] {
        let output = run_at(address);
        assert_eq!(output.code, 64, "{}", output.stderr);
        let whole = format!("--listen: bad address `{address}`: {said}");
        assert!(output.stderr.contains(&whole), "no `{whole}` in {}", output.stderr);
    }
}

#[test]
fn a_host_that_nobody_knows_is_named() {
    // RFC 6761, section 6.4: no resolver knows it.
    let output = run_at("udp://a.invalid:7000");
    assert_eq!(output.code, 1);
    let said = "cannot listen on udp://a.invalid:7000: its name cannot be looked up";
    assert!(output.stderr.contains(said), "{}", output.stderr);
}
