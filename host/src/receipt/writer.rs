//! The thread that writes receipts: several lines a call where they come fast.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};

use super::Receipt;
use super::queue::Shared;

/// Bytes of lines that are written with one call; a line that is longer goes alone. So much is in
/// one piece in a pipe that others write to (`PIPE_BUF`, pipe(7)).
const AT_ONCE: usize = 4096;

/// How long none are lost before that counts as over.
const QUIET: Duration = Duration::from_secs(5);

/// What lines are written to.
pub(super) enum Output {
    Stderr,
    File(PathBuf, File),
}

/// What the thread has.
pub(super) struct Writer {
    output: Output,
    shared: Arc<Shared>,
    /// Those that are written together.
    lines: Vec<u8>,
    /// The last line could not be written.
    is_failing: bool,
    /// The last line was written in part.
    is_torn: bool,
    /// What was lost when it was last said, and when this thread last looked, and when it looked.
    told: u64,
    seen: (u64, Instant),
}

impl Writer {
    pub(super) fn new(output: Output, shared: Arc<Shared>) -> Self {
        let (lines, seen) = (Vec::new(), (0, Instant::now()));
        Self { output, shared, lines, is_failing: false, is_torn: false, told: 0, seen }
    }

    /// Goes on until nothing more will come.
    pub(super) fn run(mut self) {
        let mut receipts = Vec::new();
        loop {
            // Only while there is something to be said does it look at the clock.
            let is_losing = self.shared.is_losing.load(Relaxed);
            let asked =
                self.shared.take(&mut receipts, if is_losing { QUIET } else { Duration::MAX });
            if asked.reopen {
                self.reopen();
            }
            let any = !receipts.is_empty();
            for receipt in receipts.drain(..) {
                self.add(&receipt);
            }
            self.write();
            for done in asked.say {
                // Who asked may have given up.
                let _ = done.try_send(());
            }
            if asked.end {
                return;
            }
            self.look_for_the_end_of_losses();
            if any {
                self.shared.gather();
            }
        }
    }

    /// Writes a receipt, or puts it to the lines that are to be written.
    fn add(&mut self, receipt: &Receipt) {
        let before = self.lines.len();
        if let Err(error) = serde_json::to_writer(&mut self.lines, receipt) {
            self.lines.truncate(before);
            self.has_written(1, 1, &error);
            return;
        }
        self.lines.push(b'\n');
        if before > 0 && self.lines.len() > AT_ONCE {
            let line = self.lines.split_off(before);
            self.write();
            self.lines = line;
        }
    }

    /// Writes the lines that there are.
    fn write(&mut self) {
        let mut lines = mem::take(&mut self.lines);
        let count = newlines(&lines);
        if count == 0 {
            return;
        }
        if self.is_torn {
            // What is there of the last one is a line of its own.
            lines.insert(0, b'\n');
        }
        match self.put(&lines) {
            Ok(()) => self.has_written(count, 0, &""),
            Err((rest, error)) => {
                let lost = newlines(rest).min(count);
                self.has_written(count, lost, &error);
            }
        }
        lines.clear();
        self.lines = lines;
    }

    /// So many do not wait any more, some of them because they are lost.
    fn has_written(&mut self, count: usize, lost: usize, why: &dyn std::fmt::Display) {
        self.shared.has_done(count);
        self.is_failing = lost > 0;
        if lost > 0 {
            self.shared.lose(lost, &format_args!("they cannot be written: {why}"));
        }
    }

    /// Writes lines: in one call, so that lines of several processes do not mix in one file. Gives
    /// what could not be written.
    fn put<'a>(&mut self, lines: &'a [u8]) -> Result<(), (&'a [u8], io::Error)> {
        let mut left = lines;
        while !left.is_empty() {
            let written = match &mut self.output {
                Output::Stderr => io::stderr().write(left),
                Output::File(_, file) => file.write(left),
            };
            match written {
                Ok(0) => return Err((left, io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    let (done, rest) = left.split_at(count.min(left.len()));
                    self.is_torn = !done.ends_with(b"\n");
                    left = rest;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((left, error)),
            }
        }
        Ok(())
    }

    fn reopen(&mut self) {
        let Output::File(path, file) = &mut self.output else { return };
        match open(path) {
            Ok(again) => {
                *file = again;
                self.is_torn = false;
                tracing::debug!("receipts go to {}, which was opened again", path.display());
            }
            Err(error) => tracing::error!(
                "receipts stay in the old file: cannot open {}: {error}",
                path.display()
            ),
        }
    }

    fn look_for_the_end_of_losses(&mut self) {
        let shared = &self.shared;
        if !shared.is_losing.load(Relaxed) {
            return;
        }
        let (lost, now) = (shared.lost.load(Relaxed), Instant::now());
        let (seen, since) = self.seen;
        if lost != seen || self.is_failing {
            self.seen = (lost, now);
        } else if now.duration_since(since) >= QUIET {
            let count = lost - self.told;
            self.told = lost;
            shared.is_losing.store(false, Relaxed);
            tracing::info!("receipts are written again; {count} were lost");
        }
    }
}

fn newlines(lines: &[u8]) -> usize {
    lines.split(|byte| *byte == b'\n').count().saturating_sub(1)
}

/// Opens a file to append to. A pipe that nobody reads is an error: opening it would wait.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path)?;
    // From here on a pipe that is full makes the thread wait, and nothing else.
    fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}
