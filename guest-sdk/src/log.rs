//! Lines for the host's log. Off wasm they go to standard error.

use core::fmt;

use portcell_abi::level;

use crate::sys;

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Level {
    /// Something failed.
    Error = level::ERROR,
    /// Something is not as it should be.
    Warn = level::WARN,
    /// Worth knowing.
    Info = level::INFO,
    /// For whoever writes the handler.
    Debug = level::DEBUG,
    /// Everything.
    Trace = level::TRACE,
}

/// Writes a line to the host's log, under the handler's name. The macros [`error!`](crate::error),
/// [`warn!`](crate::warn), [`info!`](crate::info), [`debug!`](crate::debug) and
/// [`trace!`](crate::trace) call it.
///
/// The host bounds length and rate, drops what is too much, and escapes control characters.
pub fn log(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(text) => sys::log(level as i32, text.as_bytes()),
        None => log_formatted(level, message),
    }
}

#[cfg(any(feature = "std", not(target_family = "wasm")))]
fn log_formatted(level: Level, message: fmt::Arguments<'_>) {
    sys::log(level as i32, message.to_string().as_bytes());
}

/// Without a heap.
#[cfg(all(target_family = "wasm", not(feature = "std")))]
fn log_formatted(level: Level, message: fmt::Arguments<'_>) {
    sys::log(level as i32, crate::line::Line::of(message).as_bytes());
}

/// Logs at level error: something failed. Takes what `format!` takes.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log($crate::Level::Error, ::core::format_args!($($message)+)) };
}

/// Logs at level warn: something is not as it should be. Takes what `format!` takes.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log($crate::Level::Warn, ::core::format_args!($($message)+)) };
}

/// Logs at level info: worth knowing. Takes what `format!` takes.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log($crate::Level::Info, ::core::format_args!($($message)+)) };
}

/// Logs at level debug: for whoever writes the handler. Takes what `format!` takes.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log($crate::Level::Debug, ::core::format_args!($($message)+)) };
}

/// Logs at level trace: everything. Takes what `format!` takes.
#[macro_export]
macro_rules! trace {
    ($($message:tt)+) => { $crate::log($crate::Level::Trace, ::core::format_args!($($message)+)) };
}
