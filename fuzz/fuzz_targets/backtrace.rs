//! Names of functions, as a module can have them: what is shown of them is bounded and fit for a
//! terminal, and takes no time to speak of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcell::backtrace::demangled;
use rustix::time::{ClockId, clock_gettime};

/// In seconds. It is one of sixteen names of a trap, and a guest can trap as often as clients come.
const LONG: i64 = 1;

fuzz_target!(|name: &str| {
    // Not the time of day: others may have the processor meanwhile.
    let began = clock_gettime(ClockId::ThreadCPUTime);
    let shown = demangled(name);
    let took = clock_gettime(ClockId::ThreadCPUTime) - began;
    assert!(took.tv_sec < LONG, "{name:?} takes {took:?}");
    assert!(shown.len() < 300, "{} bytes of {name:?}", shown.len());
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert_eq!(shown.is_empty(), name.is_empty(), "{name:?}");
});
