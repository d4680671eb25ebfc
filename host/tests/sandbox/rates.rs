//! What a guest may do so often each second: host calls, and lines of the log. And how long it may
//! hold a worker.

use std::cell::Cell as Counter;
use std::time::{Duration, Instant};

use portcell::exit::Exit;

use crate::harness::Guest;

/// A guest that makes this call 75,000 times, and ends well.
fn repeats(module: &str, import: &str, call: &str) -> Guest {
    Guest::text(&format!(
        "(module
           (import \"{module}\" {import})
           (memory (export \"memory\") 1)
           (func (export \"handle\") (local $left i32)
             (local.set $left (i32.const 75000))
             (loop $again
               (drop {call})
               (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"
    ))
}

#[tokio::test]
async fn a_guest_that_makes_too_many_host_calls_is_slowed_whichever_they_are() {
    let wasi = "wasi_snapshot_preview1";
    let two = "(func $f (param i32 i32) (result i32))";
    for (module, name, import, arguments) in [
        ("portcell_v1", "shutdown", two, "(i32.const 0) (i32.const 9)"),
        ("portcell_v1", "close", "(func $f (param i32) (result i32))", "(i32.const 9)"),
        (
            "portcell_v1",
            "poll",
            "(func $f (param i32 i32 i32) (result i32))",
            "(i32.const 0) (i32.const 0) (i32.const 0)",
        ),
        (wasi, "random_get", two, "(i32.const 0) (i32.const 0)"),
        (wasi, "sched_yield", "(func $f (result i32))", ""),
        (wasi, "sock_shutdown", two, "(i32.const 0) (i32.const 0)"),
        (wasi, "fd_filestat_get", two, "(i32.const 7) (i32.const 0)"),
    ] {
        let import = format!("\"{name}\" {import}");
        let guest = repeats(module, &import, &format!("(call $f {arguments})"));
        let began = Instant::now();
        let mut cell = guest.with("max-host-calls", "50000").with("cpu", "none").serve().await;
        assert_eq!(cell.exit().await, Exit::Ok, "{name}");
        // 50,000 at once, and the others at the same rate.
        let lasted = began.elapsed();
        assert!(lasted > Duration::from_millis(200), "{name}: {lasted:?}");
    }
}

#[tokio::test]
async fn one_that_waits_for_its_turn_is_not_ended_and_not_charged() {
    let guest = repeats(
        "portcell_v1",
        "\"shutdown\" (func $f (param i32 i32) (result i32))",
        "(call $f (i32.const 0) (i32.const 9))",
    );
    let guest = guest.with("max-host-calls", "60000").with("cpu", "200ms");
    let began = Instant::now();
    let mut cell = guest.serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    assert!(cell.account.cpu() < began.elapsed(), "{:?}", cell.account.cpu());
}

#[tokio::test]
async fn the_bounds_of_the_log_are_the_handlers() {
    let guest = Guest::wat("floods_the_log").with("guest-log", "2:1KiB:16");
    let mut cell = guest.serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    // Ten at once, two each second of its run, and how many more there were.
    let lines = cell.log().len();
    assert!((11..40).contains(&lines), "{lines} lines");
    let cell = Guest::calls(&["log 1 64 1000"]).with("guest-log", "2:1KiB:16");
    let mut cell = cell.serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    let line = cell.log()[0].text.clone();
    assert!(line.ends_with(" ..."), "{line}");
}

/// How often others have their turn while a guest spins for 200 ms of CPU time.
async fn turns_beside(slice: &str) -> u32 {
    let guest = Guest::wat("spins_forever").with("cpu", "200ms").with("slice", slice);
    let mut hog = guest.serve().await;
    let turns = Counter::new(0);
    tokio::select! {
        biased;
        exit = hog.exit() => assert_eq!(exit, Exit::CpuLimit("handler.cpu")),
        () = async {
            loop {
                tokio::task::yield_now().await;
                turns.set(turns.get() + 1);
            }
        } => {}
    }
    turns.get()
}

#[tokio::test]
async fn a_longer_slice_holds_a_worker_for_longer() {
    let (often, seldom) = (turns_beside("10ms").await, turns_beside("1s").await);
    assert!(often > seldom, "{often} {seldom}");
}
