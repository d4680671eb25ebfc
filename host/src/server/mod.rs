//! The server: puts a configuration into service, and takes it out again. The only part that
//! knows both the listeners and the sandboxes.

mod about;
mod apply;
mod change;
mod command;
mod connections;
mod control;
mod end;
mod error;
mod handover;
mod listener;
mod loading;
mod serve;
mod socket;
mod status;
mod tenants;
mod tls;
mod versions;
mod watch;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::address::Address;
use crate::admission::{Admission, Opening};
use crate::background::Background;
use crate::capacity::{Capacity, Needs, TooMany};
use crate::compile::Compiler;
use crate::config::{Config, HandlerConfig, ListenerConfig, WhenFull};
use crate::coredumps::Coredumps;
use crate::drain::{Connections, Registry};
use crate::engine::{Engine, Settings};
use crate::handler::Loader;
use crate::listener::Phase;
use crate::receipt::Receipts;
use crate::tally::Tallies;
use crate::tls::Profile;

use self::about::About;
use self::change::{Change, Changes};
use self::control::Event;
use self::listener::{Listener, Run, Running, opening};
use self::loading::{Load, all_good};
use self::socket::Socket;
use self::status::Tried;
use self::tls::REMIND;
use self::versions::Handlers;
use self::watch::Watched;

pub use self::connections::{ConnectionStatus, Traffic};
pub use self::control::{Control, ControlError, Limit};
pub use self::error::{BadPlugin, RunError, StartError, Unfit};
pub use self::handover::HandOver;
pub use self::loading::check_handlers;
pub use self::status::{
    ChangeStatus, FailureStatus, HandlerStatus, LimitStatus, ListenerStatus, Outcomes, ServerState,
    Status, VersionState, VersionStatus,
};
pub use self::tenants::TenantStatus;
pub use self::tls::check_certificates;

/// A server. Dropping it ends its listeners; connections end with the runtime.
///
/// It is made by [`Server::load`], has its ports after [`Server::bind`], and serves while
/// [`Server::run`] or [`Server::run_until`] is polled. It needs a tokio runtime.
#[derive(Debug)]
pub struct Server {
    /// What is in service, or will be when it runs.
    config: Config,
    capacity: Capacity,
    /// How many connections there can be with what is in service: a reload can need descriptors for
    /// something else.
    room: u32,
    /// How many flows it was made with room for.
    flows: u32,
    loader: Arc<Loader>,
    admission: Arc<Admission>,
    /// Where connections go whose guests compute.
    background: Arc<Background>,
    receipts: Arc<Receipts>,
    /// Where coredumps go, if they are wanted.
    dumps: Option<Arc<Coredumps>>,
    handlers: Handlers,
    /// What it is asked to change.
    changes: Changes,
    /// What became of that.
    tried: Tried,
    listeners: BTreeMap<String, Listener>,
    /// By which listeners come to TLS, by their names.
    profiles: Profiles,
    /// The files of the profiles.
    watched: Watched,
    /// When is said again what about them should be looked at.
    reminder: Instant,
    /// The files of handlers that are watched.
    modules: Watched,
    /// Connections of listeners that are gone.
    retired: Vec<Arc<Connections>>,
    /// All of them, for whoever looks at single ones.
    registry: Arc<Registry>,
    tallies: Arc<Tallies>,
    /// It begins to end.
    ending: CancellationToken,
    /// Where its configuration is read from.
    source: Option<PathBuf>,
    began: Instant,
    /// What whoever asks waits for.
    about: Arc<About>,
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

/// The certificates of listeners, and the rest, by the listeners' names.
type Profiles = BTreeMap<String, Arc<Profile>>;

/// The sockets of one listener: where each was asked to be, and what it is.
type Sockets = Vec<(Address, Socket)>;

impl Server {
    /// Checks everything, compiles the plugins, and makes room for connections. Nothing is bound.
    /// Plugins are compiled in this process: see [`Server::load_with`].
    pub async fn load(config: Config) -> Result<Self, StartError> {
        Self::load_with(config, Compiler::InProcess).await
    }

