//! What a guest is told about its connection, and the addresses that a listener can have.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use crate::TestResult;
use crate::harness::{Client, Folder, Server};

fn start(listen: &[&str]) -> Server {
    let folder = Folder::new();
    let server = Server::run(folder.guest("tells_facts")).arguments(&["--tenant", "me"]);
    listen.iter().fold(server, |server, address| server.listen(address)).start()
}

/// Some containers have no IPv6, and nothing can be shown there.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn the_addresses_are_those_that_the_client_sees() {
    let server = start(&["tcp://127.0.0.1:0"]);
    let mut client = server.connect();
    assert_eq!(client.ask("peer.address"), client.address());
    assert_eq!(client.ask("local.address"), format!("127.0.0.1:{}", server.port()));
    assert_eq!(client.ask("transport"), "tcp");
    assert_eq!(client.ask("listener"), "tells_facts");
    assert_eq!(client.ask("handler"), "tells_facts");
    assert_eq!(client.ask("handler.version"), "1");
    assert_eq!(client.ask("tenant"), "me");
    for absent in ["tls.version", "peer.uid", "datagram.size", "nonsense", ""] {
        assert_eq!(client.ask(absent), "-", "{absent}");
    }
    let receipt_id = client.ask("connection.id");
    client.end();
    client.ends_in_good_order();
    assert_eq!(server.receipt()["id"].to_string(), receipt_id);
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
fn a_name_is_each_of_its_addresses() -> TestResult {
    let server = start(&["localhost:0"]);
    let first: SocketAddr =
        server.addresses("tells_facts", 1)[0].trim_start_matches("tcp://").parse()?;
    assert!(first.ip().is_loopback(), "{first}");
    assert_eq!(Client::connect(first).ask("local.address"), first.to_string());
    Ok(())
}
