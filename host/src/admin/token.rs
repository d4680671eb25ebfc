//! The token that whoever steers a server over TCP has to show.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

/// How long a token is, in bytes. A shorter one could be guessed.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=256;

/// A token. It is not shown by [`fmt::Debug`].
pub struct Token(String);

/// A file has no token that can be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct TokenError {
    path: PathBuf,
    why: String,
}

impl Token {
    /// Reads a file of one line: 16 to 256 characters of ASCII that can be seen.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let wrong = |why: String| TokenError { path: path.to_path_buf(), why };
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => wrong(
                "there is no such file; make one, for example with `openssl rand -hex 32 > FILE`"
                    .into(),
            ),
            _ => wrong(format!("cannot read the token: {error}")),
        };
        let file = File::open(path).map_err(cannot)?;
        if file.metadata().is_ok_and(|found| found.mode() & 0o077 != 0) {
            tracing::warn!("{}: others can read the token; `chmod 600` keeps it", path.display());
        }
        let mut text = String::new();
        file.take(*LENGTH.end() as u64 + 2).read_to_string(&mut text).map_err(cannot)?;
        let token = text.trim_end();
        if !LENGTH.contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(format!(
                "a token is one line of {} to {} letters, digits and signs",
                LENGTH.start(),
                LENGTH.end()
            )));
        }
        Ok(Self(token.to_owned()))
    }

    /// Whether `authorization` is `Bearer` and this token (RFC 6750 section 2.1). How long that
    /// takes does not tell how much of it is right.
    pub fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let (scheme, shown) = match authorization.split_at_checked(7) {
            Some((scheme, shown)) if scheme.eq_ignore_ascii_case(b"bearer ") => (scheme, shown),
            _ => return false,
        };
        debug_assert_eq!(scheme.len(), 7);
        shown.ct_eq(self.0.as_bytes()).into()
    }

    /// What is to be sent with a request.
    pub fn as_header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Result<Token, TokenError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        Token::read(&path)
    }

    #[test]
    fn a_token_is_shown_whole_or_not_at_all() {
        let token = read("0123456789abcdef\n").unwrap();
        assert!(token.is_shown_by(token.as_header().as_bytes()));
        assert!(token.is_shown_by(b"bearer 0123456789abcdef"));
        for shown in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Basic 0123456789abcdef",
            "Bearer 0123456789abcdefg",
        ] {
            assert!(!token.is_shown_by(shown.as_bytes()), "{shown}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn what_is_no_token_is_refused_with_what_one_is() {
        for text in
            ["", "short", "sixteen words in it", "0123456789abcdef\nand more", &"x".repeat(300)]
        {
            let said = read(text).unwrap_err().to_string();
            assert!(said.ends_with("one line of 16 to 256 letters, digits and signs"), "{said}");
        }
        assert!(Token::read(Path::new("/no/token")).unwrap_err().to_string().contains("openssl"));
    }
}
