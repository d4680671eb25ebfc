//! The fields of a request that matter here, and what they say together (RFC 9112 section 6.3,
//! RFC 9110 sections 7.2, 7.6.1, 10.1.1).
//!
//! Tested with the head of a request as a whole, in `request`.

use crate::body::Body;
use crate::failure::Failure;
use crate::request::Version;

/// What the fields of one request say.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) host: Option<String>,
    pub(crate) if_modified_since: Option<String>,
    length: Option<u64>,
    chunked: bool,
    /// What the Connection field says of it; `close` outweighs `keep-alive`.
    pub(crate) persists: Option<bool>,
    expects_continue: bool,
}

impl Fields {
    /// Reads one field. Refused is what is wrong by itself or a second time.
    pub(crate) fn take(&mut self, name: &str, value: &[u8]) -> Result<(), Failure> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            let host = std::str::from_utf8(value).ok().filter(|host| is_host(host));
            let host = host.ok_or_else(|| Failure::bad("The Host field names no host."))?;
            if self.host.replace(host.into()).is_some() {
                return Err(Failure::bad("A request has one Host field."));
            }
        } else if is("content-length") {
            let length = decimal(value)
                .ok_or_else(|| Failure::bad("The Content-Length is not one number."))?;
            if self.length.replace(length).is_some() {
                return Err(Failure::bad("A request has one Content-Length."));
            }
        } else if is("transfer-encoding") {
            if !items(value).all(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
                return Err(Failure::refused(501, "The only transfer coding here is chunked."));
            }
            if self.chunked || items(value).count() != 1 {
                return Err(Failure::bad("A body is chunked once."));
            }
            self.chunked = true;
        } else if is("connection") {
            if items(value).any(|option| option.eq_ignore_ascii_case(b"close")) {
                self.persists = Some(false);
            } else if items(value).any(|option| option.eq_ignore_ascii_case(b"keep-alive")) {
                self.persists.get_or_insert(true);
            }
        } else if is("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Failure::refused(417, "The only expectation here is 100-continue."));
            }
            self.expects_continue = true;
        } else if is("if-modified-since") {
            self.if_modified_since = std::str::from_utf8(value).ok().map(Into::into);
        }
        Ok(())
    }

    /// How the body comes. Refused is what does not fit together.
    pub(crate) fn body(&self, version: Version) -> Result<Body, Failure> {
        if !self.chunked {
            let expects = self.expects_continue && version == Version::Http11;
            return Ok(Body::of_length(self.length.unwrap_or(0), expects));
        }
        if self.length.is_some() {
            return Err(Failure::bad("A body has a Content-Length or is chunked, not both."));
        }
        if version == Version::Http10 {
            return Err(Failure::bad("HTTP/1.0 has no chunked bodies."));
        }
        Ok(Body::chunked(self.expects_continue))
    }
}

/// The items of a list, without the empty ones.
fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// Digits and nothing else, below 2^64.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether these are the characters of a host and a port (RFC 3986 section 3.2.2); empty is one.
fn is_host(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte))
}
