//! Catches what guests write into the host's log, by connection.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::{LazyLock, Mutex, Once};

use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) handler: String,
    pub(crate) text: String,
}

static LINES: LazyLock<Mutex<HashMap<u64, Vec<Line>>>> = LazyLock::new(Mutex::default);
static NEWS: LazyLock<watch::Sender<()>> = LazyLock::new(|| watch::channel(()).0);

/// The log of one connection.
pub(crate) struct Log(u64);

impl Log {
    pub(crate) fn of(connection: u64) -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(Catch);
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        Self(connection)
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        LINES.lock().unwrap().get(&self.0).cloned().unwrap_or_default()
    }

    /// Waits until the lines are as `wanted`.
    pub(crate) async fn until(&self, wanted: impl Fn(&[Line]) -> bool) {
        let mut news = NEWS.subscribe();
        while !wanted(&self.lines()) {
            news.changed().await.unwrap();
        }
    }
}

struct Catch;

impl<S: Subscriber> Layer<S> for Catch {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == "guest" { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "guest"
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut found = Found::default();
        event.record(&mut found);
        let level = *event.metadata().level();
        let line = Line { level, handler: found.handler, text: found.text };
        LINES.lock().unwrap().entry(found.connection).or_default().push(line);
        NEWS.send_replace(());
    }
}

#[derive(Default)]
struct Found {
    connection: u64,
    handler: String,
    text: String,
}

impl Visit for Found {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "connection" {
            self.connection = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "handler" {
            value.clone_into(&mut self.handler);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.text, "{value:?}").unwrap();
        }
    }
}
