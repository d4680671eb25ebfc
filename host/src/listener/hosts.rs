//! From a host to the addresses of it that are bound: every interface, one address, a name.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;

use super::bind::Made;
use super::error::Why;
use crate::address::Host;

/// How often the kernel may pick a port until it is free at all addresses of a name.
const PORT_TRIES: u32 = 8;

/// Makes and binds the socket of one address.
type Open<'a> = &'a (dyn Fn(SocketAddr) -> Result<Made, Why> + Sync);

/// The sockets of `host`, at least one. Waits only for a name to be looked up.
pub(super) async fn bind(
    host: &Host,
    port: u16,
    v6_only: bool,
    open: Open<'_>,
) -> Result<Vec<Made>, Why> {
    match host {
        Host::Any => Ok(vec![any(port, v6_only, open)?]),
        Host::Ip(ip) => Ok(vec![open((*ip, port).into())?]),
        Host::Name(name) => {
            let found = tokio::net::lookup_host((name.as_str(), port)).await.map_err(Why::Name)?;
            let mut found: Vec<_> = found.collect();
            found.sort_unstable();
            found.dedup();
            each(&found, open)
        }
    }
}

/// Every interface: IPv6 and IPv4 on one socket, or IPv4 where there is no IPv6.
fn any(port: u16, v6_only: bool, open: Open<'_>) -> Result<Made, Why> {
    let all = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    match open(all) {
        Err(why) if !v6_only && lacks_ipv6(all, &why) => {
            open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
        }
        made => made,
    }
}

/// All of `addresses`, which have the same port.
fn each(addresses: &[SocketAddr], open: Open<'_>) -> Result<Vec<Made>, Why> {
    let picks = addresses.first().is_some_and(|address| address.port() == 0);
    for _ in 1..PORT_TRIES {
        match each_once(addresses, open) {
            // What the kernel picked at one address is taken at another.
            Err((_, Why::Bind(error))) if picks && error.kind() == io::ErrorKind::AddrInUse => {}
            made => return made.map_err(at),
        }
    }
    each_once(addresses, open).map_err(at)
}

fn at((address, why): (SocketAddr, Why)) -> Why {
    Why::At(address, Box::new(why))
}

/// Where no port is given, all get the one that the first gets.
fn each_once(addresses: &[SocketAddr], open: Open<'_>) -> Result<Vec<Made>, (SocketAddr, Why)> {
    let mut all = Vec::with_capacity(addresses.len());
    let mut left_out = None;
    let mut port = None;
    for address in addresses {
        let address = SocketAddr::new(address.ip(), port.unwrap_or(address.port()));
        match open(address) {
            Ok(made) => {
                port = made.address().port();
                all.push(made);
            }
            // A name of this machine has an IPv6 address in /etc/hosts even where there is none.
            Err(why) if lacks_ipv6(address, &why) => left_out = Some((address, why)),
            Err(why) => return Err((address, why)),
        }
    }
    match left_out {
        Some(left_out) if all.is_empty() => Err(left_out),
        _ => Ok(all),
    }
}

/// Whether it could not be bound because this machine has no IPv6: one that has it has these two
/// addresses.
fn lacks_ipv6(address: SocketAddr, why: &Why) -> bool {
    let Why::Bind(error) = why else { return false };
    let always_there = address.ip().is_unspecified() || address.ip().is_loopback();
    address.is_ipv6()
        && match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::AFNOSUPPORT) => true,
            Some(Errno::ADDRNOTAVAIL) => always_there,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::listener::{Bound, DatagramSocket};

    /// All of 127.0.0.0/8 is this machine (RFC 1122, section 3.2.1.3).
    const TWO: [&str; 2] = ["127.0.0.1:0", "127.0.0.2:0"];

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn open(address: SocketAddr) -> Result<Made, Why> {
        let socket = UdpSocket::bind(address)?;
        let address = Bound::Udp(socket.local_addr()?);
        Ok(Made::Datagram(DatagramSocket { socket, address }))
    }

    /// A machine without IPv6.
    fn open_without_ipv6(address: SocketAddr) -> Result<Made, Why> {
        match address {
            SocketAddr::V4(_) => open(address),
            SocketAddr::V6(_) => Err(Why::Bind(Errno::AFNOSUPPORT.into())),
        }
    }

    fn ports(made: &[Made]) -> Vec<u16> {
        made.iter().filter_map(|made| made.address().port()).collect()
    }

    #[test]
    fn the_addresses_of_a_name_get_the_same_port() {
        let made = each(&addresses(&TWO), &open).unwrap();
        let ports = ports(&made);
        assert!(ports.len() == 2 && ports[0] == ports[1] && ports[0] != 0, "{ports:?}");
    }

    #[test]
    fn a_port_that_is_taken_at_another_address_is_given_up_for_the_next() {
        let calls = AtomicU32::new(0);
        let open = |address| match calls.fetch_add(1, Relaxed) {
            // The second address, the first two times.
            1 | 3 => Err(Why::Bind(Errno::ADDRINUSE.into())),
            _ => open(address),
        };
        assert_eq!(each(&addresses(&TWO), &open).unwrap().len(), 2);
        assert_eq!(calls.into_inner(), 6);
    }

    #[test]
    fn the_tries_to_find_a_port_are_bounded() {
        let calls = AtomicU32::new(0);
        let taken = |_| {
            calls.fetch_add(1, Relaxed);
            Err(Why::Bind(Errno::ADDRINUSE.into()))
        };
        let said = each(&addresses(&TWO), &taken).unwrap_err().to_string();
        assert!(said.starts_with("at 127.0.0.1:0: it is taken by another program"), "{said}");
        assert_eq!(calls.swap(0, Relaxed), PORT_TRIES);
        // A port that was asked for is not looked for.
        each(&addresses(&["127.0.0.1:7", "127.0.0.2:7"]), &taken).unwrap_err();
        assert_eq!(calls.into_inner(), 1);
    }

    #[test]
    fn where_there_is_no_ipv6_its_addresses_are_left_out() {
        let made = each(&addresses(&["[::1]:0", "127.0.0.1:0"]), &open_without_ipv6).unwrap();
        assert_eq!(ports(&made).len(), 1);
        let everywhere = any(0, false, &open_without_ipv6).unwrap();
        assert!(everywhere.address().to_string().starts_with("udp://0.0.0.0:"), "{everywhere:?}");
        // Unless nothing would be left.
        each(&addresses(&["[::1]:0"]), &open_without_ipv6).unwrap_err();
        any(0, true, &open_without_ipv6).unwrap_err();
    }

    #[test]
    fn an_address_that_the_machine_lacks_is_an_error() {
        // Of documentation: RFC 5737, RFC 3849.
        for lacking in ["192.0.2.1:0", "[2001:db8::1]:0"] {
            let lacks = |address: SocketAddr| {
                if address.ip().is_loopback() {
                    open(address)
                } else {
                    Err(Why::Bind(Errno::ADDRNOTAVAIL.into()))
                }
            };
            let said = each(&addresses(&["127.0.0.1:0", lacking]), &lacks).unwrap_err();
            assert!(said.to_string().contains("this machine does not have that address"), "{said}");
        }
    }
}
