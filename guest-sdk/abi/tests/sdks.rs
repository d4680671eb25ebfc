//! The SDKs of other languages say what the contract says. Their numbers, imports and facts are read
//! out of their sources, so that no compiler of theirs is needed for it.
//!
//! An SDK is a row of `SDKS`. It has a number in a line `NAME = NUMBER`, with the words of its
//! language around it, and the name of a fact in double quotes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use portcell_abi::{Errno, FACTS, IMPORTS, level, poll, shutdown, timeout};

/// Every SDK but that of Rust, which uses the crate.
const SDKS: &[Sdk] = &[
    Sdk {
        files: &["assemblyscript/assembly/abi.ts"],
        name: |_, name| name.to_owned(),
        own: &["CONNECTION"],
        import: ("declare function ", '('),
    },
    Sdk {
        files: &["c/portcell.h"],
        name: |group, name| match group {
            Group::Errno | Group::Poll => format!("PORTCELL_{name}"),
            Group::Shutdown => format!("PORTCELL_SHUTDOWN_{name}"),
            Group::Timeout => format!("PORTCELL_TIMEOUT_{name}"),
            Group::Level => format!("PORTCELL_LOG_{name}"),
        },
        own: &[],
        import: ("\nPORTCELL_IMPORT(", ')'),
    },
    Sdk {
        files: &["go/abi.go", "go/imports_wasip1.go"],
        name: |group, name| match group {
            Group::Errno => name.into(),
            Group::Poll => capitalised(name),
            Group::Shutdown => format!("shutdown{}", capitalised(name)),
            Group::Timeout => format!("timeout{}", capitalised(name)),
            Group::Level => format!("Level{}", capitalised(name)),
        },
        own: &[],
        import: ("\n//go:wasmimport portcell_v1 ", '\n'),
    },
    Sdk {
        files: &["zig/abi.zig"],
        name: |group, name| match group {
            Group::Errno | Group::Poll => name.to_owned(),
            // `error` is a word of the language.
            Group::Level if name == "ERROR" => "err".into(),
            Group::Shutdown | Group::Timeout | Group::Level => name.to_lowercase(),
        },
        own: &["CONNECTION"],
        import: (" fn ", '('),
    },
];

struct Sdk {
    /// Where all of this is, in the folder guest-sdk.
    files: &'static [&'static str],
    /// What it calls a number of the contract.
    name: fn(Group, &str) -> String,
    /// Numbers of its own that begin with a capital letter.
    own: &'static [&'static str],
    /// What is before the name of an import where it is declared, and behind it. The next
    /// parentheses are those of its parameters.
    import: (&'static str, char),
}

#[derive(Clone, Copy)]
enum Group {
    Errno,
    Poll,
    Shutdown,
    Timeout,
    Level,
}

/// `READ` as `Read`.
fn capitalised(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_owned() + &rest.to_lowercase()
}

/// Every number of the contract that an SDK has.
fn numbers() -> Vec<(Group, &'static str, i64)> {
    let errnos = Errno::ALL.map(|errno| (Group::Errno, errno.name(), i64::from(errno as i32)));
    let bits = [
        ("READABLE", poll::READABLE),
        ("WRITABLE", poll::WRITABLE),
        ("DRAINING", poll::DRAINING),
        ("FAILED", poll::FAILED),
        ("OVER", poll::OVER),
        ("INVALID", poll::INVALID),
    ];
    let rest = [
        (Group::Shutdown, "READ", shutdown::READ),
        (Group::Shutdown, "WRITE", shutdown::WRITE),
        (Group::Shutdown, "BOTH", shutdown::BOTH),
        (Group::Shutdown, "RESET", shutdown::RESET),
        (Group::Timeout, "READ", timeout::READ),
        (Group::Timeout, "WRITE", timeout::WRITE),
        (Group::Level, "ERROR", level::ERROR),
        (Group::Level, "WARN", level::WARN),
        (Group::Level, "INFO", level::INFO),
        (Group::Level, "DEBUG", level::DEBUG),
        (Group::Level, "TRACE", level::TRACE),
    ];
    let bits = bits.map(|(name, bit)| (Group::Poll, name, i64::from(bit)));
    let rest = rest.map(|(group, name, number)| (group, name, i64::from(number)));
    errnos.into_iter().chain(bits).chain(rest).collect()
}

