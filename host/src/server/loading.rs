//! Modules are loaded and tried, in a task of their own: whoever serves or stops does not wait for
//! the compiler.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use super::error::{BadPlugin, StartError, Unfit};
use super::versions::{Handlers, Known};
use crate::compile::{self, Compiler};
use crate::config::{Config, HandlerConfig, ServerConfig};
use crate::engine::{Engine, Settings};
use crate::handler::{Handler, LoadError, Loader, Loading};
use crate::trial::trial;

/// After how long a module that is still being compiled is mentioned, and how often again.
const PROGRESS: Duration = Duration::from_secs(5);

/// Modules that are to be loaded.
#[derive(Debug)]
pub(super) struct Load {
    loader: Arc<Loader>,
    /// With what is known of each handler.
    wanted: Vec<(Arc<HandlerConfig>, Known)>,
    /// What bounds it, and where the cache is.
    server: ServerConfig,
    has_cache: bool,
    /// Whether a version comes back that a rollback has left.
    pub(super) returns: bool,
}

/// What became of the module of one handler.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) name: String,
    /// The handler, tried; the one that is in service, if neither its module nor its
    /// configuration has changed.
    pub(super) handler: Result<Arc<Handler>, BadPlugin>,
    /// Its file has a version that a rollback has left: the one in service stays.
    pub(super) stays: bool,
}

/// Has the modules of `config` compiled by `compiler` and tries them, as a start does, with nothing
/// bound.
pub async fn check_handlers(config: &Config, compiler: Compiler) -> Result<(), StartError> {
    let engine = Engine::with(&Settings::of(&config.server, 1))?;
    let loader = Arc::new(Loader::new(engine, compiler)?);
    let mut load = Load::new(&loader, &config.handlers, &Handlers::default(), &config.server);
    // Whoever checks may be another user than who serves, and could not share a cache.
    load.has_cache = false;
    all_good(load.run().await?).map(drop)
}

/// The handlers, or all that is wrong.
pub(super) fn all_good(loaded: Vec<Loaded>) -> Result<Vec<Loaded>, StartError> {
    let (good, bad): (Vec<_>, Vec<_>) =
        loaded.into_iter().partition(|loaded| loaded.handler.is_ok());
    let wrong: Vec<_> = bad.into_iter().filter_map(|loaded| loaded.handler.err()).collect();
    if wrong.is_empty() { Ok(good) } else { Err(StartError::Load(wrong)) }
}

impl Load {
    pub(super) fn new(
        loader: &Arc<Loader>,
        configs: &[Arc<HandlerConfig>],
        handlers: &Handlers,
        server: &ServerConfig,
    ) -> Self {
        let known = |config: &Arc<HandlerConfig>| {
            let known = handlers.known(&config.name);
            (Arc::clone(config), known)
        };
        let wanted = configs.iter().map(known).collect();
        let (loader, server) = (Arc::clone(loader), server.clone());
        Self { loader, wanted, server, has_cache: true, returns: false }
    }

    /// Compiles a few at once, and tries one after the other.
    pub(super) async fn run(self) -> Result<Vec<Loaded>, StartError> {
        let Self { loader, wanted, server, has_cache, returns } = self;
        let opened = spawn_blocking(move || {
            if has_cache { Loading::of(&server) } else { Loading::without_cache(&server) }
        });
        let loading = Arc::new(opened.await.map_err(StartError::Loading)?);
        let places = Arc::new(Semaphore::new(compile::at_once()));
        let compile = |(config, known): &(Arc<HandlerConfig>, Known)| {
            let (config, known) = (Arc::clone(config), known.clone());
            let (loader, loading) = (Arc::clone(&loader), Arc::clone(&loading));
            let places = Arc::clone(&places);
            tokio::spawn(async move {
                let _place = places.acquire_owned().await;
                compile(loader, config, known, loading).await
            })
        };
        let under_way: Vec<_> = wanted.iter().map(compile).collect();
        let mut all = Vec::with_capacity(wanted.len());
        for ((config, known), compiling) in wanted.iter().zip(under_way) {
            let compiled = compiling.await.flatten().map_err(StartError::Loading)?;
            all.push(finish(compiled, config, known, returns, &loader).await);
        }
        spawn_blocking(move || loading.tidy()).await.map_err(StartError::Loading)?;
        Ok(all)
    }
}

/// Has a module compiled on a thread of its own, and mentions it if that takes long.
async fn compile(
    loader: Arc<Loader>,
    config: Arc<HandlerConfig>,
    known: Known,
    loading: Arc<Loading>,
) -> Result<Result<Handler, LoadError>, JoinError> {
    let name = config.name.clone();
    let mut compiling = spawn_blocking(move || {
        loader.load_or_reuse(&config, &known.versions, known.next, &loading)
    });
    let mut progress = interval(PROGRESS);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once.
    progress.tick().await;
    let mut so_far = Duration::ZERO;
    loop {
        tokio::select! {
            compiled = &mut compiling => return compiled,
            _ = progress.tick() => {
                so_far += PROGRESS;
                let seconds = so_far.as_secs();
                tracing::info!("handler {name}: its module is being compiled for {seconds} s");
            }
        }
    }
}

/// Tries what was compiled; leaves out what a rollback has left, unless it may return.
async fn finish(
    compiled: Result<Handler, LoadError>,
    config: &Arc<HandlerConfig>,
    known: &Known,
    returns: bool,
    loader: &Loader,
) -> Loaded {
    let is_left_behind =
        |handler: &Handler| known.left_behind.contains(&handler.version()) && !returns;
    let stays = compiled.as_ref().is_ok_and(is_left_behind);
    let compiled = match &known.present {
        Some(present) if stays => present.again(config, &loader.tenants().of(&config.tenant)),
        _ => compiled,
    };
    let handler = match compiled {
        Ok(handler) => try_out(handler, config, known).await,
        Err(error) => Err(Unfit::Load(error)),
    };
    let handler = handler.map_err(|error| BadPlugin::new(config, error));
    Loaded { name: config.name.clone(), handler, stays }
}

/// Tries a handler, unless it is the one that is in service.
async fn try_out(
    handler: Handler,
    config: &Arc<HandlerConfig>,
    known: &Known,
) -> Result<Arc<Handler>, Unfit> {
    let is_same = |present: &&Arc<Handler>| {
        present.version() == handler.version() && present.config() == config
    };
    if let Some(present) = known.present.as_ref().filter(is_same) {
        return Ok(Arc::clone(present));
    }
    let version = handler.version();
    if config.trial {
        trial(&handler).await.map_err(|error| Unfit::Trial { version, error })?;
    }
    Ok(Arc::new(handler))
}
