//! The versions of handlers: the one in service, those that can come back, and those that only
//! connections still have.
//!
//! A version's number stands for its module: one that comes back has the number that it had.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::status::VersionState;
use crate::account::Order;
use crate::config::HandlerConfig;
use crate::handler::{Handler, LoadError};

/// Versions of a handler that can come back, beside the one in service. Their code takes about
/// three times the room of their modules; without a bound every change would add to that.
const KEPT: usize = 3;

/// All handlers, by name.
#[derive(Debug, Default)]
pub(super) struct Handlers {
    by_name: BTreeMap<String, Versions>,
    /// Those that were replaced, as long as they have connections.
    leaving: Vec<Leaving>,
    /// What has come into service and is not told yet.
    news: Vec<String>,
}

/// The versions of one handler.
#[derive(Debug)]
pub(super) struct Versions {
    present: Arc<Handler>,
    /// By number, none of them that of the present one. These themselves serve nobody.
    kept: Vec<Arc<Handler>>,
    newest: u64,
    /// Numbers that a rollback has left, as long as their module is in the file.
    left_behind: Vec<u64>,
    failure: Option<Failure>,
}

/// Why the last module that was to be loaded is not in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) time: SystemTime,
    pub(super) error: String,
}

/// A handler that is out of service.
#[derive(Debug)]
struct Leaving {
    /// Its connections have it.
    handler: Weak<Handler>,
    since: Instant,
    /// When its connections were asked to finish.
    draining: Option<Instant>,
    is_cut: bool,
}

/// What there is of a handler already, for whoever loads it.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) present: Option<Arc<Handler>>,
    /// All of them that are loaded, with the present one.
    pub(super) versions: Vec<Arc<Handler>>,
    pub(super) left_behind: Vec<u64>,
    /// The number of the next one.
    pub(super) next: u64,
}

/// There is no version to go back to.
#[derive(Debug)]
pub(super) enum NoWayBack {
    /// None is kept that came before this one.
    First(u64),
    /// It cannot be had under the handler's present limits.
    Load(LoadError),
}

impl Handlers {
    /// What is in service under this name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Handler>> {
        self.by_name.get(name).map(|versions| &versions.present)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Versions> {
        self.by_name.values()
    }

    /// What is known of the handler of this name.
    pub(super) fn known(&self, name: &str) -> Known {
        let found = self.by_name.get(name);
        let loaded = found.into_iter().flat_map(|versions| {
            std::iter::once(&versions.present).chain(&versions.kept).map(Arc::clone)
        });
        let versions: Vec<_> = loaded.chain(self.leaving(name)).collect();
        let newest = versions.iter().map(|handler| handler.version()).max().unwrap_or(0);
        Known {
            present: found.map(|versions| Arc::clone(&versions.present)),
            versions,
            left_behind: found.map(|versions| versions.left_behind.clone()).unwrap_or_default(),
            next: newest.max(found.map_or(0, |versions| versions.newest)) + 1,
        }
    }

    /// Puts a handler that was loaded into service. What it replaces may finish.
    pub(super) fn put(&mut self, handler: Arc<Handler>) {
        let Some(versions) = self.by_name.get_mut(handler.name()) else {
            let (name, newest) = (handler.name().to_owned(), handler.version());
            let (kept, left_behind, failure) = (Vec::new(), Vec::new(), None);
            let versions = Versions { present: handler, kept, newest, left_behind, failure };
            self.by_name.insert(name, versions);
            return;
        };
        versions.failure = None;
        if Arc::ptr_eq(&versions.present, &handler) {
            return;
        }
        versions.newest = versions.newest.max(handler.version());
        self.replace(handler);
    }

    /// Tells the log what has come into service, now that connections are sent there.
    pub(super) fn tell_news(&mut self) {
        for news in self.news.drain(..) {
            tracing::info!("{news}");
        }
    }

    /// Says that the file of this handler does not have a version any more that a rollback has
    /// left: if it comes back, it is meant.
    pub(super) fn is_past_rollback(&mut self, name: &str) {
        if let Some(versions) = self.by_name.get_mut(name) {
            versions.left_behind.clear();
        }
    }

    /// Puts the version into service again that came before the present one; gives its number.
    /// `None` if there is no such handler.
    pub(super) fn roll_back(&mut self, name: &str) -> Option<Result<u64, NoWayBack>> {
        let versions = self.by_name.get_mut(name)?;
        let present = Arc::clone(&versions.present);
        let before = versions.kept.iter().rfind(|kept| kept.version() < present.version());
        let Some(before) = before else { return Some(Err(NoWayBack::First(present.version()))) };
        let again = match before.again(present.config(), present.tenant()) {
            Ok(again) => again,
            Err(error) => return Some(Err(NoWayBack::Load(error))),
        };
        versions.left_behind.push(present.version());
        let version = again.version();
        self.replace(Arc::new(again));
        Some(Ok(version))
    }

    /// Notes why a module is not in service. Whether that is news.
    pub(super) fn failed(&mut self, name: &str, error: String) -> bool {
        let Some(versions) = self.by_name.get_mut(name) else { return true };
        let is_news = versions.failure.as_ref().is_none_or(|failure| failure.error != error);
        versions.failure = Some(Failure { time: SystemTime::now(), error });
        is_news
    }

