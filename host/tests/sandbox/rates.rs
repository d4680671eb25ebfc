//! What a guest may do so often each second: host calls, and lines of the log. And how long it may
//! hold a worker.

use std::cell::Cell as Counter;
use std::time::Duration;

use portcell::exit::Exit;
use tokio::time::Instant;

use crate::harness::Guest;

/// A guest that makes this call so many times, and ends well.
fn repeats(times: u32, module: &str, import: &str, call: &str) -> Guest {
    Guest::text(&format!(
        "(module
           (import \"{module}\" {import})
           (memory (export \"memory\") 1)
           (func (export \"handle\") (local $left i32)
             (local.set $left (i32.const {times}))
             (loop $again
               (drop {call})
               (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"
    ))
}

/// Time stands still but for waiting, so that nothing else is measured.
#[tokio::test(start_paused = true)]
async fn a_guest_that_makes_too_many_host_calls_is_slowed_whichever_they_are() {
    let (ours, wasi) = ("portcell_v1", "wasi_snapshot_preview1");
    let two = "(func $f (param i32 i32) (result i32))";
    let three = "(func $f (param i32 i32 i32) (result i32))";
    let zeros = "(i32.const 0) (i32.const 0)";
    // Two fifths at once and the rest at that rate: a second and a half, less what is made until
    // somebody looks.
    let (cheap, dear) = ((1_000_000, "400000"), (50_000, "20000"));
    for ((times, most), module, name, import, arguments) in [
        (cheap, ours, "shutdown", two, "(i32.const 0) (i32.const 9)"),
        (cheap, ours, "close", "(func $f (param i32) (result i32))", "(i32.const 9)"),
        (cheap, ours, "set_timeout", three, "(i32.const 9) (i32.const 0) (i32.const 0)"),
        (cheap, wasi, "random_get", two, zeros),
        (cheap, wasi, "sock_shutdown", two, zeros),
        (dear, ours, "poll", three, "(i32.const 0) (i32.const 1) (i32.const 0)"),
        (dear, wasi, "sched_yield", "(func $f (result i32))", ""),
        (dear, wasi, "fd_filestat_get", two, "(i32.const 7) (i32.const 0)"),
    ] {
        let import = format!("\"{name}\" {import}");
        let guest = repeats(times, module, &import, &format!("(call $f {arguments})"));
        let guest = guest.with("max-host-calls", most).with("cpu", "none");
        let began = Instant::now();
        let mut cell = guest.serve().await;
        assert_eq!(cell.exit().await, Exit::Ok, "{name}");
        let waited = began.elapsed();
        assert!(waited > Duration::from_millis(200), "{name}: {waited:?}");
    }
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
