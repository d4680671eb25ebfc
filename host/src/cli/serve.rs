//! `run`, `serve` and `check`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portcell::engine::Engine;
use portcell::handler::{Loader, Loading};
use portcell::server::{self, BadPlugin, ControlError, StartError};
use portcell::telemetry::{self, Format};
use portcell::{Compiler, Config, Control, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, notify, print};

/// Reads a configuration.
pub(super) fn read(path: &Path) -> Result<Config, Failure> {
    Config::read(path).map_err(|errors| Failure::Usage(errors.into()))
}

/// Serves until a signal ends it; `path` is where SIGHUP finds the configuration again.
pub(super) fn serve(config: Config, path: Option<&Path>, format: Format) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the reactor")
        .map_err(Failure::Failed)?;
    let ended = runtime.block_on(serve_until_ended(config, path, format));
    // What is left is cut, and may hold a worker until its next tick: nobody waits for it.
    runtime.shutdown_background();
    ended
}

async fn serve_until_ended(
    config: Config,
    path: Option<&Path>,
    format: Format,
) -> Result<(), Failure> {
    // Before the ready line: whoever waits for it may signal at once.
    let mut signals =
        Signals::listen().context("cannot listen for signals").map_err(Failure::Failed)?;
    let bound = async {
        let mut server = Server::load_with(config, Compiler::this_program()).await?;
        server.bind().await?;
        Ok(server)
    };
    let server = tokio::select! {
        server = bound => server.map_err(classify)?,
        // Loading takes a while where plugins are large, and nobody is served yet.
        () = signals.asked_to_end() => return Ok(()),
    };
    tracing::info!("{}", server.capacity());
    for listener in server.listening() {
        telemetry::announce(format, &listener.to_string());
    }
    notify::ready();
    tokio::spawn(signals.steer(server.control(), path.map(Path::to_path_buf)));
    server.run().await.map_err(|error| Failure::Failed(error.into()))?;
    Ok(())
}

/// The signals that steer a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    async fn asked_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn steer(mut self, control: Control, path: Option<PathBuf>) {
        let mut draining = false;
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    // Beside this: it takes a while, and whoever asks for the end should be heard.
                    tokio::spawn(reload(control.clone(), path.clone()));
                    continue;
                }
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            if draining {
                control.stop();
            } else {
                draining = true;
                notify::stopping();
                control.drain();
            }
        }
    }
}

async fn reload(control: Control, path: Option<PathBuf>) {
    let Some(path) = path else {
        tracing::info!("SIGHUP: there is no configuration to read again");
        return;
    };
    notify::reloading();
    let refused = |error: &dyn std::fmt::Display| {
        for line in error.to_string().lines() {
            tracing::error!("the old configuration stays in force: {line}");
        }
    };
    match Config::read(&path) {
        Err(errors) => refused(&errors),
        Ok(config) => match control.apply(config).await {
            Ok(()) => tracing::info!("the configuration was applied"),
            // It ends, and nobody needs another configuration.
            Err(ControlError::Ended) => return,
            Err(error) => refused(&error),
        },
    }
    notify::ready();
}

/// Everything that [`serve`] checks, with nothing bound.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let config = read(path)?;
    let usage = |error: StartError| Failure::Usage(error.into());
    server::capacity(&config).map_err(|error| usage(error.into()))?;
    let engine = Engine::new(1).map_err(|error| Failure::Failed(error.into()))?;
    let loader =
        Loader::new(engine, Compiler::this_program()).map_err(|e| Failure::Failed(e.into()))?;
    // Whoever checks may be another user than who serves, and could not share a cache.
    let loading = Loading::without_cache(&config.server);
    let load =
        |handler| loader.load(handler, 1, &loading).err().map(|e| BadPlugin::new(handler, e));
    let wrong: Vec<_> = config.handlers.iter().filter_map(load).collect();
    if !wrong.is_empty() {
        return Err(usage(StartError::Load(wrong)));
    }
    server::check_certificates(&config).map_err(usage)?;
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

/// What was given is wrong, or the machine did not do its part.
fn classify(error: StartError) -> Failure {
    match error {
        StartError::TooMany(_) | StartError::Load(_) | StartError::Tls(_) => {
            Failure::Usage(error.into())
        }
        _ => Failure::Failed(error.into()),
    }
}
