//! Closing in good order.
//!
//! A socket that is closed while the peer's bytes are unread, or still come in, makes the kernel
//! send a reset, and the peer may lose the last bytes it was sent. So the write side ends first,
//! and input is taken and dropped until the peer ends its side too, within bounds (the lingering
//! close of nginx and Apache; RFC 9112 section 9.6 describes it for HTTP).

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::socket::Socket;
use crate::account::Account;

/// How long a peer may take to end its side. Without it a peer could hold a descriptor for ever.
const LINGER: Duration = Duration::from_secs(2);

/// How much input is taken meanwhile, in bytes. Without it a peer could keep a core busy.
const LINGER_BYTES: usize = 1 << 20;

/// The same for a peer that is turned away, whom nothing is owed.
const DISMISS: Duration = Duration::from_secs(1);

/// Ends the write side, unless that was done, waits for the peer's end or a drain's deadline,
/// closes; with a reset if the connection is killed meanwhile.
pub(super) async fn linger(account: &Account, socket: Socket, write_ended: bool) {
    finish(account, &socket, write_ended).await;
    if account.is_killed() {
        socket.reset();
    }
}

async fn finish(account: &Account, socket: &Socket, mut write_ended: bool) {
    // It is owed also to a peer that has ended already.
    if socket.owes_goodbye() && !write_ended {
        if socket.shutdown_write().is_err() {
            return;
        }
        write_ended = true;
    }
    let mut taken = 0;
    // What is there already, the peer's end most often, costs no wait.
    let mut peer_ended = match take_all(socket, &mut taken) {
        Some(true) if !socket.owes_goodbye() => return,
        over => over == Some(true),
    };
    if !write_ended && socket.shutdown_write().is_err() {
        return;
    }
    let mut peer_ends = pin!(async {
        while socket.readable().await.is_ok() {
            match take_all(socket, &mut taken) {
                Some(false) => {}
                Some(true) | None => return,
            }
        }
    });
    let over = poll_fn(|cx| {
        account.register(cx.waker());
        // Of plaintext the kernel has all that was written.
        let sent = socket.poll_flush(cx).is_ready();
        peer_ended = peer_ended || peer_ends.as_mut().poll(cx).is_ready();
        if account.is_cut() || (peer_ended && sent) { Poll::Ready(()) } else { Poll::Pending }
    });
    // Too late is the same as done: the socket closes either way.
    let _ = tokio::time::timeout(LINGER, over).await;
}

/// Turns a client away: sends `farewell` as far as it fits at once, ends the write side, and waits
/// for the peer's end, for at most 1 s and 1 MiB, so that the farewell is not lost to a reset.
pub async fn dismiss(mut socket: Socket, farewell: &str) {
    socket.say(farewell);
    let mut taken = 0;
    if socket.shutdown_write().is_err() {
        return;
    }
    let peer_ends = async {
        while take_all(&socket, &mut taken) == Some(false) && socket.readable().await.is_ok() {}
    };
    // Too late is the same as done: the socket closes either way.
    let _ = tokio::time::timeout(DISMISS, peer_ends).await;
}

/// Takes what is there. `Some(true)` when the peer has ended or broken the connection,
/// `Some(false)` when there may be more later, `None` when it has sent too much.
fn take_all(socket: &Socket, taken: &mut usize) -> Option<bool> {
    let mut scratch = [0; 8192];
    loop {
        match socket.take(&mut scratch) {
            Ok(0) => return Some(true),
            Ok(n) => {
                *taken += n;
                if *taken > LINGER_BYTES {
                    return None;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Some(true),
        }
    }
}
