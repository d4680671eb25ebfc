//! `read` and `write` of `portcell_v1`, which are most of what guests call: futures of their own, with
//! nothing in them but the arguments.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use portcell_abi::{self as abi, Errno};
use wasmtime::Caller;

use super::v1::result;
use crate::connection::Writing;
use crate::guest::{Guest, forget_ticks, poll_stamp, range, split};

/// A `read` under way.
pub(super) struct Read<'a> {
    caller: Caller<'a, Guest>,
    fd: i32,
    buf: u32,
    len: u32,
    /// The poll in which it began.
    began: u64,
}

/// A `write` under way.
pub(super) struct Write<'a> {
    caller: Caller<'a, Guest>,
    fd: i32,
    buf: u32,
    len: u32,
    writing: Writing,
}

impl<'a> Read<'a> {
    pub(super) fn new(caller: Caller<'a, Guest>, fd: i32, buf: u32, len: u32) -> Self {
        let began = poll_stamp(&caller);
        Self { caller, fd, buf, len, began }
    }
}

impl<'a> Write<'a> {
    pub(super) fn new(caller: Caller<'a, Guest>, fd: i32, buf: u32, len: u32) -> Self {
        Self { caller, fd, buf, len, writing: Writing::default() }
    }
}

impl Future for Read<'_> {
    type Output = wasmtime::Result<i32>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { caller, fd, buf, len, began } = &mut *self;
        let (memory, guest) = split(caller)?;
        if *len > abi::MAX_LEN {
            return Poll::Ready(Ok(Errno::Inval.result()));
        }
        let buf = range(memory, "read", *buf, *len)?;
        let read = match guest.connection(*fd) {
            Ok(connection) => ready!(connection.poll_read(cx, buf)),
            Err(errno) => Err(errno),
        };
        forget_ticks(caller, *began);
        Poll::Ready(Ok(result(read)))
    }
}

impl Future for Write<'_> {
    type Output = wasmtime::Result<i32>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { caller, fd, buf, len, writing } = &mut *self;
        let (memory, guest) = split(caller)?;
        if *len > abi::MAX_LEN {
            return Poll::Ready(Ok(Errno::Inval.result()));
        }
        let buf = range(memory, "write", *buf, *len)?;
        let written = match guest.connection(*fd) {
            Ok(connection) => ready!(connection.poll_write(cx, buf, writing)),
            Err(errno) => Err(errno),
        };
        Poll::Ready(Ok(result(written)))
    }
}
