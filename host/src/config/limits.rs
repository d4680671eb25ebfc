//! Limits that have parts: their types and checks.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::compound::{duration_above_zero, field, known, required, table};
use super::reader::{Checked, Report};
use super::scalar::{self, Count};
use super::units::display_size;
use super::value::{Data, Value};

/// The shortest and the longest bound of a line, in bytes.
const LINE: std::ops::RangeInclusive<u64> = 16..=64 * 1024;

/// What a guest may write into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// Lines a second; five times as many at once.
    pub lines: NonZeroU32,
    /// Bytes a second, at least `line`; five times as many at once.
    pub bytes: NonZeroU32,
    /// The longest line, in bytes; a longer one is cut. 16 to 65,536.
    pub line: u32,
}

/// How the work of guests is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// By time.
    Epoch,
    /// By time and by what is executed, which is the same on every machine.
    Fuel,
}

/// How much memory all instances may have together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryBound {
    /// Three quarters of what the machine gives this process.
    Auto,
    /// No bound.
    Unbounded,
    /// So many bytes.
    Bytes(u64),
}

/// How fast a peer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes that have to move, in either direction.
    pub bytes: NonZeroU64,
    /// The time for it, as far as it is spent waiting for the peer; above zero.
    pub over: Duration,
}

pub(super) fn min_rate(value: &Value, report: &mut Report<'_>) -> Checked<Option<MinRate>> {
    let fields = match &value.data {
        Data::Text(text) if text == "none" => return Ok(None),
        _ => table(value, report)?,
    };
    let known = known(fields, &["bytes", "over"], report);
    let bytes = required(value, "bytes", report);
    let bytes = bytes.and_then(|value| {
        scalar::size_or(value, 1, u64::MAX, &[])
            .or_else(|why| report.wrong(&value.origin, &format!("`bytes` is a size, {why}")))
    });
    let over = required(value, "over", report);
    let over = over.and_then(|value| duration_above_zero(value, "over", report));
    let bytes = bytes?.and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN);
    known.and(Ok(Some(MinRate { bytes, over: over? })))
}

/// A part that is left out is that of `default`.
pub(super) fn log(value: &Value, default: &Value, report: &mut Report<'_>) -> Checked<LogBounds> {
    let known = known(table(value, report)?, &["lines", "bytes", "line"], report);
    let part = |name: &str| field(value, name).or_else(|| field(default, name)).unwrap_or(value);
    let lines = part("lines");
    let lines = match scalar::count(lines, &[]) {
        Ok(Count::Number(n)) => Ok(n),
        Ok(Count::Word(_)) => report.wrong(&lines.origin, &scalar::this_is(lines)),
        Err(why) => report.wrong(&lines.origin, &format!("`lines` is a number, {why}")),
    };
    let mut size = |name: &str, least: u64, most: u64| {
        let value = part(name);
        scalar::size_or(value, least, most, &[]).or_else(|why| {
            let range = format!("from {} to {}", display_size(least), display_size(most));
            report.wrong(&value.origin, &format!("`{name}` is a size {range}, {why}"))
        })
    };
    let line = size("line", *LINE.start(), *LINE.end());
    let bytes = size("bytes", *LINE.start(), u32::MAX.into());
    let (lines, line, bytes) = (lines?, line?.unwrap_or(0), bytes?.unwrap_or(0));
    if line > bytes {
        let [line, bytes] = [line, bytes].map(display_size);
        return report
            .refuse(&value.origin, &format!("`line` ({line}) is more than `bytes` ({bytes})"));
    }
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let bytes = NonZeroU32::new(number(bytes)).unwrap_or(NonZeroU32::MIN);
    known.map(|()| LogBounds { lines, bytes, line: number(line) })
}
