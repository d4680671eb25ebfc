//! Handlers and configurations take the place of others, one change after the other.
//!
//! What takes time comes first and is not waited for; the change itself is made at once.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Server;
use super::control::{ControlError, Event, Reply, answer, read};
use super::error::{BadPlugin, StartError};
use super::loading::{Load, Loaded, all_good};
use super::versions::NoWayBack;
use crate::config::{Config, Difference, HandlerConfig, difference, nearest};

/// Changes that wait for others. Without a bound a program that asks without end would fill the
/// memory with them.
const WAITING: usize = 64;

/// Something that loads modules, or must come before or after what does.
#[derive(Debug)]
pub(super) enum Change {
    /// Another configuration.
    Apply(Box<Config>, Reply<Vec<Difference>>),
    /// The configuration that is in its file now.
    Reload(Reply<Vec<Difference>>),
    /// Another module of one handler, or what is in its file now.
    Swap { handler: String, module: Option<PathBuf>, reply: Reply<u64> },
    /// The version before.
    RollBack { handler: String, reply: Reply<u64> },
    /// What is in the files of watched handlers now.
    Watched,
}

/// The changes that are asked for, in their order.
#[derive(Debug, Default)]
pub(super) struct Changes {
    waiting: VecDeque<Change>,
    /// The one whose modules are being loaded.
    under_way: Option<Change>,
    /// What the log has of modules that were compiled, and of those from the cache.
    told: (u64, u64),
}

impl Server {
    /// Makes a change when those before it are made.
    pub(super) fn change(&mut self, change: Change) {
        let is_watched = |change: &Change| matches!(change, Change::Watched);
        if is_watched(&change) && self.changes.waiting.iter().any(is_watched) {
            return;
        }
        if self.changes.waiting.len() >= WAITING {
            return self.refuse_change(change, ControlError::Busy(WAITING));
        }
        self.changes.waiting.push_back(change);
        self.begin_changes();
    }

    /// Makes none of the changes that are asked for: the server is about to end.
    pub(super) fn refuse_changes(&mut self) {
        let Changes { waiting, under_way, .. } = std::mem::take(&mut self.changes);
        for change in under_way.into_iter().chain(waiting) {
            self.refuse_change(change, ControlError::Ending);
        }
    }

