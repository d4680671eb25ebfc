//! A stream in memory, in place of a socket: for a handler that is rehearsed, whose client has to be
//! exact to the byte.
//!
//! It behaves as TCP does: what was sent before an end or a reset can still be read, and writes fail
//! from a reset on.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::socket::KernelEvents;

/// The client, as guests are told: of the addresses that are for examples (RFC 5737).
pub(super) const PEER: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 50_000);

/// This side, as guests are told.
pub(super) const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 7000);

/// The guest's end. When it is dropped, the client finds the end after what was written.
#[derive(Debug)]
pub struct Pipe(Arc<Shared>);

/// The client's end. Dropping it does nothing: whoever plays the client says how it ends.
#[derive(Debug)]
pub struct PipeClient(Arc<Shared>);

/// Where the client leaves early, exact to the byte. What it sends beyond that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It resets when the guest has read so many bytes.
    ResetAfterRead(u64),
    /// It resets when the guest has written so many bytes; more are not taken.
    ResetAfterWritten(u64),
    /// It ends its side when the guest has read so many bytes.
    EndAfterRead(u64),
}

/// What the client finds when it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes.
    Bytes(usize),
    /// The guest sends no more.
    End,
    /// The stream was reset, by either side.
    Reset,
}

#[derive(Debug)]
struct Shared(Mutex<State>);

#[derive(Debug)]
struct State {
    /// What the guest has not read yet.
    input: VecDeque<u8>,
    input_ended: bool,
    read: u64,
    /// What the client has not read yet, never more than there is room for.
    output: VecDeque<u8>,
    room: usize,
    output_ended: bool,
    written: u64,
    cut: Option<Cut>,
    /// Who has reset it first.
    reset_by: Option<Side>,
    closed: bool,
    /// Each side has one task, which waits for whatever happens.
    guest: Option<Waker>,
    client: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Guest,
    Client,
}

impl Pipe {
    /// Both ends of a new stream. What the guest writes waits when the client has left so many
    /// bytes unread; what the client sends never does, so that is for the client to bound.
    pub fn new(room: usize, cut: Option<Cut>) -> (Self, PipeClient) {
        let mut state = State {
            input: VecDeque::new(),
            input_ended: false,
            read: 0,
            output: VecDeque::new(),
            room,
            output_ended: false,
            written: 0,
            cut,
            reset_by: None,
            closed: false,
            guest: None,
            client: None,
        };
        state.cut_if_due();
        let shared = Arc::new(Shared(Mutex::new(state)));
        (Self(Arc::clone(&shared)), PipeClient(shared))
    }

    pub(super) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.lock().read(buf)
    }

    pub(super) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().write(buf)
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |state| state.read(buf))
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, |state| state.write(buf))
    }

    /// Ready when these events are `wanted`.
    pub(super) fn poll_events(
        &self,
        cx: &mut Context<'_>,
        wanted: impl Fn(KernelEvents) -> bool,
    ) -> Poll<()> {
        let there = |state: &mut State| {
            if wanted(state.events()) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        };
        self.poll(cx, there).map(|_| ())
    }

    pub(super) fn events(&self) -> KernelEvents {
        self.0.lock().events()
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.is_reset_by_client() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        state.output_ended = true;
        state.wake_client();
        Ok(())
    }

    pub(super) fn reset(&self) {
        let mut state = self.0.lock();
        state.reset_by.get_or_insert(Side::Guest);
        state.wake_client();
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        attempt: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let mut state = self.0.lock();
        match attempt(&mut state) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                state.guest = Some(cx.waker().clone());
                Poll::Pending
            }
            done => Poll::Ready(done),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.wake_client();
    }
}

impl PipeClient {
    /// Sends. What the guest does not take any more is lost.
    pub fn send(&self, bytes: &[u8]) {
        let mut state = self.0.lock();
        if state.is_open() && !state.input_ended {
            state.input.extend(bytes);
            state.wake_guest();
        }
    }

