//! A handler: a plugin as configured under a name, compiled, linked and ready to be instantiated.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use wasmtime::{InstancePre, Linker, Module, ModuleExport, Store};

use crate::cache::{Cache, Key};
use crate::compile::{Bounds, CompileError, Compiler, Stop};
use crate::config::{HandlerConfig, ServerConfig, display_size};
use crate::drain::Connections;
use crate::engine::{Engine, MEMORY_SLOT, TABLE_ELEMENTS, TABLES, fingerprint, one_line};
use crate::guest::Guest;
use crate::heavy::Heavy;
use crate::hostcalls;
use crate::memory_budget::MemoryBudget;
use crate::plugin::{Entry, Import, Plugin, PluginError, Tables};
use crate::tenant::{Tenant, Tenants};

/// Unknown imports that are named in an error; more are counted.
const NAMED: usize = 20;

/// Names that are longer are like no name of the host, in bytes.
const LONG_NAME: usize = 100;

/// One version of a handler, as it is put into service.
pub struct Handler {
    config: Arc<HandlerConfig>,
    /// Whose it is.
    tenant: Arc<Tenant>,
    version: u64,
    connections: Arc<Connections>,
    pub(crate) code: Arc<Code>,
}

/// A module, compiled and linked.
pub(crate) struct Code {
    digest: String,
    entry: Entry,
    /// Memory that an instance begins with, in bytes.
    minimum: u64,
    loaded: SystemTime,
    /// Freeing it looks at every slot of the pool.
    pub(crate) pre: Heavy<InstancePre<Guest>>,
    pub(crate) start: ModuleExport,
    pub(crate) initialize: Option<ModuleExport>,
    /// The exported memory, which every plugin has.
    pub(crate) memory: Option<ModuleExport>,
    /// Whether it counts fuel.
    pub(crate) counts_fuel: bool,
}

/// Loads handlers: an engine, the host calls that guests are linked to, and a compiler.
pub struct Loader {
    engine: Engine,
    linker: Linker<Guest>,
    /// Everything that the linker defines: module, name, and signature.
    offered: Vec<Import>,
    tenants: Tenants,
    compiler: Compiler,
    stop: Stop,
    compiled: AtomicU64,
    from_cache: AtomicU64,
}

/// What bounds the loading of handlers, and the cache that spares some of it.
#[derive(Debug)]
pub struct Loading {
    /// The largest module, in bytes.
    most: u64,
    bounds: Bounds,
    cache: Option<Cache>,
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
    /// It has more tables, or larger ones, than an instance can have.
    #[error(
        "has {} table{} of up to {} elements; an instance can have {TABLES} of up to {TABLE_ELEMENTS}",
        .0.count,
        if .0.count == 1 { "" } else { "s" },
        .0.largest
    )]
    Tables(Tables),
    /// It cannot be compiled.
    #[error(transparent)]
    Compile(CompileError),
    /// wasmtime refuses it: why, on one line.
    #[error("is not a module that portcell can run: {0}")]
    Invalid(String),
}

/// A loader cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LoaderError {
    /// The host calls cannot be linked: a bug.
    #[error("cannot link the host calls")]
    Linker(#[from] wasmtime::Error),
    /// The machine does not give a descriptor.
    #[error("cannot make what compilations are stopped with")]
    Stop(#[from] io::Error),
}

impl From<CompileError> for LoadError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Invalid(why) => Self::Invalid(why),
            error => Self::Compile(error),
        }
    }
}

impl Loading {
    /// As `[server]` says. Why there is no cache is logged.
    pub fn of(server: &ServerConfig) -> Self {
        Self { cache: Cache::open(&server.cache), ..Self::without_cache(server) }
    }

    /// As [`Loading::of`], but nothing is written, and everything is compiled.
    pub fn without_cache(server: &ServerConfig) -> Self {
        Self { most: server.max_module_size, bounds: Bounds::of(server), cache: None }
    }

    /// Makes room in the cache for what was put there.
    pub(crate) fn tidy(&self) {
        if let Some(cache) = &self.cache {
            cache.tidy();
        }
    }
}

impl Loader {
    /// A loader for this engine, which has modules compiled by `compiler`.
    pub fn new(engine: Engine, compiler: Compiler) -> Result<Self, LoaderError> {
        let linker = hostcalls::linker(engine.wasm())?;
        let offered = hostcalls::offered(engine.wasm())?;
        let memory = Arc::new(MemoryBudget::new("server.max_memory", None));
        Ok(Self {
            engine,
            linker,
            offered,
            tenants: Tenants::new(memory),
            compiler,
            stop: Stop::new()?,
            compiled: AtomicU64::new(0),
            from_cache: AtomicU64::new(0),
        })
    }

    /// How many modules it has had compiled.
    pub fn compiled(&self) -> u64 {
        self.compiled.load(Relaxed)
    }

    /// How many modules it has taken from a cache.
    pub fn from_cache(&self) -> u64 {
        self.from_cache.load(Relaxed)
    }

