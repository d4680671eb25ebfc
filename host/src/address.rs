//! Addresses that a listener can have, as text: TCP and Unix sockets.
//!
//! A name is not looked up here and nothing is bound.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest path of a Unix socket, in bytes: `sun_path` has 108 on Linux, one of them for the
/// NUL at the end (unix(7)).
pub const MAX_UNIX_PATH: usize = 107;

/// Where a listener listens.
///
/// Parsed from `tcp://HOST:PORT`, `HOST:PORT`, `:PORT`, `PORT`, `unix:PATH` and `unix:@NAME`;
/// displayed as the first and the last two.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// The interfaces.
        host: Host,
        /// The port; 0 lets the system pick one.
        port: u16,
    },
    /// A UDP port.
    Udp {
        /// The interfaces.
        host: Host,
        /// The port; 0 lets the system pick one.
        port: u16,
    },
    /// A Unix socket in the file system, 1 to [`MAX_UNIX_PATH`] bytes.
    Unix(PathBuf),
    /// A Unix socket with a name that is no file (Linux), 1 to [`MAX_UNIX_PATH`] bytes.
    UnixAbstract(String),
    /// A socket that this process was started with.
    Inherited(Inherited),
}

/// Which of the sockets that this process was started with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Inherited {
    /// The one with this name in `LISTEN_FDNAMES` (`sd_listen_fds(3)`).
    Name(String),
    /// The one with this descriptor, 3 or more.
    Number(u32),
}

/// The interfaces of a TCP or UDP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Every interface, IPv4 and, where there is one, IPv6.
    Any,
    /// The one with this address; the unspecified ones are every interface of their kind.
    Ip(IpAddr),
    /// A name, to be looked up when it is bound.
    Name(String),
}

impl Address {
    /// The same address with a relative path taken from `folder`; others stay as they are. Fails
    /// if the whole path is too long for a socket.
    pub fn relative_to(self, folder: &Path) -> Result<Self, AddressError> {
        let Self::Unix(path) = &self else { return Ok(self) };
        // `./x` and `x` are one path, and so one address.
        let whole: PathBuf = folder.join(path).components().collect();
        match whole.as_os_str().len() {
            0..=MAX_UNIX_PATH => Ok(Self::Unix(whole)),
            length => {
                Err(AddressError { address: self.to_string(), reason: Reason::LongPath(length) })
            }
        }
    }

