//! What there is on this server: which path stands for what, and what may be done with it.

use std::path::Path;

use crate::echo;
use crate::facts;
use crate::failure::Failure;
use crate::files;
use crate::page::{self, Visit};
use crate::request::{Method, Request};
use crate::response::Response;
use crate::wire::Wire;

const READ: &str = "GET, HEAD, OPTIONS";
const SEND: &str = "POST, PUT, OPTIONS";
const ANY: &str = "GET, HEAD, POST, PUT, OPTIONS";

#[derive(Clone, Copy)]
enum Resource<'path> {
    Page,
    Facts,
    Echo,
    Icon,
    /// With the path below `/files`: nothing, or what starts with a slash.
    Files(&'path str),
    /// The server itself: `*`.
    Server,
}

/// Answers the request, the `count`th of its connection, with the files of `folder`. False if no
/// other may follow.
pub(crate) fn answer(
    request: &mut Request,
    count: u64,
    folder: &Path,
    wire: &mut Wire,
) -> Result<bool, Failure> {
    let resource = Resource::find(&request.path);
    if let (Some(Resource::Echo), Method::Post | Method::Put) = (resource, request.method) {
        return Ok(echo::echo(request, wire)? && request.keep_alive);
    }
    let response = match resource {
        None => Response::error(404, "There is nothing here. What there is, / tells."),
        Some(resource) => match request.method {
            Method::Get | Method::Head => resource.read(request, count, folder, wire),
            Method::Options => Response::empty(204).field("Allow", resource.methods()),
            Method::Post | Method::Put | Method::Other => resource.refuse_method(),
        },
    };
    request.keep_alive &= request.body.discard(wire)?;
    response.send(request, wire)?;
    Ok(request.keep_alive)
}

impl<'path> Resource<'path> {
    fn find(path: &'path str) -> Option<Self> {
        match path {
            "/" => Some(Self::Page),
            "/facts" => Some(Self::Facts),
            "/echo" => Some(Self::Echo),
            "/favicon.ico" => Some(Self::Icon),
            "*" => Some(Self::Server),
            _ => match path.strip_prefix("/files")? {
                rest if rest.is_empty() || rest.starts_with('/') => Some(Self::Files(rest)),
                _ => None,
            },
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Self::Page | Self::Facts | Self::Icon | Self::Files(_) => READ,
            Self::Echo => SEND,
            Self::Server => ANY,
        }
    }

    fn read(self, request: &Request, count: u64, folder: &Path, wire: &Wire) -> Response {
        match self {
            Self::Page => {
                let visit = Visit { count, host: request.host.as_deref() };
                let page = page::page(&facts::all(wire), &visit);
                Response::bytes("text/html; charset=utf-8", page.into_bytes())
                    .field("Cache-Control", "no-store")
                    .field(
                        "Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'",
                    )
            }
            Self::Facts => {
                let json = facts::json(&facts::all(wire));
                Response::bytes("application/json", json.into_bytes())
                    .field("Cache-Control", "no-store")
            }
            Self::Icon => Response::bytes("image/svg+xml", include_bytes!("icon.svg").as_slice())
                .field("Cache-Control", "max-age=86400"),
            Self::Files(path) => files::serve(path, request.if_modified_since.as_deref(), folder),
            Self::Echo | Self::Server => self.refuse_method(),
        }
    }

    fn refuse_method(self) -> Response {
        let methods = self.methods();
        Response::error(405, &format!("What works here is {methods}.")).field("Allow", methods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_found() {
        assert!(matches!(Resource::find("/files"), Some(Resource::Files(""))));
        assert!(matches!(Resource::find("/files/a/b"), Some(Resource::Files("/a/b"))));
        for path in ["/filesystem", "/facts/", "/Facts", "//", "/echo/x", "/%65cho"] {
            assert!(Resource::find(path).is_none(), "{path}");
        }
    }
}
