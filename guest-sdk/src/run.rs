//! What happens around a handler: its connection, its result, and what is logged of a failure.

use core::any::Any;
use core::convert::Infallible;
use core::fmt::Display;
#[cfg(target_family = "wasm")]
use core::panic::Location;

use portcell_abi::level;

use crate::Connection;
use crate::error::Error;
use crate::log::{Level, log};
use crate::sys::{self, Handle};

/// What a handler may return: `io::Result<()>`, another `Result<(), E>` whose error can be
/// displayed, or `()`.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "must return `io::Result<()>`, `Result<(), E>` with `E: Display`, or `()`"
)]
pub trait Outcome {
    /// What a failure is. Its alternate form (`{:#}`) is logged, in which errors of several layers
    /// tell them all.
    type Error: Display + 'static;

    /// Success, or what went wrong.
    fn into_result(self) -> Result<(), Self::Error>;
}

impl Outcome for () {
    type Error = Infallible;

    fn into_result(self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<E: Display + 'static> Outcome for Result<(), E> {
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}

/// Calls `handler` with the connection of this instance and gives the exit code for the host: 0,
/// or 1 after an error, whose message is logged. [`handler`](macro@crate::handler) exports a
/// function that calls this.
///
/// A panic is logged with its place before it traps. With std this is its panic hook, and so all that
/// std has for panics is linked; without, it is the SDK's panic handler.
///
/// Off wasm there is no host: the connection has no peer, as in a trial run.
pub fn run<O: Outcome>(handler: impl FnOnce(Connection) -> O) -> i32 {
    #[cfg(all(target_family = "wasm", feature = "std"))]
    std::panic::set_hook(Box::new(|panic| {
        log_panic(panic.location(), &panic.payload_as_str().unwrap_or("no message"));
    }));
    match handler(Connection::new(Handle::connection())).into_result() {
        Ok(()) => 0,
        Err(error) => {
            log_error(&error);
            1
        }
    }
}

/// The SDK's own error needs nothing to be formatted, so a handler with no other carries nothing
/// for it.
fn log_error<E: Display + 'static>(error: &E) {
    match (error as &dyn Any).downcast_ref::<Error>() {
        Some(error) => sys::log(level::ERROR, error.message().as_bytes()),
        None => log(Level::Error, format_args!("{error:#}")),
    }
}

/// One line, because the host escapes line ends.
#[cfg(target_family = "wasm")]
fn log_panic(place: Option<&Location<'_>>, message: &dyn Display) {
    match place {
        Some(place) => log(Level::Error, format_args!("panicked at {place}: {message}")),
        None => log(Level::Error, format_args!("panicked: {message}")),
    }
}

/// Without std there is nobody else to say what a panic does.
#[cfg(all(target_family = "wasm", not(feature = "std")))]
#[panic_handler]
fn on_panic(panic: &core::panic::PanicInfo<'_>) -> ! {
    log_panic(panic.location(), &panic.message());
    core::arch::wasm32::unreachable()
}