    /// Whether the system picks the port when it is bound.
    pub fn is_port_zero(&self) -> bool {
        matches!(self, Self::Tcp { port: 0, .. } | Self::Udp { port: 0, .. })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Udp { host, port } => write!(f, "udp://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixAbstract(name) => write!(f, "unix:@{name}"),
            Self::Inherited(Inherited::Name(name)) => write!(f, "fd://{name}"),
            Self::Inherited(Inherited::Number(number)) => write!(f, "fd://{number}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse(text).map_err(|reason| AddressError { address: text.to_owned(), reason })
    }
}

/// A text that is no address; the message is one line that says why and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad address `{}`: {reason}", .address.escape_debug())]
pub struct AddressError {
    address: String,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("it is empty; write one like tcp://127.0.0.1:7000")]
    Empty,
    #[error("it has a space or a control character in it")]
    Space,
    #[error("{0} addresses are not in this version; tcp:// and unix: are")]
    NotYet(&'static str),
    #[error("unknown scheme `{scheme}`; {}", hint(*.nearest))]
    Scheme { scheme: String, nearest: Option<&'static str> },
    #[error("tcp needs two slashes; write tcp://{0}")]
    Slashes(String),
    #[error("a path needs its scheme; write unix:{0}")]
    BarePath(String),
    #[error("nothing may follow the port; leave out `{0}`")]
    Tail(String),
    #[error("an address has no user; leave out `{0}@`")]
    User(String),
    #[error("there is no port; write one like {0}")]
    NoPort(String),
    #[error("`{0}` is not a port; write a number from 0 to 65535")]
    Port(String),
    #[error("port {0} is out of range; the largest is 65535")]
    PortRange(String),
    #[error("an IPv6 address needs brackets; write {0}")]
    NoBrackets(String),
    #[error("there is more than one colon; write one like tcp://127.0.0.1:7000")]
    Colons,
    #[error("the brackets do not match; write one like tcp://[::1]:7000")]
    Brackets,
    #[error("`{0}` is not an IPv6 address; only those have brackets")]
    Ip6(String),
    #[error("`{0}` has a zone, which is not in this version")]
    Zone(String),
    #[error("`{0}` is not an IPv4 address; those have four numbers from 0 to 255")]
    Ip4(String),
    #[error("for every interface leave out the host; write tcp://:{0}")]
    Star(String),
    #[error("`{0}` is not a host name; those have letters, digits, `-`, `_` and `.`")]
    Name(String),
    #[error("the path is missing; write one like unix:/run/portcell.sock")]
    NoPath,
    #[error("`{0}` names a folder; write one like unix:/run/portcell.sock")]
    Folder(String),
    #[error("a path follows unix: directly; write unix:/{0}, or unix:{0} if it is relative")]
    Authority(String),
    #[error("the path of a Unix socket has at most {MAX_UNIX_PATH} bytes; this one has {0}")]
    LongPath(usize),
}

fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(scheme) => format!("did you mean {scheme}?"),
        None => "write one like tcp://127.0.0.1:7000 or unix:/run/portcell.sock".to_owned(),
    }
}

fn parse(text: &str) -> Result<Address, Reason> {
    if text.is_empty() {
        return Err(Reason::Empty);
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(Reason::Space);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    if text.starts_with(['/', '@']) || text.starts_with("./") || text.starts_with("../") {
        return Err(Reason::BarePath(text.to_owned()));
    }
    match text.split_once("://") {
        Some(("tcp", rest)) => tcp(rest),
        Some(("udp", _)) => Err(Reason::NotYet("udp")),
        Some(("fd", _)) => Err(Reason::NotYet("fd")),
        Some((scheme, _)) => Err(unknown(scheme)),
        None => match text.strip_prefix("tcp:") {
            Some(rest) => Err(Reason::Slashes(rest.to_owned())),
            None if text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Address::Tcp { host: Host::Any, port: port(text)? })
            }
            None => tcp(text),
        },
    }
}

fn unknown(scheme: &str) -> Reason {
    let near = |known: &str| strsim::damerau_levenshtein(&scheme.to_lowercase(), known) <= 2;
    let nearest = [("tcp", "tcp://"), ("unix", "unix:")]
        .into_iter()
        .find(|(known, _)| near(known))
        .map(|(_, written)| written);
    Reason::Scheme { scheme: scheme.to_owned(), nearest }
}

fn unix(path: &str) -> Result<Address, Reason> {
    if let Some(name) = path.strip_prefix('@') {
        return match name.len() {
            0 => Err(Reason::NoPath),
            1..=MAX_UNIX_PATH => Ok(Address::UnixAbstract(name.to_owned())),
            length => Err(Reason::LongPath(length)),
        };
    }
    // `unix:///run/x` is the same as `unix:/run/x`; `unix://run/x` could mean two paths.
    let below_root = path.trim_start_matches('/');
    let path = match path.len() - below_root.len() {
        0 | 1 => path,
        2 => return Err(Reason::Authority(below_root.to_owned())),
        slashes => &path[slashes - 1..],
    };
    match path.len() {
        0 => Err(Reason::NoPath),
        _ if path.ends_with('/') || matches!(path, "." | "..") => {
            Err(Reason::Folder(path.to_owned()))
        }
        1..=MAX_UNIX_PATH => Ok(Address::Unix(PathBuf::from(path))),
        length => Err(Reason::LongPath(length)),
    }
}

