//! The folder of a cache, and the files in it: only this user can have written what is read, and a
//! file is there whole or not at all. What is in the files is not seen here.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::process::geteuid;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::text::hexadecimal;

/// How the names of entries end.
pub(super) const ENDING: &str = ".code";

/// How the names of files begin that are being written.
const UNFINISHED: &str = ".new-";

/// A larger file is no entry, in bytes: more code than any module has.
const LARGEST: u64 = 2 << 30;

/// An entry's time of use is written down if the last one is older than this.
const USED: Duration = Duration::from_hours(24);

/// Whoever began to write a file this long ago does so no more.
const ABANDONED: Duration = Duration::from_hours(1);

/// A folder that was found to be this user's own.
#[derive(Debug)]
pub(super) struct Folder(File);

/// A folder or a file in it cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    /// Somebody else could have put code there.
    #[error("{0}, who could put code there that would be run; it has to be this user's own")]
    Untrusted(&'static str),
    /// The machine does not do it.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// A file of ours.
struct Found {
    name: String,
    size: u64,
    age: Duration,
}

impl Folder {
    /// Opens the folder; makes it, and those that it is in, if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(path) {
            // As rustix does it: what is no folder is said when it is opened.
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error.into());
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?;
        let folder = File::from(opened);
        trust(&rustix::fs::fstat(&folder).map_err(io::Error::from)?)?;
        let writable = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&folder, ".", writable, AtFlags::EACCESS).map_err(io::Error::from)?;
        Ok(Self(folder))
    }

    /// What is in a file; `None` if there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        // Without NONBLOCK a pipe of that name would be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let stat = rustix::fs::fstat(&file).map_err(io::Error::from)?;
        trust(&stat)?;
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || size > LARGEST {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        io::Read::by_ref(&mut file).take(size).read_to_end(&mut bytes)?;
        if file.metadata().and_then(|file| file.modified()).is_ok_and(|time| age(time) > USED) {
            // That it was used is not worth more than a try.
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(Some(bytes))
    }

    /// Puts a file there, in place of one that may be there.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> Result<(), FolderError> {
        let mut random = [0; 16];
        getrandom(&mut random, GetRandomFlags::empty()).map_err(io::Error::from)?;
        let new = format!("{UNFINISHED}{}", hexadecimal(&random));
        let written = self.write_new(&new, parts).and_then(|()| {
            rustix::fs::renameat(&self.0, &new, &self.0, name).map_err(io::Error::from)
        });
        if written.is_err() {
            // It may not even be there.
            let _ = self.remove(&new);
        }
        Ok(written?)
    }

    fn write_new(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(&self.0, name, flags, mode)?);
        parts.iter().try_for_each(|part| file.write_all(part))
    }

    /// Removes entries that were not used for `unused`, and the ones that were not used for longest
    /// until those that are left have `most` bytes. Files of others are left alone.
    pub(super) fn tidy(&self, most: u64, unused: Duration) -> Result<(), FolderError> {
        let (unfinished, mut entries): (Vec<_>, Vec<_>) =
            self.list()?.into_iter().partition(|file| file.name.starts_with(UNFINISHED));
        for file in unfinished.iter().filter(|file| file.age > ABANDONED) {
            self.remove(&file.name)?;
        }
        entries.sort_by_key(|entry| entry.age);
        let mut total = 0_u64;
        for entry in entries {
            total = total.saturating_add(entry.size);
            if total > most || entry.age > unused {
                self.remove(&entry.name)?;
            }
        }
        Ok(())
    }

    /// The files that this module has made, or could have.
    fn list(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let Ok(name) = String::from_utf8(entry?.file_name().to_bytes().to_vec()) else {
                continue;
            };
            if !is_ours(&name) {
                continue;
            }
            let stat = match rustix::fs::statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Another process tidies, too.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                let written = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
                let age = age(SystemTime::UNIX_EPOCH + written);
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                found.push(Found { name, size, age });
            }
        }
        Ok(found)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a file is named as one of ours.
fn is_ours(name: &str) -> bool {
    let hexadecimal = |text: &str, digits| {
        text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    name.strip_suffix(ENDING).is_some_and(|key| hexadecimal(key, 64))
        || name.strip_prefix(UNFINISHED).is_some_and(|random| hexadecimal(random, 32))
}

/// Whether nobody but this user can have written it.
fn trust(stat: &Stat) -> Result<(), FolderError> {
    if stat.st_uid != geteuid().as_raw() {
        return Err(FolderError::Untrusted("it belongs to another user"));
    }
    if Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
        return Err(FolderError::Untrusted("others may write to it"));
    }
    Ok(())
}

/// Zero for what lies ahead: clocks are set.
fn age(time: SystemTime) -> Duration {
    SystemTime::now().duration_since(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of so many bytes, last used so long ago.
    fn file(folder: &Folder, path: &Path, name: &str, size: usize, age: Duration) {
        folder.write(name, &[&vec![0; size]]).unwrap();
        let file = File::options().write(true).open(path.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room_and_files_of_others_stay() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::open(path.path()).unwrap();
        let entry = |digit: &str| digit.repeat(64) + ENDING;
        let unfinished = |digit: &str| format!("{UNFINISHED}{}", digit.repeat(32));
        let hours = Duration::from_hours;
        let make = |name: &str, size, age| file(&folder, path.path(), name, size, age);
        make(&entry("a"), 40, hours(1));
        make(&entry("b"), 40, hours(2));
        make(&entry("c"), 40, hours(3));
        make(&entry("d"), 1, hours(100));
        make(&unfinished("a"), 1000, hours(0));
        make(&unfinished("b"), 1000, hours(2));
        make("other.code", 1000, hours(100));
        folder.tidy(100, hours(50)).unwrap();
        let left = [&unfinished("a"), &entry("a"), &entry("b"), "other.code"];
        assert_eq!(names(path.path()), left);
    }

    #[test]
    fn what_is_read_counts_as_used() {
        let path = tempfile::tempdir().unwrap();
        let folder = Folder::open(path.path()).unwrap();
        file(&folder, path.path(), "entry", 3, Duration::from_hours(48));
        assert_eq!(folder.read("entry").unwrap(), Some(vec![0; 3]));
        let modified = std::fs::metadata(path.path().join("entry")).unwrap().modified().unwrap();
        assert!(age(modified) < Duration::from_hours(1));
        assert_eq!(folder.read("other").unwrap(), None);
    }
}
