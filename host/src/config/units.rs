//! Durations and sizes as people write them: `1m30s`, `16MiB`.

use std::fmt::Write as _;
use std::time::Duration;

/// The longest duration that can be written, about 27 years; every clock can add it to now.
const MAX_DURATION: Duration = Duration::from_hours(24 * 10_000);

/// Units of durations in milliseconds, largest first.
const DURATIONS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of sizes in bytes; the powers of 1024, largest first, then those of 1000.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("kB", 1000),
    ("B", 1),
];

/// Why a text is no duration or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// Where a number should be there is none; has the text.
    #[error("`{0}` has no number where one is needed")]
    NoNumber(String),
    /// The number has a sign below zero; has the text.
    #[error("`{0}` is negative")]
    Negative(String),
    /// A duration's number has no unit; has the text.
    #[error("`{0}` has no unit; the units are ms, s, m, h and d")]
    NoUnit(String),
    /// No unit of durations; has the text and the unit.
    #[error("`{0}` has the unit `{1}`; the units are ms, s, m, h and d")]
    DurationUnit(String, String),
    /// No unit of sizes; has the text and the unit.
    #[error("`{0}` has the unit `{1}`; the units are B, KiB, MiB, GiB, TiB, KB, MB, GB and TB")]
    SizeUnit(String, String),
    /// Parts like those of `30s1m` or `1s1s`; has the text.
    #[error("`{0}` needs its units from the largest to the smallest, each once, like 1h30m")]
    Order(String),
    /// Not a whole number of milliseconds; has the text.
    #[error("`{0}` is finer than 1ms")]
    TooFine(String),
    /// More than can be counted with; has the text and the most.
    #[error("`{0}` is too much; the most is {1}")]
    TooMuch(String, String),
}

/// Parses durations like `10ms`, `1.5s`, `2m`, `1h30m`, `1d`: whole milliseconds, 0 included, up to
/// ten thousand days. A number without a unit is refused.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let too_much = || UnitError::TooMuch(text.to_owned(), display_duration(MAX_DURATION));
    let mut total: u64 = 0;
    let mut below = u64::MAX;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UnitError::Empty);
    }
    while !rest.is_empty() {
        let part = Part::split(text, rest)?;
        if part.unit.is_empty() {
            return Err(UnitError::NoUnit(text.to_owned()));
        }
        let scale = DURATIONS.iter().find(|(unit, _)| *unit == part.unit);
        let &(_, scale) =
            scale.ok_or_else(|| UnitError::DurationUnit(text.to_owned(), part.unit.to_owned()))?;
        if scale >= below {
            return Err(UnitError::Order(text.to_owned()));
        }
        below = scale;
        let (millis, exact) = part.times(scale).ok_or_else(too_much)?;
        if !exact {
            return Err(UnitError::TooFine(text.to_owned()));
        }
        total = total.checked_add(millis).ok_or_else(too_much)?;
        rest = part.rest;
    }
    let duration = Duration::from_millis(total);
    if duration > MAX_DURATION { Err(too_much()) } else { Ok(duration) }
}

/// Parses sizes like `65536`, `64KiB`, `1.5GiB`, `10MB` to bytes, 0 included; a part of a byte is
/// dropped.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(UnitError::Empty);
    }
    let part = Part::split(text, trimmed)?;
    let unit = if part.unit.is_empty() { "B" } else { part.unit };
    let scale = SIZES.iter().find(|(known, _)| *known == unit);
    let &(_, scale) = scale.filter(|_| part.rest.is_empty()).ok_or_else(|| {
        UnitError::SizeUnit(text.to_owned(), format!("{}{}", part.unit, part.rest))
    })?;
    let too_much = || UnitError::TooMuch(text.to_owned(), format!("{} bytes", u64::MAX));
    part.times(scale).map(|(bytes, _)| bytes).ok_or_else(too_much)
}

/// `text`, a decimal number like `0.5`, times `scale`, down to a whole one; `None` if it is none or
/// does not fit.
pub(super) fn parse_decimal(text: &str, scale: u64) -> Option<u64> {
    let part = Part::split(text, text).ok()?;
    let is_plain = part.unit.is_empty() && part.rest.is_empty();
    is_plain.then(|| part.times(scale)).flatten().map(|(number, _)| number)
}

