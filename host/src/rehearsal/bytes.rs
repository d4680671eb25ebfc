//! Bytes as they are written in scripts, and shown.

use crate::text::printable;

/// Bytes that are shown of something long, on each side of the place that matters.
const AROUND: usize = 32;

/// Why a text is no string of a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadString {
    /// It does not begin with a quote.
    #[error("a string begins with `\"`, like \"hello\\r\\n\"")]
    NoBegin,
    /// It has no quote at its end.
    #[error("the string has no `\"` at its end")]
    NoEnd,
    /// There is more on the line.
    #[error("there is something after the string: `{0}`")]
    More(String),
    /// There is no such escape.
    #[error("`\\{0}` is not an escape; those are \\n, \\r, \\t, \\0, \\\\, \\\" and \\xHH")]
    Escape(String),
}

/// The bytes of a string in quotes; characters beyond ASCII are their UTF-8.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, BadString> {
    let inner = text.strip_prefix('"').ok_or(BadString::NoBegin)?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut characters = inner.chars();
    loop {
        match characters.next().ok_or(BadString::NoEnd)? {
            '"' => break,
            '\\' => bytes.push(match characters.next().ok_or(BadString::NoEnd)? {
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                '0' => 0,
                '\\' => b'\\',
                '"' => b'"',
                'x' => {
                    let digits: String = characters.by_ref().take(2).collect();
                    let is_number = digits.len() == 2 && !digits.starts_with('+');
                    u8::from_str_radix(&digits, 16)
                        .ok()
                        .filter(|_| is_number)
                        .ok_or_else(|| BadString::Escape(shown(&format!("x{digits}"))))?
                }
                other => return Err(BadString::Escape(shown(&other.to_string()))),
            }),
            character => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    match characters.as_str().trim() {
        "" => Ok(bytes),
        more => Err(BadString::More(shown(more))),
    }
}

/// The beginning of what was written, for a message.
fn shown(text: &str) -> String {
    printable(&text.chars().take(20).collect::<String>())
}

/// The bytes around `at` as a string of a script, with `...` where some are left out.
pub(super) fn around(bytes: &[u8], at: usize) -> String {
    let from = at.min(bytes.len()).saturating_sub(AROUND);
    let to = at.saturating_add(AROUND).min(bytes.len());
    let before = if from > 0 { "... " } else { "" };
    let after = if to < bytes.len() { " ..." } else { "" };
    format!("{before}{}{after}", quoted(&bytes[from..to]))
}

/// The bytes as a string of a script.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\0' => text.push_str("\\0"),
                // What could drive a terminal, or is not seen.
                other if other.is_ascii_graphic() || other == ' ' || other.is_alphanumeric() => {
                    text.push(other);
                }
                other => push_bytes(&mut text, other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        push_bytes(&mut text, chunk.invalid());
    }
    text.push('"');
    text
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str("\\x");
        text.push_str(&crate::text::hexadecimal(&[*byte]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_bytes_and_text_is_its_utf_8() {
        assert_eq!(
            parse(r#""a\n\r\t\0\\\"\x7F\xffé" "#).unwrap(),
            b"a\n\r\t\0\\\"\x7f\xff\xc3\xa9"
        );
        for (text, error) in [
            ("a", BadString::NoBegin),
            ("\"a", BadString::NoEnd),
            ("\"a\\", BadString::NoEnd),
            ("\"\\q\"", BadString::Escape("q".into())),
            ("\"\\x+1\"", BadString::Escape("x+1".into())),
            ("\"\\x1\"", BadString::Escape("x1\"".into())),
            ("\"a\" b", BadString::More("b".into())),
            ("\"a\" \x1b[31m", BadString::More(r"\u{1b}[31m".into())),
            ("\"\\\x1b\"", BadString::Escape(r"\u{1b}".into())),
        ] {
            assert_eq!(parse(text).unwrap_err(), error);
        }
    }

    #[test]
    fn what_is_shown_can_be_written_and_cannot_drive_a_terminal() {
        let bytes = b"a\n\r\t\0\\\"\x1b[31m\xff\xc3\xa9\xe2\x80\xae";
        let shown = quoted(bytes);
        assert_eq!(shown, r#""a\n\r\t\0\\\"\x1b[31m\xffé\xe2\x80\xae""#);
        assert_eq!(parse(&shown).unwrap(), bytes);
    }

    #[test]
    fn of_something_long_the_place_that_matters_is_shown() {
        let bytes = [b'x'; 100];
        assert_eq!(around(&bytes, 50), format!("... \"{}\" ...", "x".repeat(64)));
        assert_eq!(around(&bytes, 0), format!("\"{}\" ...", "x".repeat(32)));
        assert_eq!(around(&bytes, 200), format!("... \"{}\"", "x".repeat(32)));
        assert_eq!(around(b"abc", 3), "\"abc\"");
    }
}
