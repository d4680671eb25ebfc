//! Descriptor 3: the connection as a socket, for runtimes with an event loop of their own.
//!
//! Commands have it; their folders begin at 4. Its calls do not wait, unless the guest wants that.

use portcell_abi::Errno;
use wasmtime::{Caller, Linker};

use crate::connection::Shutdown;
use crate::guest::{Guest, SocketDescriptor, forget_ticks, poll_stamp, range, split};

use super::stdio::{Gathered, gather, list, scatter};
use super::{EBADF, EINVAL, ENOTSUP, Guests, MODULE, SUCCESS, put_u32, tally};

/// `fdflags`.
const NONBLOCK: i32 = 4;

/// `riflags`.
const PEEK: i32 = 1;
const WAITALL: i32 = 2;

/// `roflags`.
const DATA_TRUNCATED: u16 = 1;

/// `filetype`.
const SOCKET_DGRAM: u8 = 5;
const SOCKET_STREAM: u8 = 6;

/// A kind of preopened descriptor that nobody knows, so that those who look for folders look at the
/// next one. An errno would end wasi-libc's search, and the program.
const NO_FOLDER: u8 = 1;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker
        .func_wrap(MODULE, "sock_accept", |mut caller: Guests<'_>, _: i32, _: i32, _: i32| {
            tally(&mut caller);
            // The library's would warn in the log at every call.
            ENOTSUP
        })?
        .func_wrap_async(
            MODULE,
            "sock_recv",
            |mut caller,
             (fd, vectors, count, flags, done, seen): (i32, u32, u32, i32, u32, u32)| {
                Box::new(async move {
                    tally(&mut caller);
                    let before = poll_stamp(&caller);
                    let vectors = (vectors, count);
                    let errno = sock_recv(&mut caller, fd, vectors, flags, done, seen).await?;
                    forget_ticks(&mut caller, before);
                    Ok::<i32, wasmtime::Error>(errno)
                })
            },
        )?
        .func_wrap_async(
            MODULE,
            "sock_send",
            |mut caller, (fd, vectors, count, flags, done): (i32, u32, u32, i32, u32)| {
                Box::new(async move {
                    tally(&mut caller);
                    sock_send(&mut caller, fd, (vectors, count), flags, done).await
                })
            },
        )?
        .func_wrap(MODULE, "sock_shutdown", |mut caller: Guests<'_>, fd: i32, how: i32| {
            tally(&mut caller);
            sock_shutdown(caller.data_mut(), fd, how)
        })?;
    Ok(())
}

/// The socket under `fd`, or what a call gives that needs one.
fn open(guest: &Guest, fd: i32) -> Result<SocketDescriptor, i32> {
    match guest.socket {
        Some(socket) if fd == SocketDescriptor::NUMBER => {
            if socket.closed {
                Err(EBADF)
            } else {
                Ok(socket)
            }
        }
        _ => Err(ENOTSUP),
    }
}

async fn sock_recv(
    caller: &mut Caller<'_, Guest>,
    fd: i32,
    (vectors, count): (u32, u32),
    flags: i32,
    done: u32,
    seen: u32,
) -> wasmtime::Result<i32> {
    let (memory, guest) = split(caller)?;
    let socket = match open(guest, fd) {
        Ok(socket) => socket,
        Err(errno) => return Ok(errno),
    };
    let how = match flags {
        0 => How::Some,
        PEEK => How::Peek,
        WAITALL => How::All,
        _ => return Ok(EINVAL),
    };
    range(memory, "sock_recv", done, 4)?;
    range(memory, "sock_recv", seen, 2)?;
    let vectors = match list(memory, "sock_recv", vectors, count)? {
        Ok(vectors) => vectors,
        Err(errno) => return Ok(errno),
    };
    match receive(memory, guest, &vectors, how, socket.waits).await? {
        Ok(received) => {
            let flags = if received.is_cut { DATA_TRUNCATED } else { 0 };
            range(memory, "sock_recv", seen, 2)?.copy_from_slice(&flags.to_le_bytes());
            put_u32(memory, "sock_recv", done, received.length)
        }
        Err(errno) => Ok(errno as i32),
    }
}

