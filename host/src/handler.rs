//! A handler: a plugin as configured under a name, compiled, linked and ready to be instantiated.

use std::fmt::Write as _;
use std::sync::Arc;

use wasmtime::{InstancePre, Linker, Module, ModuleExport};

use crate::config::{HandlerConfig, display_size};
use crate::engine::{Engine, MEMORY_SLOT};
use crate::guest::Guest;
use crate::hostcalls;
use crate::memory_budget::MemoryBudget;
use crate::plugin::{Entry, Import, Plugin, PluginError};
use crate::tenant::{Tenant, Tenants};
use crate::text::printable;

/// One version of a handler.
pub struct Handler {
    config: Arc<HandlerConfig>,
    version: u64,
    digest: String,
    entry: Entry,
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) start: ModuleExport,
    pub(crate) initialize: Option<ModuleExport>,
    /// Whose it is.
    tenant: Arc<Tenant>,
}

/// Loads handlers: an engine, and the host calls that guests are linked to.
pub struct Loader {
    engine: Engine,
    linker: Linker<Guest>,
    /// Everything that the linker defines: module, name, and signature.
    offered: Vec<Import>,
    tenants: Tenants,
}

/// A plugin cannot be put into service.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not a plugin that can be used.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// It wants what the host does not have.
    #[error("imports what portcell does not offer: {0}")]
    UnknownImports(
        /// All of them, with the nearest known name.
        String,
    ),
    /// It begins with more memory than its limit.
    #[error(
        "begins with {minimum} of memory, more than its limit of {limit}; set `memory` in [handler.{handler}] or --memory to at least {minimum}{slot}"
    )]
    MemoryMinimum {
        /// The handler's name.
        handler: String,
        /// What the module asks for.
        minimum: String,
        /// What the handler may have.
        limit: String,
        /// What to know if that is more than an instance can have.
        slot: String,
    },
    /// wasmtime refuses it: why, on one line.
    #[error("is not a module that portcell can run: {0}")]
    Invalid(String),
}

impl Loader {
    /// A loader for this engine.
    pub fn new(engine: Engine) -> wasmtime::Result<Self> {
        let linker = hostcalls::linker(engine.wasm())?;
        let offered = hostcalls::offered(engine.wasm())?;
        let memory = Arc::new(MemoryBudget::new("server.max_memory", None));
        Ok(Self { engine, linker, offered, tenants: Tenants::new(memory) })
    }

    /// Everything that guests may import.
    pub fn offered(&self) -> &[Import] {
        &self.offered
    }

    /// The memory that all instances of all handlers share.
    pub const fn memory(&self) -> &Arc<MemoryBudget> {
        self.tenants.memory()
    }

    /// Whose the handlers are.
    pub const fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Compiles and links the module of `config`, which may take seconds: not for a reactor
    /// thread. `limit` is the largest module, in bytes.
    pub fn load(
        &self,
        config: &Arc<HandlerConfig>,
        version: u64,
        limit: u64,
    ) -> Result<Handler, LoadError> {
        let plugin = Plugin::read(&config.module, limit)?;
        let entry = plugin.entry()?;
        self.check_imports(&plugin)?;
        check_memory(&plugin, config)?;
        let invalid = |error: wasmtime::Error| LoadError::Invalid(one_line(&error));
        let module = Module::new(self.engine.wasm(), plugin.bytes()).map_err(invalid)?;
        // Now, so that the first connection does not pay for it.
        module.initialize_copy_on_write_image().map_err(invalid)?;
        let pre = self.linker.instantiate_pre(&module).map_err(invalid)?;
        let export = |name: &str| module.get_export_index(name);
        let name = match entry {
            Entry::Handle { .. } => "handle",
            Entry::Command => "_start",
        };
        let start = export(name).ok_or(PluginError::NoEntry)?;
        let initialize = match (entry, plugin.export("_initialize")) {
            (Entry::Handle { .. }, Some("() -> ()")) => export("_initialize"),
            (Entry::Handle { .. }, Some(found)) => {
                return Err(LoadError::Plugin(PluginError::EntryType {
                    name: "_initialize",
                    found: found.into(),
                    wanted: "() -> ()",
                }));
            }
            _ => None,
        };
        let digest = plugin.digest().to_owned();
        let (config, tenant) = (Arc::clone(config), self.tenants.of(&config.tenant));
        Ok(Handler { config, version, digest, entry, pre, start, initialize, tenant })
    }

