//! What a server is doing, for people and programs that watch it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::Server;
use super::listener::{Listener, Run};
use super::tenants::{TenantStatus, statuses};
use super::versions::{Failure, Handlers, Versions};
use crate::handler::Handler;
use crate::listener::{Phase, Refused, State};

/// A server, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The version of portcell.
    pub version: &'static str,
    /// The number of its process.
    pub pid: u32,
    /// What it is doing.
    pub state: ServerState,
    /// How long ago it was loaded, in milliseconds.
    pub uptime_ms: u64,
    /// Connections that have a place.
    pub connections: usize,
    /// How many there may be.
    pub max_connections: usize,
    /// Flows that have a place.
    pub flows: usize,
    /// What all instances have, in bytes.
    pub memory: u64,
    /// What they may have, in bytes; `None` is no bound.
    pub max_memory: Option<u64>,
    /// How often `max_memory` was not enough for one.
    pub memory_denied: u64,
    /// Receipts that were lost since the start.
    pub receipts_lost: u64,
    /// Modules that were compiled since the start.
    pub compiled: u64,
    /// Modules that were taken from the compile cache since the start.
    pub from_cache: u64,
    /// By name.
    pub listeners: Vec<ListenerStatus>,
    /// By name.
    pub handlers: Vec<HandlerStatus>,
    /// By name.
    pub tenants: Vec<TenantStatus>,
    /// The server's own, then those of listeners, pools and tenants that have a table.
    pub limits: Vec<LimitStatus>,
    /// What became of configurations that were to be applied while it runs.
    pub reloads: Outcomes,
    /// What became of modules that handlers were to have instead of theirs.
    pub swaps: Outcomes,
}

/// What a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It is not running yet.
    Starting,
    /// It serves.
    Running,
    /// It takes nobody in any more, and ends when its connections have.
    Draining,
}

/// A bound, and how much of it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitStatus {
    /// `server`, `listener.NAME`, `pool.NAME` or `tenant.NAME`, which can be set; `handshakes` or
    /// `flows`, which cannot.
    pub name: String,
    /// How many there may be; `None` is no bound of its own.
    pub most: Option<u64>,
    /// How many there are.
    pub used: u64,
    /// Whether it can be set while the server runs.
    pub live: bool,
}

/// How often something was tried that may be refused, and how it went the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// How often it was done.
    pub applied: u64,
    /// How often it was refused.
    pub refused: u64,
    /// The last time.
    pub last: Option<ChangeStatus>,
}

/// A change that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeStatus {
    /// When, as in RFC 3339, in UTC.
    pub time: String,
    /// Of which handler, if of one.
    pub handler: Option<String>,
    /// Why it was refused; `None` if it was done.
    pub error: Option<String>,
}

/// What became of the changes that a server was asked for.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub(super) reloads: Outcomes,
    pub(super) swaps: Outcomes,
}

impl Outcomes {
    pub(super) fn note<T, E: ToString>(&mut self, handler: Option<&str>, outcome: &Result<T, E>) {
        let count = if outcome.is_ok() { &mut self.applied } else { &mut self.refused };
        *count += 1;
        let error = outcome.as_ref().err().map(ToString::to_string);
        let handler = handler.map(str::to_owned);
        self.last = Some(ChangeStatus { time: time(SystemTime::now()), handler, error });
    }
}

