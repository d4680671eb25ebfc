//! Greets the peer by its address, and then everybody whom it names, one a line.
//!
//! It knows nothing of portcell: a program that reads standard input and writes standard output,
//! as inetd starts them. Any language that compiles to a WASI command can be used like this.

use std::env;
use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let peer = env::var("REMOTE_ADDR");
    converse(peer.as_deref().unwrap_or("stranger"), io::stdin().lock(), io::stdout().lock())
}

fn converse(peer: &str, input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    writeln!(output, "Hello, {peer}! Who is there?")?;
    output.flush()?;
    for line in input.lines() {
        writeln!(output, "{}", greeting(&line?))?;
        output.flush()?;
    }
    Ok(())
}

fn greeting(line: &str) -> String {
    match line.trim() {
        "" => "Hello, whoever you are!".into(),
        name => format!("Hello, {name}!"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_greeted_first_and_then_every_name() {
        let mut output = Vec::new();
        converse("192.0.2.1:5000", "Ada\nGrace\n".as_bytes(), &mut output).unwrap();
        assert_eq!(
            String::from_utf8(output).unwrap(),
            "Hello, 192.0.2.1:5000! Who is there?\nHello, Ada!\nHello, Grace!\n"
        );
    }

    #[test]
    fn spaces_around_a_name_are_not_part_of_it() {
        assert_eq!(greeting("  Ada \r"), "Hello, Ada!");
    }

    #[test]
    fn a_line_without_a_name_is_answered_too() {
        assert_eq!(greeting(" "), "Hello, whoever you are!");
    }
}
