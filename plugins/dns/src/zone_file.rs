//! From a file to a zone; and if that fails, where in the file.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use hickory_proto::rr::{Name, RData, RecordSet};
use hickory_proto::serialize::txt::{LexerError, ParseError, Parser};

use crate::zone::{Records, Zone};

/// Why a file gives no zone: `FILE:LINE: REASON`, without the line if it is not about one.
#[derive(Debug)]
pub(crate) struct Fault {
    file: PathBuf,
    line: Option<usize>,
    reason: String,
}

/// Reads the zone in `file`. Names in it are relative to the name of the file without `.zone`, until
/// an `$ORIGIN`; what it includes is relative to its folder.
pub(crate) fn read(file: &Path) -> Result<Zone, Fault> {
    match fs::read_to_string(file) {
        Ok(text) => zone(&text, file),
        Err(error) => Err(Fault { file: file.into(), line: None, reason: error.to_string() }),
    }
}

fn zone(text: &str, file: &Path) -> Result<Zone, Fault> {
    let fault = |line, reason| Fault { file: file.into(), line, reason };
    let records = parse(text, file)
        .map_err(|error| fault(Some(line_of_fault(text, file)), error.to_string()))?;
    if let Some(name) = misread(&records) {
        let reason = format!(
            "{name} has a text that begins with a quote, and in parentheses quoted text is not \
             understood: write all of it on one line"
        );
        return Err(fault(None, reason));
    }
    Zone::new(records).map_err(|reason| fault(None, reason))
}

/// A name whose text is probably not what the file says: in parentheses the parser takes quotes for
/// text, spaces for the end of a string and semicolons for a comment.
fn misread(records: &Records) -> Option<&Name> {
    let mut all = records.values().flat_map(RecordSet::records_without_rrsigs);
    let record = all.find(|record| match &record.data {
        RData::TXT(text) => text.txt_data.iter().any(|string| string.starts_with(b"\"")),
        _ => false,
    })?;
    Some(&record.name)
}

fn parse(text: &str, file: &Path) -> Result<Records, ParseError> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let origin = Name::from_ascii(stem).unwrap_or_else(|_| Name::root());
    Parser::new(text, Some(file.into()), Some(origin)).parse().map(|(_, records)| records)
}

/// The line at which the parser gives up, from 1. It does not tell, so this looks for the first line
/// that is too much; for a list or a string without an end that is the end of the file.
fn line_of_fault(text: &str, file: &Path) -> usize {
    let ends: Vec<usize> = text.match_indices('\n').map(|(end, _)| end + 1).collect();
    1 + ends.partition_point(|&end| match parse(&text[..end], file) {
        Err(ParseError::Lexer(cut)) => {
            matches!(cut, LexerError::UnclosedList | LexerError::UnclosedQuotedString)
        }
        parsed => parsed.is_ok(),
    })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RecordType;

    use super::*;
    use crate::zone::Found;

    /// Four lines.
    const HEAD: &str = "$TTL 60\n@ IN SOA ns hostmaster (\n  1 4h ; a comment\n  1h 2w 1d )\n";

    fn zone_of(lines: &str) -> Result<Zone, Fault> {
        zone(&format!("{HEAD}{lines}"), Path::new("/zones/example.org.zone"))
    }

    /// What is logged about a file with these lines after the head.
    fn fault(lines: &str) -> String {
        zone_of(lines).expect_err("a fault").to_string()
    }

    #[test]
    fn names_are_relative_to_that_of_the_file_until_it_says_otherwise() {
        let zone = zone_of("www A 192.0.2.1\n$ORIGIN a.example.org.\nwww A 192.0.2.2").unwrap();
        for name in ["www.example.org.", "www.a.example.org."] {
            let found = zone.find(&Name::from_ascii(name).unwrap(), RecordType::A);
            assert!(matches!(found, Found::Records(_)), "{name}: {found:?}");
        }
    }

    #[test]
    fn a_fault_names_file_and_line() {
        for (lines, line) in [
            ("www A 192.0.2\n", 5),
            ("www A 192.0.2", 5),
            ("\n\n; a comment\nwww A 192.0.2.1\nwww A elsewhere\nwww A\n", 9),
            ("www NOTATYPE 1\nwww A 192.0.2\n", 5),
            ("www MX (\n10\n)\n", 7),
            ("www MX ( 10\nmail )\na)b A 192.0.2.1\n", 7),
            ("$NOTHING\n", 5),
            ("@ IN SOA ns hostmaster 1 1h 1h 1h 1h\n", 5),
            ("$INCLUDE nothing-there\nwww A 192.0.2.1\n", 5),
            ("www TXT ( a\n b\n", 7),
            ("www TXT \"a\n b\n c", 7),
        ] {
            let expected = format!("/zones/example.org.zone:{line}: ");
            let fault = fault(lines);
            assert!(fault.len() > expected.len() && fault.starts_with(&expected), "{fault}");
        }
    }

    #[test]
    fn records_that_are_no_zone_are_a_fault_of_the_file() {
        let file = "/zones/example.org.zone: ";
        for (lines, reason) in [
            ("$ORIGIN example.com.\nwww A 192.0.2.1\n", "www.example.com. is not in the zone "),
            ("a IN SOA ns hostmaster 1 1h 1h 1h 1h\n", "there are two SOA records"),
            ("www CH TXT text\n", "www.example.org. has records of another class than IN"),
        ] {
            let fault = fault(lines);
            assert!(fault.starts_with(&format!("{file}{reason}")), "{fault}");
        }
        let fault = zone("", Path::new("/zones/example.org.zone")).expect_err("a fault");
        assert_eq!(fault.to_string(), format!("{file}there is no SOA record, and a zone has one"));
    }

    #[test]
    fn text_that_would_be_read_wrongly_is_a_fault() {
        let fault = fault("key TXT ( \"v=DKIM1; k=rsa; \"\n \"p=abc\" )\n");
        let expected =
            "/zones/example.org.zone: key.example.org. has a text that begins with a quote";
        assert!(fault.starts_with(expected), "{fault}");
        zone_of("key TXT \"v=DKIM1; k=rsa; \" \"p=abc\"\n").unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_fault() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let fault = read(folder).expect_err("a fault").to_string();
        assert!(fault.starts_with(&format!("{}: ", folder.display())), "{fault}");
    }
}
