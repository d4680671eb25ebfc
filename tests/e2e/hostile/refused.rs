//! Modules that cannot serve. A server that runs is given them by a reload, refuses them with one
//! line and goes on.

use std::fs;

use rustix::process::Signal;

use super::bombs;
use super::row::{Peer, Row};
use super::yard::Yard;

/// What is said of each.
const REFUSED: &[(&str, &str)] = &[
    ("has_two_memories", "memor"),
    ("has_a_memory_of_64_bits", "memory64"),
    ("has_a_shared_memory", "threads"),
    ("has_many_tables", "table"),
    ("begins_with_all_memory", "begins with 4GiB of memory"),
    ("begins_with_a_huge_table", "begins with "),
    ("lies_about_handle", "`handle` as global"),
    ("lies_about_memory", "exports no memory"),
    ("lies_about_its_type", "`handle` as (i32) -> i32"),
    ("lies_about_initialize", "`_initialize` as () -> i32"),
    ("imports_what_there_is_not", "portcell_v1.system"),
];

#[test]
fn a_module_that_cannot_serve_is_refused_and_the_server_goes_on() {
    let yard = Yard::new(&[swapped()], &[]);
    for (count, (guest, said)) in REFUSED.iter().enumerate() {
        let wasm = wat::parse_file(source(guest)).unwrap();
        is_refused(&yard, count, &wasm, said);
    }
    yard.close();
}

#[test]
fn a_module_that_is_hard_to_compile_is_refused_and_the_server_goes_on() {
    let yard = Yard::new(&[swapped()], &[]);
    let modules = [
        (bombs::of_bytes(64 << 20), "bytes, more than the"),
        (bombs::of_functions(1_000_001), "functions"),
        (bombs::of_nested_blocks(4_000_000), "size"),
    ];
    for (count, (wasm, said)) in modules.iter().enumerate() {
        is_refused(&yard, count, wasm, said);
    }
    yard.close();
}

#[test]
fn a_module_that_the_compiler_cannot_bear_is_refused_and_the_server_goes_on() {
    let bounds = "cache = \"off\"\ncompile_timeout = \"3s\"\ncompile_memory = \"512MiB\"";
    let yard = Yard::with(&[swapped()], bounds, &[]);
    let modules = [
        bombs::of_functions(1_000_000),
        bombs::of_nested_blocks(100_000),
        bombs::of_locals(10_000),
    ];
    for (count, wasm) in modules.iter().enumerate() {
        // Too long or too much: which comes first depends on the machine.
        is_refused(&yard, count, wasm, "server.compile_");
    }
    yard.close();
}

#[test]
fn while_a_module_is_compiled_others_are_served() {
    let yard = Yard::new(&[swapped()], &[]);
    let modules =
        [bombs::of_functions(10_000), bombs::of_nested_blocks(1_000), bombs::of_locals(100)];
    for (count, wasm) in modules.iter().enumerate() {
        fs::write(yard.at("swapped.wasm"), wasm).unwrap();
        yard.server().signal(Signal::HUP);
        yard.others_are_served();
        yard.server().find_lines(count + 1, "the configuration was applied");
        assert_eq!(yard.connect("swapped").rest().unwrap(), b"");
    }
    yard.close();
}

/// A handler whose module is replaced.
fn swapped() -> Row {
    let text = fs::read_to_string(source("echo")).unwrap();
    Row { text: Some(text), ..Row::new("swapped", Peer::Waits, "ok") }
}

fn source(guest: &str) -> std::path::PathBuf {
    crate::harness::repository().join("tests/guests").join(format!("{guest}.wat"))
}

/// Gives the server this module, as the one after `count` others.
fn is_refused(yard: &Yard, count: usize, wasm: &[u8], said: &str) {
    let module = yard.at("swapped.wasm");
    let good = fs::read(&module).unwrap();
    fs::write(&module, wasm).unwrap();
    yard.server().signal(Signal::HUP);
    yard.others_are_served();
    let lines = yard.server().find_lines(count + 1, "the old configuration stays in force: ");
    assert!(lines[count].contains(said), "no `{said}` in {}", lines[count]);
    let errors = yard.server().log().lines().filter(|line| line.contains(" ERROR ")).count();
    assert_eq!(errors, count + 1, "not one line each: {}", yard.server().log());
    fs::write(&module, good).unwrap();
    let mut client = yard.connect("swapped");
    client.is_echoed();
    client.end();
    client.ends_in_good_order();
    yard.others_are_served();
    yard.descriptors_are_given_back(said);
}
