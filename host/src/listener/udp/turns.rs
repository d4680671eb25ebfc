//! When the loop lets guests have their turn before it sends: those that are about to answer, so
//! that one call sends what all of them write. It never waits for an answer: who does not write in
//! that turn is not waited for.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

use super::socket::BATCH;

/// How long a turn of guests may take. Without it answers would wait for guests that compute.
const LONG: Duration = Duration::from_micros(500);

/// How many times as long as a turn that was longer answers go out at once. Without it most of the
/// time could be such turns; if it were fixed, one thread that had to wait for a processor would
/// count as much as guests that compute.
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

    /// The first answer is there: gives other guests their turn if more answers are expected.
    pub(super) async fn give(&mut self) {
        if self.expected <= 1 {
            return;
        }
        let now = Instant::now();
        if self.haste.is_some_and(|until| now < until) {
            return;
        }
        yield_now().await;
        self.had_turn = true;
        let took = now.elapsed();
        self.haste = (took > LONG).then(|| now + took + took * HASTE);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

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
}
