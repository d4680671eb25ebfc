//! What the host says about this connection: the facts of the contract that are of use to a person.

use std::fmt::Write;

use crate::wire::Wire;

/// The facts shown, in order, each with its label.
const FACTS: [(&str, &str); 21] = [
    ("transport", "Transport"),
    ("peer.address", "Your address"),
    ("local.address", "Server address"),
    ("connection.id", "Connection"),
    ("listener", "Listener"),
    ("handler", "Handler"),
    ("handler.version", "Handler version"),
    ("tenant", "Tenant"),
    ("limits.memory", "Memory limit"),
    ("limits.cpu", "CPU limit"),
    ("limits.idle_timeout", "Idle timeout"),
    ("tls.version", "TLS version"),
    ("tls.cipher", "TLS cipher"),
    ("tls.server_name", "TLS server name"),
    ("tls.alpn", "TLS ALPN"),
    ("tls.resumed", "TLS resumed"),
    ("tls.peer.subject", "Your certificate"),
    ("tls.peer.issuer", "Issued by"),
    ("tls.peer.serial", "Serial number"),
    ("tls.peer.sha256", "SHA-256"),
    ("tls.peer.names", "Names"),
];

pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
}

/// Those of the facts that exist for this connection.
pub(crate) fn all(wire: &Wire) -> Vec<Fact> {
    let present = |(name, label)| Some(Fact { name, label, value: wire.fact(name)? });
    FACTS.into_iter().filter_map(present).collect()
}

impl Fact {
    /// The value with a unit that is easy to read, where it has one.
    pub(crate) fn readable(&self) -> String {
        match (self.name, self.value.parse()) {
            ("limits.memory", Ok(bytes)) => {
                scaled(bytes, &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")], "bytes")
            }
            ("limits.cpu" | "limits.idle_timeout", Ok(milliseconds)) => {
                scaled(milliseconds, &[(3_600_000, "h"), (60_000, "min"), (1_000, "s")], "ms")
            }
            _ => self.value.clone(),
        }
    }
}

/// The facts as a JSON object of strings, one a line.
pub(crate) fn json(facts: &[Fact]) -> String {
    let mut json = String::from("{");
    for (index, fact) in facts.iter().enumerate() {
        json.push_str(if index == 0 { "\n  \"" } else { ",\n  \"" });
        json.push_str(fact.name);
        json.push_str("\": \"");
        escape(&fact.value, &mut json);
        json.push('"');
    }
    json.push_str("\n}\n");
    json
}

/// The largest unit that divides `number`.
fn scaled(number: u64, units: &[(u64, &str)], smallest: &str) -> String {
    let unit = units.iter().find(|(size, _)| number >= *size && number.is_multiple_of(*size));
    unit.map_or_else(
        || format!("{number} {smallest}"),
        |(size, unit)| format!("{} {unit}", number / size),
    )
}

/// What RFC 8259 section 7 asks for.
fn escape(text: &str, json: &mut String) {
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\x1f' => {
                // Writing to a String does not fail.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcell_sdk::Connection;

    use super::*;

    fn fact(name: &'static str, value: &str) -> Fact {
        Fact { name, label: "", value: value.into() }
    }

    #[test]
    fn every_fact_is_one_of_the_contract_and_shown() {
        let (connection, peer) = Connection::pair();
        for (name, _) in FACTS {
            peer.set_fact(name, format!("value of {name}"));
        }
        let facts = all(&Wire::new(connection));
        assert_eq!(facts.len(), FACTS.len());
        assert!(facts.iter().all(|fact| fact.value == format!("value of {}", fact.name)));
    }

    #[test]
    fn limits_have_units() {
        assert_eq!(fact("limits.memory", "33554432").readable(), "32 MiB");
        assert_eq!(fact("limits.memory", "65537").readable(), "65537 bytes");
        assert_eq!(fact("limits.cpu", "1000").readable(), "1 s");
        assert_eq!(fact("limits.cpu", "1500").readable(), "1500 ms");
        assert_eq!(fact("limits.idle_timeout", "60000").readable(), "1 min");
        assert_eq!(fact("limits.cpu", "0").readable(), "0 ms");
        assert_eq!(fact("connection.id", "60000").readable(), "60000");
    }

    #[test]
    fn json_is_escaped() {
        let facts = [fact("transport", "tcp"), fact("tls.peer.names", "a\"b\\c\nd")];
        let expected =
            "{\n  \"transport\": \"tcp\",\n  \"tls.peer.names\": \"a\\\"b\\\\c\\u000ad\"\n}\n";
        assert_eq!(json(&facts), expected);
        assert_eq!(json(&[]), "{\n}\n");
    }
}
