//! What the connections from one listener to one handler have come to so far: the numbers behind
//! the metrics. Each is added once, when it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::account::Account;

/// Upper bounds of the buckets of [`Histogram`], in seconds. The last bucket has none.
pub const BUCKETS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];

/// The tallies of a server, by the names of listener and handler: as many as are configured.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<BTreeMap<(String, String), Arc<Tally>>>);

/// The tally of one listener with one handler.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    ended: Numbers,
    shown: Moved,
}

/// What has come together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// How many connections have ended how, by the words for it.
    pub exits: BTreeMap<&'static str, u64>,
    /// What they have moved and used.
    pub moved: Moved,
    /// How long they have lasted.
    pub durations: Histogram,
    /// How long it took until the guest's first byte went out, where one did.
    pub first_bytes: Histogram,
}

/// What connections have moved and used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes from peers.
    pub bytes_in: u64,
    /// Bytes to peers.
    pub bytes_out: u64,
    /// CPU time.
    pub cpu: Duration,
}

/// How many of something took how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// For each of [`BUCKETS`], how many took longer than the bound before it and no longer than
    /// its own; at last those that took longer than all.
    pub buckets: [u64; BUCKETS.len() + 1],
    /// How long they took together.
    pub sum: Duration,
}

impl Tallies {
    /// That of `listener` with `handler`.
    pub fn of(&self, listener: &str, handler: &str) -> Arc<Tally> {
        let key = (listener.to_owned(), handler.to_owned());
        Arc::clone(self.lock().entry(key).or_default())
    }

    /// Forgets those of names that are no longer configured, unless somebody has them, as open
    /// connections do: those are forgotten the next time.
    pub fn retain(&self, is_configured: impl Fn(&str, &str) -> bool) {
        self.lock().retain(|(listener, handler), tally| {
            Arc::strong_count(tally) > 1 || is_configured(listener, handler)
        });
    }

    /// All of them, by the names of listener and handler.
    pub fn all(&self) -> BTreeMap<(String, String), Arc<Tally>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Arc<Tally>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Adds a connection that has ended, and how.
    pub fn add(&self, account: &Account, exit: &'static str) {
        // Whoever looks at those that are open leaves it out from here on.
        account.presence().ended();
        let mut kept = self.lock();
        *kept.ended.exits.entry(exit).or_default() += 1;
        kept.ended.moved.add(&Moved::by(account));
        kept.ended.durations.add(account.age());
        if let Some(first) = account.first_byte() {
            kept.ended.first_bytes.add(first);
        }
    }

    /// What those that have ended have come to.
    pub fn ended(&self) -> Numbers {
        self.lock().ended.clone()
    }

    /// The same with what those that are open have moved. It never shrinks, also when a connection
    /// that has just ended is in neither.
    pub fn shown(&self, moved: Moved) -> Moved {
        let shown = &mut self.lock().shown;
        shown.bytes_in = shown.bytes_in.max(moved.bytes_in);
        shown.bytes_out = shown.bytes_out.max(moved.bytes_out);
        shown.cpu = shown.cpu.max(moved.cpu);
        *shown
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Moved {
    /// What this connection has moved and used.
    pub fn by(account: &Account) -> Self {
        Self { bytes_in: account.bytes_in(), bytes_out: account.bytes_out(), cpu: account.cpu() }
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.cpu = self.cpu.saturating_add(other.cpu);
    }
}

impl Histogram {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.buckets[BUCKETS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum = self.sum.saturating_add(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_that_has_room_for_it() {
        let mut histogram = Histogram::default();
        for millis in [0, 1, 2, 7_200_000] {
            histogram.add(Duration::from_millis(millis));
        }
        assert_eq!((histogram.buckets[0], histogram.buckets[1]), (2, 1));
        assert_eq!(histogram.buckets[BUCKETS.len()], 1);
        assert_eq!(histogram.sum, Duration::from_millis(7_200_003));
    }

    #[test]
    fn what_is_shown_never_shrinks() {
        let tally = Tally::default();
        let moved = |bytes_in| Moved { bytes_in, ..Moved::default() };
        assert_eq!(tally.shown(moved(9)), moved(9));
        assert_eq!(tally.shown(moved(4)), moved(9));
    }

    #[test]
    fn a_tally_is_that_of_its_names_and_goes_with_them() {
        let tallies = Tallies::default();
        tallies.of("a", "x").add(&Account::new(1), "ok");
        assert_eq!(tallies.of("a", "x").ended().exits["ok"], 1);
        assert!(tallies.of("a", "y").ended().exits.is_empty());
        let of_a_connection = tallies.of("b", "x");
        let names = || tallies.all().into_keys().collect::<Vec<_>>();
        tallies.retain(|_, handler| handler == "y");
        assert_eq!(names(), [("a".into(), "y".into()), ("b".into(), "x".into())]);
        drop(of_a_connection);
        tallies.retain(|_, handler| handler == "y");
        assert_eq!(names(), [("a".into(), "y".into())]);
    }
}
