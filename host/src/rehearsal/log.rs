//! Keeps what a guest writes into its log, so that it can be shown beside what went wrong.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Lines that are kept, the last ones.
const KEPT: usize = 50;

/// A line of a guest's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The level that the guest has given it.
    pub level: Level,
    /// The line, fit for a terminal.
    pub text: String,
}

/// The log of the guest that runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<VecDeque<Line>>>);

impl Log {
    /// Where what happens is sent, so that this log hears of it.
    pub(super) fn dispatch(&self) -> Dispatch {
        Dispatch::new(tracing_subscriber::registry().with(Keep(self.clone())))
    }

    /// The lines since this was asked last.
    pub(super) fn take(&self) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    fn push(&self, line: Line) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

struct Keep(Log);

impl<S: Subscriber> Layer<S> for Keep {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "guest"
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.push(Line { level: *event.metadata().level(), text: text.0 });
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5} {}", self.level, self.text)
    }
}
