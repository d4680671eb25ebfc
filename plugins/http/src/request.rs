//! The head of a request (RFC 9112 sections 2 to 6), strictly: what two readers could understand
//! in two ways is refused, because that is how requests are smuggled past a proxy.
//!
//! Does not look at the path, and leaves the body to `body`.

use std::mem::MaybeUninit;

use httparse::{Error, Status};

use crate::body::Body;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::wire::{LARGEST, Wire};

/// The longest target, in bytes; RFC 9112 section 3 asks for 8000 at least.
const MAX_TARGET: usize = 8 * 1024;

/// How many fields a head may have; as many as elsewhere.
const MAX_FIELDS: usize = 100;

pub(crate) struct Request {
    pub(crate) method: Method,
    /// The path of the target, with its percent-encoding, without the query; `*` for all.
    pub(crate) path: String,
    /// The server's name as the client knows it, perhaps with a port.
    pub(crate) host: Option<String>,
    pub(crate) if_modified_since: Option<String>,
    pub(crate) version: Version,
    /// Whether another request may follow.
    pub(crate) keep_alive: bool,
    pub(crate) body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Options,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

impl Request {
    /// Waits for the next head and takes it. `None` if the input ends before it begins.
    pub(crate) fn read(wire: &mut Wire) -> Result<Option<Self>, Failure> {
        // A head that comes in crumbs is parsed when it has doubled or may be whole, so that it
        // costs no more than its length, and garbage is still told early.
        let mut parse_at = 1;
        let mut searched = 0;
        loop {
            let bytes = wire.buffered();
            let length = bytes.len();
            if length >= parse_at || may_end(bytes, searched) {
                if let Some((request, taken)) = parse(bytes)? {
                    wire.skip(taken);
                    return Ok(Some(request));
                }
                parse_at = length * 2;
            }
            if length >= LARGEST {
                return Err(too_large(bytes));
            }
            searched = length;
            if !wire.fill()? {
                // Empty lines before a request count as nothing.
                return if wire.buffered().trim_ascii_start().is_empty() {
                    Ok(None)
                } else {
                    Err(Failure::bad("The request ended before its empty line."))
                };
            }
        }
    }
}

impl Method {
    fn parse(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// Whether an empty line ends in what came after the first `searched` bytes.
fn may_end(bytes: &[u8], searched: usize) -> bool {
    let fresh = &bytes[searched.saturating_sub(2)..];
    fresh.windows(2).any(|end| end == b"\n\n") || fresh.windows(3).any(|end| end == b"\n\r\n")
}

fn too_large(bytes: &[u8]) -> Failure {
    if bytes.trim_ascii_start().contains(&b'\n') {
        Failure::refused(431, "The head of a request may have 16 KiB.")
    } else {
        target_too_long()
    }
}

fn target_too_long() -> Failure {
    Failure::refused(414, "The target of a request may have 8 KiB.")
}

/// The request and how long its head is; `None` if that has not come whole.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Failure> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut []);
    let length = match head.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(malformed(error, bytes)),
    };
    let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Err(Failure::bad("The request line is not complete."));
    };
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let method = Method::parse(method);
    if target.len() > MAX_TARGET {
        return Err(target_too_long());
    }
    let path = path(target, method)?;

    let mut fields = Fields::default();
    for field in head.headers.iter() {
        fields.take(field.name, field.value)?;
    }
    if version == Version::Http11 && fields.host.is_none() {
        return Err(Failure::bad("A request of HTTP/1.1 has a Host field."));
    }
    let request = Request {
        method,
        path,
        version,
        keep_alive: fields.persists.unwrap_or(version == Version::Http11),
        body: fields.body(version)?,
        host: fields.host,
        if_modified_since: fields.if_modified_since,
    };
    Ok(Some((request, length)))
}