fn tcp(text: &str) -> Result<Address, Reason> {
    if text.contains(char::is_whitespace) {
        return Err(Reason::Space);
    }
    if let Some(at) = text.find(['/', '?', '#']) {
        return Err(Reason::Tail(text[at..].to_owned()));
    }
    if let Some((user, _)) = text.split_once('@') {
        return Err(Reason::User(user.to_owned()));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']').ok_or(Reason::Brackets)?;
        if ip.contains('%') {
            return Err(Reason::Zone(ip.to_owned()));
        }
        let ip: Ipv6Addr = ip.parse().map_err(|_| Reason::Ip6(ip.to_owned()))?;
        return match rest.strip_prefix(':') {
            Some(rest) if !rest.is_empty() => {
                Ok(Address::Tcp { host: Host::Ip(ip.into()), port: port(rest)? })
            }
            _ if matches!(rest, "" | ":") => Err(Reason::NoPort(format!("tcp://[{ip}]:7000"))),
            _ => Err(Reason::Brackets),
        };
    }
    if text.contains(['[', ']']) {
        return Err(Reason::Brackets);
    }
    let Some((host, port_text)) = text.rsplit_once(':') else {
        return Err(Reason::NoPort(without_port(text)));
    };
    if host.contains(':') {
        return Err(colons(text, host, port_text));
    }
    if port_text.is_empty() {
        return Err(Reason::NoPort(without_port(host)));
    }
    if host == "*" {
        return Err(Reason::Star(port_text.to_owned()));
    }
    Ok(Address::Tcp { host: named_host(host)?, port: port(port_text)? })
}

/// An example for a host that came without its port; a lone number was meant as a port.
fn without_port(host: &str) -> String {
    match host.parse::<u16>() {
        Ok(port) => format!("tcp://:{port}"),
        Err(_) => format!("tcp://{host}:7000"),
    }
}

fn colons(text: &str, host: &str, port: &str) -> Reason {
    if let (Ok(ip), Ok(port)) = (host.parse::<Ipv6Addr>(), port.parse::<u16>()) {
        Reason::NoBrackets(format!("tcp://[{ip}]:{port}"))
    } else if let Ok(ip) = text.parse::<Ipv6Addr>() {
        Reason::NoBrackets(format!("tcp://[{ip}]:7000"))
    } else {
        Reason::Colons
    }
}

