//! Descriptors of WASI: 0, 1 and 2 are the connection or the log, 3 may be a socket, and the others
//! are the library's.

use portcell_abi::Errno;
use wasmtime::{Caller, Linker};
use wasmtime_wasi::p1::wasi_snapshot_preview1 as library;
use wiggle::GuestMemory;

use crate::config::Stdout;
use crate::connection::Shutdown;
use crate::guest::{Guest, SocketDescriptor, forget_ticks, poll_stamp, range, split};
use crate::guest_log::Stream;
use crate::plugin::Entry;

use super::{EBADF, EINVAL, ENOTSUP, MODULE, SUCCESS, library_state, put_u32, socket, tally};

/// Vectors that one read or write may name, as Linux's `IOV_MAX`.
const VECTORS: u32 = 1024;

/// What a write of several vectors gathers at once, in bytes.
const GATHER: usize = 64 << 10;

/// What one write puts into the log, in bytes. Without it a guest could keep the host splitting
/// gigabytes into lines in one call.
const LOGGED: u32 = 64 << 10;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    add_streams(linker)?;
    add_descriptions(linker)
}

/// What moves bytes, and numbers of descriptors.
fn add_streams(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker
        .func_wrap_async(
            MODULE,
            "fd_read",
            |mut caller, (fd, vectors, count, done): (i32, u32, u32, u32)| {
                Box::new(async move {
                    tally(&mut caller);
                    let before = poll_stamp(&caller);
                    let errno = fd_read(&mut caller, fd, vectors, count, done).await?;
                    forget_ticks(&mut caller, before);
                    Ok::<i32, wasmtime::Error>(errno)
                })
            },
        )?
        .func_wrap_async(
            MODULE,
            "fd_write",
            |mut caller, (fd, vectors, count, done): (i32, u32, u32, u32)| {
                Box::new(async move {
                    tally(&mut caller);
                    fd_write(&mut caller, fd, vectors, count, done).await
                })
            },
        )?
        .func_wrap_async(MODULE, "fd_close", |mut caller, (fd,): (i32,)| {
            Box::new(async move {
                tally(&mut caller);
                fd_close(&mut caller, fd).await
            })
        })?
        .func_wrap_async(MODULE, "fd_renumber", |mut caller, (from, to): (i32, i32)| {
            Box::new(async move {
                tally(&mut caller);
                let (memory, guest) = split(&mut caller)?;
                // The others are not in the library's table.
                if whose(guest, from) != Whose::Library || whose(guest, to) != Whose::Library {
                    return Ok::<i32, wasmtime::Error>(ENOTSUP);
                }
                library::fd_renumber(
                    library_state(guest),
                    &mut GuestMemory::Unshared(memory),
                    from,
                    to,
                )
                .await
            })
        })?;
    Ok(())
}

