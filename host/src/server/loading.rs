//! Modules are loaded and tried, in a task of their own: whoever serves or stops does not wait for
//! the compiler.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::error::{BadPlugin, StartError, Unfit};
use super::versions::{Handlers, Known};
use crate::config::{Config, HandlerConfig};
use crate::engine::{Engine, Settings};
use crate::handler::{Handler, Loader};
use crate::trial::trial;

/// After how long a module that is still being compiled is mentioned, and how often again.
const PROGRESS: Duration = Duration::from_secs(5);

/// Modules that are to be loaded.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) loader: Arc<Loader>,
    /// With what is known of each handler.
    pub(super) wanted: Vec<(Arc<HandlerConfig>, Known)>,
    /// The largest module, in bytes.
    pub(super) limit: u64,
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

/// Loads and tries the modules of `config` as a start does, with nothing bound.
pub async fn check_handlers(config: &Config) -> Result<(), StartError> {
    let loader =
        Loader::new(Engine::with(&Settings::of(&config.server, 1))?).map_err(StartError::Linker)?;
    let limit = config.server.max_module_size;
    let handlers = Handlers::default();
    let loading = Loading::new(&Arc::new(loader), &config.handlers, &handlers, limit);
    all_good(loading.run().await?).map(drop)
}

/// The handlers, or all that is wrong.
pub(super) fn all_good(loaded: Vec<Loaded>) -> Result<Vec<Loaded>, StartError> {
    let (good, bad): (Vec<_>, Vec<_>) =
        loaded.into_iter().partition(|loaded| loaded.handler.is_ok());
    let wrong: Vec<_> = bad.into_iter().filter_map(|loaded| loaded.handler.err()).collect();
    if wrong.is_empty() { Ok(good) } else { Err(StartError::Load(wrong)) }
}

impl Loading {
    pub(super) fn new(
        loader: &Arc<Loader>,
        configs: &[Arc<HandlerConfig>],
        handlers: &Handlers,
        limit: u64,
    ) -> Self {
        let known = |config: &Arc<HandlerConfig>| {
            let known = handlers.known(&config.name);
            (Arc::clone(config), known)
        };
        let wanted = configs.iter().map(known).collect();
        Self { loader: Arc::clone(loader), wanted, limit, returns: false }
    }

    /// Loads and tries one after the other.
    pub(super) async fn run(self) -> Result<Vec<Loaded>, StartError> {
        let mut all = Vec::with_capacity(self.wanted.len());
        for (config, known) in &self.wanted {
            all.push(self.load(config, known).await?);
        }
        Ok(all)
    }

    async fn load(&self, config: &Arc<HandlerConfig>, known: &Known) -> Result<Loaded, StartError> {
        let compiled = self.compile(config, known).await?;
        let is_left_behind =
            |handler: &Handler| known.left_behind.contains(&handler.version()) && !self.returns;
        let stays = compiled.as_ref().is_ok_and(is_left_behind);
        let compiled = match &known.present {
            Some(present) if stays => present.again(config).map_err(Unfit::Load),
            _ => compiled,
        };
        let handler = match compiled {
            Ok(handler) => try_out(handler, config, known).await,
            Err(error) => Err(error),
        };
        let handler = handler.map_err(|error| BadPlugin::new(config, error));
        Ok(Loaded { name: config.name.clone(), handler, stays })
    }

    /// Compiles a module on a thread of its own, and mentions it if that takes long.
    async fn compile(
        &self,
        config: &Arc<HandlerConfig>,
        known: &Known,
    ) -> Result<Result<Handler, Unfit>, StartError> {
        let (loader, limit) = (Arc::clone(&self.loader), self.limit);
        let (wanted, versions, next) = (Arc::clone(config), known.versions.clone(), known.next);
        let mut compiling = tokio::task::spawn_blocking(move || {
            loader.load_or_reuse(&wanted, &versions, next, limit)
        });
        let mut progress = interval(PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first is at once.
        progress.tick().await;
        let mut so_far = Duration::ZERO;
        loop {
            tokio::select! {
                compiled = &mut compiling => {
                    let compiled = compiled.map_err(StartError::Loading)?;
                    return Ok(compiled.map_err(Unfit::Load));
                }
                _ = progress.tick() => {
                    so_far += PROGRESS;
                    let (name, seconds) = (&config.name, so_far.as_secs());
                    tracing::info!("handler {name}: its module is being compiled for {seconds} s");
                }
            }
        }
    }
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
    trial(&handler).await.map_err(|error| Unfit::Trial { version, error })?;
    Ok(Arc::new(handler))
}
