//! Requests to start the program anew, for whoever can do that; the admin socket cannot.

use std::fmt::Display;

use tokio::sync::{mpsc, oneshot};

/// Where somebody hears who asks for an upgrade.
#[derive(Clone, Debug)]
pub(super) struct Upgrades(mpsc::Sender<UpgradeRequest>);

/// Somebody who asks for another process in the place of this one, and waits for the answer.
#[derive(Debug)]
pub struct UpgradeRequest(oneshot::Sender<Result<u32, String>>);

impl Upgrades {
    /// With who hears it.
    pub(super) fn new() -> (Self, mpsc::Receiver<UpgradeRequest>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// The number of the process that serves now, or why this one serves on.
    pub(super) async fn ask(&self) -> Result<u32, String> {
        let (reply, answer) = oneshot::channel();
        // Who hears it ends with the program.
        let asked = self.0.send(UpgradeRequest(reply)).await;
        let answer = if asked.is_ok() { answer.await.ok() } else { None };
        answer.unwrap_or_else(|| Err("the server has ended".to_owned()))
    }
}

impl UpgradeRequest {
    /// Says that the process with this number serves from now on.
    pub fn done(self, successor: u32) {
        // Who asked may have gone.
        let _ = self.0.send(Ok(successor));
    }

    /// Says that this process serves on, and why.
    pub fn refuse(self, why: impl Display) {
        let _ = self.0.send(Err(why.to_string()));
    }
}
