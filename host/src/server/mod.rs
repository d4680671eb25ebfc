//! The server: puts a configuration into service, and takes it out again. The only part that
//! knows both the listeners and the sandboxes.

mod control;
mod end;
mod error;
mod serve;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::account::Order;
use crate::address::Address;
use crate::admission::{Admission, Gate, Opening};
use crate::capacity::{Capacity, Needs, TooMany};
use crate::config::{Config, HandlerConfig, ListenerConfig, ServerConfig, Spawn};
use crate::drain::Connections;
use crate::engine::Engine;
use crate::handler::{Handler, Loader};
use crate::listener::{Gone, Listening, accept_until, bind};
use crate::receipt::Receipts;
use crate::route::{Route, Routes};

use self::control::Event;
use self::serve::{Service, serve};

pub use self::control::{Command, Control};
pub use self::error::{BadPlugin, RunError, StartError};

/// How the connections of a listener begin: TLS will ask for a handshake.
const OPENING: Opening = Opening::Plaintext;

/// A server that accepts connections. Dropping it without [`Server::run`] ends its listeners;
/// connections end with the runtime.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    capacity: Capacity,
    loader: Arc<Loader>,
    admission: Arc<Admission>,
    receipts: Arc<Receipts>,
    handlers: BTreeMap<String, Arc<Handler>>,
    listeners: BTreeMap<String, Running>,
    /// Connections of listeners that are gone.
    retired: Vec<Arc<Connections>>,
    /// Accept loops that have been told to stop.
    stopping: Vec<JoinHandle<()>>,
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
}

/// A listener in service.
#[derive(Debug)]
struct Running {
    config: Arc<ListenerConfig>,
    sockets: Vec<(Address, Arc<Listening>)>,
    service: Arc<Service>,
    gate: Gate,
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

/// What a listener leaves to the one that takes its place.
#[derive(Debug)]
struct Left {
    connections: Arc<Connections>,
    gate: Gate,
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

/// What has to happen for a configuration to be served.
#[derive(Debug, Default)]
struct Plan {
    load: Vec<Arc<HandlerConfig>>,
    start: Vec<Arc<ListenerConfig>>,
    stop: Vec<String>,
}

impl Server {
    /// Checks everything, loads the plugins, binds the listeners, and begins to accept: a server
    /// that is there, serves. Needs a tokio runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let Config { server, .. } = &config;
        let capacity = capacity(&config)?;
        let loader = Loader::new(Engine::new(capacity.connections)?).map_err(StartError::Linker)?;
        let (sender, events) = mpsc::unbounded_channel();
        let mut this = Self {
            admission: Admission::new(
                capacity.connections,
                server.max_handshakes,
                server.max_flows.get(),
            ),
            receipts: Arc::new(Receipts::open(&server.receipts)?),
            config: server.clone(),
            capacity,
            loader: Arc::new(loader),
            handlers: BTreeMap::new(),
            listeners: BTreeMap::new(),
            retired: Vec::new(),
            stopping: Vec::new(),
            events,
            sender,
        };
        this.apply(config).await?;
        Ok(this)
    }

    /// How many connections there can be.
    pub const fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// Where it listens, by the listeners' names.
    pub fn listening(&self) -> Vec<ListeningOn> {
        let on = |(listener, running): (&String, &Running)| {
            let on = |(_, socket): &(Address, Arc<Listening>)| ListeningOn {
                address: socket.address().to_string(),
                listener: listener.clone(),
            };
            running.sockets.iter().map(on).collect::<Vec<_>>()
        };
        self.listeners.iter().flat_map(on).collect()
    }

    /// Steers it from elsewhere.
    pub fn control(&self) -> Control {
        Control(self.sender.clone())
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.sets().map(|set| set.count()).sum()
    }