    /// As [`Loader::load`], but keeps `old` if neither its configuration nor its module has
    /// changed.
    pub fn load_or_keep(
        &self,
        config: &Arc<HandlerConfig>,
        old: Option<&Arc<Handler>>,
        limit: u64,
    ) -> Result<Arc<Handler>, LoadError> {
        let version = match old {
            Some(old) if old.config == *config => {
                let plugin = Plugin::read(&config.module, limit)?;
                if plugin.digest() == old.digest {
                    return Ok(Arc::clone(old));
                }
                old.version + 1
            }
            Some(old) => old.version + 1,
            None => 1,
        };
        self.load(config, version, limit).map(Arc::new)
    }

    /// The imports of `plugin` that are not offered, each with the nearest name that is.
    pub fn unknown_imports<'a>(
        &'a self,
        plugin: &'a Plugin,
    ) -> impl Iterator<Item = (&'a Import, Option<&'a Import>)> {
        plugin
            .imports()
            .iter()
            .filter(|import| !self.offers(import))
            .map(|import| (import, self.nearest(import)))
    }

    fn check_imports(&self, plugin: &Plugin) -> Result<(), LoadError> {
        let mut names = String::new();
        for (import, nearest) in self.unknown_imports(plugin) {
            let separator = if names.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(names, "{separator}`{}.{}`", import.module, import.name);
            if let Some(near) = nearest {
                let _ = if (&near.module, &near.name) == (&import.module, &import.name) {
                    write!(names, " (as {}, but it is {})", import.signature, near.signature)
                } else {
                    write!(names, " (is `{}.{}` meant?)", near.module, near.name)
                };
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        Err(LoadError::UnknownImports(names))
    }

    fn offers(&self, import: &Import) -> bool {
        self.offered.iter().any(|offered| offered == import)
    }

    fn nearest(&self, import: &Import) -> Option<&Import> {
        let full = |import: &Import| format!("{}.{}", import.module, import.name);
        let wanted = full(import);
        self.offered
            .iter()
            .map(|offered| {
                // The right name in a wrong module is nearer than any other name.
                let near = if offered.name == import.name {
                    1.0
                } else {
                    strsim::jaro_winkler(&wanted, &full(offered))
                };
                (near, offered)
            })
            .filter(|(near, _)| *near > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, offered)| offered)
    }
}

fn check_memory(plugin: &Plugin, config: &HandlerConfig) -> Result<(), LoadError> {
    let minimum = plugin.minimum();
    if minimum <= config.memory {
        return Ok(());
    }
    Err(LoadError::MemoryMinimum {
        handler: config.name.clone(),
        minimum: display_size(minimum),
        limit: display_size(config.memory),
        slot: if minimum > MEMORY_SLOT {
            format!(" (an instance can have {} at most)", display_size(MEMORY_SLOT))
        } else {
            String::new()
        },
    })
}

/// An error and its causes, on one line.
fn one_line(error: &wasmtime::Error) -> String {
    let said = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    printable(&said.split_whitespace().collect::<Vec<_>>().join(" "))
}

impl Handler {
    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The configuration that it was loaded with.
    pub const fn config(&self) -> &Arc<HandlerConfig> {
        &self.config
    }

    /// Counts the modules that a handler of this name has had, from 1.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The sha256 of the module.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whose it is.
    pub const fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// How it is called.
    pub const fn entry(&self) -> Entry {
        self.entry
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handler({} v{})", self.name(), self.version)
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loader({} host calls)", self.offered.len())
    }
}
