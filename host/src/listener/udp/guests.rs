//! The guests of a socket's flows, run by the loop of the socket itself: it wakes those that have
//! got something, runs them, and sends what they have written, without a call of another thread.
//!
//! That is for guests that move bytes. When a round of them takes long, those that compute go to
//! tasks of their own, which any thread can run, and come back after a while.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::socket::Datagrams;
use super::thread::Thread;

/// CPU time that a round of guests may take. Without it datagrams would wait for guests that
/// compute while other processors have nothing to do.
const LONG: Duration = Duration::from_micros(500);

/// CPU time after which those that were not run yet in a round leave. Without it newcomers that
/// compute would hold up a socket one after the other.
const OVER: Duration = Duration::from_millis(5);

/// What a guest may use in a round, if rounds take long: ten times what moving a datagram takes.
const LIGHT: Duration = Duration::from_micros(10);

/// For so many times as long as a long round has taken, guests are watched, and newcomers begin in
/// tasks of their own.
const WATCH: u32 = 16;

/// How long a guest that computes stays in a task of its own.
const STAY: Duration = Duration::from_secs(1);

/// The work of one flow.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The guests of one socket's flows. What is left of their work when this is dropped goes on in
/// tasks.
#[derive(Debug)]
pub(super) struct Guests {
    here: FuturesUnordered<Resident>,
    bell: Arc<Bell>,
    /// Until when each of them is watched.
    watch: Option<Instant>,
    round: Arc<Round>,
    /// Where they go that compute.
    away: Handle,
    /// Their timers are that thread's, wherever they are.
    thread: Option<Arc<Thread>>,
    back: mpsc::UnboundedSender<Work>,
    /// At most one for each that has left.
    returning: mpsc::UnboundedReceiver<Work>,
}

/// Rung when one of them can go on, or comes back.
#[derive(Debug, Default)]
struct Bell {
    rang: AtomicBool,
    hears: AtomicWaker,
}

/// Somebody waits for the bell. Who does something else is not called: a task that is woken while it
/// runs makes tokio call another thread for it.
struct Hearing<'a>(&'a Bell);

/// One that is run here. Its output is what is left to do elsewhere.
struct Resident {
    work: Option<Work>,
    round: Arc<Round>,
}

/// The round that is run, for those that are run in it.
#[derive(Debug, Default)]
struct Round {
    is_watched: AtomicBool,
    /// When it began, by the clock and by the thread's CPU clock.
    began: Mutex<Option<(std::time::Instant, Duration)>>,
    is_over: AtomicBool,
}

impl Guests {
    /// Those of this socket. Those that compute, and what is left in the end, are tasks in `away`.
    pub(super) fn new(datagrams: &Datagrams, away: Handle) -> Self {
        let (back, returning) = mpsc::unbounded_channel();
        Self {
            here: FuturesUnordered::new(),
            bell: Arc::default(),
            watch: None,
            round: Arc::default(),
            away,
            thread: datagrams.thread(),
            back,
            returning,
        }
    }

    /// Takes in a guest. It begins in the next round.
    pub(super) fn take_in(&mut self, work: Work) {
        if self.is_watching() {
            self.send_away(work);
        } else {
            self.settle(work);
            self.bell.wake_by_ref();
        }
    }

    /// Whether one of them can go on.
    pub(super) fn can_go_on(&self) -> bool {
        self.bell.rang.load(SeqCst)
    }

