//! Where receipts are read from: lines of a file, of stdin or of a server, and those that are still
//! to come, also in the file that takes the place of one that was rotated.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek as _, Stdin};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::stream::{End, Stream};

/// A longer line is no receipt, in bytes. Without it a file without lines would fill the memory.
const LONGEST: usize = 256 << 10;

/// How often it is looked whether there is more.
const LOOK: Duration = Duration::from_millis(200);

/// Where lines come from.
pub(super) enum Source {
    Stdin(Lines<Stdin>),
    File(Lines<File>),
    Followed(Followed),
    Server(Lines<Stream>),
}

/// What comes next.
pub(super) enum Next {
    /// A line, without its end.
    Line(Vec<u8>),
    /// One that is too long.
    TooLong,
    /// Nothing yet.
    Nothing,
    /// Nothing more.
    End,
}

impl Source {
    pub(super) fn stdin() -> Self {
        Self::Stdin(Lines::of(io::stdin()))
    }

    /// A file to its end, or beyond if it is to be followed at `path`.
    pub(super) fn file(file: File, path: Option<&PathBuf>) -> io::Result<Self> {
        Ok(match path {
            None => Self::File(Lines::of(file)),
            Some(path) => Self::Followed(Followed::begin(file, path)?),
        })
    }

    /// What comes from a server from now on.
    pub(super) fn server(stream: Stream) -> Self {
        Self::Server(Lines::of(stream))
    }

    /// Whether the next line may take its time.
    pub(super) const fn waits(&self) -> bool {
        matches!(self, Self::Stdin(_) | Self::Server(_))
    }

    /// Why a server has no more.
    pub(super) fn end(&self) -> Option<End> {
        match self {
            Self::Server(lines) => lines.reader.get_ref().end(),
            Self::Stdin(_) | Self::File(_) | Self::Followed(_) => None,
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        match self {
            Self::Stdin(lines) => lines.next_or_rest(),
            Self::File(lines) => lines.next_or_rest(),
            Self::Server(lines) => lines.next_or_rest(),
            Self::Followed(followed) => followed.next(),
        }
    }
}

/// Waits a moment for what may come.
pub(super) fn wait() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a command of one thread that has nothing to do"
    )]
    std::thread::sleep(LOOK);
}

/// The lines of something that may grow.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    /// The beginning of a line whose end is not there.
    begun: Vec<u8>,
    is_long: bool,
    /// Bytes that were read.
    count: u64,
}

impl<R: Read> Lines<R> {
    fn of(reader: R) -> Self {
        let reader = BufReader::with_capacity(64 << 10, reader);
        Self { reader, begun: Vec::new(), is_long: false, count: 0 }
    }

    /// The next line, if the whole of it is there.
    fn next(&mut self) -> io::Result<Next> {
        loop {
            let there = match self.reader.fill_buf() {
                Ok(there) => there,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if there.is_empty() {
                return Ok(Next::Nothing);
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(there.len(), |end| end + 1);
            let text = there.get(..end.unwrap_or(taken)).unwrap_or_default();
            if self.begun.len() + text.len() > LONGEST {
                self.is_long = true;
                self.begun.clear();
            }
            if !self.is_long {
                self.begun.extend_from_slice(text);
            }
            self.reader.consume(taken);
            self.count += taken as u64;
            if end.is_some() {
                return Ok(self.ended());
            }
        }
    }

    /// As `next`; at the end what is there of a last line, too.
    fn next_or_rest(&mut self) -> io::Result<Next> {
        Ok(match self.next()? {
            Next::Nothing if self.begun.is_empty() && !self.is_long => Next::End,
            Next::Nothing => self.ended(),
            next => next,
        })
    }

    fn ended(&mut self) -> Next {
        let line = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.is_long) { Next::TooLong } else { Next::Line(line) }
    }
}

/// A file that is followed by its name.
pub(super) struct Followed {
    path: PathBuf,
    lines: Lines<File>,
    /// Device and inode.
    id: (u64, u64),
    /// Another file has its name, and lines: this one gets no more.
    is_last: bool,
}

impl Followed {
    fn begin(file: File, path: &Path) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let id = (metadata.dev(), metadata.ino());
        Ok(Self { path: path.into(), lines: Lines::of(file), id, is_last: false })
    }

    fn next(&mut self) -> io::Result<Next> {
        if !self.is_last {
            match self.lines.next()? {
                Next::Nothing => {}
                next => return Ok(next),
            }
            // It may be gone for a moment.
            let Ok(now) = fs::metadata(&self.path) else { return Ok(Next::Nothing) };
            if (now.dev(), now.ino()) == self.id {
                if now.len() < self.lines.count {
                    // It was emptied in its place.
                    let mut file = self.lines.reader.get_ref();
                    file.rewind()?;
                    self.lines = Lines::of(file.try_clone()?);
                }
                return Ok(Next::Nothing);
            }
            // One that is empty may be there while the server still writes to the old one.
            self.is_last = now.len() > 0;
            if !self.is_last {
                return Ok(Next::Nothing);
            }
        }
        match self.lines.next_or_rest()? {
            Next::End => {
                *self = Self::begin(File::open(&self.path)?, &self.path)?;
                self.lines.next()
            }
            next => Ok(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The lines until there are none, and how it goes on.
    fn lines(mut next: impl FnMut() -> io::Result<Next>) -> (Vec<String>, Next) {
        let mut found = Vec::new();
        loop {
            match next().unwrap() {
                Next::Line(line) => found.push(String::from_utf8(line).unwrap()),
                Next::TooLong => found.push("too long".into()),
                next => return (found, next),
            }
        }
    }

    #[test]
    fn lines_are_whole_and_bounded() {
        let text = format!("a\n\n{}\n{}\nlast", "x".repeat(LONGEST), "y".repeat(LONGEST + 1));
        let mut source = Lines::of(text.as_bytes());
        let (found, next) = lines(|| source.next_or_rest());
        assert!(matches!(next, Next::End));
        let lengths: Vec<_> = found.iter().map(String::len).collect();
        assert_eq!(lengths, [1, 0, LONGEST, "too long".len(), "last".len()]);
        assert_eq!(found[3], "too long");
    }

    #[test]
    fn a_file_is_followed_over_rotation_and_emptying_and_no_line_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipts");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"1\n2").unwrap();
        let mut source = Source::file(File::open(&path).unwrap(), Some(&path)).unwrap();
        let mut now = || {
            let (found, next) = lines(|| source.next());
            assert!(matches!(next, Next::Nothing));
            found
        };
        assert_eq!(now(), ["1"], "half a line is none");
        file.write_all(b"2\n3\n").unwrap();
        assert_eq!(now(), ["22", "3"]);
        // Renamed, and for a while the writer does not know.
        fs::rename(&path, folder.path().join("receipts.1")).unwrap();
        file.write_all(b"4\n").unwrap();
        assert_eq!(now(), ["4"]);
        let mut next = File::create(&path).unwrap();
        file.write_all(b"5\n").unwrap();
        assert_eq!(now(), ["5"]);
        file.write_all(b"6\n").unwrap();
        next.write_all(b"7\n").unwrap();
        assert_eq!(now(), ["6", "7"]);
        // Copied and emptied.
        next.set_len(0).unwrap();
        assert_eq!(now(), [""; 0]);
        next.rewind().unwrap();
        next.write_all(b"8\n").unwrap();
        assert_eq!(now(), ["8"]);
    }
}
