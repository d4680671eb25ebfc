//! Where receipts go: a queue that makes no connection wait, and a thread that writes what is in it,
//! one call a line. What there is no room for is lost, counted, and said.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};

use super::{Client, Receipt};
use crate::account::Account;
use crate::config;
use crate::exit::Exit;
use crate::followers::Followers;

/// Receipts that may wait to be written. More are lost, and counted.
const QUEUE: usize = 4096;

/// How many may wait before those of clients without a connection are lost. Without it a flood of
/// such clients would cost connections their receipts.
const QUEUE_OF_OTHERS: usize = QUEUE / 2;

/// How long the end of a server waits for receipts to be written. Without it a pipe that nobody
/// reads would hold it up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long none are lost before that counts as over.
const QUIET: Duration = Duration::from_secs(5);

/// Where receipts go.
#[derive(Debug, Default)]
pub struct Receipts {
    writer: Option<SyncSender<Work>>,
    shared: Arc<Shared>,
    followers: Followers,
}

/// What those who hand in receipts share with the thread that writes them.
#[derive(Debug, Default)]
struct Shared {
    /// Receipts in the queue.
    waiting: AtomicUsize,
    lost: AtomicU64,
    /// It was said that receipts are lost, and not yet that this is over.
    is_losing: AtomicBool,
    reopen: AtomicBool,
    for_all: AtomicBool,
}

/// What the writing thread is given.
#[derive(Debug)]
enum Work {
    Receipt(Box<Receipt>),
    /// Look whether the file is to be opened again.
    Look,
    /// Say so when everything before this is written.
    Flush(SyncSender<()>),
}

/// The place for receipts cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write receipts to {}", path.display())]
pub struct ReceiptsError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Receipts {
    /// Opens the place that the configuration names; a file is appended to.
    pub fn open(place: &config::Receipts) -> Result<Self, ReceiptsError> {
        let output = match place {
            config::Receipts::Off => return Ok(Self::default()),
            config::Receipts::Stderr => Output::Stderr,
            config::Receipts::File(path) => {
                let failed = |source| ReceiptsError { path: path.clone(), source };
                Output::File(path.clone(), open(path).map_err(failed)?)
            }
        };
        let (writer, queue) = sync_channel(QUEUE);
        let shared = Arc::<Shared>::default();
        let thread = Thread::new(queue, output, Arc::clone(&shared));
        let threads = std::thread::Builder::new().name("receipts".into());
        threads.spawn(|| thread.run()).map_err(|source| ReceiptsError {
            path: PathBuf::from("a thread of their own"),
            source,
        })?;
        Ok(Self { writer: Some(writer), shared, followers: Followers::default() })
    }

    /// Whether anybody wants receipts.
    pub fn are_wanted(&self) -> bool {
        self.writer.is_some() || self.followers.are_there()
    }

    /// Those who hear of each receipt as it comes.
    pub const fn followers(&self) -> &Followers {
        &self.followers
    }

    /// Whether clients without a connection get one, too.
    pub fn are_for_all(&self) -> bool {
        self.are_wanted() && self.shared.for_all.load(Relaxed)
    }

    /// Says whether clients without a connection get one from now on.
    pub fn set_for_all(&self, for_all: bool) {
        self.shared.for_all.store(for_all, Relaxed);
    }

    /// How many were lost, because they came faster than they could be written or could not be
    /// written at all.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Relaxed)
    }

    /// Hands in a receipt. Never waits: it is lost, and counted, when too many do.
    pub fn file(&self, receipt: Receipt) {
        self.offer(receipt, QUEUE);
    }

    /// Hands in the receipt of a client who did not come to a handler, if such ones are wanted.
    pub fn file_client(
        &self,
        listener: &str,
        client: Client,
        account: Option<&Account>,
        exit: Exit,
    ) {
        if self.are_for_all() {
            let receipt = Receipt::without_handler(listener, client, account, exit);
            self.offer(receipt, QUEUE_OF_OTHERS);
        }
    }

    /// Opens the file again, which is created if it is not there any more: a file that was renamed
    /// gets no further lines but those that are being written. Does nothing for stderr.
    pub fn reopen(&self) {
        let Some(writer) = &self.writer else { return };
        self.shared.reopen.store(true, SeqCst);
        // With a full queue it looks anyway.
        let _ = writer.try_send(Work::Look);
    }

    /// Waits until those that were handed in are written, for at most 5 s.
    pub fn close(&self) {
        let Some(writer) = self.writer.clone() else { return };
        let (done, written) = sync_channel(1);
        // Elsewhere, since handing it in waits, too, where the place is too slow.
        let asking = std::thread::Builder::new().name("receipts-end".into());
        let asked = asking.spawn(move || writer.send(Work::Flush(done)).is_ok());
        if asked.is_ok() {
            // Too late, or a writer that panicked and has said so: nobody waits longer.
            let _ = written.recv_timeout(PATIENCE);
        }
        let (lost, unwritten) = (self.lost(), self.shared.waiting.load(Relaxed));
        if lost > 0 || unwritten > 0 {
            tracing::warn!("{lost} receipts were lost, and {unwritten} are not written yet");
        }
    }

    fn offer(&self, receipt: Receipt, room: usize) {
        if self.followers.are_there()
            && let Ok(line) = serde_json::to_string(&receipt)
        {
            self.followers.tell(&line);
        }
        let Some(writer) = &self.writer else { return };
        let shared = &self.shared;
        let has_room = shared.waiting.fetch_add(1, Relaxed) < room;
        if has_room && writer.try_send(Work::Receipt(Box::new(receipt))).is_ok() {
            return;
        }
        shared.waiting.fetch_sub(1, Relaxed);
        shared.lose(&"their place is too slow");
    }
}

