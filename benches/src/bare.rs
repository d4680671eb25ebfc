//! What a sandbox costs by itself: tokio and wasmtime, a fresh instance for each connection, the
//! smallest guest, epochs and portcell's settings of the pool. No limits, no timeouts, no account,
//! no drain. Nothing that is built on wasmtime this way can cost less.

use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::{prctl, signal::Signal};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use wasmtime::{
    Caller, Config, Enabled, Engine, InstanceAllocationStrategy, Linker, Memory, Module,
    ModuleExport, PoolingAllocationConfig, Store,
};

use crate::servers::MINIMUM_TEXT;

/// The subcommand.
pub(crate) const SERVE_BARE: &str = "serve-bare";

/// Places in the pool.
const PLACES: u32 = 20_000;

/// How often running guests are interrupted.
const TICK: Duration = Duration::from_millis(5);

struct Guest {
    stream: TcpStream,
    memory: Option<Memory>,
}

/// A `read` or `write` under way.
struct Call<'a> {
    caller: Caller<'a, Guest>,
    buf: u32,
    len: u32,
    transfer: fn(&mut TcpStream, &mut Context<'_>, &mut [u8]) -> Poll<std::io::Result<usize>>,
}

impl Future for Call<'_> {
    type Output = wasmtime::Result<i32>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { caller, buf, len, transfer } = &mut *self;
        let memory = caller.data().memory.ok_or_else(|| wasmtime::format_err!("no memory"))?;
        let (bytes, guest) = memory.data_and_store_mut(caller);
        let rest = bytes.get_mut(*buf as usize..).and_then(|rest| rest.get_mut(..*len as usize));
        let bytes = rest.ok_or_else(|| wasmtime::format_err!("out of bounds"))?;
        let moved = ready!(transfer(&mut guest.stream, cx, bytes))?;
        Poll::Ready(Ok(i32::try_from(moved)?))
    }
}

/// Serves on a loopback port of the kernel's choice until it is killed or its parent ends, and says
/// on stderr where that is.
pub(crate) fn serve() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("asking to end with the parent")?;
    let engine = Engine::new(&config())?;
    let module = Module::new(&engine, wat::parse_str(MINIMUM_TEXT)?)?;
    let handle = module.get_export_index("handle").context("no `handle`")?;
    let mut linker = Linker::<Guest>::new(&engine);
    linker.func_wrap_async("portcell_v1", "read", |caller, (_, buf, len): (i32, u32, u32)| {
        Box::new(Call { caller, buf, len, transfer: read })
    })?;
    linker.func_wrap_async("portcell_v1", "write", |caller, (_, buf, len): (i32, u32, u32)| {
        Box::new(Call { caller, buf, len, transfer: write })
    })?;
    let module = Arc::new((linker.instantiate_pre(&module)?, handle));
    std::thread::spawn(move || {
        loop {
            #[expect(clippy::disallowed_methods, reason = "this thread is the clock")]
            std::thread::sleep(TICK);
            engine.increment_epoch();
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stderr(), "listening on tcp://{} (bare)", listener.local_addr()?)?;
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.context("accepting")?;
                stream.set_nodelay(true)?;
                let module = Arc::clone(&module);
                // A client that breaks off sees its own error; there is nobody else to tell.
                tokio::spawn(async move { echo(&module, stream).await });
            }
        })
        .await?
    })
}

async fn echo(
    (module, handle): &(wasmtime::InstancePre<Guest>, ModuleExport),
    stream: TcpStream,
) -> wasmtime::Result<i32> {
    let mut store = Store::new(module.module().engine(), Guest { stream, memory: None });
    store.epoch_deadline_async_yield_and_update(1);
    store.set_epoch_deadline(1);
    let instance = module.instantiate_async(&mut store).await?;
    store.data_mut().memory = instance.get_memory(&mut store, "memory");
    let function = instance.get_module_export(&mut store, handle);
    let function = function.and_then(wasmtime::Extern::into_func);
    let function = function.ok_or_else(|| wasmtime::format_err!("no `handle`"))?;
    function.typed::<(), i32>(&store)?.call_async(&mut store, ()).await
}

fn read(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    bytes: &mut [u8],
) -> Poll<std::io::Result<usize>> {
    let mut read = ReadBuf::new(bytes);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(read.filled().len()))
}

fn write(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    bytes: &mut [u8],
) -> Poll<std::io::Result<usize>> {
    Pin::new(stream).poll_write(cx, bytes)
}

/// As `engine.rs` of portcell has it.
fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(PLACES)
        .total_memories(PLACES)
        .total_tables(PLACES)
        .total_stacks(PLACES)
        .max_memory_size(64 << 20)
        .max_unused_warm_slots(1_000)
        .async_stack_keep_resident(8 << 10);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(64 << 10)
            .table_keep_resident(4 << 10);
    }
    let mut config = Config::new();
    config
        .memory_reservation(64 << 20)
        .memory_guard_size(64 << 10)
        .memory_may_move(false)
        .memory_init_cow(false)
        .epoch_interruption(true)
        .async_stack_zeroing(true)
        .async_stack_size(512 << 10)
        .max_wasm_stack(256 << 10)
        .concurrency_support(false)
        .native_unwind_info(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
