//! Memory: its limit, and that instances share none.

use portcell::Compiler;
use portcell::engine::Engine;
use portcell::exit::Exit;
use portcell::handler::Loader;

use crate::harness::Guest;

#[tokio::test]
async fn growth_up_to_the_limit_is_granted_and_beyond_it_is_minus_1() {
    let calls = ["grow 15", "grow 0", "grow 1", "grow 65535", "grow 0"];
    let mut cell = Guest::calls(&calls).with("memory", "1MiB").serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    assert_eq!(cell.told(), ["1", "16", "-1", "-1", "16"]);
    assert_eq!(cell.account.memory_peak(), 1 << 20);
}

#[tokio::test]
async fn a_trap_or_failure_after_a_denied_growth_is_the_memory_limit() {
    let mut cell = Guest::wat("grows_memory").with("memory", "1MiB").serve().await;
    assert_eq!(cell.exit().await, Exit::MemoryLimit("handler.memory"));
    assert_eq!(cell.peer.rest().await, Err(std::io::ErrorKind::ConnectionReset));
    let failed = Guest::calls(&["grow 600", "return 3"]).serve().await.exit().await;
    assert_eq!(failed, Exit::MemoryLimit("handler.memory"));
    let well = Guest::calls(&["grow 600", "return 0"]).serve().await.exit().await;
    assert_eq!(well, Exit::Ok);
}

#[tokio::test]
async fn growth_beyond_the_modules_own_maximum_is_not_the_limits_doing() {
    let guest = Guest::text(
        "(module (memory (export \"memory\") 1 2)
           (func (export \"handle\") (result i32) (memory.grow (i32.const 2))))",
    );
    assert_eq!(guest.serve().await.exit().await, Exit::Failed(-1));
}

#[tokio::test]
async fn the_largest_memory_can_be_had_and_used_to_its_last_byte() {
    let calls = ["grow 1023", "store 67108860 7", "tell 67108860", "grow 1", "log 3 67108863 2"];
    let mut cell = Guest::calls(&calls).with("memory", "64MiB").serve().await;
    let exit = cell.exit().await;
    assert_eq!(cell.told(), ["1", "7", "-1"]);
    // The last call was outside, after a growth had been denied.
    assert_eq!(exit, Exit::MemoryLimit("handler.memory"));
}

#[tokio::test]
async fn tables_count_as_memory() {
    let mut cell = Guest::wat("grows_a_table").with("memory", "128KiB").serve().await;
    assert_eq!(cell.exit().await, Exit::MemoryLimit("handler.memory"));
    let peak = cell.account.memory_peak();
    assert!(peak > 64 << 10 && peak <= 128 << 10, "{peak}");
}

#[tokio::test]
async fn a_table_that_begins_over_the_limit_is_refused_at_load() {
    let guest = Guest::text(
        "(module (memory (export \"memory\") 1) (table 1024 funcref) (func (export \"handle\") (drop (table.size 0))))",
    );
    assert_eq!(
        guest.clone().with("memory", "64KiB").refused(),
        "begins with 72KiB of memory, more than its limit of 64KiB; set `memory` in \
         [handler.guest] or --memory to at least 72KiB"
    );
    let mut cell = guest.with("memory", "72KiB").serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    assert_eq!(cell.account.memory_peak(), 72 << 10);
}

#[tokio::test]
async fn two_tables_are_what_a_module_may_have() {
    let with = |tables: &str| {
        Guest::text(&format!(
            "(module (memory (export \"memory\") 1) {tables} (func (export \"handle\")))"
        ))
    };
    let table = "(table 20000 funcref)";
    let mut cell = with(&table.repeat(2)).serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    let said = with(&table.repeat(3)).refused();
    assert!(said.starts_with("has 3 tables of up to 20000 elements; an instance"), "{said}");
}

#[tokio::test]
async fn slots_come_back_however_an_instance_ends_and_nothing_of_it_is_left() {
    // 65 slots; each guest has the one that the guest before had.
    let loader = Loader::new(Engine::new(1).unwrap(), Compiler::InProcess).unwrap();
    for round in 0..40 {
        let mut cell = Guest::wat("counts_in_memory").serve_by(&loader).await;
        cell.peer.send(b"xx").await;
        cell.peer.end().await;
        assert_eq!(cell.peer.rest().await.unwrap(), b"1122", "round {round}");
        assert_eq!(cell.exit().await, Exit::Ok);
        let mut cell = Guest::wat("leaves_a_secret").serve_by(&loader).await;
        assert_eq!(cell.peer.receive(15).await, [0; 15], "round {round}");
        assert_eq!(cell.exit().await, Exit::Ok);
        let cell = Guest::wat("grows_memory").serve_by(&loader).await;
        assert_eq!(cell.ends().await.0, Exit::MemoryLimit("handler.memory"));
        let spins = Guest::wat("spins_forever").with("cpu", "1ms");
        assert_eq!(spins.serve_by(&loader).await.exit().await, Exit::CpuLimit("handler.cpu"));
        let cell = Guest::wat("echo").with("lifetime", "1ms").serve_by(&loader).await;
        assert_eq!(cell.ends().await.0, Exit::Lifetime);
    }
}

#[tokio::test]
async fn more_instances_than_slots_is_a_host_error_and_passes() {
    let loader = Loader::new(Engine::new(1).unwrap(), Compiler::InProcess).unwrap();
    let mut cells = Vec::new();
    for _ in 0..65 {
        let mut cell = Guest::wat("echo").serve_by(&loader).await;
        cell.peer.send(b"x").await;
        cell.peer.receive(1).await;
        cells.push(cell);
    }
    let exit = Guest::wat("echo").serve_by(&loader).await.exit().await;
    assert!(matches!(&exit, Exit::HostError(_)), "{exit}");
    for mut cell in cells {
        cell.peer.end().await;
        assert_eq!(cell.exit().await, Exit::Ok);
    }
    let mut cell = Guest::wat("echo").serve_by(&loader).await;
    cell.peer.send(b"x").await;
    assert_eq!(cell.peer.receive(1).await, b"x");
}
