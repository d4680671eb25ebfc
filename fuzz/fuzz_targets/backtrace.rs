//! Names of functions, as a module can have them: what is shown of them is bounded and fit for a
//! terminal, and takes no time to speak of.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use portcell::backtrace::demangled;

/// One of sixteen names of a trap: a guest can trap as often as clients come.
const LONG: Duration = Duration::from_secs(1);

fuzz_target!(|name: &str| {
    let began = Instant::now();
    let shown = demangled(name);
    assert!(began.elapsed() < LONG, "{name:?} takes {:?}", began.elapsed());
    assert!(shown.len() < 300, "{} bytes of {name:?}", shown.len());
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert_eq!(shown.is_empty(), name.is_empty(), "{name:?}");
});
