//! Every host call with every edge in every place.

use std::fs;
use std::path::Path;

use portcell::plugin::{Import, Plugin};

use super::row::{Peer, Row};
use super::yard::Yard;
use crate::harness::Folder;

/// For calls that wait for ever.
const BRIEF: &str = "idle_timeout = \"100ms\"";

/// For guests that compute, which have little of a busy machine.
const PATIENT: &str = "idle_timeout = \"10s\"";

/// Where numbers begin that stand for themselves, in programs of `calls_as_told`.
const SMALL: u8 = 64;

/// Before the four bytes of any other number.
const WHOLE: u8 = 192;

/// The number of the call that starts the program again, one level deeper.
const DEEPER: u8 = 58;

/// What pointers, lengths, counts and descriptors can be at their edges. The guest has three pages of
/// memory.
const EDGES: [i32; 8] = [-1, -8, i32::MIN, i32::MAX, 196_600, 196_608, 196_609, (1 << 29) + 1];

#[test]
fn every_host_call_stands_every_edge_in_every_place() {
    let entries = [Entry::new("handle", BRIEF), Entry::new("_start", BRIEF)];
    let rows: Vec<_> = entries.iter().map(|entry| entry.row.clone()).collect();
    let yard = Yard::new(&rows, &[]);
    let secret = yard.at("secret");
    fs::write(&secret, "nobody reads this").unwrap();
    // In all other places is the connection, and in the second round a folder.
    for (Entry { row, calls }, plain) in entries.iter().zip([0, 3]) {
        for (number, call) in calls.iter().enumerate() {
            let number = u8::try_from(number).unwrap();
            for program in programs(number, parameters(call), plain) {
                let receipt = yard.told(row, &program);
                let kind = receipt["exit"]["kind"].as_str().unwrap();
                let is_known = ["ok", "trap", "failed", "idle_timeout"].contains(&kind);
                assert!(is_known, "{}: {receipt}", call.name);
            }
            yard.others_are_served();
        }
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "nobody reads this");
    yard.descriptors_are_given_back("all calls");
    yard.close();
}

#[test]
fn every_host_call_at_the_end_of_the_stack_has_a_stack_of_its_own() {
    let entries = [Entry::new("handle", PATIENT), Entry::new("_start", PATIENT)];
    let rows: Vec<_> = entries.iter().map(|entry| entry.row.clone()).collect();
    let yard = Yard::new(&rows, &[]);
    for Entry { row, calls } in &entries {
        for (number, call) in calls.iter().enumerate() {
            let exits = ARGUMENTS.map(|argument| {
                // At each depth: the call, and then deeper.
                let mut program = vec![u8::try_from(number).unwrap()];
                program.extend(vec![argument; parameters(call)]);
                program.push(DEEPER);
                yard.told(row, &program)["exit"].to_string()
            });
            let returns = exits.iter().any(|exit| exit.contains("call stack exhausted"));
            let ends = ["proc_exit", "abort"].contains(&&*call.name);
            assert_ne!(returns, ends, "{}: {exits:?}", call.name);
        }
        yard.others_are_served();
    }
    yard.descriptors_are_given_back("all calls");
    yard.close();
}

/// What all arguments of a call are, in turn: some calls trap at some of them.
const ARGUMENTS: [u8; 3] = [SMALL, SMALL + 1, SMALL + 4];

/// The guest that calls what it is told, with one of the two entry points.
struct Entry {
    row: Row,
    calls: Vec<Import>,
}

impl Entry {
    fn new(entry: &'static str, listener: &'static str) -> Self {
        let name = if entry == "handle" { "as_handler" } else { "as_command" };
        let mut row = Row::new(name, Peer::Ends, "ok")
            .listener(listener)
            .handler("dirs = [{ host = \"granted\", guest = \"/\", write = true }]");
        let folder = Folder::new();
        let path = folder.guest("calls_as_told");
        let calls = imports(&path);
        let source = crate::harness::repository().join("tests/guests/calls_as_told.wat");
        let text = fs::read_to_string(source).unwrap();
        row.text = Some(text.replace("\"handle\"", &format!("\"{entry}\"")));
        Self { row, calls }
    }
}

fn imports(path: &Path) -> Vec<Import> {
    let calls = Plugin::read(path, 1 << 20).unwrap().imports().to_vec();
    assert_eq!(calls.len(), usize::from(DEEPER) - 2);
    calls
}

/// How many parameters it has, of 32 or 64 bits.
fn parameters(import: &Import) -> usize {
    let (parameters, _) = import.signature.split_once(" -> ").unwrap();
    parameters.matches('i').count()
}

/// One call each: each edge in each place, with `plain` in all others.
fn programs(call: u8, parameters: usize, plain: i32) -> Vec<Vec<u8>> {
    let mut programs = Vec::new();
    for place in 0..parameters.max(1) {
        for edge in EDGES {
            let mut program = vec![call];
            for at in 0..parameters {
                let number = if at == place { edge } else { plain };
                program.push(WHOLE);
                program.extend(number.to_le_bytes());
            }
            programs.push(program);
        }
    }
    programs
}
