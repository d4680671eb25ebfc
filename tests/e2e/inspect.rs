//! What `inspect` says of plugins: text that was reviewed, fields that stay, warnings.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::TestResult;
use crate::command_line::is_golden;
use crate::harness::{Folder, Program, plugin, repository};

/// What is said of the module as JSON, whether it could be served or not.
fn value(module: &Path) -> Value {
    let output = Program::portcell().arguments(&["inspect", "--json"]).argument(module).run();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{}: {error}: {}", module.display(), output.stderr))
}

/// The text of it.
fn text(module: &Path) -> String {
    let output = Program::portcell().argument("inspect").argument(module).run();
    String::from_utf8(output.stdout).unwrap()
}

/// The warning of this kind; there must be one.
fn warning<'a>(value: &'a Value, kind: &str) -> &'a Value {
    let mut all = value["warnings"].as_array().unwrap().iter();
    all.find(|warning| warning["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind} in {}", value["warnings"]))
}

#[test]
fn the_text_of_a_plugin_was_reviewed() {
    let folder = Folder::new();
    for name in ["handler", "command", "hurts"] {
        let source = repository().join(format!("tests/golden/inspect/{name}.wat"));
        let module = folder.wat(name, &fs::read_to_string(source).unwrap());
        is_golden(&format!("inspect/{name}"), &text(&module));
    }
}

#[test]
fn the_fields_of_the_json_stay() {
    let folder = Folder::new();
    let source = repository().join("tests/golden/inspect/handler.wat");
    let module = folder.wat("handler", &fs::read_to_string(source).unwrap());
    let mut value = value(&module);
    let bytes = fs::read(&module).unwrap();
    assert_eq!(value["size"], bytes.len());
    let sections = value["sections"].take();
    let sizes = ["code", "data", "names", "debug", "other"].map(|name| sections[name].as_u64());
    assert_eq!(sizes.iter().flatten().sum::<u64>(), bytes.len() as u64, "{sections}");
    let import = |name: &str| {
        let all = value["imports"].as_array().unwrap();
        all.iter().find(|import| import["name"] == name).unwrap().clone()
    };
    assert_eq!(
        import("path_open"),
        json!({
            "module": "wasi_snapshot_preview1",
            "name": "path_open",
            "type": "(i32, i32, i32, i32, i32, i64, i64, i32, i32) -> i32",
            "group": "files",
            "granted_by": "handler.dirs",
        })
    );
    for (name, group, granted_by) in [
        ("environ_get", "environment", "handler.env"),
        ("fd_write", "streams", "always"),
        ("clock_time_get", "system", "always"),
        ("sock_shutdown", "socket", "never"),
        ("start_tls", "tls", "listener.tls"),
        ("read", "connection", "always"),
    ] {
        assert_eq!(
            (&import(name)["group"], &import(name)["granted_by"]),
            (&json!(group), &json!(granted_by))
        );
    }
    let object = value.as_object_mut().unwrap();
    for taken in ["digest", "size", "sections", "imports"] {
        assert!(object.remove(taken).is_some(), "{taken}");
    }
    assert_eq!(
        value,
        json!({
            "kind": "module",
            "language": { "name": "Rust", "version": "1.96.0", "told_by": null },
            "producers": {
                "language": [{ "name": "Rust", "version": "" }],
                "processed-by": [
                    { "name": "rustc", "version": "1.96.0 (ac68faa20 2026-05-25)" },
                    { "name": "clang", "version": "22.1.2" },
                ],
            },
            "target_features": ["+bulk-memory", "+sign-ext"],
            "entry": "handle",
            "initialize": true,
            "start": 7,
            "memory": { "minimum": 131_072, "maximum": 1_048_576 },
            "grows": false,
            "stack": { "top": 65_536, "at_most": 65_536, "first": true },
            "unknown_imports": [],
            "exports": [
                { "name": "memory", "type": "memory" },
                { "name": "_initialize", "type": "() -> ()" },
                { "name": "handle", "type": "() -> i32" },
            ],
            "warnings": [],
        })
    );
}

const HANDLE: &str = "(func (export \"handle\"))";
const MEMORY: &str = "(memory (export \"memory\") 1)";
const OF_GO: &str = "(@producers (language \"Go\" \"go1.27.3\"))";

