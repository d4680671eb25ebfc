//! The trial: an instance without a peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use portcell::account::Account;
use portcell::connection::Connection;
use portcell::exit::Exit;
use portcell::instance;
use portcell::trial::trial;

use crate::harness::{Guest, Log};

/// What a script tells that runs to its end with nobody there, and whether it has found that out.
async fn alone(guest: Guest) -> (Exit, Vec<String>, bool) {
    static IDS: AtomicU64 = AtomicU64::new(1 << 32);
    let account = Arc::new(Account::new(IDS.fetch_add(1, Relaxed)));
    let log = Log::of(account.id());
    let route = guest.load().unwrap();
    let found_out = Arc::new(AtomicBool::new(false));
    let placement = Arc::clone(&route.placement);
    let connection = Connection::without_peer(account, placement, Arc::clone(&found_out));
    let ended = instance::run(&route.handler, connection, route.limits, |_| {}, None).await;
    let told = log.lines().into_iter().map(|line| line.text).collect();
    (ended.exit, told, found_out.load(Relaxed))
}

/// What the trial of a guest finds wrong with it.
async fn refused(guest: Guest) -> Option<String> {
    let route = guest.load().unwrap();
    trial(&route.handler).await.err().map(|error| error.to_string())
}

#[tokio::test]
async fn every_call_on_the_connection_is_enotconn_and_there_are_no_facts() {
    for call in [
        "read 0 1024 10",
        "read 0 1024 0",
        "write 0 1024 10",
        "write 0 1024 0",
        "shutdown 0 1",
        "shutdown 0 3",
        "close 0",
        "set_timeout 0 0 5",
        "start_tls 0 1024 0 1024 0",
    ] {
        let (exit, told, found_out) = alone(Guest::calls(&[call, call])).await;
        assert_eq!((exit, told), (Exit::Ok, vec!["-53".to_owned(); 2]), "{call}");
        assert!(found_out, "{call}");
    }
    for fact in portcell_abi::FACTS {
        let call = format!("info 1024 {} 2048 100", fact.len());
        let guest = Guest::calls_with(&[(1024, fact.as_bytes())], &[&call]);
        assert_eq!(alone(guest).await, (Exit::Ok, vec!["-44".to_owned()], true), "{fact}");
    }
}

#[tokio::test]
async fn descriptor_3_of_a_command_is_a_socket_without_a_peer() {
    for call in [
        "fd_read 3 512 1 128",
        "fd_write 3 512 1 128",
        "sock_recv 3 512 1 0 128 132",
        "sock_send 3 512 1 0 128",
        "sock_shutdown 3 1",
    ] {
        let vector = [0, 4, 0, 0, 10, 0, 0, 0];
        let guest = Guest::command(&[(512, &vector)], &[call, "fd_fdstat_get 3 256", "tell16 256"]);
        let expected: Vec<_> = ["53", "0", "6"].map(str::to_owned).into();
        assert_eq!(alone(guest).await, (Exit::Ok, expected, true), "{call}");
    }
}

#[tokio::test]
async fn a_poll_says_that_the_connection_failed() {
    let record = |events: u8| vec![0, 0, 0, 0, events, 0, 0, 0];
    for (events, found) in [(1, 0x1001), (2, 0x1002), (8, 0x1000)] {
        let guest = Guest::calls_with(&[(256, &record(events))], &["poll 256 1 -1", "tell16 262"]);
        let told = vec!["1".to_owned(), found.to_string()];
        assert_eq!(alone(guest).await, (Exit::Ok, told, true));
    }
}

#[tokio::test]
async fn calls_on_nothing_find_nothing_out() {
    let calls = ["read 5 1024 10", "poll 256 0 1", "log 1 1024 0", "clock_time_get 1 0 1024"];
    let (exit, told, found_out) = alone(Guest::calls(&calls)).await;
    assert_eq!((exit, told), (Exit::Ok, ["-8", "0", "", "0", "0"].map(str::to_owned).to_vec()));
    assert!(!found_out);
}

#[tokio::test]
async fn the_input_of_a_command_is_at_its_end_and_its_environment_is_what_is_granted() {
    let vector = [1024_u32.to_le_bytes(), 100_u32.to_le_bytes()].concat();
    let calls = [
        "environ_sizes_get 128 132",
        "tell 128",
        "fd_read 0 256 1 128",
        "tell 128",
        "fd_write 1 256 1 128",
    ];
    let guest = Guest::command(&[(256, &vector)], &calls).with("env", "A=b");
    let told = ["0", "1", "0", "0", "53"].map(str::to_owned).to_vec();
    assert_eq!(alone(guest).await, (Exit::Ok, told, true));
}

#[tokio::test]
async fn who_ends_before_it_looks_at_its_connection_is_refused() {
    let module = |fields: &str| {
        Guest::text(&format!(
            "(module (memory (export \"memory\") 1) {fields} (func $ends unreachable))"
        ))
    };
    let handle = "(func (export \"handle\"))";
    for (guest, why) in [
        (module(&format!("{handle} (start $ends)")), "executed in `ends`"),
        (module(&format!("{handle} (export \"_initialize\" (func $ends))")), "executed in `ends`"),
        (module("(export \"handle\" (func $ends))"), "executed in `ends`"),
        (module("(export \"_start\" (func $ends))"), "executed in `ends`"),
        (Guest::wat("recurses_forever"), "call stack exhausted"),
        (Guest::wat("spins_at_start").with("cpu", "50ms"), ": cpu_limit"),
        (Guest::wat("spins_forever").with("cpu", "50ms"), ": cpu_limit"),
    ] {
        let said = refused(guest).await.expect("it is refused");
        assert!(said.starts_with("an instance ended before it had looked at its connection: "));
        assert!(said.contains(why), "no `{why}` in `{said}`");
    }
}

#[tokio::test]
async fn who_returns_fails_waits_or_has_looked_first_is_not() {
    for guest in [
        Guest::calls(&[]),
        Guest::calls(&["return 3"]),
        Guest::command(&[], &["proc_exit 1"]),
        Guest::calls(&["read 0 1024 1", "trap"]),
        Guest::calls(&["info 1024 0 1024 0", "trap"]),
        Guest::command(&[], &["fd_close 1", "trap"]),
        Guest::wat("writes_forever"),
        Guest::wat("spins_in_polls").with("cpu", "50ms"),
        // It waits, for longer than the trial does.
        Guest::calls(&["poll 256 0 -1", "trap"]).with("cpu", "10ms"),
        // It may compute for as long as it likes.
        Guest::wat("spins_forever").with("cpu", "none"),
    ] {
        assert_eq!(refused(guest).await, None);
    }
}

#[tokio::test]
async fn a_trial_writes_into_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    // path_create_directory(3, "new"), which is `notcapable` (76) or `rofs` (69).
    let creates = Guest::calls_with(&[(1024, b"new")], &["path_create_directory 3 1024 3"]);
    let granted = |rights: &str| {
        let granted = format!("{}::/data{rights}", folder.path().display());
        creates.clone().with("dir", &granted)
    };
    for rights in ["", "::rw"] {
        let (exit, told, _) = alone(granted(rights)).await;
        assert_eq!(exit, Exit::Ok);
        assert_ne!(told, ["0"], "{rights}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    // One that could not do without is not called.
    let traps = Guest::calls(&["trap"]);
    let granted = format!("{}::/data::rw", folder.path().display());
    assert_eq!(refused(traps.clone().with("dir", &granted)).await, None);
    assert!(refused(traps).await.is_some());
}
