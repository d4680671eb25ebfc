//! What is wrong with a configuration, and where it was written.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value was written.
///
/// All origins are equal to each other: a value that moved to another line is the same value.
#[derive(Clone, Debug)]
pub enum Origin {
    /// In a file, at a line counted from 1; no line where the whole file is meant.
    File {
        /// The file's path as it was given.
        path: Arc<Path>,
        /// The line, from 1.
        line: Option<usize>,
    },
    /// A flag, by its long name without dashes.
    Flag(String),
    /// The plugin named on the command line.
    Plugin(PathBuf),
    /// Nowhere: the key's default.
    Default,
}

impl Origin {
    fn line(&self) -> usize {
        match self {
            Self::File { line, .. } => line.unwrap_or(0),
            _ => 0,
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Plugin(path) => write!(f, "{}", path.display()),
            Self::Default => write!(f, "default"),
        }
    }
}

/// One thing that is wrong; displayed as one line, `portcell.toml:12: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", one_line(&format!("{origin}: {message}")))]
pub struct ConfigError {
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong and, where it helps, what to write instead.
    pub message: String,
}

impl ConfigError {
    /// An error at `origin`.
    pub fn new(origin: Origin, message: impl Into<String>) -> Self {
        Self { origin, message: message.into() }
    }
}

/// Everything that is wrong with a configuration: at least one error; those of a file are in the
/// order of its lines. Displayed as one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<ConfigError>);

impl Errors {
    /// The errors, first to last; never empty.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// `value`, if nothing is wrong.
    pub(super) fn or<T>(mut errors: Vec<ConfigError>, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            _ => {
                errors.sort_by_key(|error| error.origin.line());
                debug_assert!(!errors.is_empty(), "a configuration failed without an error");
                Err(Self(errors))
            }
        }
    }
}

impl From<ConfigError> for Errors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Escapes control characters, which names and values of a file can hold.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
