//! What a server is doing, for people and programs that watch it.

use serde::Serialize;

use super::Server;
use super::listener::{Listener, Run};
use crate::listener::{Counts, State};

/// A server, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Connections that have a place.
    pub connections: usize,
    /// How many there may be.
    pub max_connections: usize,
    /// Flows that have a place.
    pub flows: usize,
    /// Modules that were compiled since the start.
    pub compiled: u64,
    /// Modules that were taken from the compile cache since the start.
    pub from_cache: u64,
    /// By name.
    pub listeners: Vec<ListenerStatus>,
    /// By name.
    pub handlers: Vec<HandlerStatus>,
}

/// A listener, as it is now. The counts are those since it was started.
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
    /// Waits after accepts that failed.
    pub backoffs: u64,
    /// Handshakes of TLS that failed.
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
    /// Counts the modules that it has had, from 1.
    pub version: u64,
    /// The sha256 of its module.
    pub digest: String,
    /// The module's file.
    pub module: String,
}

impl Status {
    pub(super) fn of(server: &Server) -> Self {
        let handlers = server.handlers.values().map(|handler| HandlerStatus {
            name: handler.config().name.clone(),
            version: handler.version(),
            digest: handler.digest().to_owned(),
            module: handler.config().module.display().to_string(),
        });
        let (taken, free) = (server.admission.taken(), server.admission.free());
        Self {
            connections: taken,
            max_connections: taken + free,
            flows: server.admission.flows(),
            compiled: server.loader.compiled(),
            from_cache: server.loader.from_cache(),
            listeners: server.listeners.values().map(ListenerStatus::of).collect(),
            handlers: handlers.collect(),
        }
    }

    /// The listener of this name.
    pub fn listener(&self, name: &str) -> Option<&ListenerStatus> {
        self.listeners.iter().find(|listener| listener.name == name)
    }
}

impl ListenerStatus {
    fn of(listener: &Listener) -> Self {
        let none = Counts::default();
        let running = listener.running();
        let counts = running.map_or(&none, |running| running.life().counts());
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
            refused: counts.refused.get(),
            backoffs: counts.backoffs.get(),
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