/// What says and sets what a descriptor is.
fn add_descriptions(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker
        .func_wrap_async(MODULE, "fd_fdstat_get", |mut caller, (fd, stat): (i32, u32)| {
            Box::new(async move {
                tally(&mut caller);
                fd_fdstat_get(&mut caller, fd, stat).await
            })
        })?
        .func_wrap(
            MODULE,
            "fd_fdstat_set_flags",
            |mut caller: Caller<'_, Guest>, fd: i32, flags: i32| {
                tally(&mut caller);
                let (memory, guest) = split(&mut caller)?;
                match whose(guest, fd) {
                    // O_NONBLOCK is not offered on stdio; nothing else can be changed.
                    Whose::Stdio => return Ok(if flags == 0 { SUCCESS } else { ENOTSUP }),
                    Whose::Socket => return Ok(socket::set_flags(guest, flags)),
                    Whose::Library => {}
                }
                let memory = &mut GuestMemory::Unshared(memory);
                library::fd_fdstat_set_flags(library_state(guest), memory, fd, flags)
            },
        )?
        .func_wrap(
            MODULE,
            "fd_prestat_get",
            |mut caller: Caller<'_, Guest>, fd: i32, prestat: u32| {
                tally(&mut caller);
                let (memory, guest) = split(&mut caller)?;
                if whose(guest, fd) == Whose::Socket {
                    return socket::prestat(memory, prestat);
                }
                // Every program asks for its folders as it starts: no state for those without.
                if guest.config.dirs.is_empty() {
                    return Ok(EBADF);
                }
                let memory = &mut GuestMemory::Unshared(memory);
                library::fd_prestat_get(library_state(guest), memory, fd, prestat.cast_signed())
            },
        )?
        .func_wrap(
            MODULE,
            "fd_prestat_dir_name",
            |mut caller: Caller<'_, Guest>, fd: i32, path: i32, length: i32| {
                tally(&mut caller);
                let (memory, guest) = split(&mut caller)?;
                if whose(guest, fd) == Whose::Socket {
                    // Its name has no bytes.
                    return Ok(SUCCESS);
                }
                let memory = &mut GuestMemory::Unshared(memory);
                library::fd_prestat_dir_name(library_state(guest), memory, fd, path, length)
            },
        )?
        .func_wrap_async(
            MODULE,
            "fd_filestat_get",
            |mut caller: Caller<'_, Guest>, (fd, stat): (i32, u32)| {
                Box::new(async move {
                    tally(&mut caller);
                    let (memory, guest) = split(&mut caller)?;
                    if whose(guest, fd) == Whose::Socket {
                        return socket::filestat(memory, guest, stat);
                    }
                    let (state, memory) =
                        (library_state(guest), &mut GuestMemory::Unshared(memory));
                    library::fd_filestat_get(state, memory, fd, stat.cast_signed()).await
                })
            },
        )?;
    Ok(())
}

/// Whose descriptor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// One of 0 to 2.
    Stdio,
    /// The connection's.
    Socket,
    /// A file's or folder's, or nobody's.
    Library,
}

pub(super) const fn whose(guest: &Guest, fd: i32) -> Whose {
    match fd {
        0..=2 => Whose::Stdio,
        SocketDescriptor::NUMBER if guest.socket.is_some() => Whose::Socket,
        _ => Whose::Library,
    }
}

async fn fd_read(
    caller: &mut Caller<'_, Guest>,
    fd: i32,
    vectors: u32,
    count: u32,
    done: u32,
) -> wasmtime::Result<i32> {
    let (memory, guest) = split(caller)?;
    let whose = whose(guest, fd);
    if whose == Whose::Library {
        let memory = &mut GuestMemory::Unshared(memory);
        return library::fd_read(
            library_state(guest),
            memory,
            fd,
            vectors.cast_signed(),
            count.cast_signed(),
            done.cast_signed(),
        )
        .await;
    }
    range(memory, "fd_read", done, 4)?;
    let vectors = match list(memory, "fd_read", vectors, count)? {
        Ok(vectors) => vectors,
        Err(errno) => return Ok(errno),
    };
    if whose == Whose::Socket {
        return socket::read(memory, guest, &vectors, done).await;
    }
    let read = match (fd, guest.entry) {
        _ if fd != 0 || guest.stdio_closed[0] => return Ok(EBADF),
        (_, Entry::Handle { .. }) => 0,
        (_, Entry::Command) if guest.connection.has_datagrams() => {
            match read_datagram(memory, guest, &vectors).await? {
                Ok(read) => read,
                Err(errno) => return Ok(errno as i32),
            }
        }
        (_, Entry::Command) => {
            // A short read is allowed: the first vector with room is filled.
            let first = vectors.into_iter().find(|(_, len)| *len > 0).unwrap_or((0, 0));
            match guest.connection.read(range(memory, "fd_read", first.0, first.1)?).await {
                Ok(read) => read,
                // Nobody is there, so nothing comes.
                Err(Errno::NotConn) => 0,
                Err(errno) => return Ok(errno as i32),
            }
        }
    };
    put_u32(memory, "fd_read", done, read)
}

