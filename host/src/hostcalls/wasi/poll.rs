//! `poll_oneoff` of WASI preview 1, on the connection's one way to wait.

use std::time::Duration;

use portcell_abi::poll as bits;
use wasmtime::Caller;

use crate::guest::{Guest, range, split};
use crate::plugin::Entry;

use super::stdio::{Whose, whose};
use super::{EBADF, EINVAL, SUCCESS, clock_now, socket};

/// `subscription`: the guest's word at 0, the kind at 8, the rest from 16.
const SUBSCRIPTION: u32 = 48;

/// `event`: the guest's word at 0, an errno at 8, the kind at 10, flags at 24.
const EVENT: u32 = 32;

/// Subscriptions of one call.
const MOST: u32 = 64;

const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;

struct Subscription {
    word: [u8; 8],
    kind: u8,
    wait: Wait,
}

/// What a subscription waits for.
enum Wait {
    Timer(Duration),
    /// A bit of the connection's.
    Connection(u16),
    /// Nothing: it is always ready.
    Nothing,
    /// It cannot be waited for.
    Error(i32),
}

pub(super) async fn poll_oneoff(
    caller: &mut Caller<'_, Guest>,
    subscriptions: u32,
    events: u32,
    count: u32,
    ready: u32,
) -> wasmtime::Result<i32> {
    let (memory, guest) = split(caller)?;
    if count == 0 || count > MOST {
        return Ok(EINVAL);
    }
    range(memory, "poll_oneoff", events, count * EVENT)?;
    range(memory, "poll_oneoff", ready, 4)?;
    let asked: Vec<Subscription> =
        range(memory, "poll_oneoff", subscriptions, count * SUBSCRIPTION)?
            .chunks_exact(SUBSCRIPTION as usize)
            .map(|bytes| subscription(guest, bytes))
            .collect();

    let mut timeout: Option<Duration> = None;
    let mut wanted = 0;
    for subscription in &asked {
        let bound = match subscription.wait {
            Wait::Timer(after) => after,
            Wait::Connection(bit) => {
                wanted |= bit;
                continue;
            }
            Wait::Nothing | Wait::Error(_) => Duration::ZERO,
        };
        timeout = Some(timeout.map_or(bound, |timeout| timeout.min(bound)));
    }
    let found = if wanted == 0 {
        guest.connection.sleep(timeout).await;
        0
    } else {
        guest.connection.poll(wanted, timeout).await
    };

    let mut place = range(memory, "poll_oneoff", events, count * EVENT)?;
    let mut happened = 0_u32;
    for subscription in &asked {
        let (errno, hangup) = match subscription.wait {
            Wait::Connection(bit) if found & (bit | !bits::ASKABLE) != 0 => {
                (SUCCESS, found & bits::OVER != 0)
            }
            // Nothing else happened, so the nearest timer ran out: it and those as near.
            Wait::Timer(after) if found == 0 && timeout == Some(after) => (SUCCESS, false),
            Wait::Nothing => (SUCCESS, false),
            Wait::Error(errno) => (errno, false),
            Wait::Connection(_) | Wait::Timer(_) => continue,
        };
        let (event, rest) = place.split_at_mut(EVENT as usize);
        event.fill(0);
        event[..8].copy_from_slice(&subscription.word);
        event[8..10].copy_from_slice(&errno.to_le_bytes()[..2]);
        event[10] = subscription.kind;
        if subscription.kind != CLOCK && errno == SUCCESS {
            // How much there is to read or room to write is not known; one byte is sure.
            event[16..24].copy_from_slice(&1_u64.to_le_bytes());
            event[24..26].copy_from_slice(&u16::from(hangup).to_le_bytes());
        }
        place = rest;
        happened += 1;
    }
    range(memory, "poll_oneoff", ready, 4)?.copy_from_slice(&happened.to_le_bytes());
    Ok(SUCCESS)
}

fn subscription(guest: &Guest, bytes: &[u8]) -> Subscription {
    let u32_at =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    let kind = bytes[8];
    let wait = match kind {
        CLOCK => {
            let clock = u32_at(16).cast_signed();
            let time = Duration::from_nanos(u64_at(24));
            let absolute = bytes[40] & 1 != 0;
            match clock_now(guest, clock) {
                Some(now) if absolute => Wait::Timer(time.saturating_sub(now)),
                Some(_) => Wait::Timer(time),
                None => Wait::Error(EINVAL),
            }
        }
        FD_READ | FD_WRITE => descriptor(guest, u32_at(16), kind),
        _ => Wait::Error(EINVAL),
    };
    Subscription { word, kind, wait }
}

fn descriptor(guest: &Guest, fd: u32, kind: u8) -> Wait {
    let bit = if kind == FD_READ { bits::READABLE } else { bits::WRITABLE };
    match whose(guest, fd.cast_signed()) {
        Whose::Stdio => {}
        Whose::Socket if socket::is_open(guest) => return Wait::Connection(bit),
        Whose::Socket => return Wait::Error(EBADF),
        // Files never wait. One that is not open says so when it is used.
        Whose::Library => return Wait::Nothing,
    }
    match (fd, kind) {
        (0, FD_READ) if guest.stdio_closed[0] => Wait::Error(EBADF),
        (1, FD_WRITE) if guest.stdio_closed[1] => Wait::Error(EBADF),
        (0, FD_READ) | (1, FD_WRITE) if guest.entry == Entry::Command => Wait::Connection(bit),
        (0, FD_READ) | (1 | 2, FD_WRITE) => Wait::Nothing,
        _ => Wait::Error(EBADF),
    }
}
