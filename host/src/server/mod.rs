//! The server: puts a configuration into service, and takes it out again. The only part that
//! knows both the listeners and the sandboxes.

mod command;
mod control;
mod end;
mod error;
mod listener;
mod serve;
mod status;

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::address::Address;
use crate::admission::Admission;
use crate::capacity::{Capacity, Needs, TooMany};
use crate::config::{Config, HandlerConfig, ListenerConfig, ServerConfig, WhenFull};
use crate::drain::Connections;
use crate::engine::Engine;
use crate::handler::{Handler, Loader};
use crate::listener::{Life, Listening, Phase, bind};
use crate::receipt::Receipts;
use crate::route::{Route, Routes};

use self::control::Event;
use self::listener::{Listener, Run};
use self::serve::Service;

pub use self::control::{Control, ControlError, Limit};
pub use self::error::{BadPlugin, RunError, StartError};
pub use self::status::{HandlerStatus, ListenerStatus, Status};

/// A server. Dropping it ends its listeners; connections end with the runtime.
///
/// It is made by [`Server::load`], has its ports after [`Server::bind`], and serves while
/// [`Server::run`] or [`Server::run_until`] is polled. It needs a tokio runtime.
#[derive(Debug)]
pub struct Server {
    /// What is in service, or will be when it runs.
    config: Config,
    capacity: Capacity,
    loader: Arc<Loader>,
    admission: Arc<Admission>,
    receipts: Arc<Receipts>,
    handlers: BTreeMap<String, Arc<Handler>>,
    listeners: BTreeMap<String, Listener>,
    /// Connections of listeners that are gone.
    retired: Vec<Arc<Connections>>,
    /// What a listener does that is bound now.
    phase: Phase,
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
}

/// Where a server listens, as its ready line says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListeningOn {
    /// The address, with the port that the kernel picked: `tcp://127.0.0.1:7000`.
    pub address: String,
    /// The listener's name.
    pub listener: String,
}

/// How a server ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Connections that the end of the drain cut.
    pub cut: usize,
}

/// The sockets of one listener: where each was asked to be, and what it is.
type Sockets = Vec<(Address, Arc<Listening>)>;

impl Server {
    /// Checks everything, compiles the plugins, and makes room for connections. Nothing is bound.
    pub async fn load(config: Config) -> Result<Self, StartError> {
        let Config { server, .. } = &config;
        let capacity = capacity(&config)?;
        let slots = capacity.connections.saturating_add(flows(&config));
        let loader = Loader::new(Engine::new(slots)?).map_err(StartError::Linker)?;
        let admission = Admission::new(capacity.connections, server.max_handshakes, flows(&config));
        let (sender, events) = mpsc::unbounded_channel();
        let mut this = Self {
            admission,
            receipts: Arc::new(Receipts::open(&server.receipts)?),
            capacity,
            loader: Arc::new(loader),
            handlers: BTreeMap::new(),
            listeners: BTreeMap::new(),
            retired: Vec::new(),
            phase: Phase::Bound,
            events,
            sender,
            config,
        };
        let handlers = this.config.handlers.clone();
        this.handlers.extend(this.load_all(handlers, this.config.server.max_module_size).await?);
        this.set_bounds();
        for config in &this.config.listeners {
            let listener = Listener::new(Arc::clone(config), &this.admission);
            this.listeners.insert(config.name.clone(), listener);
        }
        Ok(this)
    }

    /// Binds the listeners: all of them, or none and it can be tried again. From now on the kernel
    /// connects clients, which wait in its backlog until the server runs. A server that is bound
    /// stays so.
    pub async fn bind(&mut self) -> Result<(), StartError> {
        let created = self.listeners.values().filter(|l| matches!(l.run, Run::Created));
        let created: Vec<_> = created.map(|listener| Arc::clone(&listener.config)).collect();
        let sockets = self.sockets(&created).await?;
        for (config, sockets) in created.iter().zip(sockets) {
            self.start(&config.name, sockets, self.phase);
        }
        Ok(())
    }

