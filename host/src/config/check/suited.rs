//! Keys that would do nothing, or could not be done, with the rest of their listener. What is
//! written and does nothing misleads whoever reads it, so it is refused.

use std::net::IpAddr;

use crate::address::{Address, Host};
use crate::config::reader::{Checked, Reader, Reported};
use crate::config::{UdpConfig, WhenFull};

/// Keys, the addresses that they are for, and which those are.
type Rule = (&'static [&'static str], &'static str, fn(&Address) -> bool);

/// An inherited socket can be of any kind, so what can be set on it may be. How it was made cannot.
const RULES: &[Rule] = &[
    (
        &["mode", "max_datagram", "max_flows", "flow_queue", "max_reply_factor", "multicast"],
        "udp://",
        |address| matches!(address, Address::Udp { .. } | Address::Inherited(_)),
    ),
    (&["nodelay", "keepalive", "user_timeout", "defer_accept"], "tcp://", |address| {
        matches!(address, Address::Tcp { .. } | Address::Inherited(_))
    }),
    (&["mark"], "tcp:// and udp://", |address| {
        matches!(address, Address::Tcp { .. } | Address::Udp { .. } | Address::Inherited(_))
    }),
    (&["reuse_port", "v6_only", "ip_freebind", "device"], "tcp:// and udp://", |address| {
        matches!(address, Address::Tcp { .. } | Address::Udp { .. })
    }),
    (&["backlog"], "tcp:// and unix:", |address| {
        matches!(address, Address::Tcp { .. } | Address::Unix(_) | Address::UnixAbstract(_))
    }),
    (&["min_rate"], "tcp:// and unix:", |address| !matches!(address, Address::Udp { .. })),
    (&["unix_mode", "unix_owner", "unix_group"], "unix:PATH", |address| {
        matches!(address, Address::Unix(_))
    }),
];

/// Refuses what was written and does not suit the listener's other keys, each as far as it could be
/// read.
pub(super) fn check(
    read: &mut Reader<'_>,
    bind: Result<&[Address], &Reported>,
    when_full: Checked<WhenFull>,
    udp: Result<&UdpConfig, &Reported>,
) -> Checked<()> {
    let mut checked = Ok(());
    if let Ok(bind) = bind {
        checked = checked.and(addresses(read, bind));
        if let Ok(udp) = udp {
            checked = checked.and(groups(read, bind, &udp.multicast));
        }
    }
    if read.section.parts.is_empty() && read.section.value("handshake_timeout").is_some() {
        let why = "this listener has no [listener.tls], so there are no handshakes; leave it out";
        checked = read.refuse("handshake_timeout", why);
    }
    if matches!(when_full, Ok(WhenFull::Wait)) && read.section.value("farewell").is_some() {
        let why = "nobody is turned away while `when_full` is \"wait\"; make it \"refuse\" or a \
                   queue, or leave this out";
        checked = read.refuse("farewell", why);
    }
    checked
}

fn addresses(read: &mut Reader<'_>, bind: &[Address]) -> Checked<()> {
    let inherited = bind.iter().all(|address| matches!(address, Address::Inherited(_)));
    let mut checked = Ok(());
    for (keys, what, matters) in RULES {
        if bind.iter().any(matters) {
            continue;
        }
        let why = if inherited {
            "an fd:// socket was made by whoever started the server; set it there, and leave this \
             out"
            .to_owned()
        } else {
            format!("this is for {what} addresses, and this listener has none; leave it out")
        };
        for key in *keys {
            if read.section.value(key).is_some() {
                checked = read.refuse(key, &why);
            }
        }
    }
    checked
}

/// Each group has a socket that can join it, as far as that can be told before they are bound.
fn groups(read: &mut Reader<'_>, bind: &[Address], groups: &[IpAddr]) -> Checked<()> {
    let takes = |address: &Address, group: &IpAddr| match address {
        Address::Udp { host: Host::Ip(ip), .. } => {
            ip.is_ipv4() == group.is_ipv4() || (ip.is_ipv6() && ip.is_unspecified())
        }
        Address::Udp { .. } | Address::Inherited(_) => true,
        _ => false,
    };
    // Without any UDP address the whole key was refused.
    let udp = |address: &Address| matches!(address, Address::Udp { .. } | Address::Inherited(_));
    let mut checked = Ok(());
    for group in groups.iter().filter(|_| bind.iter().any(udp)) {
        if !bind.iter().any(|address| takes(address, group)) {
            let kind = if group.is_ipv4() { "IPv4" } else { "IPv6" };
            let why = format!(
                "no address of this listener is {kind}, so nobody would join {group}; bind one, \
                 or leave it out"
            );
            checked = read.refuse("multicast", &why);
        }
    }
    checked
}
