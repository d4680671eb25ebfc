//! What errors of accept mean, and how long to wait after one. (accept(2), "ERRORS" and "Error
//! handling": Linux passes on errors of the new connection, which are to be treated like
//! `EAGAIN`.)

use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::config;

/// Whose an error of accept is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// One client's: it is gone, the next one may be well.
    Client,
    /// The machine's: no descriptors or memory for now.
    Resource,
    /// The listener's: it will never accept again.
    Listener,
}

/// Sorts an error. One that is not known counts as the machine's: waiting is safe.
pub(super) fn fault(error: &io::Error) -> Fault {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(
            Errno::CONNABORTED
            | Errno::PROTO
            | Errno::PERM
            | Errno::OPNOTSUPP
            | Errno::INTR
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::CONNRESET
            | Errno::TIMEDOUT,
        ) => Fault::Client,
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => Fault::Listener,
        _ => Fault::Resource,
    }
}

/// The wait after an error: doubled each time, and back to the first when a client was taken.
#[derive(Debug)]
pub(super) struct Backoff {
    bounds: config::Backoff,
    next: Duration,
    errors: u64,
}

impl Backoff {
    pub(super) const fn new(bounds: config::Backoff) -> Self {
        Self { bounds, next: bounds.min, errors: 0 }
    }

    /// How long to wait after one more error.
    pub(super) fn fail(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.bounds.max);
        self.errors += 1;
        delay
    }

    /// How many errors there were in a row.
    pub(super) const fn errors(&self) -> u64 {
        self.errors
    }

    /// A client was taken; gives how many errors came before, 0 mostly.
    pub(super) fn succeed(&mut self) -> u64 {
        self.next = self.bounds.min;
        std::mem::take(&mut self.errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_whose_they_are() {
        let cases = [
            (Errno::CONNABORTED, Fault::Client),
            (Errno::INTR, Fault::Client),
            (Errno::MFILE, Fault::Resource),
            (Errno::NFILE, Fault::Resource),
            (Errno::NOBUFS, Fault::Resource),
            (Errno::NOMEM, Fault::Resource),
            (Errno::BADF, Fault::Listener),
            (Errno::INVAL, Fault::Listener),
            (Errno::NOTSOCK, Fault::Listener),
        ];
        for (errno, expected) in cases {
            assert_eq!(fault(&errno.into()), expected, "{errno}");
        }
    }

    #[test]
    fn the_wait_doubles_to_its_bound_and_starts_over() {
        let millis = Duration::from_millis;
        let bounds = config::Backoff { min: millis(10), max: millis(35) };
        let mut backoff = Backoff::new(bounds);
        let waits: Vec<_> = (0..4).map(|_| backoff.fail()).collect();
        assert_eq!(waits, [millis(10), millis(20), millis(35), millis(35)]);
        assert_eq!(backoff.succeed(), 4);
        assert_eq!(backoff.fail(), millis(10));
    }
}
