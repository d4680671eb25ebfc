//! Paths, mailboxes and domains as RFC 5321 section 4.1.2 writes them, and nothing else: no spaces
//! around them, no names for people, no domains that are not ASCII.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

// RFC 5321 section 4.5.3.1, in bytes.
const LONGEST_PATH: usize = 256;
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_DOMAIN: usize = 255;
const LONGEST_LABEL: usize = 63;

/// A mailbox, or what may stand in place of one: nothing for the sender of a message that nobody
/// answers, `Postmaster` for the one of this server. Displays without the brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// The path at the start of `text`, and what is behind it. `<>` is one. An error says what is
    /// wrong.
    pub(crate) fn of_sender(text: &str) -> Result<(Self, &str), &'static str> {
        let (path, rest) = split_path(text)?;
        if path.is_empty() { Ok((Self(String::new()), rest)) } else { Ok((mailbox(path)?, rest)) }
    }

    /// The same for a recipient: `<Postmaster>` is one, and `<>` is not.
    pub(crate) fn of_recipient(text: &str) -> Result<(Self, &str), &'static str> {
        let (path, rest) = split_path(text)?;
        if path.eq_ignore_ascii_case("postmaster") {
            return Ok((Self(path.into()), rest));
        }
        Ok((mailbox(path)?, rest))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether this is a domain; one label is enough.
pub(crate) fn is_domain(text: &str) -> bool {
    text.len() <= LONGEST_DOMAIN && text.split('.').all(is_label)
}

/// Whether this is an IP address in brackets, such as `[192.0.2.1]` or `[IPv6:::1]`.
pub(crate) fn is_address_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
        return false;
    };
    match inner.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
            address.parse::<Ipv6Addr>().is_ok()
        }
        _ => inner.parse::<Ipv4Addr>().is_ok(),
    }
}

/// What is between the brackets at the start of `text`, and what is behind them.
fn split_path(text: &str) -> Result<(&str, &str), &'static str> {
    let inner = text.strip_prefix('<').ok_or("An address is in <brackets>")?;
    let mut quoted = false;
    let mut bytes = inner.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => drop(bytes.next()),
            b'>' if !quoted => {
                if at + 2 > LONGEST_PATH {
                    return Err("The path is too long");
                }
                return Ok((&inner[..at], &inner[at + 1..]));
            }
            _ => {}
        }
    }
    Err("The bracket of the address is not closed")
}

fn mailbox(path: &str) -> Result<Address, &'static str> {
    let mailbox = without_route(path)?;
    let (local, domain) = mailbox.rsplit_once('@').ok_or("An address has a domain")?;
    if local.len() > LONGEST_LOCAL_PART {
        return Err("The part before the @ is too long");
    }
    if !local.split('.').all(is_atom) && !is_quoted(local) {
        return Err("The part before the @ is not allowed");
    }
    if !is_domain(domain) && !is_address_literal(domain) {
        return Err("The domain is not one");
    }
    Ok(Address(mailbox.into()))
}

/// The mailbox behind a route such as `@a.example,@b.example:`, which is checked and not followed
/// (RFC 5321 appendix C).
fn without_route(path: &str) -> Result<&str, &'static str> {
    if !path.starts_with('@') {
        return Ok(path);
    }
    let (route, mailbox) = path.split_once(':').ok_or("The route is not one")?;
    let mut hosts = route.split(',').map(|host| host.strip_prefix('@'));
    if hosts.all(|host| host.is_some_and(is_domain)) {
        Ok(mailbox)
    } else {
        Err("The route is not one")
    }
}

fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 5322 section 3.2.3.
fn is_atom(text: &str) -> bool {
    let is_atext =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_atext)
}

