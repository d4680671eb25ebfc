//! A server in this process, through the library.
//!
//! Tests that use it have a runtime with workers of their own: their clients block the test's
//! thread and no worker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcell::config::ListenerConfig;
use portcell::listener::State;
use portcell::server::{Ended, ListenerStatus, ListeningOn, RunError, Status};
use portcell::{Config, Control, Server};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Client, PATIENCE, shared_cache};

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Local {
    control: Control,
    listening: Vec<ListeningOn>,
    running: JoinHandle<Result<Ended, RunError>>,
}

/// Listeners of these names, each at a free port of 127.0.0.1, with one handler, which has the name
/// of its module; room for 100 connections.
pub(crate) fn config(module: &Path, names: &[&str]) -> Config {
    // What a guest uses is measured by the clock, and the processor may have others to serve.
    let cache = shared_cache().join("portcell");
    let flags = [
        ("listen", "tcp://127.0.0.1:0"),
        ("max-connections", "100"),
        ("cpu", "none"),
        ("cache", cache.to_str().unwrap()),
    ];
    let mut config = Config::from_flags(module, &flags).unwrap();
    let first = ListenerConfig::clone(&config.listeners.remove(0));
    let with = |name: &&str| Arc::new(ListenerConfig { name: (*name).into(), ..first.clone() });
    config.listeners = names.iter().map(with).collect();
    config
}

/// Changes the listener of this name.
pub(crate) fn edit(config: &mut Config, name: &str, change: impl FnOnce(&mut ListenerConfig)) {
    let listener = config.listeners.iter_mut().find(|listener| listener.name == name);
    change(Arc::make_mut(listener.unwrap()));
}

/// Waits until `condition` gives something; for what gives no event to wait for.
pub(crate) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

impl Local {
    /// Loads, binds and runs a server.
    pub(crate) async fn start(config: Config) -> Self {
        let mut server = Server::load(config).await.unwrap();
        server.bind().await.unwrap();
        Self::run(server)
    }

    /// Runs a server that is bound, or as much of it as is to be.
    pub(crate) fn run(server: Server) -> Self {
        let (control, listening) = (server.control(), server.listening());
        Self { control, listening, running: tokio::spawn(server.run()) }
    }

    pub(crate) const fn control(&self) -> &Control {
        &self.control
    }

    /// Where the listener of this name was bound when the server began to run.
    pub(crate) fn addresses(&self, listener: &str) -> Vec<&str> {
        let on = self.listening.iter().filter(|on| on.listener == listener);
        on.map(|on| on.address.as_str()).collect()
    }

    /// The first of these.
    pub(crate) fn address(&self, listener: &str) -> &str {
        self.addresses(listener)[0]
    }

    /// The port of the listener of this name.
    pub(crate) fn port(&self, listener: &str) -> u16 {
        self.address(listener).rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// A client of the listener of this name.
    pub(crate) fn connect(&self, listener: &str) -> Client {
        Client::try_connect(self.address(listener)).unwrap()
    }

    /// A client of this listener that is served.
    pub(crate) fn served(&self, listener: &str) -> Client {
        let mut client = self.connect(listener);
        client.is_echoed();
        client
    }

    /// A client of this listener that has sent an `x` and hears nothing.
    pub(crate) fn waits(&self, listener: &str) -> Client {
        let mut client = self.connect(listener);
        client.send("x");
        assert!(client.hears_nothing());
        client
    }

    pub(crate) async fn status(&self) -> Status {
        self.control.status().await.unwrap()
    }

    /// The status of the listener of this name.
    pub(crate) async fn listener(&self, name: &str) -> ListenerStatus {
        self.status().await.listener(name).unwrap().clone()
    }

    /// Waits until the listener of this name is in this state; gives its status.
    pub(crate) async fn becomes(&self, name: &str, state: State) -> ListenerStatus {
        until(&format!("{name} is {state:?}"), async || {
            Some(self.listener(name).await).filter(|listener| listener.state == state)
        })
        .await
    }

    /// Waits until so many connections have a place.
    pub(crate) async fn has_connections(&self, count: usize) {
        let what = format!("there are {count} connections");
        until(&what, async || (self.status().await.connections == count).then_some(())).await;
    }

    /// Stops the listener of this name: its connections are given time. How many were cut.
    pub(crate) async fn stop(&self, listener: &str) -> usize {
        let stopped = timeout(PATIENCE, self.control.drain_listener(listener, None)).await;
        stopped.expect("it stops").unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) -> Result<Ended, RunError> {
        timeout(PATIENCE, self.running).await.expect("it ends").unwrap()
    }

    /// Drains it and waits for its end, which must be in good order.
    pub(crate) async fn drain(self) -> Ended {
        self.control.drain();
        self.ended().await.unwrap()
    }
}