    /// Forgets all handlers but these. Their connections may finish.
    pub(super) fn retain(&mut self, configs: &[Arc<HandlerConfig>]) {
        let gone = self
            .by_name
            .extract_if(.., |name, _| !configs.iter().any(|config| config.name == *name));
        let leaving = gone.map(|(_, versions)| Leaving::now(&versions.present));
        self.leaving.extend(leaving);
    }

    /// When the next connections are to be asked to finish, or cut.
    pub(super) fn due(&self, drain_timeout: Option<Duration>) -> Option<Instant> {
        self.leaving.iter().filter_map(|leaving| self.due_of(leaving, drain_timeout)).min()
    }

    /// Asks connections to finish whose version has been out of service for too long, and cuts
    /// those who have had the time of a drain for it.
    pub(super) fn retire(&mut self, drain_timeout: Option<Duration>) {
        let mut leaving = std::mem::take(&mut self.leaving);
        let now = Instant::now();
        for old in &mut leaving {
            if self.due_of(old, drain_timeout).is_some_and(|due| due <= now) {
                old.retire(now);
            }
        }
        leaving.retain(|old| old.handler.strong_count() > 0);
        self.leaving = leaving;
    }

    /// How many connections this version of the handler has.
    pub(super) fn connections(&self, name: &str, version: u64) -> usize {
        let present = self.get(name).map(Arc::clone);
        let all = present.into_iter().chain(self.leaving(name));
        all.filter(|handler| handler.version() == version)
            .map(|handler| handler.connections().count())
            .sum()
    }

    /// The handlers of this name that only connections have.
    fn leaving(&self, name: &str) -> impl Iterator<Item = Arc<Handler>> {
        let leaving = self.leaving.iter().filter_map(|leaving| leaving.handler.upgrade());
        leaving.filter(move |handler| handler.name() == name)
    }

    fn replace(&mut self, handler: Arc<Handler>) {
        let Some(versions) = self.by_name.get_mut(handler.name()) else { return };
        let (name, version) = (handler.name().to_owned(), handler.version());
        let digest = handler.digest().get(..8).unwrap_or_default().to_owned();
        let old = std::mem::replace(&mut versions.present, handler);
        versions.kept.retain(|kept| kept.version() != version);
        if old.version() != version {
            // It fits under its own configuration: it was loaded with it.
            versions.kept.extend(old.again(old.config(), old.tenant()).map(Arc::new));
            versions.kept.sort_by_key(|kept| kept.version());
            let over = versions.kept.len().saturating_sub(KEPT);
            versions.kept.drain(..over);
        }
        self.leaving.retain(|leaving| leaving.handler.strong_count() > 0);
        self.leaving.push(Leaving::now(&old));
        let before = old.version();
        if before == version {
            return;
        }
        let is_same = |other: &Handler| other.name() == name && other.version() == before;
        for leaving in &mut self.leaving {
            // Those of an earlier term: their version was in service until now.
            if leaving.handler.upgrade().is_some_and(|other| is_same(&other)) {
                leaving.since = Instant::now();
            }
        }
        let finish = match self.connections(&name, before) {
            0 => String::new(),
            1 => format!("; 1 connection finishes on v{before}"),
            count => format!("; {count} connections finish on v{before}"),
        };
        let news = format!("handler {name}: v{version} (sha256 {digest}) is in service{finish}");
        self.news.push(news);
    }

    fn due_of(&self, leaving: &Leaving, drain_timeout: Option<Duration>) -> Option<Instant> {
        let handler = leaving.handler.upgrade()?;
        match leaving.draining {
            None => {
                // As it is configured now; as it was, if it is gone.
                let present = self.get(handler.name());
                let is_back = present.is_some_and(|now| now.version() == handler.version());
                let after = present.unwrap_or(&handler).config().retire_after;
                after.filter(|_| !is_back).map(|after| leaving.since + after)
            }
            Some(began) if !leaving.is_cut => drain_timeout.map(|timeout| began + timeout),
            Some(_) => None,
        }
    }
}

impl Versions {
    pub(super) const fn present(&self) -> &Arc<Handler> {
        &self.present
    }

    /// What the version of this number is for.
    pub(super) fn state_of(&self, version: u64) -> VersionState {
        if version == self.present.version() {
            VersionState::InService
        } else if self.kept.iter().any(|kept| kept.version() == version) {
            VersionState::Kept
        } else {
            VersionState::Leaving
        }
    }

    pub(super) const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

impl Leaving {
    fn now(handler: &Arc<Handler>) -> Self {
        let handler = Arc::downgrade(handler);
        Self { handler, since: Instant::now(), draining: None, is_cut: false }
    }

    fn retire(&mut self, now: Instant) {
        let Some(handler) = self.handler.upgrade() else { return };
        let (name, version, connections) =
            (handler.name(), handler.version(), handler.connections());
        let count = connections.count();
        if self.draining.is_none() {
            self.draining = Some(now);
            connections.order(Order::Drain);
            tracing::info!(
                "handler {name}: connections on v{version} are asked to finish: {count}"
            );
        } else {
            self.is_cut = true;
            connections.order(Order::Cut);
            tracing::warn!("handler {name}: connections on v{version} are cut: {count}");
        }
    }
}
