//! The upgrade to TLS, without TLS: what came too early is dropped, the reply goes out, both ends
//! agree, and the facts change.

use portcell_abi::Errno;

use super::state::{Guest, Kind, Peer, State};

/// What the facts are after a handshake, where a test has not set others.
const FACTS: [(&str, &str); 3] =
    [("tls.version", "1.3"), ("tls.cipher", "TLS_AES_256_GCM_SHA384"), ("tls.resumed", "false")];

/// How far the upgrade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// Nobody has asked for it.
    Plaintext,
    /// The guest has asked for it, and its reply is on the way.
    Replying,
    /// It is the peer's turn.
    Waiting,
    /// The handshake is done.
    Started,
}

impl State {
    /// The guest's wish: checks it, and drops what the peer has sent until now.
    pub(super) fn guest_starts_tls(&mut self, profile: &str) -> Result<(), Errno> {
        self.offers_tls(profile)?;
        self.incoming.clear();
        self.tls = Tls::Replying;
        Ok(())
    }

    /// Whether TLS could start now, or why not.
    pub(super) fn offers_tls(&self, profile: &str) -> Result<(), Errno> {
        self.usable()?;
        if self.guest == Guest::Reset || self.peer == Peer::Reset {
            return Err(Errno::ConnReset);
        }
        let fact = |name| self.facts.get(name).map(String::as_str);
        if self.kind == Kind::Datagrams
            || fact("transport") == Some("tls")
            || self.guest_reads_ended
            || self.outgoing.ended
        {
            return Err(Errno::Inval);
        }
        let is_own = profile.is_empty() || fact("listener") == Some(profile);
        if !self.has_tls || !is_own {
            return Err(Errno::NotSup);
        }
        Ok(())
    }

    /// Sends what is left of `reply`, and then waits for the peer. Whatever the peer sends instead
    /// of a handshake is no TLS.
    pub(super) fn guest_shakes_hands(
        &mut self,
        reply: &[u8],
        taken: &mut usize,
    ) -> Option<Result<(), Errno>> {
        if self.tls == Tls::Replying {
            if let Err(errno) = self.guest_writes(reply, taken)? {
                return Some(Err(errno));
            }
            self.moved += 1;
            self.tls = Tls::Waiting;
        }
        if self.tls == Tls::Started {
            return Some(Ok(()));
        }
        let is_over = self.incoming.ended || self.peer != Peer::Here;
        (is_over || !self.incoming.is_empty()).then_some(Err(Errno::NotConn))
    }

    /// The end of a connection whose handshake failed. The peer can still read the reply.
    pub(super) fn fail_handshake(&mut self) {
        self.guest = Guest::Closed;
    }

    /// The peer's half: `None` until the guest has sent its reply, [`Errno::Inval`] while the
    /// peer has not read it, [`Errno::ConnAborted`] after the guest's end.
    pub(crate) fn peer_starts_tls(&mut self) -> Option<Result<(), Errno>> {
        match self.tls {
            Tls::Started => Some(Ok(())),
            _ if self.guest != Guest::Here || self.outgoing.ended => Some(Err(Errno::ConnAborted)),
            Tls::Waiting if !self.outgoing.is_empty() => Some(Err(Errno::Inval)),
            Tls::Waiting if self.incoming.is_empty() => {
                self.moved += 1;
                self.tls = Tls::Started;
                self.facts.insert("transport".into(), "tls".into());
                for (name, value) in FACTS {
                    self.facts.entry(name.into()).or_insert_with(|| value.into());
                }
                Some(Ok(()))
            }
            Tls::Plaintext | Tls::Replying | Tls::Waiting => None,
        }
    }
}
