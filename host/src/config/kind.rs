//! What a key's value can be, in the words of messages, help and documentation.

use super::units::display_size;

/// What a key takes. The checks read it, so a message always says what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1 to 64 letters, digits, `-`, `_` or `.`.
    Name,
    /// A path; relative ones are taken from the configuration's folder.
    Path,
    /// An address or a list of them, at least one.
    Addresses,
    /// A number from 1 to 2^32-1, or one of these words; the first says "no number of its own".
    Count(&'static [&'static str]),
    /// A duration above zero, or `"none"`.
    Limit,
    /// A size in bytes between two others.
    Size {
        /// The least, at least 1.
        min: u64,
        /// The most.
        max: u64,
    },
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `"off"`, `"stderr"` or a path.
    Receipts,
    /// Names and values of an environment.
    Env,
    /// Folders that are granted.
    Dirs,
    /// The first and the longest of growing waits.
    Backoff,
}

impl Kind {
    /// What may be written in the file, with an example: `a duration like "30s", or "none"`.
    pub fn in_file(self) -> String {
        match self {
            Self::Name => r#"a name like "echo""#.to_owned(),
            Self::Path => r#"a path like "echo.wasm""#.to_owned(),
            Self::Addresses => {
                r#"an address like "tcp://127.0.0.1:7000", or a list of them"#.to_owned()
            }
            Self::Count(words) => {
                words.iter().fold("a number from 1 on, like 100".to_owned(), |text, word| {
                    format!(r#"{text}, or "{word}""#)
                })
            }
            Self::Limit => r#"a duration like "30s", or "none""#.to_owned(),
            Self::Size { min, max } => {
                let (min, max) = (display_size(min), display_size(max));
                format!(r#"a size like "16MiB", from {min} to {max}"#)
            }
            Self::Bool => "true or false".to_owned(),
            Self::Choice(words) => {
                words.iter().map(|word| format!(r#""{word}""#)).collect::<Vec<_>>().join(" or ")
            }
            Self::Receipts => r#""off", "stderr" or a path like "./receipts.json""#.to_owned(),
            Self::Env => r#"a table of strings like { GREETING = "hello" }"#.to_owned(),
            Self::Dirs => {
                r#"a list like [{ host = "www", guest = "/www", write = false }]"#.to_owned()
            }
            Self::Backoff => r#"a table like { min = "10ms", max = "1s" }"#.to_owned(),
        }
    }

    /// What may be written after the flag: `a duration like 30s, or none`.
    pub fn in_flag(self) -> String {
        match self {
            Self::Addresses => "an address like tcp://127.0.0.1:7000".to_owned(),
            Self::Env => "NAME=VALUE like GREETING=hello".to_owned(),
            Self::Dirs => "HOST::GUEST like www::/www, or HOST::GUEST::rw".to_owned(),
            Self::Backoff => "MIN..MAX like 10ms..1s".to_owned(),
            _ => self.in_file().replace('"', ""),
        }
    }
}
