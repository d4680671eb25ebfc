//! One guest that misbehaves: who its peer is, and how it must end.

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Of its listener and its handler.
    pub(super) name: &'static str,
    /// In `tests/guests`.
    pub(super) guest: &'static str,
    /// Another text than that of the file.
    pub(super) text: Option<String>,
    pub(super) peer: Peer,
    /// The kind of its exit.
    pub(super) exit: &'static str,
    /// In the detail of its exit.
    pub(super) says: &'static str,
    /// Lines of its `[[listener]]`.
    pub(super) listener: &'static str,
    /// Lines of its `[handler]`.
    pub(super) handler: &'static str,
}

/// What the peer does. All but the last three read what comes, to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Waits,
    Sends(&'static [u8]),
    Ends,
    /// Sends a byte and resets the connection.
    Vanishes,
    /// Sends for as long as it is taken.
    Floods,
    NeverReads,
}

impl Row {
    pub(super) const fn new(guest: &'static str, peer: Peer, exit: &'static str) -> Self {
        let (says, listener, handler) = ("", "", "");
        Self { name: guest, guest, text: None, peer, exit, says, listener, handler }
    }

    /// Under a name of its own, where a guest has several rows.
    pub(super) const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(super) const fn says(mut self, detail: &'static str) -> Self {
        self.says = detail;
        self
    }

    pub(super) const fn listener(mut self, lines: &'static str) -> Self {
        self.listener = lines;
        self
    }

    pub(super) const fn handler(mut self, lines: &'static str) -> Self {
        self.handler = lines;
        self
    }

    /// Whether its peer sees a reset.
    pub(super) fn is_reset(&self) -> bool {
        ["trap", "memory_limit", "cpu_limit", "write_timeout", "peer_reset"].contains(&self.exit)
    }
}
