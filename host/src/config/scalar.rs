//! Checks of single values. An error is what is wrong, to be said after what the key takes.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::units::{
    UnitError, display_duration, display_size, parse_decimal, parse_duration, parse_size,
};
use super::value::{Data, Value};
use super::{CacheConfig, MemoryBound, Receipts};

/// The longest name, in bytes.
const MAX_NAME: usize = 64;

/// The longest name of a network interface, in bytes: `IFNAMSIZ` is 16, one of them for the NUL at
/// the end (netdevice(7)).
const MAX_DEVICE: usize = 15;

/// A number of at least 1, or the place of a word in `words`.
pub(super) enum Count {
    Number(NonZeroU32),
    Word(usize),
}

pub(super) fn count(value: &Value, words: &[&str]) -> Result<Count, String> {
    match &value.data {
        Data::Integer(0) => Err(match words.first() {
            Some(word) => format!("0 would allow nothing: leave it out, or write \"{word}\""),
            None => "0 would allow nothing".to_owned(),
        }),
        Data::Integer(n) if *n < 0 => Err(format!("{n} is negative")),
        Data::Integer(n) => match u32::try_from(*n).ok().and_then(NonZeroU32::new) {
            Some(n) => Ok(Count::Number(n)),
            None => Err(format!("the most is {}", u32::MAX)),
        },
        Data::Text(text) => match words.iter().position(|word| word == text) {
            Some(i) => Ok(Count::Word(i)),
            None if text.parse::<i128>().is_ok() => Err(quoted(text)),
            None => Err(this_is(value)),
        },
        _ => Err(this_is(value)),
    }
}

/// A number of at least 1; `None` is `"none"`.
pub(super) fn amount(value: &Value) -> Result<Option<NonZeroU64>, String> {
    match &value.data {
        Data::Text(text) if text == "none" => Ok(None),
        Data::Integer(0) => Err(NO_LIMIT.to_owned()),
        Data::Integer(n) if *n < 0 => Err(format!("{n} is negative")),
        Data::Integer(n) => match u64::try_from(*n).ok().and_then(NonZeroU64::new) {
            Some(n) => Ok(Some(n)),
            None => Err(format!("the most is {}", u64::MAX)),
        },
        Data::Text(text) if text.parse::<i128>().is_ok() => Err(quoted(text)),
        _ => Err(this_is(value)),
    }
}

/// So many processors, as microseconds of CPU time a second; `None` is `"none"`.
pub(super) fn processors(value: &Value) -> Result<Option<NonZeroU32>, String> {
    let micros = match &value.data {
        Data::Text(text) if text == "none" => return Ok(None),
        Data::Text(text) if parse_decimal(text, SECOND).is_some() => return Err(quoted(text)),
        Data::Integer(0) => return Err(NO_LIMIT.to_owned()),
        Data::Integer(n) => u64::try_from(*n).ok().and_then(|n| n.checked_mul(SECOND)),
        Data::Decimal(text) => parse_decimal(text, SECOND),
        _ => None,
    };
    let micros = micros.filter(|micros| (SECOND / 1000..=1000 * SECOND).contains(micros));
    let micros = micros.and_then(|micros| u32::try_from(micros).ok()).and_then(NonZeroU32::new);
    micros.map(Some).ok_or_else(|| this_is(value))
}

/// A second, in microseconds.
const SECOND: u64 = 1_000_000;

/// All memory of all instances; `"auto"` or `"none"` where it is no size.
pub(super) fn total_memory(value: &Value, min: u64, max: u64) -> Result<MemoryBound, String> {
    match &value.data {
        Data::Text(text) if text == "auto" => Ok(MemoryBound::Auto),
        Data::Text(text) if text == "none" => Ok(MemoryBound::Unbounded),
        _ => size(value, min, max).map(MemoryBound::Bytes),
    }
}

/// A duration above zero; `None` is `"none"`.
pub(super) fn limit(value: &Value) -> Result<Option<Duration>, String> {
    match &value.data {
        Data::Text(text) if text == "none" => Ok(None),
        Data::Integer(0) => Err(NO_LIMIT.to_owned()),
        _ => match duration(value)? {
            Duration::ZERO => Err(NO_LIMIT.to_owned()),
            duration => Ok(Some(duration)),
        },
    }
}

const NO_LIMIT: &str = "0 would allow nothing: write \"none\" for no limit";

