//! One listener of a server: as it is configured, and as it runs.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::Sockets;
use super::control::Event;
use super::end::CUT;
use super::serve::{Service, serve};
use super::socket::Socket;
use crate::account::Order;
use crate::address::Address;
use crate::admission::{Admission, Bounds, Entry, Gate, Opening};
use crate::config::{ListenerConfig, Spawn, TlsStart, WhenFull};
use crate::drain::Connections;
use crate::listener::{
    Accepted, Bound, Counts, Gone, Life, Phase, State, Work, accept_until, take_in,
};

/// A listener of a server.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) config: Arc<ListenerConfig>,
    /// Where it is bound when it starts again: as configured, with the ports that the kernel
    /// picked.
    pub(super) addresses: Vec<Address>,
    /// They stay while the listener is stopped: connections that are still open count.
    gates: Gates,
    /// They go on when it is changed, or stopped and started again.
    pub(super) counts: Arc<Counts>,
    pub(super) run: Run,
}

#[derive(Debug)]
struct Gates {
    streams: Gate,
    flows: Gate,
}

/// Whether it runs.
#[derive(Debug)]
pub(super) enum Run {
    /// It was never bound.
    Created,
    Running(Running),
    /// By a command. Nothing but a command starts it again.
    Stopped,
    /// Its socket was lost, or could not be bound: why.
    Failed(String),
}

/// A listener that has sockets.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) sockets: Sockets,
    pub(super) services: Services,
    loops: Loops,
}

/// What its connections and its flows need. They have all in common but the route.
#[derive(Clone, Debug)]
pub(super) struct Services {
    pub(super) streams: Arc<Service>,
    pub(super) flows: Arc<Service>,
}

/// The loops of its sockets. Those of datagrams go on, in a drain, until their flows have ended.
#[derive(Clone, Debug, Default)]
struct Loops {
    streams: TaskTracker,
    datagrams: Vec<(Socket, TaskTracker)>,
}

/// The end of a listener's connections, under way. There can be several of one listener.
pub(super) struct Drain {
    pub(super) life: Arc<Life>,
    connections: Arc<Connections>,
    loops: Loops,
}

impl Listener {
    /// A listener that does not run yet.
    pub(super) fn new(config: Arc<ListenerConfig>, admission: &Arc<Admission>) -> Self {
        let (streams, flows) = bounds(&config);
        let gates = Gates {
            streams: admission.gate(&streams, opening(&config)),
            flows: admission.gate(&flows, Opening::Datagram),
        };
        let (addresses, counts) = (config.bind.clone(), Arc::default());
        Self { config, addresses, gates, counts, run: Run::Created }
    }

    /// Takes another configuration; what runs is not touched.
    pub(super) fn reconfigure(&mut self, config: Arc<ListenerConfig>) {
        if config.bind != self.config.bind {
            self.addresses.clone_from(&config.bind);
        }
        let (streams, flows) = bounds(&config);
        self.gates.streams.set(&streams);
        self.gates.streams.opens_with(opening(&config));
        self.gates.flows.set(&flows);
        self.config = config;
    }

    pub(super) const fn running(&self) -> Option<&Running> {
        match &self.run {
            Run::Running(running) => Some(running),
            Run::Created | Run::Stopped | Run::Failed(_) => None,
        }
    }

    /// How many places of its own bound are taken.
    pub(super) fn streams(&self) -> usize {
        self.gates.streams.taken()
    }

    /// How it lives, if it runs.
    pub(super) fn life(&self) -> Option<&Arc<Life>> {
        self.running().map(Running::life)
    }

    /// What it is doing.
    pub(super) fn state(&self) -> State {
        match &self.run {
            Run::Running(running) => running.life().state(),
            Run::Created => State::Created,
            Run::Stopped => State::Stopped,
            Run::Failed(_) => State::Failed,
        }
    }

    /// Begins to take in clients from `sockets`, as the life in `services` says.
    pub(super) fn start(
        &mut self,
        sockets: Sockets,
        services: Services,
        events: &mpsc::UnboundedSender<Event>,
    ) {
        let again = |(asked, socket): &(Address, Socket)| socket.address().asked_again(asked);
        self.addresses = sockets.iter().map(again).collect();
        self.addresses.dedup();
        let life = &services.streams.life;
        let mut loops = Loops::default();
        for (_, socket) in &sockets {
            socket.belongs_to(life);
            let running = self.take_in(socket.clone(), &services);
            let watched = watch(running, socket.address().clone(), life, events.clone());
            match socket {
                Socket::Stream(_) => drop(loops.streams.spawn(watched)),
                Socket::Datagram(_) => {
                    let tracker = TaskTracker::new();
                    tracker.spawn(watched);
                    tracker.close();
                    loops.datagrams.push((socket.clone(), tracker));
                }
            }
        }
        loops.streams.close();
        self.run = Run::Running(Running { sockets, services, loops });
    }

