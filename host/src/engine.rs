//! The wasm engine: how instances are compiled, pooled and interrupted. Every setting of wasmtime
//! is here, with its reason.

use std::hash::{Hash as _, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, Engine as WasmEngine, InstanceAllocationStrategy, OptLevel,
    PoolingAllocationConfig, Strategy, WasmBacktraceDetails,
};

pub use crate::config::MEMORY_SLOT;
use crate::config::{Meter, ServerConfig};
use crate::text::{hexadecimal, printable};

/// Inaccessible bytes after each slot, for the loads that the compiler does not check one by one.
const GUARD: u64 = 64 << 10;

/// What the host has of an instance's stack beyond what the guest may use, in bytes. It is for
/// host calls: one that overflowed it would abort the process.
const HOST_STACK: usize = 256 << 10;

/// Elements that a table may have.
pub const TABLE_ELEMENTS: usize = 20_000;

/// Tables that a module may have.
pub const TABLES: u32 = 2;

/// Memory of a finished instance that stays resident for the next one in its slot, in bytes.
const KEEP_RESIDENT: usize = 64 << 10;

/// How often a running guest is looked at. Shorter costs more interruptions, longer lets a guest
/// hold a worker for longer than its slice.
const TICK: Duration = Duration::from_millis(5);

/// Slots beyond the number of connections: finished ones that wait for the kernel to take their
/// memory back, and trial instances.
const SLACK: u32 = 64;

/// The engine that all handlers of a server share.
#[derive(Clone, Debug)]
pub struct Engine {
    wasm: WasmEngine,
    _ticker: Arc<Ticker>,
}

/// What can be chosen of an engine; it stays so.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Instances that there is room for at once.
    pub connections: u32,
    /// What a guest may use of its stack, in bytes; more is a trap.
    pub stack: u32,
    /// How the work of guests is measured.
    pub meter: Meter,
    /// Whether instances share their module's data until they write to it, by mapping it, instead
    /// of having a copy each.
    pub share_data: bool,
}

impl Settings {
    /// Those of a server with room for so many instances at once.
    pub const fn of(server: &ServerConfig, connections: u32) -> Self {
        let &ServerConfig { stack, meter, share_data, .. } = server;
        Self { connections, stack, meter, share_data }
    }

    /// Memory mappings of one instance, at most: its stack and the guard page of that, the part of
    /// its memory that it has and the part that it has not; and where data is mapped into its
    /// memory, that, the parts before and behind it, which have nothing in common then, and one
    /// that a module with its data elsewhere has left.
    pub const fn mappings(&self) -> u64 {
        if self.share_data { 7 } else { 4 }
    }

    /// Address space of one instance, in bytes.
    pub const fn slot(&self) -> u64 {
        MEMORY_SLOT
            + GUARD
            + self.stack as u64
            + HOST_STACK as u64
            + TABLES as u64 * TABLE_ELEMENTS as u64 * crate::plugin::TABLE_ELEMENT
    }
}

/// The engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The machine does not give the pool.
    #[error(
        "cannot reserve a pool of {connections} instances; a smaller server.max_connections may fit"
    )]
    Pool {
        /// How many were asked for.
        connections: u32,
        /// What wasmtime said.
        #[source]
        source: wasmtime::Error,
    },
    /// The machine does not give a thread.
    #[error("cannot start the thread that interrupts running guests")]
    Ticker(#[source] std::io::Error),
}

impl Engine {
    /// An engine with room for this many instances at once, and otherwise the defaults.
    pub fn new(connections: u32) -> Result<Self, EngineError> {
        let (stack, meter, share_data) = (256 << 10, Meter::Epoch, false);
        Self::with(&Settings { connections, stack, meter, share_data })
    }

    /// An engine with these settings.
    pub fn with(settings: &Settings) -> Result<Self, EngineError> {
        let connections = settings.connections;
        let wasm = WasmEngine::new(&config(settings))
            .map_err(|source| EngineError::Pool { connections, source })?;
        let ticker = Ticker::start(&wasm).map_err(EngineError::Ticker)?;
        Ok(Self { wasm, _ticker: Arc::new(ticker) })
    }

    /// wasmtime's engine.
    pub(crate) const fn wasm(&self) -> &WasmEngine {
        &self.wasm
    }
}

