//! When guests have their turn: those that have got something are woken together, and those that
//! are about to answer do so before the loop sends, so that one call sends what all of them write.
//! It never waits for an answer: who does not write in that turn is not waited for.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

use super::socket::BATCH;

/// How long a turn of guests may take. Without it answers would wait for guests that compute.
const LONG: Duration = Duration::from_micros(500);

/// After a turn that was longer, for so many times as long, guests are woken and answers go out at
/// once. Without it most of the time could be such turns; if it were fixed, one thread that had to
/// wait for a processor would count as much as guests that compute.
const HASTE: u32 = 16;

/// Whether answers are expected, and whether there is time for them.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Datagrams that flows have got and may still answer.
    expected: usize,
    /// Nothing was sent since guests had their turn.
    had_turn: bool,
    /// No turns before this.
    haste: Option<Instant>,
}

impl Turns {
    /// A flow has got a datagram, which it may answer.
    pub(super) fn delivered(&mut self) {
        self.expected = (self.expected + 1).min(BATCH);
    }

    /// So many answers were there to be sent.
    pub(super) fn took(&mut self, answers: usize) {
        self.expected = self.expected.saturating_sub(answers);
        // Those that had their turn and wrote nothing do not answer soon.
        if std::mem::take(&mut self.had_turn) && answers <= 1 {
            self.expected = 0;
        }
    }

    /// Wakes guests together, which costs the call of another thread once, and not for each.
    pub(super) fn wake(&self, guests: &[Waker]) {
        if self.is_hasty(Instant::now()) {
            guests.iter().for_each(Waker::wake_by_ref);
        } else {
            guests.iter().for_each(wake_with_others);
        }
    }

    /// The first answer is there: gives other guests their turn if more answers are expected.
    pub(super) async fn give(&mut self) {
        let now = Instant::now();
        if self.expected <= 1 || self.is_hasty(now) {
            return;
        }
        yield_now().await;
        self.had_turn = true;
        let took = now.elapsed();
        self.haste = (took > LONG).then(|| now + took + took * HASTE);
    }

    fn is_hasty(&self, now: Instant) -> bool {
        self.haste.is_some_and(|until| now < until)
    }
}

/// Wakes a task as tokio wakes those that yield: when this thread has run what it had to run
/// already and has looked for events. Woken at once, each of them would have tokio call another
/// thread that has nothing to do; it would take one task, run it in a microsecond, and be called
/// for the next one.
fn wake_with_others(task: &Waker) {
    // Polled once, it has left the waker with the scheduler. Nobody needs it after that.
    if pin!(yield_now()).poll(&mut Context::from_waker(task)).is_ready() {
        task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Wake;

    use super::*;

    /// A guest, and how often it was woken.
    #[derive(Default)]
    struct Guest(AtomicUsize);

    impl Wake for Guest {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// Whether guests have their turn, which takes so long.
    async fn gives(turns: &mut Turns, took: Duration) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut giving = pin!(turns.give());
        if giving.as_mut().poll(&mut cx).is_ready() {
            return false;
        }
        tokio::time::advance(took).await;
        assert!(giving.poll(&mut cx).is_ready(), "it waits for an answer");
        true
    }

    fn delivered(turns: &mut Turns, datagrams: usize) {
        for _ in 0..datagrams {
            turns.delivered();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_where_more_answers_are_expected_than_the_first() {
        let mut turns = Turns::default();
        assert!(!gives(&mut turns, Duration::ZERO).await, "a guest speaks first");
        delivered(&mut turns, 1);
        assert!(!gives(&mut turns, Duration::ZERO).await, "a peer is alone");
        delivered(&mut turns, 2);
        for _ in 0..2 {
            assert!(gives(&mut turns, Duration::ZERO).await);
            turns.took(0);
            delivered(&mut turns, 3);
            turns.took(0);
        }
        assert!(gives(&mut turns, Duration::ZERO).await);
        turns.took(2);
        assert!(!gives(&mut turns, Duration::ZERO).await, "the third of them is the last");
    }

    #[tokio::test(start_paused = true)]
    async fn peers_that_are_not_answered_are_not_waited_for_again() {
        let mut turns = Turns::default();
        delivered(&mut turns, 1000);
        assert!(gives(&mut turns, Duration::ZERO).await);
        turns.took(1);
        assert!(!gives(&mut turns, Duration::ZERO).await);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_turn_answers_go_out_at_once_for_a_while() {
        let mut turns = Turns::default();
        delivered(&mut turns, BATCH);
        assert!(gives(&mut turns, LONG).await);
        let long = LONG * 2;
        assert!(gives(&mut turns, long).await);
        tokio::time::advance(long * (HASTE - 1)).await;
        assert!(!gives(&mut turns, Duration::ZERO).await);
        tokio::time::advance(long).await;
        assert!(gives(&mut turns, Duration::ZERO).await);
    }

    #[tokio::test(start_paused = true)]
    async fn guests_are_woken_together_unless_turns_take_long() {
        let guests: [_; 3] = std::array::from_fn(|_| Arc::new(Guest::default()));
        let wakers = guests.each_ref().map(|guest| Waker::from(Arc::clone(guest)));
        let woken = || guests.each_ref().map(|guest| guest.0.swap(0, SeqCst));
        let mut turns = Turns::default();
        turns.wake(&wakers);
        assert_eq!(woken(), [0; 3], "not before this task gives way");
        yield_now().await;
        assert_eq!(woken(), [1; 3]);

        delivered(&mut turns, 2);
        assert!(gives(&mut turns, LONG * 2).await);
        turns.wake(&wakers);
        assert_eq!(woken(), [1; 3]);
        yield_now().await;
        assert_eq!(woken(), [0; 3], "once");
    }
}
