//! The bytes of an entry: what says that it is one, for which key, and that it is whole; then the
//! code.

use sha2::{Digest as _, Sha256};

/// What an entry begins with; another form of entries, or of what is done to a module before it is
/// compiled, has another number. It is part of the key.
pub(super) const MAGIC: &[u8] = b"portcell code 2\n";

const DIGEST: usize = 32;

/// Bytes before the code: [`MAGIC`], the key, the digest of both and the code.
const HEAD: usize = MAGIC.len() + 2 * DIGEST;

/// Why bytes are not the entry that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("is of another version")]
    Version,
    #[error("is of another module")]
    Key,
    #[error("is damaged")]
    Damaged,
}

/// What is written before `code`.
pub(super) fn head(code: &[u8], key: &[u8; DIGEST]) -> Vec<u8> {
    [MAGIC, key, &digest_of(key, code)].concat()
}

/// The code in an entry.
pub(super) fn unpack(mut entry: Vec<u8>, key: &[u8; DIGEST]) -> Result<Vec<u8>, Wrong> {
    let rest = entry.strip_prefix(MAGIC).ok_or(Wrong::Version)?;
    let (its_key, rest) = rest.split_at_checked(DIGEST).ok_or(Wrong::Damaged)?;
    let (digest, code) = rest.split_at_checked(DIGEST).ok_or(Wrong::Damaged)?;
    if its_key != key {
        return Err(Wrong::Key);
    }
    if digest != digest_of(key, code) {
        return Err(Wrong::Damaged);
    }
    entry.drain(..HEAD);
    Ok(entry)
}

fn digest_of(key: &[u8; DIGEST], code: &[u8]) -> [u8; DIGEST] {
    Sha256::new().chain_update(MAGIC).chain_update(key).chain_update(code).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; DIGEST] = [7; DIGEST];

    fn entry() -> Vec<u8> {
        [&head(b"code", &KEY)[..], b"code"].concat()
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        assert_eq!(unpack(entry(), &KEY), Ok(b"code".to_vec()));
        assert_eq!(unpack(entry(), &[8; DIGEST]), Err(Wrong::Key));
    }

    #[test]
    fn an_entry_that_is_cut_or_changed_anywhere_is_refused() {
        let whole = entry();
        for length in 0..whole.len() {
            assert!(unpack(whole[..length].to_vec(), &KEY).is_err(), "{length} bytes");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(unpack(changed, &KEY).is_err(), "byte {at}");
        }
        assert!(unpack([&whole[..], b"x"].concat(), &KEY).is_err());
    }
}
