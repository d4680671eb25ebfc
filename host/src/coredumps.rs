//! The folder of coredumps: how often one is written, and how many are kept. What is in them is
//! somebody else's business.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Access, access};
use rustix::process::geteuid;

/// A handler has one coredump in this time.
const APART: Duration = Duration::from_mins(1);

/// Files that are kept; the oldest make room.
const MOST: usize = 16;

/// What they may be together, in bytes.
const MOST_BYTES: u64 = 256 << 20;

/// Files of ours end so; others in the folder are left alone.
const SUFFIX: &str = ".coredump";

/// Those that are not whole yet.
const PART: &str = ".coredump.part";

/// Whoever began to write one this long ago does so no more. Another server may use the folder: at
/// an upgrade the one before does.
const ABANDONED: Duration = Duration::from_hours(1);

/// A folder for coredumps.
#[derive(Debug)]
pub struct Coredumps {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When each handler had its last one.
    last: BTreeMap<String, Instant>,
    is_writing: bool,
    /// Traps without one since the last that was written.
    without: u64,
}

/// The right to write one, which nobody else has meanwhile.
#[derive(Debug)]
pub(crate) struct Turn {
    dumps: Arc<Coredumps>,
    name: String,
}

/// The folder for coredumps cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot write coredumps to {}", folder.display())]
pub struct CoredumpsError {
    folder: PathBuf,
    #[source]
    source: io::Error,
}

impl Coredumps {
    /// The folder is made if it is not there, for this user only. Files of this user in it that were
    /// not finished are removed.
    pub fn open(folder: &Path) -> Result<Self, CoredumpsError> {
        let opened = DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| {
            access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?;
            let is_old = |modified: SystemTime| modified.elapsed().is_ok_and(|age| age > ABANDONED);
            let parts = files(folder, PART)?;
            parts.iter().filter(|part| is_old(part.2)).try_for_each(|(path, _, _)| remove(path))
        });
        opened.map_err(|source| CoredumpsError { folder: folder.into(), source })?;
        Ok(Self { folder: folder.into(), state: Mutex::default() })
    }

    /// The right to write a coredump of this connection; `None`, and counted, if its handler had
    /// one within the last minute or another is being written.
    pub(crate) fn turn(self: &Arc<Self>, handler: &str, connection: u64) -> Option<Turn> {
        let mut state = self.state();
        let is_early = state.last.get(handler).is_some_and(|last| last.elapsed() < APART);
        if state.is_writing || is_early {
            state.without += 1;
            return None;
        }
        state.is_writing = true;
        state.last.insert(handler.to_owned(), Instant::now());
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let time: String = time.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        Some(Turn { dumps: Arc::clone(self), name: format!("{handler}-{connection}-{time}") })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the oldest until there is room for one more of `size` bytes.
    fn make_room(&self, size: u64) -> io::Result<()> {
        let mut files = files(&self.folder, SUFFIX)?;
        files.sort_by_key(|(_, _, modified)| *modified);
        let mut count = files.len();
        let mut bytes = files.iter().fold(size, |all, (_, size, _)| all.saturating_add(*size));
        for (path, size, _) in files {
            if count < MOST && bytes <= MOST_BYTES {
                break;
            }
            remove(&path)?;
            count -= 1;
            bytes = bytes.saturating_sub(size);
        }
        Ok(())
    }
}

impl Turn {
    /// Has `write` write it, on a thread where that makes nobody wait, and says where it is.
    pub(crate) fn write(
        self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()> + Send + 'static,
    ) {
        tokio::task::spawn_blocking(move || {
            let without = std::mem::take(&mut self.dumps.state().without);
            match self.file(write) {
                Ok(path) if without == 0 => tracing::info!("coredump {}", path.display()),
                Ok(path) => tracing::info!(
                    "coredump {}; before it {without} traps have none",
                    path.display()
                ),
                Err(error) => tracing::warn!(
                    "cannot write a coredump to {}: {error}",
                    self.dumps.folder.display()
                ),
            }
        });
    }

    fn file(
        &self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        let folder = &self.dumps.folder;
        let part = folder.join(format!("{}{PART}", self.name));
        let written = (|| {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
            let mut output = BufWriter::new(file);
            write(&mut output)?;
            output.flush()?;
            self.dumps.make_room(output.get_ref().metadata()?.len())?;
            let path = folder.join(format!("{}{SUFFIX}", self.name));
            fs::rename(&part, &path)?;
            Ok(path)
        })();
        if written.is_err() {
            // What went wrong is said; half a file helps nobody.
            let _ = fs::remove_file(&part);
        }
        written
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.dumps.state().is_writing = false;
    }
}

/// The regular files of this user in a folder that end so, with size and time.
fn files(folder: &Path, suffix: &str) -> io::Result<Vec<(PathBuf, u64, SystemTime)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| name.ends_with(suffix)) {
            continue;
        }
        let metadata = match entry.metadata() {
            // Another server that uses the folder makes room, too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_file() && metadata.uid() == geteuid().as_raw() {
            found.push((entry.path(), metadata.len(), metadata.modified()?));
        }
    }
    Ok(found)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_written_at_a_time_and_one_a_minute_for_each_handler() {
        let folder = tempfile::tempdir().unwrap();
        let dumps = Arc::new(Coredumps::open(folder.path()).unwrap());
        let first = dumps.turn("a", 1).unwrap();
        assert!(dumps.turn("b", 2).is_none(), "another is being written");
        drop(first);
        assert!(dumps.turn("a", 3).is_none(), "a minute has not passed");
        assert!(dumps.turn("b", 4).is_some());
        assert_eq!(dumps.state().without, 2);
    }

    #[test]
    fn the_oldest_make_room_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("notes.txt");
        fs::write(&other, "mine").unwrap();
        let aged = |path: &Path, age: Duration| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        let (old, new) = (format!("old{PART}"), format!("new{PART}"));
        for (name, age) in [(&old, 2 * ABANDONED), (&new, ABANDONED / 2)] {
            let path = folder.path().join(name);
            fs::write(&path, "half").unwrap();
            aged(&path, age);
        }
        let dumps = Arc::new(Coredumps::open(folder.path()).unwrap());
        let names = || {
            let mut names: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(), [&new, "notes.txt"], "another server may still write that one");
        fs::remove_file(folder.path().join(&new)).unwrap();
        for number in 0..MOST as u64 + 5 {
            let turn = dumps.turn(&format!("h{number:02}"), number).unwrap();
            let path = turn.file(|output| output.write_all(b"core")).unwrap();
            let when = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
            File::options().write(true).open(path).unwrap().set_modified(when).unwrap();
        }
        let left = names();
        assert_eq!(left.len(), MOST + 1);
        assert!(left[0].starts_with("h05-5-"), "{left:?}");
        // One that fills the bound leaves no other.
        dumps.make_room(MOST_BYTES).unwrap();
        assert_eq!(names(), ["notes.txt"]);
        assert!(other.exists());
    }

    #[test]
    fn one_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dumps = Arc::new(Coredumps::open(folder.path()).unwrap());
        let turn = dumps.turn("a", 1).unwrap();
        turn.file(|_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
