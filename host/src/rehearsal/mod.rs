//! Rehearsals: a handler is held against scripts of conversations before anybody is served by it.
//! Each conversation has an instance of its own and a client in memory: there are no sockets.
//!
//! `script` reads, `client` plays the client's side and knows no wasm, `play` brings both sides
//! together, `torture` does it again and again.

mod bytes;
mod client;
mod difference;
mod log;
mod mode;
mod play;
mod script;
mod torture;

pub use self::bytes::BadString;
pub use self::difference::Difference;
pub use self::log::Line;
pub use self::mode::Mode;
use self::play::Stage;
pub use self::script::{Conversation, LONGEST, Mistake, ScriptError, parse};
use crate::route::Route;

/// A handler that is rehearsed.
pub struct Rehearsal {
    stage: Stage,
}

/// What a conversation came to.
#[derive(Debug)]
pub struct Report {
    /// How often it was played again, if that was wanted and it had gone well.
    pub torture: Option<Torture>,
    /// The first difference; `None` if all was as the script says.
    pub difference: Option<Difference>,
}

/// How often a conversation was played again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torture {
    /// How often in all.
    pub replays: u64,
    /// How often with a client that left early.
    pub cuts: u64,
    /// The places where it can leave. Of more than 2000 so many are tried, spread evenly.
    pub places: u64,
    /// Whether it was given up after a minute.
    pub ran_out_of_time: bool,
}

impl Rehearsal {
    /// Rehearses the handler of `route` within its limits.
    pub fn new(route: Route) -> Self {
        Self { stage: Stage::new(route) }
    }

    /// Plays a conversation; and, if that goes well and `torture` is wanted, again in every other
    /// way, until something is different.
    pub async fn rehearse(&self, conversation: &Conversation, torture: bool) -> Report {
        let plain = self.stage.play(conversation, Mode::Plain).await;
        if torture && plain.wrong.is_none() {
            return torture::torture(&self.stage, conversation, &plain).await;
        }
        Report { torture: None, difference: plain.difference(Mode::Plain) }
    }
}

impl std::fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsal").finish_non_exhaustive()
    }
}
