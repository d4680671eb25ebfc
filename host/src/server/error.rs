//! Why a configuration cannot be put into service, and why a server cannot go on.

use crate::capacity::TooMany;
use crate::config::{HandlerConfig, Origin};
use crate::coredumps::CoredumpsError;
use crate::engine::EngineError;
use crate::handler::{LoadError, LoaderError};
use crate::listener::{BindError, Gone, JoinError};
use crate::plugin::PluginError;
use crate::receipt::ReceiptsError;
use crate::tls::LoadErrors;
use crate::trial::TrialError;

/// A configuration cannot be put into service.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// More connections than the machine allows.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The pool cannot be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The machine has no threads left for guests that compute.
    #[error("cannot start the threads for guests that compute")]
    Background(#[source] std::io::Error),
    /// Nothing can be loaded.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// Plugins cannot be loaded: all of them, one a line.
    #[error("{}", lines(.0))]
    Load(Vec<BadPlugin>),
    /// Certificates, or what belongs to them, cannot be used: all that is wrong, one a line.
    #[error("{}", lines(.0))]
    Tls(Vec<LoadErrors>),
    /// A listener cannot be bound.
    #[error("{origin}: {error}")]
    Bind {
        /// Where the address was written.
        origin: Origin,
        /// Why.
        error: BindError,
    },
    /// A UDP socket cannot be made ready.
    #[error("cannot receive datagrams at {address}")]
    Datagrams {
        /// What it is bound to.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A descriptor of a listener with TLS turns out to be UDP's.
    #[error(
        "{origin}: {address}, which was passed to the server, would be served without TLS, which \
         is for streams; give it a listener of its own"
    )]
    NoTls {
        /// Where TLS was asked for.
        origin: Origin,
        /// What it is bound to.
        address: String,
    },
    /// A multicast group cannot be joined.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// A socket cannot change while it is bound.
    #[error(
        "{origin}: the socket at {address} was made with other options, which are fixed while it \
         is bound (reuse_port, v6_only, ip_freebind, device, mark, buffers); restart the server"
    )]
    Rebind {
        /// Where the address was written.
        origin: Origin,
        /// The address.
        address: String,
    },
    /// The place of receipts cannot be opened.
    #[error(transparent)]
    Receipts(#[from] ReceiptsError),
    /// The folder for coredumps cannot be used.
    #[error(transparent)]
    Coredumps(#[from] CoredumpsError),
    /// More connections than the server made room for when it was started.
    #[error(
        "server.max_connections is {wanted}, but room was made for {room} at the start; restart or \
         upgrade it for more"
    )]
    Room {
        /// How many were asked for.
        wanted: u32,
        /// How many there can be.
        room: u32,
    },
    /// It would change what is fixed at start: all of that.
    #[error("{} cannot change while the server runs; restart or upgrade it", .0.join(", "))]
    NeedsRestart(Vec<String>),
    /// The first UDP address of a server that was started without one.
    #[error("this server was started without room for UDP flows; restart or upgrade it")]
    NoFlows,
    /// Files or names that a server that runs cannot wait for.
    #[error(
        "to read the certificates and to look up the names of hosts took longer than {0} s; try \
         again, or write addresses"
    )]
    Slow(
        /// How long it may take, in seconds.
        u64,
    ),
    /// The thread that loads a plugin or a certificate panicked.
    #[error("loading failed")]
    Loading(#[source] tokio::task::JoinError),
}

/// The server could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not bind its listeners.
    #[error(transparent)]
    Start(#[from] StartError),
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

/// A plugin that cannot be put into service.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {error}{advice}")]
pub struct BadPlugin {
    handler: String,
    /// Where it was named, and its path.
    place: String,
    error: Unfit,
    /// What to do, where there is more to say than the error does.
    advice: &'static str,
}

/// What is wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It cannot serve.
    #[error("the trial of v{version} failed: {error}")]
    Trial {
        /// The number that it would have had.
        version: u64,
        /// Why.
        error: TrialError,
    },
}

impl StartError {
    /// One plugin, and why it is not loaded.
    pub(super) fn bad_plugin(config: &HandlerConfig, error: LoadError) -> Self {
        Self::Load(vec![BadPlugin::new(config, error.into())])
    }
}

impl BadPlugin {
    /// The name of the handler.
    pub(super) fn handler(&self) -> &str {
        &self.handler
    }

    /// Whether it looks like a file that is not whole.
    pub(super) const fn may_be_half(&self) -> bool {
        matches!(self.error, Unfit::Load(LoadError::Plugin(_)))
    }

    /// The plugin of `config`, and what is wrong with it.
    pub(super) fn new(config: &HandlerConfig, error: Unfit) -> Self {
        let module = config.module.display();
        let place = match &config.origin {
            Origin::Plugin(_) => module.to_string(),
            origin => format!("{origin}: {module}"),
        };
        let is_missing = matches!(error, Unfit::Load(LoadError::Plugin(PluginError::Missing)));
        let advice = if is_missing && config.build.is_some() {
            "; `portcell dev` runs the `build` that has to make it"
        } else {
            ""
        };
        Self { handler: config.name.clone(), place, error, advice }
    }
}

fn lines(wrong: &[impl ToString]) -> String {
    wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
