//! How a configuration takes the place of another: all that can fail first, then the rest.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::error::StartError;
use super::listener::{Listener, Run, Running, Services};
use super::loading::Loaded;
use super::serve::{Service, Tls};
use super::socket::Socket;
use super::{Server, Sockets, capacity, flows, needs};
use crate::address::Address;
use crate::admission::Opening;
use crate::capacity::memory;
use crate::config::{
    Config, Difference, ListenerConfig, MemoryBound, ReceiptsFor, ServerConfig, difference,
};
use crate::drain::Connections;
use crate::listener::{Life, Phase};
use crate::route::{Route, Routes, Table};

/// How long certificates may take to be read, and names of hosts to be looked up, when a
/// configuration takes the place of another: the server hears nobody meanwhile.
pub(super) const PREPARES: Duration = Duration::from_secs(10);

impl Server {
    /// Puts `wanted` into service in place of what is, with its handlers: all of it, or nothing.
    pub(super) async fn apply(
        &mut self,
        wanted: Config,
        handlers: Vec<Loaded>,
    ) -> Result<(), StartError> {
        // Again: a bound may have changed while they were loaded.
        self.check_fixed(&wanted)?;
        let room = self.room(&wanted)?;
        let changed: Vec<_> =
            wanted.listeners.iter().filter(|config| self.starts(config)).map(Arc::clone).collect();
        let doing = self.about.begins("reads certificates and binds listeners");
        let prepared = timeout(PREPARES, async {
            let profiles = self.load_profiles(&wanted).await?;
            Ok((profiles, self.sockets(&changed).await?))
        });
        let prepared = prepared.await.unwrap_or(Err(StartError::Slow(PREPARES.as_secs())));
        let (profiles, sockets) = prepared.inspect_err(|_| self.leave_groups())?;
        drop(doing);
        let _doing = self.about.begins("closes listeners");
        // Nothing below can fail.
        self.config = wanted;
        if self.room != room {
            self.room = room;
            tracing::info!("room for {room} connections, with what was configured beside them");
        }
        self.set_bounds();
        self.put(handlers);
        self.handlers.retain(&self.config.handlers);
        self.profiles = profiles;
        for config in self.config.listeners.clone() {
            let name = config.name.clone();
            match self.listeners.get_mut(&name) {
                Some(listener) => listener.reconfigure(config),
                None => {
                    self.listeners.insert(name, Listener::new(config, &self.admission));
                }
            }
        }
        let kept: Vec<_> = sockets.iter().flatten().map(|(_, socket)| socket.clone()).collect();
        let mut before = Vec::new();
        for (config, sockets) in changed.iter().zip(sockets) {
            before.extend(self.replace(&config.name, sockets).await);
        }
        // After all have begun: what one took over from another is not closed.
        for running in &before {
            running.life().ask(Phase::Draining);
        }
        for running in before {
            running.hand_over(&kept).await;
        }
        let stays = |name: &str| self.config.listeners.iter().any(|config| config.name == *name);
        let gone: Vec<_> =
            self.listeners.keys().filter(|name| !stays(name)).map(Clone::clone).collect();
        for name in gone {
            self.retire(&name);
        }
        self.reroute();
        self.forget_tallies();
        Ok(())
    }

    /// Connections from now on go to the handlers as they are now.
    pub(super) fn reroute(&mut self) {
        for listener in self.listeners.values() {
            let Some(running) = listener.running() else { continue };
            let Services { streams, flows } = &running.services;
            for (service, opening) in [(streams, Opening::Plaintext), (flows, Opening::Datagram)] {
                if let Some(table) = self.table(&listener.config, opening) {
                    service.routes.replace(table);
                }
            }
            // After the routes: who is sent to a handler by name finds it there.
            self.renew(listener, &streams.tls);
        }
        self.handlers.tell_news();
    }

    /// Whether this configuration of a listener needs it to be started, or started anew.
    fn starts(&self, config: &Arc<ListenerConfig>) -> bool {
        match self.listeners.get(&config.name).map(|listener| (&listener.run, listener)) {
            None | Some((Run::Created | Run::Failed(_), _)) => true,
            // Origins do not count: a table that moved in its file has not changed.
            Some((Run::Running(running), listener)) => {
                listener.config != *config && running.life().phase() != Phase::Draining
            }
            // What a command has stopped, only a command starts.
            Some((Run::Stopped, _)) => false,
        }
    }

