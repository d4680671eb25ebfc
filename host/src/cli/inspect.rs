//! `inspect`: what a plugin is.

use std::fmt::Write as _;

use anyhow::{Error, anyhow};
use clap::ArgMatches;
use portcell::Compiler;
use portcell::config::{Config, display_size};
use portcell::engine::{Engine, MEMORY_SLOT};
use portcell::handler::{Loader, Loading};
use portcell::plugin::{Entry, Plugin};
use serde_json::{Value, json};

use super::arguments::plugin as plugin_path;
use super::{Failure, print};

/// A larger file is not looked at, in bytes.
const LARGEST_BYTES: u64 = 256 << 20;

/// The same, as the configuration takes it.
const LARGEST: &str = "256MiB";

/// Prints what the plugin is; fails, after that, if it could not be served.
pub(super) fn inspect(matches: &ArgMatches) -> Result<(), Failure> {
    let path = plugin_path(matches);
    let usage = |error: Error| Failure::Usage(anyhow!("{}: {error:#}", path.display()));
    let plugin = Plugin::read(path, LARGEST_BYTES).map_err(|error| usage(error.into()))?;
    let engine = Engine::new(1).map_err(|error| Failure::Failed(error.into()))?;
    let loader = Loader::new(engine, Compiler::this_program())
        .map_err(|error| Failure::Failed(error.into()))?;
    if matches.get_flag("json") {
        print(&format!("{:#}\n", as_json(&plugin, &loader)));
    } else {
        print(&as_text(&plugin, &loader));
    }
    // Only the file counts here: it may have as much memory as there is.
    let memory = display_size(MEMORY_SLOT);
    let config = Config::from_flags(path, &[("memory", &memory), ("max-module-size", LARGEST)])
        .map_err(|error| usage(error.into()))?;
    let loading = Loading::without_cache(&config.server);
    for handler in &config.handlers {
        loader.load(handler, 1, &loading).map_err(|error| usage(error.into()))?;
    }
    Ok(())
}

fn as_json(plugin: &Plugin, loader: &Loader) -> Value {
    let unknown: Vec<_> = loader
        .unknown_imports(plugin)
        .map(|(import, _)| format!("{}.{}", import.module, import.name))
        .collect();
    let imports: Vec<_> = plugin
        .imports()
        .iter()
        .map(|import| {
            json!({ "module": import.module, "name": import.name, "type": import.signature })
        })
        .collect();
    let exports: Vec<_> = plugin
        .exports()
        .iter()
        .map(|export| json!({ "name": export.name, "type": export.signature }))
        .collect();
    json!({
        "kind": "module",
        "digest": plugin.digest(),
        "size": plugin.bytes().len(),
        "entry": plugin.entry().ok().map(entry_name),
        "initialize": plugin.export("_initialize").is_some(),
        "memory": plugin.memory().map(|memory| {
            json!({ "minimum": memory.minimum, "maximum": memory.maximum })
        }),
        "imports": imports,
        "unknown_imports": unknown,
        "exports": exports,
    })
}

fn as_text(plugin: &Plugin, loader: &Loader) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<9} {value}");
    };
    line("kind", "core module");
    line("size", &display_size(plugin.bytes().len() as u64));
    line("digest", plugin.digest());
    line(
        "entry",
        &match plugin.entry() {
            Ok(Entry::Handle { returns_code: true }) => "handle, returns a code".into(),
            Ok(Entry::Handle { returns_code: false }) => "handle".into(),
            Ok(Entry::Command) => {
                "_start: a WASI command; stdin and stdout are the connection".into()
            }
            Err(error) => format!("none: {error}"),
        },
    );
    line(
        "memory",
        &plugin.memory().map_or_else(
            || "none".into(),
            |memory| match memory.maximum {
                Some(maximum) => format!(
                    "begins with {}, grows to {} at most",
                    display_size(memory.minimum),
                    display_size(maximum)
                ),
                None => format!("begins with {}", display_size(memory.minimum)),
            },
        ),
    );
    let unknown: Vec<_> = loader.unknown_imports(plugin).map(|(import, _)| import).collect();
    for (at, import) in plugin.imports().iter().enumerate() {
        let mark = if unknown.contains(&import) { "   <- not offered" } else { "" };
        line(
            if at == 0 { "imports" } else { "" },
            &format!("{}.{} {}{mark}", import.module, import.name, import.signature),
        );
    }
    for (at, export) in plugin.exports().iter().enumerate() {
        line(
            if at == 0 { "exports" } else { "" },
            &format!("{} {}", export.name, export.signature),
        );
    }
    line("needs", needs(plugin));
    text
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

const fn entry_name(entry: Entry) -> &'static str {
    match entry {
        Entry::Handle { .. } => "handle",
        Entry::Command => "_start",
    }
}