/// Checks that a module of these parts has a warning of this kind, and what it says and advises.
fn warns(kind: &str, parts: &str, message: &str, advice: &str) {
    let folder = Folder::new();
    let value = value(&folder.wat("hurts", &format!("(module {parts})")));
    let found = warning(&value, kind);
    assert!(found["message"].as_str().unwrap().contains(message), "{found}");
    assert!(found["advice"].as_str().unwrap().contains(advice), "{found}");
}

#[test]
fn what_is_too_large_is_told_with_what_to_do() {
    let stack = "(memory (export \"memory\") 40) (global $__stack_pointer (mut i32)";
    let memory = |pages: &str| format!("(memory (export \"memory\") {pages}) {HANDLE}");
    let grows = "(func (drop (memory.grow (i32.const 1))))";
    for (kind, parts, message, advice) in [
        (
            "large_stack",
            format!("{stack} (i32.const 2097152)) {HANDLE} (data (i32.const 2097152) \"x\")"),
            "its stack takes 2MiB of the 32MiB",
            "-z stack-size=65536",
        ),
        (
            "large_stack",
            format!("{stack} (i32.const 2097152)) {HANDLE} (data (i32.const 1024) \"x\")"),
            "its stack and empty statics take up to 1.9MiB",
            "-z stack-size=65536",
        ),
        ("large_memory", memory("300"), "18.7MiB at once, of the 32MiB", "raise `memory`"),
        ("large_memory", memory("600"), "so it is refused", "--memory 38MiB"),
        ("large_memory", memory("1100"), "it cannot be served", "an instance can have 64MiB"),
        ("fixed_memory", format!("{} {grows}", memory("1 1")), "beyond 64KiB", "--max-memory"),
        (
            "full_memory",
            format!("{} {grows} (data (i32.const 65000) \"x\")", memory("1")),
            "leave 535 bytes",
            "--initial-memory",
        ),
        (
            "go_runtime",
            format!("{OF_GO} {MEMORY} (func (export \"_start\"))"),
            "5MiB",
            "below 5MiB",
        ),
        (
            "debug_sections",
            format!("(@custom \".debug_info\" \"12345678\") {MEMORY} {HANDLE}"),
            "of its bytes are debug sections",
            "llvm-strip --strip-debug",
        ),
    ] {
        warns(kind, &parts, message, advice);
    }
}

#[test]
fn what_keeps_it_from_being_served_well_is_told_with_what_to_do() {
    let constructors = "(func $__wasm_call_ctors (drop (i32.const 1)))";
    for (kind, parts, message, advice) in [
        (
            "missing_initialize",
            format!("{OF_GO} {MEMORY} {HANDLE} (func (export \"_start\"))"),
            "Go's runtime is not started",
            "-buildmode=c-shared",
        ),
        (
            "missing_initialize",
            format!("{MEMORY} {HANDLE} {constructors}"),
            "constructors",
            "-mexec-model=reactor",
        ),
        (
            "abort",
            format!("(import \"env\" \"abort\" (func (param i32 i32 i32 i32))) {MEMORY} {HANDLE}"),
            "ends its connection with a reset",
            "look before you index",
        ),
        (
            "near_entry",
            format!("{MEMORY} (func (export \"_handle\") (result i32) (i32.const 0))"),
            "exports `_handle`, which is not called; is `handle` meant?",
            "export the function as `handle`",
        ),
        (
            "near_entry",
            format!("{OF_GO} {MEMORY} (func (export \"main\"))"),
            "`main`, which is not called; is `_start` meant?",
            "GOOS=wasip1",
        ),
        (
            "near_entry",
            format!("{MEMORY} (func (export \"Handler\")) (func (export \"_start\"))"),
            "`Handler`, which is not called; is `handle` meant?",
            "() -> i32",
        ),
        (
            "unknown_imports",
            format!(
                "(import \"gojs\" \"runtime.wasmExit\" (func (param i32))) (import \"a\" \"b\" (func)) {MEMORY}"
            ),
            "`gojs.runtime.wasmExit`, and 1 more",
            "GOOS=wasip1",
        ),
        (
            "unknown_imports",
            format!("(import \"env\" \"memory\" (memory 1)) {HANDLE}"),
            "`env.memory`",
            "--import-memory",
        ),
        (
            "object_file",
            "(import \"env\" \"__linear_memory\" (memory 0)) (@custom \"linking\" \"\\02\")".into(),
            "it is an object file",
            "link it",
        ),
    ] {
        warns(kind, &parts, message, advice);
    }
}

