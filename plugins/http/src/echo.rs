//! `/echo`: the body of the request as the body of the answer, piece by piece.

use std::io::Write;

use crate::failure::Failure;
use crate::request::Request;
use crate::response::Response;
use crate::wire::Wire;

/// Sends the body back as it comes in, with its length if that is known and chunked if not. False
/// if the body went wrong after the answer had begun: then only the connection's end tells.
///
/// The client has to read while it sends, or its body has to fit into the buffers on the way.
pub(crate) fn echo(request: &mut Request, wire: &mut Wire) -> Result<bool, Failure> {
    let length = request.body.length();
    // Before the head, so that a body that is wrong from the start gets its status.
    let mut count = request.body.next(wire)?;
    // Not the type that the client says: a browser would run a page that it was made to send here.
    Response::streamed("application/octet-stream", length)
        .field("X-Content-Type-Options", "nosniff")
        .send(request, wire)?;
    while count > 0 {
        if length.is_none() {
            write!(wire.output(), "{count:x}\r\n")?;
        }
        wire.send_back(count);
        if length.is_none() {
            wire.output().extend_from_slice(b"\r\n");
        }
        count = match request.body.next(wire) {
            Ok(count) => count,
            Err(Failure::Refused { .. }) => return Ok(false),
            Err(broken) => return Err(broken),
        };
    }
    if length.is_none() {
        wire.output().extend_from_slice(b"0\r\n\r\n");
    }
    Ok(true)
}
