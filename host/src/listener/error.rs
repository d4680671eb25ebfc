//! Why an address cannot be listened on, in words for whoever wrote it down.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use super::Bound;
use super::inherit::InheritError;
use super::refused::Refused;

/// An address cannot be listened on. The message is one line that says what was wrong and what to
/// do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct BindError {
    address: String,
    why: Why,
}

/// A socket that listens already cannot be changed. The message is like that of [`BindError`].
#[derive(Debug, thiserror::Error)]
#[error("{address} cannot be changed: {why}")]
pub struct AdjustError {
    address: Bound,
    why: Why,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Why {
    /// The kernel does not let it be bound.
    #[error("{}", explain(.0))]
    Bind(#[from] io::Error),
    /// The host name has no address.
    #[error("its name cannot be looked up ({0}); write an address, or look at DNS and /etc/hosts")]
    Name(io::Error),
    /// One of the addresses of the host name.
    #[error("at {0}: {1}")]
    At(SocketAddr, Box<Self>),
    /// What it was to be made with.
    #[error(transparent)]
    Option(#[from] Refused),
    /// What is at the path of a Unix socket.
    #[error("{0}")]
    File(&'static str),
    /// What this process was started with.
    #[error(transparent)]
    Inherited(#[from] InheritError),
}

impl BindError {
    /// `address`, as it was written, cannot be listened on because of `error`.
    pub fn new(address: &impl Display, error: io::Error) -> Self {
        Self::because(address, Why::Bind(error))
    }

    pub(super) fn because(address: &impl Display, why: Why) -> Self {
        Self { address: address.to_string(), why }
    }

    /// Whether somebody has the address already, or something else is there.
    pub fn is_taken(&self) -> bool {
        match &self.why {
            Why::File(_) => true,
            Why::Bind(error) => error.kind() == io::ErrorKind::AddrInUse,
            Why::Name(_) | Why::At(..) | Why::Option(_) | Why::Inherited(_) => false,
        }
    }
}

impl AdjustError {
    pub(super) const fn because(address: Bound, why: Why) -> Self {
        Self { address, why }
    }
}

/// What is wrong and what to do.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "it is taken by another program; stop that, or choose another (port 0 picks a free one)"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE, a Unix socket \
             a folder that can be written"
                .into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; `:PORT` listens on all it has".into()
        }
        io::ErrorKind::NotFound => "the folder does not exist".into(),
        io::ErrorKind::ReadOnlyFilesystem => "its folder cannot be written to".into(),
        _ => error.to_string(),
    }
}
