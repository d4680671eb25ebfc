//! How a server ends: its connections finish, up to a deadline, or are cut.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::control::{Command, Event};
use super::error::RunError;
use super::serve::Service;
use super::{Ended, Server};
use crate::account::Order;
use crate::config::Config;
use crate::listener::Gone;

/// How long connections that are cut have to close. They do not wait for their peers.
const CUT: Duration = Duration::from_secs(2);

impl Server {
    /// Takes a listener that is gone out of service; an error if it was the last one.
    pub(super) fn lose(
        &mut self,
        listener: String,
        service: &Arc<Service>,
        gone: Gone,
    ) -> Result<(), RunError> {
        let why = std::error::Error::source(&gone).map_or_else(String::new, ToString::to_string);
        tracing::error!("{gone}: {why}");
        // Another may have taken its place meanwhile.
        let is_it = |running: &super::Running| Arc::ptr_eq(&running.service, service);
        if self.listeners.get(&listener).is_some_and(is_it) {
            self.retire(&listener);
        }
        if self.listeners.is_empty() {
            return Err(RunError::LastListener { listener, source: gone });
        }
        Ok(())
    }

    /// Accepts no more, lets connections end until the drain's deadline, and cuts the rest.
    pub(super) async fn drain(mut self) -> Ended {
        let deadline = self.config.drain_timeout.map(|timeout| Instant::now() + timeout);
        self.apply_nothing().await;
        let open = self.connections();
        if open > 0 {
            let are = if open == 1 { " is" } else { "s are" };
            tracing::info!("draining: {open} connection{are} open");
        }
        let ended = async {
            for set in &self.retired {
                set.ended().await;
            }
        };
        let stopped = async {
            loop {
                match self.events.recv().await {
                    Some(Event::Command(Command::Stop)) | None => return,
                    Some(_) => {}
                }
            }
        };
        let deadline = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ended => {}
            () = deadline => {}
            () = stopped => {}
        }
        self.stop().await
    }

    /// Cuts what is open and ends.
    pub(super) async fn stop(mut self) -> Ended {
        self.apply_nothing().await;
        let deadline = Instant::now() + CUT;
        for set in &self.retired {
            set.order(Order::Cut);
        }
        for set in &self.retired {
            // Guests that hold a worker are cut at their next tick; nobody waits longer.
            let _ = timeout_at(deadline, set.ended()).await;
        }
        let cut = self.retired.iter().map(|set| set.cut() + set.count()).sum();
        if cut > 0 {
            let were = if cut == 1 { " was" } else { "s were" };
            tracing::warn!("{cut} connection{were} cut");
        }
        self.receipts.close();
        Ended { cut }
    }

    /// Takes everything out of service.
    async fn apply_nothing(&mut self) {
        let nothing = Config {
            server: self.config.clone(),
            listeners: Vec::new(),
            handlers: Vec::new(),
            pools: Vec::new(),
        };
        if let Err(error) = self.apply(nothing).await {
            // There is nothing in it that can fail.
            tracing::error!("cannot stop the listeners: {error}");
        }
    }
}