/// A listener, as it is now. The counts are those since it was first there: they go on when it is
/// changed, or stopped and started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Why it is backing off or has failed.
    pub why: Option<String>,
    /// Where it is bound, with the ports that the kernel picked; where it will be, if it is not.
    pub addresses: Vec<String>,
    /// The handler that its connections get.
    pub handler: String,
    /// Connections and flows that are open, with those on their way in or out.
    pub connections: usize,
    /// Clients taken in, flows included.
    pub accepted: u64,
    /// Clients turned away.
    pub refused: u64,
    /// The same by why, in the words of [`Refused`].
    pub refusals: BTreeMap<&'static str, u64>,
    /// Waits after accepts that failed.
    pub backoffs: u64,
    /// How long those that are over were together, in milliseconds.
    pub backoff_ms: u64,
    /// Handshakes of TLS that are done, those that guests began included.
    pub handshakes_done: u64,
    /// Handshakes of TLS that failed, those that guests began included.
    pub handshakes_failed: u64,
    /// Bytes that clients sent in plaintext before they were told to begin TLS.
    pub discarded: u64,
    /// Datagrams that came in.
    pub datagrams: u64,
    /// Datagrams that were cut.
    pub truncated: u64,
    /// Datagrams that were dropped here.
    pub dropped: u64,
    /// Datagrams that the kernel dropped.
    pub kernel_dropped: u64,
    /// Flows that made room for others.
    pub evicted: u64,
    /// Answers that were not sent.
    pub unsent: u64,
}

/// A handler, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HandlerStatus {
    /// Its name.
    pub name: String,
    /// The version that connections get. Counts the modules that it has had, from 1.
    pub version: u64,
    /// The sha256 of that version's module.
    pub digest: String,
    /// The module's file, which can be that of another version since.
    pub module: String,
    /// When the version's module was loaded, as in RFC 3339, in UTC.
    pub loaded: String,
    /// The versions that can be had again or have connections, by their numbers.
    pub versions: Vec<VersionStatus>,
    /// Why the last module that was to be loaded is not in service; `None` if it is.
    pub error: Option<FailureStatus>,
}

/// A version of a handler, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionStatus {
    /// Its number.
    pub version: u64,
    /// The sha256 of its module.
    pub digest: String,
    /// When that was loaded, as in RFC 3339, in UTC.
    pub loaded: String,
    /// What it is for.
    pub state: VersionState,
    /// Connections and flows that have it, with those on their way out.
    pub connections: usize,
}

/// What a version of a handler is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// Connections get it.
    InService,
    /// It can be had again.
    Kept,
    /// It is gone when its connections have ended.
    Leaving,
}

/// Why a module is not in service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailureStatus {
    /// When that was found, as in RFC 3339, in UTC.
    pub time: String,
    /// What is wrong with it.
    pub error: String,
}

impl Status {
    pub(super) fn of(server: &Server) -> Self {
        let handlers =
            server.handlers.iter().map(|versions| HandlerStatus::of(versions, &server.handlers));
        let (taken, free) = (server.admission.taken(), server.admission.free());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            state: match server.phase {
                Phase::Bound => ServerState::Starting,
                Phase::Draining | Phase::Stopped => ServerState::Draining,
                Phase::Accepting | Phase::Suspended => ServerState::Running,
            },
            uptime_ms: u64::try_from(server.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            connections: taken,
            max_connections: taken + free,
            flows: server.admission.flows(),
            memory: server.loader.memory().used(),
            max_memory: server.loader.memory().limit(),
            memory_denied: server.loader.memory().denied(),
            receipts_lost: server.receipts.lost(),
            compiled: server.loader.compiled(),
            from_cache: server.loader.from_cache(),
            listeners: server.listeners.values().map(ListenerStatus::of).collect(),
            handlers: handlers.collect(),
            tenants: statuses(server.loader.tenants()),
            limits: limits(server),
            reloads: server.tried.reloads.clone(),
            swaps: server.tried.swaps.clone(),
        }
    }

    /// The listener of this name.
    pub fn listener(&self, name: &str) -> Option<&ListenerStatus> {
        self.listeners.iter().find(|listener| listener.name == name)
    }

    /// The handler of this name.
    pub fn handler(&self, name: &str) -> Option<&HandlerStatus> {
        self.handlers.iter().find(|handler| handler.name == name)
    }
}

