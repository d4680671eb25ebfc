//! Logs, on stderr: text for people, or JSON, one object a line.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::SystemTime;

use tracing::Level;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people; in colour on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// The logs of this process. When this is dropped, lines that wait are written, for at most a
/// second if nobody reads them.
#[derive(Debug)]
pub struct Logs {
    _guard: WorkerGuard,
}

/// Sends the logs of this process to stderr. `filter` is a level (`debug`) or a list of levels by
/// target (`info,guest=debug`); it is refused if it is neither. A second call does nothing.
///
/// Lines are written by a thread of their own, so that a stderr that nobody reads makes no
/// connection wait; when too many wait, further ones are lost.
pub fn init(format: Format, filter: &str) -> Result<Logs, ParseError> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(filter)?
        // At `debug` the compiler alone writes thousands of lines for each module, and the WASI
        // library warns of what guests do, at their rate.
        .add_directive("cranelift=warn".parse()?)
        .add_directive("regalloc2=warn".parse()?)
        .add_directive("wasmtime=warn".parse()?)
        .add_directive("wasmtime_wasi=error".parse()?)
        .add_directive("wiggle=error".parse()?);
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A subscriber that is there already was chosen by the program that this library is part of.
    let _ = match format {
        Format::Text => builder
            .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(Logs { _guard: guard })
}

/// Prints a line that scripts wait for, such as `listening on ...`, whatever is logged otherwise:
/// as it is, or as a JSON object with that message.
pub fn announce(format: Format, line: &str) {
    match format {
        Format::Text => print(line),
        Format::Json => print(&json(Level::INFO, line)),
    }
}

/// Prints why a command failed: as `portcell: ...`, or as a JSON object with that message.
pub fn complain(format: Format, line: &str) {
    match format {
        Format::Text => print(&format!("portcell: {line}")),
        Format::Json => print(&json(Level::ERROR, line)),
    }
}

/// As the log's own lines.
fn json(level: Level, message: &str) -> String {
    let timestamp = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    let level = level.as_str();
    serde_json::json!({ "timestamp": timestamp, "level": level, "message": message }).to_string()
}

/// One call for the whole line, so that no other gets into it.
fn print(line: &str) {
    // Without stderr there is nobody to tell.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
