//! Text of guests and peers, made fit for logs and terminals, and bytes as text.

use std::fmt::Write as _;

/// The text without anything that could forge a line or drive a terminal.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        escape_into(&mut shown, character);
    }
    shown
}

/// Adds a character to `shown`, or what stands for it there.
pub(crate) fn escape_into(shown: &mut String, character: char) {
    if character.is_control() || reorders(character) {
        // Writing to a string cannot fail.
        let _ = write!(shown, "{}", character.escape_default());
    } else {
        shown.push(character);
    }
}

/// The bytes as digits, two each.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Characters that reorder what is around them, and the line separators of Unicode.
const fn reorders(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_forge_another() {
        assert_eq!(printable("a\n2026 INFO b\r\x1b[31mc"), "a\\n2026 INFO b\\r\\u{1b}[31mc");
        assert_eq!(printable("caf\u{e9} \u{fffd}"), "caf\u{e9} \u{fffd}");
        assert_eq!(printable("x\u{202e}y"), "x\\u{202e}y");
    }
}
