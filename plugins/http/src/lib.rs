//! HTTP/1.1 (RFC 9110 and 9112) for one connection.
//!
//! ```text
//! $ portcell run http.wasm --listen :8080 --dir www::/www
//! $ curl http://localhost:8080/
//! ```
//!
//! | path | answer |
//! | --- | --- |
//! | `/` | a page for people, with the facts of this connection |
//! | `/facts` | the same as JSON |
//! | `/echo` | the body of a POST or PUT, sent back as it comes in, up to 8 MiB |
//! | `/files/...` | the files of the folder that is granted as `/www` |
//!
//! How long a slow or silent client may take is the host's business: no time is measured here.

mod body;
mod date;
mod echo;
mod facts;
mod failure;
mod fields;
mod files;
mod page;
mod request;
mod resource;
mod response;
mod wire;

use std::io::{self, ErrorKind};
use std::path::Path;

use portcell_sdk::{Connection, handler};

use crate::failure::Failure;
use crate::request::Request;
use crate::response::Response;
use crate::wire::Wire;

/// Answers the requests of one connection, with the files of `/www`.
#[handler]
pub fn http(connection: Connection) -> io::Result<()> {
    serve(connection, Path::new("/www"))
}

/// Answers the requests of one connection, with the files of `folder`, until the client ends it or
/// asks for its end, the host drains, or a mistake hides where the next request begins.
///
/// A client that goes away is no error. A file that cannot be read to its end is.
pub fn serve(connection: Connection, folder: &Path) -> io::Result<()> {
    let mut wire = Wire::new(connection);
    let ended = converse(folder, &mut wire)
        .or_else(|failure| match failure {
            Failure::Refused { status, reason } => {
                Response::error(status, reason).send_last(&mut wire)
            }
            Failure::Broken(error) => Err(error),
        })
        .and_then(|()| wire.flush());
    match ended {
        Err(error) if is_absence(error.kind()) => Ok(()),
        ended => ended,
    }
}

fn converse(folder: &Path, wire: &mut Wire) -> Result<(), Failure> {
    let mut count = 0;
    while wire.wait()? {
        let Some(mut request) = Request::read(wire)? else { break };
        count += 1;
        request.keep_alive &= !wire.is_draining();
        if !resource::answer(&mut request, count, folder, wire)? {
            break;
        }
    }
    Ok(())
}

fn is_absence(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}
