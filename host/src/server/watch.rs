//! Files that somebody else replaces: when they have changed, and are whole again.
//!
//! They are looked at time and again. That finds links that are swapped, folders that are replaced
//! and what another machine writes, and asks nothing of the kernel that it may not have.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often certificates are looked at. What has changed is read when it has not changed again by
/// the next look.
const LOOK: Duration = Duration::from_secs(1);

/// How long certificates may be no use, as one is without its new key, before that is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same for modules: whoever has built one waits for it.
const LOOK_AT_MODULES: Duration = Duration::from_millis(250);
const PATIENCE_WITH_MODULES: Duration = Duration::from_secs(2);

/// What files were like when they were looked at last.
#[derive(Debug)]
pub(super) struct Watched {
    look: Duration,
    patience: Duration,
    /// When they are looked at next. Whoever waits may be cancelled time and again.
    next: Option<Instant>,
    /// What they were when they were read last. Nothing at first: they may have changed between
    /// the start and the first look.
    read: Option<Vec<Stamp>>,
    seen: Option<Vec<Stamp>>,
    /// Since when they have been no use.
    bad_since: Option<Instant>,
    /// That was said, for what they are now.
    is_said: bool,
}

/// What tells a file from what it was before: where it is, how long, and when it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    /// `None` while there is no such file.
    state: Option<(u64, u64, u64, i64, i64)>,
}

impl Watched {
    pub(super) const fn certificates() -> Self {
        Self::every(LOOK, PATIENCE)
    }

    pub(super) const fn modules() -> Self {
        Self::every(LOOK_AT_MODULES, PATIENCE_WITH_MODULES)
    }

    const fn every(look: Duration, patience: Duration) -> Self {
        let (next, read, seen, bad_since) = (None, None, None, None);
        Self { look, patience, next, read, seen, bad_since, is_said: false }
    }

    /// Waits until `files` have changed and are to be read; for ever if there are none. Safe to
    /// cancel.
    pub(super) async fn change(&mut self, files: Vec<PathBuf>) {
        if files.is_empty() {
            return std::future::pending().await;
        }
        loop {
            if let Some(next) = self.next {
                sleep_until(next).await;
            }
            let looking = files.clone();
            // A file can be far away, and slow.
            let Ok(now) = tokio::task::spawn_blocking(move || stamps(looking)).await else {
                continue;
            };
            let at = Instant::now();
            self.next = Some(at + self.look);
            if self.take(now, at) {
                return;
            }
        }
    }

    /// Whether the files, which are like this now, are to be read.
    fn take(&mut self, now: Vec<Stamp>, at: Instant) -> bool {
        let is_still = self.seen.as_ref() == Some(&now);
        let is_read = self.read.as_ref() == Some(&now);
        self.seen = Some(now);
        let is_late =
            !self.is_said && self.bad_since.is_some_and(|since| at >= since + self.patience);
        if is_still && (!is_read || is_late) {
            self.read.clone_from(&self.seen);
            return true;
        }
        false
    }

    /// Says that what was read is good.
    pub(super) fn is_good(&mut self) {
        self.bad_since = None;
        self.is_said = false;
    }

    /// Says that what was read is no use. Whether that has lasted, and is to be told.
    pub(super) fn is_bad(&mut self) -> bool {
        let now = Instant::now();
        let since = *self.bad_since.get_or_insert(now);
        self.is_said = now >= since + self.patience;
        self.is_said
    }

    /// Says that what was read is no use and will not be: that is to be told.
    pub(super) fn is_no_use(&mut self) -> bool {
        self.bad_since.get_or_insert_with(Instant::now);
        self.is_said = true;
        true
    }
}

fn stamps(files: Vec<PathBuf>) -> Vec<Stamp> {
    let stamp = |path: PathBuf| {
        let state = fs::metadata(&path).ok().map(|found| {
            (found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec())
        });
        Stamp { path, state }
    };
    files.into_iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn version(number: u64) -> Vec<Stamp> {
        vec![Stamp { path: "cert.pem".into(), state: Some((0, 0, number, 0, 0)) }]
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_is_read_when_it_is_still() {
        let mut watched = Watched::certificates();
        let at = Instant::now();
        assert!(!watched.take(version(1), at), "not known to be still");
        assert!(watched.take(version(1), at), "it may not be what was loaded");
        assert!(!watched.take(version(1), at), "read already");
        assert!(!watched.take(version(2), at) && !watched.take(version(3), at), "not still");
        assert!(watched.take(version(3), at));
        assert!(!watched.take(version(3), at), "read already");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_use_is_told_when_that_has_lasted() {
        let mut watched = Watched::certificates();
        let begun = Instant::now();
        for version in [version(1), version(2), version(2)] {
            watched.take(version, begun);
        }
        assert!(!watched.is_bad(), "the key may come yet");
        assert!(!watched.take(version(2), begun + 4 * SECOND));
        tokio::time::advance(PATIENCE).await;
        assert!(watched.take(version(2), Instant::now()));
        assert!(watched.is_bad());
        assert!(!watched.take(version(2), Instant::now()), "once");
        assert!(
            !watched.take(version(3), Instant::now()) && watched.take(version(3), Instant::now())
        );
        watched.is_good();
        assert!(!watched.take(version(3), Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_be_no_use_is_told_at_once_and_once() {
        let mut watched = Watched::modules();
        let at = Instant::now();
        assert!(!watched.take(version(1), at) && watched.take(version(1), at));
        assert!(watched.is_no_use());
        assert!(!watched.take(version(1), at + PATIENCE));
    }
}
