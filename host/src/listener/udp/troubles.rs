//! What can go wrong with datagrams for a while: counted, and logged when it begins and ends.

use crate::listener::episode::{Episode, Summary};

/// The troubles of one socket.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    no_place: Episode,
    slow_guest: Episode,
    evicting: Episode,
    kernel: Episode,
    cut: Episode,
    unsent: Episode,
    sending: Episode,
    receiving: Episode,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no place for a newcomer.
    NoPlace,
    /// A guest does not keep up with its peer.
    SlowGuest,
    /// A flow makes room for others.
    Evicting,
    /// The kernel's buffer was full.
    Kernel,
    /// Datagrams are longer than they may be.
    Cut,
    /// Peers would be sent more than they may be.
    Unsent,
    /// The kernel does not send.
    Sending,
    /// The kernel gives nothing.
    Receiving,
}

impl Troubles {
    /// It happened `times` more; true if it is to be logged.
    pub(super) fn happened(&mut self, trouble: Trouble, times: u64) -> bool {
        times > 0 && self.episode(trouble).happened(times)
    }

    /// Waits until one of them is over. Safe to cancel.
    pub(super) async fn over(&mut self) -> (Trouble, Summary) {
        tokio::select! {
            was = self.no_place.over() => (Trouble::NoPlace, was),
            was = self.slow_guest.over() => (Trouble::SlowGuest, was),
            was = self.evicting.over() => (Trouble::Evicting, was),
            was = self.kernel.over() => (Trouble::Kernel, was),
            was = self.cut.over() => (Trouble::Cut, was),
            was = self.unsent.over() => (Trouble::Unsent, was),
            was = self.sending.over() => (Trouble::Sending, was),
            was = self.receiving.over() => (Trouble::Receiving, was),
        }
    }

    const fn episode(&mut self, trouble: Trouble) -> &mut Episode {
        match trouble {
            Trouble::NoPlace => &mut self.no_place,
            Trouble::SlowGuest => &mut self.slow_guest,
            Trouble::Evicting => &mut self.evicting,
            Trouble::Kernel => &mut self.kernel,
            Trouble::Cut => &mut self.cut,
            Trouble::Unsent => &mut self.unsent,
            Trouble::Sending => &mut self.sending,
            Trouble::Receiving => &mut self.receiving,
        }
    }
}

/// What goes on, as the log has it.
impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoPlace => "datagrams of new peers are dropped for want of places (max_flows)",
            Self::SlowGuest => "datagrams are dropped for want of room in a flow (flow_queue)",
            Self::Evicting => "silent flows are ended to make room for others (max_flows)",
            Self::Kernel => "the kernel drops datagrams for want of room (receive_buffer)",
            Self::Cut => "datagrams are cut (max_datagram)",
            Self::Unsent => "answers are not sent (max_reply_factor)",
            Self::Sending => "datagrams cannot be sent",
            Self::Receiving => "datagrams cannot be received",
        })
    }
}
