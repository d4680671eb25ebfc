//! A folder for the files of one test.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::repository;

/// An empty folder that is removed with what is in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where a file of this name is, or would be.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, in place of one that may be there.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Compiles tests/guests/`name`.wat to `name`.wasm.
    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        let source = repository().join("tests/guests").join(format!("{name}.wat"));
        let text = fs::read_to_string(&source)
            .unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        self.wat(name, &text)
    }

    /// Compiles `tells_version.wat` of tests/guests with this tag, of 6 letters, to `name`.wasm, which
    /// is replaced as a whole.
    pub(crate) fn version(&self, name: &str, tag: &str) -> PathBuf {
        let source = repository().join("tests/guests/tells_version.wat");
        let text = fs::read_to_string(source).unwrap();
        assert_eq!(tag.len(), 6, "{tag} moves what comes behind it");
        let new =
            self.wat(&format!("{name}.new"), &text.replace("\"module ", &format!("\"{tag} ")));
        let path = self.at(&format!("{name}.wasm"));
        fs::rename(new, &path).unwrap();
        path
    }

    /// Compiles a module to `name`.wasm.
    pub(crate) fn wat(&self, name: &str, text: &str) -> PathBuf {
        let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        self.write(&format!("{name}.wasm"), wasm)
    }
}
