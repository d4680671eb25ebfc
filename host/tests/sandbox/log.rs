//! `portcell_v1.log`, and what WASI's streams write into the log.

use portcell::exit::Exit;
use tracing::Level;

use crate::harness::Guest;

#[tokio::test]
async fn each_level_is_the_logs_own_and_the_line_names_the_handler() {
    let calls = ["log 1 100 2", "log 2 100 2", "log 3 100 2", "log 4 100 2"];
    let mut cell = Guest::calls_with(&[(100, b"hi")], &calls).serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    let lines = cell.log();
    let said: Vec<_> = lines.iter().filter(|line| line.text == "hi").collect();
    let levels: Vec<_> = said.iter().map(|line| line.level).collect();
    assert_eq!(levels, [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG]);
    assert!(said.iter().all(|line| line.handler == "guest"), "{lines:?}");
    assert_eq!(cell.told(), ["0", "0", "0", "0"]);
}

#[tokio::test]
async fn another_level_is_einval_wherever_it_points() {
    let calls = ["log 0 100 2", "log 6 100 2", "log -1 100 2", "log 0 -1 2", "log 5 65536 0"];
    let told = Guest::calls(&calls).serve().await.tells().await;
    // The last is level 5 with an empty line, which is told as such.
    assert_eq!(told, ["-28", "-28", "-28", "-28", "", "0"]);
}

#[tokio::test]
async fn a_line_is_bounded_and_cannot_forge_another() {
    let calls = ["log 1 64 65472", "log 2 128 10"];
    let cell = Guest::calls_with(&[(128, b"a\nINFO b\x1bc")], &calls).serve().await;
    let lines = {
        let mut cell = cell;
        cell.exit().await;
        cell.log()
    };
    let of = |level| lines.iter().find(|line| line.level == level).unwrap().text.clone();
    assert!(of(Level::ERROR).len() < 10_000, "{} bytes", of(Level::ERROR).len());
    assert_eq!(of(Level::WARN), "a\\nINFO b\\u{1b}c");
}

#[tokio::test]
async fn a_flood_of_lines_is_dropped_and_counted_and_the_guest_goes_on() {
    let mut cell = Guest::wat("floods_the_log").serve().await;
    assert_eq!(cell.exit().await, Exit::Ok);
    let lines = cell.log();
    assert!(lines.len() < 200, "{} lines", lines.len());
    let last = &lines.last().unwrap().text;
    assert!(last.ends_with("more lines were dropped (handler.log)"), "{last}");
    let dropped: usize = last.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(dropped + lines.len() - 1, 100_000);
}

#[tokio::test]
async fn a_flood_through_stderr_in_one_call_does_not_hold_the_host() {
    let mut cell = Guest::wat("floods_stderr_at_once").with("cpu", "200ms").serve().await;
    let exit = cell.exit().await;
    assert_eq!(exit, Exit::CpuLimit("handler.cpu"));
    assert!(cell.account.cpu().as_millis() < 2_000, "{:?} in one host call", cell.account.cpu());
    assert!(cell.log().len() < 200, "{} lines", cell.log().len());
}
