//! The import module `portcell_v1`. What each call means is written in `portcell-abi`.

use std::time::Duration;

use portcell_abi::{self as abi, Errno, poll as bits};
use wasmtime::{Caller, Linker};

use super::transfer::{Read, Write};
use crate::connection::{Direction, NotSecured, Shutdown};
use crate::guest::{Guest, Stop, count, forget_ticks, poll_stamp, range, split};
use crate::host_calls::HostCall;

/// The longest name of a profile, in bytes: that of a listener.
const MAX_PROFILE: usize = 64;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker
        .func_wrap_async(abi::MODULE, "read", |mut caller, (fd, buf, len): (i32, u32, u32)| {
            count(&mut caller, HostCall::Read);
            Box::new(Read::new(caller, fd, buf, len))
        })?
        .func_wrap_async(abi::MODULE, "write", |mut caller, (fd, buf, len): (i32, u32, u32)| {
            count(&mut caller, HostCall::Write);
            Box::new(Write::new(caller, fd, buf, len))
        })?
        .func_wrap(abi::MODULE, "shutdown", |mut caller: Caller<'_, Guest>, fd: i32, how: i32| {
            count(&mut caller, HostCall::Shutdown);
            result(shutdown(caller.data_mut(), fd, how).map(|()| 0))
        })?
        .func_wrap_async(abi::MODULE, "close", |mut caller: Caller<'_, Guest>, (fd,): (i32,)| {
            Box::new(async move {
                count(&mut caller, HostCall::Close);
                match caller.data_mut().connection(fd) {
                    Ok(connection) => result(connection.close().await.map(|()| 0)),
                    Err(errno) => errno.result(),
                }
            })
        })?
        .func_wrap_async(abi::MODULE, "poll", |mut caller, (ptr, n, timeout): (u32, u32, i32)| {
            Box::new(async move {
                count(&mut caller, HostCall::Poll);
                let before = poll_stamp(&caller);
                let ready = poll(&mut caller, ptr, n, timeout).await?;
                forget_ticks(&mut caller, before);
                Ok::<i32, wasmtime::Error>(ready)
            })
        })?
        .func_wrap(
            abi::MODULE,
            "set_timeout",
            |mut caller: Caller<'_, Guest>, fd: i32, which: i32, ms: i32| {
                count(&mut caller, HostCall::SetTimeout);
                result(set_timeout(caller.data_mut(), fd, which, ms).map(|()| 0))
            },
        )?
        .func_wrap(abi::MODULE, "info", info)?
        .func_wrap(abi::MODULE, "log", log)?
        .func_wrap_async(
            abi::MODULE,
            "start_tls",
            |mut caller,
             (fd, profile, profile_len, reply, reply_len): (i32, u32, u32, u32, u32)| {
                Box::new(async move {
                    count(&mut caller, HostCall::StartTls);
                    let (profile, reply) = ((profile, profile_len), (reply, reply_len));
                    start_tls(&mut caller, fd, profile, reply).await
                })
            },
        )?;
    Ok(())
}

fn shutdown(guest: &mut Guest, fd: i32, how: i32) -> Result<(), Errno> {
    let how = match how {
        abi::shutdown::READ => Shutdown::Read,
        abi::shutdown::WRITE => Shutdown::Write,
        abi::shutdown::BOTH => Shutdown::Both,
        abi::shutdown::RESET => Shutdown::Reset,
        _ => return Err(Errno::Inval),
    };
    guest.connection(fd)?.shutdown(how)
}

fn set_timeout(guest: &mut Guest, fd: i32, which: i32, ms: i32) -> Result<(), Errno> {
    let direction = match which {
        abi::timeout::READ => Direction::Read,
        abi::timeout::WRITE => Direction::Write,
        _ => return Err(Errno::Inval),
    };
    guest.connection(fd)?.set_timeout(direction, timeout(ms)?)
}

/// One record of `poll`.
struct Record {
    fd: i32,
    events: u16,
}

