//! The server: puts a configuration into service, and takes it out again. The only part that
//! knows both the listeners and the sandboxes.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::account::Order;
use crate::address::Address;
use crate::admission::{Admission, Entry, Opening};
use crate::capacity::{Capacity, TooMany};
use crate::config::{Config, HandlerConfig, ListenerConfig, Origin, ServerConfig};
use crate::connection::Connection;
use crate::drain::Connections;
use crate::engine::{Engine, EngineError};
use crate::handler::{Handler, LoadError, Loader};
use crate::instance;
use crate::listener::{Accepted, BindError, Gone, Listening, Options, accept_until, bind};
use crate::receipt::{Receipt, Receipts, ReceiptsError};
use crate::route::{Route, Routes};

/// How long connections that are cut have to close. They do not wait for their peers.
const CUT: Duration = Duration::from_secs(2);

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
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
}

/// A listener in service.
#[derive(Debug)]
struct Running {
    config: Arc<ListenerConfig>,
    sockets: Vec<(Address, Arc<Listening>)>,
    service: Arc<Service>,
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

/// What the connections of a listener need.
#[derive(Debug)]
struct Service {
    routes: Routes,
    connections: Arc<Connections>,
    receipts: Arc<Receipts>,
}

/// Where a server listens, as its ready line says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListeningOn {
    /// The address, with the port that the kernel picked: `tcp://127.0.0.1:7000`.
    pub address: String,
    /// The listener's name.
    pub listener: String,
}

/// Steers a server that runs. Commands to one that has ended do nothing.
#[derive(Clone, Debug)]
pub struct Control(mpsc::UnboundedSender<Event>);

/// What a server is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Serve this configuration from now on, or keep the old one if it cannot be served.
    Apply(Box<Config>),
    /// Accept no more, let connections end, then end.
    Drain,
    /// End now.
    Stop,
}

#[derive(Debug)]
enum Event {
    Command(Command),
    Gone { listener: String, gone: Gone },
}

/// How a server ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Connections that the end of the drain cut.
    pub cut: usize,
}

