//! What a guest is charged while the machine has more to do than processors. The runtime of each
//! test is one thread, whose own CPU clock is the measure: that of the wall depends on the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use portcell::exit::Exit;
use rustix::time::{ClockId, clock_gettime};

use crate::harness::Guest;

/// What the beginning of a poll may be charged by the wall's clock.
const GUESSED: Duration = Duration::from_millis(10);

/// Threads that compute, four for each processor, until this is dropped.
struct Hogs(Arc<AtomicBool>);

impl Hogs {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..4 * thread::available_parallelism().unwrap().get() {
            let stopped = Arc::clone(&stop);
            thread::spawn(move || while !stopped.load(Relaxed) {});
        }
        Self(stop)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

#[tokio::test]
async fn a_guest_is_not_charged_for_what_the_kernel_gave_to_others() {
    let _hogs = Hogs::start();
    let mut cell = Guest::wat("computes").with("cpu", "none").serve().await;
    let before = thread_time();
    assert_eq!(cell.exit().await, Exit::Ok);
    let used = thread_time().saturating_sub(before);
    let charged = cell.account.cpu();
    assert!(charged <= used + GUESSED, "charged {charged:?} for {used:?}");
    assert!(charged >= used / 2, "charged {charged:?} for {used:?}");
    // The same again, under a limit that the clock of the wall would be over.
    let limit = format!("{}ms", 3 * used.as_millis() + 50);
    let mut cell = Guest::wat("computes").with("cpu", &limit).serve().await;
    assert_eq!(cell.exit().await, Exit::Ok, "under {limit}");
}

#[tokio::test]
async fn a_guest_that_spins_is_ended_close_to_its_limit() {
    let _hogs = Hogs::start();
    let limit = Duration::from_millis(100);
    let mut cell = Guest::wat("spins_forever").with("cpu", "100ms").serve().await;
    let before = thread_time();
    assert_eq!(cell.exit().await, Exit::CpuLimit("handler.cpu"));
    let used = thread_time().saturating_sub(before);
    let charged = cell.account.cpu();
    assert!(charged > limit && charged <= 2 * limit, "charged {charged:?}");
    assert!(charged <= used + GUESSED, "charged {charged:?} for {used:?}");
}
