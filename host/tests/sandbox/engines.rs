//! What the engine decides: how deep a guest may call, how its work is measured, and how much
//! memory all instances have together.

use std::fmt::Write as _;
use std::fs;

use portcell::Compiler;
use portcell::config::Meter;
use portcell::engine::{Engine, Settings};
use portcell::exit::Exit;
use portcell::handler::Loader;
use tempfile::TempDir;

use crate::harness::{Guest, import_text, loader};

const DEFAULT: Settings =
    Settings { connections: 4, stack: 256 << 10, meter: Meter::Epoch, share_data: false };

fn loader_of(settings: Settings) -> Loader {
    Loader::new(Engine::with(&settings).unwrap(), Compiler::InProcess).unwrap()
}

/// A guest that calls itself without end, and at every eighth depth every function of the host that lets it
/// go on. Descriptor 3 is a folder with `the-file` in it, whose name is at 8, and 4 is that file.
fn calls_everything_ever_deeper() -> Guest {
    let (mut imports, mut calls) = (String::new(), String::new());
    // They end the guest, or what is closed could not be used by the next.
    let left_out = ["proc_exit", "abort"];
    for import in loader().offered().iter().filter(|import| !left_out.contains(&&*import.name)) {
        let (params, results) = import.signature.split_once(" -> ").unwrap();
        let types = params.trim_matches(['(', ')']).split(", ").filter(|ty| !ty.is_empty());
        let is_path = import.name.starts_with("path_");
        let any = if is_path { 8 } else { 512 };
        let mut arguments: Vec<_> =
            types.map(|ty| (ty, if ty == "i64" { 0 } else { any })).collect();
        // By place: what makes a call come further than its checks, or not trap.
        let wanted: &[(usize, u32)] = match &*import.name {
            "fd_close" | "fd_renumber" | "close" => &[],
            "clock_res_get" | "proc_raise" | "shutdown" | "read" | "write" | "set_timeout"
            | "start_tls" => &[(0, 0)],
            "fd_advise" | "fd_filestat_set_times" => &[(0, 4), (3, 0)],
            "fd_seek" => &[(0, 4), (2, 0)],
            "fd_fdstat_set_flags" => &[(0, 4), (1, 0)],
            // No part of the memory that is written to.
            "fd_read" | "fd_write" | "fd_pread" | "fd_pwrite" => &[(0, 4), (1, 60_000), (2, 8)],
            "poll_oneoff" => &[(2, 0)],
            "poll" => &[(1, 0), (2, 0)],
            "log" => &[(0, 5)],
            "path_open" => &[(0, 3), (1, 0), (4, 0), (7, 0), (8, 512)],
            name if name.starts_with("path_") => &[(0, 3), (1, 0)],
            name if name.starts_with("fd_") => &[(0, 4)],
            _ => &[],
        };
        for (at, value) in wanted {
            arguments[*at].1 = *value;
        }
        let arguments: Vec<_> =
            arguments.iter().map(|(ty, value)| format!("({ty}.const {value})")).collect();
        imports.push_str(&import_text(import));
        let call = format!("(call ${} {})", import.name, arguments.join(" "));
        let _ = if results == "()" {
            writeln!(calls, "{call}")
        } else {
            writeln!(calls, "(drop {call})")
        };
    }
    Guest::text(&format!(
        "(module {imports}
           (memory (export \"memory\") 1)
           (data (i32.const 8) \"the-file\")
           (func $never_waits (param $which i32)
             (drop (call $set_timeout (i32.const 0) (local.get $which) (i32.const 0))))
           (func $deeper (param $depth i32) (result i32)
             (if (i32.eqz (i32.and (local.get $depth) (i32.const 7))) (then {calls}))
             (i32.add (call $deeper (i32.add (local.get $depth) (i32.const 1))) (i32.const 1)))
           (func (export \"handle\") (result i32)
             (call $never_waits (i32.const 0))
             (call $never_waits (i32.const 1))
             (call $deeper (i32.const 0))))"
    ))
}

#[tokio::test]
async fn every_host_call_has_room_at_the_end_of_every_stack() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("the-file"), b"what is in it").unwrap();
    let grant = format!("{}::/www::rw", folder.path().display());
    for stack in [64 << 10, 256 << 10] {
        let loader = loader_of(Settings { stack, ..DEFAULT });
        let guest = calls_everything_ever_deeper().with("dir", &grant).with("cpu", "none");
        let mut cell = guest.with("max-host-calls", "none").serve_by(&loader).await;
        let exit = cell.exit().await;
        let what = "wasm trap: call stack exhausted (server.stack) in `deeper`";
        assert_eq!(exit, Exit::Trap(what.into()), "{stack}");
    }
}

#[tokio::test]
async fn a_larger_stack_is_deeper() {
    let deep = "(module (memory (export \"memory\") 1)
        (func $deeper (param $left i32) (result i32)
          (if (i32.eqz (local.get $left)) (then (return (i32.const 0))))
          (i32.add (call $deeper (i32.sub (local.get $left) (i32.const 1))) (i32.const 1)))
        (func (export \"handle\") (drop (call $deeper (i32.const 10000)))))";
    let mut small =
        Guest::text(deep).serve_by(&loader_of(Settings { stack: 64 << 10, ..DEFAULT })).await;
    assert!(matches!(small.exit().await, Exit::Trap(_)));
    let mut large =
        Guest::text(deep).serve_by(&loader_of(Settings { stack: 4 << 20, ..DEFAULT })).await;
    assert_eq!(large.exit().await, Exit::Ok);
}

#[tokio::test]
async fn with_fuel_a_guest_ends_at_the_same_instruction_in_every_run() {
    let loader = loader_of(Settings { meter: Meter::Fuel, ..DEFAULT });
    let mut seen = Vec::new();
    for slice in ["10ms", "5ms", "10ms", "500ms", "10ms"] {
        let guest = Guest::wat("counts_and_writes").with("meter", "fuel");
        let guest = guest.with("fuel", "30000000").with("slice", slice);
        let mut cell = guest.serve_by(&loader).await;
        let _ = cell.peer.rest().await;
        assert_eq!(cell.exit().await, Exit::CpuLimit("handler.fuel"));
        seen.push(cell.account.bytes_out());
    }
    assert!(seen[0] > 100 && seen.iter().all(|bytes| *bytes == seen[0]), "{seen:?}");
}

#[tokio::test]
async fn with_fuel_as_the_meter_time_counts_where_no_fuel_is_set() {
    let loader = loader_of(Settings { meter: Meter::Fuel, ..DEFAULT });
    for (flags, exit) in [
        (&[("cpu", "50ms")][..], "handler.cpu"),
        (&[("fuel", "1000000000000"), ("cpu", "50ms")], "handler.cpu"),
        (&[("fuel", "10000000")], "handler.fuel"),
    ] {
        let guest = Guest::wat("spins_forever").with("meter", "fuel");
        let guest = flags.iter().fold(guest, |guest, (flag, value)| guest.with(flag, value));
        let mut cell = guest.serve_by(&loader).await;
        assert_eq!(cell.exit().await, Exit::CpuLimit(exit), "{flags:?}");
    }
}

#[tokio::test]
async fn all_instances_share_the_memory_and_give_it_back() {
    let loader = loader_of(DEFAULT);
    let memory = loader.memory();
    memory.set_limit(3 << 16);
    let mut first = Guest::wat("echo").serve_by(&loader).await;
    first.peer.send(b"x").await;
    first.peer.receive(1).await;
    let one = memory.used();
    assert!(one >= 1 << 16, "{one}");
    let shared = Exit::MemoryLimit("server.max_memory");
    let mut grows = Guest::wat("grows_memory").serve_by(&loader).await;
    assert_eq!(grows.exit().await, shared);
    grows.closed().await;
    assert_eq!((memory.used(), memory.denied()), (one, 1));
    // Another cannot even begin.
    memory.set_limit(one);
    let mut second = Guest::wat("echo").serve_by(&loader).await;
    assert_eq!(second.exit().await, shared);
    assert_eq!((memory.used(), memory.denied()), (one, 2));
    first.peer.end().await;
    assert_eq!(first.exit().await, Exit::Ok);
    assert_eq!(memory.used(), 0);
    for (guest, flag, value) in [
        ("spins_forever", "cpu", "1ms"),
        ("recurses_forever", "cpu", "1s"),
        ("echo", "lifetime", "1ms"),
        ("spins_at_start", "cpu", "1ms"),
    ] {
        let cell = Guest::wat(guest).with(flag, value).serve_by(&loader).await;
        cell.ends().await;
        assert_eq!(memory.used(), 0, "{guest}");
    }
}
