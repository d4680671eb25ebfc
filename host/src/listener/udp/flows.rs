//! The flows of one socket: which of them a datagram belongs to, and who makes room when there are
//! too many.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::connection::{Bounds, Datagram, Ended, Ends, Feed, Flow, Outbox, Undelivered};

/// How long a flow must have been silent before it can be ended for another. Without it a flood of
/// new peers would end flows that are being served.
const IDLE: Duration = Duration::from_secs(1);

/// Flows that one look at all of them finds for ending. Without it each newcomer at a full table
/// would cost a look at all of them.
const FOUND: usize = 64;

/// The flows of one socket.
#[derive(Debug)]
pub(super) struct Flows {
    feeds: HashMap<Ends, Feed>,
    /// Flows that have not ended, those of one datagram included, which are in no table.
    open: usize,
    over: mpsc::UnboundedSender<Ended>,
    /// At most one for each flow that was begun.
    ended: mpsc::UnboundedReceiver<Ended>,
    /// The silent flows that were found last, the longest silent at the end.
    silent: Vec<Silent>,
    /// Not worth looking for others before this.
    look: Instant,
    /// It was asked to end, and has not ended yet.
    evicting: Option<Ends>,
}

/// A flow, and since when nothing has moved in it.
#[derive(Debug)]
struct Silent {
    since: Instant,
    ends: Ends,
}

impl Default for Flows {
    fn default() -> Self {
        let (over, ended) = mpsc::unbounded_channel();
        Self {
            feeds: HashMap::new(),
            open: 0,
            over,
            ended,
            silent: Vec::new(),
            look: Instant::now(),
            evicting: None,
        }
    }
}

impl Flows {
    /// How many have not ended.
    pub(super) const fn open(&self) -> usize {
        self.open
    }

    /// Whether there are none whose datagrams are still to come.
    pub(super) fn are_all_fed(&self) -> bool {
        self.feeds.is_empty()
    }

    /// Hands a datagram of `size` bytes to its flow; `Over` if there is none.
    pub(super) fn deliver<D: FnOnce() -> Datagram>(
        &self,
        ends: &Ends,
        size: usize,
        datagram: D,
    ) -> Result<(), Undelivered<D>> {
        match self.feeds.get(ends) {
            Some(feed) => feed.deliver(size, datagram),
            None => Err(Undelivered::Over(datagram)),
        }
    }

    /// A flow that takes what comes later with the same ends.
    pub(super) fn begin(
        &mut self,
        ends: Ends,
        first: Datagram,
        bounds: Bounds,
        outbox: &Arc<Outbox>,
    ) -> Flow {
        let (flow, feed) = self.both_ends(ends, first, bounds, outbox);
        // One that is over, and has not said so yet, gives way here.
        self.feeds.insert(ends, feed);
        flow
    }

    /// A flow of one datagram.
    pub(super) fn begin_single(
        &mut self,
        ends: Ends,
        only: Datagram,
        bounds: Bounds,
        outbox: &Arc<Outbox>,
    ) -> Flow {
        self.both_ends(ends, only, bounds, outbox).0
    }

    fn both_ends(
        &mut self,
        ends: Ends,
        first: Datagram,
        bounds: Bounds,
        outbox: &Arc<Outbox>,
    ) -> (Flow, Feed) {
        self.open += 1;
        Flow::begin(ends, first, bounds, Arc::clone(outbox), self.over.clone())
    }

    /// Waits for a flow to end. Safe to cancel.
    pub(super) async fn ended(&mut self) -> Ended {
        match self.ended.recv().await {
            Some(ended) => self.forget(ended),
            // Not while this has a sender.
            None => std::future::pending().await,
        }
    }

    /// The next flow that has ended, if there is one.
    pub(super) fn try_ended(&mut self) -> Option<Ended> {
        let ended = self.ended.try_recv().ok()?;
        Some(self.forget(ended))
    }

    fn forget(&mut self, ended: Ended) -> Ended {
        self.open -= 1;
        if let Place::Occupied(place) = self.feeds.entry(*ended.ends())
            && place.get().is(&ended)
        {
            place.remove();
        }
        self.evicting = self.evicting.filter(|evicting| evicting != ended.ends());
        ended
    }

