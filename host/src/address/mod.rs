//! Addresses that a listener can have, as text: TCP, UDP, Unix sockets, inherited ones.
//!
//! The name of a service becomes its port here. That of a host is not looked up, and nothing is
//! bound.

mod error;
mod parse;
mod service;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use error::AddressError;
use error::Reason;

/// The longest path of a Unix socket, in bytes: `sun_path` has 108 on Linux, one of them for the
/// NUL at the end (unix(7)).
pub const MAX_UNIX_PATH: usize = 107;

/// The largest descriptor that an address can name. The kernel gives a process fewer than this
/// unless it is told otherwise (`fs.nr_open`, proc(5)).
pub const MAX_DESCRIPTOR: u32 = 1_048_575;

/// The longest name of an inherited socket, in bytes (`FileDescriptorName=`, systemd.socket(5)).
pub const MAX_DESCRIPTOR_NAME: usize = 255;

/// Where a listener listens.
///
/// Parsed from `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:PATH`, `unix:@NAME`, `fd://NAME` and
/// `fd://NUMBER`, which is also how they are displayed, and from `HOST:PORT`, `:PORT` and `PORT`,
/// which are TCP. After a colon a port can be the name of a service (services(5)); it becomes the
/// number, so `:80` and `:http` are equal.
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
    /// The one with this name in `LISTEN_FDNAMES` (`sd_listen_fds(3)`): 1 to
    /// [`MAX_DESCRIPTOR_NAME`] printable ASCII characters but `:`, and not digits only.
    Name(String),
    /// The one with this descriptor, 3 to [`MAX_DESCRIPTOR`].
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
            length => Err(AddressError::new(self.to_string(), Reason::LongPath(length))),
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
        parse::parse(text).map_err(|reason| AddressError::new(text, reason))
    }
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
        ("udp://127.0.0.1:5353", "udp://127.0.0.1:5353"),
        ("udp://[::]:5353", "udp://[::]:5353"),
        ("udp://[0:0:0:0:0:0:0:1]:5353", "udp://[::1]:5353"),
        ("udp://localhost:5353", "udp://localhost:5353"),
        ("udp://:5353", "udp://:5353"),
        ("udp://0.0.0.0:0", "udp://0.0.0.0:0"),
        ("fd://3", "fd://3"),
        ("fd://003", "fd://3"),
        ("fd://1048575", "fd://1048575"),
        ("fd://web", "fd://web"),
        ("fd://echo.socket", "fd://echo.socket"),
        ("fd://a b/c@2", "fd://a b/c@2"),
    ];

    /// What is given, and why it is refused.
    const BAD: &[(&str, &str)] = &[
        ("", "it is empty; write one like tcp://127.0.0.1:7000"),
        (" tcp://127.0.0.1:7000", "it has a space or a control character in it"),
        ("tcp://127.0.0.1 :7000", "it has a space or a control character in it"),
        ("tcp://a\tb:7000", "it has a space or a control character in it"),
        ("unix:/run/a\0b", "it has a space or a control character in it"),
        ("tpc://127.0.0.1:7000", "unknown scheme `tpc`; did you mean tcp://?"),
        ("TCP://127.0.0.1:7000", "unknown scheme `TCP`; did you mean tcp://?"),
        ("upd://127.0.0.1:7000", "unknown scheme `upd`; did you mean udp://?"),
        ("udpx://127.0.0.1:7000", "unknown scheme `udpx`; did you mean udp://?"),
        ("fds://3", "unknown scheme `fds`; did you mean fd://?"),
        ("unx:///run/x", "unknown scheme `unx`; did you mean unix:?"),
        (
            "https://a:1",
            "unknown scheme `https`; write one like tcp://127.0.0.1:7000 or unix:/run/portcell.sock",
        ),
        ("tcp:127.0.0.1:7000", "tcp needs two slashes; write tcp://127.0.0.1:7000"),
        ("udp:7000", "udp needs two slashes; write udp://:7000"),
        ("fd:3", "fd needs two slashes; write fd://3"),
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
        ("udp://:", "there is no port; write one like udp://:7000"),
        ("udp://localhost", "there is no port; write one like udp://localhost:7000"),
        ("udp://[::1]", "there is no port; write one like udp://[::1]:7000"),
        ("http", "there is no port; write one like tcp://http:7000"),
        (
            "a:no-such",
            "`no-such` is not a tcp service of this machine (services(5)); write the number",
        ),
        (
            "udp://:80x",
            "`80x` is not a udp service of this machine (services(5)); write the number",
        ),
        ("a:+80", "`+80` is not a port; write a number from 0 to 65535"),
        ("a:-1", "`-1` is not a port; write a number from 0 to 65535"),
        ("a:65536", "port 65536 is out of range; the largest is 65535"),
        ("99999999999999999999", "port 99999999999999999999 is out of range; the largest is 65535"),
        ("::1:8080", "an IPv6 address needs brackets; write tcp://[::1]:8080"),
        ("tcp://:::8080", "an IPv6 address needs brackets; write tcp://[::]:8080"),
        ("fe80::a:b", "an IPv6 address needs brackets; write tcp://[fe80::a:b]:7000"),
        ("udp://::1:53", "an IPv6 address needs brackets; write udp://[::1]:53"),
        ("::1:http", "an IPv6 address needs brackets; write tcp://[::1]:http"),
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
        ("udp://*:domain", "for every interface leave out the host; write udp://:domain"),
        ("tcp://a..b:1", "`a..b` is not a host name; those have letters, digits, `-`, `_` and `.`"),
        ("-a:1", "`-a` is not a host name; those have letters, digits, `-`, `_` and `.`"),
        ("unix:", "the path is missing; write one like unix:/run/portcell.sock"),
        ("unix:@", "the path is missing; write one like unix:/run/portcell.sock"),
        ("unix:/run/", "`/run/` names a folder; write one like unix:/run/portcell.sock"),
        (
            "unix://run/x",
            "a path follows unix: directly; write unix:/run/x, or unix:run/x if it is relative",
        ),
        (
            "fd://",
            "the name or number of an inherited socket is missing; write one like fd://web or \
             fd://3",
        ),
        ("fd://0", "descriptors 0 to 2 are standard input, output and error; sockets begin at 3"),
        ("fd://02", "descriptors 0 to 2 are standard input, output and error; sockets begin at 3"),
        ("fd://1048576", "descriptor 1048576 is out of range; the largest is 1048575"),
        (
            "fd://99999999999999999999",
            "descriptor 99999999999999999999 is out of range; the largest is 1048575",
        ),
        (
            "fd://a:b",
            "`a:b` is not the name of an inherited socket; those have printable ASCII characters \
             but `:`",
        ),
        (
            "fd://w\u{e9}b",
            "`w\u{e9}b` is not the name of an inherited socket; those have printable ASCII \
             characters but `:`",
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
        let any = Address::Udp { host: Host::Any, port: 7000 };
        assert_eq!("udp://:7000".parse(), Ok(any));
    }

    #[test]
    fn the_system_picks_port_zero_only() {
        for (given, zero) in [
            ("127.0.0.1:0", true),
            ("udp://:0", true),
            ("127.0.0.1:1", false),
            ("udp://:1", false),
            ("unix:0", false),
            ("fd://3", false),
        ] {
            assert_eq!(given.parse::<Address>().unwrap().is_port_zero(), zero, "{given}");
        }
    }

    #[test]
    fn one_port_of_two_protocols_is_two_addresses() {
        let parse = |text: &str| text.parse::<Address>().unwrap();
        assert_ne!(parse("tcp://:7000"), parse("udp://:7000"));
        assert_eq!(parse("tcp://:7000"), parse("07000"));
    }

    #[test]
    fn the_name_of_an_inherited_socket_has_a_bound() {
        let fits = format!("fd://{}", "x".repeat(MAX_DESCRIPTOR_NAME));
        assert!(fits.parse::<Address>().is_ok());
        let error = format!("{fits}x").parse::<Address>().unwrap_err().to_string();
        assert!(error.ends_with("has at most 255 characters; this one has 256"), "{error}");
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
        assert_eq!(relative("fd://x.socket").unwrap().to_string(), "fd://x.socket");
        let error = relative(&format!("unix:{}", "x".repeat(100))).unwrap_err().to_string();
        assert!(error.ends_with("this one has 114"), "{error}");
    }
}
