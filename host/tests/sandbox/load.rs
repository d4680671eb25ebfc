//! Files that are not plugins, and plugins that cannot serve: what the host says of them.

use portcell::plugin::Plugin;
use tempfile::TempDir;

use crate::harness::Guest;

/// The message for a module with these fields beside its memory.
fn module(fields: &str) -> String {
    Guest::text(&format!("(module {fields})")).refused()
}

const MEMORY: &str = "(memory (export \"memory\") 1)";
const HANDLE: &str = "(func (export \"handle\"))";

#[test]
fn a_file_that_is_not_there_a_folder_and_one_that_is_too_large() {
    let folder = TempDir::new().unwrap();
    let refused =
        |name: &str, limit| Plugin::read(&folder.path().join(name), limit).unwrap_err().to_string();
    std::fs::create_dir(folder.path().join("folder.wasm")).unwrap();
    std::fs::write(folder.path().join("large.wasm"), [0; 2000]).unwrap();
    assert_eq!(refused("missing.wasm", 1000), "there is no such file");
    assert_eq!(refused("folder.wasm", 1000), "is a directory; give the .wasm file in it");
    assert_eq!(
        refused("large.wasm", 1000),
        "is 2000 bytes, more than the 1000 that server.max_module_size allows; build it optimised \
         and without debug sections, or raise the limit"
    );
}

#[test]
fn files_that_are_no_wasm() {
    for (bytes, message) in [
        (&b""[..], "is empty; was the build interrupted?"),
        (b"#!/bin/sh\n", "is not a wasm module: it does not begin with `\\0asm`"),
        (
            b"\x7fELF\x02\x01\x01",
            "is not a wasm module: it is a native program; give the .wasm file",
        ),
        (
            b"  (module)",
            "is not a wasm module: it looks like WebAssembly text; translate it first, with \
             `wasm-tools parse` or `wat2wasm`",
        ),
        (
            b"\0as",
            "is not a wasm module: it ends after a few bytes; was it copied or downloaded whole?",
        ),
    ] {
        assert_eq!(Guest::bytes(bytes.to_vec()).refused(), message);
    }
}

#[test]
fn a_component_is_not_yet_supported() {
    assert_eq!(
        Guest::text("(component)").refused(),
        "is a WebAssembly component, which portcell does not run yet; build a core module (target \
         wasm32-wasip1)"
    );
}

#[test]
fn a_module_that_is_cut_anywhere_is_refused() {
    let text = format!("(module {MEMORY} {HANDLE})");
    let whole = wat::parse_str(&text).unwrap();
    Guest::bytes(whole.clone()).load().unwrap();
    for length in 0..whole.len() {
        let error = Guest::bytes(whole[..length].to_vec()).refused();
        assert!(!error.contains('\n'), "{error}");
    }
    let cut = whole.len() - 1;
    assert_eq!(
        Guest::bytes(whole[..cut].to_vec()).refused(),
        format!(
            "is a damaged wasm module: it ends in the middle, after {cut} bytes; was it copied or \
             downloaded whole?"
        )
    );
}

