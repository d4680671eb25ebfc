//! The binary: reads the command line, runs it, and turns how it ended into an exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
