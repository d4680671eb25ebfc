//! Room for what is read, in a static.

use core::fmt;
use core::ops::{Deref, DerefMut};

use crate::sys::{Guard, Room};

/// Room for `N` bytes that costs nothing until something is read into it: a static that can be
/// written.
///
/// A static begins as fresh memory, which is zero. A buffer on the stack or the heap is cleared
/// first, and so all its pages are touched in each connection.
///
/// ```
/// use portcell_sdk::{Buffer, Connection, Error};
///
/// static BUFFER: Buffer<65536> = Buffer::new();
///
/// fn discard(mut conn: Connection) -> Result<(), Error> {
///     let mut buffer = BUFFER.lock();
///     while conn.recv_into(&mut buffer)?.is_some_and(|bytes| !bytes.is_empty()) {}
///     Ok(())
/// }
/// # let (conn, peer) = Connection::pair();
/// # peer.finish();
/// # discard(conn)?;
/// # Ok::<(), Error>(())
/// ```
///
/// With std, a `Mutex` does the same.
pub struct Buffer<const N: usize> {
    room: Room<N>,
}

/// The bytes of a [`Buffer`], for as long as it is there.
pub struct BufferGuard<'a, const N: usize> {
    guard: Guard<'a, N>,
}

impl<const N: usize> Buffer<N> {
    /// For a static.
    pub const fn new() -> Self {
        Self { room: Room::new() }
    }

    /// The bytes, as they were left. In a test, this waits for other threads. In a handler there
    /// are none: to lock a buffer that is locked is an error, which is logged, and then a trap.
    #[inline]
    pub fn lock(&self) -> BufferGuard<'_, N> {
        BufferGuard { guard: self.room.lock() }
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

impl<const N: usize> fmt::Debug for BufferGuard<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferGuard").finish_non_exhaustive()
    }
}

impl<const N: usize> Deref for BufferGuard<'_, N> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &*self.guard
    }
}

impl<const N: usize> DerefMut for BufferGuard<'_, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut *self.guard
    }
}