    /// How many connections there can be.
    pub const fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// Where it listens, by the listeners' names; nowhere before it is bound.
    pub fn listening(&self) -> Vec<ListeningOn> {
        let on = |(name, listener): (&String, &Listener)| {
            let sockets = listener.running().map_or(&[][..], |running| &running.sockets);
            let on = |(_, socket): &(Address, Arc<Listening>)| ListeningOn {
                address: socket.address().to_string(),
                listener: name.clone(),
            };
            sockets.iter().map(on).collect::<Vec<_>>()
        };
        self.listeners.iter().flat_map(on).collect()
    }

    /// Steers it from elsewhere, also before it runs.
    pub fn control(&self) -> Control {
        Control(self.sender.clone())
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        Status::of(self)
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.sets().map(|set| set.count()).sum()
    }

    /// Serves until a drain or stop has ended it. Binds first, if that was not done. Fails when a
    /// listener's sockets are lost and it was the last.
    pub async fn run(mut self) -> Result<Ended, RunError> {
        // What was asked before comes first: a server that was stopped does not begin.
        while let Ok(event) = self.events.try_recv() {
            if let Some(end) = self.handle(event).await {
                return self.end(end).await;
            }
        }
        self.phase = Phase::Accepting;
        self.bind().await?;
        for life in self.listeners.values().filter_map(Listener::life) {
            if life.phase() == Phase::Bound {
                life.ask(Phase::Accepting);
            }
        }
        loop {
            let Some(event) = self.events.recv().await else { return Ok(self.stop().await) };
            if let Some(end) = self.handle(event).await {
                return self.end(end).await;
            }
        }
    }