    /// Says that a change is not made, and why.
    pub(super) fn refuse_change(&mut self, change: Change, why: ControlError) {
        match change {
            Change::Apply(_, reply) | Change::Reload(reply) => self.answer_apply(reply, Err(why)),
            Change::Swap { handler, reply, .. } | Change::RollBack { handler, reply } => {
                self.answer_swap(&handler, reply, Err(why));
            }
            Change::Watched => {}
        }
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

    /// Goes on with the change whose configuration is read.
    pub(super) fn was_read(&mut self, read: Result<Box<Config>, ControlError>) {
        if let Some(Change::Reload(reply)) = self.changes.under_way.take() {
            match read {
                Ok(config) => self.begin(Change::Apply(config, reply)),
                Err(error) => self.answer_apply(reply, Err(error)),
            }
        }
        self.begin_changes();
    }

    /// Makes the change whose modules are loaded, and begins the next.
    pub(super) async fn loaded(&mut self, loaded: Result<Vec<Loaded>, StartError>) {
        self.tell_of_plugins();
        match self.changes.under_way.take() {
            Some(Change::Apply(wanted, reply)) => {
                let applied = self.apply_loaded(*wanted, loaded).await;
                self.answer_apply(reply, applied);
            }
            Some(Change::Swap { handler, module, reply }) => {
                let swapped = self.swap_loaded(&handler, module.as_deref(), loaded);
                self.answer_swap(&handler, reply, swapped);
            }
            Some(Change::Watched) => self.watched_loaded(loaded),
            Some(Change::Reload(_) | Change::RollBack { .. }) | None => {}
        }
        self.begin_changes();
    }

    /// The files of handlers that are watched.
    pub(super) fn watched_modules(config: &Config) -> Vec<PathBuf> {
        let watched = config.handlers.iter().filter(|handler| handler.watch);
        watched.map(|handler| handler.module.clone()).collect()
    }

    fn begin_changes(&mut self) {
        while self.changes.under_way.is_none() {
            let Some(change) = self.changes.waiting.pop_front() else { return };
            self.begin(change);
        }
    }

    /// Begins to load what the change needs, or makes it if that is nothing.
    fn begin(&mut self, change: Change) {
        let (handlers, server) = match change {
            Change::Apply(wanted, reply) => {
                if let Err(error) = self.check_fixed(&wanted) {
                    return self.answer_apply(reply, Err(error.into()));
                }
                let needed = (wanted.handlers.clone(), wanted.server.clone());
                self.changes.under_way = Some(Change::Apply(wanted, reply));
                needed
            }
            Change::Reload(reply) => {
                self.changes.under_way = Some(Change::Reload(reply));
                let (source, sender) = (self.source.clone(), self.sender.clone());
                tokio::spawn(async move {
                    // A server that has ended hears no more.
                    let _ = sender.send(Event::Read(read(source).await.map(Box::new)));
                });
                return;
            }
            Change::Swap { handler, module, reply } => {
                let config = match self.handler_config(&handler, module.as_deref()) {
                    Ok(config) => config,
                    Err(error) => return self.answer_swap(&handler, reply, Err(error)),
                };
                self.changes.under_way = Some(Change::Swap { handler, module, reply });
                (vec![config], self.config.server.clone())
            }
            Change::RollBack { handler, reply } => {
                let rolled_back = self.roll_back(&handler);
                return self.answer_swap(&handler, reply, rolled_back);
            }
            Change::Watched => {
                self.changes.under_way = Some(Change::Watched);
                let handlers = self.config.handlers.iter().filter(|handler| handler.watch);
                (handlers.map(Arc::clone).collect(), self.config.server.clone())
            }
        };
        let mut load = Load::new(&self.loader, &handlers, &self.handlers, &server);
        load.returns = matches!(self.changes.under_way, Some(Change::Swap { .. }));
        let sender = self.sender.clone();
        let running = tokio::spawn(load.run());
        tokio::spawn(async move {
            let loaded = running.await.unwrap_or_else(|error| Err(StartError::Loading(error)));
            // A server that has ended hears no more.
            let _ = sender.send(Event::Loaded(loaded));
        });
    }

    async fn apply_loaded(
        &mut self,
        wanted: Config,
        loaded: Result<Vec<Loaded>, StartError>,
    ) -> Result<Vec<Difference>, ControlError> {
        let before = self.listening();
        let differences = difference(&self.config, &wanted);
        let applied = match loaded.and_then(all_good) {
            Ok(handlers) => self.apply(wanted, handlers).await,
            Err(error) => Err(error),
        };
        if let Err(error) = applied {
            self.note_failures(&error);
            return Err(error.into());
        }
        for new in self.listening().iter().filter(|on| !before.contains(on)) {
            tracing::info!("{new}");
        }
        let all: Vec<_> = differences.iter().map(ToString::to_string).collect();
        let what = if all.is_empty() { "nothing in it is new".into() } else { all.join("; ") };
        tracing::info!("the configuration was applied: {what}");
        Ok(differences)
    }

    fn swap_loaded(
        &mut self,
        name: &str,
        module: Option<&Path>,
        loaded: Result<Vec<Loaded>, StartError>,
    ) -> Result<u64, ControlError> {
        let handlers = loaded.and_then(all_good).inspect_err(|error| self.note_failures(error))?;
        let config = self.handler_config(name, module)?;
        let configs = &mut self.config.handlers;
        for old in configs.iter_mut().filter(|old| old.name == config.name) {
            *old = Arc::clone(&config);
        }
        self.put(handlers);
        self.reroute();
        Ok(self.handlers.get(name).map_or(0, |handler| handler.version()))
    }

    fn watched_loaded(&mut self, loaded: Result<Vec<Loaded>, StartError>) {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return tracing::error!("watched modules cannot be loaded: {error}"),
        };
        let (good, bad): (Vec<_>, Vec<_>) =
            loaded.into_iter().partition(|loaded| loaded.handler.is_ok());
        for good in &good {
            let Ok(handler) = &good.handler else { continue };
            let present = self.handlers.get(&good.name).map(|present| present.version());
            if present != Some(handler.version()) {
                self.tried.swaps.note::<_, BadPlugin>(Some(&good.name), &Ok(()));
            }
        }
        self.put(good);
        self.reroute();
        let bad: Vec<_> = bad.into_iter().filter_map(|loaded| loaded.handler.err()).collect();
        // A file that is being written is no module until it is whole: that is asked for all of
        // them at once, or one that is whole and no use would hide that another stays half.
        let lasts = if bad.is_empty() {
            self.modules.is_good();
            false
        } else if bad.iter().any(BadPlugin::may_be_half) {
            self.modules.is_bad()
        } else {
            self.modules.is_no_use()
        };
        for bad in bad {
            let is_said = lasts || !bad.may_be_half();
            let Some(present) = self.handlers.get(bad.handler()) else { continue };
            let (name, version) = (bad.handler().to_owned(), present.version());
            if is_said && self.handlers.failed(&name, bad.to_string()) {
                tracing::error!("handler {name}: {bad}; v{version} stays");
                self.tried.swaps.note::<(), _>(Some(&name), &Err(bad));
            }
        }
    }

