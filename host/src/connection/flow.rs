//! The datagrams of one UDP peer: what its connection has in place of a socket, which all the
//! peers of a listener share.
//!
//! What comes in waits in a queue of the flow's own, what goes out in the outbox of the socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc::UnboundedSender;

use super::feed::{Datagram, Empty, Ended, Feed, Nothing, Shared, weight};
use super::outbox::{Outbox, Outgoing};
use super::socket::{KernelEvents, canonical};
use crate::account::Account;

/// The longest payload over IPv4, in bytes: what 16 bits count, without the headers of IP and UDP.
pub(super) const LONGEST_4: usize = 65_507;

/// The longest payload over IPv6, in bytes: its length does not count the header of IP.
pub(super) const LONGEST_6: usize = 65_527;

/// A flow, as its guest has it. Dropping it ends the flow: what comes later from this peer begins
/// another.
#[derive(Debug)]
pub struct Flow {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    reply_factor: Option<NonZeroU32>,
    /// Bytes sent, an empty datagram counted as one.
    sent: u64,
    /// The size of the datagram that was read last.
    size: Option<usize>,
    empty: Empty,
    over: UnboundedSender<Ended>,
}

/// From where to where datagrams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    /// The peer, as the kernel names it.
    pub(crate) peer: SocketAddr,
    /// What it sends to: an address of this machine, or a group or network that it is in.
    pub(crate) local: SocketAddr,
    /// Where answers leave from; `None` leaves it to the kernel.
    pub(crate) source: Option<Source>,
}

/// Where a datagram leaves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    /// An address of this machine.
    pub(crate) ip: IpAddr,
    /// The number of the interface where the address means something, 0 if it does everywhere.
    pub(crate) interface: u32,
}

/// What bounds a flow beside the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Datagrams that wait for the guest.
    pub(crate) queue: NonZeroU32,
    /// Bytes that the peer may be sent for each that came from it. Empty datagrams count as one.
    pub(crate) reply_factor: Option<NonZeroU32>,
}

impl Flow {
    /// Both ends of a new flow, which `first` begins. Its end is told to `over`.
    pub(crate) fn begin(
        ends: Ends,
        first: Datagram,
        bounds: Bounds,
        outbox: Arc<Outbox>,
        over: UnboundedSender<Ended>,
    ) -> (Self, Feed) {
        let shared = Shared::new(ends, first, bounds.queue);
        let feed = Feed::new(&shared);
        let reply_factor = bounds.reply_factor;
        let flow =
            Self { shared, outbox, reply_factor, sent: 0, size: None, empty: Empty::Read, over };
        (flow, feed)
    }

    /// Whose flow it is: from now on it can be ended early.
    pub(super) fn belongs_to(&self, account: &Arc<Account>) {
        self.shared.belongs_to(account);
    }

    /// From now on empty datagrams are passed over: a byte stream has none.
    pub(super) const fn skip_empty(&mut self) {
        self.empty = Empty::Skip;
    }

    pub(super) fn peer(&self) -> SocketAddr {
        canonical(self.shared.ends().peer)
    }

    pub(super) fn local(&self) -> SocketAddr {
        canonical(self.shared.ends().local)
    }

    /// The size of the datagram that was read last, also of one that was cut.
    pub(super) const fn size(&self) -> Option<usize> {
        self.size
    }

    /// The longest payload that the peer can be sent.
    pub(super) fn longest(&self) -> usize {
        if self.peer().is_ipv4() { LONGEST_4 } else { LONGEST_6 }
    }