    /// As [`Server::run`], and drains when `shutdown` is ready.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<Ended, RunError> {
        let control = self.control();
        let drain = async {
            shutdown.await;
            control.drain();
            std::future::pending().await
        };
        tokio::select! {
            ended = self.run() => ended,
            never = drain => never,
        }
    }

    /// Puts `wanted` into service in place of what is: all of it, or nothing.
    async fn apply(&mut self, wanted: Config) -> Result<(), StartError> {
        self.check_fixed(&wanted)?;
        // A module may have changed in its file: its digest says so, when it is loaded.
        let handlers =
            self.load_all(wanted.handlers.clone(), wanted.server.max_module_size).await?;
        let changed: Vec<_> =
            wanted.listeners.iter().filter(|config| self.starts(config)).map(Arc::clone).collect();
        let sockets = self.sockets(&changed).await?;
        // Nothing below can fail.
        self.config = wanted;
        self.set_bounds();
        self.handlers.extend(handlers);
        let defined = |name: &str| self.config.handlers.iter().any(|config| config.name == *name);
        self.handlers.retain(|name, _| defined(name));
        for config in self.config.listeners.clone() {
            let name = config.name.clone();
            match self.listeners.get_mut(&name) {
                Some(listener) => listener.reconfigure(config),
                None => {
                    self.listeners.insert(name, Listener::new(config, &self.admission));
                }
            }
        }
        for (config, sockets) in changed.iter().zip(sockets) {
            self.replace(&config.name, sockets).await;
        }
        // After the others have begun: what they took over is not closed.
        let stays = |name: &str| self.config.listeners.iter().any(|config| config.name == *name);
        let gone: Vec<_> =
            self.listeners.keys().filter(|name| !stays(name)).map(Clone::clone).collect();
        for name in gone {
            self.retire(&name);
        }
        self.reroute();
        Ok(())
    }

    /// Connections from now on go to the handlers as they are now.
    fn reroute(&self) {
        for listener in self.listeners.values() {
            let Some(running) = listener.running() else { continue };
            if let Some(route) = self.route(&listener.config) {
                running.service.routes.replace(route);
            }
        }
    }

    /// Whether this configuration of a listener needs it to be started, or started anew.
    fn starts(&self, config: &Arc<ListenerConfig>) -> bool {
        match self.listeners.get(&config.name).map(|listener| (&listener.run, listener)) {
            None | Some((Run::Created | Run::Failed(_), _)) => true,
            // Origins do not count: a table that moved in its file has not changed.
            Some((Run::Running(running), listener)) => {
                listener.config != *config && running.service.life.phase() != Phase::Draining
            }
            // What a command has stopped, only a command starts.
            Some((Run::Stopped, _)) => false,
        }
    }

    /// What of `wanted` cannot change while the server runs.
    fn check_fixed(&self, wanted: &Config) -> Result<(), StartError> {
        let (now, wanted_server) = (&self.config.server, &wanted.server);
        if let Some((key, _)) = fixed(now, wanted_server).into_iter().find(|(_, same)| !same) {
            return Err(StartError::NeedsRestart(key));
        }
        match wanted_server.max_connections {
            Some(most) if most.get() > self.capacity.connections => {
                Err(StartError::NeedsRestart("max_connections"))
            }
            _ if flows(wanted) > 0 && flows(&self.config) == 0 => Err(StartError::NoFlows),
            _ => Ok(()),
        }
    }

    /// The bounds that can change while it runs.
    fn set_bounds(&self) {
        let Config { server, pools, .. } = &self.config;
        self.admission.set_pools(pools.iter().map(|pool| (pool.name.as_str(), pool.size)));
        let most = server.max_connections.map_or(self.capacity.connections, NonZeroU32::get);
        self.admission.resize(most);
    }

    async fn load_all(
        &self,
        configs: Vec<Arc<HandlerConfig>>,
        limit: u64,
    ) -> Result<Vec<(String, Arc<Handler>)>, StartError> {
        let mut loaded = Vec::with_capacity(configs.len());
        let mut wrong = Vec::new();
        for config in configs {
            let old = self.handlers.get(&config.name).map(Arc::clone);
            let compiling = Arc::clone(&self.loader);
            // Compiling takes a while: not on a thread that serves connections.
            let loading = tokio::task::spawn_blocking(move || {
                let handler = compiling.load_or_keep(&config, old.as_ref(), limit);
                (config, handler)
            });
            let (config, handler) = loading.await.map_err(StartError::Loading)?;
            match handler {
                Ok(handler) => loaded.push((config.name.clone(), handler)),
                Err(error) => wrong.push(BadPlugin::new(&config, error)),
            }
        }
        if !wrong.is_empty() {
            return Err(StartError::Load(wrong));
        }
        Ok(loaded)
    }

    /// The sockets of listeners that are to start; those that are bound already are kept.
    async fn sockets(&self, configs: &[Arc<ListenerConfig>]) -> Result<Vec<Sockets>, StartError> {
        let mut all = Vec::with_capacity(configs.len());
        for config in configs {
            let before = self.listeners.get(&config.name);
            let same = before.filter(|listener| listener.config.bind == config.bind);
            if let Some(running) = same.and_then(Listener::running) {
                // Ports that the kernel picked stay, too.
                all.push(running.sockets.clone());
                continue;
            }
            let addresses = same.map_or(&config.bind, |listener| &listener.addresses);
            let mut sockets = Vec::new();
            for address in addresses {
                let kept = self.bound_at(address);
                let bound = if kept.is_empty() {
                    let bound = bind(address, &config.socket).await.map_err(|error| {
                        StartError::Bind { origin: config.origin.clone(), error }
                    })?;
                    bound.into_iter().map(Arc::new).collect()
                } else {
                    kept
                };
                sockets.extend(bound.into_iter().map(|socket| (address.clone(), socket)));
            }
            all.push(sockets);
        }
        Ok(all)
    }

    /// The sockets that listen at `address` already.
    fn bound_at(&self, address: &Address) -> Vec<Arc<Listening>> {
        let running = self.listeners.values().filter_map(Listener::running);
        running
            .flat_map(|running| &running.sockets)
            .filter(|(bound, _)| bound == address && !address.is_port_zero())
            .map(|(_, socket)| Arc::clone(socket))
            .collect()
    }

    fn route(&self, listener: &ListenerConfig) -> Option<Route> {
        let handler = self.handlers.get(&listener.handler)?;
        Some(Route::new(&self.config.server, listener, Arc::clone(handler)))
    }

    /// Starts a listener that does not run.
    fn start(&mut self, name: &str, sockets: Sockets, phase: Phase) {
        self.start_with(name, sockets, phase, Arc::default());
    }

    fn start_with(
        &mut self,
        name: &str,
        sockets: Sockets,
        phase: Phase,
        connections: Arc<Connections>,
    ) {
        let config = self.listeners.get(name).map(|listener| Arc::clone(&listener.config));
        let Some(route) = config.and_then(|config| self.route(&config)) else { return };
        let Some(listener) = self.listeners.get_mut(name) else { return };
        let service = Arc::new(Service {
            routes: Routes::new(route),
            connections,
            receipts: Arc::clone(&self.receipts),
            life: Arc::new(Life::new(phase)),
            farewell: listener.config.farewell.clone(),
        });
        listener.start(sockets, &service, &self.sender);
    }

    /// Starts a listener anew, or for the first time. One that changes keeps its connections: only
    /// later ones see the change.
    async fn replace(&mut self, name: &str, sockets: Sockets) {
        let Some(listener) = self.listeners.get_mut(name) else { return };
        match std::mem::replace(&mut listener.run, Run::Stopped) {
            Run::Running(running) => {
                let phase = running.service.life.phase();
                let connections = Arc::clone(&running.service.connections);
                self.start_with(name, sockets, phase, connections);
                running.hand_over().await;
            }
            Run::Created | Run::Stopped | Run::Failed(_) => self.start(name, sockets, self.phase),
        }
    }

    /// Ends a listener; its connections are asked to finish, within the time of a drain.
    fn retire(&mut self, name: &str) {
        let Some(Listener { run: Run::Running(mut running), .. }) = self.listeners.remove(name)
        else {
            return;
        };
        let drain = running.drain();
        self.keep(&drain.service.connections);
        tokio::spawn(drain.end(self.drain_deadline()));
    }

    /// Remembers connections whose listener is gone or begins anew.
    fn keep(&mut self, connections: &Arc<Connections>) {
        self.forget();
        self.retired.push(Arc::clone(connections));
    }

    /// Forgets connections that have ended.
    fn forget(&mut self) {
        // Whoever may still add a connection holds the set, too.
        self.retired.retain(|set| Arc::strong_count(set) > 1);
    }

    fn sets(&self) -> impl Iterator<Item = &Arc<Connections>> {
        let running = self.listeners.values().filter_map(Listener::running);
        running.map(|running| &running.service.connections).chain(&self.retired)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for life in self.listeners.values().filter_map(Listener::life) {
            life.ask(Phase::Stopped);
        }
    }
}