    /// As [`Server::load`], and plugins are compiled by `compiler`, now and later.
    pub async fn load_with(config: Config, compiler: Compiler) -> Result<Self, StartError> {
        let Config { server, .. } = &config;
        let capacity = capacity(&config)?;
        let flows = flows(&config);
        let slots = capacity.connections.saturating_add(flows);
        let engine = Engine::with(&Settings::of(server, slots))?;
        let loader = Loader::new(engine, compiler)?;
        let admission = Admission::new(capacity.connections, server.max_handshakes, flows);
        let (sender, events) = mpsc::unbounded_channel();
        let mut this = Self {
            admission,
            background: Arc::new(Background::start().map_err(StartError::Background)?),
            receipts: Arc::new(Receipts::open(&server.receipts)?),
            room: capacity.connections,
            dumps: match &server.coredumps {
                Some(folder) => Some(Arc::new(Coredumps::open(folder)?)),
                None => None,
            },
            capacity,
            flows,
            loader: Arc::new(loader),
            handlers: Handlers::default(),
            changes: Changes::default(),
            tried: Tried::default(),
            listeners: BTreeMap::new(),
            profiles: Profiles::new(),
            watched: Watched::certificates(),
            reminder: Instant::now() + REMIND,
            modules: Watched::modules(),
            retired: Vec::new(),
            registry: Arc::default(),
            tallies: Arc::default(),
            ending: CancellationToken::new(),
            source: None,
            began: Instant::now(),
            about: Arc::default(),
            phase: Phase::Bound,
            events,
            sender,
            config,
        };
        let load =
            Load::new(&this.loader, &this.config.handlers, &this.handlers, &this.config.server);
        this.put(all_good(load.run().await?)?);
        this.profiles = this.load_profiles(&this.config).await?;
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
            self.start(&config.name, sockets, self.phase).await;
        }
        // Not before: why a server cannot start is all that it says then.
        self.tell_of_plugins();
        Ok(())
    }

    /// Where [`Control::reload`] finds the configuration again.
    pub fn reads_from(&mut self, path: PathBuf) {
        self.source = Some(path);
    }

    /// How many connections there can be, as it was started.
    pub const fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// Where it listens, by the listeners' names; nowhere before it is bound.
    pub fn listening(&self) -> Vec<ListeningOn> {
        let on = |(name, listener): (&String, &Listener)| {
            let sockets = listener.running().map_or(&[][..], |running| &running.sockets);
            let on = |(_, socket): &(Address, Socket)| ListeningOn {
                address: socket.address().to_string(),
                listener: name.clone(),
            };
            sockets.iter().map(on).collect::<Vec<_>>()
        };
        self.listeners.iter().flat_map(on).collect()
    }

    /// Steers it from elsewhere, also before it runs.
    pub fn control(&self) -> Control {
        let (registry, tallies) = (Arc::clone(&self.registry), Arc::clone(&self.tallies));
        let (receipts, ending) = (Arc::clone(&self.receipts), self.ending.clone());
        let (sender, about) = (self.sender.clone(), Arc::clone(&self.about));
        Control { sender, registry, tallies, receipts, about, ending }
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
        // What was asked before comes first: a server that was stopped does not begin. Changes that
        // take a while are waited for by nobody, also here.
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
            let event = tokio::select! {
                event = self.events.recv() => event,
                () = Self::files_change(&mut self.watched, &self.profiles) => {
                    self.read_again().await;
                    continue;
                }
                () = self.modules.change(Self::watched_modules(&self.config)) => {
                    self.change(Change::Watched);
                    continue;
                }
                () = sleep_until(self.reminder) => {
                    self.remind();
                    continue;
                }
                () = until(self.handlers.due(self.config.server.drain_timeout)) => {
                    self.handlers.retire(self.config.server.drain_timeout);
                    continue;
                }
            };
            let Some(event) = event else { return Ok(self.stop().await) };
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

    /// The connections of all listeners, of those that are gone, too.
    fn sets(&self) -> impl Iterator<Item = &Arc<Connections>> {
        let running = self.listeners.values().filter_map(Listener::running);
        running.map(Running::connections).chain(&self.retired)
    }
}

/// Waits until then; for ever if that is never.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.cancel();
        self.loader.stop();
        for life in self.listeners.values().filter_map(Listener::life) {
            life.ask(Phase::Stopped);
        }
    }
}

/// How many connections there can be on this machine with `config`.
pub fn capacity(config: &Config) -> Result<Capacity, TooMany> {
    Capacity::of_this_machine(config.server.max_connections, &needs(config))
}

/// What the connections need, and what is beside them.
fn needs(config: &Config) -> Needs {
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
    let shakes = |config: &Arc<ListenerConfig>| opening(config) == Opening::Handshake;
    let any = config.listeners.iter().any(shakes);
    let handshakes = if any { config.server.max_handshakes.get() } else { 0 };
    let beside = handshakes.saturating_add(crate::admin::descriptors(&config.server));
    let instance = Settings::of(&config.server, 0);
    Needs {
        waiting: queues.fold(beside, u32::saturating_add),
        flows: flows(config),
        descriptors: 1 + files as u64,
        mappings: instance.mappings(),
        addresses: instance.slot(),
    }
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
