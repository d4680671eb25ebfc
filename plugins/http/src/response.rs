//! An answer: its status line, its fields, and what follows them (RFC 9112 section 4).

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};

use crate::date::Date;
use crate::request::{Method, Request, Version};
use crate::wire::Wire;

/// How much of a file is read and sent at once, in bytes.
const PIECE: u64 = 32 * 1024;

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) struct Response {
    status: u16,
    /// Whole lines.
    fields: String,
    content: Content,
}

enum Content {
    None,
    Bytes(Cow<'static, [u8]>),
    File(File, u64),
    /// Written by the caller after the head; chunked if the length is not known.
    Streamed(Option<u64>),
}

impl Response {
    /// A status without content: 204 or 304.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, fields: String::new(), content: Content::None }
    }

    pub(crate) fn bytes(media_type: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        let content = Content::Bytes(bytes.into());
        Self { status: 200, fields: String::new(), content }.field("Content-Type", media_type)
    }

    /// The next `length` bytes of a file.
    pub(crate) fn file(media_type: &str, file: File, length: u64) -> Self {
        let content = Content::File(file, length);
        Self { status: 200, fields: String::new(), content }.field("Content-Type", media_type)
    }

    /// A head, after which the caller writes the content itself: `length` bytes or, if that is not
    /// known, chunks.
    pub(crate) fn streamed(media_type: &str, length: Option<u64>) -> Self {
        let content = Content::Streamed(length);
        Self { status: 200, fields: String::new(), content }.field("Content-Type", media_type)
    }

    /// A status with a sentence for people.
    pub(crate) fn error(status: u16, reason: &str) -> Self {
        let text = format!("{status} {}\n{reason}\n", phrase(status));
        Self { status, ..Self::bytes(TEXT, text.into_bytes()) }
    }

    /// Adds a field. The value must not have line ends in it.
    pub(crate) fn field(mut self, name: &str, value: impl Display) -> Self {
        let before = self.fields.len();
        // Writing to a String does not fail.
        let _ = fmt::write(&mut self.fields, format_args!("{name}: {value}\r\n"));
        debug_assert_eq!(self.fields[before..].matches('\n').count(), 1, "{name}");
        self
    }

    /// Writes the answer to `request`; of HEAD only the head.
    pub(crate) fn send(self, request: &Request, wire: &mut Wire) -> io::Result<()> {
        let connection = match (request.keep_alive, request.version) {
            (false, _) => Some("close"),
            (true, Version::Http10) => Some("keep-alive"),
            (true, Version::Http11) => None,
        };
        self.write(connection, request.method != Method::Head, wire)
    }

    /// Writes the answer to a request that was not understood, after which the connection ends.
    pub(crate) fn send_last(self, wire: &mut Wire) -> io::Result<()> {
        self.write(Some("close"), true, wire)
    }

    fn write(self, connection: Option<&str>, content: bool, wire: &mut Wire) -> io::Result<()> {
        let output = wire.output();
        write!(output, "HTTP/1.1 {} {}\r\nServer: portcell\r\n", self.status, phrase(self.status))?;
        write!(output, "Date: {}\r\n{}", Date::now(), self.fields)?;
        match &self.content {
            Content::None => Ok(()),
            Content::Bytes(bytes) => write!(output, "Content-Length: {}\r\n", bytes.len()),
            Content::File(_, length) | Content::Streamed(Some(length)) => {
                write!(output, "Content-Length: {length}\r\n")
            }
            Content::Streamed(None) => output.write_all(b"Transfer-Encoding: chunked\r\n"),
        }?;
        if let Some(option) = connection {
            write!(output, "Connection: {option}\r\n")?;
        }
        output.extend_from_slice(b"\r\n");

        match self.content {
            Content::Bytes(bytes) if content => output.extend_from_slice(&bytes),
            Content::File(file, length) if content => send_file(file, length, wire)?,
            _ => {}
        }
        wire.flush_if_large()
    }
}

/// Fails if the file has become shorter: the client sees that by the connection's end.
fn send_file(mut file: File, length: u64, wire: &mut Wire) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let output = wire.output();
        let start = output.len();
        output.resize(start + usize::try_from(left.min(PIECE)).unwrap_or_default(), 0);
        let read = file.read(&mut output[start..]);
        output.truncate(start + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => return Err(io::Error::new(ErrorKind::UnexpectedEof, "a file became shorter")),
            count => left -= count as u64,
        }
        wire.flush_if_large()?;
    }
    Ok(())
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use portcell_sdk::Connection;

    use super::*;

    fn wire() -> Wire {
        Wire::new(Connection::pair().0)
    }

    fn manifest() -> File {
        File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap()
    }

    #[test]
    fn head_and_content_are_one_piece() {
        let mut wire = wire();
        Response::bytes(TEXT, b"hello".as_slice()).field("A", 1).send_last(&mut wire).unwrap();
        let output = String::from_utf8(wire.output().clone()).unwrap();
        assert!(output.starts_with("HTTP/1.1 200 OK\r\nServer: portcell\r\nDate: "), "{output}");
        let end = "\r\nContent-Type: text/plain; charset=utf-8\r\nA: 1\r\n\
            Content-Length: 5\r\nConnection: close\r\n\r\nhello";
        assert!(output.ends_with(end), "{output}");
    }

    #[test]
    fn an_answer_without_content_has_no_length() {
        let mut wire = wire();
        Response::empty(304).send_last(&mut wire).unwrap();
        let output = String::from_utf8(wire.output().clone()).unwrap();
        assert!(output.ends_with(" GMT\r\nConnection: close\r\n\r\n"), "{output}");
    }

    #[test]
    fn a_file_that_grows_is_sent_as_long_as_it_was_said_to_be() {
        let mut wire = wire();
        send_file(manifest(), 9, &mut wire).unwrap();
        assert_eq!(wire.output(), b"[package]");
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let length = manifest().metadata().unwrap().len();
        let error = send_file(manifest(), length + 1, &mut wire()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
