//! One listener of a server: as it is configured, and as it runs.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::control::Event;
use super::end::CUT;
use super::serve::{Service, serve};
use crate::account::Order;
use crate::address::Address;
use crate::admission::{Admission, Bounds, Gate, Opening};
use crate::config::{ListenerConfig, Spawn, WhenFull};
use crate::listener::{Bound, Gone, Life, Listening, Phase, State, accept_until};

/// A listener of a server.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) config: Arc<ListenerConfig>,
    /// Where it is bound when it starts again: as configured, with the ports that the kernel
    /// picked.
    pub(super) addresses: Vec<Address>,
    /// It stays while the listener is stopped: connections that are still open count.
    pub(super) gate: Gate,
    pub(super) run: Run,
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
    pub(super) sockets: Vec<(Address, Arc<Listening>)>,
    pub(super) service: Arc<Service>,
    loops: TaskTracker,
}

/// The end of a listener's connections, under way. There can be several of one listener.
pub(super) struct Drain {
    pub(super) service: Arc<Service>,
    loops: TaskTracker,
}

impl Listener {
    /// A listener that does not run yet.
    pub(super) fn new(config: Arc<ListenerConfig>, admission: &Arc<Admission>) -> Self {
        let gate = admission.gate(&bounds(&config), Opening::Plaintext);
        Self { addresses: config.bind.clone(), gate, run: Run::Created, config }
    }

    /// Takes another configuration; what runs is not touched.
    pub(super) fn reconfigure(&mut self, config: Arc<ListenerConfig>) {
        if config.bind != self.config.bind {
            self.addresses.clone_from(&config.bind);
        }
        self.gate.set(&bounds(&config));
        self.config = config;
    }

    pub(super) const fn running(&self) -> Option<&Running> {
        match &self.run {
            Run::Running(running) => Some(running),
            Run::Created | Run::Stopped | Run::Failed(_) => None,
        }
    }

    pub(super) fn life(&self) -> Option<&Arc<Life>> {
        self.running().map(|running| &running.service.life)
    }

    /// What it is doing.
    pub(super) fn state(&self) -> State {
        match &self.run {
            Run::Running(running) => running.service.life.state(),
            Run::Created => State::Created,
            Run::Stopped => State::Stopped,
            Run::Failed(_) => State::Failed,
        }
    }

    /// Begins to take in clients from `sockets`, as the life in `service` says.
    pub(super) fn start(
        &mut self,
        sockets: Vec<(Address, Arc<Listening>)>,
        service: &Arc<Service>,
        events: &mpsc::UnboundedSender<Event>,
    ) {
        self.addresses = sockets.iter().map(|(address, socket)| socket.bound_at(address)).collect();
        self.addresses.dedup();
        let loops = TaskTracker::new();
        for (_, socket) in &sockets {
            socket.belongs_to(&service.life);
            socket.adjust(&self.config.socket);
            let accepting = self.accept(Arc::clone(socket), service);
            let (address, service) = (socket.address().clone(), Arc::clone(service));
            loops.spawn(watch(accepting, address, service, events.clone()));
        }
        loops.close();
        self.run = Run::Running(Running { sockets, service: Arc::clone(service), loops });
    }

    fn accept(
        &self,
        socket: Arc<Listening>,
        service: &Arc<Service>,
    ) -> JoinHandle<Result<(), Gone>> {
        let (config, gate) = (Arc::clone(&self.config), self.gate.clone());
        let service = Arc::clone(service);
        tokio::spawn(async move {
            let life = Arc::clone(&service.life);
            let start = |client, entry| {
                // Not in the task, which begins later: a drain must know of it already.
                let registration = service.connections.register();
                // Boxed here, or the runtime moves all of it several times.
                let service = Arc::clone(&service);
                tokio::spawn(Box::pin(serve(service, registration, client, entry)));
            };
            accept_until(&*socket, &gate, &config, &life, start).await
        })
    }
}

impl Running {
    /// Makes room for a successor, which has begun: sockets that are the successor's are left
    /// alone, those who were connected at others are taken in. Waits until that is done.
    pub(super) async fn hand_over(self) {
        self.service.life.ask(Phase::Draining);
        drop(self.sockets);
        self.loops.wait().await;
    }

    /// Takes nobody new in, and asks its connections to finish.
    pub(super) fn drain(&mut self) -> Drain {
        self.service.life.ask(Phase::Draining);
        // The loops have them as long as they need them.
        self.sockets.clear();
        self.service.connections.order(Order::Drain);
        Drain { service: Arc::clone(&self.service), loops: self.loops.clone() }
    }
}

impl Drain {
    /// Waits until those that the kernel had connected are taken in or turned away.
    pub(super) async fn taken_in(&self) {
        self.loops.wait().await;
    }

    /// Waits for the connections until `deadline`, cuts the rest, and says how many.
    pub(super) async fn end(self, deadline: Option<Instant>) -> usize {
        let connections = &self.service.connections;
        let ended = async {
            self.taken_in().await;
            connections.ended().await;
        };
        let Some(deadline) = deadline else {
            ended.await;
            return connections.cut();
        };
        let mut ended = pin!(ended);
        if timeout_at(deadline, &mut ended).await.is_err() {
            self.service.life.ask(Phase::Stopped);
            connections.order(Order::Cut);
            // Guests that hold a worker are cut at their next tick; nobody waits longer.
            let _ = timeout_at(Instant::now() + CUT, ended).await;
        }
        connections.cut() + connections.count()
    }
}

/// Reports a loop that ends by itself: a server must not go on as if it accepted when nobody does.
async fn watch(
    accepting: JoinHandle<Result<(), Gone>>,
    address: Bound,
    service: Arc<Service>,
    events: mpsc::UnboundedSender<Event>,
) {
    let ended = accepting.await.unwrap_or_else(|_| Err(Gone::panicked(address)));
    if let Err(gone) = ended {
        // A server that has ended hears no more.
        let _ = events.send(Event::Gone { service, gone });
    }
}

fn bounds(config: &ListenerConfig) -> Bounds {
    let (spawn, pool) = match &config.spawn {
        Spawn::PerConnection => (None, None),
        Spawn::AtMost(most) => (Some(*most), None),
        Spawn::Pool(name) => (None, Some(name.clone())),
    };
    let queue = match config.when_full {
        WhenFull::Queue { most, .. } => Some(most),
        WhenFull::Wait | WhenFull::Refuse => None,
    };
    let most = config.max_connections.into_iter().chain(spawn).min();
    Bounds { most, pool, queue }
}
