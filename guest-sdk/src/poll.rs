//! What `Connection::poll` waits for, and what it found.

use core::fmt;
use core::ops::BitOr;

use portcell_abi::poll;

/// What to wait for. Several are joined by `|`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(u16);

/// What is there. A failed connection and one whose directions have both ended are always told.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready(u16);

impl Interest {
    /// A read that gives application bytes, the end, or an error without waiting.
    pub const READABLE: Self = Self(poll::READABLE);
    /// A write that takes at least one byte, or gives an error, without waiting.
    pub const WRITABLE: Self = Self(poll::WRITABLE);
    /// The host's wish that the handler finishes. It stays, so a handler that has seen it asks
    /// for it no more.
    pub const DRAINING: Self = Self(poll::DRAINING);

    pub(crate) fn bits(self) -> u16 {
        self.0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        names(self.0, f)
    }
}

impl Ready {
    pub(crate) fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// A read gives bytes, the end, or an error without waiting. Only if asked for.
    pub fn is_readable(self) -> bool {
        self.0 & poll::READABLE != 0
    }

    /// A write takes at least one byte, or gives an error, without waiting. Only if asked for.
    pub fn is_writable(self) -> bool {
        self.0 & poll::WRITABLE != 0
    }

    /// The host asks the handler to finish. Only if asked for.
    pub fn is_draining(self) -> bool {
        self.0 & poll::DRAINING != 0
    }

    /// The connection broke.
    pub fn is_failed(self) -> bool {
        self.0 & poll::FAILED != 0
    }

    /// Both directions have ended.
    pub fn is_over(self) -> bool {
        self.0 & poll::OVER != 0
    }

    /// Nothing is there: the bound ran out.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        names(self.0, f)
    }
}

fn names(bits: u16, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let names = [
        (poll::READABLE, "readable"),
        (poll::WRITABLE, "writable"),
        (poll::DRAINING, "draining"),
        (poll::FAILED, "failed"),
        (poll::OVER, "over"),
        (poll::INVALID, "invalid"),
    ];
    f.debug_set()
        .entries(names.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interests_are_joined_and_named() {
        let both = Interest::READABLE | Interest::DRAINING;
        assert_eq!(format!("{both:?}"), r#"{"readable", "draining"}"#);
    }

    #[test]
    fn each_bit_has_its_question() {
        assert!(Ready::from_bits(0).is_empty());
        assert!(Ready::from_bits(0x0001).is_readable());
        assert!(Ready::from_bits(0x0002).is_writable());
        assert!(Ready::from_bits(0x0008).is_draining());
        assert!(Ready::from_bits(0x1000).is_failed());
        assert!(Ready::from_bits(0x2000).is_over());
    }
}
