//! What a running server is told, by signals, by programs, and by its own parts.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::about::About;
use super::change::Change;
use super::error::StartError;
use super::handover::HandOver;
use super::loading::Loaded;
use super::status::Status;
use crate::config::{Config, Difference, Errors, difference};
use crate::drain::Registry;
use crate::followers::Following;
use crate::listener::{BindError, Gone, Life};
use crate::receipt::Receipts;
use crate::tally::Tallies;

/// Steers a server. What is asked before it runs is done when it runs, in that order; the answers
/// come then.
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) sender: mpsc::UnboundedSender<Event>,
    pub(super) registry: Arc<Registry>,
    pub(super) tallies: Arc<Tallies>,
    pub(super) receipts: Arc<Receipts>,
    pub(super) about: Arc<About>,
    pub(super) ending: CancellationToken,
}

/// A server could not do what it was told, and goes on as before.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It has ended, or ends.
    #[error("the server has ended")]
    Ended,
    /// It is about to end, and takes no changes any more.
    #[error("the server is draining, and then ends")]
    Ending,
    /// As many changes as may be wait for the one that is being made.
    #[error("{0} changes wait already; try again when they are made")]
    Busy(usize),
    /// There is no such connection.
    #[error("there is no connection {0}; it may have ended")]
    NoConnection(u64),
    /// It was started without a file.
    #[error("there is no configuration to read again; the server was started with flags")]
    NoSource,
    /// The configuration in its file is wrong.
    #[error(transparent)]
    Config(#[from] Errors),
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
    /// It has not had another version, or none that is kept.
    #[error("handler {handler} has no version before v{version} to go back to")]
    NoVersion {
        /// The handler's name.
        handler: String,
        /// The version that it has.
        version: u64,
    },
    /// There is no such pool.
    #[error("there is no pool `{name}`{hint}")]
    NoPool {
        /// What was asked for.
        name: String,
        /// The nearest that there is.
        hint: String,
    },
    /// There is no such tenant, or none with bounds.
    #[error("there is no [tenant.{name}]{hint}")]
    NoTenant {
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
    /// Its sockets are not those any more that another process was started with.
    #[error("a listener was changed, started or stopped meanwhile; upgrade again")]
    OtherSockets,
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
    /// `max_connections` of the tenant with this name, which has a table; `None` is no bound.
    Tenant(String),
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
    /// The configuration's file, as it is now, for the change that is under way.
    Read(Result<Box<Config>, ControlError>),
    /// The modules of the change that is under way.
    Loaded(Result<Vec<Loaded>, StartError>),
}

pub(super) type Reply<T = ()> = oneshot::Sender<Result<T, ControlError>>;

#[derive(Debug)]
pub(super) enum Command {
    Change(Change),
    Limit {
        limit: Limit,
        most: Option<NonZeroU32>,
        reply: Reply,
    },
    Listener {
        name: String,
        action: Action,
        reply: Reply,
    },
    DrainListener {
        name: String,
        deadline: Option<Duration>,
        reply: Reply<usize>,
    },
    ReopenReceipts,
    Status(Reply<Status>),
    /// What is in force, and where it is read from.
    Config(Reply<(Box<Config>, Option<PathBuf>)>),
    HandOver(Reply<HandOver>),
    Leave(HandOver, Reply),
    DrainTimeout(Reply<Option<Duration>>),
    Drain(Within),
    Stop,
}

/// How long a drain may take before what is left is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// `server.drain_timeout`.
    Configured,
    /// So long; `None` is as long as it takes.
    This(Option<Duration>),
}

/// What a listener is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Suspend,
    Resume,
}

impl Control {
    /// That of a server that has ended.
    #[cfg(test)]
    pub(crate) fn of_nobody() -> Self {
        let (sender, _) = mpsc::unbounded_channel();
        let (registry, tallies, receipts) = (Arc::default(), Arc::default(), Arc::default());
        let (ending, about) = (CancellationToken::new(), Arc::default());
        Self { sender, registry, tallies, receipts, about, ending }
    }

    /// That of a server that does not answer because it does this, as long as the rest is there.
    #[cfg(test)]
    pub(crate) fn of_one_who(does: &'static str) -> (Self, impl Sized) {
        let (sender, events) = mpsc::unbounded_channel();
        let control = Self { sender, ..Self::of_nobody() };
        let doing = control.about.begins(does);
        (control, (events, doing))
    }

    /// Accept no more, let connections end within `server.drain_timeout`, then end. While it drains
    /// for longer, that time counts from now on. Does not wait.
    pub fn drain(&self) {
        // A server that has ended needs no commands.
        let _ = self.send(Command::Drain(Within::Configured));
    }

    /// The same, and cut what is left after so long (`None`: never) whatever is configured. While
    /// it drains, the time begins anew. Does not wait.
    pub fn drain_within(&self, deadline: Option<Duration>) -> Result<(), ControlError> {
        self.send(Command::Drain(Within::This(deadline)))
    }

    /// End now. Does not wait.
    pub fn stop(&self) {
        let _ = self.send(Command::Stop);
    }

    /// Open the file of receipts again, after it was renamed: a new one is made in its place. Does
    /// not wait; no line is lost by it or written twice.
    pub fn reopen_receipts(&self) {
        // A server that has ended writes none.
        let _ = self.send(Command::ReopenReceipts);
    }

    /// Serve this configuration from now on, or keep the old one if it cannot be served; gives what
    /// was different. Modules are read again. While they are compiled the server goes on, and does
    /// what else it is told; changes of this kind are made one after the other.
    pub async fn apply(&self, config: Config) -> Result<Vec<Difference>, ControlError> {
        self.ask(|reply| Command::Change(Change::Apply(Box::new(config), reply))).await
    }

