//! The command line.

mod arguments;
mod dev;
mod inspect;
mod new;
mod notify;
mod receipts;
mod serve;
mod steer;
mod test;
mod upgrade;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Error;
use portcell::telemetry::{self, Format};

/// Bad usage or configuration (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// How a command failed, which decides the exit code.
enum Failure {
    /// What was given is wrong: 64.
    Usage(Error),
    /// It could not be done: 1.
    Failed(Error),
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let matches = match arguments::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are errors to clap, printed to stdout.
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let format = arguments::log_format(&matches);
    let logs = match telemetry::init(format, arguments::log_filter(&matches)) {
        Ok(logs) => logs,
        Err(error) => {
            return report(&Failure::Usage(Error::new(error).context("--log")), format);
        }
    };
    let outcome = match matches.subcommand() {
        Some(("run", matches)) => arguments::run(matches)
            .map_err(|errors| Failure::Usage(errors.into()))
            .and_then(|config| serve::serve(config, None, format)),
        Some(("serve", matches)) => {
            let path = arguments::config_path(matches);
            serve::read(path).and_then(|config| serve::serve(config, Some(path), format))
        }
        Some(("check", matches)) => serve::check(arguments::config_path(matches)),
        Some(("inspect", matches)) => inspect::inspect(matches),
        Some(("receipts", matches)) => receipts::receipts(matches, format),
        Some(("new", matches)) => new::new(matches),
        Some(("dev", matches)) => dev::dev(matches, format),
        Some(("test", matches)) => test::test(matches),
        Some((command, matches)) => steer::steer(command, matches),
        // clap asks for one of them.
        None => Ok(()),
    };
    // What was logged comes before what went wrong in the end.
    drop(logs);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (Failure::Usage(error) | Failure::Failed(error)) = &failure;
            // Where another process waits for this one to take its place. Without it nobody does.
            let _ = portcell::listener::fail(&format!("{error:#}"));
            report(&failure, format)
        }
    }
}

fn report(failure: &Failure, format: Format) -> ExitCode {
    let (error, code) = match failure {
        Failure::Usage(error) => (error, USAGE),
        Failure::Failed(error) => (error, 1),
    };
    // An error of several lines has one for each thing that is wrong, complete in itself.
    let said = format!("{error:#}");
    for line in said.lines() {
        telemetry::complain(format, line);
    }
    ExitCode::from(code)
}

/// Prints to stdout; a reader that went away is not an error.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}
