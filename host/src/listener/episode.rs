//! A trouble that lasts: it is logged when it begins and when it is over, with a count, and never
//! for each event.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long there is silence before a trouble counts as over. Without it a trouble that comes and
/// goes would be logged each time.
const QUIET: Duration = Duration::from_secs(5);

/// One kind of trouble of one socket.
#[derive(Debug, Default)]
pub(super) struct Episode {
    now: Option<Running>,
}

#[derive(Debug)]
struct Running {
    began: Instant,
    last: Instant,
    count: u64,
}

/// What was: for the line that says that it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// How often it happened.
    pub(super) count: u64,
    /// From the first time to the last.
    pub(super) lasted: Duration,
}

impl Episode {
    /// It happened `times` more. True if the trouble begins with this, and is to be logged.
    pub(super) fn happened(&mut self, times: u64) -> bool {
        let now = Instant::now();
        if let Some(running) = &mut self.now {
            running.last = now;
            running.count += times;
            return false;
        }
        self.now = Some(Running { began: now, last: now, count: times });
        true
    }

    /// How often it has happened.
    pub(super) fn count(&self) -> u64 {
        self.now.as_ref().map_or(0, |running| running.count)
    }

    /// When it is over, unless it happens again; `None` if it is.
    pub(super) fn over_at(&self) -> Option<Instant> {
        Some(self.now.as_ref()?.last + QUIET)
    }

    /// Waits until it has not happened for 5 s; for ever if it has not happened. Safe to cancel.
    pub(super) async fn over(&mut self) -> Summary {
        let Some(at) = self.over_at() else { return std::future::pending().await };
        sleep_until(at).await;
        self.end().unwrap_or(Summary { count: 0, lasted: Duration::ZERO })
    }

    /// Says that it is over now; what was, if it was.
    pub(super) fn end(&mut self) -> Option<Summary> {
        let Running { began, last, count } = self.now.take()?;
        Some(Summary { count, lasted: last - began })
    }
}

/// `3 times in 12s`.
impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let times = if self.count == 1 { "once" } else { &format!("{} times", self.count) };
        let seconds = Duration::from_secs(self.lasted.as_secs());
        if seconds.is_zero() {
            return f.write_str(times);
        }
        write!(f, "{times} in {}", humantime::format_duration(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_trouble_begins_once_and_is_over_after_silence() {
        let mut episode = Episode::default();
        assert!(episode.happened(1));
        tokio::time::advance(3 * SECOND).await;
        assert!(!episode.happened(2));
        let last = Instant::now();
        let summary = episode.over().await;
        assert_eq!(summary, Summary { count: 3, lasted: 3 * SECOND });
        assert_eq!(summary.to_string(), "3 times in 3s");
        assert_eq!(last.elapsed(), QUIET);
        assert!(episode.happened(1), "a new one");
        assert_eq!(episode.end().unwrap().to_string(), "once");
        assert_eq!(episode.end(), None);
    }
}