    /// What of `wanted` cannot change while the server runs.
    pub(super) fn check_fixed(&self, wanted: &Config) -> Result<(), StartError> {
        let differences = difference(&self.config, wanted);
        let fixed = differences.iter().filter(|difference| difference.needs_restart());
        let fixed: Vec<_> = fixed.map(Difference::path).collect();
        if !fixed.is_empty() {
            return Err(StartError::NeedsRestart(fixed));
        }
        match wanted.server.max_connections {
            Some(wanted) if wanted.get() > self.capacity.connections => {
                Err(StartError::Room { wanted: wanted.get(), room: self.capacity.connections })
            }
            _ if flows(wanted) > 0 && self.flows == 0 => Err(StartError::NoFlows),
            _ => Ok(()),
        }
    }

    /// How many connections there can be with `wanted`. It can need descriptors that were not set
    /// aside at the start: for handshakes, queues, and folders of guests.
    fn room(&self, wanted: &Config) -> Result<u32, StartError> {
        if needs(wanted) == needs(&self.config) {
            return Ok(self.room);
        }
        let unbounded = ServerConfig { max_connections: None, ..wanted.server.clone() };
        let machine = capacity(&Config { server: unbounded, ..wanted.clone() })?;
        // So that the message says what the machine allows.
        capacity(wanted)?;
        Ok(machine.connections.min(self.capacity.connections))
    }

    /// The bounds that can change while it runs.
    pub(super) fn set_bounds(&self) {
        let Config { server, pools, tenants, .. } = &self.config;
        self.admission.set_pools(pools.iter().map(|pool| (pool.name.as_str(), pool.size)));
        let most = server.max_connections.map_or(self.room, NonZeroU32::get);
        self.admission.resize(most);
        self.loader.memory().set_limit(match server.max_memory {
            MemoryBound::Auto => memory().map_or(u64::MAX, |bytes| bytes / 4 * 3),
            MemoryBound::Unbounded => u64::MAX,
            MemoryBound::Bytes(bytes) => bytes,
        });
        self.loader.tenants().bound(tenants);
        self.receipts.set_for_all(server.receipts_for == ReceiptsFor::All);
    }

    /// The sockets of listeners that are to start; those that are bound already are kept.
    pub(super) async fn sockets(
        &self,
        configs: &[Arc<ListenerConfig>],
    ) -> Result<Vec<Sockets>, StartError> {
        let mut all = Vec::with_capacity(configs.len());
        for config in configs {
            let before = self.listeners.get(&config.name);
            let same = before.filter(|listener| listener.config.bind == config.bind);
            let addresses = same.map_or(&config.bind, |listener| &listener.addresses);
            let mut sockets = Sockets::new();
            for address in addresses {
                let kept = self.kept(address, config)?;
                let bound =
                    if kept.is_empty() { Socket::bind(address, config).await? } else { kept };
                sockets.extend(bound.into_iter().map(|socket| (address.clone(), socket)));
            }
            for (_, socket) in &sockets {
                socket.suits(config)?;
                socket.join(config)?;
            }
            all.push(sockets);
        }
        Ok(all)
    }

    /// Leaves the multicast groups that sockets have joined for a configuration that is not to be.
    fn leave_groups(&self) {
        for listener in self.listeners.values() {
            for (_, socket) in listener.running().map_or(&[][..], |running| &running.sockets) {
                socket.leave_other_groups(&listener.config);
            }
        }
    }

    /// The sockets that are at `address` already; an error if they cannot become what `config`
    /// wants.
    fn kept(&self, address: &Address, config: &ListenerConfig) -> Result<Vec<Socket>, StartError> {
        let mut kept = Vec::new();
        for listener in self.listeners.values() {
            let Some(running) = listener.running() else { continue };
            for (asked, socket) in &running.sockets {
                let bound = socket.address().asked_again(asked);
                if bound != *address || address.is_port_zero() {
                    continue;
                }
                if socket.must_rebind(&listener.config.socket, &config.socket) {
                    let origin = config.origin.clone();
                    let address = socket.address().to_string();
                    return Err(StartError::Rebind { origin, address });
                }
                kept.push(socket.clone());
            }
        }
        Ok(kept)
    }