    /// The next datagram, cut to `buf`. `UnexpectedEof` when none will come any more.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.try_read(buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Poll::Ready(read),
        }
        // One may have come before there was someone to wake.
        self.shared.register(cx.waker());
        match self.try_read(buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            read => Poll::Ready(read),
        }
    }

    pub(super) fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let datagram = self.shared.take(self.empty).map_err(|nothing| match nothing {
            Nothing::Now => io::ErrorKind::WouldBlock,
            Nothing::Ever => io::ErrorKind::UnexpectedEof,
        })?;
        self.size = Some(datagram.size);
        let length = datagram.bytes.len().min(buf.len());
        buf[..length].copy_from_slice(&datagram.bytes[..length]);
        Ok(length)
    }

    /// Sends `bytes` as one datagram, which is not too long. `QuotaExceeded` if the peer has not
    /// sent enough for it, and it is lost; `BrokenPipe` when there is no socket any more.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
        self.shared.register(cx.waker());
        match self.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            written => Poll::Ready(written),
        }
    }

    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.sent.saturating_add(weight(bytes.len()));
        if let Some(factor) = self.reply_factor
            && sent > self.shared.received().saturating_mul(u64::from(factor.get()))
        {
            self.outbox.keeps_back();
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        if !self.shared.has_room() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let datagram = Outgoing::new(bytes, &self.shared);
        self.outbox.push(datagram).map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.sent = sent;
        Ok(bytes.len())
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, Self::is_readable)
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, Self::is_writable)
    }

    pub(super) fn events(&self) -> KernelEvents {
        KernelEvents {
            readable: self.is_readable(),
            writable: self.is_writable(),
            failed: false,
            over: self.outbox.is_closed() && self.shared.is_over(),
        }
    }

    fn poll_until(&self, cx: &Context<'_>, ready: impl Fn(&Self) -> bool) -> Poll<()> {
        self.shared.register(cx.waker());
        if ready(self) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_readable(&self) -> bool {
        self.shared.is_readable(self.empty)
    }

    fn is_writable(&self) -> bool {
        self.shared.has_room() || self.outbox.is_closed()
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // Nobody wants to know when the socket is gone.
        let _ = self.over.send(self.shared.end());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::{Wake, Waker};

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::super::feed::{OUTGOING, Undelivered, WAITING};
    use super::*;

    /// How often a guest was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    impl Woken {
        /// Since this was last asked.
        fn times(&self) -> usize {
            self.0.swap(0, SeqCst)
        }
    }

    struct Both {
        flow: Flow,
        feed: Feed,
        outbox: Arc<Outbox>,
        over: UnboundedReceiver<Ended>,
    }

    fn datagram(text: &str) -> Datagram {
        Datagram { bytes: text.as_bytes().into(), size: text.len() }
    }

    /// A flow that `first` has begun, with room for 3 datagrams.
    fn flow(first: &str, reply_factor: Option<u32>) -> Both {
        let address = |text: &str| text.parse().unwrap();
        let ends = Ends { peer: address("[::1]:5"), local: address("[::1]:6"), source: None };
        let bounds = Bounds {
            queue: NonZeroU32::new(3).unwrap(),
            reply_factor: reply_factor.and_then(NonZeroU32::new),
        };
        let outbox = Arc::<Outbox>::default();
        let (said, over) = unbounded_channel();
        let (flow, feed) = Flow::begin(ends, datagram(first), bounds, Arc::clone(&outbox), said);
        Both { flow, feed, outbox, over }
    }

    impl Both {
        fn deliver(&self, text: &str) -> bool {
            let delivered = self.feed.deliver(text.len(), || datagram(text));
            delivered.is_ok()
        }

        /// The next datagram, or why there is none.
        fn read(&mut self) -> Result<String, io::ErrorKind> {
            let mut buf = [0; 100];
            let read = self.flow.try_read(&mut buf).map_err(|error| error.kind())?;
            Ok(String::from_utf8(buf[..read].into()).unwrap())
        }

        fn write(&mut self, length: usize) -> Result<usize, io::ErrorKind> {
            self.flow.try_write(&vec![0; length]).map_err(|error| error.kind())
        }
    }

    #[test]
    fn datagrams_are_read_in_order_and_whole_and_the_end_comes_after_them() {
        let mut both = flow("one", None);
        assert!(both.deliver("") && both.deliver("three"));
        assert_eq!(both.read().unwrap(), "one");
        assert_eq!(both.read().unwrap(), "");
        let Both { mut flow, feed, .. } = both;
        drop(feed);
        let mut buf = [0; 2];
        assert_eq!(flow.try_read(&mut buf).unwrap(), 2);
        assert_eq!((&buf, flow.size()), (b"th", Some(5)));
        let end = flow.try_read(&mut buf).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
        assert!(flow.events().readable && !flow.events().over);
    }

    #[test]
    fn what_there_is_no_room_for_is_refused_until_some_is_read() {
        let mut both = flow("1", None);
        assert!(both.deliver("2") && both.deliver("3"));
        assert!(!both.deliver("4"), "over the number");
        assert_eq!(both.read().unwrap(), "1");
        assert!(both.deliver(&"x".repeat(WAITING)), "one may exceed the bytes");
        assert_eq!(both.read().unwrap(), "2");
        assert!(!both.deliver("5"), "over the bytes");
    }

    #[test]
    fn a_stream_has_no_empty_datagrams() {
        let mut both = flow("", None);
        assert!(both.flow.events().readable);
        both.flow.skip_empty();
        assert!(!both.flow.events().readable);
        assert_eq!(both.read(), Err(io::ErrorKind::WouldBlock));
        assert!(both.deliver("") && both.deliver("x"));
        assert!(both.flow.events().readable);
        assert_eq!(both.read().unwrap(), "x");
    }

    #[test]
    fn answers_may_be_so_many_times_what_came() {
        let mut both = flow("12345", Some(2));
        assert_eq!(both.write(7), Ok(7));
        assert_eq!(both.write(4), Err(io::ErrorKind::QuotaExceeded));
        assert_eq!(both.write(3), Ok(3), "the whole of it");
        assert_eq!(both.write(0), Err(io::ErrorKind::QuotaExceeded), "empty ones count");
        assert!(both.deliver(""), "as one byte");
        assert_eq!((both.write(0), both.write(1)), (Ok(0), Ok(1)));
        assert_eq!(both.outbox.take_unsent(), 2);
        assert_eq!(both.outbox.take_unsent(), 0);
        assert_eq!(both.outbox.take(100).len(), 4);
    }

    #[test]
    fn a_flow_has_room_for_so_many_and_gets_it_back_when_they_are_gone() {
        let mut both = flow("x", None);
        for _ in 0..OUTGOING {
            assert_eq!(both.write(1), Ok(1));
        }
        assert_eq!(both.write(1), Err(io::ErrorKind::WouldBlock));
        assert!(!both.flow.events().writable);
        let taken = both.outbox.take(2);
        both.outbox.put_back(taken.into_iter());
        assert_eq!(both.write(1), Err(io::ErrorKind::WouldBlock), "they are not gone yet");
        drop(both.outbox.take(1));
        assert_eq!(both.write(WAITING), Ok(WAITING));
        drop(both.outbox.take(OUTGOING - 1));
        assert_eq!(both.write(1), Err(io::ErrorKind::WouldBlock), "over the bytes");
        both.outbox.close();
        assert!(both.flow.events().writable);
        assert_eq!(both.write(1), Err(io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn only_a_guest_that_had_no_room_is_woken_when_its_answers_leave() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut both = flow("x", None);
        both.read().unwrap();
        assert!(both.flow.poll_read(&mut cx, &mut [0]).is_pending());
        for _ in 0..OUTGOING - 1 {
            both.write(1).unwrap();
        }
        drop(both.outbox.take(OUTGOING));
        assert_eq!(woken.times(), 0, "it waits for its peer");
        both.deliver("y");
        assert_eq!(woken.times(), 1);
        both.read().unwrap();

        for length in [1, WAITING / 2] {
            while both.write(length).is_ok() {}
            assert!(both.flow.poll_write(&mut cx, b"z").is_pending());
            drop(both.outbox.take(1));
            assert_eq!(woken.times(), 1, "there is room, of {length} bytes");
            drop(both.outbox.take(OUTGOING));
            assert_eq!(woken.times(), 0);
        }
        both.write(1).unwrap();
        assert!(both.flow.poll_readable(&mut cx).is_pending());
        both.outbox.close();
        assert_eq!(woken.times(), 1, "the socket is gone");
    }

    #[test]
    fn what_was_not_read_is_given_back_but_for_the_first() {
        for (reads, rest) in [(0, &["two", ""][..]), (1, &["two", ""]), (2, &[""])] {
            let mut both = flow("one", None);
            assert!(both.deliver("two") && both.deliver(""));
            for _ in 0..reads {
                both.read().unwrap();
            }
            let Both { flow, feed, mut over, .. } = both;
            drop(flow);
            let ended = over.try_recv().unwrap();
            assert!(feed.is(&ended));
            let rest: Vec<_> = rest.iter().map(|text| datagram(text)).collect();
            assert_eq!(ended.rest, rest, "{reads} were read");
            assert!(matches!(feed.deliver(1, || datagram("x")), Err(Undelivered::Over(_))));
        }
    }
}