    /// Serves until a drain or stop has ended it.
    pub async fn run(mut self) -> Result<Ended, RunError> {
        loop {
            match self.events.recv().await {
                Some(Event::Command(Command::Apply(config))) => {
                    let before = self.listening();
                    match self.apply(*config).await {
                        Ok(()) => {
                            for new in self.listening().iter().filter(|on| !before.contains(on)) {
                                tracing::info!("{new}");
                            }
                            tracing::info!("the configuration was applied");
                        }
                        Err(error) => {
                            for line in error.to_string().lines() {
                                tracing::error!("the old configuration stays in force: {line}");
                            }
                        }
                    }
                }
                Some(Event::Gone { listener, service, gone }) => {
                    if let Err(error) = self.lose(listener, &service, gone) {
                        self.drain().await;
                        return Err(error);
                    }
                }
                Some(Event::Command(Command::Drain)) => return Ok(self.drain().await),
                Some(Event::Command(Command::Stop)) | None => return Ok(self.stop().await),
            }
        }
    }

    /// Puts `wanted` into service in place of what is: all of it, or nothing.
    async fn apply(&mut self, wanted: Config) -> Result<(), StartError> {
        self.check_fixed(&wanted.server)?;
        let plan = self.diff(&wanted);
        let loaded = self.load(plan.load, wanted.server.max_module_size).await?;
        let bound = self.bind(&plan.start).await?;
        // Nothing below can fail.
        self.config = wanted.server;
        self.handlers.extend(loaded);
        for name in plan.stop {
            self.retire(&name);
        }
        self.handlers.retain(|name, _| wanted.handlers.iter().any(|wanted| wanted.name == *name));
        for (config, sockets) in plan.start.into_iter().zip(bound) {
            // One that changes keeps its connections: only later ones see the change.
            let left = self.unlisten(&config.name);
            self.listen(config, sockets, left);
        }
        for running in self.listeners.values() {
            if let Some(route) = self.route(&running.config) {
                running.service.routes.replace(route);
            }
        }
        // They take what the kernel had connected, and nobody who comes after this.
        for accepting in self.stopping.drain(..) {
            // One that panicked has ended too.
            let _ = accepting.await;
        }
        Ok(())
    }

    /// What differs between what is in service and `wanted`.
    fn diff(&self, wanted: &Config) -> Plan {
        // Origins do not count in a comparison: a table that moved in its file has not changed.
        let runs = |config: &Arc<ListenerConfig>| {
            self.listeners.get(&config.name).is_some_and(|running| running.config == *config)
        };
        let start: Vec<_> =
            wanted.listeners.iter().filter(|config| !runs(config)).map(Arc::clone).collect();
        let stays = |name: &String| wanted.listeners.iter().any(|config| config.name == *name);
        Plan {
            // A module may have changed in its file: its digest says so, when it is loaded.
            load: wanted.handlers.clone(),
            stop: self.listeners.keys().filter(|name| !stays(name)).cloned().collect(),
            start,
        }
    }

    fn check_fixed(&self, wanted: &ServerConfig) -> Result<(), StartError> {
        match fixed(&self.config, wanted).into_iter().find(|(_, same)| !same) {
            Some((key, _)) => Err(StartError::NeedsRestart(key)),
            None => Ok(()),
        }
    }