#[test]
fn a_module_with_any_byte_damaged_is_refused_or_loads_and_never_panics() {
    let whole = wat::parse_str(format!("(module {MEMORY} {HANDLE})")).unwrap();
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            if let Err(error) = Guest::bytes(bytes).load() {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
}

#[test]
fn no_memory_no_entry_and_entries_of_the_wrong_type() {
    let no_memory = "exports no memory named `memory`, so the host cannot pass bytes to it";
    assert_eq!(module(HANDLE), no_memory);
    assert_eq!(module(&format!("(memory 1) {HANDLE}")), no_memory);
    assert_eq!(module(&format!("(memory (export \"mem\") 1) {HANDLE}")), no_memory);
    assert_eq!(
        module(&format!("(global (export \"memory\") i32 (i32.const 0)) {HANDLE}")),
        no_memory
    );
    let no_entry = "has no entry point: export a function `handle` (the SDK's #[handler] does) or \
                    build a WASI command with `_start`";
    assert_eq!(module(MEMORY), no_entry);
    for (entry, message) in [
        (
            "(func (export \"handle\") (param i32) (result i32) (i32.const 0))",
            "exports `handle` as (i32) -> i32, but the host calls it as () -> i32 or () -> ()",
        ),
        (
            "(func (export \"handle\") (result i64) (i64.const 0))",
            "exports `handle` as () -> i64, but the host calls it as () -> i32 or () -> ()",
        ),
        (
            "(global (export \"handle\") i32 (i32.const 0))",
            "exports `handle` as global, but the host calls it as () -> i32 or () -> ()",
        ),
        (
            "(func (export \"_start\") (result i32) (i32.const 0))",
            "exports `_start` as () -> i32, but the host calls it as () -> ()",
        ),
        (
            "(func (export \"handle\")) (func (export \"_initialize\") (param i32))",
            "exports `_initialize` as (i32) -> (), but the host calls it as () -> ()",
        ),
    ] {
        assert_eq!(module(&format!("{MEMORY} {entry}")), message);
    }
}

#[test]
fn unknown_imports_are_all_named_with_the_nearest_that_is_there() {
    let imports = "(import \"portcell_v1\" \"raed\" (func (param i32 i32 i32) (result i32)))
         (import \"portcell\" \"write\" (func (param i32 i32 i32) (result i32)))
         (import \"portcell_v1\" \"close\" (func (param i64)))
         (import \"kitchen\" \"sink\" (func))
         (import \"portcell_v1\" \"log\" (func (param i32 i32 i32) (result i32)))";
    assert_eq!(
        module(&format!("{imports} {MEMORY} {HANDLE}")),
        "imports what portcell does not offer: `portcell_v1.raed` (is `portcell_v1.read` meant?), \
         `portcell.write` (is `portcell_v1.write` meant?), `portcell_v1.close` (as (i64) -> (), but \
         it is (i32) -> i32), `kitchen.sink`"
    );
}

#[test]
fn names_of_a_module_cannot_forge_a_line() {
    let strange = "a\\0a2026 INFO b\\0d\\1b[31m\\e2\\80\\aec";
    let shown = "a\\n2026 INFO b\\r\\u{1b}[31m\\u{202e}c";
    assert_eq!(
        module(&format!("(import \"{strange}\" \"{strange}\" (func)) {MEMORY} {HANDLE}")),
        format!("imports what portcell does not offer: `{shown}.{shown}`")
    );
    let text = format!("(module {MEMORY} (func (export \"{strange}\")))");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("exports.wasm");
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    let plugin = Plugin::read(&path, 1000).unwrap();
    let names: Vec<_> = plugin.exports().iter().map(|export| &*export.name).collect();
    assert_eq!(names, ["memory", shown]);
}

#[test]
fn a_module_that_the_compiler_refuses_cannot_forge_a_line() {
    let twice = "(func (export \"a\\0ab\\1b[31m\")) (func (export \"a\\0ab\\1b[31m\"))";
    let error = module(&format!("{MEMORY} {HANDLE} {twice}"));
    assert!(error.starts_with("is not a module that portcell can run: "), "{error:?}");
    assert!(!error.contains(char::is_control), "{error:?}");
}

#[test]
fn imports_that_are_no_functions_are_refused() {
    for import in [
        "(import \"env\" \"memory\" (memory 1))",
        "(import \"env\" \"table\" (table 1 funcref))",
        "(import \"portcell_v1\" \"read\" (global i32))",
    ] {
        let error = module(&format!(
            "{import} {} {HANDLE}",
            if import.contains("(memory") { "(export \"memory\" (memory 0))" } else { MEMORY }
        ));
        assert!(error.starts_with("imports what portcell does not offer: `"), "{error}");
    }
}

#[test]
fn memory_that_begins_over_the_limit() {
    let guest = Guest::text(&format!("(module (memory (export \"memory\") 32) {HANDLE})"));
    assert_eq!(
        guest.clone().with("memory", "1MiB").refused(),
        "begins with 2MiB of memory, more than its limit of 1MiB; set `memory` in [handler.guest] \
         or --memory to at least 2MiB"
    );
    guest.with("memory", "2MiB").load().unwrap();
    let huge = Guest::text(&format!("(module (memory (export \"memory\") 2048) {HANDLE})"));
    assert_eq!(
        huge.refused(),
        "begins with 128MiB of memory, more than its limit of 32MiB; set `memory` in \
         [handler.guest] or --memory to at least 128MiB (an instance can have 64MiB at most)"
    );
}

#[test]
fn features_that_the_sandbox_does_not_have_are_refused_on_one_line() {
    for (fields, words) in [
        ("(memory (export \"memory\") 1) (memory 1)", "memor"),
        ("(memory (export \"memory\") i64 1)", "memory64"),
        ("(memory (export \"memory\") 1 2 shared)", "threads"),
    ] {
        let error = module(&format!("{fields} {HANDLE}"));
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
        assert!(error.starts_with("is "), "{error}");
    }
}

#[test]
fn more_tables_or_larger_ones_than_an_instance_can_have() {
    let tables = |tables: &str| module(&format!("{MEMORY} {tables} {HANDLE}"));
    let table = "(table 10 funcref)";
    assert_eq!(
        tables(&table.repeat(3)),
        "has 3 tables of up to 10 elements; an instance can have 2 of up to 20000"
    );
    assert_eq!(
        tables("(table 20001 funcref)"),
        "has 1 table of up to 20001 elements; an instance can have 2 of up to 20000"
    );
    Guest::text(&format!("(module {MEMORY} {} {HANDLE})", table.repeat(2))).load().unwrap();
}

#[test]
fn a_compiled_module_is_refused_by_that_name() {
    let wasm = wat::parse_str(format!("(module {MEMORY} {HANDLE})")).unwrap();
    let compiled = wasmtime::Engine::default().precompile_module(&wasm).unwrap();
    let error = Guest::bytes(compiled).refused();
    assert!(error.contains("it is a compiled module (.cwasm), which is not taken"), "{error}");
}

#[test]
fn more_imports_and_exports_than_anybody_needs_fill_nothing() {
    let wide = format!("(type (func (param {})))", "i32 ".repeat(1000));
    let imports = |count| "(import \"\" \"\" (func (type 0)))".repeat(count);
    assert_eq!(
        module(&format!("{wide} {} {MEMORY} {HANDLE}", imports(1001))),
        "has more than 1000 imports; is it a plugin?"
    );
    // Those that are allowed are not all named, nor is all of their type.
    let error = module(&format!("{wide} {} {MEMORY} {HANDLE}", imports(1000)));
    assert!(error.ends_with("`.`, and 980 more"), "{error}");
    assert!(error.len() < 200, "{error}");
    let export = |name| format!("(export \"{name}\" (func 0))");
    let exports = (0..10_000).map(export).collect::<Vec<_>>().concat();
    assert_eq!(
        module(&format!("{MEMORY} {HANDLE} {exports}")),
        "has more than 10000 exports; is it a plugin?"
    );
}
