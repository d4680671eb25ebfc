//! What a running server is told, by signals, by programs, and by its own parts.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::serve::Service;
use crate::config::Config;
use crate::listener::Gone;

/// Steers a server that runs. Commands to one that has ended do nothing.
#[derive(Clone, Debug)]
pub struct Control(pub(super) mpsc::UnboundedSender<Event>);

/// What a server is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Serve this configuration from now on, or keep the old one if it cannot be served.
    Apply(Box<Config>),
    /// Accept no more, let connections end, then end.
    Drain,
    /// End now.
    Stop,
}

#[derive(Debug)]
pub(super) enum Event {
    Command(Command),
    /// The accept loop of this listener, in this service, has ended.
    Gone {
        listener: String,
        service: Arc<Service>,
        gone: Gone,
    },
}

impl Control {
    /// Accept no more, let connections end, then end.
    pub fn drain(&self) {
        self.send(Command::Drain);
    }

    /// End now.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    /// Serve this configuration from now on, or keep the old one if it cannot be served.
    pub fn apply(&self, config: Config) {
        self.send(Command::Apply(Box::new(config)));
    }

    fn send(&self, command: Command) {
        // A server that has ended needs no commands.
        let _ = self.0.send(Event::Command(command));
    }
}
