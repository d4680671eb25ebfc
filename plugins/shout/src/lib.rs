//! Sends back every line in capitals.
//!
//! ```text
//! $ portcell run shout.wasm --listen :7000
//! $ nc localhost 7000
//! hello
//! HELLO
//! ```

use std::io::{self, BufRead, BufReader, Write};

use portcell_sdk::{Connection, handler};

#[handler]
fn shout(conn: Connection) -> io::Result<()> {
    let (reader, mut writer) = conn.split();
    for line in BufReader::new(reader).lines() {
        writeln!(writer, "{}", line?.to_uppercase())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcell_sdk::testing::converse;

    use super::*;

    #[test]
    fn every_line_comes_back_in_capitals() {
        assert_eq!(converse(shout, "hello\nwörld\n"), "HELLO\nWÖRLD\n".as_bytes());
    }

    #[test]
    fn the_last_line_needs_no_line_end() {
        assert_eq!(converse(shout, "bye"), b"BYE\n");
    }

    #[test]
    fn bytes_that_are_no_text_end_the_handler_with_an_error() {
        let (conn, mut peer) = Connection::pair();
        peer.write_all(b"\xff\n").unwrap();
        assert_eq!(shout(conn).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
