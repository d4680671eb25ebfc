//! From what is known at arrival to a handler.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::admission::Opening;
use crate::config::{ListenerConfig, ServerConfig};
use crate::connection::Placement;
use crate::handler::Handler;
use crate::tally::Tally;
use crate::watchdog::Limits;

/// Where the connections of a listener go; replaced as a whole, so that a connection never sees
/// half of a change.
#[derive(Debug)]
pub struct Route {
    /// The handler, in one version.
    pub handler: Arc<Handler>,
    /// What its connections have in common.
    pub placement: Arc<Placement>,
    /// The bounds of each of them.
    pub limits: Limits,
    /// Where they are counted when they end.
    pub tally: Arc<Tally>,
}

/// The routes of a listener, as they are now.
#[derive(Debug)]
pub struct Routes(RwLock<Arc<Table>>);

/// Where the connections of one listener go.
#[derive(Debug)]
pub struct Table {
    /// The listener's own route.
    pub own: Arc<Route>,
    /// Those of the handlers that clients are given by the name that they ask for.
    pub named: BTreeMap<String, Arc<Route>>,
}

impl Route {
    /// The route from this listener to this handler, of connections that begin so.
    pub fn new(
        server: &ServerConfig,
        listener: &ListenerConfig,
        handler: Arc<Handler>,
        opening: Opening,
        tally: Arc<Tally>,
    ) -> Self {
        let config = Arc::clone(handler.config());
        let (idle, min_rate) = match opening {
            Opening::Plaintext | Opening::Handshake => (listener.idle_timeout, listener.min_rate),
            Opening::Datagram => (listener.flow_idle_timeout, None),
        };
        Self {
            placement: Arc::new(Placement {
                listener: listener.name.clone(),
                handler: config.name.clone(),
                version: handler.version(),
                digest: handler.digest().into(),
                tenant: config.tenant.clone(),
                memory: config.memory,
                cpu: config.cpu,
                idle_timeout: idle,
            }),
            limits: Limits {
                idle,
                write: listener.write_timeout,
                lifetime: config.lifetime,
                cpu: config.cpu,
                cpu_total: config.cpu_total,
                bytes_in: listener.max_bytes_in,
                bytes_out: listener.max_bytes_out,
                min_rate,
                drain_idle: server.drain_idle,
            },
            handler,
            tally,
        }
    }
}

impl Routes {
    /// Connections go by `table`.
    pub fn new(table: Table) -> Self {
        Self(RwLock::new(Arc::new(table)))
    }

    /// The route of a connection that arrives now, to the listener's handler or to the one of this
    /// name, which can be gone by now.
    pub fn find(&self, handler: Option<&str>) -> Option<Arc<Route>> {
        let table = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        match handler {
            None => Some(Arc::clone(&table.own)),
            Some(name) => table.named.get(name).map(Arc::clone),
        }
    }

    /// Connections that arrive from now on go by `table`.
    pub fn replace(&self, table: Table) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }
}
