//! How a configuration takes the place of another: all that can fail first, then the rest.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::error::{BadPlugin, StartError};
use super::listener::{Listener, Run};
use super::serve::Service;
use super::{Server, Sockets, fixed, flows};
use crate::address::Address;
use crate::admission::Opening;
use crate::config::{Config, HandlerConfig, ListenerConfig};
use crate::drain::Connections;
use crate::handler::Handler;
use crate::listener::{Life, Listening, Phase, bind};
use crate::route::{Route, Routes};

impl Server {
    /// Puts `wanted` into service in place of what is: all of it, or nothing.
    pub(super) async fn apply(&mut self, wanted: Config) -> Result<(), StartError> {
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
    pub(super) fn reroute(&self) {
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
    pub(super) fn set_bounds(&self) {
        let Config { server, pools, .. } = &self.config;
        self.admission.set_pools(pools.iter().map(|pool| (pool.name.as_str(), pool.size)));
        let most = server.max_connections.map_or(self.capacity.connections, NonZeroU32::get);
        self.admission.resize(most);
    }

    pub(super) async fn load_all(
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
    pub(super) async fn sockets(
        &self,
        configs: &[Arc<ListenerConfig>],
    ) -> Result<Vec<Sockets>, StartError> {
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
        Some(Route::new(&self.config.server, listener, Arc::clone(handler), Opening::Plaintext))
    }

    /// Starts a listener that does not run.
    pub(super) fn start(&mut self, name: &str, sockets: Sockets, phase: Phase) {
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
        self.keep(&drain.connections);
        tokio::spawn(drain.end(self.drain_deadline()));
    }

    /// Remembers connections whose listener is gone or begins anew.
    pub(super) fn keep(&mut self, connections: &Arc<Connections>) {
        // Whoever may still add a connection holds the set, too.
        self.retired.retain(|set| Arc::strong_count(set) > 1);
        self.retired.push(Arc::clone(connections));
    }
}
