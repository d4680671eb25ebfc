//! The keys of each table, with how two configurations have them.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{
    CacheConfig, CertificateConfig, CertificateFiles, ClientAuth, ClientTrust, CrlScope, Dir,
    DrainInput, HandlerConfig, Keepalive, ListenerConfig, LogBounds, MemoryBound, Meter, MinRate,
    NameConfig, NamedFile, PoolConfig, Receipts, ReceiptsFor, ServerConfig, Spawn, Stdout,
    TenantConfig, TlsConfig, TlsStart, Truncation, UdpMode, Version, WhenFull, display_duration,
    display_size,
};

/// The `[listener.tls]` of both.
pub(super) type BothTls<'a> = (Option<&'a TlsConfig>, Option<&'a TlsConfig>);

/// A key as both have it.
pub(super) struct Compared {
    pub(super) name: &'static str,
    pub(super) differs: bool,
    pub(super) from: String,
    pub(super) to: String,
}

/// The keys of one table.
struct Table<'a, C> {
    old: &'a C,
    new: &'a C,
    keys: Vec<Compared>,
}

pub(super) fn server(old: &ServerConfig, new: &ServerConfig) -> Vec<Compared> {
    let mut table = Table::new(old, new);
    table
        .key("max_connections", |c| c.max_connections, |n| or("auto", n))
        .plain("max_handshakes", |c| c.max_handshakes)
        .plain("max_flows", |c| c.max_flows)
        .key("drain_timeout", |c| c.drain_timeout, limit)
        .key("drain_idle", |c| c.drain_idle, limit)
        .key(
            "receipts",
            |c| c.receipts.clone(),
            |receipts| match receipts {
                Receipts::Off => "off".into(),
                Receipts::Stderr => "stderr".into(),
                Receipts::File(path) => path.display().to_string(),
            },
        )
        .key(
            "receipts_for",
            |c| c.receipts_for,
            |wanted| match wanted {
                ReceiptsFor::Connections => "connections".into(),
                ReceiptsFor::All => "all".into(),
            },
        )
        .key("coredumps", |c| c.coredumps.clone(), |folder| path("none", folder))
        .key("admin", |c| c.admin.clone().map(|admin| admin.address), |at| or("none", at))
        .key("admin_token", |c| c.admin.clone()?.token, |file| path("none", file))
        .key("metrics", |c| c.metrics.clone(), |at| or("none", at))
        .key("max_module_size", |c| c.max_module_size, display_size)
        .key(
            "max_memory",
            |c| c.max_memory,
            |bound| match bound {
                MemoryBound::Auto => "auto".into(),
                MemoryBound::Unbounded => "none".into(),
                MemoryBound::Bytes(bytes) => display_size(bytes),
            },
        )
        .key("compile_timeout", |c| c.compile_timeout, display_duration)
        .key("compile_memory", |c| c.compile_memory, display_size)
        .key(
            "cache",
            |c| c.cache.clone(),
            |cache| match cache {
                CacheConfig::Auto => "auto".into(),
                CacheConfig::Off => "off".into(),
                CacheConfig::Folder(folder) => folder.display().to_string(),
            },
        )
        .key("stack", |c| c.stack, |bytes| display_size(bytes.into()))
        .key(
            "meter",
            |c| c.meter,
            |meter| match meter {
                Meter::Epoch => "epoch".into(),
                Meter::Fuel => "fuel".into(),
            },
        )
        .plain("share_data", |c| c.share_data);
    table.keys
}

