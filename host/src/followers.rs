//! Whoever follows the receipts of a running server. Nobody waits for them: one who is too slow
//! misses some, and is told how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

/// Lines that a follower may be behind. Without a bound one who reads nothing would fill the
/// memory.
const BEHIND: usize = 1024;

/// Those who follow.
#[derive(Debug)]
pub struct Followers {
    sender: Sender<Arc<str>>,
    /// The channel knows, too, behind a lock: this is asked for each connection.
    count: Arc<AtomicUsize>,
}

/// What one who follows hears.
#[derive(Debug)]
pub struct Following {
    receiver: Receiver<Arc<str>>,
    count: Arc<AtomicUsize>,
}

/// What there is to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A receipt: a JSON object, without a newline.
    Line(Arc<str>),
    /// So many were missed.
    Missed(u64),
}

impl Default for Followers {
    fn default() -> Self {
        Self { sender: Sender::new(BEHIND), count: Arc::default() }
    }
}

impl Followers {
    /// Whether there is anybody.
    pub fn are_there(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Tells all of them. Never waits.
    pub fn tell(&self, line: &str) {
        if self.are_there() {
            // The last one may have gone just now.
            let _ = self.sender.send(line.into());
        }
    }

    /// One more, who hears what is told from now on.
    pub fn follow(&self) -> Following {
        let (receiver, count) = (self.sender.subscribe(), Arc::clone(&self.count));
        count.fetch_add(1, Relaxed);
        Following { receiver, count }
    }
}

impl Following {
    /// Waits for something to hear; `None` when there will be nothing more. Safe to cancel.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.receiver.recv().await {
            Ok(line) => Some(Heard::Line(line)),
            Err(RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_who_is_too_slow_is_told_how_many_were_missed() {
        let followers = Followers::default();
        followers.tell("nobody hears this");
        let mut slow = followers.follow();
        for number in 0..BEHIND + 3 {
            followers.tell(&number.to_string());
        }
        assert_eq!(slow.next().await, Some(Heard::Missed(3)));
        assert_eq!(slow.next().await, Some(Heard::Line("3".into())));
        drop(followers);
        let mut left = 0;
        while let Some(Heard::Line(_)) = slow.next().await {
            left += 1;
        }
        assert_eq!(left, BEHIND - 1);
    }
}
