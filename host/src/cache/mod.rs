//! The compile cache: the code of modules in a folder, so that a restart compiles nothing. To run
//! an entry is to run its author's code, so only what this user alone can have written is read.

mod entry;
mod folder;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::compile::Code;
use crate::config::CacheConfig;
use crate::text::hexadecimal;

use self::folder::{Folder, FolderError};

/// The most that all entries may have, in bytes; the ones that were not used for longest make room.
pub(crate) const MOST_BYTES: u64 = 1 << 30;

/// An entry that was not used for so long is removed.
pub(crate) const UNUSED: Duration = Duration::from_hours(30 * 24);

/// A cache that can be used. It does no harm that several processes use one at a time.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    /// Something was written, so something may have to make room.
    grown: AtomicBool,
    /// It was said that writing fails.
    complained: AtomicBool,
}

/// Which code: that of a module under the settings of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// `digest` is that of the module, `fingerprint` that of the engine.
    pub(crate) fn new(digest: &str, fingerprint: [u8; 32]) -> Self {
        let hash = Sha256::new().chain_update(entry::MAGIC).chain_update(fingerprint);
        Self(hash.chain_update(digest).finalize().into())
    }

    fn file_name(self) -> String {
        format!("{}{}", hexadecimal(&self.0), folder::ENDING)
    }
}

impl Cache {
    /// The cache that is configured, if there is one and it can be used; why not is logged.
    pub(crate) fn open(config: &CacheConfig) -> Option<Self> {
        let (path, asked) = match config {
            CacheConfig::Off => return None,
            CacheConfig::Folder(path) => (path.clone(), true),
            CacheConfig::Auto => (Self::usual()?, false),
        };
        match Folder::open(&path) {
            Ok(_) => Some(Self { path, grown: false.into(), complained: false.into() }),
            Err(error @ FolderError::Untrusted(_)) => {
                tracing::warn!("the compile cache {} is not used: {error}", path.display());
                None
            }
            Err(error) if asked => {
                tracing::warn!("the compile cache {} cannot be used: {error}", path.display());
                None
            }
            Err(error) => {
                tracing::info!("compiled modules are not kept in {}: {error}", path.display());
                None
            }
        }
    }

    fn usual() -> Option<PathBuf> {
        let path = usual_folder(|name| std::env::var_os(name));
        if path.is_none() {
            tracing::info!("compiled modules are not kept: there is no folder for that");
        }
        path
    }

    /// The code under this key, if it is there, whole, and only this user can have written it.
    pub(crate) fn get(&self, key: Key) -> Option<Code> {
        let name = key.file_name();
        let read = Folder::open(&self.path).and_then(|folder| folder.read(&name));
        match read {
            Ok(Some(bytes)) => match entry::unpack(bytes, &key.0) {
                Ok(code) => Some(Code::new(code)),
                Err(wrong) => {
                    tracing::info!("{} is made anew: it {wrong}", self.path.join(name).display());
                    None
                }
            },
            Ok(None) => None,
            Err(error) => {
                tracing::warn!("{} is not used: {error}", self.path.join(name).display());
                None
            }
        }
    }

    /// Keeps the code under this key, in place of what is there.
    pub(crate) fn put(&self, key: Key, code: &Code) {
        let parts = [&entry::head(code.bytes(), &key.0), code.bytes()];
        let written =
            Folder::open(&self.path).and_then(|folder| folder.write(&key.file_name(), &parts));
        match written {
            Ok(()) => self.grown.store(true, Relaxed),
            Err(error) if !self.complained.swap(true, Relaxed) => {
                tracing::warn!(
                    "cannot write to the compile cache {}: {error}",
                    self.path.display()
                );
            }
            Err(_) => {}
        }
    }

    /// Removes what is too old or too much, if something was written.
    pub(crate) fn tidy(&self) {
        if !self.grown.swap(false, Relaxed) {
            return;
        }
        let tidied = Folder::open(&self.path).and_then(|folder| folder.tidy(MOST_BYTES, UNUSED));
        if let Err(error) = tidied {
            tracing::warn!("cannot tidy the compile cache {}: {error}", self.path.display());
        }
    }
}

/// Where systemd (systemd.exec(5), `CacheDirectory=`) or the user (the XDG base directories) keeps
/// what can be made again.
fn usual_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |text: OsString| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
    let own = |path: &Path| path.join("portcell");
    // Several are separated by colons.
    let given = variable("CACHE_DIRECTORY").and_then(|folders| {
        let first = folders.to_str()?.split(':').next()?;
        absolute(first.into())
    });
    let user = || variable("XDG_CACHE_HOME").and_then(absolute);
    let home = || Some(variable("HOME").and_then(absolute)?.join(".cache"));
    given.or_else(|| user().or_else(home).as_deref().map(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_systemds_or_the_users() {
        let folder = |variables: &[(&str, &str)]| {
            usual_folder(|name| {
                variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.into())
            })
        };
        let home = ("HOME", "/home/a");
        let xdg = ("XDG_CACHE_HOME", "/x");
        assert_eq!(folder(&[]), None);
        assert_eq!(folder(&[home]), Some("/home/a/.cache/portcell".into()));
        assert_eq!(folder(&[home, xdg]), Some("/x/portcell".into()));
        assert_eq!(folder(&[home, ("XDG_CACHE_HOME", "")]), Some("/home/a/.cache/portcell".into()));
        assert_eq!(folder(&[home, xdg, ("CACHE_DIRECTORY", "/s:/t")]), Some("/s".into()));
        assert_eq!(folder(&[("HOME", "relative")]), None);
    }

    #[test]
    fn a_key_is_of_the_module_and_of_the_settings() {
        let key = Key::new("a", [1; 32]);
        assert_eq!(key, Key::new("a", [1; 32]));
        assert_ne!(key, Key::new("b", [1; 32]));
        assert_ne!(key, Key::new("a", [2; 32]));
    }
}