async fn sock_send(
    caller: &mut Caller<'_, Guest>,
    fd: i32,
    (vectors, count): (u32, u32),
    flags: i32,
    done: u32,
) -> wasmtime::Result<i32> {
    let (memory, guest) = split(caller)?;
    if let Err(errno) = open(guest, fd) {
        return Ok(errno);
    }
    if flags != 0 {
        return Ok(EINVAL);
    }
    range(memory, "sock_send", done, 4)?;
    match list(memory, "sock_send", vectors, count)? {
        Ok(vectors) => write(memory, guest, &vectors, done).await,
        Err(errno) => Ok(errno),
    }
}

fn sock_shutdown(guest: &mut Guest, fd: i32, how: i32) -> i32 {
    const READ: i32 = 1;
    const WRITE: i32 = 2;
    const BOTH: i32 = READ | WRITE;
    if let Err(errno) = open(guest, fd) {
        return errno;
    }
    let how = match how {
        READ => Shutdown::Read,
        WRITE => Shutdown::Write,
        BOTH => Shutdown::Both,
        _ => return EINVAL,
    };
    guest.connection.shutdown(how).map_or_else(|errno| errno as i32, |()| SUCCESS)
}

/// `fd_read` of the socket.
pub(super) async fn read(
    memory: &mut [u8],
    guest: &mut Guest,
    vectors: &[(u32, u32)],
    done: u32,
) -> wasmtime::Result<i32> {
    let waits = match open(guest, SocketDescriptor::NUMBER) {
        Ok(socket) => socket.waits,
        Err(errno) => return Ok(errno),
    };
    match receive(memory, guest, vectors, How::Some, waits).await? {
        Ok(received) => put_u32(memory, "fd_read", done, received.length),
        Err(errno) => Ok(errno as i32),
    }
}

/// `fd_write` of the socket.
pub(super) async fn write(
    memory: &mut [u8],
    guest: &mut Guest,
    vectors: &[(u32, u32)],
    done: u32,
) -> wasmtime::Result<i32> {
    let waits = match open(guest, SocketDescriptor::NUMBER) {
        Ok(socket) => socket.waits,
        Err(errno) => return Ok(errno),
    };
    let gathered = gather(memory, vectors)?;
    let bytes = match &gathered {
        Gathered::One(pointer, len) => &*range(memory, "fd_write", *pointer, *len)?,
        Gathered::Several(bytes) => bytes.as_slice(),
    };
    let written = if waits {
        guest.connection.write(bytes).await
    } else {
        guest.connection.write_now(bytes).await
    };
    match written {
        Ok(written) => put_u32(memory, "fd_write", done, written),
        Err(errno) => Ok(errno as i32),
    }
}

/// How much a read is to give.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// What is there.
    Some,
    /// What is there, and it stays there.
    Peek,
    /// Of a stream, as much as there is room for.
    All,
}

struct Received {
    length: usize,
    /// The datagram was longer.
    is_cut: bool,
}

async fn receive(
    memory: &mut [u8],
    guest: &mut Guest,
    vectors: &[(u32, u32)],
    how: How,
    waits: bool,
) -> wasmtime::Result<Result<Received, Errno>> {
    if guest.connection.has_datagrams() {
        // No datagram is longer than 16 bits count.
        let room = vectors.iter().map(|(_, len)| *len).sum::<u32>().min(u16::MAX.into());
        let mut datagram = vec![0; room as usize];
        let length = match receive_into(guest, &mut datagram, how, waits).await {
            Ok(length) => length,
            Err(errno) => return Ok(Err(errno)),
        };
        scatter(memory, vectors, &datagram[..length])?;
        let is_cut = guest.connection.datagram_size().is_some_and(|size| size > length);
        return Ok(Ok(Received { length, is_cut }));
    }
    let mut length = 0;
    for (pointer, room) in vectors {
        let mut buf = range(memory, "sock_recv", *pointer, *room)?;
        while !buf.is_empty() {
            match receive_into(guest, buf, how, waits).await {
                Ok(read) if read > 0 && how == How::All => {
                    length += read;
                    buf = &mut buf[read..];
                }
                Ok(read) => return Ok(Ok(Received { length: length + read, is_cut: false })),
                // It comes again at the next call.
                Err(_) if length > 0 => return Ok(Ok(Received { length, is_cut: false })),
                Err(errno) => return Ok(Err(errno)),
            }
        }
    }
    Ok(Ok(Received { length, is_cut: false }))
}

