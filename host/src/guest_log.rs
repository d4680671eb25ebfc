//! The lines that a guest writes into the host's log: bounded in length and rate, and unable to
//! look like anything but one line of that guest.

use std::sync::Arc;
use std::time::Duration;

use portcell_abi::level;

use crate::account::Account;
use crate::allowance::Allowance;
use crate::config::LogBounds;
use crate::text::printable;

/// How long it takes to save up what can be written at once.
const SAVED: Duration = Duration::from_secs(5);

/// The log of one instance.
pub(crate) struct GuestLog {
    handler: String,
    account: Arc<Account>,
    /// Whether lines keep the levels that the guest gives them.
    is_heard: bool,
    lines: Allowance,
    bytes: Allowance,
    longest: usize,
    dropped: u64,
    /// What WASI's stdout and stderr have of a line that has not ended.
    partial: [Vec<u8>; 2],
}

/// The streams of WASI that end up here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl GuestLog {
    /// The lines of one that is not heard are of the level debug, or below.
    pub(crate) fn new(
        handler: &str,
        bounds: LogBounds,
        is_heard: bool,
        account: Arc<Account>,
    ) -> Self {
        let now = account.recently();
        Self {
            handler: handler.into(),
            account,
            is_heard,
            lines: Allowance::new(bounds.lines, SAVED, now),
            bytes: Allowance::new(bounds.bytes, SAVED, now),
            longest: bounds.line as usize,
            dropped: 0,
            partial: [Vec::new(), Vec::new()],
        }
    }

    /// Writes one line, of a level of the ABI.
    pub(crate) fn line(&mut self, level: i32, text: &[u8]) {
        let now = self.account.recently();
        let length = u32::try_from(text.len().min(self.longest)).unwrap_or(u32::MAX);
        if self.lines.take(1, now) && self.bytes.take(length, now) {
            self.emit(level, &shown(text, self.longest));
        } else {
            self.dropped += 1;
        }
    }

    /// Takes bytes of a stream; whole lines are written.
    pub(crate) fn stream(&mut self, stream: Stream, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let mut line = std::mem::take(self.partial(stream));
            keep(&mut line, &bytes[..end], self.longest);
            self.line(stream.level(), &line);
            bytes = &bytes[end + 1..];
        }
        let longest = self.longest;
        keep(self.partial(stream), bytes, longest);
    }

    fn partial(&mut self, stream: Stream) -> &mut Vec<u8> {
        &mut self.partial[stream as usize]
    }

    fn emit(&self, level: i32, text: &str) {
        let (handler, connection) = (&*self.handler, self.account.id());
        macro_rules! at {
            ($level:ident) => {
                tracing::event!(target: "guest", tracing::Level::$level, handler, connection, "{text}")
            };
        }
        match if self.is_heard { level } else { level.max(level::DEBUG) } {
            level::ERROR => at!(ERROR),
            level::WARN => at!(WARN),
            level::INFO => at!(INFO),
            level::DEBUG => at!(DEBUG),
            _ => at!(TRACE),
        }
    }
}

impl Drop for GuestLog {
    fn drop(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(self.partial(stream));
            if !rest.is_empty() {
                self.line(stream.level(), &rest);
            }
        }
        if self.dropped > 0 {
            self.emit(
                level::WARN,
                &format!("{} more lines were dropped (handler.log)", self.dropped),
            );
        }
    }
}

impl Stream {
    const fn level(self) -> i32 {
        match self {
            Self::Stdout => level::INFO,
            Self::Stderr => level::WARN,
        }
    }
}

/// Appends what fits into a line, and one byte more so that it shows that it was cut.
fn keep(line: &mut Vec<u8>, bytes: &[u8], longest: usize) {
    let room = (longest + 1).saturating_sub(line.len());
    line.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// One line of the log: cut where it is too long.
fn shown(text: &[u8], longest: usize) -> String {
    let cut = text.len() > longest;
    let text = text[..text.len().min(longest)].trim_ascii_end();
    let mut shown = printable(&String::from_utf8_lossy(text));
    if cut {
        shown.push_str(" ...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn log(lines: u32, bytes: u32, line: u32) -> GuestLog {
        let number = |n| NonZeroU32::new(n).unwrap();
        let bounds = LogBounds { lines: number(lines), bytes: number(bytes), line };
        GuestLog::new("h", bounds, true, Arc::new(Account::new(1)))
    }

    /// How many of `count` lines are written.
    fn written(log: &mut GuestLog, count: u64, line: &[u8]) -> u64 {
        let dropped = log.dropped;
        for _ in 0..count {
            log.line(level::TRACE, line);
        }
        count - (log.dropped - dropped)
    }

    #[test]
    fn a_long_line_is_cut() {
        let shown = shown(&[b'x'; 5000], 1024);
        assert_eq!(shown.len(), 1024 + 4);
        assert!(shown.ends_with("x ..."));
    }

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let mut log = log(20, 1 << 16, 1024);
        assert_eq!(written(&mut log, 100_000, b"x"), 100);
        assert_eq!(log.dropped, 99_900);
    }

    #[test]
    fn bytes_are_bounded_too_as_far_as_they_are_shown() {
        let mut log = log(1000, 100, 50);
        assert_eq!(written(&mut log, 1000, &[b'x'; 1000]), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_come_back_with_time() {
        let mut log = log(20, 1 << 16, 1024);
        assert_eq!(written(&mut log, 1000, b"x"), 100);
        tokio::time::advance(Duration::from_millis(500)).await;
        log.account.poll_begins();
        assert_eq!(written(&mut log, 1000, b"x"), 10);
    }

    #[test]
    fn a_stream_without_newlines_keeps_one_line() {
        let mut log = log(20, 1 << 16, 100);
        for _ in 0..100 {
            log.stream(Stream::Stdout, &[b'x'; 4096]);
        }
        assert_eq!(log.partial(Stream::Stdout).len(), 101);
    }
}
