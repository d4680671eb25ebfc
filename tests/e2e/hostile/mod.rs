//! Guests that misbehave, each in one way. Whatever they do, they end their own connection and
//! nothing else: others are served all the time, and the server has its memory, its descriptors and
//! its places back. What is promised is in docs/security.md.

mod bombs;
mod calls;
mod forgery;
mod refused;
mod row;
mod yard;

use self::row::Peer::{Ends, Floods, NeverReads, Sends, Vanishes, Waits};
use self::row::Row;
use self::yard::Yard;

/// What spins is ended soon.
const SOON: &str = "cpu = \"100ms\"";

/// Computes, or asks the host for nothing again and again.
const HOGS: &[Row] = &[
    Row::new("spins_forever", Waits, "cpu_limit").handler(SOON),
    Row::new("spins_at_start", Waits, "cpu_limit").handler(SOON),
    Row::new("spins_in_initialize", Waits, "cpu_limit").handler(SOON),
    Row::new("spins_in_host_calls", Waits, "cpu_limit").handler(SOON),
    Row::new("spins_in_polls", Waits, "cpu_limit").handler(SOON),
    // It hardly computes: what it uses up is time.
    Row::new("spins_in_naps", Waits, "lifetime").handler("cpu = \"none\"\nlifetime = \"100ms\""),
    Row::new("spins_in_yields", Waits, "cpu_limit").handler(SOON),
    Row::new("spins_in_copies", Waits, "cpu_limit").handler(SOON),
    Row::new("ends_then_spins", Vanishes, "cpu_limit").handler(SOON),
    Row::new("reads_beyond_the_end", Ends, "cpu_limit").handler(SOON),
    Row::new("spins_forever", Vanishes, "cpu_limit").named("spins_alone").handler(SOON),
    Row::new("spins_forever", Waits, "lifetime")
        .named("spins_for_a_lifetime")
        .handler("cpu = \"none\"\nlifetime = \"100ms\""),
];

/// Wants more memory than there is for it, or all of it.
const GLUTTONS: &[Row] = &[
    Row::new("grows_memory", Waits, "memory_limit").handler("memory = \"1MiB\""),
    Row::new("grows_a_table", Waits, "memory_limit").handler("memory = \"128KiB\""),
    Row::new("writes_to_all_its_memory", Ends, "ok").handler("memory = \"32MiB\""),
    Row::new("recurses_forever", Waits, "trap").says("call stack exhausted (server.stack)"),
    Row::new("recurses_into_the_host", Waits, "trap").says("call stack exhausted (server.stack)"),
];

/// Breaks a rule, sooner or later.
const BREAKERS: &[Row] = &[
    Row::new("traps_at_start", Waits, "trap").says("unreachable"),
    Row::new("traps_in_initialize", Waits, "trap").says("unreachable"),
    Row::new("traps_at_once", Waits, "trap").says("unreachable"),
    Row::new("traps_under_an_ambiguous_name", Waits, "trap").says("executed in `_Z1PIS_IS_I"),
    Row::new("traps_at_once", Floods, "trap").named("traps_in_a_flood").says("unreachable"),
    Row::new("traps_after_writing", Waits, "trap").says("divide by zero"),
    Row::new("writes_data_outside", Waits, "trap").says("out of bounds memory access"),
    Row::new("points_outside", Waits, "trap").says("is outside the guest's memory"),
];

/// Uses what it does not have, any more or at all. The guest itself checks the answers.
const STRANGERS: &[Row] = &[
    Row::new("closes_then_reads", Waits, "ok"),
    Row::new("closes_again_and_again", Waits, "ok"),
    Row::new("uses_other_descriptors", Waits, "ok"),
    Row::new("polls_absurdly", Waits, "ok"),
    Row::new("asks_absurd_facts", Waits, "ok"),
    Row::new("reaches_for_what_it_was_not_granted", Waits, "ok"),
    Row::new("starts_tls", Sends(b"STARTTLS\n"), "failed"),
];

/// Does not do its part of the conversation, or has a peer that does not.
const SILENT: &[Row] = &[
    Row::new("sleeps_forever", Waits, "idle_timeout").listener("idle_timeout = \"200ms\""),
    Row::new("sleeps_forever", Floods, "idle_timeout")
        .named("sleeps_in_a_flood")
        .listener("idle_timeout = \"200ms\""),
    Row::new("echo", Waits, "idle_timeout").listener("idle_timeout = \"200ms\""),
    Row::new("writes_forever", NeverReads, "write_timeout")
        .listener("write_timeout = \"200ms\"")
        .handler("cpu = \"none\""),
    Row::new("writes_forever", Vanishes, "peer_reset").named("writes_to_nobody"),
    Row::new("writes_after_the_peer_left", Vanishes, "cpu_limit").handler(SOON),
];

/// Writes more into the log than anybody wants to read.
const TALKERS: &[Row] = &[
    Row::new("floods_the_log", Waits, "ok").handler("cpu = \"none\""),
    Row::new("floods_stderr_at_once", Waits, "cpu_limit").handler(SOON),
];

/// All rows of a table, again and again.
fn check(rows: &[Row]) {
    let yard = Yard::new(rows, &[]);
    yard.memory_is_given_back(|| {
        for row in rows {
            yard.check(row);
        }
    });
    yard.close();
}

#[test]
fn guests_that_keep_the_processor_end_alone() {
    check(HOGS);
}

#[test]
fn guests_that_want_all_memory_end_alone() {
    check(GLUTTONS);
}

#[test]
fn guests_that_break_a_rule_end_alone() {
    check(BREAKERS);
}

#[test]
fn guests_that_use_what_they_do_not_have_get_errors() {
    check(STRANGERS);
}

#[test]
fn guests_and_peers_that_do_not_do_their_part_end_alone() {
    check(SILENT);
}

#[test]
fn guests_that_flood_the_log_lose_lines_and_nobody_else_does() {
    check(TALKERS);
}

#[test]
fn a_guest_can_exit_with_every_code() {
    let rows = [Row::new("exits_as_told", Waits, "failed")];
    let yard = Yard::new(&rows, &[]);
    let edges = [-1, i32::MIN, i32::MAX, 256, 0x1_0000, 134 << 8];
    for code in (0..=255).chain(edges) {
        let mut client = yard.connect("exits_as_told");
        client.send(code.to_le_bytes());
        client.ends_in_good_order();
    }
    let receipts = yard.server().receipts(1 + 256 + edges.len());
    let codes = receipts.iter().filter(|receipt| receipt["handler"] == "exits_as_told");
    let mut codes: Vec<i64> =
        codes.map(|receipt| receipt["exit"]["code"].as_i64().unwrap_or_default()).collect();
    codes.sort_unstable();
    let mut expected: Vec<i64> = (0..=255).chain(edges).map(Into::into).collect();
    expected.sort_unstable();
    assert_eq!(codes, expected);
    yard.close();
}