    /// Read the configuration's file again and apply it as [`Control::apply`] does. Fails where
    /// [`Server::reads_from`](super::Server::reads_from) was not told one.
    pub async fn reload(&self) -> Result<Vec<Difference>, ControlError> {
        self.ask(|reply| Command::Change(Change::Reload(reply))).await
    }

    /// What [`Control::reload`] would find different now: the configuration's file is read and
    /// checked, and nothing is changed or loaded. Fails as that does.
    pub async fn difference(&self) -> Result<Vec<Difference>, ControlError> {
        let (config, source) = self.ask(Command::Config).await?;
        let wanted = read(source).await?;
        Ok(difference(&config, &wanted))
    }

    /// What [`Control::reload`] would find different if its file had this text: it is checked as
    /// that file would be, with relative paths relative to its folder, and nothing is changed or
    /// loaded. `name` is what errors call it. Fails where there is no such file, too.
    pub async fn difference_with(
        &self,
        text: Vec<u8>,
        name: PathBuf,
    ) -> Result<Vec<Difference>, ControlError> {
        let (config, source) = self.ask(Command::Config).await?;
        let source = source.ok_or(ControlError::NoSource)?;
        let checking = tokio::task::spawn_blocking(move || {
            Config::from_text(&text, &name, source.parent().unwrap_or(Path::new("")))
        });
        let wanted = checking.await.map_err(StartError::Loading)??;
        Ok(difference(&config, &wanted))
    }

    /// Give connections from now on this module; those that are open keep theirs. Gives the
    /// handler's version then: that of the module, if it has had it and it is not forgotten yet,
    /// otherwise a new one. The file stays the handler's until a configuration is applied.
    pub async fn swap(
        &self,
        handler: &str,
        module: impl Into<PathBuf>,
    ) -> Result<u64, ControlError> {
        let (handler, module) = (handler.to_owned(), Some(module.into()));
        self.ask(|reply| Command::Change(Change::Swap { handler, module, reply })).await
    }

    /// Read the module of this handler again from its file; gives the version, as
    /// [`Control::swap`] does. A version that was rolled back returns if it is in the file.
    pub async fn reload_handler(&self, handler: &str) -> Result<u64, ControlError> {
        let (handler, module) = (handler.to_owned(), None);
        self.ask(|reply| Command::Change(Change::Swap { handler, module, reply })).await
    }

    /// Give connections from now on the version of this handler that came before the present one,
    /// which has the number that it had; gives that number. The last three are kept. It stays in
    /// service when a configuration is applied, or its file is looked at, until another module is
    /// in the file; [`Control::reload_handler`] takes what is there.
    pub async fn rollback(&self, handler: &str) -> Result<u64, ControlError> {
        let handler = handler.to_owned();
        self.ask(|reply| Command::Change(Change::RollBack { handler, reply })).await
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

    /// The receipts of connections that end from now on, wherever else they go.
    pub fn follow_receipts(&self) -> Following {
        self.receipts.followers().follow()
    }

    /// Whether anybody follows the receipts.
    pub fn is_followed(&self) -> bool {
        self.receipts.followers().are_there()
    }

    /// `server.drain_timeout`, as it is now.
    pub async fn drain_timeout(&self) -> Result<Option<Duration>, ControlError> {
        self.ask(Command::DrainTimeout).await
    }

    /// What the server is doing.
    pub async fn status(&self) -> Result<Status, ControlError> {
        self.ask(Command::Status).await
    }

    /// What the server does now, if whoever asks it something has to wait for that; in words that
    /// follow "the server". Does not wait.
    pub fn about(&self) -> Option<&'static str> {
        self.about.now()
    }

    /// The sockets of the server, for a process that is to take its place. Nothing changes by
    /// this.
    pub async fn hand_over(&self) -> Result<HandOver, ControlError> {
        self.ask(Command::HandOver).await
    }

    /// Leave the sockets to the process that has them now, and drain. Waits until they are left.
    ///
    /// Who waits in the kernel to be accepted is left to the other process, too, and so are
    /// datagrams: flows that are open here get no more. Fails when the server ends already or has
    /// other sockets by now: the other process must not serve then, for what was closed here is
    /// closed there, too.
    pub async fn leave(&self, handed_over: HandOver) -> Result<(), ControlError> {
        self.ask(|reply| Command::Leave(handed_over, reply)).await
    }

    /// Waits until the server begins to end, or is dropped; for ever if it ends because of
    /// [`Control::leave`], with which its service goes on elsewhere.
    pub async fn ending(&self) {
        self.ending.cancelled().await;
    }

    /// Whether [`Control::ending`] has nothing to wait for.
    pub fn is_ending(&self) -> bool {
        self.ending.is_cancelled()
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
        self.sender.send(Event::Command(command)).map_err(|_| ControlError::Ended)
    }
}

/// Reads a configuration, beside those who serve: its file can be far away, and slow.
pub(super) async fn read(source: Option<PathBuf>) -> Result<Config, ControlError> {
    let path = source.ok_or(ControlError::NoSource)?;
    let reading = tokio::task::spawn_blocking(move || Config::read(&path));
    Ok(reading.await.map_err(StartError::Loading)??)
}

pub(super) fn answer<T>(reply: Reply<T>, answer: Result<T, ControlError>) {
    // Who asked may have gone.
    let _ = reply.send(answer);
}
