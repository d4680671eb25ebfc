//! `run`, `serve` and `check`.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use portcell::admin::{self, Admin, AdminError, UpgradeRequest};
use portcell::server::{self, ControlError, StartError};
use portcell::telemetry::{self, Format};
use portcell::{Compiler, Config, Control, Server};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use super::upgrade::Upgrades;
use super::{Failure, notify, print};

/// How many sockets with something to do are asked for at once. A worker of tokio that is given more
/// than it has room for hands half of them to all workers, who look there last: where there are more
/// clients than a machine can serve at once, some would wait several times as long as others.
const EVENTS: usize = 32;

/// Reads a configuration.
pub(super) fn read(path: &Path) -> Result<Config, Failure> {
    Config::read(path).map_err(|errors| Failure::Usage(errors.into()))
}

/// Serves until a signal ends it; `path` is where SIGHUP finds the configuration again.
pub(super) fn serve(config: Config, path: Option<&Path>, format: Format) -> Result<(), Failure> {
    let runtime = runtime()?;
    let ended = runtime.block_on(serve_until_ended(config, path, format));
    // What is left is cut, and may hold a worker until its next tick: nobody waits for it.
    runtime.shutdown_background();
    ended
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_io_events_per_tick(EVENTS)
        .build();
    built.context("cannot start the reactor").map_err(Failure::Failed)
}

async fn serve_until_ended(
    config: Config,
    path: Option<&Path>,
    format: Format,
) -> Result<(), Failure> {
    // Before the ready line: whoever waits for it may signal at once.
    let mut signals =
        Signals::listen().context("cannot listen for signals").map_err(Failure::Failed)?;
    let (server, mut admin) = tokio::select! {
        bound = bind(config, path) => bound?,
        // Loading takes a while where plugins are large, and nobody is served yet.
        () = signals.asked_to_end() => return Ok(()),
    };
    let requests = admin.upgrades();
    announce(&server, &admin, format);
    let admin = admin.run();
    if let Err(error) = portcell::listener::complete() {
        tracing::warn!("the process before this one does not hear that it serves: {error}");
    }
    notify::ready();
    tokio::spawn(notify::tend(server.control()));
    let told = tokio::spawn(notify::stopping(server.control()));
    let upgrades = Upgrades::of(server.control(), admin.sockets());
    tokio::spawn(signals.steer(server.control(), upgrades.clone(), requests));
    let control = server.control();
    let ended = server.run().await;
    // They have heard of the end, too: no process stays behind that was to take the place of this
    // one, and the service manager is told.
    upgrades.ended().await;
    if control.is_ending() {
        let _ = told.await;
    }
    admin.close().await;
    ended.map_err(|error| Failure::Failed(error.into()))?;
    Ok(())
}

/// A server that is bound, and where it is steered; `path` is where it finds its configuration
/// again.
pub(super) async fn bind(config: Config, path: Option<&Path>) -> Result<(Server, Admin), Failure> {
    let steered = config.server.clone();
    let compiler = Compiler::this_program();
    let mut server = Server::load_with(config, compiler).await.map_err(classify)?;
    if let Some(path) = path {
        server.reads_from(path.to_path_buf());
    }
    // First: a client that a listener has taken in would be lost if this fails.
    let admin = Admin::bind(&steered, server.control()).await.map_err(unsteered)?;
    server.bind().await.map_err(classify)?;
    Ok((server, admin))
}

/// Says where both are.
pub(super) fn announce(server: &Server, admin: &Admin, format: Format) {
    tracing::info!("{}", server.capacity());
    for door in admin.listening() {
        tracing::info!("{door}");
    }
    for listener in server.listening() {
        telemetry::announce(format, &listener.to_string());
    }
}

/// The signals that steer a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user2: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    async fn asked_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Does what signals ask for, and starts the program anew for others who ask for that.
    async fn steer(
        mut self,
        control: Control,
        upgrades: Upgrades,
        mut requests: mpsc::Receiver<UpgradeRequest>,
    ) {
        let mut draining = false;
        let reloads = Arc::new(Notify::new());
        // Beside this: it takes a while, and whoever asks for the end should be heard.
        tokio::spawn(reload_when_asked(Arc::clone(&reloads), control.clone()));
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    // Whatever becomes of the configuration: a file that was rotated is not
                    // written to any more.
                    control.reopen_receipts();
                    reloads.notify_one();
                    continue;
                }
                _ = self.user2.recv() => {
                    upgrades.begin(None);
                    continue;
                }
                Some(request) = requests.recv() => {
                    upgrades.begin(Some(request));
                    continue;
                }
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            if draining {
                control.stop();
            } else {
                draining = true;
                control.drain();
            }
        }
    }
}

/// Reloads when it is asked, until the server ends. Who asks while a reload is under way gets one
/// more, however often: it finds what is in the file then.
async fn reload_when_asked(asked: Arc<Notify>, control: Control) {
    loop {
        tokio::select! {
            biased;
            () = control.ending() => return,
            () = asked.notified() => reload(&control).await,
        }
    }
}

async fn reload(control: &Control) {
    notify::reloading();
    match control.reload().await {
        // The server says what is new.
        Ok(_) => {}
        // It ends, and nobody needs another configuration.
        Err(ControlError::Ended | ControlError::Ending) => return,
        Err(ControlError::NoSource) => {
            tracing::info!("SIGHUP: there is no configuration to read again");
        }
        Err(error) => {
            for line in error.to_string().lines() {
                tracing::error!("the old configuration stays in force: {line}");
            }
        }
    }
    notify::ready();
}

/// Everything that [`serve`] checks, with nothing bound.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let config = read(path)?;
    let usage = |error: StartError| Failure::Usage(error.into());
    server::capacity(&config).map_err(|error| usage(error.into()))?;
    let checked = server::check_handlers(&config, Compiler::this_program());
    runtime()?.block_on(checked).map_err(classify)?;
    server::check_certificates(&config).map_err(usage)?;
    admin::check(&config.server).map_err(|error| Failure::Usage(error.into()))?;
    let (listeners, handlers) = (config.listeners.len(), config.handlers.len());
    print(&format!(
        "{}: good: {listeners} listener{}, {handlers} handler{}\n",
        path.display(),
        plural(listeners),
        plural(handlers)
    ));
    Ok(())
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn unsteered(error: AdminError) -> Failure {
    match error {
        AdminError::Token(_) => Failure::Usage(error.into()),
        AdminError::Admin(_) | AdminError::Metrics(_) => Failure::Failed(error.into()),
    }
}

/// What was given is wrong, or the machine did not do its part.
fn classify(error: StartError) -> Failure {
    match error {
        StartError::TooMany(_) | StartError::Load(_) | StartError::Tls(_) => {
            Failure::Usage(error.into())
        }
        _ => Failure::Failed(error.into()),
    }
}
