//! The binary: reads the command line, runs it, and turns how it ended into an exit code.

mod cli;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A connection is mostly small allocations: with glibc's allocator the `connect` scenario of the
/// benches took 11 % more CPU time for each.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
