//! The configuration, as a TOML file or as the flags of `portcell run`: one table of keys
//! ([`KEYS`]), one set of checks, and the types of what passed them.
//!
//! Nothing is bound and no module is opened here; only the folders that handlers are granted are
//! looked at.

mod check;
mod cipher;
mod compound;
mod difference;
mod environment;
mod error;
mod file;
mod flags;
mod keys;
mod kind;
mod limits;
pub(crate) mod nearest;
mod reader;
mod reference;
mod scalar;
mod server_name;
mod tls;
mod units;
mod value;

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;

pub use cipher::{CIPHERS, Cipher};
pub use difference::{Difference, What, difference};
pub use environment::Environment;
pub use error::{ConfigError, Errors, Origin};
pub use keys::{Change, DEFAULT_LISTEN, DefaultValue, Flag, Home, KEYS, Key};
pub use kind::Kind;
pub use limits::{LogBounds, MemoryBound, Meter, MinRate};
pub use reference::reference;
pub use tls::{
    CertificateConfig, CertificateFiles, ClientAuth, ClientTrust, CrlScope, NameConfig, NamedFile,
    TlsConfig, TlsStart, Truncation, Version, Versions,
};
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
    /// In the order of the file; their names differ and each has a listener.
    pub pools: Vec<PoolConfig>,
    /// In the order of the file; their names differ and each has a handler. Handlers can have
    /// tenants that are not here.
    pub tenants: Vec<TenantConfig>,
}

impl Config {
    /// Reads and checks a TOML file. Relative paths in it are relative to its folder.
    ///
    /// The errors are all that the file has, in the order of its lines; text that is not TOML is
    /// one error, because what follows it cannot be judged.
    pub fn read(path: &Path) -> Result<Self, Errors> {
        file::read(path)
    }

    /// Reads the text of a file, for [`Config::from_text`]; not more than [`MAX_FILE_SIZE`].
    pub fn text_of(path: &Path) -> Result<Vec<u8>, Errors> {
        file::text(path)
    }

    /// Checks text as [`Config::read`] does that of a file. `path` is what errors call it, and
    /// relative paths in it are relative to `folder`.
    pub fn from_text(text: &[u8], path: &Path, folder: &Path) -> Result<Self, Errors> {
        file::read_text(text, path, folder)
    }

    /// Reads only where the server of a TOML file is steered; whatever else is wrong with the file
    /// does not matter.
    pub fn read_admin(path: &Path) -> Result<Option<AdminConfig>, Errors> {
        file::read_admin(path)
    }

    /// Makes the configuration of `portcell run`: one handler and one listener, both named after
    /// the file stem of `plugin`. A character that a name cannot have becomes `-`.
    ///
    /// `flags` are pairs of a flag's long name without dashes (`idle-timeout`, `listen`; the key's
    /// name, `idle_timeout`, is the same) and the text of its value, in the order given. Without
    /// `listen` the listener is at [`DEFAULT_LISTEN`]. Relative paths stay as they are.
    ///
    /// ```
    /// # use std::path::Path;
    /// # use portcell::config::Config;
    /// let plugin = Path::new("plugins/echo.wasm");
    /// let config = Config::from_flags(plugin, &[("listen", "127.0.0.1:0")])?;
    /// # Ok::<_, portcell::config::Errors>(())
    /// ```
    pub fn from_flags(plugin: &Path, flags: &[(&str, &str)]) -> Result<Self, Errors> {
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
    /// Flows over all UDP listeners, beside the connections.
    pub max_flows: NonZeroU32,
    /// How long a drain waits for connections to end; `None` waits for ever.
    pub drain_timeout: Option<Duration>,
    /// While draining, connections silent for this long are ended; `None` leaves them.
    pub drain_idle: Option<Duration>,
    /// Where the record of each ended connection goes.
    pub receipts: Receipts,
    /// Who gets one.
    pub receipts_for: ReceiptsFor,
    /// The folder for coredumps of guests that trapped; `None` writes none.
    pub coredumps: Option<PathBuf>,
    /// Where it is seen and steered, if anywhere.
    pub admin: Option<AdminConfig>,
    /// Where its metrics can be read by everybody, if anywhere: a TCP address.
    pub metrics: Option<Address>,
    /// The largest module file that is loaded, in bytes; never 0.
    pub max_module_size: u64,
    /// How long a module may take to compile; at most an hour.
    pub compile_timeout: Duration,
    /// Address space of the compiler of a module, in bytes; at least 256 MiB.
    pub compile_memory: u64,
    /// Where compiled modules are kept.
    pub cache: CacheConfig,
    /// All memories and tables of all instances together.
    pub max_memory: MemoryBound,
    /// What a guest may use of its stack, in bytes.
    pub stack: u32,
    /// How the work of guests is measured.
    pub meter: Meter,
    /// Whether instances share their module's data until they write to it.
    pub share_data: bool,
}

/// Where compiled modules are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheConfig {
    /// In a folder of systemd's or the user's, if there is one.
    Auto,
    /// Nowhere: each load compiles.
    Off,
    /// In this folder, which is made if it is not there.
    Folder(PathBuf),
}

