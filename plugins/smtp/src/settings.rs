//! What the configuration of the handler says: its folder and its environment.

use std::env;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::address::is_domain;

const MAX_SIZE: u64 = 10 * 1024 * 1024;

/// What is the same for every connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where messages are stored. If it is not there, clients are told to come again later.
    pub folder: PathBuf,
    /// The size of the largest message, in bytes and without what is put above it; at least 1.
    pub max_size: u64,
    /// Whether there is no mail in plaintext.
    pub require_tls: bool,
    /// The domain of this server; without one it is called by its address.
    pub server_name: Option<String>,
}

impl Settings {
    /// The defaults.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), max_size: MAX_SIZE, require_tls: false, server_name: None }
    }

    /// What the variables `MAX_SIZE`, `REQUIRE_TLS` and `SERVER_NAME` say; an empty one says
    /// nothing. A value that means nothing is [`ErrorKind::InvalidInput`]: it must not become, say,
    /// mail in plaintext.
    pub fn from_environment(folder: &Path) -> io::Result<Self> {
        Self::read(folder, |name| env::var_os(name).map(|value| value.to_string_lossy().into()))
    }

    fn read(folder: &Path, variable: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let mut settings = Self::new(folder);
        if let Some(value) = variable("MAX_SIZE") {
            settings.max_size = value
                .parse()
                .ok()
                .filter(|&size| size > 0)
                .ok_or_else(|| bad("MAX_SIZE", &value, "a number of bytes, at least 1"))?;
        }
        if let Some(value) = variable("REQUIRE_TLS") {
            settings.require_tls = match value.as_str() {
                "0" => false,
                "1" => true,
                _ => return Err(bad("REQUIRE_TLS", &value, "0 or 1")),
            };
        }
        if let Some(value) = variable("SERVER_NAME") {
            if !is_domain(&value) {
                return Err(bad("SERVER_NAME", &value, "a domain, such as mail.example.org"));
            }
            settings.server_name = Some(value);
        }
        Ok(settings)
    }
}

fn bad(name: &str, value: &str, expected: &str) -> io::Error {
    let message = format!("the environment variable {name} is {value:?}: it must be {expected}");
    io::Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> io::Result<Settings> {
        let find = |name: &str| variables.iter().find(|(found, _)| *found == name);
        Settings::read(Path::new("/mail"), |name| find(name).map(|(_, value)| (*value).into()))
    }

    #[test]
    fn variables_are_read() {
        let variables =
            [("MAX_SIZE", "1000"), ("REQUIRE_TLS", "1"), ("SERVER_NAME", "mail.example.org")];
        let expected = Settings {
            folder: "/mail".into(),
            max_size: 1000,
            require_tls: true,
            server_name: Some("mail.example.org".into()),
        };
        assert_eq!(read(&variables).unwrap(), expected);
        assert!(!read(&[("REQUIRE_TLS", "0")]).unwrap().require_tls);
    }

    #[test]
    fn what_is_not_set_or_empty_is_the_default() {
        let variables = [("MAX_SIZE", ""), ("REQUIRE_TLS", ""), ("SERVER_NAME", "")];
        assert_eq!(read(&variables).unwrap(), Settings::new(Path::new("/mail")));
        assert_eq!(read(&[]).unwrap(), Settings::new(Path::new("/mail")));
    }

    #[test]
    fn a_value_that_means_nothing_is_an_error_that_names_it() {
        for (name, value) in [
            ("MAX_SIZE", "0"),
            ("MAX_SIZE", "10M"),
            ("MAX_SIZE", "-1"),
            ("REQUIRE_TLS", "yes"),
            ("REQUIRE_TLS", "true"),
            ("SERVER_NAME", "mail example"),
            ("SERVER_NAME", "a\r\nb"),
        ] {
            let message = read(&[(name, value)]).unwrap_err().to_string();
            assert!(message.contains(&format!("{name} is {value:?}: it must be")), "{message}");
        }
    }
}
