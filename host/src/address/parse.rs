//! The grammar of addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::error::{Protocol, Reason};
use super::{
    Address, Host, Inherited, MAX_DESCRIPTOR, MAX_DESCRIPTOR_NAME, MAX_UNIX_PATH, service,
};

pub(super) fn parse(text: &str) -> Result<Address, Reason> {
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
        Some(("tcp", rest)) => inet(rest, Protocol::Tcp),
        Some(("udp", rest)) => inet(rest, Protocol::Udp),
        Some(("fd", rest)) => inherited(rest),
        Some((scheme, _)) => Err(unknown(scheme)),
        None => bare(text),
    }
}

fn unknown(scheme: &str) -> Reason {
    let distance = |known: &str| strsim::damerau_levenshtein(&scheme.to_lowercase(), known);
    let nearest = [("tcp", "tcp://"), ("udp", "udp://"), ("unix", "unix:"), ("fd", "fd://")]
        .into_iter()
        .map(|(known, written)| (distance(known), known, written))
        .filter(|(distance, known, _)| *distance <= known.len() / 2)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., written)| written);
    Reason::Scheme { scheme: scheme.to_owned(), nearest }
}

/// An address without `://`: TCP, or a scheme whose slashes are missing.
fn bare(text: &str) -> Result<Address, Reason> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    for (scheme, has_ports) in [("tcp", true), ("udp", true), ("fd", false)] {
        let Some(rest) = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':')) else {
            continue;
        };
        let colon = if has_ports && !rest.is_empty() && digits(rest) { ":" } else { "" };
        return Err(Reason::Slashes { scheme, rest: format!("{colon}{rest}") });
    }
    if digits(text) {
        return Ok(Address::Tcp { host: Host::Any, port: port(text, Protocol::Tcp)? });
    }
    inet(text, Protocol::Tcp)
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

fn inherited(text: &str) -> Result<Address, Reason> {
    if text.is_empty() {
        return Err(Reason::NoDescriptor);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(0..=2) => Err(Reason::Stdio),
            Ok(number @ ..=MAX_DESCRIPTOR) => Ok(Address::Inherited(Inherited::Number(number))),
            _ => Err(Reason::DescriptorRange(text.to_owned())),
        };
    }
    match text.len() {
        _ if !text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b':') => {
            Err(Reason::DescriptorName(text.to_owned()))
        }
        1..=MAX_DESCRIPTOR_NAME => Ok(Address::Inherited(Inherited::Name(text.to_owned()))),
        length => Err(Reason::LongDescriptorName(length)),
    }
}

/// What follows the scheme of an address that has a port.
fn inet(text: &str, protocol: Protocol) -> Result<Address, Reason> {
    let (host, port) = host_and_port(text, protocol)?;
    Ok(match protocol {
        Protocol::Tcp => Address::Tcp { host, port },
        Protocol::Udp => Address::Udp { host, port },
    })
}

fn host_and_port(text: &str, protocol: Protocol) -> Result<(Host, u16), Reason> {
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
        return in_brackets(rest, protocol);
    }
    if text.contains(['[', ']']) {
        return Err(Reason::Brackets(protocol));
    }
    let Some((host, port_text)) = text.rsplit_once(':') else {
        return Err(without_port(text, protocol));
    };
    if host.contains(':') {
        return Err(colons(text, host, port_text, protocol));
    }
    if port_text.is_empty() {
        return Err(without_port(host, protocol));
    }
    if host == "*" {
        return Err(Reason::Star(format!("{protocol}://:{port_text}")));
    }
    Ok((named_host(host)?, port(port_text, protocol)?))
}

/// An IPv6 address and its port, from behind the first bracket on.
fn in_brackets(text: &str, protocol: Protocol) -> Result<(Host, u16), Reason> {
    let (ip, rest) = text.split_once(']').ok_or(Reason::Brackets(protocol))?;
    if ip.contains('%') {
        return Err(Reason::Zone(ip.to_owned()));
    }
    let ip: Ipv6Addr = ip.parse().map_err(|_| Reason::Ip6(ip.to_owned()))?;
    match rest.strip_prefix(':') {
        Some(rest) if !rest.is_empty() => Ok((Host::Ip(ip.into()), port(rest, protocol)?)),
        _ if matches!(rest, "" | ":") => Err(Reason::NoPort(format!("{protocol}://[{ip}]:7000"))),
        _ => Err(Reason::Brackets(protocol)),
    }
}

/// The error of a host that came without its port; a lone number was meant as a port.
fn without_port(host: &str, protocol: Protocol) -> Reason {
    Reason::NoPort(match host.parse::<u16>() {
        Ok(port) => format!("{protocol}://:{port}"),
        Err(_) => format!("{protocol}://{host}:7000"),
    })
}

fn colons(text: &str, host: &str, port: &str, protocol: Protocol) -> Reason {
    let (whole, host) = (text.parse::<Ipv6Addr>(), host.parse::<Ipv6Addr>());
    match (host, port.parse::<u16>(), whole) {
        (Ok(ip), Ok(port), _) => Reason::NoBrackets(format!("{protocol}://[{ip}]:{port}")),
        (_, _, Ok(ip)) => Reason::NoBrackets(format!("{protocol}://[{ip}]:7000")),
        (Ok(ip), ..) if is_name(port) => Reason::NoBrackets(format!("{protocol}://[{ip}]:{port}")),
        _ => Reason::Colons(protocol),
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

fn port(text: &str, protocol: Protocol) -> Result<u16, Reason> {
    if is_name(text) {
        return service::port(text, protocol);
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Reason::Port(text.to_owned()));
    }
    text.parse().map_err(|_| Reason::PortRange(text.to_owned()))
}

/// Whether a port is the name of a service: those have a letter (RFC 6335, section 5.1).
fn is_name(port: &str) -> bool {
    port.bytes().any(|byte| byte.is_ascii_alphabetic())
}