/// Where a server is seen and steered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// A Unix socket with a file, or a TCP address.
    pub address: Address,
    /// The file with the token that is to be shown: there is one at a TCP address, and none at a
    /// Unix socket.
    pub token: Option<PathBuf>,
    /// Whether somebody has asked for it: then a server that cannot have it does not start. The
    /// default is done without where its place does not allow it.
    pub is_written: bool,
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

/// Who gets a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptsFor {
    /// Clients that came to a handler.
    Connections,
    /// Clients that were turned away, too, and those whose handshake failed.
    All,
}

/// `[pool.NAME]`: a number of places that listeners share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// 1 to 64 letters, digits, `-`, `_` or `.`; no other pool has it.
    pub name: String,
    /// Handlers that run at once, over all the listeners that spawn into it.
    pub size: NonZeroU32,
}

/// `[tenant.NAME]`: what bounds all handlers of one owner together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantConfig {
    /// 1 to 64 letters, digits, `-`, `_` or `.`; no other tenant has it.
    pub name: String,
    /// Connections and flows at once; `None` is no bound.
    pub max_connections: Option<NonZeroU32>,
    /// All memories and tables of all instances together, in bytes; `None` is no bound.
    pub memory: Option<u64>,
    /// CPU time of all instances together, in microseconds a second; `None` is no bound.
    pub cpu: Option<NonZeroU32>,
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
    /// How its sockets are made.
    pub socket: SocketOptions,
    /// What becomes of datagrams; it matters to UDP addresses only.
    pub udp: UdpConfig,
    /// How its streams are encrypted; `None` if they are not. With it no address is UDP, as far as
    /// that can be seen in it.
    pub tls: Option<TlsConfig>,
    /// How long a handshake may take; above zero. It matters to listeners with TLS only.
    pub handshake_timeout: Duration,
    /// Connections of this listener at once; `None` leaves it to the server's bound.
    pub max_connections: Option<NonZeroU32>,
    /// How many handlers run at once.
    pub spawn: Spawn,
    /// What happens to a client for whom there is no place.
    pub when_full: WhenFull,
    /// What a client that is turned away is sent first; empty for nothing.
    pub farewell: String,
    /// How long to wait after an accept that failed.
    pub accept_backoff: Backoff,
    /// Connections that are accepted in one turn before others get theirs.
    pub max_accept: NonZeroU32,
    /// A connection on which nothing moved for this long is ended; `None` never.
    pub idle_timeout: Option<Duration>,
    /// A flow on which nothing moved for this long is ended; `None` never.
    pub flow_idle_timeout: Option<Duration>,
    /// A peer that read nothing for this long while bytes waited is cut; `None` never.
    pub write_timeout: Option<Duration>,
    /// Bytes that a guest may read from one connection; `None` is unbounded.
    pub max_bytes_in: Option<u64>,
    /// Bytes that a guest may write to one connection; `None` is unbounded.
    pub max_bytes_out: Option<u64>,
    /// How fast the peers of streams have to be; `None` for no matter how.
    pub min_rate: Option<MinRate>,
    /// Where `bind` was written, for errors when it is bound.
    pub origin: Origin,
}

impl ListenerConfig {
    /// A listener at `address` with every key at its default and no handler, for sockets that serve
    /// no connections.
    pub(crate) fn usual(name: &str, address: &Address) -> Self {
        check::usual_listener(name, address)
    }

    /// The names of the handlers that its connections may get; one may be there twice.
    pub fn handlers(&self) -> impl Iterator<Item = &str> {
        let named = self.tls.iter().flat_map(|tls| &tls.names);
        std::iter::once(&*self.handler).chain(named.filter_map(|name| name.handler.as_deref()))
    }
}

/// How the sockets of a listener are made. Options that a kind of address does not have are not
/// set on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own that the kernel has"
)]
pub struct SocketOptions {
    /// How many connections the kernel queues before they are accepted (listen(2)).
    pub backlog: NonZeroU32,
    /// Whether other sockets, of this or another process of the same user, may have the same
    /// port, and the kernel deals clients out among them (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Whether IPv6 sockets on every interface take no IPv4 clients (`IPV6_V6ONLY`). Those of one
    /// address never do.
    pub v6_only: bool,
    /// Whether small writes are sent at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// Whether and when the kernel asks a silent peer if it is there (`SO_KEEPALIVE`).
    pub keepalive: Option<Keepalive>,
    /// How long sent bytes may be unacknowledged before the kernel gives the connection up
    /// (`TCP_USER_TIMEOUT`); `None` leaves it to the kernel. Whole milliseconds.
    pub user_timeout: Option<Duration>,
    /// The kernel's buffer for what comes in, in bytes (`SO_RCVBUF`); `None` leaves it to the
    /// kernel.
    pub receive_buffer: Option<NonZeroU32>,
    /// The kernel's buffer for what goes out, in bytes (`SO_SNDBUF`); `None` leaves it to the
    /// kernel.
    pub send_buffer: Option<NonZeroU32>,
    /// A client is accepted when its first bytes are there, or after this long
    /// (`TCP_DEFER_ACCEPT`); `None` at once. Whole seconds.
    pub defer_accept: Option<Duration>,
    /// Whether an address may be bound that the machine does not have yet (`IP_FREEBIND`).
    pub ip_freebind: bool,
    /// The mark of its packets for routing and filters (`SO_MARK`).
    pub mark: Option<NonZeroU32>,
    /// The interface that it is bound to (`SO_BINDTODEVICE`).
    pub device: Option<String>,
    /// The permission bits of the file of a Unix socket; `None` leaves them to the umask.
    pub unix_mode: Option<u32>,
    /// The owner of the file of a Unix socket, a name or a number; `None` leaves it.
    pub unix_owner: Option<String>,
    /// The group of the file of a Unix socket, a name or a number; `None` leaves it.
    pub unix_group: Option<String>,
}