async fn poll(
    caller: &mut Caller<'_, Guest>,
    ptr: u32,
    n: u32,
    timeout_ms: i32,
) -> wasmtime::Result<i32> {
    let (memory, guest) = split(caller)?;
    let Ok(timeout) = timeout(timeout_ms) else { return Ok(Errno::Inval.result()) };
    if n > bits::MAX_RECORDS {
        return Ok(Errno::Inval.result());
    }
    let records = range(memory, "poll", ptr, n * bits::RECORD)?;
    let asked: Vec<Record> = records
        .chunks_exact(bits::RECORD as usize)
        .map(|record| Record {
            fd: i32::from_le_bytes([record[0], record[1], record[2], record[3]]),
            events: u16::from_le_bytes([record[4], record[5]]),
        })
        .collect();
    if asked.iter().any(|record| record.events & !bits::ASKABLE != 0) {
        return Ok(Errno::Inval.result());
    }
    let invalid = |record: &Record| record.fd > 0;
    let on_connection = || asked.iter().filter(|record| record.fd == abi::CONNECTION);
    let wanted = on_connection().fold(0, |wanted, record| wanted | record.events);
    let found = if on_connection().next().is_some() {
        // A record that is invalid answers at once, and so does the call.
        let timeout = if asked.iter().any(invalid) { Some(Duration::ZERO) } else { timeout };
        guest.connection.poll(wanted, timeout).await
    } else {
        if !asked.iter().any(invalid) {
            guest.connection.sleep(timeout).await;
        }
        0
    };
    let mut ready = 0;
    for (record, bytes) in asked.iter().zip(records.chunks_exact_mut(bits::RECORD as usize)) {
        let always = !bits::ASKABLE;
        let revents = match record.fd {
            abi::CONNECTION => found & (record.events | always),
            _ if invalid(record) => bits::INVALID,
            _ => 0,
        };
        bytes[6..8].copy_from_slice(&revents.to_le_bytes());
        ready += i32::from(revents != 0);
    }
    Ok(ready)
}

fn info(
    mut caller: Caller<'_, Guest>,
    name: u32,
    name_len: u32,
    buf: u32,
    len: u32,
) -> wasmtime::Result<i32> {
    count(&mut caller, HostCall::Info);
    let (memory, guest) = split(&mut caller)?;
    if name_len > abi::MAX_LEN || len > abi::MAX_LEN {
        return Ok(Errno::Inval.result());
    }
    range(memory, "info", buf, len)?;
    let name = range(memory, "info", name, name_len)?;
    // No fact has a name that is not UTF-8.
    let Some(fact) = std::str::from_utf8(name).ok().and_then(|name| guest.connection.info(name))
    else {
        return Ok(Errno::NoEnt.result());
    };
    let whole = u32::try_from(fact.len()).unwrap_or(u32::MAX);
    let copied = &fact.as_bytes()[..whole.min(len) as usize];
    range(memory, "info", buf, whole.min(len))?.copy_from_slice(copied);
    Ok(i32::try_from(whole).unwrap_or(i32::MAX))
}

fn log(mut caller: Caller<'_, Guest>, level: i32, ptr: u32, len: u32) -> wasmtime::Result<i32> {
    count(&mut caller, HostCall::Log);
    let (memory, guest) = split(&mut caller)?;
    if !(abi::level::ERROR..=abi::level::TRACE).contains(&level) || len > abi::MAX_LEN {
        return Ok(Errno::Inval.result());
    }
    let text = range(memory, "log", ptr, len)?;
    guest.log.line(level, text);
    Ok(0)
}

async fn start_tls(
    caller: &mut Caller<'_, Guest>,
    fd: i32,
    (profile, profile_len): (u32, u32),
    (reply, reply_len): (u32, u32),
) -> wasmtime::Result<i32> {
    let (memory, guest) = split(caller)?;
    if profile_len > abi::MAX_LEN || reply_len > abi::MAX_LEN {
        return Ok(Errno::Inval.result());
    }
    range(memory, "start_tls", reply, reply_len)?;
    let profile = range(memory, "start_tls", profile, profile_len)?;
    // No listener has a longer name, and none that is not UTF-8: those are nobody's.
    let profile = profile.get(..MAX_PROFILE + 1).unwrap_or(profile);
    let profile = String::from_utf8_lossy(profile).into_owned();
    let reply = range(memory, "start_tls", reply, reply_len)?;
    let connection = match guest.connection(fd) {
        Ok(connection) => connection,
        Err(errno) => return Ok(errno.result()),
    };
    match connection.start_tls(&profile, reply).await {
        Ok(()) => Ok(0),
        Err(NotSecured::Refused(errno)) => Ok(errno.result()),
        Err(NotSecured::Ended(why)) => Err(Stop::Handshake(why).into()),
    }
}

/// The bound that a guest names in milliseconds: -1 none.
fn timeout(ms: i32) -> Result<Option<Duration>, Errno> {
    match ms {
        -1 => Ok(None),
        0.. => Ok(Some(Duration::from_millis(ms.unsigned_abs().into()))),
        _ => Err(Errno::Inval),
    }
}

/// A result as guests get it. A count is a length that the guest gave, at most [`abi::MAX_LEN`].
pub(super) fn result(outcome: Result<usize, Errno>) -> i32 {
    match outcome {
        Ok(count) => i32::try_from(count).unwrap_or(i32::MAX),
        Err(errno) => errno.result(),
    }
}