    /// Sends no more.
    pub fn end(&self) {
        let mut state = self.0.lock();
        state.input_ended = true;
        state.wake_guest();
    }

    /// Resets the stream.
    pub fn reset(&self) {
        let mut state = self.0.lock();
        state.reset_by.get_or_insert(Side::Client);
        state.wake_guest();
    }

    /// Waits for bytes, and adds `most` of them to `to`; or for the end. What was written before a
    /// reset comes first.
    pub fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        most: usize,
        to: &mut Vec<u8>,
    ) -> Poll<Received> {
        let mut state = self.0.lock();
        let count = state.output.len().min(most);
        if count > 0 {
            to.extend(state.output.drain(..count));
            state.wake_guest();
            return Poll::Ready(Received::Bytes(count));
        }
        if state.reset_by.is_some() {
            return Poll::Ready(Received::Reset);
        }
        if state.output_ended || state.closed {
            return Poll::Ready(Received::End);
        }
        state.client = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until the guest has read all that was sent, or reads no more.
    pub fn poll_read_all(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.input.is_empty() || !state.is_open() {
            return Poll::Ready(());
        }
        state.client = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the client has reset it, or has left where it was to.
    pub fn has_left(&self) -> bool {
        let state = self.0.lock();
        state.is_reset_by_client() || state.is_cut()
    }

    /// How many bytes the guest has read.
    pub fn read(&self) -> u64 {
        self.0.lock().read
    }

    /// How many bytes the guest has written.
    pub fn written(&self) -> u64 {
        self.0.lock().written
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let there = self.input.len().min(buf.len());
        let count = match self.cut {
            Some(Cut::ResetAfterRead(at) | Cut::EndAfterRead(at)) => {
                there.min(saturated(at.saturating_sub(self.read)))
            }
            _ => there,
        };
        if count > 0 {
            for (to, byte) in buf.iter_mut().zip(self.input.drain(..count)) {
                *to = byte;
            }
            self.read += count as u64;
            self.cut_if_due();
            self.wake_client();
            Ok(count)
        } else if self.is_reset_by_client() {
            Err(io::ErrorKind::ConnectionReset.into())
        } else if self.input_ended || buf.is_empty() {
            Ok(0)
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.is_reset_by_client() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = buf.len().min(self.free());
        if count == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.output.extend(&buf[..count]);
        self.written += count as u64;
        self.cut_if_due();
        self.wake_client();
        Ok(count)
    }

    /// Bytes that can be written now.
    fn free(&self) -> usize {
        let room = self.room.saturating_sub(self.output.len());
        match self.cut {
            Some(Cut::ResetAfterWritten(at)) => {
                room.min(saturated(at.saturating_sub(self.written)))
            }
            _ => room,
        }
    }

    fn cut_if_due(&mut self) {
        if self.is_cut() {
            self.input.clear();
            self.input_ended = true;
            if !matches!(self.cut, Some(Cut::EndAfterRead(_))) {
                self.reset_by.get_or_insert(Side::Client);
            }
        }
    }

    fn is_cut(&self) -> bool {
        match self.cut {
            Some(Cut::ResetAfterRead(at) | Cut::EndAfterRead(at)) => self.read >= at,
            Some(Cut::ResetAfterWritten(at)) => self.written >= at,
            None => false,
        }
    }

    fn events(&self) -> KernelEvents {
        let failed = self.is_reset_by_client();
        KernelEvents {
            readable: failed || self.input_ended || !self.input.is_empty(),
            writable: failed || self.free() > 0,
            failed,
            over: failed || (self.input_ended && self.output_ended),
        }
    }

    fn is_reset_by_client(&self) -> bool {
        self.reset_by == Some(Side::Client)
    }

    fn is_open(&self) -> bool {
        !self.closed && self.reset_by.is_none()
    }

    fn wake_guest(&mut self) {
        if let Some(waker) = self.guest.take() {
            waker.wake();
        }
    }

    fn wake_client(&mut self) {
        if let Some(waker) = self.client.take() {
            waker.wake();
        }
    }
}

fn saturated(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// What the client finds now.
    fn received(client: &PipeClient, most: usize) -> (Poll<Received>, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        (client.poll_receive(&mut cx, most, &mut bytes), bytes)
    }

    fn read(pipe: &Pipe) -> Result<Vec<u8>, ErrorKind> {
        let mut buf = [0; 16];
        let count = pipe.read(&mut buf).map_err(|error| error.kind())?;
        Ok(buf[..count].to_vec())
    }

    #[test]
    fn a_write_waits_where_the_client_has_left_too_much_unread() {
        let (pipe, client) = Pipe::new(3, None);
        assert_eq!(pipe.write(b"hello").unwrap(), 3);
        assert_eq!(pipe.write(b"lo").unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(!pipe.events().writable);
        assert_eq!(received(&client, 1), (Poll::Ready(Received::Bytes(1)), b"h".to_vec()));
        assert_eq!(pipe.write(b"lo").unwrap(), 1);
        drop(pipe);
        assert_eq!(received(&client, 9), (Poll::Ready(Received::Bytes(3)), b"ell".to_vec()));
        assert_eq!(received(&client, 9), (Poll::Ready(Received::End), Vec::new()));
    }

    #[test]
    fn a_reset_comes_after_the_byte_that_was_agreed_in_either_direction() {
        let (pipe, client) = Pipe::new(99, Some(Cut::ResetAfterRead(2)));
        client.send(b"abc");
        assert_eq!(read(&pipe).unwrap(), b"ab");
        assert_eq!(read(&pipe).unwrap_err(), ErrorKind::ConnectionReset);
        let (pipe, client) = Pipe::new(99, Some(Cut::ResetAfterWritten(2)));
        client.send(b"abc");
        assert_eq!(pipe.write(b"xyz").unwrap(), 2);
        assert_eq!(pipe.write(b"z").unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(read(&pipe).unwrap_err(), ErrorKind::ConnectionReset);
        assert_eq!(received(&client, 9).1, b"xy", "what it wrote before is there still");
        assert_eq!(received(&client, 9).0, Poll::Ready(Received::Reset));
        let (pipe, _client) = Pipe::new(99, Some(Cut::ResetAfterRead(0)));
        assert!(pipe.events().failed);
    }

    #[test]
    fn an_end_comes_after_the_byte_that_was_agreed_and_writes_go_on() {
        let (pipe, client) = Pipe::new(99, Some(Cut::EndAfterRead(2)));
        client.send(b"ab");
        assert!(!client.has_left());
        assert_eq!((read(&pipe), read(&pipe)), (Ok(b"ab".to_vec()), Ok(Vec::new())));
        assert!(client.has_left());
        client.send(b"c");
        assert_eq!(read(&pipe), Ok(Vec::new()));
        assert_eq!(pipe.write(b"xy").unwrap(), 2);
        assert_eq!(received(&client, 9), (Poll::Ready(Received::Bytes(2)), b"xy".to_vec()));
    }

    #[test]
    fn what_was_sent_before_an_end_or_a_reset_is_read_first() {
        let (pipe, client) = Pipe::new(99, None);
        client.send(b"ab");
        client.end();
        client.send(b"lost");
        assert_eq!((read(&pipe), read(&pipe)), (Ok(b"ab".to_vec()), Ok(Vec::new())));
        let (pipe, client) = Pipe::new(99, None);
        client.send(b"ab");
        client.reset();
        assert_eq!(read(&pipe), Ok(b"ab".to_vec()));
        assert_eq!(read(&pipe), Err(ErrorKind::ConnectionReset));
        assert!(pipe.shutdown_write().is_err());
    }
}
