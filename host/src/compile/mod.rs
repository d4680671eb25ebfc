//! From a module to machine code, within bounds: in this process, or in one of its own that a
//! module can use up, hold or crash without anybody noticing. What is compiled is not seen here.

mod child;
mod code;
mod order;
mod process;
mod segments;
mod stop;
mod tables;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmtime::Engine as WasmEngine;

use crate::config::{ServerConfig, display_duration, display_size};
use crate::engine::{self, one_line};

use self::order::Order;

pub use self::child::compile_if_asked;
pub(crate) use self::code::Code;
pub(crate) use self::stop::Stop;

/// Modules that are compiled at once, and threads that each has for that, at most: each uses every
/// processor while it can, and more would mostly cost memory.
const AT_ONCE: usize = 4;
const THREADS: usize = 8;

/// Where modules are compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compiler {
    /// In this process, without bounds on time and memory: for modules that are trusted, and for
    /// programs that cannot be started as a compiler.
    #[default]
    InProcess,
    /// Each in a new process of this program, by its absolute path, within `server.compile_timeout` and
    /// `server.compile_memory`. The program has to call [`compile_if_asked`] first of all; where
    /// it does not, or is another version of portcell, no module can be loaded.
    Program(PathBuf),
}

/// What the compilation of one module may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Wall time from the start of the process to its end.
    pub(crate) timeout: Duration,
    /// Address space of the process, in bytes.
    pub(crate) memory: u64,
}

/// A module cannot be compiled. The messages leave out which one, as [`PluginError`]'s do.
///
/// [`PluginError`]: crate::plugin::PluginError
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// wasmtime refuses it: why, on one line.
    #[error("is not a module that portcell can run: {0}")]
    Invalid(String),
    /// It takes too long.
    #[error(
        "takes longer than {} to compile; make it smaller, or raise server.compile_timeout",
        display_duration(*.0)
    )]
    Timeout(
        /// How long it may take.
        Duration,
    ),
    /// The compiler ran out of memory, or made too much code.
    #[error(
        "needs more than {} of memory to compile; make it smaller, or raise server.compile_memory",
        display_size(*.0)
    )]
    Memory(
        /// How much it may use, in bytes.
        u64,
    ),
    /// The compiler ended before it was done: how.
    #[error("cannot be compiled: the compiler {0}")]
    Crashed(String),
    /// The compiler cannot be started.
    #[error("cannot be compiled: {} cannot be started: {source}", .program.display())]
    Start {
        /// What was to be started.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What was started does not compile as this server needs it.
    #[error(
        "cannot be compiled: {} is no compiler for this server, but another program or version",
        .0.display()
    )]
    OtherProgram(PathBuf),
    /// The server ended meanwhile.
    #[error("was not compiled: the server ends")]
    Stopped,
}

impl Compiler {
    /// This program, as it was started: a file that has taken its place since does not matter.
    /// Linux only.
    pub fn this_program() -> Self {
        Self::Program("/proc/self/exe".into())
    }

    /// Compiles `module`, which is called `name` in logs. It waits for that.
    pub(crate) fn compile(
        &self,
        engine: &WasmEngine,
        module: &[u8],
        name: &Path,
        bounds: Bounds,
        stop: &Stop,
    ) -> Result<Code, CompileError> {
        let began = Instant::now();
        let code = match self {
            Self::InProcess => precompile(engine, module).map_err(CompileError::Invalid)?,
            Self::Program(program) => {
                let order = Order::new(bounds, engine::fingerprint(engine));
                process::compile(program, &order, module, name, bounds, stop)?
            }
        };
        tracing::debug!(
            "compiled {}: {} bytes to {} in {:?}",
            name.display(),
            module.len(),
            code.len(),
            began.elapsed()
        );
        Ok(Code::new(code))
    }
}

impl Bounds {
    pub(crate) const fn of(server: &ServerConfig) -> Self {
        Self { timeout: server.compile_timeout, memory: server.compile_memory }
    }

    /// The most code that is taken from a compiler, in bytes. While it is made, it is there more
    /// than once.
    const fn code(self) -> u64 {
        self.memory / 4
    }
}

/// How many modules are compiled at once on this machine.
pub(crate) fn at_once() -> usize {
    processors().min(AT_ONCE)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The code of a module, or why wasmtime refuses it.
fn precompile(engine: &WasmEngine, module: &[u8]) -> Result<Vec<u8>, String> {
    engine
        .precompile_module(&tables::drop_unused(segments::join(module)))
        .map_err(|error| one_line(&error))
}
