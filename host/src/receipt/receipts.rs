//! Where receipts go. What there is no room for is lost, counted, and said.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::queue::Shared;
use super::writer::{Output, Writer, open};
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

/// Where receipts go.
#[derive(Debug, Default)]
pub struct Receipts {
    /// There is a thread that writes them.
    writes: bool,
    shared: Arc<Shared>,
    followers: Followers,
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
        let shared = Arc::<Shared>::default();
        let writer = Writer::new(output, Arc::clone(&shared));
        let threads = std::thread::Builder::new().name("receipts".into());
        threads.spawn(|| writer.run()).map_err(|source| ReceiptsError {
            path: PathBuf::from("a thread of their own"),
            source,
        })?;
        Ok(Self { writes: true, shared, followers: Followers::default() })
    }

    /// Whether anybody wants receipts.
    pub fn are_wanted(&self) -> bool {
        self.writes || self.followers.are_there()
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
        self.shared.ask(|asked| asked.reopen = true);
    }

    /// Waits until those that were handed in are written, for at most 5 s.
    pub fn close(&self) {
        if !self.writes {
            return;
        }
        let (done, written) = sync_channel(1);
        self.shared.ask(|asked| asked.say.push(done));
        // Too late, or a writer that panicked and has said so: nobody waits longer.
        let _ = written.recv_timeout(PATIENCE);
        let (lost, unwritten) = (self.lost(), self.shared.waiting());
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
        if self.writes && !self.shared.hand_in(receipt, room) {
            self.shared.lose(1, &"their place is too slow");
        }
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        self.shared.ask(|asked| asked.end = true);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::{BufRead as _, BufReader};

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::super::{Ending, Peer, Place, Transport};
    use super::*;

    fn receipt(id: u64) -> Receipt {
        let ending = Ending { exit: Exit::Ok, backtrace: Vec::new() };
        Receipt { id: Some(id), ..Receipt::empty(Place::Listener("test".into()), ending) }
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
        let client = || Client {
            transport: Transport::Tcp,
            peer: Peer::Ip(([127, 0, 0, 1], 1).into()),
            local: None,
        };
        let flood = || {
            let exit = Exit::Refused("it is full".into());
            receipts.file_client("test", client(), None, exit);
        };
        flood();
        assert_eq!(receipts.shared.waiting(), 0, "they are not wanted");
        receipts.set_for_all(true);
        (0..2 * QUEUE).for_each(|_| flood());
        let lost = receipts.lost();
        assert!(lost > 0, "they have only a part of the room");
        (0..QUEUE_OF_OTHERS as u64).for_each(|id| receipts.file(receipt(id)));
        assert_eq!(receipts.lost(), lost, "none of these is lost");
    }
}
