//! Memory mappings of instances: no more than the capacity is worked out with, whatever a guest
//! does with its memory and whoever had its place before.

use std::fs;

use crate::harness::{Client, Folder, Process, Server, repository};

/// Connections that are open at once.
const CONNECTIONS: usize = 100;

/// Places that the pool has beside those; all of them are used in turn, and keep their mappings.
const SPARE: usize = 64;

/// Mappings that come and go with threads and the heap.
const OTHERS: usize = 50;

fn mappings(server: &Server) -> usize {
    Process::of(server).read("maps").lines().count()
}

/// How many mappings more a connection has than its place alone, at most: one of a guest with data
/// in the middle of its memory which grows, and one of a small guest in a place of those. A place
/// has its stack, with a guard page, from the start.
fn beside_its_stack(share_data: bool) -> usize {
    let folder = Folder::new();
    let echo = fs::read_to_string(repository().join("tests/guests/echo.wat")).unwrap();
    let memory = "(memory (export \"memory\") 1)";
    let with_data = format!("{memory} (data (i32.const 20000) \"in the middle\")");
    folder.wat("small", &echo.replace(memory, &with_data));
    let grows = "(loop $again (drop (memory.grow (i32.const 2)))
        (i32.store8 (i32.const 300000) (i32.const 1))";
    let with_data = "(memory (export \"memory\") 4) (data (i32.const 70000) \"in the middle\")";
    folder.wat("large", &echo.replace(memory, with_data).replacen("(loop $again", grows, 1));
    let config = format!(
        r#"
        [server]
        max_connections = {CONNECTIONS}
        share_data = {share_data}
        [handler.small]
        module = "small.wasm"
        [handler.large]
        module = "large.wasm"
        [[listener]]
        name = "small"
        bind = "127.0.0.1:0"
        handler = "small"
        [[listener]]
        name = "large"
        bind = "127.0.0.1:0"
        handler = "large"
        "#
    );
    let server = Server::serve(&folder, &config).start();
    let before = mappings(&server);
    let most = ["large", "small", "large"].map(|listener| {
        let mut clients: Vec<Client> =
            (0..CONNECTIONS).map(|_| server.connect_to(listener)).collect();
        clients.iter_mut().for_each(Client::is_echoed);
        let now = mappings(&server);
        clients.into_iter().for_each(Client::leaves);
        now
    });
    let more = most.into_iter().max().unwrap().saturating_sub(before);
    more.saturating_sub(OTHERS).div_ceil(CONNECTIONS + SPARE)
}

#[test]
fn an_instance_has_four_mappings() {
    assert_eq!(beside_its_stack(false), 2);
}

#[test]
fn an_instance_that_shares_data_has_seven_mappings_at_most() {
    let mappings = beside_its_stack(true);
    // How many it is depends on whose place each takes over; without sharing it is 2.
    assert!((3..=5).contains(&mappings), "{mappings}");
}
