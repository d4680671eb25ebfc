//! The binary: reads the command line, runs it, and turns how it ended into an exit code.

mod cli;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// glibc's allocator costs a fifth more CPU for each short connection; docs/decisions says how
/// that was measured.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
