//! How a guest is started, and how its end becomes an exit.

use portcell::exit::Exit;
use portcell::host_calls::{HostCall, HostCalls};

use crate::harness::Guest;

/// A module with a memory, a write, and these functions.
fn module(functions: &str) -> Guest {
    Guest::text(&format!(
        "(module
           (import \"portcell_v1\" \"write\" (func $write (param i32 i32 i32) (result i32)))
           (memory (export \"memory\") 1)
           (data (i32.const 0) \"sih\")
           (func $say (param $at i32)
             (drop (call $write (i32.const 0) (local.get $at) (i32.const 1))))
           {functions})"
    ))
}

/// What a guest of these functions wrote, and how it ended.
async fn run(functions: &str) -> (Vec<u8>, Exit) {
    let mut cell = module(functions).serve().await;
    let exit = cell.exit().await;
    cell.peer.end().await;
    (cell.peer.rest().await.unwrap(), exit)
}

#[tokio::test]
async fn handle_without_a_result_is_ok() {
    let (said, exit) = run("(func (export \"handle\") (call $say (i32.const 2)))").await;
    assert_eq!((&*said, exit), (&b"h"[..], Exit::Ok));
}

#[tokio::test]
async fn the_code_of_handle_is_how_it_ended() {
    for (code, expected) in [
        (0, Exit::Ok),
        (1, Exit::Failed(1)),
        (-1, Exit::Failed(-1)),
        (i32::MIN, Exit::Failed(i32::MIN)),
    ] {
        let handle = format!(
            "(func (export \"handle\") (result i32) (call $say (i32.const 2)) (i32.const {code}))"
        );
        let (said, exit) = run(&handle).await;
        assert_eq!((&*said, exit), (&b"h"[..], expected));
    }
}

#[tokio::test]
async fn start_function_then_initialize_then_handle_each_once() {
    let functions = "(func $start (call $say (i32.const 0))) (start $start)
         (func (export \"_initialize\") (call $say (i32.const 1)))
         (func (export \"handle\") (call $say (i32.const 2)))";
    assert_eq!(run(functions).await, (b"sih".to_vec(), Exit::Ok));
}

#[tokio::test]
async fn handle_is_the_entry_where_both_are_there_and_initialize_is_not_run_before_start() {
    let handle = "(func (export \"_start\") (call $say (i32.const 0)))
         (func (export \"handle\") (call $say (i32.const 2)))";
    assert_eq!(run(handle).await, (b"h".to_vec(), Exit::Ok));
    let start = "(func (export \"_start\") (call $say (i32.const 0)))
         (func (export \"_initialize\") (call $say (i32.const 1)))";
    assert_eq!(run(start).await, (b"s".to_vec(), Exit::Ok));
}

#[tokio::test]
async fn a_start_function_can_wait_for_the_peer() {
    let mut cell = Guest::text(
        "(module
           (import \"portcell_v1\" \"read\" (func $read (param i32 i32 i32) (result i32)))
           (import \"portcell_v1\" \"write\" (func $write (param i32 i32 i32) (result i32)))
           (memory (export \"memory\") 1)
           (func $start (drop (call $read (i32.const 0) (i32.const 0) (i32.const 4))))
           (start $start)
           (func (export \"handle\") (drop (call $write (i32.const 0) (i32.const 0) (i32.const 4)))))",
    )
    .serve()
    .await;
    cell.peer.send(b"ping").await;
    assert_eq!(cell.peer.receive(4).await, b"ping");
    assert_eq!(cell.exit().await, Exit::Ok);
}

#[tokio::test]
async fn a_pointer_outside_the_memory_traps_in_a_start_function_too() {
    let functions =
        "(func $early (call $say (i32.const 65536))) (start $early) (func (export \"handle\"))";
    let exit = module(functions).serve().await.exit().await;
    let said = "write: 0x10000..+1 is outside the guest's memory in `say`";
    assert_eq!(exit, Exit::Trap(said.into()));
}

#[tokio::test]
async fn a_trap_says_what_and_where_and_the_peer_sees_a_reset() {
    let what = "wasm trap: wasm `unreachable` instruction executed";
    for (functions, place) in [
        ("(func $early unreachable) (start $early) (func (export \"handle\"))", "early"),
        ("(func $first (export \"_initialize\") unreachable) (func (export \"handle\"))", "first"),
        ("(func $main (export \"handle\") unreachable)", "main"),
        ("(func $main (export \"_start\") unreachable)", "main"),
    ] {
        let mut cell = module(functions).serve().await;
        assert_eq!(cell.exit().await, Exit::Trap(format!("{what} in `{place}`")));
        assert_eq!(cell.peer.rest().await, Err(std::io::ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn each_kind_of_trap_has_its_words() {
    for (body, what) in [
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "integer divide by zero"),
        ("(drop (i32.load (i32.const -1)))", "out of bounds memory access"),
        ("(drop (i32.load offset=65533 (i32.const 0)))", "out of bounds memory access"),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", "invalid conversion to integer"),
    ] {
        let functions = format!("(func (export \"handle\") {body})");
        let exit = module(&functions).serve().await.exit().await;
        assert!(matches!(&exit, Exit::Trap(detail) if detail.contains(what)), "{exit}");
    }
}

#[tokio::test]
async fn an_unnamed_function_is_named_by_its_number() {
    let exit =
        module("(func (export \"handle\") (call 3)) (func unreachable)").serve().await.exit().await;
    assert!(matches!(&exit, Exit::Trap(detail) if detail.ends_with(" in `#3`")), "{exit}");
}

#[tokio::test]
async fn the_name_of_a_function_that_traps_cannot_forge_a_line() {
    let functions = "(func $traps (@name \"a\\0a2026 INFO b\\1b[31mc\") unreachable)
         (func (export \"handle\") (call $traps))";
    let said = "wasm trap: wasm `unreachable` instruction executed in \
                `a\\n2026 INFO b\\u{1b}[31mc`";
    assert_eq!(module(functions).serve().await.exit().await, Exit::Trap(said.into()));
}

#[tokio::test]
async fn abort_is_a_trap_with_its_message() {
    // AssemblyScript's strings: UTF-16, with their length in bytes before them.
    let utf16 = |text: &str| {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [&u32::try_from(units.len()).unwrap().to_le_bytes()[..], &units].concat()
    };
    let (message, file) = (utf16("näh 🙂\n"), utf16("a.ts"));
    let data: [(u32, &[u8]); 2] = [(96, &message), (196, &file)];
    let abort = |call| {
        let guest = Guest::calls_with(&data, &[call]);
        async { guest.serve().await.exit().await }
    };
    let said = |text: &str| Exit::Trap(format!("{text} in `#3`"));
    assert_eq!(abort("abort 100 200 7 9").await, said("abort: näh 🙂\\n at a.ts:7:9"));
    assert_eq!(abort("abort 0 0 0 0").await, said("abort: abort at ?:0:0"));
    assert_eq!(abort("abort 3 65541 1 1").await, said("abort: abort at ?:1:1"));
    assert_eq!(abort("abort -1 -2147483648 1 1").await, said("abort: abort at ?:1:1"));
}

#[tokio::test]
async fn an_abort_whose_message_is_as_long_as_memory_is_cut() {
    let data: [(u32, &[u8]); 1] = [(96, &60_000_u32.to_le_bytes())];
    let exit = Guest::calls_with(&data, &["abort 100 0 0 0"]).serve().await.exit().await;
    assert!(matches!(&exit, Exit::Trap(detail) if detail.len() < 4096), "{exit}");
}

#[tokio::test]
async fn a_backtrace_names_the_functions_from_the_innermost_and_where_they_were() {
    let functions = "(func $_ZN4core9panicking5panic17h0123456789abcdefE unreachable)
         (func (call $_ZN4core9panicking5panic17h0123456789abcdefE))
         (func $main (export \"handle\") (call 3))";
    let left = module(functions).serve().await.left().await;
    let what = "wasm trap: wasm `unreachable` instruction executed in `core::panicking::panic`";
    assert_eq!(left.exit, Exit::Trap(what.into()));
    let mut places = left.backtrace.iter().map(|line| line.split_once(" at 0x").unwrap());
    let mut after = 0;
    for name in ["core::panicking::panic", "#3", "main"] {
        let (found, place) = places.next().unwrap();
        assert_eq!(found, name);
        // The module has them in this order.
        let place = u64::from_str_radix(place, 16).unwrap();
        assert!(place > after, "{:?}", left.backtrace);
        after = place;
    }
    assert_eq!(places.next(), None);
}

#[tokio::test]
async fn a_backtrace_is_bounded_whatever_its_names() {
    let name = format!("a\\0a\\1b[2J{}", "x".repeat(100_000));
    let functions = format!(
        "(func $deep (@name \"{name}\") (param $left i32)
           (if (i32.eqz (local.get $left)) (then unreachable))
           (call $deep (i32.sub (local.get $left) (i32.const 1))))
         (func (export \"handle\") (call $deep (i32.const 100)))"
    );
    let left = module(&functions).serve().await.left().await;
    assert_eq!(left.backtrace.len(), 16);
    for line in &left.backtrace {
        assert!(line.starts_with("a\\n\\u{1b}[2Jxxx") && line.len() < 300, "{line}");
    }
    assert!(matches!(&left.exit, Exit::Trap(detail) if detail.len() < 400), "{}", left.exit);
}

#[tokio::test]
async fn there_is_no_backtrace_where_there_was_no_trap() {
    for functions in [
        "(func (export \"handle\"))",
        "(func (export \"handle\") (result i32) (i32.const 3))",
        "(func (export \"_start\"))",
    ] {
        let left = module(functions).serve().await.left().await;
        assert_eq!(left.backtrace, Vec::<String>::new(), "{functions}");
    }
    let left = Guest::wat("recurses_forever").serve().await.left().await;
    assert_eq!(left.backtrace.len(), 16, "a trap has one");
}

#[tokio::test]
async fn host_calls_are_counted_by_kind_also_those_that_fail() {
    let left = Guest::text(
        "(module
           (import \"portcell_v1\" \"write\" (func $write (param i32 i32 i32) (result i32)))
           (import \"portcell_v1\" \"set_timeout\" (func $bound (param i32 i32 i32) (result i32)))
           (import \"portcell_v1\" \"info\" (func $info (param i32 i32 i32 i32) (result i32)))
           (import \"wasi_snapshot_preview1\" \"sched_yield\" (func $yield (result i32)))
           (import \"wasi_snapshot_preview1\" \"sock_shutdown\"
             (func $sock (param i32 i32) (result i32)))
           (import \"wasi_snapshot_preview1\" \"fd_sync\" (func $sync (param i32) (result i32)))
           (import \"wasi_snapshot_preview1\" \"fd_close\" (func $close (param i32) (result i32)))
           (memory (export \"memory\") 1)
           (func (export \"handle\")
             (drop (call $write (i32.const 0) (i32.const 0) (i32.const 1)))
             (drop (call $write (i32.const 7) (i32.const 0) (i32.const 1)))
             (drop (call $bound (i32.const 0) (i32.const 9) (i32.const 1)))
             (drop (call $yield))
             (drop (call $sock (i32.const 0) (i32.const 0)))
             ;; The library's, and one of ours that asks the library.
             (drop (call $sync (i32.const 9)))
             (drop (call $close (i32.const 9)))
             (drop (call $info (i32.const -1) (i32.const 9) (i32.const 0) (i32.const 0)))))",
    )
    .serve()
    .await
    .left()
    .await;
    let mut counted = HostCalls::default();
    for (call, count) in
        [(HostCall::Write, 2), (HostCall::SetTimeout, 1), (HostCall::Info, 1), (HostCall::Wasi, 4)]
    {
        (0..count).for_each(|_| counted.add(call));
    }
    assert_eq!(left.host_calls, counted, "{}", left.exit);
}
