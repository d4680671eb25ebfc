//! One client's bytes, after the handshake: what a guest sees of the world.
//!
//! Byte counts, the guest's own timeouts, half-close, the latching of errors and the closing live
//! here, once for every transport and for every face that guests see (`portcell_v1`, WASI). It
//! knows no wasm. The host's deadlines are the watchdog's.

mod close;
mod facts;
mod feed;
mod flow;
mod outbox;
mod peek;
mod pipe;
mod reading;
mod socket;
mod tls;
mod upgrade;
mod writing;

use std::borrow::Cow;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use portcell_abi::{Errno, poll as bits};
use tokio::time::Instant;

use crate::account::{Account, Excess};
use crate::exit::Closing;

pub use self::close::dismiss;
pub use self::facts::Placement;
pub(crate) use self::feed::{Datagram, Ended, Feed, Undelivered};
pub use self::flow::Flow;
pub(crate) use self::flow::{Bounds, Ends, Source};
pub(crate) use self::outbox::{Outbox, Outgoing};
pub use self::pipe::{Cut, Pipe, PipeClient, Received};
pub use self::socket::{Socket, Transport};
pub use self::tls::{HandshakeError, PeerCertificate, Secured, Tls, accept};
pub use self::upgrade::{NotSecured, Upgrade, UpgradeError};
pub(crate) use self::writing::Writing;

/// One connection. Dropping it without [`Connection::end`] closes the socket as the kernel does.
#[derive(Debug)]
pub struct Connection {
    account: Arc<Account>,
    placement: Arc<Placement>,
    link: Link,
    input: Input,
    input_timeout: Option<Duration>,
    output: Output,
    output_timeout: Option<Duration>,
    /// When the guest's own timeout ends the read or write that waits.
    bound: Option<Instant>,
    /// Bytes that may come in and go out.
    most: [u64; 2],
    /// The error of the transport, which every further call gives.
    broken: Option<Errno>,
    /// Input that the guest has looked at and not taken: some bytes of a stream, or a datagram.
    held: Option<Vec<u8>>,
    /// Whether a drain is the end of input, after what has arrived by then.
    drain_ends_input: bool,
    /// How it comes to TLS, if it can.
    upgrade: Option<Arc<dyn Upgrade>>,
    /// What a handshake has agreed on: known also when the socket is gone.
    secured: Option<Arc<Secured>>,
}

/// What the guest has left of the connection.
#[derive(Debug)]
enum Link {
    Open(Socket),
    /// The guest closed it.
    Closed,
    /// The guest reset it.
    Reset,
    /// There never was one: whether the guest has found that out.
    Absent(Arc<AtomicBool>),
}

/// The direction from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    /// The guest wants no more of it.
    Unwanted,
    /// The peer's end of stream, or the end of the flow, has been read.
    Ended,
}

/// The direction to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Open,
    /// The guest has ended it, and the peer is not told yet: most often the connection ends at
    /// once, and one call for both is half the cost.
    EndHeld,
    Ended,
    /// The peer takes no more bytes. What it sent before can still be read.
    Refused,
}

impl Link {
    /// The socket, or what a call that needs one gives.
    fn socket(&self) -> Result<&Socket, Errno> {
        match self {
            Self::Open(socket) => Ok(socket),
            Self::Closed => Err(Errno::BadFd),
            Self::Reset => Err(Errno::ConnReset),
            Self::Absent(found_out) => Err(not_there(found_out)),
        }
    }

    fn socket_mut(&mut self) -> Result<&mut Socket, Errno> {
        match self {
            Self::Open(socket) => Ok(socket),
            Self::Closed => Err(Errno::BadFd),
            Self::Reset => Err(Errno::ConnReset),
            Self::Absent(found_out) => Err(not_there(found_out)),
        }
    }
}

/// What calls give where there is no peer; notes that there was one.
fn not_there(found_out: &AtomicBool) -> Errno {
    found_out.store(true, Relaxed);
    Errno::NotConn
}

/// One of the two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Read,
    /// To the peer.
    Write,
}

/// What `shutdown` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Reading: later reads return 0.
    Read,
    /// Writing: the peer sees the end of the stream.
    Write,
    /// Both.
    Both,
    /// The connection: the peer sees a reset.
    Reset,
}

