//! Room for what is read.

use core::fmt;

use crate::sys::Room;

/// Room for `N` bytes, for [`Connection::recv_into`](crate::Connection::recv_into). It can be a
/// local variable, also if it is large.
///
/// It begins as memory that nobody has written: only the pages into which something is read are
/// ever touched, where `[0; N]` has them all cleared first.
///
/// ```
/// use portcell_sdk::{Buffer, Connection, Error};
///
/// fn discard(mut conn: Connection) -> Result<(), Error> {
///     let mut buffer = Buffer::<4096>::new();
///     while conn.recv_into(&mut buffer)?.is_some_and(|bytes| !bytes.is_empty()) {}
///     Ok(())
/// }
/// # let (conn, peer) = Connection::pair();
/// # peer.finish();
/// # discard(conn)?;
/// # Ok::<(), Error>(())
/// ```
pub struct Buffer<const N: usize> {
    pub(crate) room: Room<N>,
}

impl<const N: usize> Buffer<N> {
    /// Room for `N` bytes.
    #[inline]
    pub const fn new() -> Self {
        Self { room: Room::new() }
    }
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Buffer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").finish_non_exhaustive()
    }
}
