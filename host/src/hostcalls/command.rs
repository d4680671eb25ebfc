//! What a WASI command finds when it starts: its arguments and the environment of UCSPI.
//! (Bernstein's UCSPI-1996; `PROTO` and the rest as in s6-networking and ucspi-tcp.)

use crate::guest::Guest;
use crate::plugin::Entry;

/// The environment as `NAME=VALUE`: what the handler's configuration grants and, for a command,
/// what is known of the connection, which the configuration cannot replace.
pub(super) fn environment(guest: &Guest) -> Vec<String> {
    let facts = match guest.handler.entry() {
        Entry::Command => connection(guest),
        Entry::Handle { .. } => Vec::new(),
    };
    let granted = guest
        .handler
        .config()
        .env
        .iter()
        .filter(|(name, _)| !facts.iter().any(|(fact, _)| fact == name))
        .cloned();
    granted
        .chain(facts.iter().cloned())
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// The arguments: the handler's name, as a program has its own.
pub(super) fn arguments(guest: &Guest) -> Vec<String> {
    vec![guest.handler.name().to_owned()]
}

fn connection(guest: &Guest) -> Vec<(String, String)> {
    let fact = |name: &str| guest.connection.info(name).unwrap_or_default().into_owned();
    let mut variables = vec![("CONNECTION_ID".to_owned(), fact("connection.id"))];
    let mut set = |name: String, value: String| variables.push((name, value));
    let transport = fact("transport");
    let protocol = if transport == "tls" { "SSL".into() } else { transport.to_uppercase() };
    let peer = fact("peer.address");
    if transport == "unix" {
        set("PROTO".into(), protocol);
        set("REMOTE_ADDR".into(), peer);
        return variables;
    }
    // TLS runs over TCP, and UCSPI's TLS programs keep the names.
    let prefix = if transport == "udp" { "UDP" } else { "TCP" };
    if let Some((ip, port)) = ip_and_port(&peer) {
        set(format!("{prefix}REMOTEIP"), ip.clone());
        set(format!("{prefix}REMOTEPORT"), port);
        set("REMOTE_ADDR".into(), ip);
    }
    if let Some((ip, port)) = ip_and_port(&fact("local.address")) {
        set(format!("{prefix}LOCALIP"), ip);
        set(format!("{prefix}LOCALPORT"), port);
    }
    set("PROTO".into(), protocol);
    variables
}

fn ip_and_port(address: &str) -> Option<(String, String)> {
    let address: std::net::SocketAddr = address.parse().ok()?;
    Some((address.ip().to_string(), address.port().to_string()))
}
