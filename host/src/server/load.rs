//! Handlers are loaded beside everything else that a server does: what comes of it is put into
//! service when all are there. One change of the configuration is loaded after the other.

use std::collections::VecDeque;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Server;
use super::control::{ControlError, Reply};
use super::error::{BadPlugin, StartError};
use crate::compile;
use crate::config::{Config, HandlerConfig, ServerConfig, nearest};
use crate::handler::{Handler, Loading};

/// Handlers, by their names.
pub(super) type Handlers = Vec<(String, Arc<Handler>)>;

/// A change that needs handlers, and who waits for it.
#[derive(Debug)]
pub(super) enum Change {
    Apply(Box<Config>, Reply),
    Swap {
        handler: String,
        module: PathBuf,
        reply: Reply<u64>,
    },
    /// A configuration that could not be read.
    Unreadable(Reply),
}

/// Loads that have not been made yet.
#[derive(Debug, Default)]
pub(super) struct Loads {
    under_way: Option<(Change, JoinHandle<Result<Handlers, StartError>>)>,
    /// In their order.
    waiting: VecDeque<Change>,
    /// What the log has of modules that were compiled, and of those from the cache.
    told: (u64, u64),
}

impl Loads {
    /// Waits until the change that is under way has its handlers; for ever if there is none.
    pub(super) async fn loaded(&mut self) -> (Change, Result<Handlers, StartError>) {
        let Some((_, loading)) = &mut self.under_way else { return std::future::pending().await };
        let loaded = loading.await.map_err(StartError::Loading).flatten();
        match self.under_way.take() {
            Some((change, _)) => (change, loaded),
            None => std::future::pending().await,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.under_way.is_none()
    }
}

impl Server {
    /// Makes a change when those before it are made.
    pub(super) fn change(&mut self, change: Change) {
        self.loads.waiting.push_back(change);
        self.load_next();
    }

    /// Makes a change whose handlers are loaded, and goes on to the next.
    pub(super) async fn loaded(&mut self, change: Change, loaded: Result<Handlers, StartError>) {
        self.tell_of_plugins();
        match change {
            Change::Apply(config, reply) => {
                let applied = match loaded {
                    Ok(handlers) => self.apply_and_announce(*config, handlers).await,
                    Err(error) => Err(error.into()),
                };
                if applied.is_ok() {
                    tracing::info!("the configuration was applied");
                }
                self.changes.reloads.note(None, &applied);
                answer(reply, applied);
            }
            Change::Swap { handler, module, reply } => {
                let swapped = loaded.map_err(ControlError::from);
                let swapped = swapped.and_then(|handlers| self.swap(&handler, &module, handlers));
                self.changes.swaps.note(Some(handler), &swapped);
                answer(reply, swapped);
            }
            Change::Unreadable(_) => {}
        }
        self.load_next();
    }

    /// Says that a change is not made, and why.
    pub(super) fn refuse_change(&mut self, change: Change, why: ControlError) {
        match change {
            Change::Apply(_, reply) | Change::Unreadable(reply) => {
                let refused = Err(why);
                self.changes.reloads.note(None, &refused);
                answer(reply, refused);
            }
            Change::Swap { handler, reply, .. } => {
                let refused = Err(why);
                self.changes.swaps.note(Some(handler), &refused);
                answer(reply, refused);
            }
        }
    }

    /// Logs how many modules were compiled since it was called last, and how many were not.
    pub(super) fn tell_of_plugins(&mut self) {
        let now = (self.loader.compiled(), self.loader.from_cache());
        let before = std::mem::replace(&mut self.loads.told, now);
        if now != before {
            let (compiled, from_cache) = (now.0 - before.0, now.1 - before.1);
            tracing::info!("plugins: {compiled} compiled, {from_cache} from the cache");
        }
    }

    /// Begins with the next change, unless one is under way.
    fn load_next(&mut self) {
        while self.loads.is_empty()
            && let Some(change) = self.loads.waiting.pop_front()
        {
            let needed = match &change {
                Change::Apply(config, _) => self
                    .check_fixed(config)
                    .map(|()| (config.handlers.clone(), &config.server))
                    .map_err(ControlError::from),
                Change::Swap { handler, module, .. } => self
                    .with_module(handler, module)
                    .map(|config| (vec![config], &self.config.server)),
                Change::Unreadable(_) => continue,
            };
            let (configs, server) = match needed {
                Ok(needed) => needed,
                Err(error) => {
                    self.refuse_change(change, error);
                    continue;
                }
            };
            let loading = tokio::spawn(self.load_all(configs, server));
            self.loads.under_way = Some((change, loading));
        }
    }

    /// The configuration of a handler, with another module.
    pub(super) fn with_module(
        &self,
        name: &str,
        module: &Path,
    ) -> Result<Arc<HandlerConfig>, ControlError> {
        let handlers = &self.config.handlers;
        let Some(handler) = handlers.iter().find(|handler| handler.name == name) else {
            let hint = nearest::did_you_mean(name, handlers.iter().map(|h| h.name.as_str()));
            return Err(ControlError::NoHandler { name: name.into(), hint });
        };
        Ok(Arc::new(HandlerConfig { module: module.to_owned(), ..HandlerConfig::clone(handler) }))
    }

    /// Loads handlers, a few at once; gives all of them in their order, or all that is wrong. One
    /// that has not changed stays as it is: its module may have changed in its file.
    pub(super) fn load_all(
        &self,
        configs: Vec<Arc<HandlerConfig>>,
        server: &ServerConfig,
    ) -> impl Future<Output = Result<Handlers, StartError>> + Send + use<> {
        let loader = Arc::clone(&self.loader);
        let old = |config: &Arc<HandlerConfig>| self.handlers.get(&config.name).map(Arc::clone);
        let configs: Vec<_> = configs.into_iter().map(|config| (old(&config), config)).collect();
        let server = server.clone();
        async move {
            let opened = spawn_blocking(move || Loading::of(&server)).await;
            let loading = Arc::new(opened.map_err(StartError::Loading)?);
            let places = Arc::new(Semaphore::new(compile::at_once()));
            let load = |(old, config): &(Option<Arc<Handler>>, Arc<HandlerConfig>)| {
                let (old, config) = (old.clone(), Arc::clone(config));
                let (loader, loading) = (Arc::clone(&loader), Arc::clone(&loading));
                let places = Arc::clone(&places);
                // Compiling takes a while: not on a thread that serves connections.
                tokio::spawn(async move {
                    let _place = places.acquire_owned().await;
                    spawn_blocking(move || loader.load_or_keep(&config, old.as_ref(), &loading))
                        .await
                })
            };
            let under_way: Vec<_> = configs.iter().map(load).collect();
            let mut all = Handlers::with_capacity(configs.len());
            let mut wrong = Vec::new();
            for ((_, config), load) in configs.iter().zip(under_way) {
                match load.await.flatten().map_err(StartError::Loading)? {
                    Ok(handler) => all.push((config.name.clone(), handler)),
                    Err(error) => wrong.push(BadPlugin::new(config, error)),
                }
            }
            spawn_blocking(move || loading.tidy()).await.map_err(StartError::Loading)?;
            if !wrong.is_empty() {
                return Err(StartError::Load(wrong));
            }
            Ok(all)
        }
    }
}

fn answer<T>(reply: Reply<T>, answer: Result<T, ControlError>) {
    // Who asked may have gone.
    let _ = reply.send(answer);
}
