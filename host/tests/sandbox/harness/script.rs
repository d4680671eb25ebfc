//! A module made of a list of calls. `Guest::calls` says what a line can be.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use portcell::plugin::Import;

use super::loader;

/// Writes a number into the log, at level 5.
const TELL: &str = r#"
  (import "portcell_v1" "log" (func $log (param i32 i32 i32) (result i32)))
  (func $tell (param $n i64) (local $at i32) (local $negative i32)
    (local.set $at (i32.const 48))
    (if (i64.lt_s (local.get $n) (i64.const 0)) (then
      (local.set $negative (i32.const 1))
      (local.set $n (i64.sub (i64.const 0) (local.get $n)))))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
      (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $n) (i64.const 0))))
    (if (local.get $negative) (then
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.const 45))))
    (drop (call $log (i32.const 5) (local.get $at) (i32.sub (i32.const 48) (local.get $at)))))
"#;

/// The module as text.
pub(super) fn module(entry: &str, lines: &[&str], data: &[(u32, &[u8])], pages: u32) -> String {
    let mut imports = BTreeMap::new();
    let mut body = String::new();
    for line in lines {
        let (first, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        step(first, &arguments, &mut imports, &mut body);
    }
    let mut text = String::from("(module");
    for import in imports.values() {
        let _ = write!(text, "\n  {}", import_text(import));
    }
    text.push_str(TELL);
    let _ = write!(text, "  (memory (export \"memory\") {pages})");
    for (at, bytes) in data {
        let mut escaped = String::new();
        for byte in *bytes {
            let _ = write!(escaped, "\\{byte:02x}");
        }
        let _ = write!(text, "\n  (data (i32.const {at}) \"{escaped}\")");
    }
    let (result, success) =
        if entry == "handle" { ("(result i32)", "(i32.const 0)") } else { ("", "") };
    let _ = write!(
        text,
        "\n  (func (export \"{entry}\") {result} (local $last i32){body}\n    {success}))"
    );
    text
}

/// The text of an import, under its own name.
pub(crate) fn import_text(import: &Import) -> String {
    let Import { module, name, .. } = import;
    let (params, results) = types(import);
    format!(
        "(import \"{module}\" \"{name}\" (func ${name} (param {}) (result {})))",
        params.join(" "),
        results.join(" ")
    )
}

/// The parameters and results of an import.
fn types(import: &Import) -> (Vec<&str>, Vec<&str>) {
    let (params, results) = import.signature.split_once(" -> ").expect("it is a function");
    (split(params), split(results))
}

fn split(types: &str) -> Vec<&str> {
    types.trim_matches(['(', ')']).split(", ").filter(|ty| !ty.is_empty()).collect()
}

fn step(
    first: &str,
    arguments: &[&str],
    imports: &mut BTreeMap<String, Import>,
    body: &mut String,
) {
    let argument = |at: usize| constant("i32", arguments[at]);
    let tell = |value: String| format!("(call $tell (i64.extend_i32_s {value}))");
    let text = match first {
        "text" => {
            format!("(drop (call $log (i32.const 5) {} {}))", argument(0), argument(1))
        }
        "tell" => tell(format!("(i32.load {})", argument(0))),
        "tell16" => tell(format!("(i32.load16_u {})", argument(0))),
        "tell64" => format!("(call $tell (i64.load {}))", argument(0)),
        "store" => format!("(i32.store {} {})", argument(0), argument(1)),
        "grow" => tell(format!("(memory.grow {})", argument(0))),
        "return" => format!("(return {})", argument(0)),
        "trap" => "(unreachable)".to_owned(),
        name => call(name, arguments, imports),
    };
    let _ = write!(body, "\n    {text}");
}

/// A call of the host, whose result is told.
fn call(name: &str, arguments: &[&str], imports: &mut BTreeMap<String, Import>) -> String {
    let offered = loader().offered();
    let import = offered.iter().find(|import| import.name == name);
    let import = import.unwrap_or_else(|| panic!("the host offers no `{name}`"));
    let (params, results) = types(import);
    assert_eq!(params.len(), arguments.len(), "arguments of `{name}`");
    let constants: Vec<String> =
        params.iter().zip(arguments).map(|(ty, value)| constant(ty, value)).collect();
    let call = format!("(call ${name} {})", constants.join(" "));
    if name != "log" {
        imports.insert(name.into(), import.clone());
    }
    match results.as_slice() {
        [] => call,
        _ => format!("(call $tell (i64.extend_i32_s (local.tee $last {call})))"),
    }
}

fn constant(ty: &str, value: &str) -> String {
    match value.strip_prefix('@') {
        Some(at) => format!("({ty}.load (i32.const {at}))"),
        None if value == "last" => "(local.get $last)".into(),
        None => format!("({ty}.const {value})"),
    }
}