impl Sdk {
    fn text(&self) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |file| {
            let path = folder.join(file);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        self.files.iter().map(read).collect()
    }

    /// The numbers in it, by their names.
    fn numbers(&self) -> BTreeMap<String, i64> {
        self.text().lines().filter_map(number).collect()
    }

    /// How many parameters each import has.
    fn imports(&self) -> BTreeMap<String, usize> {
        let (before, behind) = self.import;
        let text = self.text();
        let declaration = |rest: &str| {
            let (name, rest) = rest.split_at(rest.find(behind).unwrap());
            let parameters = rest.split(['(', ')']).nth(usize::from(behind == ')') + 1).unwrap();
            let is_one = |parameter: &&str| !["", "void"].contains(&parameter.trim());
            let parameters = parameters.split(',').filter(is_one);
            (name.to_owned(), parameters.count())
        };
        text.split(before).skip(1).map(declaration).collect()
    }
}

/// The name and the number in a line like `pub const EAGAIN: i32 = 6;`.
fn number(line: &str) -> Option<(String, i64)> {
    let (left, right) = line.split_once(" = ")?;
    let is_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = left.split(|c| !is_of_a_word(c)).filter(|word| !word.is_empty());
    let name = words.find(|word| !["pub", "export", "const"].contains(word))?;
    let digits: String = right.chars().take_while(|c| is_of_a_word(*c)).collect();
    let number = match digits.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    Some((name.to_owned(), number.ok()?))
}

#[test]
fn every_number_of_the_contract_is_in_every_sdk() {
    for sdk in SDKS {
        let found = sdk.numbers();
        for (group, name, number) in numbers() {
            let name = (sdk.name)(group, name);
            assert_eq!(found.get(&name), Some(&number), "{name} in {:?}", sdk.files);
        }
    }
}

#[test]
fn no_sdk_has_a_number_that_is_not_in_the_contract() {
    for sdk in SDKS {
        let known: BTreeSet<_> =
            numbers().into_iter().map(|(group, name, _)| (sdk.name)(group, name)).collect();
        for (name, _) in sdk.numbers() {
            let is_constant = name.starts_with(char::is_uppercase);
            let is_known = known.contains(&name) || sdk.own.contains(&name.as_str());
            assert!(!is_constant || is_known, "{:?} has {name}", sdk.files);
        }
    }
}

#[test]
fn every_import_of_the_contract_is_in_every_sdk_with_its_parameters() {
    let expected: BTreeMap<_, _> =
        IMPORTS.iter().map(|import| (import.name.to_owned(), import.params.len())).collect();
    for sdk in SDKS {
        assert_eq!(sdk.imports(), expected, "{:?}", sdk.files);
    }
}

#[test]
fn every_fact_of_the_contract_is_in_every_sdk_and_no_other() {
    // What is before the first dot of a name.
    let families: BTreeSet<_> =
        FACTS.iter().filter_map(|fact| Some(fact.split_once('.')?.0)).collect();
    for sdk in SDKS {
        let text = sdk.text();
        let quoted: BTreeSet<_> =
            text.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).collect();
        for fact in FACTS {
            assert!(quoted.contains(fact), "{:?} lacks {fact}", sdk.files);
        }
        for name in quoted {
            let family = name.split_once('.').map(|(family, _)| family);
            let like_a_fact = family.is_some_and(|family| families.contains(family));
            assert!(!like_a_fact || FACTS.contains(&name), "{:?} has {name}", sdk.files);
        }
    }
}
