//! Checks of single values. An error is what is wrong, to be said after what the key takes.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Receipts;
use super::units::{UnitError, display_size, parse_duration, parse_size};
use super::value::{Data, Value};

/// The longest name, in bytes.
const MAX_NAME: usize = 64;

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

pub(super) fn size(value: &Value, min: u64, max: u64) -> Result<u64, String> {
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

pub(super) fn receipts(value: &Value, base: &Path) -> Result<Receipts, String> {
    match &value.data {
        Data::Text(text) if text == "off" => Ok(Receipts::Off),
        Data::Text(text) if text == "stderr" => Ok(Receipts::Stderr),
        // A word like "none" or "stdout" is hardly meant to be a file.
        Data::Text(text) if !text.is_empty() && !text.contains(['/', '.']) => {
            Err(format!("a file of the name `{text}` would be \"./{text}\""))
        }
        _ => path(value, base).map(Receipts::File),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\" is text: write {text} without the quotes")
}

pub(super) fn this_is(value: &Value) -> String {
    format!("this is {}", value.found())
}