    /// Waits for that. Safe to cancel.
    pub(super) fn rings(&self) -> impl Future<Output = ()> + Send + use<'_> {
        let hearing = Hearing(&self.bell);
        poll_fn(move |cx| {
            let bell = hearing.0;
            bell.hears.register(cx.waker());
            if bell.rang.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    /// Runs those that can go on. Never waits.
    pub(super) fn run(&mut self) {
        self.bell.rang.store(false, SeqCst);
        let is_watching = self.is_watching();
        let began = self.round.begins(is_watching);
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut cx = Context::from_waker(&waker);
        while let Poll::Ready(Some(work)) = self.returning.poll_recv(&mut cx) {
            self.settle(work);
        }
        while let Poll::Ready(Some(left)) = self.here.poll_next_unpin(&mut cx) {
            if let Some(work) = left {
                self.send_away(work);
            }
        }
        let took = cpu_time().saturating_sub(began);
        if took > LONG {
            self.watch = Some(Instant::now() + took * WATCH);
        }
    }

    fn settle(&self, work: Work) {
        let round = Arc::clone(&self.round);
        self.here.push(Resident { work: Some(work), round });
    }

    fn send_away(&self, work: Work) {
        let (back, thread) = (self.back.clone(), self.thread.clone());
        self.away.spawn(async move {
            elsewhere(work, back).await;
            drop(thread);
        });
    }

    fn is_watching(&mut self) -> bool {
        self.watch = self.watch.filter(|until| Instant::now() < *until);
        self.watch.is_some()
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        self.returning.close();
        while let Ok(work) = self.returning.try_recv() {
            self.send_away(work);
        }
        for resident in std::mem::take(&mut self.here) {
            if let Some(work) = resident.work {
                self.send_away(work);
            }
        }
    }
}

impl Round {
    /// Gives the CPU time of its beginning.
    fn begins(&self, is_watched: bool) -> Duration {
        let began = cpu_time();
        self.is_watched.store(is_watched, Relaxed);
        self.is_over.store(false, Relaxed);
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((std::time::Instant::now(), began));
        began
    }

    /// Looks whether it is over. The CPU clock is asked where the other one, which costs nothing,
    /// does not know.
    fn goes_on(&self) {
        let began = *self.began.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = began.is_some_and(|(clock, cpu)| {
            clock.elapsed() > OVER && cpu_time().saturating_sub(cpu) > OVER
        });
        if is_over {
            self.is_over.store(true, Relaxed);
        }
    }
}

impl Future for Resident {
    type Output = Option<Work>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.round.is_over.load(Relaxed) {
            return Poll::Ready(self.work.take());
        }
        let began = self.round.is_watched.load(Relaxed).then(cpu_time);
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        // What one panics with ends that one, as it would end a task. The panic is told already.
        let run = || pin!(unconstrained(work.as_mut())).poll(cx);
        let polled = catch_unwind(AssertUnwindSafe(run));
        self.round.goes_on();
        match polled.unwrap_or(Poll::Ready(())) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => match began {
                Some(began) if cpu_time().saturating_sub(began) > LIGHT => {
                    Poll::Ready(self.work.take())
                }
                _ => Poll::Pending,
            },
        }
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        self.0.hears.take();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, SeqCst);
        self.hears.wake();
    }
}