fn malformed(error: Error, bytes: &[u8]) -> Failure {
    match error {
        Error::TooManyHeaders => Failure::refused(431, "A request may have 100 fields."),
        Error::Version if names_another_version(bytes) => {
            Failure::refused(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
        }
        Error::HeaderName => Failure::bad("A field has a name that HTTP does not allow."),
        Error::HeaderValue => Failure::bad("A field has a value that HTTP does not allow."),
        _ => Failure::bad("This is not a request of HTTP."),
    }
}

fn names_another_version(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.trim_ascii_end().split(|&byte| byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    }
}

/// The path of a target in origin form, absolute form, or asterisk form (RFC 9112 section 3.2).
fn path(target: &str, method: Method) -> Result<String, Failure> {
    let after_scheme = ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let target = match after_scheme {
        Some(rest) => rest.find(['/', '?']).map_or("/", |start| &rest[start..]),
        None => target,
    };
    let path = target.split('?').next().unwrap_or_default();
    match path {
        "" if after_scheme.is_some() => Ok("/".into()),
        "*" if method == Method::Options => Ok(path.into()),
        _ if path.starts_with('/') => Ok(path.into()),
        _ => Err(Failure::bad("The target is neither a path nor a URL.")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use portcell_sdk::Connection;

    use super::*;

    fn accept(head: &str) -> Request {
        match parse(head.as_bytes()) {
            Ok(Some((request, length))) => {
                assert_eq!(length, head.len());
                request
            }
            Ok(None) => panic!("incomplete: {head:?}"),
            Err(failure) => panic!("refused with {}: {head:?}", status(&failure)),
        }
    }

    fn refused(head: &str) -> u16 {
        match parse(head.as_bytes()) {
            Ok(_) => panic!("not refused: {head:?}"),
            Err(failure) => status(&failure),
        }
    }

    fn status(failure: &Failure) -> u16 {
        match failure {
            Failure::Refused { status, .. } => *status,
            Failure::Broken(error) => panic!("{error}"),
        }
    }

    fn with(fields: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    #[test]
    fn a_plain_request_is_understood() {
        let request = accept("GET /a%20b?c=d HTTP/1.1\r\nHost: example.org:8080\r\n\r\n");
        assert_eq!(request.method, Method::Get);
        assert_eq!(request.path, "/a%20b");
        assert_eq!(request.host.as_deref(), Some("example.org:8080"));
        assert_eq!(request.version, Version::Http11);
        assert!(request.keep_alive);
    }

    #[test]
    fn keep_alive_depends_on_version_and_connection() {
        let keeps = |line: &str| accept(&format!("GET / {line}\r\n\r\n")).keep_alive;
        assert!(keeps("HTTP/1.1\r\nHost: a"));
        assert!(!keeps("HTTP/1.1\r\nHost: a\r\nConnection: Close"));
        assert!(!keeps("HTTP/1.1\r\nHost: a\r\nConnection: te, close"));
        assert!(!keeps("HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close"));
        assert!(!keeps("HTTP/1.0"));
        assert!(keeps("HTTP/1.0\r\nConnection: Keep-Alive"));
    }

    #[test]
    fn targets_are_paths_or_urls() {
        let path = |target: &str| accept(&format!("GET {target} HTTP/1.0\r\n\r\n")).path;
        assert_eq!(path("/?x"), "/");
        assert_eq!(path("http://a.example/b?c"), "/b");
        assert_eq!(path("HTTPS://a.example"), "/");
        assert_eq!(path("http://a.example?q=/"), "/");
        assert_eq!(path("//a"), "//a");
        assert_eq!(accept("OPTIONS * HTTP/1.0\r\n\r\n").path, "*");
        for target in ["*", "a", "a:443", "?", "ftp://a/b"] {
            assert_eq!(refused(&format!("GET {target} HTTP/1.0\r\n\r\n")), 400, "{target}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        for head in [
            "\x16\x03\x01\x02\x00\x01",
            "hello\r\n\r\n",
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET / HTTP/x.y\r\n\r\n",
            "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(refused(head), 400, "{head:?}");
        }
    }

    #[test]
    fn other_versions_are_told_apart_from_garbage() {
        assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
        assert_eq!(refused("GET / HTTP/3.0\r\n\r\n"), 505);
        assert_eq!(refused("\r\nGET / HTTP/1.2\r\n\r\n"), 505);
    }

    #[test]
    fn fields_that_could_be_read_in_two_ways_are_refused() {
        for fields in [
            "A: b\r\n c\r\n",
            "A : b\r\n",
            " A: b\r\n",
            "A: b\rc\r\n",
            "A: b\0c\r\n",
            "A\r\n",
            ": b\r\n",
            "Host: a\r\n",
            "Host: b\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length:\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: 1 2\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(refused(&with(fields)), 400, "{fields:?}");
        }
    }

    #[test]
    fn what_is_not_offered_is_told() {
        for coding in
            ["gzip", "gzip, chunked", "chunked, gzip", "identity", "xchunked", "\"chunked\""]
        {
            assert_eq!(
                refused(&with(&format!("Transfer-Encoding: {coding}\r\n"))),
                501,
                "{coding}"
            );
        }
        assert_eq!(refused(&with("Expect: tea\r\n")), 417);
    }

    #[test]
    fn the_host_is_named_once_and_is_one() {
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), 400);
        for host in ["a/b", "user@a", "a b", "<script>", "\u{e9}"] {
            assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), 400, "{host}");
        }
        for host in ["", "a", "a.example:80", "[::1]:8080", "127.0.0.1"] {
            accept(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        }
        assert_eq!(accept("GET / HTTP/1.0\r\n\r\n").host, None);
    }

    #[test]
    fn chunked_bodies_belong_to_version_1_1() {
        assert_eq!(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
        accept(&with("transfer-encoding: Chunked\r\n"));
    }

    #[test]
    fn lines_may_end_without_cr_and_empty_ones_come_first() {
        accept("GET / HTTP/1.0\n\n");
        accept("\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    }

    #[test]
    fn long_heads_are_refused_by_what_is_long() {
        let target = "a".repeat(MAX_TARGET);
        assert_eq!(refused(&format!("GET /{target} HTTP/1.0\r\n\r\n")), 414);
        assert_eq!(refused(&with(&"A: b\r\n".repeat(MAX_FIELDS))), 431);
        assert_eq!(status(&too_large(b"\r\nGET /aaaa")), 414);
        assert_eq!(status(&too_large(b"GET / HTTP/1.1\r\nA: b")), 431);
    }

    #[test]
    fn garbage_is_told_before_the_head_ends() {
        let (connection, mut peer) = Connection::pair();
        connection.set_read_timeout(Some(Duration::ZERO)).unwrap();
        let mut wire = Wire::new(connection);
        peer.write_all(b"G").unwrap();
        assert!(wire.fill().unwrap());
        peer.write_all(b"\x01").unwrap();
        let Err(failure) = Request::read(&mut wire) else { panic!("not refused") };
        assert_eq!(status(&failure), 400);
    }

    #[test]
    fn the_end_is_seen_over_the_edge_of_two_reads() {
        let head = b"GET / HTTP/1.0\r\n\r\n";
        let whole = head.len();
        assert!((0..whole).all(|searched| may_end(head, searched)));
        assert!((0..whole - 1).all(|searched| !may_end(&head[..whole - 1], searched)));
    }
}