#[test]
fn a_module_that_is_larger_than_is_taken_is_told() {
    let folder = Folder::new();
    let module = "(module (memory (export \"memory\") 1) (func (export \"handle\")))";
    let mut bytes = wat::parse_str(module).unwrap();
    // A section of 17 MiB, which begins with its name.
    let length = 17 << 20;
    let leb = [0, 7, 14, 21, 28].map(|shift| {
        let more = if shift < 28 { 0x80 } else { 0 };
        u8::try_from(length >> shift & 0x7f).unwrap() | more
    });
    bytes.push(0);
    bytes.extend(leb);
    bytes.extend(b"\x0b.debug_info");
    bytes.resize(bytes.len() + length - 12, 0);
    let value = value(&folder.write("large.wasm", &bytes));
    assert_eq!(value["sections"]["debug"], length);
    let found = warning(&value, "large_module");
    assert_eq!(found["message"], "it is 17.0MiB, and is refused above 16MiB");
    let advice = found["advice"].as_str().unwrap();
    assert!(advice.contains("llvm-strip") && advice.contains("--max-module-size"), "{advice}");
}

#[test]
fn inspect_says_what_a_plugin_is() -> TestResult {
    for (name, entry) in [
        ("echo", "handle"),
        ("shout", "handle"),
        ("daytime", "handle"),
        ("hello-inetd", "_start"),
        ("http", "handle"),
    ] {
        let inspect = || Program::portcell().argument("inspect").argument(plugin(name));
        let value: Value = serde_json::from_slice(&inspect().argument("--json").output())?;
        let digest = Program::new("sha256sum").argument(plugin(name)).text();
        assert_eq!(value["kind"], "module", "{name}");
        assert_eq!(value["entry"], entry, "{name}");
        assert_eq!(value["digest"].as_str(), digest.split_whitespace().next(), "{name}");
        assert_eq!(value["size"], fs::metadata(plugin(name))?.len(), "{name}");
        assert_eq!(value["unknown_imports"], Value::Array(Vec::new()), "{name}");
        assert!(value["memory"]["minimum"].as_u64() >= Some(65_536), "{name}: {value}");
        let names = |list: &Value| -> Vec<String> {
            let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
            list.as_array().unwrap().iter().map(name).collect()
        };
        assert!(names(&value["exports"]).contains(&entry.to_owned()), "{name}: {value}");
        assert!(!names(&value["imports"]).is_empty(), "{name}: {value}");

        let text = inspect().text();
        for expected in
            ["kind      core module", "digest    ", "entry     ", "memory    begins with"]
        {
            assert!(text.contains(expected), "{name}: no `{expected}` in {text}");
        }
        for import in names(&value["imports"]) {
            assert!(text.contains(&format!(".{import} (")), "{name}: no {import} in {text}");
        }
        assert!(text.contains(value["digest"].as_str().unwrap()), "{name}: {text}");
    }
    Ok(())
}

#[test]
fn inspect_shows_a_plugin_that_cannot_be_served_too() -> TestResult {
    let folder = Folder::new();
    let path = folder.wat(
        "strange",
        "(module (import \"env\" \"mystery\" (func)) (memory (export \"memory\") 1)
         (func (export \"handle\")))",
    );
    let output = Program::portcell().argument("inspect").argument(&path).run();
    assert_eq!(output.code, 64);
    let text = String::from_utf8(output.stdout)?;
    assert!(text.contains("env.mystery () -> ()   <- not offered"), "{text}");
    assert!(output.stderr.contains("imports what portcell does not offer"), "{}", output.stderr);
    let output = Program::portcell().arguments(&["inspect", "--json"]).argument(&path).run();
    let value: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(value["unknown_imports"], serde_json::json!(["env.mystery"]));
    Ok(())
}

/// One indexing that can panic is enough to bring back what std has for panics: kilobytes of
/// data that each connection has for itself.
#[test]
fn echo_carries_nothing_that_it_does_not_use() {
    let value = value(&plugin("echo"));
    let sections = &value["sections"];
    assert!(sections["data"].as_u64().unwrap() < 1024, "{sections}");
    assert!(sections["code"].as_u64().unwrap() < 8192, "{sections}");
    assert_eq!(value["initialize"], false);
    let imports = value["imports"].as_array().unwrap();
    assert!(imports.iter().all(|import| import["module"] == "portcell_v1"), "{imports:?}");
}
