//! `portcell new`: what it asks, makes and refuses. That projects can be built and served is shown
//! for every language in tests/languages.

use std::fs;

use crate::harness::{Folder, Output, Program};

fn new(folder: &Folder, arguments: &[&str]) -> Output {
    Program::portcell().argument("new").arguments(arguments).directory(folder.path()).run()
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_project_is_made_where_it_is_asked_for_and_what_to_type_next_is_told() {
    let folder = Folder::new();
    fs::create_dir_all(folder.at("my services/chat")).unwrap();
    let output = new(&folder, &["my services/chat/.", "--lang", "go"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("\n  cd 'my services/chat'\n  portcell dev "), "{told}");
    let module = fs::read_to_string(folder.at("my services/chat/go.mod")).unwrap();
    assert!(module.starts_with("module example.com/chat\n"), "{module}");
    assert!(folder.at("my services/chat/sdk/connection.go").exists());
}

#[test]
fn a_language_is_known_by_its_name_in_large_and_small_letters() {
    for (language, source) in [("C++", "handler.cpp"), ("C", "handler.c"), ("Go", "main.go")] {
        let folder = Folder::new();
        assert_eq!(new(&folder, &["chat", "--lang", language]).code, 0, "{language}");
        assert!(folder.at("chat").join(source).exists(), "{language}");
    }
}

#[test]
fn a_plain_program_has_no_sdk() {
    let folder = Folder::new();
    assert_eq!(new(&folder, &["chat", "--lang", "zig", "--inetd"]).code, 0);
    assert!(folder.at("chat/src/main.zig").exists() && !folder.at("chat/sdk").exists());
}

#[test]
fn a_project_is_refused_where_something_is_and_what_is_there_stays() {
    let folder = Folder::new();
    fs::create_dir(folder.at("chat")).unwrap();
    folder.write("chat/README.md", "mine");
    folder.write("file", "mine");
    for (name, said) in [
        (
            "chat",
            "portcell: chat: this folder is not empty: give the name of a new folder, or of an empty one\n",
        ),
        (
            "file",
            "portcell: file: this is not a folder: give the name of a new folder, or of an empty one\n",
        ),
        (
            "services/chat",
            "portcell: services/chat: there is no folder for it: make that first, or give another name\n",
        ),
        (
            "..",
            "portcell: ..: the last part of the path is the project's name, and has to be one\n",
        ),
        ("2chat", "portcell: 2chat: a project's name is a letter, then letters, digits, - and _\n"),
        ("core", "portcell: core: cargo has another use for this name: take another one\n"),
    ] {
        let output = new(&folder, &[name, "--lang", "rust"]);
        assert_eq!((output.code, output.stderr.as_str()), (64, said));
    }
    assert_eq!(fs::read_to_string(folder.at("chat/README.md")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(folder.at("file")).unwrap(), "mine");
    assert_eq!(fs::read_dir(folder.at("chat")).unwrap().count(), 1);
    assert_eq!(names(&folder).len(), 2);
}

#[test]
fn without_a_terminal_the_language_has_to_be_given() {
    let folder = Folder::new();
    let output =
        Program::portcell().arguments(&["new", "chat"]).directory(folder.path()).input("1\n").run();
    assert_eq!(output.code, 64);
    let said =
        "portcell: in which language? portcell new chat --lang rust|c|cpp|go|assemblyscript|zig\n";
    assert_eq!(output.stderr, said);
    assert!(names(&folder).is_empty());
}

/// Runs a command at a terminal where this is typed, and ends as it does.
const AT_A_TERMINAL: &str = "
import os, pty, sys
typed = sys.argv[1].encode()
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
os.write(terminal, typed)
try:
    while text := os.read(terminal, 4096):
        sys.stdout.buffer.write(text)
except OSError:
    pass  # its end
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

#[test]
fn at_a_terminal_it_asks_for_the_language() {
    let folder = Folder::new();
    // Nothing is answered in the end, which is the end of the input at a terminal.
    for (typed, code) in [("9\nAda\n5\n", 0), ("\x04", 64)] {
        let name = format!("chat{code}");
        let output = Program::new("python3")
            .arguments(&["-c", AT_A_TERMINAL, typed, env!("CARGO_BIN_EXE_portcell"), "new", &name])
            .directory(folder.path())
            .run();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.code, code, "{shown}{}", output.stderr);
        assert!(shown.contains("Which language?\r\n  1. Rust\r\n"), "{shown}");
        assert_eq!(
            shown.matches("1 to 6, or one of ").count(),
            if code == 0 { 2 } else { 0 },
            "{shown}"
        );
    }
    assert_eq!(names(&folder), ["chat0"]);
    assert!(folder.at("chat0/assembly/index.ts").exists());
}