async fn fd_write(
    caller: &mut Caller<'_, Guest>,
    fd: i32,
    vectors: u32,
    count: u32,
    done: u32,
) -> wasmtime::Result<i32> {
    let (memory, guest) = split(caller)?;
    let whose = whose(guest, fd);
    if whose == Whose::Library {
        let memory = &mut GuestMemory::Unshared(memory);
        return library::fd_write(
            library_state(guest),
            memory,
            fd,
            vectors.cast_signed(),
            count.cast_signed(),
            done.cast_signed(),
        )
        .await;
    }
    range(memory, "fd_write", done, 4)?;
    let vectors = match list(memory, "fd_write", vectors, count)? {
        Ok(vectors) => vectors,
        Err(errno) => return Ok(errno),
    };
    if whose == Whose::Socket {
        return socket::write(memory, guest, &vectors, done).await;
    }
    let written = match (fd, guest.entry) {
        (0, _) => return Ok(EBADF),
        (1, _) if guest.stdio_closed[1] => return Ok(EBADF),
        (1, Entry::Command) => {
            let one_packet = gather(memory, &vectors)?;
            let bytes = match &one_packet {
                Gathered::One(pointer, len) => &*range(memory, "fd_write", *pointer, *len)?,
                Gathered::Several(bytes) => bytes.as_slice(),
            };
            // A write of nothing is nothing, as on a stream, not an empty datagram.
            if bytes.is_empty() && guest.connection.has_datagrams() {
                return put_u32(memory, "fd_write", done, 0);
            }
            match guest.connection.write(bytes).await {
                Ok(written) => written,
                Err(errno) => return Ok(errno as i32),
            }
        }
        _ => {
            let stream = if fd == 1 { Stream::Stdout } else { Stream::Stderr };
            let mut room = LOGGED;
            for (pointer, len) in vectors {
                // A short write is allowed.
                let len = len.min(room);
                guest.log.stream(stream, range(memory, "fd_write", pointer, len)?);
                room -= len;
            }
            (LOGGED - room) as usize
        }
    };
    put_u32(memory, "fd_write", done, written)
}

/// One datagram into all the vectors: what the first has no room for would be lost. C's stdio names
/// a small one before its own buffer. The end of the flow is the end of the file.
async fn read_datagram(
    memory: &mut [u8],
    guest: &mut Guest,
    vectors: &[(u32, u32)],
) -> wasmtime::Result<Result<usize, Errno>> {
    // No datagram is longer than 16 bits count.
    let room = vectors.iter().map(|(_, len)| *len).sum::<u32>().min(u16::MAX.into());
    if room == 0 {
        return Ok(Ok(0));
    }
    let mut datagram = vec![0; room as usize];
    let read = match guest.connection.read(&mut datagram).await {
        Ok(read) => read,
        Err(Errno::NotConn) => 0,
        Err(errno) => return Ok(Err(errno)),
    };
    scatter(memory, vectors, &datagram[..read])?;
    Ok(Ok(read))
}

/// Puts `bytes` into the vectors, as far as there is room.
pub(super) fn scatter(
    memory: &mut [u8],
    vectors: &[(u32, u32)],
    bytes: &[u8],
) -> wasmtime::Result<()> {
    let mut left = bytes;
    for (pointer, len) in vectors {
        let place = range(memory, "fd_read", *pointer, *len)?;
        let (part, rest) = left.split_at(left.len().min(place.len()));
        place[..part.len()].copy_from_slice(part);
        left = rest;
    }
    Ok(())
}

async fn fd_close(caller: &mut Caller<'_, Guest>, fd: i32) -> wasmtime::Result<i32> {
    let (memory, guest) = split(caller)?;
    match whose(guest, fd) {
        Whose::Stdio => {}
        Whose::Socket => return Ok(socket::close(guest)),
        Whose::Library => {
            return library::fd_close(library_state(guest), &mut GuestMemory::Unshared(memory), fd)
                .await;
        }
    }
    let direction = match fd {
        0 => Shutdown::Read,
        1 => Shutdown::Write,
        _ => return Ok(SUCCESS),
    };
    let closed = &mut guest.stdio_closed[usize::from(fd == 1)];
    if std::mem::replace(closed, true) {
        return Ok(EBADF);
    }
    if guest.entry == Entry::Command {
        // The connection may have been closed through `portcell_v1`: the descriptor is gone then
        // all the same.
        let _ = guest.connection.shutdown(direction);
    }
    Ok(SUCCESS)
}

