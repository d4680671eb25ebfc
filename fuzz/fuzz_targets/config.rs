//! The configuration: any file and any flags are a configuration or errors of one line each.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcell::Config;
use portcell::config::Errors;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(portcell_fuzz::folder);

fuzz_target!(|bytes: &[u8]| {
    let path = FOLDER.path().join("portcell.toml");
    fs::write(&path, bytes).expect("a file");
    check(&Config::read(&path));
    // The same bytes as flags: `name=value` in each line.
    if let Ok(text) = str::from_utf8(bytes) {
        let flags: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let trimmed: Vec<_> = flags.iter().map(|(name, value)| (name.trim(), *value)).collect();
        check(&Config::from_flags(Path::new("plugin.wasm"), &trimmed));
    }
});

fn check(read: &Result<Config, Errors>) {
    match read {
        Ok(config) => assert!(!config.listeners.is_empty() && !config.handlers.is_empty()),
        Err(errors) => {
            assert!(errors.iter().next().is_some(), "an error without a message");
            for error in errors {
                let message = error.to_string();
                assert!(!message.contains(char::is_control), "{message:?}");
            }
        }
    }
}
