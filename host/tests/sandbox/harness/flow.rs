//! A flow of datagrams as a connection, from a listener of its own.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use portcell::Config;
use portcell::admission::{Admission, Bounds, Opening};
use portcell::config::UdpMode;
use portcell::connection::Socket;
use portcell::listener::{Accepted, Bound, Datagrams, Life, Phase, Work, take_in};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::peer::within;

/// What the first datagram says: without one there is no flow.
pub(crate) const FIRST: &[u8] = b"first";

/// How flows are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Udp {
    pub(crate) mode: UdpMode,
    pub(crate) reply_factor: Option<NonZeroU32>,
}

/// The peer of a flow, and its listener.
#[derive(Debug)]
pub(super) struct FlowPeer {
    pub(super) socket: UdpSocket,
    life: Arc<Life>,
}

impl FlowPeer {
    /// Both ends of a flow that has begun.
    pub(super) async fn connect(udp: Udp) -> (Self, Socket) {
        let bound = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        bound.set_nonblocking(true).unwrap();
        let address = bound.local_addr().unwrap();
        let datagrams = Datagrams::new(bound, Bound::Udp(address)).unwrap();
        let life = Arc::new(Life::new(Phase::Accepting));
        let (found, socket) = oneshot::channel();
        let (given, mut found) = (Arc::clone(&life), Some(found));
        tokio::spawn(async move {
            let config = Config::from_flags(Path::new("x.wasm"), &[]).unwrap();
            let mut listener = (*config.listeners[0]).clone();
            listener.udp.mode = udp.mode;
            listener.udp.max_reply_factor = udp.reply_factor;
            let gate =
                Admission::new(1, NonZeroU32::MIN, 1).gate(&Bounds::default(), Opening::Datagram);
            let mut places = Vec::new();
            // There is one place, and the first flow keeps it.
            let start = |client: Accepted, entry| {
                places.push(entry);
                found.take().unwrap().send(client.into_socket()).unwrap();
                // The test serves it.
                Box::pin(async {}) as Work
            };
            let away = Handle::current();
            take_in(&datagrams, &gate, &listener, &given, away, start).await.unwrap();
        });
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        peer.connect(address).await.unwrap();
        peer.send(FIRST).await.unwrap();
        let socket = within("the flow to begin", socket).await.unwrap();
        (Self { socket: peer, life }, socket)
    }

    /// Ends the listener, and with it the flow.
    pub(super) fn end(&self) {
        self.life.ask(Phase::Stopped);
    }
}