async fn receive_into(
    guest: &mut Guest,
    buf: &mut [u8],
    how: How,
    waits: bool,
) -> Result<usize, Errno> {
    match how {
        How::Peek => guest.connection.peek(buf, waits).await,
        How::Some | How::All if waits => guest.connection.read(buf).await,
        How::Some | How::All => guest.connection.read_now(buf).await,
    }
}

/// `fd_close` of the socket: both directions end. What was written is still delivered.
pub(super) fn close(guest: &mut Guest) -> i32 {
    if let Err(errno) = open(guest, SocketDescriptor::NUMBER) {
        return errno;
    }
    if let Some(socket) = &mut guest.socket {
        socket.closed = true;
    }
    // The connection may have been closed through `portcell_v1`: the descriptor is gone all the same.
    let _ = guest.connection.shutdown(Shutdown::Both);
    SUCCESS
}

/// `fd_fdstat_get` of the socket: its kind at 0, its flags at 2, the rights at 8.
pub(super) fn fdstat(memory: &mut [u8], guest: &Guest, stat: u32) -> wasmtime::Result<i32> {
    const READ: u64 = 1 << 1;
    const SET_FLAGS: u64 = 1 << 3;
    const WRITE: u64 = 1 << 6;
    const POLL: u64 = 1 << 27;
    const SHUTDOWN: u64 = 1 << 28;
    let flags = match open(guest, SocketDescriptor::NUMBER) {
        Ok(socket) if socket.waits => 0,
        Ok(_) => NONBLOCK,
        Err(errno) => return Ok(errno),
    };
    let stat = range(memory, "fd_fdstat_get", stat, 24)?;
    stat.fill(0);
    stat[0] = kind(guest);
    stat[2..4].copy_from_slice(&flags.to_le_bytes()[..2]);
    let rights = READ | SET_FLAGS | WRITE | POLL | SHUTDOWN;
    stat[8..16].copy_from_slice(&rights.to_le_bytes());
    Ok(SUCCESS)
}

/// `fd_fdstat_set_flags` of the socket.
pub(super) fn set_flags(guest: &mut Guest, flags: i32) -> i32 {
    if let Err(errno) = open(guest, SocketDescriptor::NUMBER) {
        return errno;
    }
    if flags & !NONBLOCK != 0 {
        return ENOTSUP;
    }
    if let Some(socket) = &mut guest.socket {
        socket.waits = flags & NONBLOCK == 0;
    }
    SUCCESS
}

/// `fd_filestat_get` of the socket: its kind at 16.
pub(super) fn filestat(memory: &mut [u8], guest: &Guest, stat: u32) -> wasmtime::Result<i32> {
    if let Err(errno) = open(guest, SocketDescriptor::NUMBER) {
        return Ok(errno);
    }
    let stat = range(memory, "fd_filestat_get", stat, 64)?;
    stat.fill(0);
    stat[16] = kind(guest);
    Ok(SUCCESS)
}

/// `fd_prestat_get` of the socket, also of one that was closed: folders may come after it.
pub(super) fn prestat(memory: &mut [u8], prestat: u32) -> wasmtime::Result<i32> {
    let prestat = range(memory, "fd_prestat_get", prestat, 8)?;
    prestat.fill(0);
    prestat[0] = NO_FOLDER;
    Ok(SUCCESS)
}

/// Whether the socket can be waited for.
pub(super) fn is_open(guest: &Guest) -> bool {
    open(guest, SocketDescriptor::NUMBER).is_ok()
}

fn kind(guest: &Guest) -> u8 {
    if guest.connection.has_datagrams() { SOCKET_DGRAM } else { SOCKET_STREAM }
}