    fn table(&self, listener: &ListenerConfig, opening: Opening) -> Option<Table> {
        let route = |handler: &String| {
            let handler = Arc::clone(self.handlers.get(handler)?);
            let tally = self.tallies.of(&listener.name, &handler.config().name);
            Some(Arc::new(Route::new(&self.config.server, listener, handler, opening, tally)))
        };
        let named = listener.tls.iter().flat_map(|tls| &tls.names).filter_map(|name| {
            let handler = name.handler.as_ref()?;
            Some((handler.clone(), route(handler)?))
        });
        Some(Table { own: route(&listener.handler)?, named: named.collect() })
    }

    /// Starts a listener that does not run.
    pub(super) async fn start(&mut self, name: &str, sockets: Sockets, phase: Phase) {
        self.start_with(name, sockets, phase, self.registry.set(name)).await;
    }

    async fn start_with(
        &mut self,
        name: &str,
        sockets: Sockets,
        phase: Phase,
        connections: Arc<Connections>,
    ) {
        let Some(Listener { config, counts, .. }) = self.listeners.get(name) else { return };
        for (_, socket) in &sockets {
            socket.adjust(config).await;
        }
        let tables =
            (self.table(config, Opening::Plaintext), self.table(config, Opening::Datagram));
        let (Some(streams), Some(flows)) = tables else { return };
        let life = Life::new(phase).with_receipts(name, Arc::clone(&self.receipts));
        let life = Arc::new(life.with_counts(Arc::clone(counts)));
        let service = |table, tls| {
            Arc::new(Service {
                routes: Routes::new(table),
                connections: Arc::clone(&connections),
                background: Arc::clone(&self.background),
                receipts: Arc::clone(&self.receipts),
                dumps: self.dumps.as_ref().map(Arc::clone),
                life: Arc::clone(&life),
                farewell: config.farewell.clone(),
                tls,
            })
        };
        let Some(tls) = self.tls(config, &life) else { return };
        let services =
            Services { streams: service(streams, tls), flows: service(flows, Tls::Never) };
        if let Some(listener) = self.listeners.get_mut(name) {
            listener.start(sockets, services, &self.sender);
        }
    }

    /// Starts a listener anew, or for the first time. One that changes keeps its connections: only
    /// later ones see the change. Gives what ran before, which still takes clients in.
    async fn replace(&mut self, name: &str, sockets: Sockets) -> Option<Running> {
        let listener = self.listeners.get_mut(name)?;
        if let Run::Running(running) = std::mem::replace(&mut listener.run, Run::Stopped) {
            let phase = running.life().phase();
            let connections = Arc::clone(running.connections());
            self.start_with(name, sockets, phase, connections).await;
            return Some(running);
        }
        self.start(name, sockets, self.phase).await;
        None
    }

    /// Ends a listener; its connections are asked to finish, within the time of a drain.
    fn retire(&mut self, name: &str) {
        let Some(Listener { run: Run::Running(mut running), .. }) = self.listeners.remove(name)
        else {
            return;
        };
        let drain = running.drain();
        self.keep(drain.connections());
        tokio::spawn(drain.end(self.drain_deadline()));
    }

    /// Forgets the tallies of names that are nobody's any more.
    fn forget_tallies(&self) {
        self.tallies.retain(|listener, handler| {
            let mut listeners = self.config.listeners.iter();
            listeners
                .any(|config| config.name == listener && config.handlers().any(|h| h == handler))
        });
    }

    /// Remembers connections whose listener is gone or begins anew.
    pub(super) fn keep(&mut self, connections: &Arc<Connections>) {
        self.forget();
        self.retired.push(Arc::clone(connections));
    }

    /// Forgets connections that have ended.
    pub(super) fn forget(&mut self) {
        // Whoever may still add a connection holds the set, too.
        self.retired.retain(|set| Arc::strong_count(set) > 1);
    }
}