    fn take_in(&self, socket: Socket, services: &Services) -> JoinHandle<Result<(), Gone>> {
        let config = Arc::clone(&self.config);
        match socket {
            Socket::Stream(listening) => {
                let (gate, service) = (self.gates.streams.clone(), Arc::clone(&services.streams));
                tokio::spawn(async move {
                    let start = |client, entry| drop(tokio::spawn(begin(&service, client, entry)));
                    accept_until(&*listening, &gate, &config, &service.life, start).await
                })
            }
            Socket::Datagram(datagrams) => {
                let (gate, service) = (self.gates.flows.clone(), Arc::clone(&services.flows));
                // Guests that compute go on here.
                let away = Handle::current();
                let socket = Arc::clone(&datagrams);
                socket.spawn(async move {
                    let start =
                        |client, entry| -> Work { Box::pin(begin(&service, client, entry)) };
                    take_in(&datagrams, &gate, &config, &service.life, away, start).await
                })
            }
        }
    }
}

impl Running {
    pub(super) fn life(&self) -> &Arc<Life> {
        &self.services.streams.life
    }

    /// Its connections, flows included.
    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.services.streams.connections
    }

    /// Makes room for successors, which have begun with the sockets in `kept`: those are left
    /// alone, and who was connected at others is taken in. Waits until that is done.
    pub(super) async fn hand_over(self, kept: &[Socket]) {
        self.life().ask(Phase::Draining);
        drop(self.sockets);
        self.loops.streams.wait().await;
        for (socket, receiving) in &self.loops.datagrams {
            // Others go on as long as their flows.
            if kept.iter().any(|kept| kept.is(socket)) {
                receiving.wait().await;
            }
        }
    }

    /// Takes nobody new in, and asks its connections to finish.
    pub(super) fn drain(&mut self) -> Drain {
        self.life().ask(Phase::Draining);
        // The loops have them as long as they need them.
        self.sockets.clear();
        self.connections().order(Order::Drain);
        Drain {
            life: Arc::clone(self.life()),
            connections: Arc::clone(self.connections()),
            loops: self.loops.clone(),
        }
    }
}

impl Drain {
    /// Its connections, flows included.
    pub(super) const fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Waits until those whom the kernel had connected are taken in or turned away.
    pub(super) async fn taken_in(&self) {
        self.loops.streams.wait().await;
    }

    /// Waits until its sockets are closed: those of datagrams when their last flow has ended.
    pub(super) async fn closed(&self) {
        self.taken_in().await;
        for (_, receiving) in &self.loops.datagrams {
            receiving.wait().await;
        }
    }

    /// Waits for the connections until `deadline`, cuts the rest, and says how many.
    pub(super) async fn end(self, deadline: Option<Instant>) -> usize {
        let connections = &self.connections;
        let ended = async {
            self.taken_in().await;
            connections.ended().await;
            self.closed().await;
        };
        let Some(deadline) = deadline else {
            ended.await;
            return connections.cut();
        };
        let mut ended = pin!(ended);
        if timeout_at(deadline, &mut ended).await.is_err() {
            self.life.ask(Phase::Stopped);
            connections.order(Order::Cut);
            // Guests that hold a worker are cut at their next tick; nobody waits longer.
            let _ = timeout_at(Instant::now() + CUT, ended).await;
        }
        connections.cut() + connections.count()
    }
}

/// What is to be done to serve a client. A drain waits for it from now on.
fn begin(
    service: &Arc<Service>,
    client: Accepted,
    entry: Entry,
) -> impl Future<Output = ()> + Send + use<> {
    // Not in what is returned, which begins later: a drain must know of it already.
    let registration = service.connections.register();
    let (background, account) = (Arc::clone(&service.background), registration.account());
    let account = Arc::clone(account);
    let work = Box::pin(serve(Arc::clone(service), registration, client, entry));
    async move { background.serve(&account, work).await }
}

/// Reports a loop that ends by itself: a server must not go on as if it accepted when nobody does.
fn watch(
    running: JoinHandle<Result<(), Gone>>,
    address: Bound,
    life: &Arc<Life>,
    events: mpsc::UnboundedSender<Event>,
) -> impl Future<Output = ()> + use<> {
    let life = Arc::clone(life);
    async move {
        let ended = running.await.unwrap_or_else(|_| Err(Gone::panicked(address)));
        if let Err(gone) = ended {
            // A server that has ended hears no more.
            let _ = events.send(Event::Gone { life, gone });
        }
    }
}

/// How its streams begin.
pub(super) fn opening(config: &ListenerConfig) -> Opening {
    match &config.tls {
        Some(tls) if tls.start == TlsStart::Connect => Opening::Handshake,
        _ => Opening::Plaintext,
    }
}

/// The bounds of its connections, and of its flows.
fn bounds(config: &ListenerConfig) -> (Bounds, Bounds) {
    let (spawn, pool) = match &config.spawn {
        Spawn::PerConnection => (None, None),
        Spawn::AtMost(most) => (Some(*most), None),
        Spawn::Pool(name) => (None, Some(name.clone())),
    };
    let queue = match config.when_full {
        WhenFull::Queue { most, .. } => Some(most),
        WhenFull::Wait | WhenFull::Refuse => None,
    };
    let most = |of_kind: Option<_>| of_kind.into_iter().chain(spawn).min();
    let streams = Bounds { most: most(config.max_connections), pool: pool.clone(), queue };
    // Datagrams do not wait for a place.
    let flows = Bounds { most: most(config.udp.max_flows), pool, queue: None };
    (streams, flows)
}
