//! What a key's value can be, in the words of messages, help and documentation.

use std::time::Duration;

use super::units::{display_duration, display_size};

/// The size in messages, unless it would be too much.
const EXAMPLE_SIZE: u64 = 16 * 1024 * 1024;

/// The words of `spawn`.
pub(super) const SPAWN: &[&str] = &["default", "inline"];

/// What a key takes. The checks read it, so a message always says what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1 to 64 letters, digits, `-`, `_` or `.`.
    Name,
    /// A path, with an example; relative ones are taken from the configuration's folder.
    Path(&'static str),
    /// A path or a list of them, which may be empty, with an example.
    Paths(&'static str),
    /// A command for the shell, with an example.
    Command(&'static str),
    /// An address or a list of them, at least one.
    Addresses,
    /// A number from 1 to 2^32-1, or one of these words; the first says "no number of its own".
    Count(&'static [&'static str]),
    /// A number from 1 to 2^64-1, or `"none"`.
    Amount,
    /// A number of processors, which can be a fraction, or `"none"`.
    Processors,
    /// A duration above zero, or `"none"`.
    Limit,
    /// A duration above zero and up to this one, or `"none"`.
    LimitTo(Duration),
    /// A duration above zero and up to this one: no `"none"`.
    Within(Duration),
    /// Whole seconds above zero, or `"none"`.
    Seconds,
    /// A size in bytes between two others, or one of these words.
    Size {
        /// The least, at least 1.
        min: u64,
        /// The most.
        max: u64,
        /// What says "no size of its own".
        words: &'static [&'static str],
    },
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `"off"` or one address, with examples.
    Endpoint(&'static [&'static str]),
    /// `"off"`, `"stderr"` or a path.
    Receipts,
    /// `"off"` or a folder, with an example.
    FolderOrOff(&'static str),
    /// `"auto"`, `"off"` or a path.
    Cache,
    /// Names and values of an environment.
    Env,
    /// Folders that are granted.
    Dirs,
    /// The first and the longest of growing waits.
    Backoff,
    /// What a guest may write into the log.
    Log,
    /// `"default"`, `"inline"`, a number from 1 on, or a pool.
    Spawn,
    /// `"wait"`, `"refuse"`, or a queue with its bounds.
    WhenFull,
    /// A text of so many bytes at most, which may be empty.
    Text {
        /// The most bytes.
        max: usize,
    },
    /// `"none"`, or when the kernel asks a silent peer if it is there.
    Keepalive,
    /// The IP address of a multicast group or a list of them, which may be empty.
    Groups,
    /// `"none"`, or so many bytes in so much time.
    MinRate,
    /// Octal permissions of a file as text, or `"none"`.
    Permissions,
    /// A user or group by name or number, or `"none"`.
    Owner,
    /// The name of a network interface, or `"none"`.
    Device,
    /// A version of TLS or a list of them, at least one.
    Versions,
    /// A cipher suite or a list of them, at least one.
    Ciphers,
    /// The name of an application's protocol or a list of them, which may be empty.
    Protocols,
    /// A server's name as clients of TLS ask for it, or `*.` and the rest of one.
    ServerName,
}

