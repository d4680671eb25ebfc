//! An option of a socket that cannot be set, and what to do about it.

use std::fmt::Display;
use std::io;

use rustix::io::Errno;

/// An option that the kernel, or the rights of this process, refuse.
#[derive(Debug, thiserror::Error)]
#[error("`{key}` ({value}) is refused: {why}")]
pub(super) struct Refused {
    key: &'static str,
    value: String,
    why: String,
}

impl Refused {
    /// The key of the option, what it was to be, and what is wrong and to do.
    pub(super) fn new(key: &'static str, value: &impl Display, why: impl Into<String>) -> Self {
        Self { key, value: value.to_string(), why: why.into() }
    }

    /// The same, from what a system call said.
    pub(super) fn by(key: &'static str, value: &impl Display, error: &io::Error) -> Self {
        Self::new(key, value, advice(key, error))
    }
}

/// What is wrong and what to do.
fn advice(key: &str, error: &io::Error) -> String {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    match (key, errno) {
        ("mark", Some(Errno::PERM)) => "it needs CAP_NET_ADMIN; grant that, or leave it out".into(),
        ("device", Some(Errno::NODEV)) => {
            "there is no such interface; `ip link` lists those that there are".into()
        }
        ("device", Some(Errno::PERM)) => "it needs CAP_NET_RAW; grant that, or leave it out".into(),
        ("unix_owner", Some(Errno::PERM)) => {
            "only root or CAP_CHOWN gives a file to another user; grant that, or leave it out"
                .into()
        }
        ("unix_group", Some(Errno::PERM)) => {
            "only root, CAP_CHOWN or a member of the group gives it a file; join it, or leave it \
             out"
            .into()
        }
        (_, Some(Errno::NOPROTOOPT | Errno::OPNOTSUPP)) => {
            "this kernel does not have it; leave it out".into()
        }
        (_, Some(Errno::INVAL | Errno::DOM)) => "the kernel does not take this value".into(),
        _ => error.to_string(),
    }
}
