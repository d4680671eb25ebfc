//! The configuration, as a TOML file or as the flags of `portcell run`: one table of keys
//! ([`KEYS`]), one set of checks, and the types of what passed them.
//!
//! Nothing is bound and no module is opened here; only the folders that handlers are granted are
//! looked at.

mod check;
mod compound;
mod error;
mod file;
mod flags;
mod keys;
mod kind;
pub(crate) mod nearest;
mod reader;
mod reference;
mod scalar;
mod units;
mod value;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;

pub use error::{ConfigError, Errors, Origin};
pub use keys::{Change, DEFAULT_LISTEN, Flag, Home, KEYS, Key};
pub use kind::Kind;
pub use reference::reference;
pub use units::{UnitError, display_duration, display_size, parse_duration, parse_size};

/// A page of wasm memory, in bytes: the least that a handler's `memory` can be.
pub const WASM_PAGE: u64 = 64 * 1024;

/// The pool's slot for the memory of one instance, in bytes: the most that a handler's `memory`
/// can be.
pub const MEMORY_SLOT: u64 = 64 * 1024 * 1024;

/// The largest configuration file that is read, in bytes; without it a wrong path (`/dev/zero`)
/// would fill the memory.
pub const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// A configuration that can be served: every value was checked, and names that refer to each
/// other do.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What bounds the whole server.
    pub server: ServerConfig,
    /// At least one, in the order of the file; their names differ.
    pub listeners: Vec<Arc<ListenerConfig>>,
    /// At least one, in the order of the file; their names differ and each has a listener.
    pub handlers: Vec<Arc<HandlerConfig>>,
}

impl Config {
    /// Reads and checks a TOML file. Relative paths in it are relative to its folder.
    ///
    /// The errors are all that the file has, in the order of its lines; text that is not TOML is
    /// one error, because what follows it cannot be judged.
    pub fn read(path: &Path) -> Result<Self, Errors> {
        file::read(path)
    }

    /// Makes the configuration of `portcell run`: one handler and one listener, both named after
    /// the file stem of `plugin`. A character that a name cannot have becomes `-`.
    ///
    /// `flags` are pairs of a flag's long name without dashes (`idle-timeout`, `listen`; the key's
    /// name, `idle_timeout`, is the same) and the text of its value, in the order given. Without
    /// `listen` the listener is at [`DEFAULT_LISTEN`]. Relative paths stay as they are.
    pub fn from_flags(plugin: &Path, flags: &[(String, String)]) -> Result<Self, Errors> {
        flags::read(plugin, flags)
    }
}

/// `[server]`: what bounds the whole server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// Connections over all listeners; `None` is as many as the machine allows.
    pub max_connections: Option<NonZeroU32>,
    /// Handshakes that may be under way at once.
    pub max_handshakes: NonZeroU32,
    /// How long a drain waits for connections to end; `None` waits for ever.
    pub drain_timeout: Option<Duration>,
    /// While draining, connections silent for this long are ended; `None` leaves them.
    pub drain_idle: Option<Duration>,
    /// Where the record of each ended connection goes.
    pub receipts: Receipts,
    /// The largest module file that is loaded, in bytes; never 0.
    pub max_module_size: u64,
}

/// Where receipts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipts {
    /// None are written.
    Off,
    /// To stderr, one JSON object a line.
    Stderr,
    /// Appended to this file, one JSON object a line.
    File(PathBuf),
}

/// `[[listener]]`: where connections come in, and what bounds the peer.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerConfig {
    /// 1 to 64 letters, digits, `-`, `_` or `.`; no other listener has it.
    pub name: String,
    /// At least one. No address is bound twice in a configuration, except with port 0.
    pub bind: Vec<Address>,
    /// The name of a handler of this configuration.
    pub handler: String,
    /// How many connections the kernel queues before they are accepted.
    pub backlog: NonZeroU32,
    /// Connections of this listener at once; `None` leaves it to the server's bound.
    pub max_connections: Option<NonZeroU32>,
    /// How many handlers run at once: `None` is a task per connection; 1 is `"inline"`.
    pub spawn: Option<NonZeroU32>,
    /// How long to wait after an accept that failed.
    pub accept_backoff: Backoff,
    /// Connections that are accepted in one turn before others get theirs.
    pub max_accept: NonZeroU32,
    /// Whether small writes are sent at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// A connection on which nothing moved for this long is ended; `None` never.
    pub idle_timeout: Option<Duration>,
    /// A peer that read nothing for this long while bytes waited is cut; `None` never.
    pub write_timeout: Option<Duration>,
    /// Where `bind` was written, for errors when it is bound.
    pub origin: Origin,
}

/// The first and the longest wait after accepts that fail; each wait is twice the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Above zero.
    pub min: Duration,
    /// At least `min`.
    pub max: Duration,
}

/// `[handler.NAME]`: a plugin under a name, with its limits and grants.
#[derive(Clone, Debug, PartialEq)]
pub struct HandlerConfig {
    /// 1 to 64 letters, digits, `-`, `_` or `.`; no other handler has it.
    pub name: String,
    /// The plugin's file. Whether it is there and loads is seen when it is loaded.
    pub module: PathBuf,
    /// Who owns it; a name like the handler's.
    pub tenant: String,
    /// All memories and tables of an instance together, in bytes: from [`WASM_PAGE`] to
    /// [`MEMORY_SLOT`].
    pub memory: u64,
    /// CPU time since bytes last moved on the connection; `None` is unbounded.
    pub cpu: Option<Duration>,
    /// CPU time of an instance in all; `None` is unbounded.
    pub cpu_total: Option<Duration>,
    /// How long an instance may live; `None` is unbounded.
    pub lifetime: Option<Duration>,
    /// Environment of the guest, in the order written: names without `=`, no NUL, no name twice.
    pub env: Vec<(String, String)>,
    /// Folders that the guest may open; no guest path twice.
    pub dirs: Vec<Dir>,
    /// What a guest that writes to stdout is told of it.
    pub stdout: Stdout,
    /// Where `module` was written, for errors when it is loaded.
    pub origin: Origin,
}

/// A folder of the host that a guest may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dir {
    /// The host's folder; it was there when the configuration was read.
    pub host: PathBuf,
    /// Its absolute path in the guest, like `/www`.
    pub guest: String,
    /// Whether the guest may change it.
    pub write: bool,
}

/// What an inetd guest is told its stdout is, which decides when C's stdio sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// A terminal: stdio sends at each newline, so interactive programs answer.
    Terminal,
    /// A pipe: stdio sends when its buffer is full or flushed.
    Full,
}