impl Connection {
    /// A connection on `socket`, which is connected and whose handshake is done.
    pub fn new(socket: Socket, account: Arc<Account>, placement: Arc<Placement>) -> Self {
        if let Socket::Flow(flow) = &socket {
            flow.belongs_to(&account);
        }
        let secured = socket.secured().map(Arc::clone);
        Self::on(Link::Open(socket), account, placement, secured)
    }

    /// A connection without a peer: every call is `NotConn`, and there are no facts. `found_out`
    /// becomes true at the first of them.
    pub fn without_peer(
        account: Arc<Account>,
        placement: Arc<Placement>,
        found_out: Arc<AtomicBool>,
    ) -> Self {
        Self::on(Link::Absent(found_out), account, placement, None)
    }

    const fn on(
        link: Link,
        account: Arc<Account>,
        placement: Arc<Placement>,
        secured: Option<Arc<Secured>>,
    ) -> Self {
        Self {
            account,
            placement,
            link,
            input: Input::Open,
            input_timeout: None,
            output: Output::Open,
            output_timeout: None,
            bound: None,
            most: [u64::MAX; 2],
            broken: None,
            held: None,
            drain_ends_input: false,
            upgrade: None,
            secured,
        }
    }

    /// Ends directions; one that has ended already stays so.
    pub fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno> {
        match &self.link {
            Link::Open(_) => {}
            Link::Closed => return Err(Errno::BadFd),
            Link::Reset => return Ok(()),
            Link::Absent(found_out) => return Err(not_there(found_out)),
        }
        if matches!(how, Shutdown::Read | Shutdown::Both) && self.input == Input::Open {
            self.input = Input::Unwanted;
        }
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.held = None;
        }
        if how != Shutdown::Read {
            self.account.write_moves();
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) && self.output == Output::Open {
            self.output = Output::EndHeld;
        }
        if how == Shutdown::Reset
            && let Link::Open(socket) = std::mem::replace(&mut self.link, Link::Reset)
        {
            socket.reset();
        }
        Ok(())
    }

    /// Sends what is held: before the guest waits, and when its slice of CPU time ends.
    pub(crate) fn flush(&mut self) {
        if self.output != Output::EndHeld {
            return;
        }
        self.output = Output::Ended;
        if let Link::Open(socket) = &self.link {
            // It fails when the peer is gone, and then there is nothing left to end.
            let _ = socket.shutdown_write();
        }
    }

    /// Ends the connection in good order and waits until the peer has ended its side, for at most
    /// 2 s and 1 MiB of its input.
    pub async fn close(&mut self) -> Result<(), Errno> {
        if let Link::Absent(found_out) = &self.link {
            return Err(not_there(found_out));
        }
        self.account.write_moves();
        match std::mem::replace(&mut self.link, Link::Closed) {
            Link::Open(socket) => {
                self.finish(socket).await;
                Ok(())
            }
            Link::Reset => Ok(()),
            Link::Closed | Link::Absent(_) => Err(Errno::BadFd),
        }
    }

    /// Sets the guest's own bound for each later call: `None` none, zero never wait.
    pub fn set_timeout(
        &mut self,
        direction: Direction,
        timeout: Option<Duration>,
    ) -> Result<(), Errno> {
        match &self.link {
            Link::Open(_) | Link::Reset => {}
            Link::Closed => return Err(Errno::BadFd),
            Link::Absent(found_out) => return Err(not_there(found_out)),
        }
        match direction {
            Direction::Read => self.input_timeout = timeout,
            Direction::Write => self.output_timeout = timeout,
        }
        Ok(())
    }

    /// Waits until one of `events` (bits of [`portcell_abi::poll`]) or one that is always
    /// reported is there, or `timeout` is over; gives those that are there, 0 after the timeout.
    ///
    /// That both directions are over ends the wait where reading or writing was asked for.
    pub async fn poll(&mut self, events: u16, timeout: Option<Duration>) -> u16 {
        self.flush();
        let moves = events & (bits::READABLE | bits::WRITABLE) != 0;
        let ends_wait = |ready: u16| if moves { ready != 0 } else { ready & !bits::OVER != 0 };
        let ready = self.events_now(events);
        if ends_wait(ready) || timeout == Some(Duration::ZERO) {
            self.forgives(ready);
            return ready;
        }
        let Ok(socket) = self.link.socket() else { return ready };
        if events & bits::WRITABLE == 0 {
            self.account.write_moves();
        }
        let mut failed = pin!(socket.failed());
        let mut heard_failed = false;
        let mut wait = |cx: &mut Context<'_>| loop {
            let wanted = |event: u16| events & event != 0;
            let readable = wanted(bits::READABLE) && socket.poll_readable(cx).is_ready();
            let writable = wanted(bits::WRITABLE) && socket.poll_writable(cx).is_ready();
            if wanted(bits::WRITABLE) && !writable {
                self.account.write_waits();
            } else if wanted(bits::READABLE) && !readable {
                self.account.waits_for_peer();
            }
            heard_failed = heard_failed || failed.as_mut().poll(cx).is_ready();
            // What was written goes out meanwhile; its errors are those of the next write.
            let _ = socket.poll_flush(cx);
            let ready = self.events_now(events);
            if ends_wait(ready) {
                return Poll::Ready(ready);
            }
            // Not so any more when the kernel was asked: register again.
            if !readable && !writable {
                return Poll::Pending;
            }
        };
        let found = match timeout {
            None => poll_fn(wait).await,
            Some(timeout) => {
                let bound = Bound::new(&self.account, timeout);
                poll_fn(|cx| bound.poll(cx, &mut wait)).await.unwrap_or(0)
            }
        };
        self.forgives(found);
        found
    }

    /// A peer that does not read is forgiven when there is room again, or the guest waits for
    /// something else only; not when it just looks at something else now and then.
    fn forgives(&self, found: u16) {
        if found & !(bits::READABLE | bits::DRAINING) != 0 {
            self.account.write_moves();
        }
    }

    /// Waits, without looking at the connection.
    pub async fn sleep(&mut self, timeout: Option<Duration>) {
        self.flush();
        self.account.write_moves();
        let link = &self.link;
        let wait = |cx: &mut Context<'_>| {
            if let Link::Open(socket) = link {
                let _ = socket.poll_flush(cx);
            }
            Poll::<()>::Pending
        };
        match timeout {
            None => poll_fn(wait).await,
            Some(timeout) => {
                let bound = Bound::new(&self.account, timeout);
                poll_fn(|cx| bound.poll(cx, wait)).await;
            }
        }
    }

    /// What is there now, asked of the kernel.
    fn events_now(&self, events: u16) -> u16 {
        let mut ready = 0;
        if self.account.is_draining() {
            ready |= events & bits::DRAINING;
        }
        let either = events & (bits::READABLE | bits::WRITABLE);
        let socket = match &self.link {
            Link::Open(socket) => socket,
            Link::Closed => return ready | bits::INVALID,
            Link::Reset => return ready | bits::FAILED | bits::OVER | either,
            Link::Absent(found_out) => {
                not_there(found_out);
                return ready | bits::FAILED | either;
            }
        };
        let kernel = socket.events();
        if self.broken.is_some() || kernel.failed {
            ready |= bits::FAILED | either;
        }
        let (no_input, no_output) = (self.input != Input::Open, self.output != Output::Open);
        if kernel.over || (no_input && no_output) {
            ready |= bits::OVER;
        }
        let drain_ends = self.drain_ends_input && self.account.is_draining();
        if no_input || self.held.is_some() || kernel.readable || drain_ends {
            ready |= events & bits::READABLE;
        }
        if no_output || kernel.writable {
            ready |= events & bits::WRITABLE;
        }
        ready
    }

    /// A fact about the connection, by its name in [`portcell_abi::FACTS`]; `None` if it does not
    /// exist here.
    pub fn info(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Link::Absent(found_out) = &self.link {
            not_there(found_out);
            return None;
        }
        if name == "tls.offered" {
            return Some(if self.upgrade_of("").is_ok() { "true" } else { "false" }.into());
        }
        facts::info(name, self.account.id(), &self.placement, self.link.socket().ok())
    }

    /// Whether there is a peer, or was one.
    pub const fn has_peer(&self) -> bool {
        !matches!(self.link, Link::Absent(_))
    }

    /// The account of this connection.
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Whether it is a flow of datagrams, not a stream of bytes. False after the guest's close.
    pub fn has_datagrams(&self) -> bool {
        self.link.socket().is_ok_and(Socket::has_datagrams)
    }

    /// The whole size of the datagram that was read last.
    pub(crate) fn datagram_size(&self) -> Option<usize> {
        self.link.socket().ok().and_then(Socket::datagram_size)
    }

    /// From now on empty datagrams are passed over: a guest that takes what it reads for a stream
    /// would see an end in each.
    pub const fn skip_empty_datagrams(&mut self) {
        if let Link::Open(Socket::Flow(flow)) = &mut self.link {
            flow.skip_empty();
        }
    }

    /// From now on a drain is the end of input, after what has arrived by then: for a guest that
    /// cannot ask whether there is one.
    pub const fn end_input_with_drain(&mut self) {
        self.drain_ends_input = true;
    }

    /// From now on this many bytes may come in and go out in all; `None` is no bound. A call that
    /// would move more does not return.
    pub(crate) fn limit_bytes(&mut self, come_in: Option<u64>, go_out: Option<u64>) {
        self.most = [come_in, go_out].map(|most| most.unwrap_or(u64::MAX));
    }

    /// What a handshake has agreed on, if there was one; also when the connection is closed.
    pub const fn secured(&self) -> Option<&Arc<Secured>> {
        self.secured.as_ref()
    }

    /// Where the connection landed.
    pub const fn placement(&self) -> &Arc<Placement> {
        &self.placement
    }

    /// Whether the peer, or the network, broke the connection. An end without TLS's goodbye is for
    /// the guest to judge.
    pub fn is_broken(&self) -> bool {
        self.is_lost() || self.output == Output::Refused
    }

    fn is_lost(&self) -> bool {
        self.broken.is_some_and(|errno| errno != Errno::ConnAborted)
    }

    /// Closes whatever is still open, as `closing` says; waits as [`Connection::close`] does.
    pub async fn end(mut self, closing: Closing) {
        let Link::Open(socket) = std::mem::replace(&mut self.link, Link::Closed) else { return };
        match closing {
            Closing::Reset => socket.reset(),
            Closing::Orderly => self.finish(socket).await,
        }
    }

    async fn finish(&self, socket: Socket) {
        // Nothing is unread and nothing more can come: the kernel's own close is in good order.
        let is_over = self.input == Input::Ended && !socket.owes_goodbye();
        if is_over || self.is_lost() {
            return;
        }
        close::linger(&self.account, socket, self.output == Output::Ended).await;
    }

    /// Whether a read or write that waits has done so for the guest's own timeout, which begins when
    /// this is asked first. It is asked after each attempt that came to nothing.
    fn has_waited(&mut self, timeout: Option<Duration>) -> bool {
        let Some(timeout) = timeout else { return false };
        if let Some(at) = self.bound {
            return self.account.recently() >= at;
        }
        self.bound = Some(alarm(&self.account, timeout));
        false
    }

    /// The read or write does not wait any more.
    fn waits_no_more(&mut self) {
        if self.bound.take().is_some() {
            self.account.clear_alarm();
        }
    }

    fn latch(&mut self, error: &io::Error) -> Errno {
        let errno = socket::errno(error);
        match errno {
            // That nothing is there now is no error of the transport.
            Errno::Again => {}
            Errno::NotConn => self.input = Input::Ended,
            // It is not the peer that takes no more datagrams.
            Errno::Pipe if self.has_datagrams() => self.output = Output::Ended,
            Errno::Pipe => self.output = Output::Refused,
            _ => self.broken = Some(errno),
        }
        errno
    }
}

/// Waits for the watchdog, which ends the connection.
async fn exceed<T>(account: &Account, excess: Excess) -> T {
    account.exceeds(excess);
    std::future::pending().await
}

/// Asks to be polled in so long; gives the moment.
fn alarm(account: &Account, timeout: Duration) -> Instant {
    // A fresh reading: the guest may have computed for a while since its last host call.
    let now = Instant::now();
    let far = Duration::from_hours(24 * 365);
    let at = now + timeout.min(far);
    account.set_alarm(at);
    at
}

/// A bound of the guest's own on one wait.
struct Bound<'a> {
    account: &'a Account,
    at: Instant,
}

impl<'a> Bound<'a> {
    fn new(account: &'a Account, timeout: Duration) -> Self {
        Self { account, at: alarm(account, timeout) }
    }

    /// `Some` when `wait` is ready, `None` when the bound has run out first.
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut wait: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Option<T>> {
        if let Poll::Ready(output) = wait(cx) {
            return Poll::Ready(Some(output));
        }
        if self.account.recently() >= self.at { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        self.account.clear_alarm();
    }
}