pub(super) fn listener(old: &ListenerConfig, new: &ListenerConfig) -> Vec<Compared> {
    let mut table = Table::new(old, new);
    table
        .key("bind", |c| c.bind.clone(), |bind| list(bind.iter()))
        .plain("handler", |c| c.handler.clone())
        .key("max_connections", |c| c.max_connections, |n| or("none", n))
        .key(
            "spawn",
            |c| c.spawn.clone(),
            |spawn| match spawn {
                Spawn::PerConnection => "default".into(),
                Spawn::AtMost(most) => most.to_string(),
                Spawn::Pool(pool) => format!("pool {pool}"),
            },
        )
        .key(
            "when_full",
            |c| c.when_full,
            |when| match when {
                WhenFull::Wait => "wait".into(),
                WhenFull::Refuse => "refuse".into(),
                WhenFull::Queue { most, wait } => {
                    format!("a queue of {most} for {}", display_duration(wait))
                }
            },
        )
        // It may be long.
        .key("farewell", |c| c.farewell.clone(), |_| "another".into())
        .key(
            "accept_backoff",
            |c| c.accept_backoff,
            |backoff| {
                format!("{}..{}", display_duration(backoff.min), display_duration(backoff.max))
            },
        )
        .plain("max_accept", |c| c.max_accept)
        .key("handshake_timeout", |c| c.handshake_timeout, display_duration)
        .key(
            "idle_timeout",
            |c| (c.idle_timeout, c.flow_idle_timeout),
            |(streams, flows)| {
                if streams == flows {
                    return limit(streams);
                }
                format!("{}, for UDP {}", limit(streams), limit(flows))
            },
        )
        .key("write_timeout", |c| c.write_timeout, limit)
        .key("max_bytes_in", |c| c.max_bytes_in, size)
        .key("max_bytes_out", |c| c.max_bytes_out, size)
        .key(
            "min_rate",
            |c| c.min_rate,
            |rate| {
                let shown = |rate: MinRate| {
                    let MinRate { bytes, over } = rate;
                    format!("{} over {}", display_size(bytes.get()), display_duration(over))
                };
                or("none", rate.map(shown))
            },
        );
    datagrams(&mut table);
    sockets(&mut table);
    table.keys
}

fn datagrams(table: &mut Table<'_, ListenerConfig>) {
    table
        .key(
            "mode",
            |c| c.udp.mode,
            |mode| match mode {
                UdpMode::Flow => "flow".into(),
                UdpMode::Datagram => "datagram".into(),
            },
        )
        .plain("max_datagram", |c| c.udp.max_datagram)
        .key("max_flows", |c| c.udp.max_flows, |n| or("none", n))
        .plain("flow_queue", |c| c.udp.flow_queue)
        .key("max_reply_factor", |c| c.udp.max_reply_factor, |n| or("none", n))
        .key("multicast", |c| c.udp.multicast.clone(), |groups| list(groups.iter()));
}

fn sockets(table: &mut Table<'_, ListenerConfig>) {
    let size = |size: Option<NonZeroU32>| {
        size.map_or_else(|| "default".into(), |size| display_size(size.get().into()))
    };
    table
        .plain("backlog", |c| c.socket.backlog)
        .plain("reuse_port", |c| c.socket.reuse_port)
        .plain("v6_only", |c| c.socket.v6_only)
        .plain("ip_freebind", |c| c.socket.ip_freebind)
        .key("device", |c| c.socket.device.clone(), |device| or("none", device))
        .key("mark", |c| c.socket.mark, |mark| or("none", mark))
        .key("receive_buffer", |c| c.socket.receive_buffer, size)
        .key("send_buffer", |c| c.socket.send_buffer, size)
        .plain("nodelay", |c| c.socket.nodelay)
        .key(
            "keepalive",
            |c| c.socket.keepalive,
            |keepalive| match keepalive {
                None => "none".into(),
                Some(Keepalive { idle, interval, count }) => {
                    format!("{}:{}:{count}", display_duration(idle), display_duration(interval))
                }
            },
        )
        .key("user_timeout", |c| c.socket.user_timeout, limit)
        .key("defer_accept", |c| c.socket.defer_accept, limit)
        .key(
            "unix_mode",
            |c| c.socket.unix_mode,
            |mode| mode.map_or_else(|| "none".into(), |mode| format!("{mode:04o}")),
        )
        .key("unix_owner", |c| c.socket.unix_owner.clone(), |owner| or("none", owner))
        .key("unix_group", |c| c.socket.unix_group.clone(), |group| or("none", group));
}

