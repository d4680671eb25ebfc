//! A report for people.

use std::fmt::Write as _;

use portcell::config::display_size;
use portcell::plugin::{Anatomy, Entry, Language, Memory, Plugin, Stack};

use super::Report;
use super::grants::Grant;

/// A longer name of an import or export is cut, in characters.
const LONGEST: usize = 200;

/// Exports that are listed; more are counted.
const MOST_EXPORTS: usize = 100;

/// Lines with a name each, or with what belongs to the name above.
struct Lines(String);

pub(super) fn of(report: &Report<'_>) -> String {
    let Report { plugin, anatomy, .. } = report;
    let entry = plugin.entry();
    let mut lines = Lines(String::new());
    lines.add("kind", "core module");
    lines.add("language", &anatomy.language.as_ref().map_or_else(|| "not said".into(), language));
    let toolchain = toolchain(anatomy);
    if !toolchain.is_empty() {
        lines.add("toolchain", &toolchain);
    }
    if !anatomy.target_features.is_empty() {
        let features = anatomy.target_features.join(" ");
        lines.add("features", &features);
    }
    lines.add("digest", plugin.digest());
    lines.add(
        "entry",
        &match &entry {
            Ok(Entry::Handle { returns_code: true }) => "handle, returns a code".into(),
            Ok(Entry::Handle { returns_code: false }) => "handle".into(),
            Ok(Entry::Command) => {
                "_start: a WASI command; stdin and stdout are the connection".into()
            }
            Err(error) => format!("none: {error}"),
        },
    );
    for (at, first) in before_entry(plugin, anatomy).iter().enumerate() {
        lines.add(if at == 0 { "before it" } else { "" }, first);
    }
    lines.add("memory", &plugin.memory().map_or_else(|| "none".into(), memory));
    if let Some(found) = anatomy.stack {
        lines.add("stack", &stack(found));
    }
    lines.add("size", &format!("{} bytes", plugin.bytes().len()));
    sections(&mut lines, report);
    imports(&mut lines, report);
    exports(&mut lines, plugin);
    lines.add("needs", needs(plugin));
    for warning in &report.warnings {
        lines.add("warning", &format!("{} [{}]", warning.message, warning.kind));
        lines.add("", &format!("-> {}", warning.advice));
    }
    lines.0
}

impl Lines {
    fn add(&mut self, name: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name:<9} {value}");
    }
}

fn language(language: &Language) -> String {
    let Language { name, version, told_by } = language;
    match (told_by, version) {
        (Some(by), _) => format!("{name}, it seems ({by})"),
        // `C99` is a version and a name.
        (None, Some(version)) if version.starts_with(&**name) => version.clone(),
        (None, Some(version)) => format!("{name} {version}"),
        (None, None) => name.clone(),
    }
}

fn toolchain(anatomy: &Anatomy) -> String {
    let programs = anatomy.producers.iter().filter(|producer| producer.field != "language");
    let programs = programs.map(|program| format!("{} {}", program.name, program.version));
    programs.map(|program| program.trim_end().to_owned()).collect::<Vec<_>>().join(", ")
}

/// What runs before the entry.
fn before_entry(plugin: &Plugin, anatomy: &Anatomy) -> Vec<String> {
    let start = anatomy.start.map(|index| format!("its start function, number {index}"));
    let is_handle = matches!(plugin.entry(), Ok(Entry::Handle { .. }));
    let initialize = plugin.export("_initialize").filter(|_| is_handle);
    start.into_iter().chain(initialize.map(|_| "_initialize".into())).collect()
}

fn memory(memory: Memory) -> String {
    let minimum = display_size(memory.minimum);
    match memory.maximum {
        Some(maximum) if maximum == memory.minimum => format!("{minimum}, and cannot grow"),
        Some(maximum) => {
            format!("begins with {minimum}, grows to {} at most", display_size(maximum))
        }
        None => format!("begins with {minimum}, grows as far as its handler's `memory`"),
    }
}

fn stack(stack: Stack) -> String {
    let Stack { top, at_most, is_first } = stack;
    if is_first {
        format!("{}, first in the memory", display_size(at_most))
    } else {
        format!("begins at {top:#x}; {at_most} bytes at most, with empty statics below it")
    }
}

/// A table: what, how many bytes, what part of the file.
fn sections(lines: &mut Lines, report: &Report<'_>) {
    let sections = &report.anatomy.sections;
    let size = (report.plugin.bytes().len() as u64).max(1);
    let rows = [
        ("code", sections.code),
        ("data", sections.data),
        ("names", sections.names),
        ("debug", sections.debug),
        ("other", sections.other),
    ];
    for (at, (name, bytes)) in rows.into_iter().enumerate() {
        let percent = bytes.saturating_mul(100) / size;
        let row = format!("{name:<5} {bytes:>10} {percent:>3} %");
        lines.add(if at == 0 { "sections" } else { "" }, &row);
    }
}

fn imports(lines: &mut Lines, report: &Report<'_>) {
    let mut name = "imports";
    for grant in Grant::ALL {
        let mut group = report.imports.iter().filter(|(_, by)| *by == grant).peekable();
        if group.peek().is_some() {
            lines.add(name, grant.title(report.plugin.entry().ok()));
            name = "";
        }
        let mark = if grant == Grant::NotOffered { "   <- not offered" } else { "" };
        for (import, _) in group {
            let full = cut(&format!("{}.{}", import.module, import.name));
            lines.add("", &format!("  {full} {}{mark}", import.signature));
        }
    }
}

fn exports(lines: &mut Lines, plugin: &Plugin) {
    for (at, export) in plugin.exports().iter().take(MOST_EXPORTS).enumerate() {
        let shown = format!("{} {}", cut(&export.name), export.signature);
        lines.add(if at == 0 { "exports" } else { "" }, &shown);
    }
    if let Some(more @ 1..) = plugin.exports().len().checked_sub(MOST_EXPORTS) {
        lines.add("", &format!("and {more} more"));
    }
}

fn cut(name: &str) -> String {
    let mut cut: String = name.chars().take(LONGEST).collect();
    if cut.len() < name.len() {
        cut.push_str("...");
    }
    cut
}

fn needs(plugin: &Plugin) -> &'static str {
    let files = plugin
        .imports()
        .iter()
        .any(|import| import.module == "wasi_snapshot_preview1" && import.name == "path_open");
    if files {
        "may open files: grant folders with --dir HOST::GUEST or `dirs`"
    } else {
        "nothing to be granted"
    }
}