/// When the kernel asks a silent peer if it is there (tcp(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first time (`TCP_KEEPIDLE`). Whole seconds, at least 1.
    pub idle: Duration,
    /// The time between two (`TCP_KEEPINTVL`). Whole seconds, at least 1.
    pub interval: Duration,
    /// How often it asks before it gives the connection up (`TCP_KEEPCNT`).
    pub count: NonZeroU32,
}

/// How many handlers of a listener run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spawn {
    /// One for each connection, as many as the other bounds allow.
    PerConnection,
    /// This many; 1 is `"inline"`.
    AtMost(NonZeroU32),
    /// As many as there are places in this pool, which other listeners may share.
    Pool(String),
}

/// What happens to a client for whom there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It stays in the kernel's backlog.
    Wait,
    /// It is accepted and turned away.
    Refuse,
    /// It is accepted and waits here for a place.
    Queue {
        /// Clients that wait; more are turned away.
        most: NonZeroU32,
        /// How long one waits before it is turned away; above zero.
        wait: Duration,
    },
}

/// What becomes of datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    /// What an instance serves.
    pub mode: UdpMode,
    /// The longest datagram that is taken whole, in bytes, 1 to 65,527; the rest of a longer one
    /// is cut off and counted.
    pub max_datagram: u32,
    /// Flows of this listener at once; `None` leaves it to the server's bound.
    pub max_flows: Option<NonZeroU32>,
    /// Datagrams that wait for one flow's guest; more are dropped and counted.
    pub flow_queue: NonZeroU32,
    /// How many bytes a peer may be sent for each that came from it; `None` is no bound.
    pub max_reply_factor: Option<NonZeroU32>,
    /// Groups that are joined, each on every socket that takes its kind of address.
    pub multicast: Vec<std::net::IpAddr>,
}

/// What an instance serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpMode {
    /// The datagrams of one peer.
    Flow,
    /// One datagram.
    Datagram,
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
    /// What makes it, for `sh -c` in the configuration's folder: for whoever develops the plugin,
    /// no server runs it.
    pub build: Option<String>,
    /// Who owns it; a name like the handler's.
    pub tenant: String,
    /// All memories and tables of an instance together, in bytes: from [`WASM_PAGE`] to
    /// [`MEMORY_SLOT`].
    pub memory: u64,
    /// What an instance may execute in all, in units of fuel; `None` is unbounded. It needs
    /// [`Meter::Fuel`].
    pub fuel: Option<NonZeroU64>,
    /// CPU time since bytes last moved on the connection; `None` is unbounded.
    pub cpu: Option<Duration>,
    /// CPU time of an instance in all; `None` is unbounded.
    pub cpu_total: Option<Duration>,
    /// How long an instance may live; `None` is unbounded.
    pub lifetime: Option<Duration>,
    /// How long a guest that computes may hold a worker thread; above zero.
    pub slice: Duration,
    /// Host calls a second; `None` is unbounded.
    pub max_host_calls: Option<NonZeroU32>,
    /// What the guest may write into the log.
    pub log: LogBounds,
    /// Environment of the guest.
    pub env: Environment,
    /// Folders that the guest may open; no guest path twice.
    pub dirs: Vec<Dir>,
    /// What a guest that writes to stdout is told of it.
    pub stdout: Stdout,
    /// What a guest with `_start` reads once a drain has begun.
    pub drain_input: DrainInput,
    /// Whether the module's file is looked at, and loaded again when it has changed.
    pub watch: bool,
    /// Whether its modules are tried before they serve.
    pub trial: bool,
    /// How long connections may go on with a version that is out of service before they are asked
    /// to finish; `None` leaves them.
    pub retire_after: Option<Duration>,
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

/// What an inetd guest, which cannot ask for the drain, reads once it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainInput {
    /// What the peer sends, as before.
    Open,
    /// What has arrived already, then the end of input.
    End,
}
