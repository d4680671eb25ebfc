//! Which language? A numbered list, and an answer.

use std::io::{self, BufRead, Write};

use super::language::Language;

/// Asks until there is an answer: a number of the list, or what `--lang` takes. None if the input
/// ends before.
pub(super) fn ask(mut input: impl BufRead, mut output: impl Write) -> io::Result<Option<Language>> {
    writeln!(output, "Which language?")?;
    for (at, language) in Language::ALL.into_iter().enumerate() {
        writeln!(output, "  {}. {}", at + 1, language.title())?;
    }
    loop {
        write!(output, "A number, or a name: ")?;
        output.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 {
            writeln!(output)?;
            return Ok(None);
        }
        if let Some(language) = meant(answer.trim()) {
            return Ok(Some(language));
        }
        let words = Language::ALL.map(Language::word).join(", ");
        writeln!(output, "1 to {}, or one of {words}.", Language::ALL.len())?;
    }
}

fn meant(answer: &str) -> Option<Language> {
    match answer.parse::<usize>() {
        Ok(number) => Language::ALL.get(number.checked_sub(1)?).copied(),
        Err(_) => Language::named(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(input: &str) -> (Option<Language>, String) {
        let mut output = Vec::new();
        let language = ask(input.as_bytes(), &mut output).unwrap();
        (language, String::from_utf8(output).unwrap())
    }

    #[test]
    fn the_answer_is_a_number_of_the_list_or_a_name() {
        for (answer, language) in [
            ("1\n", Language::Rust),
            (" 4 \r\n", Language::Go),
            ("6", Language::Zig),
            ("cpp\n", Language::Cpp),
            ("C++\n", Language::Cpp),
            ("c++\n", Language::Cpp),
            ("ASSEMBLYSCRIPT\n", Language::AssemblyScript),
        ] {
            assert_eq!(answered(answer).0, Some(language), "{answer:?}");
        }
    }

    #[test]
    fn every_language_is_in_the_list() {
        let (_, asked) = answered("1\n");
        let expected = "Which language?\n  1. Rust\n  2. C\n  3. C++\n  4. Go\n  5. AssemblyScript\n  \
                        6. Zig\nA number, or a name: ";
        assert_eq!(asked, expected);
    }

    #[test]
    fn another_answer_is_asked_for_again() {
        let (language, asked) = answered("0\n7\ncobol\n\n2\n");
        assert_eq!(language, Some(Language::C));
        let hint = "1 to 6, or one of rust, c, cpp, go, assemblyscript, zig.";
        assert_eq!(asked.matches(hint).count(), 4, "{asked}");
    }

    #[test]
    fn the_end_of_the_input_is_no_answer() {
        assert_eq!(answered("").0, None);
        assert_eq!(answered("cobol").0, None);
    }
}
