//! Makes a [`Config`] of what was written, or says all that is wrong with it.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::reader::{Checked, Reader, Reported, Section};
use super::{
    Config, ConfigError, DrainInput, Errors, HandlerConfig, ListenerConfig, Origin, ServerConfig,
    SocketOptions, Spawn, UdpConfig, UdpMode, WhenFull, nearest, scalar,
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
        .map(|section| listener(&mut reader(document, section, &mut errors), &mut bound))
        .collect();
    let handlers: Vec<_> = document
        .handlers
        .iter()
        .map(|(name, section)| handler(name, &mut reader(document, section, &mut errors)))
        .collect();
    listener_names(document, &mut errors);
    references(document, &mut errors);
    let config = || -> Checked<_> {
        let listeners = listeners.into_iter().collect::<Checked<_>>()?;
        let handlers = handlers.into_iter().collect::<Checked<_>>()?;
        Ok(Config { server: server?, listeners, handlers, pools: Vec::new() })
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
    let drain_timeout = read.limit("drain_timeout");
    let drain_idle = read.limit("drain_idle");
    let receipts = read.receipts("receipts");
    let max_module_size = read.size("max_module_size");
    Ok(ServerConfig {
        max_connections: max_connections?,
        max_handshakes: max_handshakes?,
        max_flows: NonZeroU32::new(1024).ok_or(Reported)?,
        drain_timeout: drain_timeout?,
        drain_idle: drain_idle?,
        receipts: receipts?,
        max_module_size: max_module_size?,
    })
}

fn listener(
    read: &mut Reader<'_>,
    bound: &mut Vec<(Address, Origin)>,
) -> Checked<Arc<ListenerConfig>> {
    let name = read.name("name");
    let bind = bind(read, bound);
    let handler = read.name("handler");
    let backlog = read.count("backlog");
    let max_connections = read.count_or_none("max_connections");
    let spawn = read.spawn("spawn");
    let accept_backoff = read.backoff("accept_backoff");
    let max_accept = read.count("max_accept");
    let nodelay = read.boolean("nodelay");
    let idle_timeout = read.limit("idle_timeout");
    let write_timeout = read.limit("write_timeout");
    Ok(Arc::new(ListenerConfig {
        name: name?,
        bind: bind?,
        handler: handler?,
        socket: SocketOptions {
            backlog: backlog?,
            reuse_port: false,
            v6_only: false,
            nodelay: nodelay?,
            keepalive: None,
            user_timeout: None,
            receive_buffer: None,
            send_buffer: None,
            defer_accept: None,
            ip_freebind: false,
            mark: None,
            device: None,
            unix_mode: None,
            unix_owner: None,
            unix_group: None,
        },
        udp: UdpConfig {
            mode: UdpMode::Flow,
            max_datagram: 65_527,
            max_flows: None,
            flow_queue: NonZeroU32::new(64).ok_or(Reported)?,
            max_reply_factor: None,
            multicast: Vec::new(),
        },
        max_connections: max_connections?,
        spawn: spawn?.map_or(Spawn::PerConnection, Spawn::AtMost),
        when_full: WhenFull::Wait,
        farewell: String::new(),
        accept_backoff: accept_backoff?,
        max_accept: max_accept?,
        idle_timeout: idle_timeout?,
        flow_idle_timeout: Some(Duration::from_secs(30)),
        write_timeout: write_timeout?,
        origin: origin_of(read.section, "bind"),
    }))
}

/// The addresses of a listener; `bound` are those of the listeners so far.
fn bind(read: &mut Reader<'_>, bound: &mut Vec<(Address, Origin)>) -> Checked<Vec<Address>> {
    let addresses = read.addresses("bind")?;
    let mut bind = Ok(Vec::new());
    for (address, origin) in addresses {
        match bound.iter().find(|(other, _)| *other == address && !address.is_port_zero()) {
            None => {
                bound.push((address.clone(), origin));
                if let Ok(bind) = &mut bind {
                    bind.push(address);
                }
            }
            Some((_, other)) => {
                let message = format!("{address} is bound already, by {other}");
                read.errors.push(ConfigError::new(origin, message));
                bind = Err(Reported);
            }
        }
    }
    bind
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
    let stdout = read.stdout("stdout");
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
        drain_input: DrainInput::Open,
        origin: origin_of(read.section, "module"),
    }))
}

fn origin_of(section: &Section, key: &str) -> Origin {
    section.value(key).map_or(&section.origin, |value| &value.origin).clone()
}

fn listener_names(document: &Document, errors: &mut Vec<ConfigError>) {
    let mut seen: Vec<(&str, &Origin)> = Vec::new();
    for (name, origin) in document.listeners.iter().filter_map(|section| section.text("name")) {
        match seen.iter().find(|(other, _)| *other == name) {
            None => seen.push((name, origin)),
            Some((_, other)) => errors.push(ConfigError::new(
                origin.clone(),
                format!("the listener of {other} is called `{name}` too; each has its own name"),
            )),
        }
    }
}

/// Every listener has its handler and every handler a listener. What a mistake that was reported
/// before would cause is not reported again.
fn references(document: &Document, errors: &mut Vec<ConfigError>) {
    let Document { listeners, handlers, .. } = document;
    if listeners.is_empty() && document.whole {
        errors.push(ConfigError::new(
            document.origin.clone(),
            "there is no [[listener]], so nobody could connect; \
             write one with `name`, `bind` and `handler`",
        ));
    }
    let names = || handlers.iter().map(|(name, _)| name.as_str());
    let mut all_found = document.whole && !listeners.is_empty();
    for section in listeners {
        let Some((handler, origin)) = handler_of(section) else {
            all_found = false;
            continue;
        };
        if names().any(|name| name == handler) {
            continue;
        }
        all_found = false;
        if document.whole {
            let hint = nearest::did_you_mean(handler, names());
            errors.push(ConfigError::new(
                origin.clone(),
                format!("no [handler.{handler}] defines this handler{hint}"),
            ));
        }
    }
    let used = |name: &str| listeners.iter().filter_map(handler_of).any(|(used, _)| used == name);
    for (name, section) in handlers.iter().filter(|(name, _)| all_found && !used(name)) {
        errors.push(ConfigError::new(
            section.origin.clone(),
            format!("no listener uses [handler.{name}]; name it in one, or take it out"),
        ));
    }
}

/// The handler that a listener names, if that can be a name.
fn handler_of(section: &Section) -> Option<(&str, &Origin)> {
    scalar::name(section.value("handler")?).ok()?;
    section.text("handler")
}
