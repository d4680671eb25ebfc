//! The name of a project: that of its folder.

use std::path::Path;

use anyhow::{Error, bail};

/// A name has at most so many characters, as those of handlers in a configuration.
const MAX_NAME: usize = 64;

/// A letter, then letters, digits, `-` and `_`: a name that is one for every compiler and in TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// The last part of the path.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else {
            bail!(
                "{}: the last part of the path is the project's name, and has to be one",
                path.display()
            );
        };
        let is_one_of_it = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_one_of_it) {
            bail!("{name}: a project's name is a letter, then letters, digits, - and _");
        }
        if name.len() > MAX_NAME {
            bail!(
                "{name}: a project's name has {MAX_NAME} characters at most, this one {}",
                name.len()
            );
        }
        Ok(Self(name.into_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as Rust writes that of a library.
    pub(super) fn with_underscores(&self) -> String {
        self.0.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Result<String, String> {
        let name = Name::of(Path::new(path)).map_err(|error| error.to_string())?;
        Ok(name.as_str().to_owned())
    }

    #[test]
    fn the_last_part_of_a_path_is_the_name() {
        for path in ["chat-2_b", "services/chat-2_b", "/srv/ä b/chat-2_b/", "../chat-2_b/."] {
            assert_eq!(name(path).unwrap(), "chat-2_b", "{path}");
        }
    }

    #[test]
    fn a_path_without_a_last_part_is_refused() {
        for path in [".", "..", "/", "chat/..", ""] {
            assert!(name(path).unwrap_err().contains("the last part of the path"), "{path}");
        }
    }

    #[test]
    fn a_name_is_a_letter_and_then_letters_digits_dashes_and_underscores() {
        for path in ["2chat", "-chat", "_chat", "my chat", "chät", "chat.wasm", "a\"b", "c$x"] {
            let error = name(path).unwrap_err();
            assert!(error.contains("a letter, then letters, digits, - and _"), "{error}");
        }
    }

    #[test]
    fn a_name_has_at_most_64_characters() {
        assert!(name(&"x".repeat(64)).is_ok());
        assert!(name(&"x".repeat(65)).unwrap_err().ends_with("64 characters at most, this one 65"));
    }
}
