//! Whoever follows the receipts of a running server. Nobody waits for them: one who is too slow
//! misses some, and is told how many.

use std::sync::Arc;

use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

/// Lines that a follower may be behind. Without a bound one who reads nothing would fill the
/// memory.
const BEHIND: usize = 1024;

/// Those who follow.
#[derive(Debug)]
pub struct Followers(Sender<Arc<str>>);

/// What one who follows hears.
#[derive(Debug)]
pub struct Following(Receiver<Arc<str>>);

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
        Self(Sender::new(BEHIND))
    }
}

impl Followers {
    /// Whether there is anybody.
    pub fn are_there(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Tells all of them. Never waits.
    pub fn tell(&self, line: &str) {
        if self.are_there() {
            // The last one may have gone just now.
            let _ = self.0.send(line.into());
        }
    }

    /// One more, who hears what is told from now on.
    pub fn follow(&self) -> Following {
        Following(self.0.subscribe())
    }
}

impl Following {
    /// Waits for something to hear; `None` when there will be nothing more. Safe to cancel.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(line) => Some(Heard::Line(line)),
            Err(RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
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
