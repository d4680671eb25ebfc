//! Limits that concern more than how one connection ends.

use crate::harness::{Folder, Process, Server, plugin, wait_until};

#[test]
fn bytes_that_move_put_an_idle_timeout_off() {
    let server = Server::run(plugin("echo")).arguments(&["--idle-timeout", "1500ms"]).start();
    let mut client = server.connect();
    for _ in 0..12 {
        client.is_echoed();
        assert!(client.hears_nothing());
    }
    client.is_echoed();
    client.ends_in_good_order();
}

#[test]
fn cpu_time_is_counted_from_the_last_byte() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("does_as_told")).arguments(&["--cpu", "50ms"]).start();
    let mut client = server.connect();
    for _ in 0..2_000 {
        client.send("e");
        assert_eq!(client.receive(1), "e");
    }
    client.end();
    client.ends_in_good_order();
    assert_eq!(server.receipt()["exit"]["kind"], "ok");
}

#[test]
fn a_guest_that_computes_has_only_the_time_that_others_leave() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("spins_forever")).arguments(&["--cpu", "none"]).start();
    let _client = server.connect();
    let background = || Process::of(&server).threads("background");
    // More than the first slice, which was another thread's.
    wait_until("it computes there", || {
        background().iter().map(|(ticks, _)| ticks).sum::<u64>() > 100
    });
    assert!(background().iter().all(|(_, gives_way)| *gives_way));
    let others: u64 = Process::of(&server).threads("tokio-rt-worker").iter().map(|it| it.0).sum();
    assert!(others < 20, "{others}");
}

#[test]
fn what_a_guest_logs_is_in_the_log_under_its_name() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("does_as_told")).start();
    let mut client = server.connect();
    client.send("lo");
    client.ends_in_good_order();
    let line = server.find_line("this is the guest");
    assert!(line.contains("INFO guest") && line.contains("does_as_told"), "{line}");
}

#[test]
fn every_place_is_given_back_however_connections_end() {
    // More connections one after another than there are places at once.
    let folder = Folder::new();
    let server = Server::run(folder.guest("does_as_told"))
        .arguments(&["--max-connections", "10", "--cpu", "20ms", "--memory", "1MiB"])
        .start();
    for round in 0..30 {
        let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
        for (client, told) in
            clients.iter_mut().zip(["o", "f", "t", "s", "m", "r", "c", "e", "", "w"])
        {
            client.send(told);
        }
        // Clients that end, those that break, and those that vanish.
        for (number, client) in clients.into_iter().enumerate() {
            match (number + round) % 3 {
                0 => drop(client),
                1 => client.reset(),
                _ => {
                    let mut client = client;
                    client.end();
                }
            }
        }
    }
    server.receipts(300);
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("e");
        assert_eq!(client.receive(1), "e");
    }
    drop(clients);
    assert_eq!(server.stop().len(), 310);
}