    fn roll_back(&mut self, name: &str) -> Result<u64, ControlError> {
        match self.handlers.roll_back(name) {
            None => Err(self.no_handler(name)),
            Some(Err(NoWayBack::First(version))) => {
                Err(ControlError::NoVersion { handler: name.into(), version })
            }
            Some(Err(NoWayBack::Load(error))) => {
                let config = self.handler_config(name, None)?;
                Err(StartError::bad_plugin(&config, error).into())
            }
            Some(Ok(version)) => {
                self.reroute();
                Ok(version)
            }
        }
    }

    /// Puts handlers that were loaded into service; connections are not sent to them yet.
    pub(super) fn put(&mut self, loaded: Vec<Loaded>) {
        for Loaded { name, handler, stays } in loaded {
            let Ok(handler) = handler else { continue };
            let version = handler.version();
            self.handlers.put(handler);
            if stays {
                tracing::info!("handler {name}: v{version} stays: its file was rolled back");
            } else {
                self.handlers.is_past_rollback(&name);
            }
        }
    }

    /// The configuration of a handler, with this module if there is one.
    fn handler_config(
        &self,
        name: &str,
        module: Option<&Path>,
    ) -> Result<Arc<HandlerConfig>, ControlError> {
        let config = self.config.handlers.iter().find(|handler| handler.name == name);
        let config = config.ok_or_else(|| self.no_handler(name))?;
        Ok(match module {
            None => Arc::clone(config),
            Some(module) => {
                Arc::new(HandlerConfig { module: module.into(), ..HandlerConfig::clone(config) })
            }
        })
    }

    fn no_handler(&self, name: &str) -> ControlError {
        let names = self.config.handlers.iter().map(|handler| handler.name.as_str());
        ControlError::NoHandler { name: name.into(), hint: nearest::did_you_mean(name, names) }
    }

    fn answer_apply(
        &mut self,
        reply: Reply<Vec<Difference>>,
        applied: Result<Vec<Difference>, ControlError>,
    ) {
        self.tried.reloads.note(None, &applied);
        answer(reply, applied);
    }

    fn answer_swap(
        &mut self,
        handler: &str,
        reply: Reply<u64>,
        swapped: Result<u64, ControlError>,
    ) {
        self.tried.swaps.note(Some(handler), &swapped);
        answer(reply, swapped);
    }

    fn note_failures(&mut self, error: &StartError) {
        let StartError::Load(wrong) = error else { return };
        for bad in wrong {
            self.handlers.failed(bad.handler(), bad.to_string());
        }
    }
}
