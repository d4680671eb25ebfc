//! `/files/`: the files of one folder. No listings, and nothing whose name starts with a dot, but
//! for `.well-known`.
//!
//! The folder is what the handler's configuration grants; the sandbox keeps links from leading out
//! of it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::date::Date;
use crate::response::Response;

const NO_FOLDER: &str = "No folder is granted to this handler. Grant one in the configuration:

    [handler.NAME]
    dirs = [{ host = \"www\", guest = \"/www\" }]

or on the command line:

    portcell run http.wasm --dir www::/www
";

/// The file at `path`, what follows `/files` and is still percent-encoded, in the folder `root`. A
/// folder is its `index.html`.
///
/// A file with the date `if_modified_since`, exactly, is 304: clients send the date that they were
/// given.
pub(crate) fn serve(path: &str, if_modified_since: Option<&str>, root: &Path) -> Response {
    let relative = match resolve(path) {
        Ok(relative) => relative,
        Err(Unusable::Malformed) => return Response::error(400, "This path is not allowed."),
        Err(Unusable::Hidden) => return missing(root),
    };
    open(path, &relative, if_modified_since, root).unwrap_or_else(|error| match error.kind() {
        _ if !root.is_dir() => missing(root),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
            missing(root)
        }
        ErrorKind::PermissionDenied => Response::error(403, "This file may not be read."),
        _ => Response::error(500, "This file cannot be read."),
    })
}

fn open(
    path: &str,
    relative: &str,
    if_modified_since: Option<&str>,
    root: &Path,
) -> io::Result<Response> {
    let mut file = root.join(relative);
    let mut metadata = fs::metadata(&file)?;
    if metadata.is_dir() {
        if !path.ends_with('/') {
            // So that relative links in the page lead into the folder.
            let location = format!("/files{path}/");
            let text = "This is a folder: its name ends with a slash.";
            return Ok(Response::error(301, text).field("Location", location));
        }
        file.push("index.html");
        metadata = fs::metadata(&file)?;
    } else if path.ends_with('/') {
        return Err(ErrorKind::NotADirectory.into());
    }
    if !metadata.is_file() {
        return Err(ErrorKind::NotFound.into());
    }

    let modified = metadata.modified().ok().map(|time| Date::from(time).to_string());
    let response = if modified.is_some() && modified.as_deref() == if_modified_since {
        Response::empty(304)
    } else {
        Response::file(media_type(&file), File::open(&file)?, metadata.len())
            .field("X-Content-Type-Options", "nosniff")
    };
    Ok(match modified {
        Some(date) => response.field("Last-Modified", date),
        None => response,
    })
}

fn missing(root: &Path) -> Response {
    let reason = if root.is_dir() { "There is no such file." } else { NO_FOLDER };
    Response::error(404, reason)
}

/// Why a path is no place in the folder.
#[derive(Debug, PartialEq, Eq)]
enum Unusable {
    Malformed,
    Hidden,
}

/// The path below the folder, decoded. It has no `.`, no `..` and no empty name in it, however
/// they are written.
fn resolve(path: &str) -> Result<String, Unusable> {
    let decoded = percent_decode(path).ok_or(Unusable::Malformed)?;
    if decoded.contains(['\0', '\\']) {
        return Err(Unusable::Malformed);
    }
    let Some(inner) = decoded.strip_prefix('/').filter(|inner| !inner.is_empty()) else {
        return Ok(String::new());
    };
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for name in inner.split('/') {
        match name {
            "" | "." | ".." => return Err(Unusable::Malformed),
            ".well-known" => {}
            _ if name.starts_with('.') => return Err(Unusable::Hidden),
            _ => {}
        }
    }
    Ok(inner.into())
}

/// RFC 3986 section 2.1; `None` if a percent sign stands for nothing or the result is not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(hex(digits[0])? << 4 | hex(digits[1])?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn media_type(file: &Path) -> &'static str {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(path: &str) -> String {
        resolve(path).unwrap_or_else(|reason| panic!("{path:?} is {reason:?}"))
    }

    #[test]
    fn paths_are_decoded() {
        assert_eq!(resolved(""), "");
        assert_eq!(resolved("/"), "");
        assert_eq!(resolved("/a/b.txt"), "a/b.txt");
        assert_eq!(resolved("/a/"), "a");
        assert_eq!(resolved("/a%20b/%C3%A9"), "a b/é");
        assert_eq!(resolved("/a%2fb"), "a/b");
        assert_eq!(resolved("/a..b/c."), "a..b/c.");
        assert_eq!(resolved("/.well-known/x"), ".well-known/x");
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        for path in [
            "/..",
            "/../a",
            "/a/../b",
            "/a/..",
            "/.",
            "/a/./b",
            "/%2e%2e/a",
            "/%2E./a",
            "/..%2fa",
            "/a%2f..%2f..%2fb",
            "//a",
            "//",
            "/a//b",
            "/%2fetc/passwd",
            "/a%00",
            "/a\\b",
            "/%5c..",
        ] {
            assert_eq!(resolve(path), Err(Unusable::Malformed), "{path:?}");
        }
    }

    #[test]
    fn what_is_not_percent_encoding_is_refused() {
        for path in ["/%", "/%4", "/%zz", "/%+1", "/%ff", "/%c3"] {
            assert_eq!(resolve(path), Err(Unusable::Malformed), "{path:?}");
        }
    }

    #[test]
    fn names_with_a_dot_in_front_are_hidden() {
        for path in ["/.env", "/.git/config", "/a/.b", "/%2egit", "/..a"] {
            assert_eq!(resolve(path), Err(Unusable::Hidden), "{path:?}");
        }
    }

    #[test]
    fn types_follow_the_extension() {
        assert_eq!(media_type(Path::new("/www/a/INDEX.HTML")), "text/html; charset=utf-8");
        assert_eq!(media_type(Path::new("a.tar.gz")), "application/octet-stream");
        assert_eq!(media_type(Path::new("html")), "application/octet-stream");
    }
}
