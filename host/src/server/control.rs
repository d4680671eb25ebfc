//! What a running server is told, by signals, by programs, and by its own parts.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::error::StartError;
use super::load::Change;
use super::status::Status;
use crate::config::Config;
use crate::listener::{BindError, Gone, Life};

/// Steers a server. What is asked before it runs is done when it runs, in that order; the answers
/// come then.
#[derive(Clone, Debug)]
pub struct Control(pub(super) mpsc::UnboundedSender<Event>);

/// A server could not do what it was told, and goes on as before.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It has ended, or ends.
    #[error("the server has ended")]
    Ended,
    /// There is no such listener.
    #[error("there is no listener `{name}`{hint}")]
    NoListener {
        /// What was asked for.
        name: String,
        /// The nearest that there is.
        hint: String,
    },
    /// There is no such handler.
    #[error("there is no handler `{name}`{hint}")]
    NoHandler {
        /// What was asked for.
        name: String,
        /// The nearest that there is.
        hint: String,
    },
    /// There is no such pool.
    #[error("there is no pool `{name}`{hint}")]
    NoPool {
        /// What was asked for.
        name: String,
        /// The nearest that there is.
        hint: String,
    },
    /// It does not run, so it cannot be suspended or resumed.
    #[error("listener {0} is stopped; start it first")]
    Stopped(String),
    /// Its connections are not done; it can be started when they are.
    #[error("listener {0} is draining; start it when it has stopped")]
    Draining(String),
    /// A listener's address cannot be had. Starting it can be tried again.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The configuration cannot be served.
    #[error(transparent)]
    Apply(#[from] StartError),
    /// More connections than the server has room for.
    #[error("there is room for {room} connections, made at the start; restart it for {wanted}")]
    Room {
        /// How many there can be.
        room: u32,
        /// How many were asked for.
        wanted: u32,
    },
}

/// A bound that can change while the server runs. What is over a smaller one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `server.max_connections`: up to what the server started with, which `None` gives back.
    Server,
    /// `max_connections` of the listener with this name; `None` leaves it to the server's.
    Listener(String),
    /// `size` of the pool with this name; `None` changes nothing.
    Pool(String),
}

#[derive(Debug)]
pub(super) enum Event {
    Command(Command),
    /// One of the sockets of the listener with this life is lost.
    Gone {
        life: Arc<Life>,
        gone: Gone,
    },
    /// The connections of the listener with this life have ended.
    Drained(Arc<Life>),
}

pub(super) type Reply<T = ()> = oneshot::Sender<Result<T, ControlError>>;

#[derive(Debug)]
pub(super) enum Command {
    Change(Change),
    Limit { limit: Limit, most: Option<NonZeroU32>, reply: Reply },
    Listener { name: String, action: Action, reply: Reply },
    DrainListener { name: String, deadline: Option<Duration>, reply: Reply<usize> },
    Status(Reply<Status>),
    Drain,
    Stop,
}

/// What a listener is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Suspend,
    Resume,
}

impl Control {
    /// Accept no more, let connections end, then end. Does not wait.
    pub fn drain(&self) {
        // A server that has ended needs no commands.
        let _ = self.send(Command::Drain);
    }

    /// End now. Does not wait.
    pub fn stop(&self) {
        let _ = self.send(Command::Stop);
    }

    /// Serve this configuration from now on, or keep the old one if it cannot be served. Modules
    /// are read again. While they are compiled the server goes on, and does what else it is told;
    /// changes of this kind are made one after the other.
    pub async fn apply(&self, config: Config) -> Result<(), ControlError> {
        self.ask(|reply| Command::Change(Change::Apply(Box::new(config), reply))).await
    }

    /// Give connections from now on this module; those that are open keep theirs. Gives the
    /// handler's new version, or the old one if it is the same module.
    pub async fn swap(
        &self,
        handler: &str,
        module: impl Into<PathBuf>,
    ) -> Result<u64, ControlError> {
        let (handler, module) = (handler.to_owned(), module.into());
        self.ask(|reply| Command::Change(Change::Swap { handler, module, reply })).await
    }

    /// Change a bound. It holds until a configuration is applied.
    pub async fn limit(&self, limit: Limit, most: Option<NonZeroU32>) -> Result<(), ControlError> {
        self.ask(|reply| Command::Limit { limit, most, reply }).await
    }

    /// Take nobody in at this listener for now; clients wait in the kernel's backlog. One that is
    /// suspended stays so.
    pub async fn suspend(&self, listener: &str) -> Result<(), ControlError> {
        self.listener(listener, Action::Suspend).await
    }

    /// Take clients in again at a listener that is suspended. Changes nothing at others.
    pub async fn resume(&self, listener: &str) -> Result<(), ControlError> {
        self.listener(listener, Action::Resume).await
    }

    /// Bind a listener that is stopped or has failed and take clients in, at the ports that it had.
    /// One that runs goes on. It can be tried again if the address cannot be had.
    pub async fn start(&self, listener: &str) -> Result<(), ControlError> {
        self.listener(listener, Action::Start).await
    }

    /// Take nobody new in at this listener and close its sockets; its connections may finish for
    /// so long (`None`: as long as they like, zero: not at all), then they are cut. Waits for all
    /// that, and gives the number of those that were cut. One that is stopped gives 0.
    pub async fn drain_listener(
        &self,
        listener: &str,
        deadline: Option<Duration>,
    ) -> Result<usize, ControlError> {
        let name = listener.to_owned();
        self.ask(|reply| Command::DrainListener { name, deadline, reply }).await
    }

    /// Take nobody in at this listener any more, and cut its connections; gives how many that were.
    pub async fn stop_listener(&self, listener: &str) -> Result<usize, ControlError> {
        self.drain_listener(listener, Some(Duration::ZERO)).await
    }

    /// Drain a listener as [`Control::drain_listener`] does, then start it again at the same
    /// addresses, with sockets that are made anew.
    pub async fn restart(
        &self,
        listener: &str,
        deadline: Option<Duration>,
    ) -> Result<usize, ControlError> {
        let cut = self.drain_listener(listener, deadline).await?;
        self.start(listener).await?;
        Ok(cut)
    }

    /// What the server is doing.
    pub async fn status(&self) -> Result<Status, ControlError> {
        self.ask(Command::Status).await
    }

    async fn listener(&self, name: &str, action: Action) -> Result<(), ControlError> {
        let name = name.to_owned();
        self.ask(|reply| Command::Listener { name, action, reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply))?;
        answer.await.unwrap_or(Err(ControlError::Ended))
    }

    fn send(&self, command: Command) -> Result<(), ControlError> {
        self.0.send(Event::Command(command)).map_err(|_| ControlError::Ended)
    }
}
