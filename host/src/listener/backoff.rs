//! What errors of accept mean, and how long to wait after one. (accept(2), "ERRORS" and "Error
//! handling": Linux passes on errors of the new connection, which are to be treated like
//! `EAGAIN`.)

use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::config;

/// Whose an error of accept is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// One client's: it is gone, the next one may be well.
    Client,
    /// The machine's: no descriptors or memory for now.
    Resource,
    /// The listener's: it will never accept again.
    Listener,
}

/// Whether descriptors have run out, of the process or of the machine.
pub(super) fn is_short_of_descriptors(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

/// Sorts an error. One that is not known counts as the machine's: waiting is safe.
fn fault(error: &io::Error) -> Fault {
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
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::CONNRESET
            | Errno::TIMEDOUT,
        ) => Fault::Client,
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => Fault::Listener,
        _ => Fault::Resource,
    }
}

/// What to do after an error of accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take the next client.
    GoOn,
    /// Take nobody for so long.
    Wait(Duration),
    /// There will be no more clients.
    GiveUp,
}

/// The waits after errors: each twice the one before, and back to the first when a client was
/// handed over.
#[derive(Debug)]
pub(super) struct Backoff {
    bounds: config::Backoff,
    next: Duration,
    /// Clients that were gone, in a row. So many without a success mean that something else is
    /// wrong.
    lost: u32,
    most_lost: u32,
}

impl Backoff {
    pub(super) const fn new(bounds: config::Backoff, most_lost: u32) -> Self {
        Self { bounds, next: bounds.min, lost: 0, most_lost }
    }

    /// What to do after this error.
    pub(super) fn fail(&mut self, error: &io::Error) -> Verdict {
        match fault(error) {
            Fault::Listener => return Verdict::GiveUp,
            Fault::Client if self.lost + 1 < self.most_lost => {
                self.lost += 1;
                return Verdict::GoOn;
            }
            Fault::Client | Fault::Resource => {}
        }
        Verdict::Wait(self.escalate())
    }

    /// How long to wait now: twice as long as the last time, up to the bound.
    pub(super) fn escalate(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.bounds.max);
        delay
    }

    /// A client was handed over.
    pub(super) const fn succeed(&mut self) {
        self.next = self.bounds.min;
        self.lost = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_whose_they_are() {
        let cases = [
            (Errno::CONNABORTED, Fault::Client),
            (Errno::PROTO, Fault::Client),
            (Errno::PERM, Fault::Client),
            (Errno::INTR, Fault::Client),
            (Errno::OPNOTSUPP, Fault::Client),
            (Errno::NETDOWN, Fault::Client),
            (Errno::NOPROTOOPT, Fault::Client),
            (Errno::HOSTDOWN, Fault::Client),
            (Errno::NONET, Fault::Client),
            (Errno::HOSTUNREACH, Fault::Client),
            (Errno::NETUNREACH, Fault::Client),
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

    const MILLI: Duration = Duration::from_millis(1);

    fn backoff() -> Backoff {
        Backoff::new(config::Backoff { min: 10 * MILLI, max: 35 * MILLI }, 3)
    }

    #[test]
    fn the_wait_doubles_to_its_bound_and_starts_over() {
        let mut backoff = backoff();
        let full = Errno::MFILE.into();
        let waits: Vec<_> = (0..4).map(|_| backoff.fail(&full)).collect();
        assert_eq!(waits, [10, 20, 35, 35].map(|millis| Verdict::Wait(millis * MILLI)));
        backoff.succeed();
        assert_eq!(backoff.fail(&full), Verdict::Wait(10 * MILLI));
    }

    #[test]
    fn a_client_that_is_gone_costs_nothing_but_a_row_of_them_does() {
        let mut backoff = backoff();
        let aborted = Errno::CONNABORTED.into();
        let verdicts: Vec<_> = (0..3).map(|_| backoff.fail(&aborted)).collect();
        assert_eq!(verdicts, [Verdict::GoOn, Verdict::GoOn, Verdict::Wait(10 * MILLI)]);
        backoff.succeed();
        assert_eq!(backoff.fail(&aborted), Verdict::GoOn);
    }

    #[test]
    fn a_listener_that_is_gone_is_given_up() {
        assert_eq!(backoff().fail(&Errno::BADF.into()), Verdict::GiveUp);
    }
}
