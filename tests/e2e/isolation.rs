//! One instance for each connection.

use crate::harness::{Folder, Server, plugin};

#[test]
fn no_connection_sees_what_another_left_in_memory() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("counts_in_memory")).start();
    let mut first = server.connect();
    let answer = |client: &mut crate::harness::Client| {
        client.send("x");
        client.receive(2)
    };
    assert_eq!(answer(&mut first), "11");
    assert_eq!(answer(&mut first), "22");
    // At the same time, and later in a slot that has been used.
    assert_eq!(answer(&mut server.connect()), "11");
    assert_eq!(answer(&mut first), "33");
    drop(first);
    server.receipts(2);
    for _ in 0..20 {
        assert_eq!(answer(&mut server.connect()), "11");
    }
}

#[test]
fn two_hundred_connections_at_once_are_served() {
    let server = Server::run(plugin("echo")).start();
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("{number}\n"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.line(), number.to_string());
        client.end();
    }
    for client in &mut clients {
        client.ends_in_good_order();
    }
    let mut ids: Vec<_> =
        server.receipts(200).iter().map(|receipt| receipt["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

#[test]
fn a_guest_that_misbehaves_harms_no_other() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("does_as_told")).arguments(&["--cpu", "300ms"]).start();
    let mut good = server.connect();
    // More that spin than there are processors.
    let mut bad: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut bad {
        client.send("S");
        assert_eq!(client.receive(1), "S");
    }
    for _ in 0..10 {
        good.send("e");
        assert_eq!(good.receive(1), "e");
    }
    for client in &mut bad {
        client.is_reset();
    }
    good.send("e");
    assert_eq!(good.receive(1), "e");
}
