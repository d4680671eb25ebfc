//! TLS in the middle of a connection: what STARTTLS and its like ask for.
//!
//! Nothing that came in plaintext can reach what reads behind the handshake, or somebody between
//! both could put words into the client's mouth (CVE-2011-0411).

use std::fmt::Debug;
use std::future::{Future as _, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use portcell_abi::Errno;

use super::tls::{HandshakeError, accept};
use super::{Bound, Connection, Input, Link, Output, Socket, dismiss, exceed};
use crate::account::Excess;
use crate::config::{Truncation, display_duration};
use crate::tls::{Selected, UnknownName};

/// Bytes that are taken before the reply, at most. Without it a peer that sends without end would
/// keep the handshake from beginning.
const TAKEN: usize = 1 << 20;

/// How connections of a listener that begin in plaintext come to TLS.
pub trait Upgrade: Debug + Send + Sync {
    /// The profile's name. An empty one means this one, too.
    fn name(&self) -> &str;

    /// How long the reply and the handshake may take.
    fn timeout(&self) -> Duration;

    /// What a client gets that asks for this name. It has a handler already.
    fn select(&self, server_name: Option<&str>) -> Result<Selected, UnknownName>;

    /// What the end of the transport is, without `close_notify`.
    fn truncation(&self) -> Truncation;

    /// Hears that a client has sent so many bytes before it was asked to.
    fn discarded(&self, bytes: usize);

    /// Hears that a handshake is done.
    fn done(&self);

    /// Hears that the handshake with this client failed.
    fn failed(&self, peer: &str, why: &UpgradeError);
}

/// Why a connection does not come to TLS, which ends it.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// It took too long.
    #[error("it took longer than {} (handshake_timeout)", display_duration(*.0))]
    TimedOut(Duration),
    /// The client sends on and on in plaintext.
    #[error("the client does not wait for the reply")]
    Unasked,
}

/// What `start_tls` gives when the connection is not one of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSecured {
    /// Nothing was taken or sent, and plaintext goes on.
    Refused(Errno),
    /// The connection is over; why.
    Ended(String),
}

impl Connection {
    /// From now on `start_tls` can be called.
    pub fn can_upgrade(&mut self, upgrade: Arc<dyn Upgrade>) {
        self.upgrade = Some(upgrade);
    }

    /// Takes and drops what the kernel has from the peer, sends `reply`, and does the handshake of
    /// the profile of this name; an empty one means the only one that there is. Waits for the peer
    /// for as long as the profile says; timeouts of the guest do not count.
    pub async fn start_tls(&mut self, profile: &str, reply: &[u8]) -> Result<(), NotSecured> {
        let upgrade = Arc::clone(self.upgrade_of(profile).map_err(NotSecured::Refused)?);
        if reply.len() as u64 > self.most[1].saturating_sub(self.account.bytes_out()) {
            return exceed(&self.account, Excess::Out).await;
        }
        self.account.write_moves();
        // If this is dropped while it waits, the socket closes, and nobody has it any more.
        let Link::Open(socket) = std::mem::replace(&mut self.link, Link::Reset) else {
            return Err(NotSecured::Refused(Errno::BadFd));
        };
        let peer = socket.peer_address();
        let held = self.held.take().map_or(0, |held| held.len());
        let upgraded = self.secure(socket, held, &*upgrade, reply).await;
        let (socket, why) = match upgraded {
            Ok(socket) => {
                upgrade.done();
                self.secured = socket.secured().map(Arc::clone);
                self.account.presence().travels_by(socket.transport());
                self.link = Link::Open(socket);
                return Ok(());
            }
            Err(failed) => failed,
        };
        upgrade.failed(&peer, &why);
        if let Some(socket) = socket {
            dismiss(socket, "").await;
        }
        Err(NotSecured::Ended(why.to_string()))
    }

    /// How the connection comes to TLS now by the profile of this name, or why it cannot.
    pub(super) fn upgrade_of(&self, profile: &str) -> Result<&Arc<dyn Upgrade>, Errno> {
        match self.link.socket()? {
            Socket::Tcp(..) | Socket::Unix(_) | Socket::Pipe(_) => {}
            Socket::Flow(_) | Socket::Tls(_) => return Err(Errno::Inval),
        }
        if let Some(errno) = self.broken {
            return Err(errno);
        }
        if self.input != Input::Open || self.output != Output::Open {
            return Err(Errno::Inval);
        }
        let called = |upgrade: &&Arc<dyn Upgrade>| profile.is_empty() || profile == upgrade.name();
        self.upgrade.as_ref().filter(called).ok_or(Errno::NotSup)
    }

    /// The stream with TLS on it; or what is left of it, and why. So many bytes were held, and are
    /// dropped with those that the kernel has.
    async fn secure(
        &self,
        mut socket: Socket,
        held: usize,
        upgrade: &dyn Upgrade,
        reply: &[u8],
    ) -> Result<Socket, (Option<Socket>, UpgradeError)> {
        match take_all(&socket).map(|taken| taken + held) {
            Ok(0) => {}
            Ok(bytes) => upgrade.discarded(bytes),
            Err(why) => return Err((Some(socket), why)),
        }
        let account = &*self.account;
        let handshake = async {
            let mut sent = 0;
            while sent < reply.len() {
                match poll_fn(|cx| socket.poll_write(cx, &reply[sent..])).await {
                    Ok(n) => {
                        sent += n;
                        account.wrote(n);
                    }
                    Err(error) => return Err((socket, HandshakeError::Transport(error))),
                }
            }
            accept(socket, upgrade.truncation(), |name| upgrade.select(name)).await
        };
        let mut handshake = pin!(handshake);
        let bound = Bound::new(account, upgrade.timeout());
        match poll_fn(|cx| bound.poll(cx, |cx| handshake.as_mut().poll(cx))).await {
            Some(Ok((socket, _))) => Ok(socket),
            Some(Err((socket, why))) => Err((Some(socket), why.into())),
            None => Err((None, UpgradeError::TimedOut(upgrade.timeout()))),
        }
    }
}

/// Takes what the kernel has, and says how much that was.
fn take_all(socket: &Socket) -> Result<usize, UpgradeError> {
    let mut scratch = [0; 8192];
    let mut taken = 0;
    while taken <= TAKEN {
        match socket.receive(&mut scratch) {
            Ok(0) => return Err(HandshakeError::Left.into()),
            Ok(n) => taken += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(taken),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(HandshakeError::Transport(error).into()),
        }
    }
    Err(UpgradeError::Unasked)
}
