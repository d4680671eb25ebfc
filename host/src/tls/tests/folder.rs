//! A folder with the files of a profile, and a configuration of them.

use std::fs;
use std::path::PathBuf;

use super::authority::Leaf;
use crate::config::{Config, TlsConfig};
use crate::tls::{LoadErrors, Profile};

/// Files of a profile.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With `cert.pem` and `key.pem`.
    pub(super) fn with(leaf: &Leaf) -> Self {
        let folder = Self::new();
        folder.write_leaf("", leaf);
        folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Writes `cert.pem` and `key.pem`, with `prefix` in front of their names.
    pub(super) fn write_leaf(&self, prefix: &str, leaf: &Leaf) {
        self.write(&format!("{prefix}cert.pem"), leaf.pem());
        self.write(&format!("{prefix}key.pem"), leaf.key_pem());
    }

    /// The configuration whose `[listener.tls]`, which begins in line 6, has these lines.
    pub(super) fn config(&self, tls: &str) -> TlsConfig {
        self.write(
            "portcell.toml",
            format!(
                "[[listener]]\nname = \"echo\"\nbind = \"unix:x\"\nhandler = \"echo\"\n\n\
                 [listener.tls]\n{tls}\n[handler.echo]\nmodule = \"echo.wasm\"\n\
                 [handler.other]\nmodule = \"other.wasm\"\n[[listener]]\nname = \"other\"\n\
                 bind = \"unix:y\"\nhandler = \"other\"\n"
            ),
        );
        let config = Config::read(&self.path("portcell.toml")).unwrap();
        config.listeners[0].tls.clone().unwrap()
    }

    /// That of `cert.pem` and `key.pem`, with these lines more.
    pub(super) fn usual(&self, more: &str) -> TlsConfig {
        self.config(&format!("{USUAL}{more}"))
    }

    pub(super) fn load(&self, tls: &str) -> Profile {
        self.loaded(Profile::load(&self.config(tls), None))
    }

    pub(super) fn load_usual(&self, more: &str) -> Profile {
        self.load(&format!("{USUAL}{more}"))
    }

    /// A profile that could be loaded.
    pub(super) fn loaded(&self, result: Result<Profile, LoadErrors>) -> Profile {
        result.map_err(|errors| self.shown(&errors)).unwrap()
    }

    /// What is wrong with a profile, without the folder's name.
    pub(super) fn refused(&self, tls: &str) -> String {
        self.errors(Profile::load(&self.config(tls), None))
    }

    pub(super) fn errors(&self, result: Result<Profile, LoadErrors>) -> String {
        match result {
            Ok(_) => "nothing".to_owned(),
            Err(errors) => self.shown(&errors),
        }
    }

    pub(super) fn warnings(&self, profile: &Profile) -> Vec<String> {
        profile.warnings().iter().map(|warning| self.shown(warning)).collect()
    }

    fn shown(&self, text: &dyn std::fmt::Display) -> String {
        text.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

const USUAL: &str = "certificate = \"cert.pem\"\nkey = \"key.pem\"\n";