pub(super) fn tls(old: &TlsConfig, new: &TlsConfig) -> Vec<Compared> {
    let mut table = Table::new(old, new);
    let own = |c: &TlsConfig| c.certificate.clone().and_then(files);
    files_of(&mut table, own);
    table
        .plain("self_signed", |c| matches!(c.certificate, Some(CertificateConfig::SelfSigned(_))))
        .plain("client_auth", |c| auth(c))
        .plain("client_ca", |c| paths(trust(c).map(|trust| &*trust.ca)))
        .plain("client_crl", |c| paths(trust(c).map(|trust| &*trust.crl)))
        .key(
            "client_crl_scope",
            |c| trust(c).map(|trust| trust.crl_scope),
            |scope| match scope {
                None | Some(CrlScope::Chain) => "chain".into(),
                Some(CrlScope::Leaf) => "leaf".into(),
            },
        )
        .key(
            "versions",
            |c| c.versions,
            |versions| {
                let has = |version: &Version| versions.has(*version);
                list([Version::Tls12, Version::Tls13].iter().filter(|v| has(v)).map(|v| v.as_str()))
            },
        )
        .key("ciphers", |c| c.ciphers.clone(), |ciphers| list(ciphers.iter().map(|c| c.iana)))
        .key("alpn", |c| c.alpn.clone(), |alpn| list(alpn.iter()))
        .key(
            "start",
            |c| c.start,
            |start| match start {
                TlsStart::Connect => "connect".into(),
                TlsStart::Request => "request".into(),
            },
        )
        .key(
            "truncation",
            |c| c.truncation,
            |truncation| match truncation {
                Truncation::Error => "error".into(),
                Truncation::Eof => "eof".into(),
            },
        );
    table.keys
}

pub(super) fn tls_name(old: &NameConfig, new: &NameConfig) -> Vec<Compared> {
    let mut table = Table::new(old, new);
    files_of(&mut table, |c| files(c.certificate.clone()));
    table.key("handler", |c| c.handler.clone(), |handler| or("the listener's", handler));
    table.keys
}

pub(super) fn handler(old: &HandlerConfig, new: &HandlerConfig) -> Vec<Compared> {
    let mut table = Table::new(old, new);
    table
        .key("module", |c| c.module.clone(), |path| path.display().to_string())
        // It can be a script.
        .key("build", |c| c.build.clone(), |build| or("none", build.map(|_| "a command")))
        .plain("tenant", |c| c.tenant.clone())
        .key("memory", |c| c.memory, display_size)
        .key("fuel", |c| c.fuel, |units| or("none", units))
        .key("cpu", |c| c.cpu, limit)
        .key("cpu_total", |c| c.cpu_total, limit)
        .key("lifetime", |c| c.lifetime, limit)
        .key("slice", |c| c.slice, display_duration)
        .key("max_host_calls", |c| c.max_host_calls, |calls| or("none", calls))
        .key(
            "log",
            |c| c.log,
            |LogBounds { lines, bytes, line }| {
                let (bytes, line) = (display_size(bytes.get().into()), display_size(line.into()));
                format!("{lines} lines, {bytes}, {line} a line")
            },
        )
        // Values can be secret.
        .key("env", |c| c.env.clone(), |env| list(env.iter().map(|(name, _)| name)))
        .key("dirs", |c| c.dirs.clone(), |dirs| list(dirs.iter().map(dir)))
        .key(
            "stdout",
            |c| c.stdout,
            |stdout| match stdout {
                Stdout::Terminal => "terminal".into(),
                Stdout::Full => "full".into(),
            },
        )
        .key(
            "drain_input",
            |c| c.drain_input,
            |input| match input {
                DrainInput::Open => "open".into(),
                DrainInput::End => "end".into(),
            },
        )
        .plain("watch", |c| c.watch)
        .plain("trial", |c| c.trial)
        .key("retire_after", |c| c.retire_after, limit);
    table.keys
}

