//! Looking at input without taking it.
//!
//! What was looked at is held here, not in the kernel: so it is the same for every transport.

use std::future::poll_fn;
use std::time::Duration;

use portcell_abi::Errno;

use super::Connection;

/// What is held of a stream at most, in bytes; a datagram is never longer.
const MOST_HELD: usize = 64 << 10;

impl Connection {
    /// As [`Connection::read`], but the next read gives the same again. Of a stream it gives 64 KiB
    /// at most. If it is not to wait, whatever the guest's timeout is, it is `Again` where nothing
    /// is there.
    pub async fn peek(&mut self, buf: &mut [u8], waits: bool) -> Result<usize, Errno> {
        self.hold(buf.len(), waits).await?;
        Ok(self.show_held(buf))
    }

    /// Gives what is held, if something is, and holds the rest of a stream still.
    pub(super) fn take_held(&mut self, buf: &mut [u8]) -> Option<usize> {
        let shown = self.held.is_some().then(|| self.show_held(buf))?;
        let is_stream = !self.has_datagrams();
        self.held.as_mut()?.drain(..shown);
        if !is_stream || self.held.as_ref().is_some_and(Vec::is_empty) {
            self.held = None;
        }
        Some(shown)
    }

    /// Sees to it that something is held, for a stream as much as `wanted`, if that is there; waits
    /// for the first of it only. At the end of a stream nothing is held.
    async fn hold(&mut self, wanted: usize, waits: bool) -> Result<(), Errno> {
        self.flush();
        let datagrams = self.link.socket()?.has_datagrams();
        let wanted = if datagrams { MOST_HELD } else { wanted.min(MOST_HELD) };
        let has = self.held.as_ref().map_or(0, Vec::len);
        if wanted == 0 || has >= wanted || datagrams && self.held.is_some() {
            return Ok(());
        }
        let mut more = vec![0; wanted - has];
        let timeout = if waits && has == 0 { self.input_timeout } else { Some(Duration::ZERO) };
        match poll_fn(|cx| self.poll_receive(cx, &mut more, timeout)).await {
            // The end of a stream, which the next read finds when nothing is held any more.
            Ok(0) if !datagrams => Ok(()),
            Ok(read) => {
                self.held.get_or_insert_default().extend_from_slice(&more[..read]);
                Ok(())
            }
            // So are errors.
            Err(_) if has > 0 => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn show_held(&self, buf: &mut [u8]) -> usize {
        let held = self.held.as_deref().unwrap_or_default();
        let shown = held.len().min(buf.len());
        buf[..shown].copy_from_slice(&held[..shown]);
        shown
    }
}
