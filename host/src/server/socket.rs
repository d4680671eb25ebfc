//! A socket of a listener, of either kind.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::error::StartError;
use crate::address::Address;
use crate::config::{ListenerConfig, SocketOptions};
use crate::listener::{Bound, Datagrams, Life, Listening, Made, bind, left_for, must_rebind};

/// A socket of a listener; clones are the same socket.
#[derive(Clone, Debug)]
pub(super) enum Socket {
    /// Clients are accepted from it.
    Stream(Arc<Listening>),
    /// Datagrams come in at it, and flows are made of them.
    Datagram(Arc<Datagrams>),
}

impl Socket {
    /// The sockets at one address.
    pub(super) async fn bind(
        address: &Address,
        config: &ListenerConfig,
    ) -> Result<Vec<Self>, StartError> {
        let failed = |error| StartError::Bind { origin: config.origin.clone(), error };
        // What a process before this one has left, when its binary was upgraded.
        let mut made = left_for(&config.name, address, &config.socket).map_err(failed)?;
        if made.is_empty() {
            made = bind(address, &config.socket).await.map_err(failed)?;
        }
        made.into_iter()
            .map(|made| match made {
                Made::Stream(listening) => Ok(Self::Stream(Arc::new(listening))),
                Made::Datagram(made) => {
                    let address = made.address.to_string();
                    let datagrams = Datagrams::with_thread(made.socket, made.address)
                        .map_err(|source| StartError::Datagrams { address, source })?;
                    Ok(Self::Datagram(Arc::new(datagrams)))
                }
            })
            .collect()
    }

    pub(super) fn address(&self) -> &Bound {
        match self {
            Self::Stream(listening) => listening.address(),
            Self::Datagram(datagrams) => datagrams.address(),
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stream(a), Self::Stream(b)) => Arc::ptr_eq(a, b),
            (Self::Datagram(a), Self::Datagram(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Whether it has to be made anew for what has changed.
    pub(super) fn must_rebind(&self, old: &SocketOptions, new: &SocketOptions) -> bool {
        let of_datagrams =
            |options: &SocketOptions| (options.mark, options.receive_buffer, options.send_buffer);
        if matches!(self, Self::Stream(listening) if listening.is_inherited()) {
            // What it was made with is somebody else's.
            return false;
        }
        must_rebind(self.address(), old, new)
            || matches!(self, Self::Datagram(_)) && of_datagrams(old) != of_datagrams(new)
    }

    /// Whether it can do what is configured; what a descriptor is shows only when it is taken.
    pub(super) fn suits(&self, config: &ListenerConfig) -> Result<(), StartError> {
        match (self, &config.tls) {
            (Self::Datagram(_), Some(tls)) => {
                let (origin, address) = (tls.origin.clone(), self.address().to_string());
                Err(StartError::NoTls { origin, address })
            }
            _ => Ok(()),
        }
    }

    /// Joins the multicast groups of `config`; those of before are kept.
    pub(super) fn join(&self, config: &ListenerConfig) -> Result<(), StartError> {
        if let Self::Datagram(datagrams) = self {
            datagrams.join(&config.udp.multicast, config.socket.device.as_deref())?;
        }
        Ok(())
    }

    /// Changes what can change while it is bound, and says in the log what cannot be had.
    pub(super) async fn adjust(&self, config: &ListenerConfig) {
        match self {
            Self::Stream(listening) => {
                if let Err(error) = listening.adjust(&config.socket).await {
                    tracing::error!("listener {}: {error}", config.name);
                }
            }
            Self::Datagram(_) => self.leave_other_groups(config),
        }
    }

    /// Leaves the multicast groups that are not those of `config`.
    pub(super) fn leave_other_groups(&self, config: &ListenerConfig) {
        if let Self::Datagram(datagrams) = self {
            datagrams.leave_others(&config.udp.multicast);
        }
    }

    /// From now on another process goes on with it.
    pub(super) fn is_left_to_successor(&self) {
        match self {
            Self::Stream(listening) => listening.is_left_to_successor(),
            Self::Datagram(datagrams) => datagrams.is_left_to_successor(),
        }
    }

    /// The same socket once more, for another process.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Stream(listening) => listening.duplicate(),
            Self::Datagram(datagrams) => datagrams.duplicate(),
        }
    }

    /// From now on `life` goes on with it, and the one before leaves it alone when it ends.
    pub(super) fn belongs_to(&self, life: &Life) {
        match self {
            Self::Stream(listening) => listening.belongs_to(life),
            Self::Datagram(datagrams) => datagrams.belongs_to(life),
        }
    }
}
