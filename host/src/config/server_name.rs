//! The names that clients of TLS ask for (RFC 6066, section 3).

use std::net::IpAddr;

use super::scalar;
use super::value::{Data, Value};

/// The longest name, and the longest label in it, in bytes (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The name in lower case and without a dot at the end, or why it cannot be one.
pub(super) fn checked(value: &Value) -> Result<String, String> {
    let Data::Text(text) = &value.data else { return Err(scalar::this_is(value)) };
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let rest = name.strip_prefix("*.").unwrap_or(&name);
    let address = text.trim_matches(['[', ']']);
    match rest {
        "" => Err("this one is empty".to_owned()),
        "*" => Err("every name is what the certificate of [listener.tls] is for".to_owned()),
        _ if address.parse::<IpAddr>().is_ok() => Err(format!(
            "`{text}` is an IP address, which clients do not ask for by name; the certificate of \
             [listener.tls] is for them"
        )),
        _ if rest.contains('*') => {
            Err(format!("`{text}` has a `*` that does not stand for the first label"))
        }
        _ if !rest.is_ascii() => Err(format!(
            "`{text}` has letters that are not ASCII; write it as clients send it, with `xn--`"
        )),
        _ if name.len() > MAX_NAME => {
            Err(format!("this one has {} characters, the most is {MAX_NAME}", name.len()))
        }
        _ if !rest.split('.').all(is_label) => {
            Err(format!("`{text}` is not one; those have letters, digits, `-`, `_` and `.`"))
        }
        _ => Ok(name),
    }
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn check(name: &str) -> Result<String, String> {
        checked(&Value::text(Origin::Default, name))
    }

    #[test]
    fn good_names_have_one_form() {
        for (given, name) in [
            ("a.example", "a.example"),
            ("A.Example.", "a.example"),
            ("localhost", "localhost"),
            ("*.EXAMPLE.com", "*.example.com"),
            ("_a-1.xn--bcher-kva.example", "_a-1.xn--bcher-kva.example"),
        ] {
            assert_eq!(check(given), Ok(name.to_owned()));
        }
        let label = "x".repeat(MAX_LABEL);
        assert!(check(&label).is_ok());
        assert!(check(&format!("{label}x")).is_err());
        let longest = [&*label, &*label, &*label, &label[..61]].join(".");
        assert!(check(&longest).is_ok());
        assert!(check(&format!("{longest}x")).unwrap_err().ends_with("the most is 253"));
    }

    #[test]
    fn others_are_refused_with_a_reason() {
        for (given, why) in [
            ("", "this one is empty"),
            (".", "this one is empty"),
            ("*.", "every name is"),
            ("*", "every name is"),
            ("127.0.0.1", "`127.0.0.1` is an IP address"),
            ("[::1]", "`[::1]` is an IP address"),
            ("::1", "`::1` is an IP address"),
            ("*.*.example", "`*.*.example` has a `*` that"),
            ("a*.example", "`a*.example` has a `*` that"),
            ("b\u{fc}cher.example", "`b\u{fc}cher.example` has letters"),
            ("a..example", "`a..example` is not one"),
            ("-a.example", "`-a.example` is not one"),
            ("a.example:443", "`a.example:443` is not one"),
        ] {
            let refused = check(given).unwrap_err();
            assert!(refused.starts_with(why), "{given}: {refused}");
        }
    }
}