/// A duration, 0 included.
pub(super) fn duration(value: &Value) -> Result<Duration, String> {
    match &value.data {
        Data::Text(text) => parse_duration(text).map_err(|error| error.to_string()),
        Data::Integer(n) => Err(UnitError::NoUnit(n.to_string()).to_string()),
        _ => Err(this_is(value)),
    }
}

/// A limit of at most `most`.
pub(super) fn limit_to(value: &Value, most: Duration) -> Result<Option<Duration>, String> {
    match limit(value)? {
        Some(limit) if limit > most => Err(format!("{} is too much", display_duration(limit))),
        limit => Ok(limit),
    }
}

/// A duration above zero, of at most `most`.
pub(super) fn within(value: &Value, most: Duration) -> Result<Duration, String> {
    match duration(value)? {
        Duration::ZERO => Err("0 would allow nothing".to_owned()),
        duration if duration > most => Err(format!("{} is too much", display_duration(duration))),
        duration => Ok(duration),
    }
}

/// A limit in whole seconds.
pub(super) fn seconds(value: &Value) -> Result<Option<Duration>, String> {
    match limit(value)? {
        Some(limit) if limit.subsec_nanos() > 0 => {
            Err(format!("{} is not whole seconds", display_duration(limit)))
        }
        limit => Ok(limit),
    }
}

/// A size; `None` is one of `words`.
pub(super) fn size_or(
    value: &Value,
    min: u64,
    max: u64,
    words: &[&str],
) -> Result<Option<u64>, String> {
    match &value.data {
        Data::Text(text) if words.contains(&text.as_str()) => Ok(None),
        _ => size(value, min, max).map(Some),
    }
}

fn size(value: &Value, min: u64, max: u64) -> Result<u64, String> {
    let bytes = match &value.data {
        Data::Text(text) => parse_size(text).map_err(|error| error.to_string())?,
        Data::Integer(n) if *n < 0 => return Err(format!("{n} is negative")),
        Data::Integer(n) => u64::try_from(*n).unwrap_or(u64::MAX),
        _ => return Err(this_is(value)),
    };
    match bytes {
        _ if bytes < min => Err(format!("{} is too little", display_size(bytes))),
        _ if bytes > max => Err(format!("{} is too much", display_size(bytes))),
        _ => Ok(bytes),
    }
}

pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    match &value.data {
        Data::Bool(value) => Ok(*value),
        Data::Text(text) if text == "true" || text == "false" => Err(quoted(text)),
        _ => Err(this_is(value)),
    }
}

/// The place of the word in `words`.
pub(super) fn choice(value: &Value, words: &[&str]) -> Result<usize, String> {
    let place = |text: &String| words.iter().position(|word| word == text);
    match &value.data {
        Data::Text(text) => place(text).ok_or_else(|| this_is(value)),
        _ => Err(this_is(value)),
    }
}

pub(super) fn name(value: &Value) -> Result<String, String> {
    let Data::Text(text) = &value.data else { return Err(this_is(value)) };
    match text.len() {
        _ if !text.chars().all(is_name_char) => {
            Err(format!("`{text}` has more than letters, digits, `-`, `_` and `.`"))
        }
        0 => Err("this one is empty".to_owned()),
        1..=MAX_NAME => Ok(text.clone()),
        length => Err(format!("this one has {length} characters, the most is {MAX_NAME}")),
    }
}

/// The text as a name: other characters become `-`, and it is cut to the longest.
pub(super) fn to_name(text: &str) -> String {
    let name: String =
        text.chars().take(MAX_NAME).map(|c| if is_name_char(c) { c } else { '-' }).collect();
    if name.is_empty() { "plugin".to_owned() } else { name }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// A text of at most `max` bytes.
pub(super) fn text(value: &Value, max: usize) -> Result<String, String> {
    match &value.data {
        Data::Text(text) if text.len() > max => Err(format!("this one has {} bytes", text.len())),
        Data::Text(text) => Ok(text.clone()),
        _ => Err(this_is(value)),
    }
}

/// The permission bits of a file; `None` is `"none"`.
pub(super) fn permissions(value: &Value) -> Result<Option<u32>, String> {
    match &value.data {
        Data::Text(text) if text == "none" => Ok(None),
        Data::Text(text) => {
            let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
            let octal =
                digits.len() == 3 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
            let bits = u32::from_str_radix(digits, 8).ok().filter(|_| octal);
            bits.map(Some).ok_or_else(|| {
                format!("`{text}` is not three digits from 0 to 7, with a 0 in front or without")
            })
        }
        Data::Integer(_) => Err(format!("{}: write the octal digits as text", this_is(value))),
        _ => Err(this_is(value)),
    }
}

/// A user or group, by name or number; `None` is `"none"`.
pub(super) fn owner(value: &Value) -> Result<Option<String>, String> {
    // The kernel takes the largest number for "leave it": chown(2).
    let number = |n: Option<u32>| match n.filter(|n| *n < u32::MAX) {
        Some(n) => Ok(Some(n.to_string())),
        None => Err(format!("the largest number is {}", u32::MAX - 1)),
    };
    match &value.data {
        Data::Text(text) if text == "none" => Ok(None),
        Data::Text(text) if text.is_empty() => Err("this one is empty".to_owned()),
        Data::Text(text) if text.bytes().all(|digit| digit.is_ascii_digit()) => {
            number(text.parse().ok())
        }
        Data::Text(text)
            if text.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control()) =>
        {
            Err(format!("`{text}` has a colon, a space or a control character"))
        }
        Data::Text(text) => Ok(Some(text.clone())),
        Data::Integer(n) if *n < 0 => Err(format!("{n} is negative")),
        Data::Integer(n) => number(u32::try_from(*n).ok()),
        _ => Err(this_is(value)),
    }
}

