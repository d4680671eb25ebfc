//! The binary: reads the command line, runs it, and turns how it ended into an exit code.

mod cli;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A connection is mostly small allocations: with glibc's allocator the `connect` scenario of the
/// benches took 11 % more CPU time for each.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = portcell::compile::compile_if_asked() {
        return code;
    }
    take_over_descriptors();
    cli::run()
}

#[expect(unsafe_code, reason = "only here can it be known that nobody owns a descriptor yet")]
fn take_over_descriptors() {
    // SAFETY: nothing that runs before it keeps a descriptor above 2: neither std nor the allocator
    // nor `compile_if_asked`, which looks at the arguments and no more where it gives no code.
    unsafe { portcell::listener::inherit() }
}
