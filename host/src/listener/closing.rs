//! How a listening socket stops taking clients without resetting those that the kernel has
//! connected already.
//!
//! Closing a listening socket resets every connection in its queue, and accepting until the queue
//! is empty leaves a moment before the close. So the kernel is told first to connect nobody new.

use std::fs;

use rustix::net::Shutdown;
use socket2::{SockFilter, SockRef};

use super::{Bound, Listening};

impl Listening {
    /// Takes no new clients; those that are connected can still be accepted. `false` when the
    /// socket is shared with whoever passed it on, who goes on with it.
    pub(super) fn close_door(&self) -> bool {
        if self.is_inherited() {
            return false;
        }
        match &self.address {
            // Datagrams are not accepted.
            Bound::Udp(_) => {}
            Bound::Tcp(_) => {
                // Without it new clients may be reset in the moment before the close, no more.
                let _ = SockRef::from(&self.socket).attach_filter(&NO_NEW_CLIENTS);
            }
            // unix(7): a listening socket that is shut down for reading refuses to connect, and
            // accept goes on to give those that are in its queue.
            Bound::Unix(_) | Bound::UnixAbstract(_) => {
                self.remove_file();
                let _ = rustix::net::shutdown(&self.socket, Shutdown::Read);
            }
        }
        true
    }

    /// Whether the kernel is in the middle of connecting clients: they have been answered, and
    /// believe that they are connected when the answer arrives. Those whom it answered with a SYN
    /// cookie, because a queue was full, it does not know itself.
    pub(super) fn has_handshakes(&self) -> bool {
        let Bound::Tcp(address) = self.address else { return false };
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
            fs::read_to_string(table).is_ok_and(|table| has_syn_received(&table, address.port()))
        })
    }
}

/// Drops the segments that ask for a new connection, those with SYN and without ACK (RFC 9293
/// section 3.1: flags are in the byte at 13), and passes all others, so that handshakes under way
/// are completed. The program sees a segment from its TCP header on.
const NO_NEW_CLIENTS: [SockFilter; 5] = [
    // ldb [13]
    SockFilter::new(0x30, 0, 0, 13),
    // and #0x12
    SockFilter::new(0x54, 0, 0, 0x12),
    // jeq #0x02, drop, pass
    SockFilter::new(0x15, 0, 1, 0x02),
    // ret #0
    SockFilter::new(0x06, 0, 0, 0),
    // ret #-1
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// Whether a line of `/proc/net/tcp` (`proc_net_tcp.txt` of the kernel) is a handshake at `port`.
fn has_syn_received(table: &str, port: u16) -> bool {
    const SYN_RECEIVED: &str = "03";
    let ends = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _remote, state) = (fields.next(), fields.next(), fields.next());
        state == Some(SYN_RECEIVED) && local.is_some_and(|local| local.ends_with(&ends))
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    use socket2::{SockAddr, Socket, Type};

    use super::*;
    use crate::address::Address;
    use crate::config::Config;
    use crate::listener::{Made, Source as _, bind};

    async fn listening(address: &str) -> Listening {
        let config = Config::from_flags(Path::new("x.wasm"), &[]).unwrap();
        let address: Address = address.parse().unwrap();
        match bind(&address, &config.listeners[0].socket).await.unwrap().remove(0) {
            Made::Stream(listening) => listening,
            Made::Datagram(socket) => panic!("{socket:?}"),
        }
    }

    fn connect(to: &SockAddr) -> io::Result<Socket> {
        let socket = Socket::new(to.domain(), Type::STREAM, None)?;
        // It bounds the call, too: a kernel that does not answer is asked again after a second.
        socket.set_write_timeout(Some(Duration::from_millis(100)))?;
        socket.connect(to)?;
        Ok(socket)
    }

    #[tokio::test]
    async fn a_door_that_is_closed_keeps_those_who_are_in_and_lets_in_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("unix:{}", folder.path().join("s").display());
        let name = format!("unix:@portcell-closing-{}", std::process::id());
        for address in ["tcp://127.0.0.1:0", &path, &name] {
            let listening = listening(address).await;
            let to = SockRef::from(&listening.socket).local_addr().unwrap();
            let _clients = [connect(&to).unwrap(), connect(&to).unwrap()];
            assert!(listening.close_door());
            assert!(connect(&to).is_err(), "{address}");
            for _ in 0..2 {
                listening.accept_unheard().unwrap();
            }
            let none = listening.accept_unheard().unwrap_err();
            assert_eq!(none.kind(), io::ErrorKind::WouldBlock, "{address}");
        }
    }

    #[test]
    fn handshakes_are_those_of_the_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                     0: 0100007F:1F90 0100007F:D431 03 00000000:00000000 01:00000063\n   \
                     1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000\n";
        assert!(has_syn_received(table, 0x1F90));
        assert!(!has_syn_received(table, 0x1F91), "that one listens");
        assert!(!has_syn_received(table, 0x1F92));
    }
}
