//! Files that are no plugins: each is refused in one line that names it, with exit code 64.

use std::path::Path;

use crate::harness::{Folder, Program};

/// Checks what `run` and `inspect` say of a file.
fn check(path: &Path, flags: &[&str], said: &str) {
    let run = ["run", "--listen", "127.0.0.1:0"];
    check_by(&[&run, flags].concat(), path, said);
    if flags.is_empty() {
        check_by(&["inspect"], path, said);
    }
}

fn check_by(arguments: &[&str], path: &Path, said: &str) {
    let output = Program::portcell().arguments(arguments).argument(path).run();
    let line = output.stderr.strip_suffix('\n').unwrap_or_default();
    assert_eq!(output.code, 64, "{arguments:?}: {line}");
    assert!(!line.contains('\n'), "{arguments:?}: more than a line: {line}");
    let begin = format!("portcell: {}: ", path.display());
    let reason = line.strip_prefix(&begin).unwrap_or_else(|| panic!("not `{begin}`: {line}"));
    assert!(reason.contains(said), "{arguments:?}: no `{said}` in {line}");
}

const MEMORY: &str = "(memory (export \"memory\") 1)";
const HANDLE: &str = "(func (export \"handle\"))";

fn module(parts: &[&str]) -> String {
    format!("(module {})", parts.concat())
}

#[test]
fn what_is_no_file() {
    let folder = Folder::new();
    check(&folder.at("nothing.wasm"), &[], "there is no such file");
    check(folder.path(), &[], "is a directory; give the .wasm file in it");
}

#[test]
fn what_is_a_pipe_or_a_device() {
    let folder = Folder::new();
    let pipe = folder.at("pipe.wasm");
    Program::new("mkfifo").argument(&pipe).output();
    for path in [&*pipe, Path::new("/dev/zero"), Path::new("/dev/null")] {
        let said = "it is not a file but a device, a pipe or a socket";
        check(path, &[], said);
        let config = folder.write(
            "portcell.toml",
            format!(
                "[[listener]]\nname = \"l\"\nbind = \"127.0.0.1:0\"\nhandler = \"h\"\n\
                 [handler.h]\nmodule = \"{}\"\n",
                path.display()
            ),
        );
        let output = Program::portcell().argument("check").argument(&config).run();
        assert_eq!(output.code, 64, "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        let begin = format!("portcell: {}:6: {}: ", config.display(), path.display());
        assert!(output.stderr.starts_with(&begin), "not `{begin}`: {}", output.stderr);
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
}

#[test]
fn what_is_not_wasm() {
    let folder = Folder::new();
    check(&folder.write("empty.wasm", ""), &[], "is empty");
    check(&folder.write("page.wasm", "<!doctype html>"), &[], "does not begin with `\\0asm`");
    let text = module(&[MEMORY, HANDLE]);
    check(&folder.write("text.wat", text), &[], "it looks like WebAssembly text");
    check(
        Path::new(env!("CARGO_BIN_EXE_portcell")),
        &["--max-module-size", "1GiB"],
        "native program",
    );
}

#[test]
fn what_is_compiled_already() {
    let folder = Folder::new();
    let wasm = wat::parse_str(module(&[MEMORY, HANDLE])).unwrap();
    let compiled = wasmtime::Engine::default().precompile_module(&wasm).unwrap();
    check(&folder.write("code.cwasm", compiled), &[], "it is a compiled module (.cwasm)");
}

#[test]
fn what_is_truncated() {
    let folder = Folder::new();
    let data = "(data (i32.const 0) \"some bytes\")";
    let path = folder.wat("whole", &module(&[MEMORY, HANDLE, data]));
    let whole = std::fs::read(path).unwrap();
    for length in [whole.len() - 1, whole.len() - 5, 9] {
        check(&folder.write("part.wasm", &whole[..length]), &[], "after ");
    }
    check(&folder.write("header.wasm", &whole[..6]), &[], "damaged");
    check(&folder.write("begin.wasm", &whole[..3]), &[], "ends after a few bytes");
}

#[test]
fn what_is_a_component() {
    let folder = Folder::new();
    check(&folder.wat("component", "(component)"), &[], "is a WebAssembly component");
}

#[test]
fn what_lacks_an_export() {
    let folder = Folder::new();
    let no_memory = folder.wat("no_memory", &module(&[HANDLE]));
    check(&no_memory, &[], "exports no memory named `memory`");
    let no_entry = folder.wat("no_entry", &module(&[MEMORY]));
    check(&no_entry, &[], "has no entry point: export a function `handle`");
}

#[test]
fn what_has_an_entry_of_another_type() {
    let folder = Folder::new();
    for (name, function, said) in [
        ("a", "(func (export \"handle\") (param i32))", "exports `handle` as (i32) -> ()"),
        ("b", "(func (export \"handle\") (result i64) i64.const 0)", "`handle` as () -> i64"),
        ("c", "(func (export \"_start\") (param i32))", "exports `_start` as (i32) -> ()"),
    ] {
        check(&folder.wat(name, &module(&[function, MEMORY])), &[], said);
    }
}

#[test]
fn what_imports_the_unknown_is_told_all_of_it() {
    let folder = Folder::new();
    let imports = [
        "(import \"portcell_v1\" \"raed\" (func (param i32 i32 i32) (result i32)))",
        "(import \"portcell_v1\" \"read\" (func (param i32 i32 i32) (result i32)))",
        "(import \"portcell_v1\" \"write\" (func (param i32) (result i32)))",
        "(import \"env\" \"start_war\" (func))",
    ];
    let path = folder.wat("imports", &module(&[&imports.concat(), MEMORY, HANDLE]));
    for said in [
        "`portcell_v1.raed` (is `portcell_v1.read` meant?)",
        "`portcell_v1.write` (as (i32) -> i32, but it is (i32, i32, i32) -> i32)",
        "`env.start_war`",
    ] {
        check(&path, &[], said);
    }
}

#[test]
fn what_is_larger_than_allowed() {
    let folder = Folder::new();
    let path = folder.guest("does_as_told");
    check(&path, &["--max-module-size", "100"], "more than the 100 that server.max_module_size");
}

#[test]
fn what_begins_with_more_memory_than_its_limit() {
    let folder = Folder::new();
    let path = folder.wat("large", &module(&["(memory (export \"memory\") 40)", HANDLE]));
    check(
        &path,
        &["--memory", "1MiB"],
        "begins with 2560KiB of memory, more than its limit of 1MiB; set `memory` in",
    );
    let path = folder.wat("huge", &module(&["(memory (export \"memory\") 2000)", HANDLE]));
    check(&path, &["--memory", "64MiB"], "(an instance can have 64MiB at most)");
}

#[test]
fn what_the_compiler_refuses() {
    let folder = Folder::new();
    // A function that promises a number and gives none.
    let mut bytes = std::fs::read(
        folder
            .wat("good", &module(&[MEMORY, "(func (export \"handle\") (result i32) i32.const 7)"])),
    )
    .unwrap();
    let constant = bytes.windows(2).rposition(|pair| pair == [0x41, 7]).unwrap();
    bytes[constant] = 0x01;
    bytes[constant + 1] = 0x01;
    check(&folder.write("invalid.wasm", bytes), &[], "is not a module that portcell can run");
}
