//! What a server does when it is told something.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Server;
use super::apply::PREPARES;
use super::control::{Action, Command, ControlError, Event, Limit, Reply, answer};
use super::end::End;
use super::error::StartError;
use super::handover::HandOver;
use super::listener::{Listener, Run};
use super::status::Status;
use crate::config::{ListenerConfig, nearest};
use crate::listener::{Life, Phase};

impl Server {
    /// Does what an event asks for; gives the end of the server, if it is that.
    pub(super) async fn handle(&mut self, event: Event) -> Option<End> {
        let command = match event {
            Event::Command(command) => command,
            Event::Gone { life, gone } => return self.lose(&life, gone),
            Event::Drained(life) => {
                let ended = self
                    .listener_of(&life)
                    .map(|listener| std::mem::replace(&mut listener.run, Run::Stopped));
                if let Some(Run::Running(running)) = ended {
                    // Those that could not be cut in time.
                    self.keep(running.connections());
                }
                return None;
            }
            Event::Read(read) => {
                self.was_read(read);
                return None;
            }
            Event::Loaded(loaded) => {
                self.loaded(loaded).await;
                return None;
            }
        };
        match command {
            Command::Drain(within) => return Some(End::Drain(within)),
            Command::Stop => return Some(End::Stop),
            Command::Change(change) => self.change(change),
            Command::Limit { limit, most, reply } => answer(reply, self.limit(&limit, most)),
            Command::Listener { name, action, reply } => {
                answer(reply, self.act(&name, action).await);
            }
            Command::DrainListener { name, deadline, reply } => {
                self.drain_listener(&name, deadline, reply);
            }
            Command::HandOver(reply) => answer(reply, Ok(HandOver::of(self))),
            Command::Leave(handed_over, reply) => {
                if !handed_over.is_all_of(self) {
                    answer(reply, Err(ControlError::OtherSockets));
                    return None;
                }
                handed_over.leave();
                answer(reply, Ok(()));
                return Some(End::Left);
            }
            Command::DrainTimeout(reply) => answer(reply, Ok(self.config.server.drain_timeout)),
            Command::ReopenReceipts => self.receipts.reopen(),
            Command::Status(reply) => answer(reply, Ok(Status::of(self))),
            Command::Config(reply) => {
                let config = Box::new(self.config.clone());
                answer(reply, Ok((config, self.source.clone())));
            }
        }
        None
    }

    /// Does what an event asks for while the server drains; what would change the server is
    /// refused.
    pub(super) async fn handle_draining(&mut self, event: Event) {
        let command = match event {
            Event::Command(command) => command,
            // Its listeners end anyway, and whoever asked for modules was refused.
            Event::Gone { .. } | Event::Read(_) | Event::Loaded(_) => return,
            Event::Drained(_) => {
                self.handle(event).await;
                return;
            }
        };
        match command {
            Command::Status(_)
            | Command::Config(_)
            | Command::DrainTimeout(_)
            | Command::DrainListener { .. } => {
                self.handle(Event::Command(command)).await;
            }
            Command::Change(change) => self.refuse_change(change, ControlError::Ending),
            Command::Limit { reply, .. }
            | Command::Listener { reply, .. }
            // What is closed here is closed for whoever would take it over.
            | Command::Leave(_, reply) => answer(reply, Err(ControlError::Ending)),
            Command::ReopenReceipts => self.receipts.reopen(),
            Command::HandOver(reply) => answer(reply, Err(ControlError::Ending)),
            Command::Drain(_) | Command::Stop => {}
        }
    }