/// Writes a duration the way [`parse_duration`] reads it, `1m30s`; less than a millisecond is
/// dropped.
pub fn display_duration(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for &(unit, scale) in DURATIONS {
        let n = rest / u128::from(scale);
        rest %= u128::from(scale);
        if n > 0 {
            // A `String` takes everything.
            let _ = write!(text, "{n}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Writes a size in the largest binary unit that holds it exactly, `64KiB`, or as plain bytes.
pub fn display_size(bytes: u64) -> String {
    let binary = SIZES.iter().filter(|(unit, _)| unit.ends_with("iB"));
    match binary.into_iter().find(|(_, scale)| bytes > 0 && bytes.is_multiple_of(*scale)) {
        Some((unit, scale)) => format!("{}{unit}", bytes / scale),
        None => bytes.to_string(),
    }
}

/// A number with its unit at the front of a text.
struct Part<'a> {
    whole: &'a str,
    fraction: &'a str,
    unit: &'a str,
    rest: &'a str,
}

impl<'a> Part<'a> {
    fn split(text: &str, rest: &'a str) -> Result<Self, UnitError> {
        if rest.starts_with('-') {
            return Err(UnitError::Negative(text.to_owned()));
        }
        let (whole, rest) = span(rest, |c| c.is_ascii_digit());
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => span(rest, |c| c.is_ascii_digit()),
            None => ("0", rest),
        };
        if whole.is_empty() || fraction.is_empty() {
            return Err(UnitError::NoNumber(text.to_owned()));
        }
        let (unit, rest) = span(rest.trim_start(), |c| !c.is_ascii_digit() && !c.is_whitespace());
        Ok(Self { whole, fraction, unit, rest: rest.trim_start() })
    }

    /// The number times `scale`, down to a whole one, and whether that is exact; `None` if it does
    /// not fit.
    fn times(&self, scale: u64) -> Option<(u64, bool)> {
        // Past 18 decimals nothing of a unit of 2^40 is left.
        let kept = &self.fraction[..self.fraction.len().min(18)];
        let dropped = self.fraction[kept.len()..].bytes().any(|digit| digit != b'0');
        let whole: u64 = self.whole.parse().ok()?;
        let fraction = kept.parse::<u128>().ok()? * u128::from(scale);
        let decimals = 10_u128.pow(u32::try_from(kept.len()).ok()?);
        let part = u64::try_from(fraction / decimals).ok()?;
        let exact = !dropped && fraction % decimals == 0;
        Some((whole.checked_mul(scale)?.checked_add(part)?, exact))
    }
}

fn span(text: &str, of: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !of(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("10ms", 10),
            ("1.5s", 1500),
            ("0.25h", 900_000),
            ("30s", 30_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1m30s", 90_000),
            ("1h 30m", 5_400_000),
            ("5 s", 5000),
            ("0s", 0),
            ("10000d", 864_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn bad_durations_are_refused_with_a_reason() {
        for (text, reason) in [
            ("", "it is empty"),
            ("  ", "it is empty"),
            ("30", "`30` has no unit; the units are ms, s, m, h and d"),
            ("1m30", "`1m30` has no unit; the units are ms, s, m, h and d"),
            ("30sec", "`30sec` has the unit `sec`; the units are ms, s, m, h and d"),
            ("30S", "`30S` has the unit `S`; the units are ms, s, m, h and d"),
            ("soon", "`soon` has no number where one is needed"),
            (".5s", "`.5s` has no number where one is needed"),
            ("1.s", "`1.s` has no number where one is needed"),
            ("-1s", "`-1s` is negative"),
            (
                "1s2m",
                "`1s2m` needs its units from the largest to the smallest, each once, like 1h30m",
            ),
            (
                "1s1s",
                "`1s1s` needs its units from the largest to the smallest, each once, like 1h30m",
            ),
            ("0.5ms", "`0.5ms` is finer than 1ms"),
            ("1.0001s", "`1.0001s` is finer than 1ms"),
            ("10001d", "`10001d` is too much; the most is 10000d"),
            ("99999999999999999999s", "`99999999999999999999s` is too much; the most is 10000d"),
            ("18446744073709551615ms", "`18446744073709551615ms` is too much; the most is 10000d"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), reason);
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("16MiB", 16_777_216),
            ("1.5GiB", 1_610_612_736),
            ("1TiB", 1_099_511_627_776),
            ("10KB", 10_000),
            ("10kB", 10_000),
            ("2MB", 2_000_000),
            ("100B", 100),
            ("0.1KiB", 102),
            ("1.999999999999999999999B", 1),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn bad_sizes_are_refused_with_a_reason() {
        let units = "the units are B, KiB, MiB, GiB, TiB, KB, MB, GB and TB";
        for (text, reason) in [
            ("", "it is empty".to_owned()),
            ("MiB", "`MiB` has no number where one is needed".to_owned()),
            ("-1", "`-1` is negative".to_owned()),
            ("1Mib", format!("`1Mib` has the unit `Mib`; {units}")),
            ("64K", format!("`64K` has the unit `K`; {units}")),
            ("1MiB2", format!("`1MiB2` has the unit `MiB2`; {units}")),
            (
                "16777216TiB",
                "`16777216TiB` is too much; the most is 18446744073709551615 bytes".to_owned(),
            ),
            (
                "18446744073709551616",
                "`18446744073709551616` is too much; the most is 18446744073709551615 bytes"
                    .to_owned(),
            ),
        ] {
            assert_eq!(parse_size(text).unwrap_err().to_string(), reason);
        }
    }

    #[test]
    fn what_is_displayed_reads_back() {
        for millis in [0, 1, 999, 1000, 1500, 90_000, 3_600_000, 86_461_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&display_duration(duration)), Ok(duration));
        }
        assert_eq!(display_duration(Duration::from_secs(90)), "1m30s");
        for bytes in [0, 1, 1000, 1024, 65_536, 1 << 30, u64::MAX] {
            assert_eq!(parse_size(&display_size(bytes)), Ok(bytes));
        }
        assert_eq!(display_size(65_536), "64KiB");
        assert_eq!(display_size(1000), "1000");
    }
}