/// An engine that makes code with this fingerprint, and has no pool; `None` if there is none.
pub(crate) fn compiling(wanted: &str) -> wasmtime::Result<Option<WasmEngine>> {
    for meter in [Meter::Epoch, Meter::Fuel] {
        for share_data in [false, true] {
            let engine = WasmEngine::new(&code(meter, share_data))?;
            if hexadecimal(&fingerprint(&engine)) == wanted {
                return Ok(Some(engine));
            }
        }
    }
    Ok(None)
}

/// What the code of a module depends on beside the module: wasmtime's whole version, its settings,
/// and what the processor can do. Code that was made under another fingerprint must not be run.
pub(crate) fn fingerprint(engine: &WasmEngine) -> [u8; 32] {
    let mut hashed = Hashed(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hashed);
    hashed.0.finalize().into()
}

/// An error and its causes, on one line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let said = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    printable(&said.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A digest of what implements `Hash`; that of one program is the same at each of its starts.
struct Hashed(Sha256);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks for it: 64 bits are too few to be a fingerprint.
    fn finish(&self) -> u64 {
        0
    }
}

fn config(settings: &Settings) -> Config {
    let stack = settings.stack as usize;
    let mut config = code(settings.meter, settings.share_data);
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings.connections)))
        .async_stack_size(stack + HOST_STACK)
        .max_wasm_stack(stack);
    config
}

fn pool(connections: u32) -> PoolingAllocationConfig {
    let slots = connections.saturating_add(SLACK);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots.saturating_mul(TABLES))
        .total_stacks(slots)
        .total_component_instances(0)
        .max_memory_size(usize::try_from(MEMORY_SLOT).unwrap_or(usize::MAX))
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_core_instance_size(256 << 10)
        .max_unused_warm_slots(1_000)
        // Stacks are wiped between connections: nothing of one tenant's is left for the next.
        .async_stack_keep_resident(8 << 10);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        // The kernel says which pages were written, so a slot is cleaned by wiping those instead
        // of unmapping: about half the cost of a connection. Without it, keeping memory resident
        // would wipe the lowest pages, which are mostly the untouched stack, and cost more.
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEEP_RESIDENT)
            .table_keep_resident(4 << 10);
    } else {
        pool.decommit_batch_size(16);
    }
    pool
}

/// Everything but the pool: what code depends on is here.
fn code(meter: Meter, share_data: bool) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        // Slots as small as the largest memory, packed: 4 GiB slots would allow 21,000.
        .memory_reservation(MEMORY_SLOT)
        .memory_guard_size(GUARD)
        .memory_may_move(false)
        // A mapped image splits a memory into parts that the kernel counts one by one, and their
        // number is what bounds the connections of a process. Data that is copied instead is
        // memory as any other: the guard, and the part that is not accessible, are where they were.
        .memory_init_cow(share_data)
        // Images in memory: changing or deleting the file of a module cannot touch a guest.
        .force_memory_init_memfd(true)
        .async_stack_zeroing(true)
        .epoch_interruption(true)
        .consume_fuel(meter == Meter::Fuel)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(16))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .native_unwind_info(false)
        // One memory each, without threads: what the pool's slots and the accounting assume.
        .shared_memory(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false);
    config
}

/// The thread that makes running guests look at their limits.
#[derive(Debug)]
struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engine: &WasmEngine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, engine) = (Arc::clone(&stop), engine.weak());
        std::thread::Builder::new().name("epoch".into()).spawn(move || {
            while !stopped.load(Relaxed) {
                #[expect(clippy::disallowed_methods, reason = "this thread is the clock")]
                std::thread::sleep(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })?;
        Ok(Self { stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_the_compiler_is_code_for_the_pool() {
        for (meter, stack, share_data) in
            [(Meter::Epoch, 256 << 10, false), (Meter::Fuel, 1 << 20, true)]
        {
            let settings = Settings { connections: 1, stack, meter, share_data };
            let pool = Engine::with(&settings).unwrap();
            let wanted = fingerprint(pool.wasm());
            let compiler = compiling(&hexadecimal(&wanted)).unwrap().unwrap();
            assert_eq!(wanted, fingerprint(&compiler));
        }
        let mut other = code(Meter::Epoch, false);
        let other = WasmEngine::new(other.epoch_interruption(false)).unwrap();
        assert!(compiling(&hexadecimal(&fingerprint(&other))).unwrap().is_none());
    }
}