impl Shared {
    /// One is lost, for this reason.
    fn lose(&self, why: &dyn std::fmt::Display) {
        self.lost.fetch_add(1, Relaxed);
        if !self.is_losing.swap(true, Relaxed) {
            tracing::error!("receipts are lost: {why}");
        }
    }
}

/// What lines are written to.
enum Output {
    Stderr,
    File(PathBuf, File),
}

/// The thread that writes.
struct Thread {
    queue: Receiver<Work>,
    output: Output,
    shared: Arc<Shared>,
    /// The last line could not be written.
    is_failing: bool,
    /// The last line was written in part.
    is_torn: bool,
    /// What was lost when it was last said, and when this thread last looked, and when it looked.
    told: u64,
    seen: (u64, Instant),
}

impl Thread {
    fn new(queue: Receiver<Work>, output: Output, shared: Arc<Shared>) -> Self {
        let seen = (0, Instant::now());
        Self { queue, output, shared, is_failing: false, is_torn: false, told: 0, seen }
    }

    fn run(mut self) {
        loop {
            // Only while there is something to be said does it look at the clock.
            let work = if self.shared.is_losing.load(Relaxed) {
                self.queue.recv_timeout(QUIET)
            } else {
                self.queue.recv().map_err(RecvTimeoutError::from)
            };
            if self.shared.reopen.swap(false, SeqCst) {
                self.reopen();
            }
            match work {
                Ok(Work::Receipt(receipt)) => self.write(&receipt),
                // Who asked may have given up.
                Ok(Work::Flush(done)) => drop(done.try_send(())),
                Ok(Work::Look) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look_for_the_end_of_losses();
        }
    }

    fn write(&mut self, receipt: &Receipt) {
        let mut line = Vec::with_capacity(1024);
        if self.is_torn {
            // What is there of the last one is a line of its own.
            line.push(b'\n');
        }
        let written = serde_json::to_writer(&mut line, receipt).map_err(io::Error::from);
        line.push(b'\n');
        let written = written.and_then(|()| self.put(&line));
        self.shared.waiting.fetch_sub(1, Relaxed);
        self.is_failing = written.is_err();
        if let Err(error) = written {
            self.shared.lose(&format_args!("they cannot be written: {error}"));
        }
    }

    /// Writes a line: in one call, so that lines of several processes do not mix in one file.
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let mut left = line;
        while !left.is_empty() {
            let written = match &mut self.output {
                Output::Stderr => io::stderr().write(left),
                Output::File(_, file) => file.write(left),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    left = left.get(count..).unwrap_or_default();
                    self.is_torn = !left.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
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

/// Opens a file to append to. A pipe that nobody reads is an error: opening it would wait.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path)?;
    // From here on a pipe that is full makes the thread wait, and nothing else.
    fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    fn receipt(id: u64) -> Receipt {
        Receipt { id: Some(id), ..Receipt::empty("test") }
    }

    /// Receipts that go to a pipe, and the pipe.
    fn to_a_pipe() -> (Receipts, File, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        (Receipts::open(&config::Receipts::File(path)).unwrap(), pipe, folder)
    }

    #[test]
    fn what_there_is_no_room_for_is_lost_and_counted_and_the_rest_is_written_in_order() {
        let (receipts, pipe, _folder) = to_a_pipe();
        let filed = 3 * QUEUE as u64;
        // Nobody reads: this would hang if handing in could wait.
        (0..filed).for_each(|id| receipts.file(receipt(id)));
        let lost = receipts.lost();
        assert!(lost > 0, "a pipe has no room for {filed}");
        let lines = BufReader::new(pipe).lines();
        let ids: Vec<u64> = lines
            .take(usize::try_from(filed - lost).unwrap())
            .map(|line| {
                let receipt: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
                receipt["id"].as_u64().unwrap()
            })
            .collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "each once");
    }

    #[test]
    fn a_flood_of_clients_without_a_connection_leaves_room_for_the_others() {
        let (receipts, _pipe, _folder) = to_a_pipe();
        let client = || Client { transport: "tcp", peer: "127.0.0.1:1".into(), local: None };
        let flood = || {
            let exit = Exit::Refused("it is full".into());
            receipts.file_client("test", client(), None, exit);
        };
        flood();
        assert_eq!(receipts.shared.waiting.load(Relaxed), 0, "they are not wanted");
        receipts.set_for_all(true);
        (0..2 * QUEUE).for_each(|_| flood());
        let lost = receipts.lost();
        assert!(lost > 0, "they have only a part of the room");
        (0..QUEUE_OF_OTHERS as u64).for_each(|id| receipts.file(receipt(id)));
        assert_eq!(receipts.lost(), lost, "none of these is lost");
    }
}
