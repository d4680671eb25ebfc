//! Files into a folder that is new or empty. What was there stays as it is, whatever goes wrong.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::project::File;

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// Something is in the way.
    #[error("{}: {what}: give the name of a new folder, or of an empty one", path.display())]
    Taken { path: PathBuf, what: &'static str },
    /// It would be in a folder that is not there.
    #[error("{}: there is no folder for it: make that first, or give another name", path.display())]
    Nowhere { path: PathBuf },
    /// The file system says no.
    #[error("{}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// What was made, and is removed when this is dropped: files, and folders that are empty then.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

/// Whether the folder is empty, or not there and can be made.
pub(super) fn must_be_free(path: &Path) -> Result<(), Problem> {
    let taken = |what| Err(Problem::Taken { path: path.to_owned(), what });
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => taken("this folder is not empty"),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => taken("this is not a folder"),
        Err(source) => Err(Problem::Io { path: path.to_owned(), source }),
    }
}

/// Writes all of the files, and makes the folders that they are in. If one cannot be written, none
/// is left, and nothing that was there is changed.
pub(super) fn fill(path: &Path, files: &[File]) -> Result<(), Problem> {
    must_be_free(path)?;
    let mut made = Made::default();
    made.folder(path).map_err(|problem| match problem {
        Problem::Io { path, source } if source.kind() == ErrorKind::NotFound => {
            Problem::Nowhere { path }
        }
        problem => problem,
    })?;
    for file in files {
        let file_path = path.join(file.path);
        // From the outermost, which is `path` itself, inwards.
        let folders: Vec<_> = Path::new(file.path).ancestors().skip(1).collect();
        for folder in folders.into_iter().rev() {
            made.folder(&path.join(folder))?;
        }
        made.file(file_path, &file.text)?;
    }
    made.keep();
    Ok(())
}

impl Made {
    fn folder(&mut self, path: &Path) -> Result<(), Problem> {
        match fs::create_dir(path) {
            Ok(()) => self.folders.push(path.to_owned()),
            Err(_) if path.is_dir() => {}
            Err(source) => return Err(Problem::Io { path: path.to_owned(), source }),
        }
        Ok(())
    }

    /// A file that is there is an error: somebody has been quicker.
    fn file(&mut self, path: PathBuf, text: &str) -> Result<(), Problem> {
        let written =
            OpenOptions::new().write(true).create_new(true).open(&path).and_then(|mut file| {
                self.files.push(path.clone());
                file.write_all(text.as_bytes())
            });
        written.map_err(|source| Problem::Io { path, source })
    }

    fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What cannot be removed stays; the error that led here is told.
        for file in self.files.drain(..) {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.drain(..).rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn file(path: &'static str, text: &str) -> File {
        File { path, text: text.to_owned() }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn files_are_written_with_the_folders_that_they_are_in() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("chat");
        fill(&path, &[file("a", "1"), file("b/c/d", "2"), file("b/e", "3")]).unwrap();
        for (name, text) in [("a", "1"), ("b/c/d", "2"), ("b/e", "3")] {
            assert_eq!(fs::read_to_string(path.join(name)).unwrap(), text);
        }
    }

    #[test]
    fn an_empty_folder_is_filled() {
        let folder = TempDir::new().unwrap();
        fill(folder.path(), &[file("a", "1")]).unwrap();
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused_and_left_as_it_is() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("a"), "mine").unwrap();
        let error = fill(folder.path(), &[file("a", "1"), file("b", "2")]).unwrap_err();
        assert!(error.to_string().contains("this folder is not empty: give "), "{error}");
        assert_eq!(names(folder.path()), ["a"]);
        assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "mine");
    }

    #[test]
    fn a_file_is_no_folder() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("chat");
        fs::write(&path, "mine").unwrap();
        let error = fill(&path, &[file("a", "1")]).unwrap_err();
        assert!(error.to_string().contains("this is not a folder"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn a_folder_in_a_folder_that_is_not_there_is_refused() {
        let folder = TempDir::new().unwrap();
        let error = fill(&folder.path().join("services/chat"), &[file("a", "1")]).unwrap_err();
        assert!(error.to_string().contains("there is no folder for it: make that"), "{error}");
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn after_a_failure_half_way_nothing_is_left_of_what_was_made() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("chat");
        // The third needs a folder where the first is a file.
        let files = [file("a", "1"), file("b/c", "2"), file("a/d", "3")];
        let error = fill(&path, &files).unwrap_err();
        assert!(error.to_string().ends_with("chat/a"), "{error}");
        assert!(names(folder.path()).is_empty());
        // A folder that was there before stays.
        fs::create_dir(&path).unwrap();
        assert!(fill(&path, &files).is_err());
        assert!(names(&path).is_empty());
    }

    #[test]
    fn a_file_that_somebody_else_has_made_meanwhile_is_not_touched() {
        let folder = TempDir::new().unwrap();
        let mut made = Made::default();
        made.file(folder.path().join("a"), "1").unwrap();
        fs::write(folder.path().join("b"), "mine").unwrap();
        assert!(made.file(folder.path().join("b"), "2").is_err());
        drop(made);
        assert_eq!(names(folder.path()), ["b"]);
        assert_eq!(fs::read_to_string(folder.path().join("b")).unwrap(), "mine");
    }
}