impl HandlerStatus {
    fn of(versions: &Versions, all: &Handlers) -> Self {
        let (present, name) = (versions.present(), versions.present().name());
        let mut known = all.known(name).versions;
        known.sort_by_key(|handler| handler.version());
        known.dedup_by_key(|handler| handler.version());
        let version = |handler: Arc<Handler>| VersionStatus {
            version: handler.version(),
            digest: handler.digest().to_owned(),
            loaded: time(handler.loaded()),
            state: versions.state_of(handler.version()),
            connections: all.connections(name, handler.version()),
        };
        let failed = |failure: &Failure| FailureStatus {
            time: time(failure.time),
            error: failure.error.clone(),
        };
        Self {
            name: name.to_owned(),
            version: present.version(),
            digest: present.digest().to_owned(),
            module: present.config().module.display().to_string(),
            loaded: time(present.loaded()),
            versions: known.into_iter().map(version).collect(),
            error: versions.failure().map(failed),
        }
    }
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

impl ListenerStatus {
    fn of(listener: &Listener) -> Self {
        let (running, counts) = (listener.running(), &listener.counts);
        let addresses = match running {
            Some(running) if !running.sockets.is_empty() => {
                running.sockets.iter().map(|(_, socket)| socket.address().to_string()).collect()
            }
            _ => listener.addresses.iter().map(ToString::to_string).collect(),
        };
        Self {
            name: listener.config.name.clone(),
            state: listener.state(),
            why: match &listener.run {
                Run::Running(running) => running.life().why(),
                Run::Created | Run::Stopped => None,
                Run::Failed(why) => Some(why.clone()),
            },
            addresses,
            handler: listener.config.handler.clone(),
            connections: running.map_or(0, |running| running.connections().count()),
            accepted: counts.accepted.get(),
            refused: counts.refused(),
            refusals: Refused::ALL.map(|why| (why.name(), counts.refused_for(why))).into(),
            backoffs: counts.backoffs.get(),
            backoff_ms: counts.backoff_ms.get(),
            handshakes_done: counts.handshakes_done.get(),
            handshakes_failed: counts.handshakes_failed.get(),
            discarded: counts.discarded.get(),
            datagrams: counts.datagrams.get(),
            truncated: counts.truncated.get(),
            dropped: counts.dropped.get(),
            kernel_dropped: counts.kernel_dropped.get(),
            evicted: counts.evicted.get(),
            unsent: counts.unsent.get(),
        }
    }
}

fn limits(server: &Server) -> Vec<LimitStatus> {
    let (config, admission) = (&server.config, &server.admission);
    let limit = |name: String, most: Option<u64>, used: usize, live| LimitStatus {
        name,
        most,
        used: used as u64,
        live,
    };
    let whole = |most: NonZeroU32| u64::from(most.get());
    let most = config.server.max_connections.map_or(server.room, NonZeroU32::get);
    let own = [
        limit("server".into(), Some(most.into()), admission.taken(), true),
        limit(
            "handshakes".into(),
            Some(whole(config.server.max_handshakes)),
            admission.handshakes(),
            false,
        ),
        limit("flows".into(), Some(whole(config.server.max_flows)), admission.flows(), false),
    ];
    let listeners = server.listeners.iter().map(|(name, listener)| {
        let most = listener.config.max_connections.map(whole);
        limit(format!("listener.{name}"), most, listener.streams(), true)
    });
    let pools = config.pools.iter().map(|pool| {
        let used = admission.taken_of_pool(&pool.name);
        limit(format!("pool.{}", pool.name), Some(whole(pool.size)), used, true)
    });
    let counted = server.loader.tenants().all();
    let tenants = config.tenants.iter().map(|tenant| {
        let used = counted.iter().find(|one| one.name() == tenant.name);
        let used = used.map_or(0, |one| one.connections());
        limit(format!("tenant.{}", tenant.name), tenant.max_connections.map(whole), used, true)
    });
    own.into_iter().chain(listeners).chain(pools).chain(tenants).collect()
}