fn is_quoted(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let Some(mut bytes) = inner.map(str::bytes) else { return false };
    while let Some(byte) = bytes.next() {
        let byte =
            if byte == b'\\' { bytes.next() } else { Some(byte).filter(|&byte| byte != b'"') };
        if !byte.is_some_and(|byte| matches!(byte, b' '..=b'~')) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(text: &str) -> Result<String, &'static str> {
        Address::of_sender(text).map(|(address, rest)| format!("{address}|{rest}"))
    }

    #[test]
    fn mailboxes_are_taken_as_they_are() {
        for mailbox in [
            "a@b",
            "ada.lovelace@mail.example.org",
            "!#$%&'*+-/=?^_`{|}~@a-b.c",
            "a@192.0.2.1",
            "a@[192.0.2.1]",
            "a@[IPv6:2001:db8::1]",
            "a@[ipv6:::ffff:192.0.2.1]",
            r#""a b>c@d"@example.org"#,
            r#""a\"b\\"@example.org"#,
            r#"""@example.org"#,
        ] {
            assert_eq!(sender(&format!("<{mailbox}>")), Ok(format!("{mailbox}|")), "{mailbox}");
        }
    }

    #[test]
    fn what_follows_the_path_is_left() {
        assert_eq!(sender("<a@b> SIZE=1"), Ok("a@b| SIZE=1".into()));
        assert_eq!(sender("<>>"), Ok("|>".into()));
    }

    #[test]
    fn what_is_not_a_mailbox_is_refused() {
        for path in [
            "",
            "a@b",
            "<a@b",
            "a@b>",
            "<a>",
            "<@b>",
            "<a@>",
            "< a@b>",
            "<a@b >",
            "<a b@c>",
            "<.a@b>",
            "<a.@b>",
            "<a..b@c>",
            "<a@.b>",
            "<a@b.>",
            "<a@b..c>",
            "<a@-b>",
            "<a@b->",
            "<a@b_c>",
            "<a@b@c>",
            "<a@[1.2.3]>",
            "<a@[192.0.2.1>",
            "<a@[::1]>",
            "<a@[IPv6:1]>",
            "<a@[x:y]>",
            r#"<"a@b>"#,
            r#"<"a"b@c>"#,
            r#"<"a"b"@c>"#,
            r#"<"a\"@b>"#,
            r#"<a"b"@c>"#,
            "<Ada <a@b>>",
            "<a,b@c>",
            "<(a)b@c>",
            "<a\t@b>",
            "<\"\t\"@b>",
            "<\"\\\t\"@b>",
            "<a\\b@c>",
        ] {
            assert!(sender(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn nobody_sends_but_nobody_receives_nothing() {
        assert_eq!(sender("<>"), Ok("|".into()));
        assert!(Address::of_recipient("<>").is_err());
    }

    #[test]
    fn the_postmaster_needs_no_domain() {
        for path in ["<Postmaster>", "<POSTMASTER>", "<postmaster@b>"] {
            assert!(Address::of_recipient(path).is_ok(), "{path}");
        }
        assert!(Address::of_sender("<Postmaster>").is_err());
    }

    #[test]
    fn routes_are_dropped() {
        assert_eq!(sender("<@a.example,@b.example:c@d>"), Ok("c@d|".into()));
        assert_eq!(sender("<@a:c@[IPv6:::1]>"), Ok("c@[IPv6:::1]|".into()));
        for path in ["<@a>", "<@a:>", "<@a,b:c@d>", "<@:c@d>", "<@a,:c@d>", "<@[::1]:c@d>"] {
            assert!(sender(path).is_err(), "{path}");
        }
    }

    #[test]
    fn lengths_have_the_bounds_of_the_rfc() {
        let address = |local: usize, domain: &str| format!("<{}@{domain}>", "a".repeat(local));
        assert!(sender(&address(64, "b")).is_ok());
        assert!(sender(&address(65, "b")).is_err());
        assert!(is_domain(&"b".repeat(63)) && !is_domain(&"b".repeat(64)));

        let domain = |length: usize| "b.".repeat(length)[..length].to_owned();
        assert!(is_domain(&domain(255)) && !is_domain(&domain(257)));
        assert!(sender(&address(2, &domain(251))).is_ok());
        assert!(sender(&address(4, &domain(251))).is_err());
    }
}