/// The name of a network interface, as the kernel takes them; `None` is `"none"`.
pub(super) fn device(value: &Value) -> Result<Option<String>, String> {
    let Data::Text(text) = &value.data else { return Err(this_is(value)) };
    match text.len() {
        _ if text == "none" => Ok(None),
        _ if matches!(text.as_str(), "." | "..")
            || text.contains(|c: char| {
                c == '/' || c == ':' || c.is_whitespace() || c.is_control()
            }) =>
        {
            Err(format!("`{text}` cannot be one"))
        }
        0 => Err("this one is empty".to_owned()),
        1..=MAX_DEVICE => Ok(Some(text.clone())),
        length => Err(format!("this one has {length} bytes, the most is {MAX_DEVICE}")),
    }
}

/// A path, relative ones taken from `base`.
pub(super) fn path(value: &Value, base: &Path) -> Result<PathBuf, String> {
    match &value.data {
        Data::Text(text) if text.is_empty() => Err("this one is empty".to_owned()),
        Data::Text(text) if text.contains('\0') => Err("this one has a NUL in it".to_owned()),
        Data::Text(text) => Ok(base.join(text)),
        Data::Path(path) => Ok(base.join(path)),
        _ => Err(this_is(value)),
    }
}

/// A command for the shell.
pub(super) fn command(value: &Value) -> Result<String, String> {
    match &value.data {
        Data::Text(text) if text.trim().is_empty() => Err("this one is empty".to_owned()),
        Data::Text(text) if text.contains('\0') => Err("this one has a NUL in it".to_owned()),
        Data::Text(text) => Ok(text.clone()),
        _ => Err(this_is(value)),
    }
}

pub(super) fn receipts(value: &Value, base: &Path) -> Result<Receipts, String> {
    match &value.data {
        Data::Text(text) if text == "off" => Ok(Receipts::Off),
        Data::Text(text) if text == "stderr" => Ok(Receipts::Stderr),
        _ => path_not_word(value, base, "file").map(Receipts::File),
    }
}

pub(super) fn cache(value: &Value, base: &Path) -> Result<CacheConfig, String> {
    match &value.data {
        Data::Text(text) if text == "auto" => Ok(CacheConfig::Auto),
        Data::Text(text) if text == "off" => Ok(CacheConfig::Off),
        _ => path_not_word(value, base, "folder").map(CacheConfig::Folder),
    }
}

/// A path, where a word like "none" or "stdout" is hardly meant to be one.
fn path_not_word(value: &Value, base: &Path, what: &str) -> Result<PathBuf, String> {
    match &value.data {
        Data::Text(text) if !text.is_empty() && !text.contains(['/', '.']) => {
            Err(format!("a {what} of the name `{text}` would be \"./{text}\""))
        }
        _ => path(value, base),
    }
}

pub(super) fn folder_or_off(value: &Value, base: &Path) -> Result<Option<PathBuf>, String> {
    match &value.data {
        Data::Text(text) if text == "off" => Ok(None),
        // A word like "none" or "on" is hardly meant to be a folder.
        Data::Text(text) if !text.is_empty() && !text.contains(['/', '.']) => {
            Err(format!("a folder of the name `{text}` would be \"./{text}\""))
        }
        _ => path(value, base).map(Some),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\" is text: write {text} without the quotes")
}

pub(super) fn this_is(value: &Value) -> String {
    format!("this is {}", value.found())
}