/// `fdstat`: the kind of file at 0, the rights at 8.
async fn fd_fdstat_get(
    caller: &mut Caller<'_, Guest>,
    fd: i32,
    stat: u32,
) -> wasmtime::Result<i32> {
    const CHARACTER_DEVICE: u8 = 2;
    const SOCKET_STREAM: u8 = 6;
    const READ: u64 = 1 << 1;
    const WRITE: u64 = 1 << 6;
    const POLL: u64 = 1 << 27;
    let (memory, guest) = split(caller)?;
    match whose(guest, fd) {
        Whose::Stdio => {}
        Whose::Socket => return socket::fdstat(memory, guest, stat),
        Whose::Library => {
            let memory = &mut GuestMemory::Unshared(memory);
            return library::fd_fdstat_get(library_state(guest), memory, fd, stat.cast_signed())
                .await;
        }
    }
    let config = &guest.config;
    // C's stdio is line-buffered on a terminal: a character device that cannot seek.
    let (kind, rights) = match fd {
        0 if !guest.stdio_closed[0] => (SOCKET_STREAM, READ),
        1 if !guest.stdio_closed[1] => match config.stdout {
            Stdout::Terminal => (CHARACTER_DEVICE, WRITE),
            Stdout::Full => (SOCKET_STREAM, WRITE),
        },
        0 | 1 => return Ok(EBADF),
        _ => (CHARACTER_DEVICE, WRITE),
    };
    let stat = range(memory, "fd_fdstat_get", stat, 24)?;
    stat.fill(0);
    stat[0] = kind;
    stat[8..16].copy_from_slice(&(rights | POLL).to_le_bytes());
    Ok(SUCCESS)
}

/// The vectors at `at`: pointer and length each. All of them are inside the memory.
pub(super) fn list(
    memory: &mut [u8],
    call: &'static str,
    at: u32,
    count: u32,
) -> wasmtime::Result<Result<Vec<(u32, u32)>, i32>> {
    if count > VECTORS {
        return Ok(Err(EINVAL));
    }
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let vectors: Vec<(u32, u32)> = range(memory, call, at, count * 8)?
        .chunks_exact(8)
        .map(|vector| (number(vector), number(&vector[4..])))
        .collect();
    let mut total = 0_u32;
    for (pointer, len) in &vectors {
        range(memory, call, *pointer, *len)?;
        match total.checked_add(*len) {
            Some(sum) if sum <= portcell_abi::MAX_LEN => total = sum,
            _ => return Ok(Err(EINVAL)),
        }
    }
    Ok(Ok(vectors))
}

/// What a write sends.
pub(super) enum Gathered {
    One(u32, u32),
    Several(Vec<u8>),
}

/// Puts small vectors together, so that C's stdio, which writes its buffer and the rest as two,
/// sends one packet. Of what is larger the first part goes: a short write is allowed. As a datagram
/// such a part is too long all the same.
pub(super) fn gather(memory: &mut [u8], vectors: &[(u32, u32)]) -> wasmtime::Result<Gathered> {
    let mut some = vectors.iter().filter(|(_, len)| *len > 0);
    let Some(first) = some.next() else { return Ok(Gathered::One(0, 0)) };
    if first.1 as usize >= GATHER || some.next().is_none() {
        return Ok(Gathered::One(first.0, first.1));
    }
    let mut bytes = Vec::new();
    for (pointer, len) in vectors {
        let part = range(memory, "fd_write", *pointer, *len)?;
        let room = GATHER - bytes.len();
        bytes.extend_from_slice(&part[..part.len().min(room)]);
        if bytes.len() == GATHER {
            break;
        }
    }
    Ok(Gathered::Several(bytes))
}