fn named_host(text: &str) -> Result<Host, Reason> {
    if text.is_empty() {
        return Ok(Host::Any);
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(Reason::Ip4(text.to_owned()));
    }
    let label = |label: &str| {
        matches!(label.len(), 1..=63)
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if text.len() > 253 || !name.split('.').all(label) {
        return Err(Reason::Name(text.to_owned()));
    }
    Ok(Host::Name(text.to_owned()))
}

fn port(text: &str) -> Result<u16, Reason> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Reason::Port(text.to_owned()));
    }
    text.parse().map_err(|_| Reason::PortRange(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is given, and its canonical form.
    const GOOD: &[(&str, &str)] = &[
        ("tcp://127.0.0.1:7000", "tcp://127.0.0.1:7000"),
        ("tcp://[::1]:7000", "tcp://[::1]:7000"),
        ("tcp://name:7000", "tcp://name:7000"),
        ("tcp://a-b.example.org:1", "tcp://a-b.example.org:1"),
        ("tcp://example.org.:80", "tcp://example.org.:80"),
        ("tcp://my_host:80", "tcp://my_host:80"),
        ("tcp://:7000", "tcp://:7000"),
        ("tcp://0.0.0.0:0", "tcp://0.0.0.0:0"),
        ("127.0.0.1:7000", "tcp://127.0.0.1:7000"),
        ("localhost:7000", "tcp://localhost:7000"),
        ("[::]:7000", "tcp://[::]:7000"),
        ("[0:0:0:0:0:0:0:1]:65535", "tcp://[::1]:65535"),
        ("[::ffff:1.2.3.4]:9", "tcp://[::ffff:1.2.3.4]:9"),
        (":7000", "tcp://:7000"),
        ("7000", "tcp://:7000"),
        ("0", "tcp://:0"),
        ("00080", "tcp://:80"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("unix:///run/x.sock", "unix:/run/x.sock"),
        ("unix:////run/x.sock", "unix:/run/x.sock"),
        ("unix:relative.sock", "unix:relative.sock"),
        ("unix:./a b.sock", "unix:./a b.sock"),
        ("unix:@abstract", "unix:@abstract"),
        ("unix:@a/b:c", "unix:@a/b:c"),
    ];

    /// What is given, and why it is refused.
    const BAD: &[(&str, &str)] = &[
        ("", "it is empty; write one like tcp://127.0.0.1:7000"),
        (" tcp://127.0.0.1:7000", "it has a space or a control character in it"),
        ("tcp://127.0.0.1 :7000", "it has a space or a control character in it"),
        ("tcp://a\tb:7000", "it has a space or a control character in it"),
        ("unix:/run/a\0b", "it has a space or a control character in it"),
        ("udp://[::]:5353", "udp addresses are not in this version; tcp:// and unix: are"),
        ("fd://web", "fd addresses are not in this version; tcp:// and unix: are"),
        ("tpc://127.0.0.1:7000", "unknown scheme `tpc`; did you mean tcp://?"),
        ("TCP://127.0.0.1:7000", "unknown scheme `TCP`; did you mean tcp://?"),
        ("unx:///run/x", "unknown scheme `unx`; did you mean unix:?"),
        (
            "https://a:1",
            "unknown scheme `https`; write one like tcp://127.0.0.1:7000 or unix:/run/portcell.sock",
        ),
        ("tcp:127.0.0.1:7000", "tcp needs two slashes; write tcp://127.0.0.1:7000"),
        ("/run/x.sock", "a path needs its scheme; write unix:/run/x.sock"),
        ("./x.sock", "a path needs its scheme; write unix:./x.sock"),
        ("@x", "a path needs its scheme; write unix:@x"),
        ("tcp://127.0.0.1:7000/", "nothing may follow the port; leave out `/`"),
        ("127.0.0.1:7000/index", "nothing may follow the port; leave out `/index`"),
        ("tcp://a:7000?x=1", "nothing may follow the port; leave out `?x=1`"),
        ("tcp://me@a:7000", "an address has no user; leave out `me@`"),
        ("localhost", "there is no port; write one like tcp://localhost:7000"),
        ("tcp://127.0.0.1", "there is no port; write one like tcp://127.0.0.1:7000"),
        ("tcp://a:", "there is no port; write one like tcp://a:7000"),
        ("tcp://7000", "there is no port; write one like tcp://:7000"),
        ("[::1]", "there is no port; write one like tcp://[::1]:7000"),
        ("[::1]:", "there is no port; write one like tcp://[::1]:7000"),
        ("tcp://", "there is no port; write one like tcp://:7000"),
        (":", "there is no port; write one like tcp://:7000"),
        ("a:http", "`http` is not a port; write a number from 0 to 65535"),
        ("a:+80", "`+80` is not a port; write a number from 0 to 65535"),
        ("a:-1", "`-1` is not a port; write a number from 0 to 65535"),
        ("a:65536", "port 65536 is out of range; the largest is 65535"),
        ("99999999999999999999", "port 99999999999999999999 is out of range; the largest is 65535"),
        ("::1:8080", "an IPv6 address needs brackets; write tcp://[::1]:8080"),
        ("tcp://:::8080", "an IPv6 address needs brackets; write tcp://[::]:8080"),
        ("fe80::a:b", "an IPv6 address needs brackets; write tcp://[fe80::a:b]:7000"),
        ("a:1:2", "there is more than one colon; write one like tcp://127.0.0.1:7000"),
        ("[::1:7000", "the brackets do not match; write one like tcp://[::1]:7000"),
        ("::1]:7000", "the brackets do not match; write one like tcp://[::1]:7000"),
        ("[::1]7000", "the brackets do not match; write one like tcp://[::1]:7000"),
        ("[127.0.0.1]:1", "`127.0.0.1` is not an IPv6 address; only those have brackets"),
        ("[fe80::1%eth0]:1", "`fe80::1%eth0` has a zone, which is not in this version"),
        (
            "127.0.0.300:1",
            "`127.0.0.300` is not an IPv4 address; those have four numbers from 0 to 255",
        ),
        ("127.1:1", "`127.1` is not an IPv4 address; those have four numbers from 0 to 255"),
        ("*:80", "for every interface leave out the host; write tcp://:80"),
        ("tcp://a..b:1", "`a..b` is not a host name; those have letters, digits, `-`, `_` and `.`"),
        ("-a:1", "`-a` is not a host name; those have letters, digits, `-`, `_` and `.`"),
        ("unix:", "the path is missing; write one like unix:/run/portcell.sock"),
        ("unix:@", "the path is missing; write one like unix:/run/portcell.sock"),
        ("unix:/run/", "`/run/` names a folder; write one like unix:/run/portcell.sock"),
        (
            "unix://run/x",
            "a path follows unix: directly; write unix:/run/x, or unix:run/x if it is relative",
        ),
    ];

    #[test]
    fn good_addresses_have_one_canonical_form() {
        for (given, canonical) in GOOD {
            let address: Address = given.parse().unwrap();
            assert_eq!(address.to_string(), *canonical, "{given}");
            assert_eq!(canonical.parse(), Ok(address), "{given}");
        }
    }

    #[test]
    fn bad_addresses_are_refused_with_a_reason() {
        for (given, reason) in BAD {
            let error = given.parse::<Address>().unwrap_err().to_string();
            assert_eq!(error, format!("bad address `{}`: {reason}", given.escape_debug()));
            assert_eq!(error.lines().count(), 1, "{given:?}");
        }
    }

    #[test]
    fn an_absent_host_is_every_interface() {
        for given in ["7000", ":7000", "tcp://:7000"] {
            assert_eq!(given.parse(), Ok(Address::Tcp { host: Host::Any, port: 7000 }), "{given}");
        }
        assert!("127.0.0.1:0".parse::<Address>().unwrap().is_port_zero());
        assert!(!"127.0.0.1:1".parse::<Address>().unwrap().is_port_zero());
    }

    #[test]
    fn a_socket_path_fits_into_sun_path() {
        let fits = format!("unix:/{}", "x".repeat(MAX_UNIX_PATH - 1));
        assert!(fits.parse::<Address>().is_ok());
        let error = format!("{fits}x").parse::<Address>().unwrap_err().to_string();
        assert!(error.ends_with("has at most 107 bytes; this one has 108"), "{error}");
        let error = format!("unix:@{}", "x".repeat(108)).parse::<Address>().unwrap_err();
        assert!(error.to_string().ends_with("this one has 108"), "{error}");
    }

    #[test]
    fn relative_socket_paths_are_taken_from_the_folder() {
        let folder = Path::new("/etc/portcell");
        let relative = |text: &str| text.parse::<Address>().unwrap().relative_to(folder);
        assert_eq!(relative("unix:x.sock").unwrap().to_string(), "unix:/etc/portcell/x.sock");
        assert_eq!(relative("unix:/x.sock").unwrap().to_string(), "unix:/x.sock");
        assert_eq!(relative("unix:@x").unwrap().to_string(), "unix:@x");
        assert_eq!(relative(":1").unwrap().to_string(), "tcp://:1");
        let error = relative(&format!("unix:{}", "x".repeat(100))).unwrap_err().to_string();
        assert!(error.ends_with("this one has 114"), "{error}");
    }
}
