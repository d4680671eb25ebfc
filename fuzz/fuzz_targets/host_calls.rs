//! Host calls with any arguments, in any order, from a guest that calls what it is told.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcell::exit::Exit;
use portcell_fuzz::Cells;

thread_local! {
    static CELLS: Cells = Cells::new();
}

fuzz_target!(|bytes: &[u8]| {
    let exit = CELLS.with(|cells| cells.serve(bytes));
    assert!(!matches!(exit, Exit::HostError(_)), "{exit}");
});
