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
    Swap { handler: String, module: PathBuf, reply: Reply<u64> },
}

/// Changes that have not been made yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    under_way: Option<(Change, JoinHandle<Result<Handlers, StartError>>)>,
    /// In their order.
    waiting: VecDeque<Change>,
    /// What the log has of modules that were compiled, and of those from the cache.
    told: (u64, u64),
}

impl Changes {
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
        self.changes.waiting.push_back(change);
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
                answer(reply, applied);
            }
            Change::Swap { handler, module, reply } => {
                let swapped = loaded.map_err(ControlError::from);
                answer(reply, swapped.and_then(|handlers| self.swap(&handler, &module, handlers)));
            }
        }
        self.load_next();
    }

    /// Logs how many modules were compiled since it was called last, and how many were not.
    pub(super) fn tell_of_plugins(&mut self) {
        let now = (self.loader.compiled(), self.loader.from_cache());
        let before = std::mem::replace(&mut self.changes.told, now);
        if now != before {
            let (compiled, from_cache) = (now.0 - before.0, now.1 - before.1);
            tracing::info!("plugins: {compiled} compiled, {from_cache} from the cache");
        }
    }

    /// Begins with the next change, unless one is under way.
    fn load_next(&mut self) {
        while self.changes.is_empty()
            && let Some(change) = self.changes.waiting.pop_front()
        {
            let (configs, server) = match &change {
                Change::Apply(config, _) => match self.check_fixed(config) {
                    Ok(()) => (config.handlers.clone(), &config.server),
                    Err(error) => {
                        if let Change::Apply(_, reply) = change {
                            answer(reply, Err(error.into()));
                        }
                        continue;
                    }
                },
                Change::Swap { handler, module, .. } => match self.with_module(handler, module) {
                    Ok(config) => (vec![config], &self.config.server),
                    Err(error) => {
                        if let Change::Swap { reply, .. } = change {
                            answer(reply, Err(error));
                        }
                        continue;
                    }
                },
            };
            let loading = tokio::spawn(self.load_all(configs, server));
            self.changes.under_way = Some((change, loading));
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
