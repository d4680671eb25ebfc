//! The lines that a guest writes into the host's log: bounded in length and rate, and unable to
//! look like anything but one line of that guest.

use std::time::Instant;

use portcell_abi::level;

use crate::text::printable;

/// A longer line is cut, in bytes. Without it a guest could fill the log with one call.
const LINE: usize = 1024;

/// How many lines a connection may write at once, and how many more each second. Without it a
/// guest could fill the disk.
const BURST: u32 = 100;
const PER_SECOND: u32 = 20;

/// The log of one instance.
pub(crate) struct GuestLog {
    handler: String,
    connection: u64,
    /// Whether lines keep the levels that the guest gives them.
    is_heard: bool,
    left: u32,
    refilled: Option<Instant>,
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
    pub(crate) fn new(handler: &str, connection: u64, is_heard: bool) -> Self {
        Self {
            handler: handler.into(),
            connection,
            is_heard,
            left: BURST,
            refilled: None,
            dropped: 0,
            partial: [Vec::new(), Vec::new()],
        }
    }

    /// Writes one line, of a level of the ABI.
    pub(crate) fn line(&mut self, level: i32, text: &[u8]) {
        if self.may_write() {
            self.emit(level, &shown(text));
        }
    }

    /// Takes bytes of a stream; whole lines are written.
    pub(crate) fn stream(&mut self, stream: Stream, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let mut line = std::mem::take(self.partial(stream));
            keep(&mut line, &bytes[..end]);
            self.line(stream.level(), &line);
            bytes = &bytes[end + 1..];
        }
        keep(self.partial(stream), bytes);
    }

    fn partial(&mut self, stream: Stream) -> &mut Vec<u8> {
        &mut self.partial[stream as usize]
    }

    fn may_write(&mut self) -> bool {
        if self.left == 0 {
            let now = Instant::now();
            let since = *self.refilled.get_or_insert(now);
            let earned =
                u64::from(PER_SECOND) * (now - since).as_millis().min(10_000) as u64 / 1000;
            if earned > 0 {
                self.refilled = Some(now);
                self.left = u32::try_from(earned).unwrap_or(BURST).min(BURST);
            }
        }
        if self.left == 0 {
            self.dropped += 1;
            return false;
        }
        self.left -= 1;
        true
    }

    fn emit(&self, level: i32, text: &str) {
        let (handler, connection) = (&*self.handler, self.connection);
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
            self.emit(level::WARN, &format!("{} more lines were dropped", self.dropped));
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
fn keep(line: &mut Vec<u8>, bytes: &[u8]) {
    let room = (LINE + 1).saturating_sub(line.len());
    line.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// One line of the log: cut where it is too long.
fn shown(text: &[u8]) -> String {
    let cut = text.len() > LINE;
    let text = text[..text.len().min(LINE)].trim_ascii_end();
    let mut shown = printable(&String::from_utf8_lossy(text));
    if cut {
        shown.push_str(" ...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut() {
        let shown = shown(&[b'x'; 5000]);
        assert_eq!(shown.len(), LINE + 4);
        assert!(shown.ends_with("x ..."));
    }

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let mut log = GuestLog::new("h", 1, true);
        for _ in 0..100_000 {
            log.line(level::TRACE, b"x");
        }
        assert!(log.dropped > 90_000);
        log.dropped = 0;
    }

    #[test]
    fn a_stream_without_newlines_keeps_one_line() {
        let mut log = GuestLog::new("h", 1, true);
        for _ in 0..100 {
            log.stream(Stream::Stdout, &[b'x'; 4096]);
        }
        assert_eq!(log.partial(Stream::Stdout).len(), LINE + 1);
    }
}
