//! How a server ends: its connections finish, up to a deadline, or are cut.

use std::pin::pin;
use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::control::{Command, Event, Within};
use super::error::RunError;
use super::listener::{Listener, Run};
use super::{Ended, Server};
use crate::account::Order;
use crate::listener::{Gone, Life, Phase};

/// How long connections that are cut have to close. They do not wait for their peers.
pub(super) const CUT: Duration = Duration::from_secs(2);

/// How long a server that is cut waits for its accept loops, which wait for nobody.
const LOOPS: Duration = Duration::from_secs(2);

/// Why a server ends.
#[derive(Debug)]
pub(super) enum End {
    Drain(Within),
    Stop,
    /// Another process has its sockets.
    Left,
    /// Its last listener is lost; the others may finish.
    Lost(RunError),
}

impl Server {
    pub(super) async fn end(mut self, end: End) -> Result<Ended, RunError> {
        match end {
            // Nobody is to hear of this: for those outside the server goes on.
            End::Left => self.ending = CancellationToken::new(),
            End::Drain(_) | End::Stop | End::Lost(_) => self.ending.cancel(),
        }
        // Nobody needs what is compiled now.
        self.loader.stop();
        self.refuse_changes();
        match end {
            End::Drain(within) => Ok(self.drain(within).await),
            End::Left => Ok(self.drain(Within::Configured).await),
            End::Stop => Ok(self.stop().await),
            End::Lost(error) => {
                self.drain(Within::Configured).await;
                Err(error)
            }
        }
    }

    /// Notes that a listener is gone; its connections go on. The end, if it was the last one.
    pub(super) fn lose(&mut self, life: &Arc<Life>, gone: Gone) -> Option<End> {
        let why = std::error::Error::source(&gone).map_or_else(String::new, ToString::to_string);
        tracing::error!("{gone}: {why}");
        let listener = self.listener_of(life)?;
        let name = listener.config.name.clone();
        let failed = Run::Failed(format!("{gone}: {why}"));
        let Run::Running(running) = std::mem::replace(&mut listener.run, failed) else {
            return None;
        };
        // Its other sockets, if it has any.
        life.ask(Phase::Draining);
        self.keep(running.connections());
        let is_last = !self.listeners.values().any(|listener| listener.running().is_some());
        is_last.then(|| End::Lost(RunError::LastListener { listener: name, source: gone }))
    }

    /// When a drain that begins now cuts what is left.
    pub(super) fn drain_deadline(&self) -> Option<Instant> {
        self.config.server.drain_timeout.map(|timeout| Instant::now() + timeout)
    }

    /// Accepts no more, lets connections end until the drain's deadline, and cuts the rest. What
    /// does not change the server is still done meanwhile.
    pub(super) async fn drain(mut self, within: Within) -> Ended {
        self.phase = Phase::Draining;
        let since = |bound: Option<Duration>| bound.map(|bound| Instant::now() + bound);
        let mut deadline = match within {
            Within::Configured => self.drain_deadline(),
            Within::This(bound) => since(bound),
        };
        let drains = self.drain_all();
        let sets: Vec<_> = self.sets().map(Arc::clone).collect();
        let said = Once::new();
        let say = || {
            let open: usize = sets.iter().map(|set| set.count()).sum();
            if open > 0 {
                let are = if open == 1 { " is" } else { "s are" };
                said.call_once(|| tracing::info!("draining: {open} connection{are} open"));
            }
        };
        let ended = async {
            for drain in &drains {
                drain.taken_in().await;
            }
            say();
            for set in &sets {
                set.ended().await;
            }
            for drain in &drains {
                drain.closed().await;
            }
        };
        let mut ended = pin!(ended);
        loop {
            let event = tokio::select! {
                () = &mut ended => break,
                () = until(deadline) => break,
                event = self.events.recv() => event,
            };
            match event {
                Some(Event::Command(Command::Stop)) | None => break,
                Some(Event::Command(Command::Drain(Within::This(bound)))) => {
                    deadline = since(bound);
                }
                // Who has been given longer is not what whoever asks now expects.
                Some(Event::Command(Command::Drain(Within::Configured))) => {
                    deadline = deadline.into_iter().chain(self.drain_deadline()).min();
                }
                Some(event) => self.handle_draining(event).await,
            }
        }
        // Where the deadline came before all were taken in.
        say();
        self.stop().await
    }

    /// Cuts what is open and ends.
    pub(super) async fn stop(mut self) -> Ended {
        // Before anything else: a loop that heard of a drain first would take clients in.
        for life in self.listeners.values().filter_map(Listener::life) {
            life.ask(Phase::Stopped);
        }
        let drains = self.drain_all();
        let patience = Instant::now() + LOOPS;
        for drain in &drains {
            let _ = timeout_at(patience, drain.closed()).await;
        }
        let sets: Vec<_> = self.sets().map(Arc::clone).collect();
        for set in &sets {
            set.order(Order::Cut);
        }
        let deadline = Instant::now() + CUT;
        for set in &sets {
            // Guests that hold a worker are cut at their next tick; nobody waits longer.
            let _ = timeout_at(deadline, set.ended()).await;
        }
        let cut = sets.iter().map(|set| set.cut() + set.count()).sum();
        if cut > 0 {
            let were = if cut == 1 { " was" } else { "s were" };
            tracing::warn!("{cut} connection{were} cut");
        }
        self.receipts.close();
        Ended { cut }
    }

    /// Takes nobody new in anywhere, and asks all connections to finish.
    fn drain_all(&mut self) -> Vec<super::listener::Drain> {
        let listeners = self.listeners.values_mut();
        let running = listeners.filter_map(|listener| match &mut listener.run {
            Run::Running(running) => Some(running.drain()),
            Run::Created | Run::Stopped | Run::Failed(_) => None,
        });
        let drains = running.collect();
        // Those of them that were cut before are not cut by this.
        self.forget();
        for set in self.sets() {
            set.order(Order::Drain);
        }
        drains
    }
}

/// Waits until then.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
