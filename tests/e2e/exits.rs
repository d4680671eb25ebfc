//! How connections end: what the receipt says, and what the peer sees.

use std::fs;
use std::io::ErrorKind;

use rustix::process::{Resource, Rlimit, Signal, prlimit};
use serde_json::{Value, json};

use crate::harness::{Client, Folder, Process, Server, plugin, repository};

/// How the peer sees the end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    GoodOrder,
    Reset,
}

/// Tells `does_as_told` what to do, and checks how that ends.
fn check(flags: &[&str], told: &str, seen: Seen, exit: &Value) -> Value {
    let receipt = end(flags, told, seen);
    assert_eq!(receipt["exit"], *exit, "{told:?}");
    receipt
}

/// Tells `does_as_told` what to do, checks how the peer sees the end, and gives the receipt.
fn end(flags: &[&str], told: &str, seen: Seen) -> Value {
    let folder = Folder::new();
    let server = Server::run(folder.guest("does_as_told")).arguments(flags).start();
    let mut client = server.connect();
    client.send(told);
    let found = match client.rest() {
        Ok(_) => Seen::GoodOrder,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Seen::Reset,
        Err(error) => panic!("{told:?}: {error}"),
    };
    assert_eq!(found, seen, "{told:?}");
    drop(client);
    server.receipt()
}

fn kind(name: &str) -> Value {
    json!({ "kind": name })
}

/// The exit of a limit, with its key.
fn limit(name: &str, key: &str) -> Value {
    json!({ "kind": name, "detail": key })
}

#[test]
fn a_return_is_ok() {
    check(&[], "o", Seen::GoodOrder, &kind("ok"));
}

#[test]
fn a_code_is_failed_with_the_code() {
    check(&[], "f", Seen::GoodOrder, &json!({ "kind": "failed", "code": 3 }));
}

#[test]
fn a_trap_resets_and_says_where() {
    let receipt = end(&[], "t", Seen::Reset);
    let exit = &receipt["exit"];
    assert_eq!(exit["kind"], "trap");
    assert_eq!(exit["detail"], "wasm trap: wasm `unreachable` instruction executed in `trap`");
    let backtrace: Vec<_> =
        exit["backtrace"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let functions: Vec<_> =
        backtrace.iter().filter_map(|line| line.split(" at 0x").next()).collect();
    assert_eq!(functions, ["trap", "#6"], "{backtrace:?}");
    assert_eq!(receipt["bytes_in"], 1);
}

#[test]
fn a_denied_growth_is_a_memory_limit() {
    let receipt =
        check(&["--memory", "1MiB"], "m", Seen::Reset, &limit("memory_limit", "handler.memory"));
    assert_eq!(receipt["memory_peak"], 1 << 20);
}

#[test]
fn a_growth_beyond_what_all_instances_may_have_is_a_memory_limit_too() {
    let exit = limit("memory_limit", "server.max_memory");
    let receipt = check(&["--max-memory", "1MiB"], "m", Seen::Reset, &exit);
    assert_eq!(receipt["memory_peak"], 1 << 20);
}

/// What the kernel says.
const NO_MEMORY: &str = "Cannot allocate memory (os error 12)";

/// From here on the server may have so many bytes more, of which the guest's share is large and its
/// own is not. Gives what it could have before.
fn give_no_more_than(server: &Server, more: u64) -> Rlimit {
    let most = Some(Process::of(server).data() + more);
    let limit = Rlimit { current: most, maximum: None };
    prlimit(Some(server.pid()), Resource::Data, limit).unwrap()
}

#[test]
fn a_guest_that_the_machine_gives_no_memory_is_a_host_error_and_others_go_on() {
    let folder = Folder::new();
    let flags = ["--memory", "64MiB"];
    let server = Server::run(folder.guest("does_as_told")).arguments(&flags).start();
    let [mut grows, mut stays] = [(); 2].map(|()| server.connect());
    for client in [&mut grows, &mut stays] {
        client.send("e");
        assert_eq!(client.receive(1), "e");
    }
    give_no_more_than(&server, 40 << 20);
    grows.send("M");
    grows.is_reset();
    stays.send("e");
    assert_eq!(stays.receive(1), "e");
    let receipt = server.receipt();
    let detail = format!("the machine gives no more memory: {NO_MEMORY}");
    assert_eq!(receipt["exit"]["kind"], "host_error", "{receipt}");
    assert_eq!(receipt["exit"]["detail"], detail);
    assert_eq!(receipt["memory_peak"], (2 << 16) + (32 << 20), "what it had before");
}

#[test]
fn an_instance_that_the_machine_has_no_memory_for_is_a_host_error_and_others_go_on() {
    let folder = Folder::new();
    let echo = fs::read_to_string(repository().join("tests/guests/echo.wat")).unwrap();
    // Of 64 MiB.
    let large = echo.replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") 1024)");
    // The next instance might have the place of the trial's, with its memory.
    let flags = ["--memory", "64MiB", "--trial", "false"];
    let server = Server::run(folder.wat("large", &large)).arguments(&flags).start();
    let mut stays = server.connect();
    stays.is_echoed();
    let before = give_no_more_than(&server, 32 << 20);
    server.connect().is_reset();
    stays.is_echoed();
    let exit = &server.receipt()["exit"];
    prlimit(Some(server.pid()), Resource::Data, before).unwrap();
    assert_eq!(exit["kind"], "host_error", "{exit}");
    assert!(exit["detail"].as_str().unwrap().contains(NO_MEMORY), "{exit}");
    server.connect().is_echoed();
}

