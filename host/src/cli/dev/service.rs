//! The server of what is developed, and what comes into service there.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use portcell::admin;
use portcell::server::{ControlError, Ended, RunError};
use portcell::telemetry::Format;
use portcell::{Config, Control};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::{Failure, serve};

/// How long connections may finish in the end: whoever develops has no time.
const DRAIN: Duration = Duration::from_secs(1);

/// A server that runs.
#[derive(Debug)]
pub(super) struct Service {
    control: Control,
    admin: admin::Running,
    running: JoinHandle<Result<Ended, RunError>>,
    /// What is in service, as far as it was told.
    versions: BTreeMap<String, u64>,
}

/// The version that a handler has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InService {
    /// Another one than before.
    New(u64),
    /// The one that it had.
    Same(u64),
}

impl Service {
    /// Begins to serve. `over` is cancelled when the server ends. A [`Failure::Usage`] is what
    /// another build or configuration can put right.
    pub(super) async fn start(
        config: Config,
        path: &Path,
        over: &CancellationToken,
        format: Format,
    ) -> Result<Self, Failure> {
        let (server, admin) = serve::bind(config, Some(path)).await?;
        serve::announce(&server, &admin, format);
        // Nobody is told who asks for an upgrade: a process anew would build and watch, too.
        let (control, admin) = (server.control(), admin.run());
        let over = over.clone().drop_guard();
        let running = tokio::spawn(async move {
            let _over = over;
            server.run().await
        });
        Ok(Self { control, admin, running, versions: BTreeMap::new() })
    }

    /// Puts what is in the file of `handler` into service, if it is something else.
    pub(super) async fn reload(&mut self, handler: &str) -> Result<InService, ControlError> {
        let version = self.control.reload_handler(handler).await?;
        Ok(match self.versions.insert(handler.to_owned(), version) {
            Some(before) if before == version => InService::Same(version),
            _ => InService::New(version),
        })
    }

    /// Puts a configuration into service, with the modules of all its handlers.
    pub(super) async fn apply(&self, config: Config) -> Result<(), ControlError> {
        self.control.apply(config).await.map(|_| ())
    }

    /// The handlers that have another version than when this was asked last, with it.
    pub(super) async fn news(&mut self) -> Vec<(String, u64)> {
        // A server that has ended has none.
        let Ok(status) = self.control.status().await else { return Vec::new() };
        let now = status.handlers.into_iter().map(|handler| (handler.name, handler.version));
        let now: BTreeMap<_, _> = now.collect();
        let before = std::mem::replace(&mut self.versions, now.clone());
        now.into_iter().filter(|(name, version)| before.get(name) != Some(version)).collect()
    }

    /// The version of `handler` that is in service, as far as it was told.
    pub(super) fn version(&self, handler: &str) -> Option<u64> {
        self.versions.get(handler).copied()
    }

    /// Steers it, also while it ends.
    pub(super) fn control(&self) -> Control {
        self.control.clone()
    }

    /// Ends it soon, and waits for that.
    pub(super) async fn end(self) -> Result<(), Failure> {
        // It may have ended by itself.
        let _ = self.control.drain_within(Some(DRAIN));
        let ended = self.running.await;
        self.admin.close().await;
        match ended {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::Failed(error.into())),
            Err(error) => Err(Failure::Failed(anyhow!("the server failed: {error}"))),
        }
    }
}