pub(super) fn pool(old: &PoolConfig, new: &PoolConfig) -> Vec<Compared> {
    let mut table = Table::new(old, new);
    table.plain("size", |c| c.size);
    table.keys
}

pub(super) fn tenant(old: &TenantConfig, new: &TenantConfig) -> Vec<Compared> {
    let mut table = Table::new(old, new);
    table
        .key("max_connections", |c| c.max_connections, |n| or("none", n))
        .key("memory", |c| c.memory, |bytes| or("none", bytes.map(display_size)))
        .key("cpu", |c| c.cpu, |micros| or("none", micros.map(processors)));
    table.keys
}

/// Microseconds of CPU time a second, as the number of processors.
fn processors(micros: NonZeroU32) -> String {
    (f64::from(micros.get()) / 1e6).to_string()
}

impl<'a, C> Table<'a, C> {
    const fn new(old: &'a C, new: &'a C) -> Self {
        Self { old, new, keys: Vec::new() }
    }

    /// Compares a key, of which `of` gives the value.
    fn plain<T: PartialEq + ToString>(
        &mut self,
        name: &'static str,
        of: impl Fn(&C) -> T,
    ) -> &mut Self {
        self.key(name, of, |value| value.to_string())
    }

    /// The same, where `shown` makes text of the value.
    fn key<T: PartialEq>(
        &mut self,
        name: &'static str,
        of: impl Fn(&C) -> T,
        shown: impl Fn(T) -> String,
    ) -> &mut Self {
        let (old, new) = (of(self.old), of(self.new));
        let differs = old != new;
        self.keys.push(Compared { name, differs, from: shown(old), to: shown(new) });
        self
    }
}

fn files_of<C>(table: &mut Table<'_, C>, of: impl Fn(&C) -> Option<CertificateFiles>) {
    let path =
        |file: Option<NamedFile>| or("none", file.map(|file| file.path.display().to_string()));
    table
        .key("certificate", |c| of(c).map(|files| files.certificate), path)
        .key("key", |c| of(c).map(|files| files.key), path)
        .key("ocsp", |c| of(c).and_then(|files| files.ocsp), path);
}

fn files(certificate: CertificateConfig) -> Option<CertificateFiles> {
    match certificate {
        CertificateConfig::Files(files) => Some(files),
        CertificateConfig::SelfSigned(_) => None,
    }
}

const fn auth(tls: &TlsConfig) -> &'static str {
    match tls.client_auth {
        ClientAuth::None => "none",
        ClientAuth::Optional(_) => "optional",
        ClientAuth::Required(_) => "required",
    }
}

const fn trust(tls: &TlsConfig) -> Option<&ClientTrust> {
    match &tls.client_auth {
        ClientAuth::None => None,
        ClientAuth::Optional(trust) | ClientAuth::Required(trust) => Some(trust),
    }
}

fn paths(files: Option<&[NamedFile]>) -> String {
    list(files.unwrap_or_default().iter().map(|file| Path::display(&file.path)))
}

fn dir(dir: &Dir) -> String {
    let Dir { host, guest, write } = dir;
    format!("{}::{guest}{}", host.display(), if *write { "::rw" } else { "" })
}

fn limit(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "none".into(), display_duration)
}

fn size(limit: Option<u64>) -> String {
    limit.map_or_else(|| "none".into(), display_size)
}

fn path(word: &str, path: Option<PathBuf>) -> String {
    or(word, path.map(|path| path.display().to_string()))
}

fn or(word: &str, value: Option<impl ToString>) -> String {
    value.map_or_else(|| word.to_owned(), |value| value.to_string())
}

/// `a`, or `[a, b]`.
fn list<T: Display>(all: impl Iterator<Item = T>) -> String {
    let all: Vec<_> = all.map(|one| one.to_string()).collect();
    match &all[..] {
        [one] => one.clone(),
        _ => format!("[{}]", all.join(", ")),
    }
}
