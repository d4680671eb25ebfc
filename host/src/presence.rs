//! What is known of an open connection beside its account, for whoever watches the server: who is
//! there, where it has landed, how far it has come. Written a few times in its life, never for
//! single bytes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crate::connection::{Placement, Transport};

/// What is known of one connection.
#[derive(Debug, Default)]
pub struct Presence {
    peer: OnceLock<Peer>,
    placement: OnceLock<Arc<Placement>>,
    transport: AtomicU8,
    stage: AtomicU8,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Of TCP or UDP; an IPv4 address is written as one.
    Ip(SocketAddr),
    /// A process at a Unix socket, as far as the kernel tells.
    Unix {
        /// Its number.
        pid: Option<i32>,
        /// Whose it is.
        uid: Option<u32>,
    },
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has no place yet.
    Queued,
    /// It is in its handshake, or has no place after it yet.
    Handshake,
    /// It has an instance, or is about to.
    Serving,
    /// Its instance is gone, and its socket is being closed.
    Closing,
    /// Its socket is closed, and what it has done is told elsewhere.
    Ended,
}

impl Presence {
    /// Says who has come.
    pub fn arrived(&self, peer: Peer, transport: Transport) {
        // It arrives once.
        let _ = self.peer.set(peer);
        self.travels_by(transport);
    }

    /// Says how its bytes travel from now on.
    pub fn travels_by(&self, transport: Transport) {
        self.transport.store(transport as u8, Relaxed);
    }

    /// Says that its handshake begins.
    pub fn shakes(&self) {
        self.stage.store(Stage::Handshake as u8, Relaxed);
    }

    /// Says where it has landed, now that it has a place.
    pub fn landed(&self, placement: &Arc<Placement>, transport: Transport) {
        let _ = self.placement.set(Arc::clone(placement));
        self.travels_by(transport);
        self.stage.store(Stage::Serving as u8, Relaxed);
    }

    /// Says that its instance is gone.
    pub fn closes(&self) {
        self.stage.store(Stage::Closing as u8, Relaxed);
    }

    /// Says that it is over.
    pub fn ended(&self) {
        self.stage.store(Stage::Ended as u8, Relaxed);
    }

    /// The other end; `None` for a moment at the very beginning.
    pub fn peer(&self) -> Option<Peer> {
        self.peer.get().copied()
    }

    /// Where it has landed; `None` while it arrives.
    pub fn placement(&self) -> Option<&Arc<Placement>> {
        self.placement.get()
    }

    /// How its bytes travel now.
    pub fn transport(&self) -> Transport {
        let all = [Transport::Tcp, Transport::Tls, Transport::Udp, Transport::Unix];
        let stored = self.transport.load(Relaxed);
        all.into_iter().find(|one| *one as u8 == stored).unwrap_or(Transport::Tcp)
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        let all = [Stage::Queued, Stage::Handshake, Stage::Serving, Stage::Closing, Stage::Ended];
        let stored = self.stage.load(Relaxed);
        all.into_iter().find(|one| *one as u8 == stored).unwrap_or(Stage::Queued)
    }
}

/// In the form of the fact `peer.address`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, uid) = match self {
            Self::Ip(address) => return address.fmt(f),
            Self::Unix { pid, uid } => (pid.map(i64::from), uid.map(i64::from)),
        };
        let shown = |number: Option<i64>| number.map_or_else(|| "?".into(), |n| n.to_string());
        write!(f, "unix:pid={},uid={}", shown(pid), shown(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_is_what_is_known() {
        let presence = Presence::default();
        assert_eq!((presence.peer(), presence.stage()), (None, Stage::Queued));
        let peer = Peer::Ip(([127, 0, 0, 1], 7).into());
        for transport in [Transport::Tcp, Transport::Udp, Transport::Unix, Transport::Tls] {
            presence.arrived(peer, transport);
            assert_eq!(presence.transport(), transport);
        }
        presence.closes();
        assert_eq!((presence.peer(), presence.stage()), (Some(peer), Stage::Closing));
    }

    #[test]
    fn a_process_that_the_kernel_does_not_tell_is_a_question_mark() {
        assert_eq!(Peer::Unix { pid: None, uid: Some(0) }.to_string(), "unix:pid=?,uid=0");
    }
}
