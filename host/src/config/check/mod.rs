//! Makes a [`Config`] of what was written, or says all that is wrong with it.

mod listener;
mod references;
mod suited;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;

use super::reader::{Checked, Reader, Section};
use super::{
    Config, ConfigError, DrainInput, Errors, HandlerConfig, Origin, PoolConfig, ServerConfig,
    Stdout,
};

/// What was written, whatever the source.
#[derive(Debug)]
pub(super) struct Document {
    /// The whole of it.
    pub(super) origin: Origin,
    /// The folder that relative paths are taken from.
    pub(super) base: PathBuf,
    pub(super) server: Section,
    pub(super) listeners: Vec<Section>,
    /// With the handlers' names.
    pub(super) handlers: Vec<(String, Section)>,
    /// With the pools' names.
    pub(super) pools: Vec<(String, Section)>,
    /// No table was left out for being unknown or malformed.
    pub(super) whole: bool,
}

/// Checks everything; `errors` are those that reading found.
pub(super) fn check(document: &Document, mut errors: Vec<ConfigError>) -> Result<Config, Errors> {
    let server = server(&mut reader(document, &document.server, &mut errors));
    let mut bound = Vec::new();
    let listeners: Vec<_> = document
        .listeners
        .iter()
        .map(|section| listener::listener(&mut reader(document, section, &mut errors), &mut bound))
        .collect();
    let handlers: Vec<_> = document
        .handlers
        .iter()
        .map(|(name, section)| handler(name, &mut reader(document, section, &mut errors)))
        .collect();
    let pools: Vec<_> = document
        .pools
        .iter()
        .map(|(name, section)| pool(name, &mut reader(document, section, &mut errors)))
        .collect();
    references::check(document, &mut errors);
    let config = || -> Checked<_> {
        let listeners = listeners.into_iter().collect::<Checked<_>>()?;
        let handlers = handlers.into_iter().collect::<Checked<_>>()?;
        let pools = pools.into_iter().collect::<Checked<_>>()?;
        Ok(Config { server: server?, listeners, handlers, pools })
    };
    Errors::or(errors, config().ok())
}

fn reader<'a>(
    document: &'a Document,
    section: &'a Section,
    errors: &'a mut Vec<ConfigError>,
) -> Reader<'a> {
    Reader { section, base: &document.base, errors }
}

fn server(read: &mut Reader<'_>) -> Checked<ServerConfig> {
    let max_connections = read.count_or_none("max_connections");
    let max_handshakes = read.count("max_handshakes");
    let max_flows = read.count("max_flows");
    let drain_timeout = read.limit("drain_timeout");
    let drain_idle = read.limit("drain_idle");
    let receipts = read.receipts("receipts");
    let max_module_size = read.size("max_module_size");
    let compile_timeout = read.within("compile_timeout");
    let compile_memory = read.size("compile_memory");
    let cache = read.cache("cache");
    Ok(ServerConfig {
        max_connections: max_connections?,
        max_handshakes: max_handshakes?,
        max_flows: max_flows?,
        drain_timeout: drain_timeout?,
        drain_idle: drain_idle?,
        receipts: receipts?,
        max_module_size: max_module_size?,
        compile_timeout: compile_timeout?,
        compile_memory: compile_memory?,
        cache: cache?,
    })
}

fn handler(name: &str, read: &mut Reader<'_>) -> Checked<Arc<HandlerConfig>> {
    let module = read.path("module");
    let tenant = read.name("tenant");
    let memory = read.size("memory");
    let cpu = read.limit("cpu");
    let cpu_total = read.limit("cpu_total");
    let lifetime = read.limit("lifetime");
    let env = read.env("env");
    let dirs = read.dirs("dirs");
    let stdout = read.choice("stdout", [Stdout::Terminal, Stdout::Full]);
    let drain_input = read.choice("drain_input", [DrainInput::Open, DrainInput::End]);
    Ok(Arc::new(HandlerConfig {
        name: name.to_owned(),
        module: module?,
        tenant: tenant?,
        memory: memory?,
        cpu: cpu?,
        cpu_total: cpu_total?,
        lifetime: lifetime?,
        env: env?,
        dirs: dirs?,
        stdout: stdout?,
        drain_input: drain_input?,
        origin: origin_of(read.section, "module"),
    }))
}

fn pool(name: &str, read: &mut Reader<'_>) -> Checked<PoolConfig> {
    Ok(PoolConfig { name: name.to_owned(), size: read.count("size")? })
}

fn origin_of(section: &Section, key: &str) -> Origin {
    section.value(key).map_or(&section.origin, |value| &value.origin).clone()
}
