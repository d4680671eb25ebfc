//! The names of ports, which the system has a table of: services(5).

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};

use super::error::{Protocol, Reason};

/// The port of the service `name`, which has a letter in it, so that it cannot be a number.
pub(super) fn port(name: &str, protocol: Protocol) -> Result<u16, Reason> {
    let socktype = match protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::DGram,
    };
    let hints = AddrInfoHints { socktype: socktype.into(), ..AddrInfoHints::default() };
    let unknown = || Reason::Service { name: name.to_owned(), protocol };
    match getaddrinfo(None, Some(name), Some(hints)) {
        Ok(mut found) => match found.next() {
            Some(Ok(found)) => Ok(found.sockaddr.port()),
            _ => Err(unknown()),
        },
        Err(error) => match error.kind() {
            LookupErrorKind::Service | LookupErrorKind::NoName => Err(unknown()),
            _ => Err(Reason::Lookup { name: name.to_owned(), error: error.to_string() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::address::{Address, Host};

    /// What the system's table says of a name, if it says anything.
    fn in_table(name: &str, protocol: Protocol) -> Option<u16> {
        let table = fs::read_to_string("/etc/services").unwrap_or_default();
        let protocol = protocol.to_string();
        table.lines().find_map(|line| {
            let line = line.split('#').next()?;
            let (port, of) = line.split_whitespace().nth(1)?.split_once('/')?;
            let named = line.split_whitespace().enumerate().any(|(i, word)| i != 1 && word == name);
            (named && of == protocol).then(|| port.parse().ok())?
        })
    }

    #[test]
    fn a_service_has_the_port_that_the_system_says() {
        for name in ["http", "https", "domain", "smtp", "syslog", "www", "HTTP", "no-such"] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let unknown = Reason::Service { name: name.to_owned(), protocol };
                let expected = in_table(name, protocol).ok_or(unknown);
                assert_eq!(port(name, protocol), expected, "{name} {protocol}");
            }
        }
    }

    #[test]
    fn an_address_with_a_service_is_the_one_with_its_port() {
        let Some(http) = in_table("http", Protocol::Tcp) else {
            assert!(":http".parse::<Address>().is_err());
            return;
        };
        for (named, numbered) in [
            (":http".to_owned(), format!(":{http}")),
            ("localhost:http".to_owned(), format!("localhost:{http}")),
            ("tcp://[::1]:http".to_owned(), format!("tcp://[::1]:{http}")),
        ] {
            let address: Address = named.parse().unwrap();
            assert_eq!(numbered.parse(), Ok(address), "{named}");
        }
        if let Some(port) = in_table("domain", Protocol::Udp) {
            assert_eq!("udp://:domain".parse(), Ok(Address::Udp { host: Host::Any, port }));
        }
    }
}
