//! Torture: a conversation that went well is played again in every way that a network could make of
//! it, and has to come to the same.

use std::time::Duration;

use tokio::time::Instant;

use super::client::Wrong;
use super::difference::What;
use super::mode::Mode;
use super::play::{Played, Stage};
use super::script::Conversation;
use super::{Report, Torture};

/// Places where the client of one conversation leaves early, at most; of more, so many are tried,
/// spread evenly.
const MOST_CUTS: u64 = 2000;

/// How long the torture of one conversation may take. Replays that there is no time for are left
/// out.
const MOST_TIME: Duration = Duration::from_mins(1);

/// Replays a conversation until something is different.
pub(super) async fn torture(stage: &Stage, conversation: &Conversation, plain: &Played) -> Report {
    let cuts = Cuts { read: plain.read, written: plain.written };
    let places = cuts.count();
    let began = Instant::now();
    let mut torture = Torture { replays: 0, cuts: 0, places, ran_out_of_time: false };
    for mode in Mode::OTHERS.into_iter().chain(cuts.modes()) {
        if began.elapsed() > MOST_TIME {
            torture.ran_out_of_time = true;
            break;
        }
        let merged = (mode == Mode::Merged).then(|| conversation.merged());
        let conversation = merged.as_ref().unwrap_or(conversation);
        let mut played = stage.play(conversation, mode).await;
        torture.replays += 1;
        torture.cuts += u64::from(mode.cut().is_some());
        // At an early end it may say something about that.
        let is_reset = mode.cut().is_some() && !matches!(mode, Mode::EndAfterRead(_));
        if is_reset && played.wrong.is_none() && conversation.is_exact() {
            played.wrong = strays(conversation, plain, &played);
        }
        if let Some(difference) = played.difference(mode) {
            return Report { torture: Some(torture), difference: Some(difference) };
        }
    }
    Report { torture: Some(torture), difference: None }
}

/// Whether the handler had sent something else before the reset than it sends without one.
fn strays(conversation: &Conversation, plain: &Played, played: &Played) -> Option<Wrong> {
    let both = plain.came.iter().zip(&played.came);
    let same = both.take_while(|(plain, came)| plain == came).count();
    // What a client has not waited for may have gone on.
    let is_more = played.came.len() > plain.came.len() && plain.is_whole;
    if same < plain.came.len().min(played.came.len()) || is_more {
        let (expected, came) = (plain.came.clone(), played.came.clone());
        let line = conversation.line;
        return Some(Wrong { line, what: What::Strays { expected, came, same } });
    }
    None
}

/// The places where the client of a conversation can leave early.
struct Cuts {
    read: u64,
    written: u64,
}

impl Cuts {
    fn count(&self) -> u64 {
        2 * (self.read + 1) + self.written
    }

    /// All of them, or so many spread evenly, with the first and the last.
    fn modes(&self) -> impl Iterator<Item = Mode> {
        let count = self.count();
        let tried = count.min(MOST_CUTS);
        (0..tried).map(move |number| self.mode(number * (count - 1) / (tried - 1).max(1)))
    }

    fn mode(&self, number: u64) -> Mode {
        let Some(number) = number.checked_sub(self.read + 1) else {
            return Mode::ResetAfterRead(number);
        };
        match number.checked_sub(self.written) {
            None => Mode::ResetAfterWritten(number + 1),
            Some(number) => Mode::EndAfterRead(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(read: u64, written: u64) -> Vec<Mode> {
        Cuts { read, written }.modes().collect()
    }

    #[test]
    fn a_short_conversation_is_left_everywhere() {
        use Mode::{EndAfterRead as End, ResetAfterRead as Read, ResetAfterWritten as Written};
        let all = [Read(0), Read(1), Written(1), Written(2), Written(3), End(0), End(1)];
        assert_eq!(modes(1, 3), all);
        assert_eq!(modes(0, 0), [Read(0), End(0)]);
    }

    #[test]
    fn of_a_long_one_the_places_are_spread_evenly() {
        let modes = modes(1_000_000, 3_000_000);
        assert_eq!(modes.len(), 2000);
        assert_eq!(modes[0], Mode::ResetAfterRead(0));
        assert_eq!(modes[1999], Mode::EndAfterRead(1_000_000));
        let read = modes.iter().filter(|mode| matches!(mode, Mode::ResetAfterRead(_))).count();
        assert_eq!(read, 400);
    }
}