    /// Ends compilations in processes of their own; from now on none comes to anything.
    pub(crate) fn stop(&self) {
        self.stop.stop();
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

    /// Has the module of `config` compiled, or takes it from the cache, and links it. This may take
    /// as long as a compilation may: not for a reactor thread.
    pub fn load(
        &self,
        config: &Arc<HandlerConfig>,
        version: u64,
        loading: &Loading,
    ) -> Result<Handler, LoadError> {
        self.link(config, version, &Plugin::read(&config.module, loading.most)?, loading)
    }

    /// As [`Loader::load`], as version `next`, unless one of `known` is of the same module: then
    /// this is that version again, with this configuration and without connections.
    pub fn load_or_reuse(
        &self,
        config: &Arc<HandlerConfig>,
        known: &[Arc<Handler>],
        next: u64,
        loading: &Loading,
    ) -> Result<Handler, LoadError> {
        let plugin = Plugin::read(&config.module, loading.most)?;
        match known.iter().find(|known| known.digest() == plugin.digest()) {
            Some(known) => known.again(config, &self.tenants.of(&config.tenant)),
            None => self.link(config, next, &plugin, loading),
        }
    }

    fn link(
        &self,
        config: &Arc<HandlerConfig>,
        version: u64,
        plugin: &Plugin,
        loading: &Loading,
    ) -> Result<Handler, LoadError> {
        let entry = plugin.entry()?;
        self.check_imports(plugin)?;
        check_memory(plugin.minimum(), config)?;
        check_tables(plugin)?;
        let invalid = |error: wasmtime::Error| LoadError::Invalid(one_line(&error));
        let module = self.module(plugin, config, loading)?;
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
        let code = Code {
            digest: plugin.digest().to_owned(),
            entry,
            minimum: plugin.minimum(),
            loaded: SystemTime::now(),
            pre: Heavy::new(pre),
            start,
            initialize,
            memory: export("memory"),
            counts_fuel: Store::new(self.engine.wasm(), ()).set_fuel(0).is_ok(),
        };
        Ok(Handler {
            config: Arc::clone(config),
            tenant: self.tenants.of(&config.tenant),
            version,
            connections: Arc::default(),
            code: Arc::new(code),
        })
    }

    /// The compiled module.
    fn module(
        &self,
        plugin: &Plugin,
        config: &HandlerConfig,
        loading: &Loading,
    ) -> Result<Module, LoadError> {
        let engine = self.engine.wasm();
        let key = Key::new(plugin.digest(), fingerprint(engine));
        // What wasmtime does not take is made anew.
        let kept = loading.cache.as_ref().and_then(|cache| cache.get(key)?.module(engine).ok());
        if let Some(module) = kept {
            self.from_cache.fetch_add(1, Relaxed);
            return Ok(module);
        }
        let (bytes, name) = (plugin.bytes(), &config.module);
        let code = self.compiler.compile(engine, bytes, name, loading.bounds, &self.stop)?;
        let module = code.module(engine).map_err(|error| LoadError::Invalid(one_line(&error)))?;
        self.compiled.fetch_add(1, Relaxed);
        if let Some(cache) = &loading.cache {
            cache.put(key, &code);
        }
        Ok(module)
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
        let mut unknown = self.unknown_imports(plugin);
        for (import, nearest) in unknown.by_ref().take(NAMED) {
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
        match unknown.count() {
            0 => {}
            more => {
                let _ = write!(names, ", and {more} more");
            }
        }
        Err(LoadError::UnknownImports(names))
    }

    fn offers(&self, import: &Import) -> bool {
        self.offered.iter().any(|offered| offered == import)
    }

    fn nearest(&self, import: &Import) -> Option<&Import> {
        let full = |import: &Import| format!("{}.{}", import.module, import.name);
        let wanted = full(import);
        if wanted.len() > LONG_NAME {
            return None;
        }
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

fn check_memory(minimum: u64, config: &HandlerConfig) -> Result<(), LoadError> {
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

fn check_tables(plugin: &Plugin) -> Result<(), LoadError> {
    let tables = plugin.tables();
    if tables.count > u64::from(TABLES) || tables.largest > TABLE_ELEMENTS as u64 {
        return Err(LoadError::Tables(tables));
    }
    Ok(())
}

impl Handler {
    /// The same version with this configuration, which can be its own. It has no connections yet,
    /// and the code in common.
    pub fn again(
        &self,
        config: &Arc<HandlerConfig>,
        tenant: &Arc<Tenant>,
    ) -> Result<Self, LoadError> {
        check_memory(self.code.minimum, config)?;
        Ok(Self {
            config: Arc::clone(config),
            tenant: Arc::clone(tenant),
            version: self.version,
            connections: Arc::default(),
            code: Arc::clone(&self.code),
        })
    }

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

    /// The connections that it has been given since it was put into service.
    pub const fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// When its module was loaded.
    pub fn loaded(&self) -> SystemTime {
        self.code.loaded
    }

    /// The sha256 of the module.
    pub fn digest(&self) -> &str {
        &self.code.digest
    }

    /// Whose it is.
    pub const fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// How it is called.
    pub fn entry(&self) -> Entry {
        self.code.entry
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
