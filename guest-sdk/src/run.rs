//! What happens around a handler: its connection, its result, and what is logged of a failure.

use std::fmt::Display;
use std::panic;

use portcell_abi::level;

use crate::Connection;
use crate::sys::{self, Handle};

/// What a handler may return: `io::Result<()>`, another `Result<(), E>` whose error can be
/// displayed, or `()`.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "must return `io::Result<()>`, `Result<(), E>` with `E: Display`, or `()`"
)]
pub trait Outcome {
    /// Success, or the message for the log. The alternate form of the error (`{:#}`) is used, in
    /// which errors of several layers tell them all.
    fn into_result(self) -> Result<(), String>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Calls `handler` with the connection of this instance and gives the exit code for the host: 0,
/// or 1 after an error, whose message is logged. [`handler`](macro@crate::handler) exports a
/// function that calls this.
///
/// A panic is logged with its place before it traps.
///
/// Off wasm there is no host: the connection has no peer, as in a trial run.
pub fn run<O: Outcome>(handler: impl FnOnce(Connection) -> O) -> i32 {
    if cfg!(target_family = "wasm") {
        panic::set_hook(Box::new(|panic| sys::log(level::ERROR, &describe(panic))));
    }
    match handler(Connection::new(Handle::connection())).into_result() {
        Ok(()) => 0,
        Err(message) => {
            sys::log(level::ERROR, &message);
            1
        }
    }
}

/// One line, because the host escapes line ends.
fn describe(panic: &panic::PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(place) => format!("panicked at {place}: {message}"),
        None => format!("panicked: {message}"),
    }
}
