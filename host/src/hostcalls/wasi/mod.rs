//! WASI preview 1, as guests of one connection see it.
//!
//! What moves bytes, and what programs call as they start, is here, so that bytes go straight
//! between the socket and the guest's memory and most guests need none of the WASI library's
//! state. Files and the rest are the library's. (WASI preview 1, witx:
//! `wasi_snapshot_preview1.witx` and `typenames.witx`.)

mod poll;
mod socket;
mod start;
mod stdio;

use std::time::{Duration, SystemTime};

use portcell_abi::Errno;
use wasmtime::{Caller, Linker};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, WasiView as _};

use crate::config::HandlerConfig;
use crate::guest::{Guest, Stop, count, forget_ticks, poll_stamp, range, split};
use crate::host_calls::HostCall;
use crate::plugin::Entry;

type Guests<'a> = Caller<'a, Guest>;

pub(super) const MODULE: &str = "wasi_snapshot_preview1";

pub(super) const SUCCESS: i32 = 0;
pub(super) const EBADF: i32 = Errno::BadFd as i32;
pub(super) const EINVAL: i32 = Errno::Inval as i32;
const ENOTSUP: i32 = Errno::NotSup as i32;

/// What one call of `random_get` gives at most, in bytes.
const RANDOM: u32 = 64 << 10;

/// Files and the like that one instance may have open.
const OPEN_FILES: usize = 32;

/// What WASI functions that are not ours work on; made at the first call that needs it.
fn library_state(guest: &mut Guest) -> &mut WasiP1Ctx {
    // Without a peer it is a trial, which leaves nothing behind.
    let may_write = guest.connection.has_peer();
    let entry = guest.entry;
    let wasi = guest.wasi.get_or_insert_with(|| Box::new(context(&guest.config, entry, may_write)));
    // For calls of ours; the library sets its own. A call copies no more than a guest can hold.
    wasi.set_hostcall_fuel(usize::try_from(guest.config.memory).unwrap_or(usize::MAX));
    wasi
}

/// The library's state, with the folders that the handler's configuration grants.
fn context(config: &HandlerConfig, entry: Entry, may_write: bool) -> WasiP1Ctx {
    let mut builder = WasiCtxBuilder::new();
    builder.max_random_size(u64::from(RANDOM));
    // A command's folders begin behind its socket. Under the number of the socket the library has the
    // first of them again, for programs that take 3 for the current directory without asking, as
    // those in Zig do: what has a path works there.
    let is_command = entry == Entry::Command;
    let mut twice = is_command;
    for dir in &config.dirs {
        let permissions =
            if dir.write && may_write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        let mut open =
            || builder.preopened_dir(&dir.host, &dir.guest, permissions).map(|_builder| ());
        let opened = if twice { open().and_then(|()| open()) } else { open() };
        match opened {
            Ok(()) => twice = false,
            // It was there at start. The guest finds the folder missing.
            Err(error) => tracing::warn!(
                handler = config.name,
                "cannot open the folder {}: {error:#}",
                dir.host.display()
            ),
        }
    }
    let mut context = builder.build_p1();
    context.ctx().table.set_max_capacity(OPEN_FILES + usize::from(is_command));
    context
}

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    p1::add_to_linker_async(linker, |guest: &mut Guest| {
        guest.host_calls.add(HostCall::Wasi);
        // Somebody looks at the next tick.
        guest.calls.count();
        library_state(guest)
    })?;
    linker.allow_shadowing(true);
    start::add(linker)?;
    stdio::add(linker)?;
    socket::add(linker)?;
    linker
        .func_wrap_async(
            MODULE,
            "poll_oneoff",
            |mut caller, (subscriptions, events, count, ready): (u32, u32, u32, u32)| {
                Box::new(async move {
                    tally(&mut caller);
                    let before = poll_stamp(&caller);
                    let errno =
                        poll::poll_oneoff(&mut caller, subscriptions, events, count, ready).await?;
                    forget_ticks(&mut caller, before);
                    Ok::<i32, wasmtime::Error>(errno)
                })
            },
        )?
        .func_wrap_async(MODULE, "sched_yield", |mut caller: Caller<'_, Guest>, (): ()| {
            Box::new(async move {
                tally(&mut caller);
                caller.data().connection.account().gives_way();
                tokio::task::yield_now().await;
                SUCCESS
            })
        })?
        .func_wrap(MODULE, "proc_exit", |mut caller: Caller<'_, Guest>, code: i32| {
            tally(&mut caller);
            Err::<(), _>(wasmtime::Error::new(Stop::Code(code)))
        })?
        .func_wrap(MODULE, "clock_time_get", clock_time_get)?
        .func_wrap(MODULE, "random_get", random_get)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Counts a call of ours; the library's are counted where it gets its state.
fn tally(caller: &mut Caller<'_, Guest>) {
    count(caller, HostCall::Wasi);
}

fn clock_time_get(
    mut caller: Caller<'_, Guest>,
    clock: i32,
    _precision: i64,
    time: u32,
) -> wasmtime::Result<i32> {
    tally(&mut caller);
    let (memory, guest) = split(&mut caller)?;
    let Some(now) = clock_now(guest, clock) else { return Ok(EINVAL) };
    let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    range(memory, "clock_time_get", time, 8)?.copy_from_slice(&nanos.to_le_bytes());
    Ok(SUCCESS)
}

/// The time on one of WASI's clocks; `None` for those of CPU time, which are not offered.
pub(super) fn clock_now(guest: &Guest, clock: i32) -> Option<Duration> {
    match clock {
        0 => Some(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),
        // As monotonic clocks may: it begins with the connection.
        1 => Some(guest.connection.account().age()),
        _ => None,
    }
}

fn random_get(mut caller: Caller<'_, Guest>, buf: u32, len: u32) -> wasmtime::Result<i32> {
    tally(&mut caller);
    let (memory, _) = split(&mut caller)?;
    if len > RANDOM {
        return Ok(EINVAL);
    }
    let mut left = range(memory, "random_get", buf, len)?;
    while !left.is_empty() {
        match rustix::rand::getrandom(&mut *left, rustix::rand::GetRandomFlags::empty()) {
            Ok(filled) => left = &mut left[filled..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Ok(Errno::Io as i32),
        }
    }
    Ok(SUCCESS)
}

fn put_u32(memory: &mut [u8], call: &'static str, at: u32, number: usize) -> wasmtime::Result<i32> {
    // Numbers put here are lengths inside the guest's memory.
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    range(memory, call, at, 4)?.copy_from_slice(&number.to_le_bytes());
    Ok(SUCCESS)
}