impl Kind {
    /// What may be written in the file, with an example: `a duration like "30s", or "none"`.
    pub fn in_file(self) -> String {
        match self {
            Self::Name => r#"a name like "echo""#.to_owned(),
            Self::Path(like) => format!(r#"a path like "{like}""#),
            Self::Paths(like) => format!(r#"a path like "{like}", or a list of them"#),
            Self::Command(like) => format!(r#"a command like "{like}""#),
            Self::Addresses => {
                r#"an address like "tcp://127.0.0.1:7000", or a list of them"#.to_owned()
            }
            Self::Count(words) => or("a number from 1 on, like 100".to_owned(), words),
            Self::Amount => r#"a number from 1 on, like 1000000000, or "none""#.to_owned(),
            Self::Processors => r#"a number from 0.001 to 1000, like 0.5, or "none""#.to_owned(),
            Self::Limit => r#"a duration like "30s", or "none""#.to_owned(),
            Self::LimitTo(most) => {
                format!(r#"a duration like "30s", up to {}, or "none""#, display_duration(most))
            }
            Self::Within(most) => {
                format!(r#"a duration like "5s", up to {}"#, display_duration(most))
            }
            Self::Seconds => r#"a duration in whole seconds like "30s", or "none""#.to_owned(),
            Self::Size { min, max, words } => {
                let like = if max < EXAMPLE_SIZE { min.max(1024) } else { EXAMPLE_SIZE };
                let [like, min, max] = [like, min, max].map(display_size);
                or(format!(r#"a size like "{like}", from {min} to {max}"#), words)
            }
            Self::Bool => "true or false".to_owned(),
            Self::Choice(words) => {
                words.iter().map(|word| format!(r#""{word}""#)).collect::<Vec<_>>().join(" or ")
            }
            Self::Endpoint(like) => {
                let like = like.iter().map(|like| format!(r#""{like}""#)).collect::<Vec<_>>();
                format!(r#""off" or an address like {}"#, like.join(" or "))
            }
            Self::Receipts => r#""off", "stderr" or a path like "./receipts.json""#.to_owned(),
            Self::FolderOrOff(like) => format!(r#""off" or a folder like "{like}""#),
            Self::Cache => r#""auto", "off" or a path like "./cache""#.to_owned(),
            Self::Env => r#"a table of strings like { GREETING = "hello" }"#.to_owned(),
            Self::Dirs => {
                r#"a list like [{ host = "www", guest = "/www", write = false }]"#.to_owned()
            }
            Self::Backoff => r#"a table like { min = "10ms", max = "1s" }"#.to_owned(),
            Self::Log => {
                r#"a table like { lines = 20, bytes = "64KiB", line = "1KiB" }"#.to_owned()
            }
            Self::Spawn => {
                let text = or("a number from 1 on, like 100".to_owned(), SPAWN);
                format!(r#"{text}, or {{ pool = "small" }}"#)
            }
            Self::WhenFull => {
                r#""wait", "refuse" or a table like { queue = 100, for = "2s" }"#.to_owned()
            }
            Self::Text { max } => {
                format!(r#"a text of at most {max} bytes like "421 too many connections\r\n""#)
            }
            Self::Keepalive => {
                r#""none" or a table like { idle = "60s", interval = "10s", count = 3 }"#.to_owned()
            }
            Self::MinRate => {
                r#""none" or a table like { bytes = "1KiB", over = "10s" }"#.to_owned()
            }
            Self::Groups => r#"an IP address like "224.0.0.251", or a list of them"#.to_owned(),
            Self::Permissions => r#"permissions like "0660", or "none""#.to_owned(),
            Self::Owner => r#"a name like "www-data" or a number, or "none""#.to_owned(),
            Self::Device => r#"the name of an interface like "eth0", or "none""#.to_owned(),
            Self::Versions => r#""1.2", "1.3" or a list of them"#.to_owned(),
            Self::Ciphers => {
                r#"a suite like "TLS_AES_256_GCM_SHA384", or a list of them"#.to_owned()
            }
            Self::Protocols => r#"a protocol like "h2", or a list of them"#.to_owned(),
            Self::ServerName => r#"a name like "a.example" or "*.a.example""#.to_owned(),
        }
    }

    /// What may be written after the flag: `a duration like 30s, or none`.
    pub fn in_flag(self) -> String {
        match self {
            Self::Addresses => "an address like tcp://127.0.0.1:7000".to_owned(),
            Self::Env => "NAME=VALUE like GREETING=hello".to_owned(),
            Self::Dirs => "HOST::GUEST like www::/www, or HOST::GUEST::rw".to_owned(),
            Self::Backoff => "MIN..MAX like 10ms..1s".to_owned(),
            Self::Log => "LINES:BYTES:LINE like 20:64KiB:1KiB".to_owned(),
            Self::Spawn => Self::Count(SPAWN).in_flag(),
            Self::WhenFull => "wait, refuse, or queue:N:DURATION like queue:100:2s".to_owned(),
            Self::Keepalive => "none, or IDLE:INTERVAL:COUNT like 60s:10s:3".to_owned(),
            Self::MinRate => "none, or BYTES:OVER like 1KiB:10s".to_owned(),
            Self::Groups => "an IP address like 224.0.0.251".to_owned(),
            Self::Paths(like) => format!("a path like {like}"),
            Self::Versions => "1.2 or 1.3".to_owned(),
            Self::Ciphers => "a suite like TLS_AES_256_GCM_SHA384".to_owned(),
            Self::Protocols => "a protocol like h2".to_owned(),
            _ => self.in_file().replace('"', ""),
        }
    }
}

fn or(text: String, words: &[&str]) -> String {
    words.iter().fold(text, |text, word| format!(r#"{text}, or "{word}""#))
}
