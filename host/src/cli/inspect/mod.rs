//! `inspect`: what a plugin is, what it would be granted by what, and what about it will hurt.

mod grants;
mod text;
mod value;
mod warnings;

use anyhow::{Error, anyhow};
use clap::ArgMatches;
use portcell::Compiler;
use portcell::config::{Config, display_size};
use portcell::engine::{Engine, MEMORY_SLOT};
use portcell::handler::{Loader, Loading};
use portcell::plugin::{Anatomy, Entry, Import, Plugin};

use self::grants::Grant;
use self::warnings::{Defaults, Warning, warnings};
use super::arguments::plugin as plugin_path;
use super::{Failure, print};

/// A larger file is not looked at, in bytes.
const LARGEST_BYTES: u64 = 256 << 20;

/// The same, as the configuration takes it.
const LARGEST: &str = "256MiB";

/// Everything that is told about a plugin.
struct Report<'a> {
    plugin: &'a Plugin,
    anatomy: Anatomy,
    /// All imports in their order, each with what it is granted by.
    imports: Vec<(&'a Import, Grant)>,
    warnings: Vec<Warning>,
}

/// Prints what the plugin is; fails, after that, if it could not be served.
pub(super) fn inspect(matches: &ArgMatches) -> Result<(), Failure> {
    let path = plugin_path(matches);
    let usage = |error: Error| Failure::Usage(anyhow!("{}: {error:#}", path.display()));
    let plugin = Plugin::read(path, LARGEST_BYTES).map_err(|error| usage(error.into()))?;
    let engine = Engine::new(1).map_err(|error| Failure::Failed(error.into()))?;
    let loader = Loader::new(engine, Compiler::this_program())
        .map_err(|error| Failure::Failed(error.into()))?;
    let config = |flags: &[_]| Config::from_flags(path, flags).map_err(|error| usage(error.into()));
    let report = report(&plugin, &loader, &Defaults::of(&config(&[])?));
    if matches.get_flag("json") {
        print(&format!("{:#}\n", value::of(&report)));
    } else {
        print(&text::of(&report));
    }
    // Only the file counts here: it may have as much memory as there is.
    let memory = display_size(MEMORY_SLOT);
    let config = config(&[("memory", &memory), ("max-module-size", LARGEST)])?;
    let loading = Loading::without_cache(&config.server);
    for handler in &config.handlers {
        loader.load(handler, 1, &loading).map_err(|error| usage(error.into()))?;
    }
    Ok(())
}

fn report<'a>(plugin: &'a Plugin, loader: &Loader, defaults: &Defaults) -> Report<'a> {
    let unknown: Vec<_> = loader.unknown_imports(plugin).map(|(import, _)| import).collect();
    let entry = plugin.entry().ok();
    let grant = |import| {
        if unknown.contains(&import) { Grant::NotOffered } else { Grant::of(import, entry) }
    };
    let imports: Vec<_> = plugin.imports().iter().map(|import| (import, grant(import))).collect();
    let anatomy = plugin.anatomy();
    let warnings = warnings(plugin, &anatomy, &imports, defaults);
    Report { plugin, anatomy, imports, warnings }
}

const fn entry_name(entry: Entry) -> &'static str {
    match entry {
        Entry::Handle { .. } => "handle",
        Entry::Command => "_start",
    }
}