#[test]
fn an_instance_that_runs_out_of_fuel_is_a_cpu_limit() {
    let exit = limit("cpu_limit", "handler.fuel");
    check(&["--meter", "fuel", "--fuel", "10000000"], "s", Seen::Reset, &exit);
}

#[test]
fn an_endless_loop_is_a_cpu_limit() {
    let receipt = check(&["--cpu", "100ms"], "s", Seen::Reset, &limit("cpu_limit", "handler.cpu"));
    let used = receipt["cpu_us"].as_u64().unwrap();
    assert!((100_000..5_000_000).contains(&used), "{used} us");
}

#[test]
fn cpu_time_in_all_is_a_limit_too() {
    let exit = limit("cpu_limit", "handler.cpu_total");
    check(&["--cpu", "none", "--cpu-total", "100ms"], "ees", Seen::Reset, &exit);
}

#[test]
fn silence_is_an_idle_timeout() {
    let exit = limit("idle_timeout", "listener.idle_timeout");
    let receipt = check(&["--idle-timeout", "100ms"], "e", Seen::GoodOrder, &exit);
    assert_eq!(receipt["bytes_out"], 1);
    let lasted = receipt["duration_ms"].as_u64().unwrap();
    assert!((100..5_000).contains(&lasted), "{lasted} ms");
    let waited = receipt["waited_ms"].as_u64().unwrap();
    assert!((1..=lasted).contains(&waited), "it did nothing else: {waited} ms");
}

#[test]
fn an_old_instance_is_a_lifetime() {
    let exit = limit("lifetime", "handler.lifetime");
    check(&["--lifetime", "100ms"], "e", Seen::GoodOrder, &exit);
}

#[test]
fn a_guest_that_sleeps_is_silent() {
    let exit = limit("idle_timeout", "listener.idle_timeout");
    check(&["--idle-timeout", "100ms"], "i", Seen::GoodOrder, &exit);
}

#[test]
fn a_guest_may_reset_and_go_on() {
    // Reading fails after it, and the guest ends with the code for that.
    check(&[], "r", Seen::Reset, &json!({ "kind": "failed", "code": 3 }));
}

#[test]
fn a_guest_may_close_before_it_ends() {
    check(&[], "c", Seen::GoodOrder, &kind("ok"));
}

#[test]
fn a_peer_that_does_not_read_is_a_write_timeout() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("does_as_told"))
        .arguments(&["--write-timeout", "150ms", "--cpu", "none"])
        .start();
    let mut client = server.connect();
    client.send("w");
    let receipt = server.receipt();
    assert_eq!(receipt["exit"], limit("write_timeout", "listener.write_timeout"));
    client.is_reset();
}

#[test]
fn a_peer_that_reads_slowly_is_no_write_timeout() {
    let folder = Folder::new();
    let server = Server::run(folder.guest("does_as_told"))
        .arguments(&["--write-timeout", "10s", "--cpu", "none"])
        .start();
    let mut client = server.connect();
    client.send("w");
    for _ in 0..100 {
        client.receive(65_536);
    }
    assert!(!server.log().contains("write_timeout"), "{}", server.log());
}

#[test]
fn more_bytes_than_may_come_in_are_a_bytes_limit() {
    let exit = limit("bytes_limit", "listener.max_bytes_in");
    let receipt = check(&["--max-bytes-in", "3"], "eeee", Seen::Reset, &exit);
    assert_eq!(receipt["bytes_in"], 3);
}

#[test]
fn more_bytes_than_may_go_out_are_a_bytes_limit() {
    let exit = limit("bytes_limit", "listener.max_bytes_out");
    let receipt = check(&["--max-bytes-out", "100001"], "w", Seen::Reset, &exit);
    assert_eq!(receipt["bytes_out"], 100_001);
}

#[test]
fn a_peer_that_sends_too_little_is_a_slow_peer() {
    let exit = limit("slow_peer", "listener.min_rate");
    check(&["--min-rate", "1KiB:100ms"], "ee", Seen::Reset, &exit);
}

#[test]
fn a_peer_that_breaks_the_connection_is_a_peer_reset() {
    let server = Server::run(plugin("echo")).start();
    let mut client = server.connect();
    client.is_echoed();
    client.reset();
    assert_eq!(server.receipt()["exit"], kind("peer_reset"));
}

#[test]
fn a_drain_that_ends_silent_connections_is_drained() {
    let server = Server::run(plugin("echo")).arguments(&["--drain-idle", "100ms"]).start();
    let mut client: Client = server.connect();
    client.is_echoed();
    server.drain();
    client.ends_in_good_order();
    drop(client);
    assert_eq!(server.receipt()["exit"], limit("drained", "server.drain_idle"));
    assert_eq!(server.wait().0, 0);
}

#[test]
fn the_deadline_of_a_drain_is_a_cut() {
    let server = Server::run(plugin("echo")).arguments(&["--drain-timeout", "100ms"]).start();
    let mut client = server.connect();
    client.is_echoed();
    server.signal(Signal::TERM);
    client.is_reset();
    let (code, log) = server.wait();
    assert_eq!(code, 0);
    assert!(log.contains("1 connection was cut"), "{log}");
    assert!(log.contains(r#""exit":{"kind":"cut"}"#), "{log}");
}
