//! Asks who is there, and repeats what they say until they say bye.
//!
//! A plain program: standard input and output are the connection, standard error is the log.

use std::env;
use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    eprintln!(
        "a client at {}",
        env::var("REMOTE_ADDR").unwrap_or_default()
    );
    greet(io::stdin().lock(), io::stdout().lock())
}

fn greet(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut lines = input.lines();
    writeln!(output, "Hello! Who are you?")?;
    let Some(name) = lines.next().transpose()? else {
        return Ok(());
    };
    let name = match name.trim() {
        "" => "stranger",
        name => name,
    };
    writeln!(output, "Nice to meet you, {name}! Say something, or bye.")?;

    for line in lines {
        match line?.trim() {
            "bye" => return writeln!(output, "Bye, {name}!"),
            line => writeln!(output, "{name} says: {line}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_name_is_repeated_until_they_say_bye() {
        let mut output = Vec::new();
        greet("Ada\nHow are you?\nbye\n".as_bytes(), &mut output).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output),
            "Hello! Who are you?\n\
             Nice to meet you, Ada! Say something, or bye.\n\
             Ada says: How are you?\n\
             Bye, Ada!\n"
        );
    }
}
