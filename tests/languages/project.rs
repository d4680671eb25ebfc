//! What `portcell new` makes, for every language: built with its own command, tested with its own
//! tests, and served with its own portcell.toml.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Folder, Program, Server, repository, shared_cache};
use crate::language::{compile, has_compiler};

/// How long a build may take, in seconds: Zig compiles its build system the first time.
const PATIENCE: &str = "600";

macro_rules! projects {
    ($($language:ident)+) => {
        $(mod $language {
            #[test]
            fn a_new_handler_is_built_tested_and_talked_to() {
                super::is_built_tested_and_talked_to(stringify!($language), &[]);
            }

            #[test]
            fn a_new_plain_program_is_built_tested_and_talked_to() {
                super::is_built_tested_and_talked_to(stringify!($language), &["--inetd"]);
            }
        })+
    };
}

projects! { assemblyscript c cpp go rust zig }

fn is_built_tested_and_talked_to(language: &str, options: &[&str]) {
    if language != "rust" && !has_compiler(language) {
        return;
    }
    let folder = Folder::new();
    let told = Program::portcell()
        .arguments(&["new", "small-talk", "--lang", language])
        .arguments(options)
        .directory(folder.path())
        .text();
    assert!(told.contains("\n  cd small-talk\n  portcell dev "), "{told}");

    let project = folder.at("small-talk");
    let config = fs::read_to_string(project.join("portcell.toml")).unwrap();
    run(language, &project, value(&config, "build"));
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    run(language, &project, block(&readme, "## Test it"));
    compile(&project.join(value(&config, "module")));

    let config = config.replace("tcp://127.0.0.1:7000", "tcp://127.0.0.1:0");
    let config = format!("[server]\nreceipts = \"stderr\"\n\n{config}");
    fs::write(project.join("portcell.toml"), config).unwrap();
    is_talked_to(&Server::serve_at(&project.join("portcell.toml")).start());
}

fn is_talked_to(server: &Server) {
    let mut client = server.connect();
    assert_eq!(client.line(), "Hello! Who are you?");
    assert_eq!(client.ask(" Ada \r"), "Nice to meet you, Ada! Say something, or bye.");
    assert_eq!(client.ask("How are you?"), "Ada says: How are you?");
    // Another client is another conversation.
    let mut other = server.connect();
    assert_eq!(other.line(), "Hello! Who are you?");
    assert_eq!(other.ask(""), "Nice to meet you, stranger! Say something, or bye.");
    other.send("no line end");
    other.end();
    assert_eq!(other.rest().unwrap(), b"stranger says: no line end\n");
    assert_eq!(client.ask("bye"), "Bye, Ada!");
    assert_eq!(client.rest().unwrap(), b"");
    for receipt in server.receipts(2) {
        assert_eq!(receipt["exit"]["kind"], "ok");
    }
    server.find_line("a client at 127.0.0.1");
}

/// Runs commands in a project, with the compiler that this repository's handlers are built with and
/// with the binary under test.
fn run(language: &str, project: &Path, commands: &str) {
    let mut program = Command::new("timeout");
    program.args(["--kill-after=5", PATIENCE]);
    match language {
        // That of guests has no rustdoc beside it, which `cargo test` wants.
        "rust" if commands.contains("--target") => {
            program.arg("env").arg(format!("RUSTC={}", rustc()));
        }
        "rust" => {}
        _ => {
            program.arg(repository().join("scripts/languages").join(language)).arg("with");
        }
    }
    let portcell = Path::new(env!("CARGO_BIN_EXE_portcell")).parent().unwrap();
    let path = format!("{}:{}", portcell.display(), env::var("PATH").unwrap());
    program.args(["sh", "-ec", commands]).current_dir(project).stdin(Stdio::null());
    program.env("PATH", path).env("XDG_CACHE_HOME", shared_cache());
    // They are about the build of these tests.
    for variable in ["CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        program.env_remove(variable);
    }
    let output = program.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{language}: {commands}: {}\n{said}", output.status);
}

/// A compiler for Rust that has the target of guests.
fn rustc() -> String {
    Program::new(repository().join("scripts/wasm-toolchain").to_str().unwrap())
        .text()
        .trim()
        .to_owned()
}

/// The text of a key in a configuration.
fn value<'a>(config: &'a str, key: &str) -> &'a str {
    let line = config.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))).unwrap();
    line.split('"').next().unwrap()
}

/// The first block of code below a heading.
fn block<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, below) = text.split_once(heading).unwrap();
    let (_, block) = below.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0
}