/// A configuration cannot be put into service.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// More connections than the machine allows.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The pool cannot be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The host calls cannot be linked: a bug.
    #[error("cannot link the host calls")]
    Linker(#[source] wasmtime::Error),
    /// A plugin cannot be loaded.
    #[error("{}: {error}", place(origin, module))]
    Load {
        /// Where the plugin was named.
        origin: Origin,
        /// The plugin.
        module: PathBuf,
        /// Why.
        error: LoadError,
    },
    /// A listener cannot be bound.
    #[error("{origin}: {error}")]
    Bind {
        /// Where the address was written.
        origin: Origin,
        /// Why.
        error: BindError,
    },
    /// The place of receipts cannot be opened.
    #[error(transparent)]
    Receipts(#[from] ReceiptsError),
    /// It would change what is fixed at start.
    #[error("server.{0} cannot change while the server runs; restart it")]
    NeedsRestart(&'static str),
    /// The thread that loads a plugin panicked.
    #[error("loading a plugin failed")]
    Loading(#[source] tokio::task::JoinError),
}

/// The server could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The last listener died.
    #[error("listener {listener} failed, and it was the last")]
    LastListener {
        /// Its name.
        listener: String,
        /// Why.
        #[source]
        source: Gone,
    },
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
        let capacity = Capacity::of_this_machine(
            server.max_connections,
            server.max_handshakes,
            Engine::SLOT,
        )?;
        let loader =
            Loader::new(Engine::new(capacity.connections)?).map_err(StartError::Linker)?;
        let (sender, events) = mpsc::unbounded_channel();
        let mut this = Self {
            admission: Admission::new(capacity.connections, server.max_handshakes),
            receipts: Arc::new(Receipts::open(&server.receipts)?),
            config: server.clone(),
            capacity,
            loader: Arc::new(loader),
            handlers: BTreeMap::new(),
            listeners: BTreeMap::new(),
            retired: Vec::new(),
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
                    match self.apply(*config).await {
                        Ok(()) => tracing::info!("the configuration was applied"),
                        Err(error) => {
                            tracing::error!("the old configuration stays in force: {error}");
                        }
                    }
                }
                Some(Event::Gone { listener, gone }) => self.lose(listener, gone)?,
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
            self.listen(config, sockets);
        }
        for running in self.listeners.values() {
            if let Some(route) = self.route(&running.config) {
                running.service.routes.replace(route);
            }
        }
        Ok(())
    }

    /// What differs between what is in service and `wanted`.
    fn diff(&self, wanted: &Config) -> Plan {
        let runs = |config: &Arc<ListenerConfig>| {
            self.listeners.get(&config.name).is_some_and(|running| running.config == *config)
        };
        let start: Vec<_> =
            wanted.listeners.iter().filter(|config| !runs(config)).map(Arc::clone).collect();
        let stays = |name: &String| {
            wanted.listeners.iter().any(|config| config.name == *name && runs(config))
        };
        Plan {
            // A module may have changed in its file: its digest says so, when it is loaded.
            load: wanted.handlers.clone(),
            stop: self.listeners.keys().filter(|name| !stays(name)).cloned().collect(),
            start,
        }
    }

    fn check_fixed(&self, wanted: &ServerConfig) -> Result<(), StartError> {
        let fixed = [
            ("max_connections", wanted.max_connections == self.config.max_connections),
            ("max_handshakes", wanted.max_handshakes == self.config.max_handshakes),
            ("receipts", wanted.receipts == self.config.receipts),
        ];
        match fixed.into_iter().find(|(_, same)| !same) {
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
        for config in configs {
            let old = self.handlers.get(&config.name).map(Arc::clone);
            let loader = Arc::clone(&self.loader);
            // Compiling takes a while: not on a thread that serves connections.
            let loading = tokio::task::spawn_blocking(move || {
                let handler = loader.load_or_keep(&config, old.as_ref(), limit);
                (config, handler)
            });
            let (config, handler) = loading.await.map_err(StartError::Loading)?;
            match handler {
                Ok(handler) => loaded.push((config.name.clone(), handler)),
                Err(error) => {
                    let (origin, module) = (config.origin.clone(), config.module.clone());
                    return Err(StartError::Load { origin, module, error });
                }
            }
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
            let options = options(config);
            let mut sockets = Vec::new();
            for address in &config.bind {
                let kept = self
                    .listeners
                    .values()
                    .filter(|running| self::options(&running.config) == options)
                    .flat_map(|running| &running.sockets)
                    .filter(|(bound, _)| bound == address && !address.is_port_zero())
                    .map(|(_, socket)| Arc::clone(socket));
                let kept: Vec<_> = kept.collect();
                let bound = if kept.is_empty() {
                    let bound = bind(address, options).await.map_err(|error| {
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
        Some(Route::new(&self.config, listener, Arc::clone(handler)))
    }

    /// Begins to accept.
    fn listen(&mut self, config: Arc<ListenerConfig>, sockets: Vec<(Address, Arc<Listening>)>) {
        let Some(route) = self.route(&config) else { return };
        let service = Arc::new(Service {
            routes: Routes::new(route),
            connections: Arc::default(),
            receipts: Arc::clone(&self.receipts),
        });
        let stop = CancellationToken::new();
        let most = min(config.max_connections, config.spawn);
        let gate = self.admission.gate(most, Opening::Plaintext);
        let loops = sockets.iter().map(|(_, socket)| {
            let (stop, socket, gate) = (stop.clone(), Arc::clone(socket), gate.clone());
            let (config, service) = (Arc::clone(&config), Arc::clone(&service));
            let events = self.sender.clone();
            tokio::spawn(async move {
                let start = |client, entry| {
                    tokio::spawn(serve(Arc::clone(&service), client, entry));
                };
                let ended = accept_until(&stop, &socket, &gate, &config, start).await;
                if let Err(gone) = ended {
                    // A server that has ended hears no more.
                    let _ = events.send(Event::Gone { listener: config.name.clone(), gone });
                }
            })
        });
        let loops = loops.collect();
        self.listeners
            .insert(config.name.clone(), Running { config, sockets, service, stop, loops });
    }

    /// Stops a listener; its connections are asked to finish.
    fn retire(&mut self, name: &str) {
        let Some(running) = self.listeners.remove(name) else { return };
        running.stop.cancel();
        running.service.connections.order(Order::Drain);
        self.retired.retain(|set| set.count() > 0);
        self.retired.push(Arc::clone(&running.service.connections));
    }

    fn lose(&mut self, listener: String, gone: Gone) -> Result<(), RunError> {
        tracing::error!("{gone}: {}", std::error::Error::source(&gone).map_or_else(String::new, ToString::to_string));
        self.retire(&listener);
        if self.listeners.is_empty() {
            return Err(RunError::LastListener { listener, source: gone });
        }
        Ok(())
    }

    async fn drain(mut self) -> Ended {
        let deadline = self.config.drain_timeout.map(|timeout| Instant::now() + timeout);
        self.retire_all().await;
        let open = self.connections();
        if open > 0 {
            tracing::info!("draining: {open} connections are open");
        }
        let ended = async {
            for set in &self.retired {
                set.ended().await;
            }
        };
        let stopped = async {
            loop {
                match self.events.recv().await {
                    Some(Event::Command(Command::Stop)) | None => return,
                    Some(_) => {}
                }
            }
        };
        let deadline = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ended => {}
            () = deadline => {}
            () = stopped => {}
        }
        self.stop().await
    }

    /// Cuts what is open and ends.
    async fn stop(mut self) -> Ended {
        self.retire_all().await;
        let cut = self.connections();
        let deadline = Instant::now() + CUT;
        for set in &self.retired {
            set.order(Order::Cut);
        }
        for set in &self.retired {
            // Guests that hold a worker are cut at their next tick; nobody waits longer.
            let _ = timeout_at(deadline, set.ended()).await;
        }
        if cut > 0 {
            tracing::warn!("{cut} connections were cut");
        }
        if let Ok(receipts) = Arc::try_unwrap(self.receipts) {
            receipts.close();
        }
        Ended { cut }
    }

    /// Stops all listeners and waits until they have taken what the kernel had connected.
    async fn retire_all(&mut self) {
        let loops: Vec<_> =
            self.listeners.values_mut().flat_map(|running| running.loops.drain(..)).collect();
        for name in self.listeners.keys().cloned().collect::<Vec<_>>() {
            self.retire(&name);
        }
        for accepting in loops {
            // One that panicked has ended too.
            let _ = accepting.await;
        }
    }

    fn sets(&self) -> impl Iterator<Item = &Arc<Connections>> {
        let running = self.listeners.values().map(|running| &running.service.connections);
        running.chain(&self.retired)
    }
}

impl Control {
    /// Accept no more, let connections end, then end.
    pub fn drain(&self) {
        self.send(Command::Drain);
    }

    /// End now.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    /// Serve this configuration from now on, or keep the old one if it cannot be served.
    pub fn apply(&self, config: Config) {
        self.send(Command::Apply(Box::new(config)));
    }

    fn send(&self, command: Command) {
        // A server that has ended needs no commands.
        let _ = self.0.send(Event::Command(command));
    }
}

/// One connection, from its arrival to its receipt.
async fn serve(service: Arc<Service>, client: Accepted, entry: Entry) {
    let socket = client.into_socket();
    let _permit = entry.connection().await;
    let route = service.routes.find();
    let registration = service.connections.register();
    let account = Arc::clone(registration.account());
    let connection = Connection::new(socket, Arc::clone(&account), Arc::clone(&route.placement));
    let receipt =
        service.receipts.are_wanted().then(|| Receipt::begin(&connection, &route));
    let (connection, exit) = instance::run(&route.handler, connection, route.limits).await;
    connection.end(exit.closing()).await;
    tracing::debug!(
        connection = account.id(),
        listener = route.placement.listener,
        handler = route.placement.handler,
        bytes_in = account.bytes_in(),
        bytes_out = account.bytes_out(),
        "ended: {exit}"
    );
    if let Some(receipt) = receipt {
        service.receipts.file(&receipt.end(&account, exit));
    }
}

/// Where a plugin was named, and which it is.
fn place(origin: &Origin, module: &Path) -> String {
    match origin {
        Origin::Plugin(_) => module.display().to_string(),
        origin => format!("{origin}: {}", module.display()),
    }
}

const fn options(config: &ListenerConfig) -> Options {
    Options { backlog: config.backlog.get(), nodelay: config.nodelay }
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
