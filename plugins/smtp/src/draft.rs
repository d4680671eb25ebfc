//! A message on its way into a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::reply::Reply;

/// How much is written at once, in bytes.
const PIECE: usize = 64 * 1024;

/// A file with a name that nobody takes for a message: with a dot in front. It is removed unless
/// it is stored, but for an instance that the host ends.
pub(crate) struct Draft {
    file: BufWriter<File>,
    temporary: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Begins the message `name`, which no other in `folder` has.
    pub(crate) fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        let temporary = folder.join(format!(".{name}.part"));
        let place = folder.join(format!("{name}.eml"));
        let file = File::create_new(&temporary)?;
        Ok(Self { file: BufWriter::with_capacity(PIECE, file), temporary, place })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Gives the file its name, when all of it is on the disk: then the client may forget the
    /// message. WASI preview 1 cannot do the same for a name: after a loss of power it may be the
    /// one with the dot.
    pub(crate) fn store(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A stored one is not there any more.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// What a client is told when its message cannot be stored; the log is told why.
pub(crate) fn refusal(folder: &Path, error: &io::Error) -> Reply {
    use ErrorKind::{QuotaExceeded, StorageFull};
    portcell_sdk::error!(
        "cannot store a message in {}: {error}; grant a folder to write into under this name",
        folder.display()
    );
    match error.kind() {
        QuotaExceeded | StorageFull => Reply::new(452, "There is no room for messages now"),
        _ => Reply::new(451, "Messages cannot be stored now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_code() {
        for (kind, code) in [
            (ErrorKind::StorageFull, "452"),
            (ErrorKind::QuotaExceeded, "452"),
            (ErrorKind::NotFound, "451"),
        ] {
            let reply = refusal(Path::new("/mail"), &kind.into()).to_string();
            assert!(reply.starts_with(code), "{reply}");
        }
    }
}
