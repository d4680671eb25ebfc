//! What a server writes to stderr, line by line, as it comes in.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::PATIENCE;

/// The lines so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<(Mutex<Written>, Condvar)>);

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    /// Takes lines from `output` until its end.
    pub(crate) fn collect(output: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let shared = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                shared.change(|written| match line {
                    Ok(line) => written.lines.push(line),
                    Err(error) => written.lines.push(format!("(unreadable: {error})")),
                });
            }
            shared.change(|written| written.ended = true);
        });
        log
    }

    /// Waits until `look` finds something in the lines; fails at their end.
    pub(crate) fn find<T>(&self, what: &str, mut look: impl FnMut(&[String]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let (written, changed) = &*self.0;
        let mut written = lock(written);
        loop {
            if let Some(found) = look(&written.lines) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let over = written.ended || left.is_zero();
            assert!(!over, "waited in vain for {what}; stderr:\n{}", written.lines.join("\n"));
            written = changed.wait_timeout(written, left).unwrap().0;
        }
    }

    /// Waits until there is nothing more to come.
    pub(crate) fn wait_for_its_end(&self) {
        let (written, changed) = &*self.0;
        let lines = lock(written);
        let (written, waited) =
            changed.wait_timeout_while(lines, PATIENCE, |written| !written.ended).unwrap();
        assert!(!waited.timed_out(), "it does not end; stderr:\n{}", written.lines.join("\n"));
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.0.0).lines.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Written)) {
        change(&mut lock(&self.0.0));
        self.0.1.notify_all();
    }
}

/// Also after a test has failed with the lock in hand: others of its clones go on.
fn lock(written: &Mutex<Written>) -> MutexGuard<'_, Written> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}
