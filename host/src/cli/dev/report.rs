//! The lines that say how it goes.

use std::fmt::Arguments;
use std::time::Duration;

use anyhow::Error;
use portcell::telemetry::{self, Format};

/// Writes lines to stderr, each as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report(Format);

impl Report {
    pub(super) const fn new(format: Format) -> Self {
        Self(format)
    }

    /// How lines look.
    pub(super) const fn format(self) -> Format {
        self.0
    }

    pub(super) fn say(self, what: Arguments<'_>) {
        telemetry::announce(self.0, &format!("dev: {what}"));
    }

    /// Each line of an error, with what it is about.
    pub(super) fn lines(self, about: &str, error: &Error) {
        for line in format!("{error:#}").lines() {
            self.say(format_args!("{about}{line}"));
        }
    }

    pub(super) fn in_service(self, handler: &str, version: u64, took: Duration) {
        self.say(format_args!("{handler} version {version} is in service ({})", seconds(took)));
    }

    /// Says that nothing has changed, where something is in service.
    pub(super) fn stays(self, handler: &str, version: Option<u64>) {
        if let Some(version) = version {
            self.say(format_args!("{handler}: version {version} stays in service"));
        }
    }
}

/// `0.8 s`
pub(super) fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
