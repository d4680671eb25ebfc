//! What guests write into the log is one line each, and nothing but what that guest says.

use serde_json::Value;

use super::row::{Peer, Row};
use super::yard::Yard;
use crate::harness::wait_until;

const FORGERS: &[Row] = &[
    Row::new("forges_log_lines", Peer::Waits, "ok"),
    Row::new("traps_under_a_forged_name", Peer::Waits, "trap")
        .named("traps")
        .says("in `forged\\n2026"),
    Row::new("aborts_with_a_forged_message", Peer::Waits, "trap")
        .named("aborts")
        .says("abort: \\n{"),
];

/// What `forges_log_lines` writes, in lines: four by `log`; by each stream one for each newline in
/// the three vectors, and what is behind the last.
const LINES: usize = 4 + 2 * 5;

#[test]
fn a_guest_cannot_forge_a_line_of_the_log_that_people_read() {
    let yard = Yard::new(FORGERS, &[]);
    for row in FORGERS {
        yard.check(row);
    }
    let log = log(&yard);
    assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{log:?}");
    let mut lines = 0;
    for line in log.lines() {
        let is_of_guest =
            line.contains(" guest: ") && line.contains("handler=\"forges_log_lines\"");
        // A receipt is not what somebody says.
        let is_receipt = serde_json::from_str::<Value>(line).is_ok();
        let is_forged = line.contains("forged") && !is_receipt;
        assert!(!is_forged || is_of_guest, "{line:?}");
        lines += usize::from(is_of_guest);
    }
    assert_eq!(lines, LINES, "{log}");
    // Each connection has one receipt, which `close` checks.
    yard.close();
}

#[test]
fn a_guest_cannot_forge_a_record_of_the_log_that_programs_read() {
    let yard = Yard::new(FORGERS, &["--log-format", "json"]);
    for row in FORGERS {
        yard.check(row);
    }
    let log = log(&yard);
    let mut lines = 0;
    for line in log.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
        if record["target"] == "guest" {
            assert_eq!(record["handler"], "forges_log_lines", "{line}");
            assert_eq!(record.get("exit"), None, "{line}");
            assert!(record["connection"].is_u64(), "{line}");
            lines += 1;
        } else {
            // A field of its own may hold the words, as a receipt's detail does; no other does.
            let is_receipt = record["exit"]["kind"].is_string() && record["id"].is_u64();
            assert!(is_receipt || !line.contains("forged"), "{line}");
        }
    }
    assert_eq!(lines, LINES, "{log}");
    yard.close();
}

/// The log, when the forger's lines are in it: they have a way of their own, and a receipt can come
/// before them.
fn log(yard: &Yard) -> String {
    let is_of_forger =
        |line: &&str| line.contains("forges_log_lines") && !line.contains("memory_peak");
    let mut log = String::new();
    wait_until("the guest's lines are in the log", || {
        log = yard.server().log();
        log.lines().filter(is_of_forger).count() >= LINES
    });
    log
}
