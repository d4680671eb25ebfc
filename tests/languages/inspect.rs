//! `inspect` says of every handler what it is written in, and warns of nothing that is as it has to
//! be in its language.

use serde_json::Value;

use crate::harness::Program;
use crate::language::module;

macro_rules! inspect {
    ($language:ident) => {
        mod inspect {
            #[test]
            fn every_handler_is_told_to_be_of_its_language() {
                crate::inspect::every_handler_is_told_to_be_of_its_language(stringify!($language));
            }
        }
    };
}

pub(crate) fn every_handler_is_told_to_be_of_its_language(language: &str) {
    // What it is called, the program that has made it, what is warned of in handlers and commands.
    let (name, program, handler, command): (_, _, &[&str], &[&str]) = match language {
        "assemblyscript" => ("AssemblyScript", None, &["abort"], &[]),
        "c" => ("C", Some("clang"), &[], &[]),
        "cpp" => ("C++", Some("clang"), &[], &[]),
        "go" => ("Go", Some("Go cmd/compile"), &["go_runtime"], &["go_runtime"]),
        "rust" => ("Rust", Some("rustc"), &[], &[]),
        // It is stripped, and says nothing.
        "zig" => ("Zig", None, &[], &[]),
        _ => panic!("what is {language}?"),
    };
    // Each is compiled, and those in Go take seconds.
    let all = if language == "go" { "echo hello_inetd" } else { "echo shout probe hello_inetd" };
    for plugin in all.split(' ') {
        let expected = if plugin == "hello_inetd" { command } else { handler };
        let Some(module) = module((language, plugin)) else { return };
        let inspect = Program::portcell().arguments(&["inspect", "--json"]).argument(module);
        let value: Value = serde_json::from_slice(&inspect.output()).unwrap();
        assert_eq!(value["language"]["name"], name, "{plugin}: {value}");
        let programs = value["producers"]["processed-by"].as_array().into_iter().flatten();
        let mut programs = programs.filter_map(|program| program["name"].as_str());
        if let Some(program) = program {
            assert!(programs.any(|name| name.contains(program)), "{plugin}: {value}");
        }
        let warnings: Vec<_> =
            value["warnings"].as_array().unwrap().iter().map(|w| w["kind"].as_str()).collect();
        assert_eq!(
            warnings,
            expected.iter().map(|kind| Some(*kind)).collect::<Vec<_>>(),
            "{plugin}"
        );
    }
}