/// The keys of the server that change only by a restart, and whether they are the same in both.
fn fixed(a: &ServerConfig, b: &ServerConfig) -> [(&'static str, bool); 3] {
    [
        ("max_handshakes", a.max_handshakes == b.max_handshakes),
        ("max_flows", a.max_flows == b.max_flows),
        ("receipts", a.receipts == b.receipts),
    ]
}

/// How many connections there can be on this machine with `config`.
pub fn capacity(config: &Config) -> Result<Capacity, TooMany> {
    let queues = config.listeners.iter().map(|listener| match listener.when_full {
        WhenFull::Queue { most, .. } => most.get(),
        WhenFull::Wait | WhenFull::Refuse => 0,
    });
    // An instance that has used a granted folder keeps it open, most often with one file in it.
    let files = |handler: &Arc<HandlerConfig>| match handler.dirs.len() {
        0 => 0,
        dirs => dirs + 1,
    };
    let files = config.handlers.iter().map(files).max().unwrap_or(0);
    let needs = Needs {
        waiting: queues.fold(0, u32::saturating_add),
        flows: flows(config),
        descriptors: 1 + files as u64,
        addresses: Engine::SLOT,
    };
    Capacity::of_this_machine(config.server.max_connections, &needs)
}

/// How many flows need room: none where there is no address that may be UDP's.
fn flows(config: &Config) -> u32 {
    let may_be_udp =
        |address: &Address| matches!(address, Address::Udp { .. } | Address::Inherited(_));
    let any = config.listeners.iter().flat_map(|listener| &listener.bind).any(may_be_udp);
    if any { config.server.max_flows.get() } else { 0 }
}

/// `listening on tcp://127.0.0.1:7000 (echo)`.
impl std::fmt::Display for ListeningOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "listening on {} ({})", self.address, self.listener)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Change, KEYS};

    #[test]
    fn what_needs_a_restart_is_what_the_table_of_keys_says() {
        let server = Config::from_flags(Path::new("x.wasm"), &[]).unwrap().server;
        let names: Vec<_> = fixed(&server, &server).into_iter().map(|(name, _)| name).collect();
        let restart = KEYS.iter().filter(|key| key.change == Change::Restart);
        assert_eq!(names, restart.map(|key| key.name).collect::<Vec<_>>());
    }
}