/// Does work in a task of its own, and brings back what is left of it when it waits after its stay.
async fn elsewhere(work: Work, back: mpsc::UnboundedSender<Work>) {
    let until = Instant::now() + STAY;
    let mut left = Some(work);
    poll_fn(|cx| {
        let Some(work) = &mut left else { return Poll::Ready(()) };
        match work.as_mut().poll(cx) {
            Poll::Ready(()) => left = None,
            Poll::Pending if Instant::now() < until => return Poll::Pending,
            Poll::Pending => {}
        }
        Poll::Ready(())
    })
    .await;
    if let Some(work) = left
        && let Err(mpsc::error::SendError(work)) = back.send(work)
    {
        work.await;
    }
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::thread::{self, ThreadId};

    use tokio::sync::oneshot;
    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;
    use crate::listener::Bound;

    fn guests() -> Guests {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = Bound::Udp(socket.local_addr().unwrap());
        Guests::new(&Datagrams::new(socket, address).unwrap(), Handle::current())
    }

    fn computes(time: Duration) {
        let until = cpu_time() + time;
        while cpu_time() < until {}
    }

    /// A guest that does what it is sent, and says when it has; dropped, it ends.
    struct Guest {
        orders: mpsc::UnboundedSender<fn()>,
        done: mpsc::UnboundedReceiver<ThreadId>,
    }

    impl Guest {
        fn of(guests: &mut Guests) -> Self {
            let (orders, mut ordered) = mpsc::unbounded_channel::<fn()>();
            let (says, done) = mpsc::unbounded_channel();
            guests.take_in(Box::pin(async move {
                while let Some(order) = ordered.recv().await {
                    order();
                    says.send(thread::current().id()).unwrap();
                }
            }));
            guests.run();
            Self { orders, done }
        }

        fn is_told(&self, order: fn()) {
            self.orders.send(order).unwrap();
        }

        fn has_done(&mut self) -> bool {
            self.done.try_recv().is_ok()
        }
    }

    /// Lets tasks run.
    async fn others_run() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_woken_is_run_in_the_next_round_and_nobody_else() {
        let mut guests = guests();
        let [mut one, mut other] = [(); 2].map(|()| Guest::of(&mut guests));
        assert!(!guests.can_go_on());
        one.is_told(|| {});
        guests.rings().await;
        others_run().await;
        assert!(!one.has_done(), "it is no task");
        guests.run();
        assert!(one.has_done() && !other.has_done() && !guests.can_go_on());
        drop(one);
        other.is_told(|| {});
        guests.run();
        assert!(other.has_done());
        assert_eq!(guests.here.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn where_rounds_take_long_those_who_compute_leave_and_come_back() {
        const LIGHT_ONES: usize = 20;

        let mut guests = guests();
        let mut heavy = Guest::of(&mut guests);
        for _ in 0..2 {
            let mut light: Vec<_> = (0..LIGHT_ONES).map(|_| Guest::of(&mut guests)).collect();
            // The first round shows that it takes long, the second one by whom.
            for _ in 0..2 {
                heavy.is_told(|| computes(2 * LONG));
                for guest in &light {
                    guest.is_told(|| {});
                }
                guests.run();
                assert!(heavy.has_done() && light.iter_mut().all(Guest::has_done));
            }
            // A machine can be slow at the wrong moment, but not for most of them.
            assert!((LIGHT_ONES / 2..=LIGHT_ONES).contains(&guests.here.len()));
            heavy.is_told(|| {});
            guests.run();
            assert!(!heavy.has_done());
            others_run().await;
            assert!(heavy.has_done(), "it is a task");
            advance(STAY).await;
            heavy.is_told(|| {});
            others_run().await;
            assert!(heavy.has_done(), "it was a task until then");
            guests.rings().await;
            guests.run();
            heavy.is_told(|| {});
            others_run().await;
            assert!(!heavy.has_done());
            guests.run();
            assert!(heavy.has_done(), "it is back");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_are_not_run_before_a_round_is_over_are_run_elsewhere() {
        let mut guests = guests();
        let mut all: Vec<_> = (0..5).map(|_| Guest::of(&mut guests)).collect();
        for guest in &all {
            guest.is_told(|| computes(2 * OVER));
        }
        guests.run();
        let done: Vec<_> = all.iter_mut().map(Guest::has_done).collect();
        assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");
        others_run().await;
        let done: Vec<_> = all.iter_mut().map(Guest::has_done).collect();
        assert_eq!(done.iter().filter(|done| **done).count(), 4, "{done:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_do_not_add_to_rounds_that_take_long() {
        let mut guests = guests();
        let heavy = Guest::of(&mut guests);
        heavy.is_told(|| computes(2 * LONG));
        guests.run();
        let mut newcomer = Guest::of(&mut guests);
        newcomer.is_told(|| {});
        guests.run();
        assert!(!newcomer.has_done());
        others_run().await;
        assert!(newcomer.has_done());
        advance(Duration::from_secs(1)).await;
        let mut later = Guest::of(&mut guests);
        later.is_told(|| {});
        guests.run();
        assert!(later.has_done());
    }

    #[tokio::test]
    async fn one_that_panics_ends_alone() {
        let mut guests = guests();
        let [one, mut other] = [(); 2].map(|()| Guest::of(&mut guests));
        one.is_told(|| panic!("on purpose"));
        other.is_told(|| {});
        guests.run();
        // What is said of a panic can take longer than a round may.
        others_run().await;
        assert!(other.has_done());
        assert!(one.orders.send(|| {}).is_err(), "it is gone");
    }

    #[tokio::test]
    async fn what_is_left_goes_on_without_the_loop() {
        let mut guests = guests();
        let (ends, mut ended) = oneshot::channel::<()>();
        let mut one = Guest::of(&mut guests);
        guests.take_in(Box::pin(async move { drop(ends) }));
        drop(guests);
        assert!((&mut ended).await.is_err());
        one.is_told(|| {});
        assert!(one.done.recv().await.is_some());
    }
}