    /// Asks the flow that has been silent for longest to end, so that its place becomes free; true
    /// if there is one. One at a time: until it has ended, no other is asked.
    pub(super) fn evict(&mut self) -> bool {
        if self.evicting.is_some() {
            return false;
        }
        let now = Instant::now();
        if self.silent.is_empty() {
            self.find_silent(now);
        }
        while let Some(silent) = self.silent.pop() {
            if let Some(feed) = self.feeds.get(&silent.ends)
                && feed.silent_since() == Some(silent.since)
            {
                feed.evict();
                self.evicting = Some(silent.ends);
                return true;
            }
        }
        false
    }

    /// Looks at all of them for those that have been silent for longest.
    fn find_silent(&mut self, now: Instant) {
        if now < self.look {
            return;
        }
        let mut first = now;
        let mut found = Vec::new();
        for (ends, feed) in &self.feeds {
            let Some(since) = feed.silent_since() else { continue };
            first = first.min(since);
            if since + IDLE <= now {
                found.push(Silent { since, ends: *ends });
            }
        }
        if found.is_empty() {
            self.look = first + IDLE;
        }
        if found.len() > FOUND {
            found.select_nth_unstable_by_key(FOUND, |silent| silent.since);
            found.truncate(FOUND);
        }
        found.sort_unstable_by_key(|silent| Reverse(silent.since));
        self.silent = found;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::num::NonZeroU32;

    use super::*;
    use crate::account::Account;
    use crate::connection::{Connection, Placement, Socket};

    const MOST: u16 = 100;

    fn ends(port: u16) -> Ends {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Ends { peer: at(port), local: at(9), source: None }
    }

    fn datagram() -> Datagram {
        Datagram { bytes: [1].into(), size: 1 }
    }

    fn begin(flows: &mut Flows, port: u16) -> Flow {
        let bounds = Bounds { queue: NonZeroU32::MIN, reply_factor: None };
        flows.begin(ends(port), datagram(), bounds, &Arc::default())
    }

    fn connect(flow: Flow) -> Connection {
        let placement = Placement {
            listener: "l".into(),
            handler: "h".into(),
            version: 1,
            digest: "d".into(),
            tenant: "t".into(),
            memory: 1,
            cpu: None,
            idle_timeout: None,
        };
        Connection::new(Socket::Flow(flow), Arc::new(Account::new(1)), Arc::new(placement))
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_makes_room_and_nobody_else_until_it_is_gone() {
        let mut flows = Flows::default();
        let mut open = Vec::new();
        for port in 0..MOST {
            let flow = begin(&mut flows, port);
            open.push(connect(flow));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(!flows.evict(), "none is silent for long enough");
        tokio::time::advance(IDLE).await;
        for port in 0..MOST {
            assert!(flows.evict());
            assert!(!flows.evict(), "one at a time");
            let first = open.remove(0);
            assert!(first.account().is_evicted(), "{port}");
            assert!(open.iter().all(|other| !other.account().is_evicted()));
            drop(first);
            assert_eq!(*flows.ended().await.ends(), ends(port));
        }
        assert!(!flows.evict() && flows.are_all_fed());
        assert_eq!(flows.open(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_moves_again_is_left_alone() {
        let mut flows = Flows::default();
        let first = connect(begin(&mut flows, 1));
        tokio::time::advance(IDLE).await;
        let second = connect(begin(&mut flows, 2));
        let third = connect(begin(&mut flows, 3));
        // Moments are those of polls.
        let moves = |connection: &Connection| {
            connection.account().poll_begins();
            connection.account().read(1);
        };
        tokio::time::advance(IDLE).await;
        assert!(flows.evict());
        assert!(first.account().is_evicted());
        // It was found silent just now.
        moves(&second);
        drop(first);
        flows.try_ended().unwrap();
        assert!(flows.evict());
        assert!(third.account().is_evicted());
        drop(third);
        flows.try_ended().unwrap();
        assert!(!flows.evict());
        tokio::time::advance(IDLE).await;
        assert!(flows.evict());
        assert!(second.account().is_evicted());
    }

    #[tokio::test]
    async fn the_end_of_a_flow_does_not_end_the_one_after_it() {
        let mut flows = Flows::default();
        let first = begin(&mut flows, 1);
        drop(first);
        let deliver = |flows: &Flows| flows.deliver(&ends(1), 1, datagram);
        assert!(matches!(deliver(&flows), Err(Undelivered::Over(_))));
        let mut second = connect(begin(&mut flows, 1));
        assert_eq!(flows.open(), 2);
        flows.ended().await;
        assert_eq!(second.read(&mut [0; 9]).await, Ok(1));
        assert!(deliver(&flows).is_ok());
    }
}