    fn limit(&mut self, limit: &Limit, most: Option<NonZeroU32>) -> Result<(), ControlError> {
        match limit {
            Limit::Server => {
                let room = self.room;
                if let Some(wanted) = most.map(NonZeroU32::get).filter(|wanted| *wanted > room) {
                    return Err(ControlError::Room { room, wanted });
                }
                self.config.server.max_connections = most;
            }
            Limit::Pool(name) => {
                let hint = nearest::did_you_mean(name, self.config.pools.iter().map(|p| &*p.name));
                let pool = self.config.pools.iter_mut().find(|pool| pool.name == *name);
                let none = || ControlError::NoPool { name: name.into(), hint };
                let pool = pool.ok_or_else(none)?;
                pool.size = most.unwrap_or(pool.size);
            }
            Limit::Tenant(name) => {
                let tenants = &mut self.config.tenants;
                let hint = nearest::did_you_mean(name, tenants.iter().map(|tenant| &*tenant.name));
                let tenant = tenants.iter_mut().find(|tenant| tenant.name == *name);
                let none = || ControlError::NoTenant { name: name.into(), hint };
                tenant.ok_or_else(none)?.max_connections = most;
            }
            Limit::Listener(name) => {
                let hint = self.nearest_listener(name);
                let Some(listener) = self.listeners.get_mut(name) else {
                    return Err(ControlError::NoListener { name: name.into(), hint });
                };
                let before = ListenerConfig::clone(&listener.config);
                let config = Arc::new(ListenerConfig { max_connections: most, ..before });
                listener.reconfigure(Arc::clone(&config));
                let in_service = self.config.listeners.iter_mut().find(|c| c.name == *name);
                if let Some(in_service) = in_service {
                    *in_service = config;
                }
            }
        }
        self.set_bounds();
        Ok(())
    }

    async fn act(&mut self, name: &str, action: Action) -> Result<(), ControlError> {
        let hint = self.nearest_listener(name);
        let Some(listener) = self.listeners.get(name) else {
            return Err(ControlError::NoListener { name: name.into(), hint });
        };
        let phase = listener.life().map(|life| life.phase());
        match (action, phase) {
            (_, Some(Phase::Draining)) => Err(ControlError::Draining(name.into())),
            (Action::Start, None) => self.start_again(name).await,
            (Action::Suspend | Action::Resume, None) => Err(ControlError::Stopped(name.into())),
            (Action::Suspend, Some(_)) => {
                self.ask(name, Phase::Suspended);
                Ok(())
            }
            (Action::Resume, Some(Phase::Suspended)) => {
                self.ask(name, self.phase);
                Ok(())
            }
            (Action::Start | Action::Resume, Some(_)) => Ok(()),
        }
    }

    fn ask(&self, name: &str, phase: Phase) {
        if let Some(life) = self.listeners.get(name).and_then(|listener| listener.life()) {
            life.ask(phase);
            tracing::info!(
                "listener {name} is {}",
                if phase == Phase::Suspended { "suspended" } else { "resumed" }
            );
        }
    }

    async fn start_again(&mut self, name: &str) -> Result<(), ControlError> {
        let Some(listener) = self.listeners.get(name) else { return Ok(()) };
        let config = Arc::clone(&listener.config);
        let _doing = self.about.begins("binds a listener");
        let sockets = timeout(PREPARES, self.sockets(std::slice::from_ref(&config))).await;
        match sockets.unwrap_or(Err(StartError::Slow(PREPARES.as_secs()))) {
            Ok(sockets) => {
                for sockets in sockets {
                    self.start(name, sockets, self.phase).await;
                }
                Ok(())
            }
            Err(StartError::Bind { error, .. }) => {
                if let Some(listener) = self.listeners.get_mut(name) {
                    listener.run = Run::Failed(error.to_string());
                }
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn drain_listener(&mut self, name: &str, bound: Option<Duration>, reply: Reply<usize>) {
        let hint = self.nearest_listener(name);
        let Some(listener) = self.listeners.get_mut(name) else {
            return answer(reply, Err(ControlError::NoListener { name: name.into(), hint }));
        };
        let running = match &mut listener.run {
            Run::Running(running) => running,
            run => {
                // Before it runs, too: a listener that was stopped does not begin.
                *run = Run::Stopped;
                return answer(reply, Ok(0));
            }
        };
        let drain = running.drain();
        let (life, sender) = (Arc::clone(&drain.life), self.sender.clone());
        let deadline = bound.map(|bound| Instant::now() + bound);
        tokio::spawn(async move {
            let cut = drain.end(deadline).await;
            let _ = sender.send(Event::Drained(life));
            answer(reply, Ok(cut));
        });
    }

    /// The listener that has this life, unless another has taken its place.
    pub(super) fn listener_of(&mut self, life: &Arc<Life>) -> Option<&mut Listener> {
        let is_it = |its: &Arc<Life>| Arc::ptr_eq(its, life);
        self.listeners.values_mut().find(|listener| listener.life().is_some_and(is_it))
    }

    fn nearest_listener(&self, name: &str) -> String {
        nearest::did_you_mean(name, self.listeners.keys().map(String::as_str))
    }
}
