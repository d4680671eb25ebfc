//! Asks who is there, and repeats what they say until they say bye.

use std::io::{self, BufRead, BufReader, Write};

use portcell_sdk::{Connection, handler, info};

#[handler]
fn greet(conn: Connection) -> io::Result<()> {
    info!("a client at {}", conn.peer_address()?);
    let (reader, mut writer) = conn.split();
    let mut lines = BufReader::new(reader).lines();

    writeln!(writer, "Hello! Who are you?")?;
    let Some(name) = lines.next().transpose()? else {
        return Ok(());
    };
    let name = match name.trim() {
        "" => "stranger",
        name => name,
    };
    writeln!(writer, "Nice to meet you, {name}! Say something, or bye.")?;

    for line in lines {
        match line?.trim() {
            "bye" => return writeln!(writer, "Bye, {name}!"),
            line => writeln!(writer, "{name} says: {line}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcell_sdk::testing::converse;

    use super::*;

    #[test]
    fn whoever_has_a_name_is_repeated_until_they_say_bye() {
        let output = converse(greet, "Ada\nHow are you?\nbye\n");
        assert_eq!(
            String::from_utf8_lossy(&output),
            "Hello! Who are you?\n\
             Nice to meet you, Ada! Say something, or bye.\n\
             Ada says: How are you?\n\
             Bye, Ada!\n"
        );
    }
}
