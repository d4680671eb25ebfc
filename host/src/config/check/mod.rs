//! Makes a [`Config`] of what was written, or says all that is wrong with it.

mod admin;
mod listener;
mod references;
mod suited;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keys::{self, Home};
use super::reader::{Checked, Reader, Section};
use super::value::Value;
use super::{
    AdminConfig, Config, ConfigError, DrainInput, Environment, Errors, HandlerConfig,
    ListenerConfig, Meter, Origin, PoolConfig, ReceiptsFor, ServerConfig, Stdout, TenantConfig,
};
use crate::address::Address;

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
    /// With the tenants' names.
    pub(super) tenants: Vec<(String, Section)>,
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
        .map(|(name, section)| {
            let meter = server.as_ref().map_or(Meter::Fuel, |server| server.meter);
            handler(name, meter, &mut reader(document, section, &mut errors))
        })
        .collect();
    let pools: Vec<_> = document
        .pools
        .iter()
        .map(|(name, section)| pool(name, &mut reader(document, section, &mut errors)))
        .collect();
    let tenants: Vec<_> = document
        .tenants
        .iter()
        .map(|(name, section)| tenant(name, &mut reader(document, section, &mut errors)))
        .collect();
    references::check(document, &mut errors);
    let config = || -> Checked<_> {
        let listeners = listeners.into_iter().collect::<Checked<_>>()?;
        let handlers = handlers.into_iter().collect::<Checked<_>>()?;
        let pools = pools.into_iter().collect::<Checked<_>>()?;
        let tenants = tenants.into_iter().collect::<Checked<_>>()?;
        Ok(Config { server: server?, listeners, handlers, pools, tenants })
    };
    Errors::or(errors, config().ok())
}

/// Checks only where `document` says that its server is steered.
pub(super) fn check_admin(document: &Document) -> Result<Option<AdminConfig>, Errors> {
    let mut errors = Vec::new();
    let admin = admin::admin(&mut reader(document, &document.server, &mut errors));
    Errors::or(errors, admin.ok())
}

/// A listener at `address` with every key at its default, which no handler belongs to.
pub(super) fn usual_listener(name: &str, address: &Address) -> ListenerConfig {
    let origin = Origin::Default;
    let mut section = Section::new(Home::Listener, Home::Listener.header(), origin.clone());
    for (key, text) in [("name", name), ("handler", name), ("bind", "0")] {
        let value = Value::text(origin.clone(), text);
        section.entries.extend(keys::find(Home::Listener, key).map(|key| (key, value)));
    }
    let mut errors = Vec::new();
    let mut read = Reader { section: &section, base: Path::new(""), errors: &mut errors };
    let usual = listener::listener(&mut read, &mut Vec::new()).expect("a test reads all defaults");
    ListenerConfig { bind: vec![address.clone()], ..Arc::unwrap_or_clone(usual) }
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
    let admin = admin::admin(read);
    let metrics = admin::metrics(read);
    let receipts_for = read.choice("receipts_for", [ReceiptsFor::Connections, ReceiptsFor::All]);
    let coredumps = read.folder_or_off("coredumps");
    let max_module_size = read.size("max_module_size");
    let compile_timeout = read.within("compile_timeout");
    let compile_memory = read.size("compile_memory");
    let cache = read.cache("cache");
    let max_memory = read.total_memory("max_memory");
    let stack = read.size("stack");
    let meter = read.choice("meter", [Meter::Epoch, Meter::Fuel]);
    let share_data = read.boolean("share_data");
    Ok(ServerConfig {
        max_connections: max_connections?,
        max_handshakes: max_handshakes?,
        max_flows: max_flows?,
        drain_timeout: drain_timeout?,
        drain_idle: drain_idle?,
        receipts: receipts?,
        admin: admin?,
        metrics: metrics?,
        receipts_for: receipts_for?,
        coredumps: coredumps?,
        max_module_size: max_module_size?,
        compile_timeout: compile_timeout?,
        compile_memory: compile_memory?,
        cache: cache?,
        max_memory: max_memory?,
        stack: u32::try_from(stack?).unwrap_or(u32::MAX),
        meter: meter?,
        share_data: share_data?,
    })
}

/// One handler; `meter` is the server's, as far as it could be read.
fn handler(name: &str, meter: Meter, read: &mut Reader<'_>) -> Checked<Arc<HandlerConfig>> {
    let module = read.path("module");
    let build = read.written("build", Reader::command);
    let tenant = read.name("tenant");
    let memory = read.size("memory");
    let fuel = read.amount("fuel");
    let is_fuelled = matches!(fuel, Ok(Some(_)));
    // What ends at the same instruction everywhere is not to end earlier on a slow machine.
    let cpu = match read.section.value("cpu") {
        None if is_fuelled => Ok(None),
        _ => read.limit("cpu"),
    };
    let fuel = if is_fuelled && meter == Meter::Epoch {
        let why = "it is not counted while `meter` in [server] is \"epoch\"; make that \"fuel\", \
                   or leave this out";
        read.refuse("fuel", why)
    } else {
        fuel
    };
    let cpu_total = read.limit("cpu_total");
    let lifetime = read.limit("lifetime");
    let slice = read.within("slice");
    let max_host_calls = read.count_or_none("max_host_calls");
    let log = read.log("log");
    let env = read.env("env");
    let dirs = read.dirs("dirs");
    let stdout = read.choice("stdout", [Stdout::Terminal, Stdout::Full]);
    let drain_input = read.choice("drain_input", [DrainInput::Open, DrainInput::End]);
    let watch = read.boolean("watch");
    let trial = read.boolean("trial");
    let retire_after = read.limit("retire_after");
    Ok(Arc::new(HandlerConfig {
        name: name.to_owned(),
        module: module?,
        build: build?,
        tenant: tenant?,
        memory: memory?,
        fuel: fuel?,
        cpu: cpu?,
        cpu_total: cpu_total?,
        lifetime: lifetime?,
        slice: slice?,
        max_host_calls: max_host_calls?,
        log: log?,
        env: Environment(env?),
        dirs: dirs?,
        stdout: stdout?,
        drain_input: drain_input?,
        watch: watch?,
        trial: trial?,
        retire_after: retire_after?,
        origin: origin_of(read.section, "module"),
    }))
}

fn pool(name: &str, read: &mut Reader<'_>) -> Checked<PoolConfig> {
    Ok(PoolConfig { name: name.to_owned(), size: read.count("size")? })
}

fn tenant(name: &str, read: &mut Reader<'_>) -> Checked<TenantConfig> {
    let max_connections = read.count_or_none("max_connections");
    let memory = read.long_size_or_none("memory");
    let cpu = read.processors("cpu");
    Ok(TenantConfig {
        name: name.to_owned(),
        max_connections: max_connections?,
        memory: memory?,
        cpu: cpu?,
    })
}

fn origin_of(section: &Section, key: &str) -> Origin {
    section.value(key).map_or(&section.origin, |value| &value.origin).clone()
}
