//! Why a text is no address.

use std::fmt;

use super::{MAX_DESCRIPTOR, MAX_DESCRIPTOR_NAME, MAX_UNIX_PATH};

/// A text that is no address; the message is one line that says why and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad address `{}`: {reason}", .address.escape_debug())]
pub struct AddressError {
    address: String,
    reason: Reason,
}

impl AddressError {
    pub(super) fn new(address: impl Into<String>, reason: Reason) -> Self {
        Self { address: address.into(), reason }
    }
}

/// What has ports; displayed as the scheme of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("it is empty; write one like tcp://127.0.0.1:7000")]
    Empty,
    #[error("it has a space or a control character in it")]
    Space,
    #[error("unknown scheme `{scheme}`; {}", hint(*.nearest))]
    Scheme { scheme: String, nearest: Option<&'static str> },
    #[error("{scheme} needs two slashes; write {scheme}://{rest}")]
    Slashes { scheme: &'static str, rest: String },
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
    #[error("`{name}` is not a {protocol} service of this machine (services(5)); write the number")]
    Service { name: String, protocol: Protocol },
    #[error("cannot look up the service `{name}`: {error}; write the number")]
    Lookup { name: String, error: String },
    #[error("an IPv6 address needs brackets; write {0}")]
    NoBrackets(String),
    #[error("there is more than one colon; write one like {0}://127.0.0.1:7000")]
    Colons(Protocol),
    #[error("the brackets do not match; write one like {0}://[::1]:7000")]
    Brackets(Protocol),
    #[error("`{0}` is not an IPv6 address; only those have brackets")]
    Ip6(String),
    #[error("`{0}` has a zone, which is not in this version")]
    Zone(String),
    #[error("`{0}` is not an IPv4 address; those have four numbers from 0 to 255")]
    Ip4(String),
    #[error("for every interface leave out the host; write {0}")]
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
    #[error(
        "the name or number of an inherited socket is missing; write one like fd://web or fd://3"
    )]
    NoDescriptor,
    #[error("descriptors 0 to 2 are standard input, output and error; sockets begin at 3")]
    Stdio,
    #[error("descriptor {0} is out of range; the largest is {MAX_DESCRIPTOR}")]
    DescriptorRange(String),
    #[error(
        "`{0}` is not the name of an inherited socket; those have printable ASCII characters \
         but `:`"
    )]
    DescriptorName(String),
    #[error(
        "the name of an inherited socket has at most {MAX_DESCRIPTOR_NAME} characters; this one \
         has {0}"
    )]
    LongDescriptorName(usize),
}

fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(scheme) => format!("did you mean {scheme}?"),
        None => "write one like tcp://127.0.0.1:7000 or unix:/run/portcell.sock".to_owned(),
    }
}