    async fn load(
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
    async fn bind(
        &self,
        configs: &[Arc<ListenerConfig>],
    ) -> Result<Vec<Vec<(Address, Arc<Listening>)>>, StartError> {
        let mut all = Vec::with_capacity(configs.len());
        for config in configs {
            let before = self.listeners.get(&config.name);
            if let Some(running) = before.filter(|running| running.config.bind == config.bind) {
                // Ports that the kernel picked stay, too.
                all.push(running.sockets.clone());
                continue;
            }
            let mut sockets = Vec::new();
            for address in &config.bind {
                let kept = self
                    .listeners
                    .values()
                    .flat_map(|running| &running.sockets)
                    .filter(|(bound, _)| bound == address && !address.is_port_zero())
                    .map(|(_, socket)| Arc::clone(socket));
                let kept: Vec<_> = kept.collect();
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

    fn route(&self, listener: &ListenerConfig) -> Option<Route> {
        let handler = self.handlers.get(&listener.handler)?;
        Some(Route::new(&self.config, listener, Arc::clone(handler), OPENING))
    }

    /// Begins to accept.
    fn listen(
        &mut self,
        config: Arc<ListenerConfig>,
        sockets: Vec<(Address, Arc<Listening>)>,
        left: Option<Left>,
    ) {
        let Some(route) = self.route(&config) else { return };
        let spawn = match config.spawn {
            Spawn::AtMost(most) => Some(most),
            Spawn::PerConnection | Spawn::Pool(_) => None,
        };
        let most = min(config.max_connections, spawn);
        let left = left.unwrap_or_else(|| Left {
            connections: Arc::default(),
            gate: self.admission.gate(most, OPENING),
        });
        let gate = left.gate;
        gate.resize(most);
        let service = Arc::new(Service {
            routes: Routes::new(route),
            connections: left.connections,
            receipts: Arc::clone(&self.receipts),
        });
        for (_, socket) in &sockets {
            socket.adjust(&config.socket);
        }
        let stop = CancellationToken::new();
        let loops = sockets.iter().map(|(_, socket)| {
            let (stop, socket, gate) = (stop.clone(), Arc::clone(socket), gate.clone());
            let (config, service) = (Arc::clone(&config), Arc::clone(&service));
            let events = self.sender.clone();
            let (listener, address) = (config.name.clone(), socket.address().clone());
            let whose = Arc::clone(&service);
            let accepting = tokio::spawn(async move {
                let start = |client, entry| {
                    // Not in the task, which begins later: a drain must know of it already.
                    let registration = service.connections.register();
                    // Boxed here, or the runtime moves all of it several times.
                    let service = Arc::clone(&service);
                    tokio::spawn(Box::pin(serve(service, registration, client, entry)));
                };
                accept_until(&stop, &socket, &gate, &config, start).await
            });
            // A server must not go on as if it accepted when nobody does.
            tokio::spawn(async move {
                let ended = accepting.await.unwrap_or_else(|_| Err(Gone::panicked(address)));
                if let Err(gone) = ended {
                    // A server that has ended hears no more.
                    let _ = events.send(Event::Gone { listener, service: whose, gone });
                }
            })
        });
        let loops = loops.collect();
        self.listeners
            .insert(config.name.clone(), Running { config, sockets, service, gate, stop, loops });
    }

    /// Accepts no more.
    fn unlisten(&mut self, name: &str) -> Option<Left> {
        let running = self.listeners.remove(name)?;
        running.stop.cancel();
        self.stopping.retain(|accepting| !accepting.is_finished());
        self.stopping.extend(running.loops);
        let connections = Arc::clone(&running.service.connections);
        Some(Left { connections, gate: running.gate })
    }

    /// Stops a listener; its connections are asked to finish.
    fn retire(&mut self, name: &str) {
        let Some(Left { connections, .. }) = self.unlisten(name) else { return };
        connections.order(Order::Drain);
        // Whoever may still add a connection holds the set, too.
        self.retired.retain(|set| Arc::strong_count(set) > 1);
        self.retired.push(connections);
    }

    fn sets(&self) -> impl Iterator<Item = &Arc<Connections>> {
        let running = self.listeners.values().map(|running| &running.service.connections);
        running.chain(&self.retired)
    }
}

/// The keys of the server that change only by a restart, and whether they are the same in both.
fn fixed(a: &ServerConfig, b: &ServerConfig) -> [(&'static str, bool); 3] {
    [
        ("max_connections", a.max_connections == b.max_connections),
        ("max_handshakes", a.max_handshakes == b.max_handshakes),
        ("receipts", a.receipts == b.receipts),
    ]
}

/// How many connections there can be on this machine with `config`.
pub fn capacity(config: &Config) -> Result<Capacity, TooMany> {
    let handshakes = match OPENING {
        Opening::Plaintext | Opening::Datagram => 0,
        Opening::Handshake => config.server.max_handshakes.get(),
    };
    // An instance that has used a granted folder keeps it open, most often with one file in it.
    let files = |handler: &Arc<HandlerConfig>| match handler.dirs.len() {
        0 => 0,
        dirs => dirs + 1,
    };
    let files = config.handlers.iter().map(files).max().unwrap_or(0);
    let needs = Needs { handshakes, descriptors: 1 + files as u64, addresses: Engine::SLOT };
    Capacity::of_this_machine(config.server.max_connections, &needs)
}

fn min(a: Option<NonZeroU32>, b: Option<NonZeroU32>) -> Option<NonZeroU32> {
    a.into_iter().chain(b).min()
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
