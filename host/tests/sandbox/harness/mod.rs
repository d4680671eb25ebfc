//! Runs a guest on a real socket, with the test as its peer: no server, no listener, and no wasm
//! toolchain. All tests share one engine, as the handlers of a server do.

mod cell;
mod flow;
mod log;
mod peer;
mod script;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use portcell::admission::Opening;
use portcell::config::UdpMode;
use portcell::engine::Engine;
use portcell::handler::{Handler, LoadError, Loader, Loading};
use portcell::route::Route;
use portcell::{Compiler, Config};
use tempfile::TempDir;

pub(crate) use self::cell::Cell;
pub(crate) use self::flow::{FIRST, Udp};
pub(crate) use self::log::Log;
use self::peer::Transport;
pub(crate) use self::script::import_text;

/// Connections that the shared engine has room for.
const POOL: u32 = 64;

/// The loader that all tests share.
pub(crate) fn loader() -> &'static Loader {
    static LOADER: OnceLock<Loader> = OnceLock::new();
    LOADER.get_or_init(|| Loader::new(Engine::new(POOL).unwrap(), Compiler::InProcess).unwrap())
}

/// A guest, how it is configured, and what it is reached over.
#[derive(Clone)]
pub(crate) struct Guest {
    module: Vec<u8>,
    file: String,
    flags: Vec<(String, String)>,
    flow_idle_timeout: Option<Duration>,
    transport: Transport,
}

impl Guest {
    /// The guest in `tests/guests/NAME.wat`.
    pub(crate) fn wat(name: &str) -> Self {
        let guests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/guests");
        let text = fs::read_to_string(guests.join(name).with_extension("wat"));
        Self::text(&text.unwrap_or_else(|error| panic!("{name}.wat: {error}")))
    }

    /// A guest as WebAssembly text.
    pub(crate) fn text(text: &str) -> Self {
        Self::bytes(wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
    }

    /// A guest with the entry `handle` that makes these calls, one a line, and tells each result.
    ///
    /// A line is a function of the host and its arguments, `read 0 100 10`, or one of:
    /// `text AT LENGTH` tells memory as text, `tell AT`, `tell16 AT` and `tell64 AT` as a number;
    /// `store AT NUMBER`; `grow PAGES` tells what `memory.grow` gave; `return CODE`; `trap`.
    /// As an argument `last` is the result before, and `@AT` what is in memory. The first 64 bytes of memory are the script's.
    pub(crate) fn calls(lines: &[&str]) -> Self {
        Self::text(&script::module("handle", lines, &[], 1))
    }

    /// As [`Guest::calls`], with bytes put into the memory first.
    pub(crate) fn calls_with(data: &[(u32, &[u8])], lines: &[&str]) -> Self {
        Self::text(&script::module("handle", lines, data, 1))
    }

    /// As [`Guest::calls_with`], with this many pages of memory.
    pub(crate) fn calls_in(pages: u32, data: &[(u32, &[u8])], lines: &[&str]) -> Self {
        Self::text(&script::module("handle", lines, data, pages))
    }

    /// As [`Guest::calls_with`], as a WASI command.
    pub(crate) fn command(data: &[(u32, &[u8])], lines: &[&str]) -> Self {
        Self::text(&script::module("_start", lines, data, 1))
    }

    /// What is in the file of the guest, wasm or not.
    pub(crate) fn bytes(module: Vec<u8>) -> Self {
        let (file, flags) = ("guest.wasm".to_owned(), Vec::new());
        Self { module, file, flags, flow_idle_timeout: None, transport: Transport::Tcp }
    }

    /// Sets a flag of `portcell run`.
    pub(crate) fn with(mut self, flag: &str, value: &str) -> Self {
        self.flags.push((flag.into(), value.into()));
        self
    }

    /// Reached over IPv6.
    pub(crate) fn over_ipv6(mut self) -> Self {
        self.transport = Transport::Tcp6;
        self
    }

    /// Reached over a Unix socket.
    pub(crate) fn over_unix(mut self) -> Self {
        self.transport = Transport::Unix;
        self
    }

    /// Reached over UDP, by a flow that the datagram [`FIRST`] has begun.
    pub(crate) fn over_udp(self) -> Self {
        self.over_udp_as(Udp { mode: UdpMode::Flow, reply_factor: None })
    }

    /// As [`Guest::over_udp`], served so.
    pub(crate) fn over_udp_as(mut self, udp: Udp) -> Self {
        self.transport = Transport::Udp(udp);
        self
    }

    /// Over UDP, how long nothing may move.
    pub(crate) fn flow_idle_timeout(mut self, timeout: Duration) -> Self {
        self.flow_idle_timeout = Some(timeout);
        self
    }

    /// Reached over TCP with the smallest buffers that the kernel gives, so that writes wait.
    pub(crate) fn over_small_buffers(mut self) -> Self {
        self.transport = Transport::SmallBuffers;
        self
    }

    /// Loads it, with the shared engine.
    pub(crate) fn load(&self) -> Result<Route, LoadError> {
        self.load_by(loader())
    }

    /// The message of the error that loading it gives.
    pub(crate) fn refused(&self) -> String {
        match self.load() {
            Ok(route) => panic!("{:?} was loaded", route.handler),
            Err(error) => error.to_string(),
        }
    }

    /// Loads it, with an engine of the test's own.
    pub(crate) fn load_by(&self, loader: &Loader) -> Result<Route, LoadError> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(&self.file);
        fs::write(&path, &self.module).unwrap();
        // What was compiled once need not be again.
        let cache = ("cache", concat!(env!("CARGO_TARGET_TMPDIR"), "/portcell"));
        let flags = self.flags.iter().map(|(name, text)| (&**name, &**text));
        let flags: Vec<_> = flags.chain([cache]).collect();
        let config = Config::from_flags(&path, &flags).unwrap();
        let mut listener = (*config.listeners[0]).clone();
        listener.flow_idle_timeout = self.flow_idle_timeout.or(listener.flow_idle_timeout);
        let handler = loader.load(&config.handlers[0], 1, &Loading::of(&config.server))?;
        let handler: Arc<Handler> = Arc::new(handler);
        let opening = match self.transport {
            Transport::Udp(_) => Opening::Datagram,
            _ => Opening::Plaintext,
        };
        Ok(Route::new(&config.server, &listener, handler, opening, Arc::default()))
    }

    /// Loads it by `loader` and connects to it.
    pub(crate) async fn serve_by(self, loader: &Loader) -> Cell {
        let route = self.load_by(loader).unwrap_or_else(|error| panic!("{error}"));
        Cell::start(&Arc::new(route), self.transport).await
    }

    /// Connects to it.
    pub(crate) async fn serve(self) -> Cell {
        let route = self.load().unwrap_or_else(|error| panic!("{error}"));
        Cell::start(&Arc::new(route), self.transport).await
    }
}
