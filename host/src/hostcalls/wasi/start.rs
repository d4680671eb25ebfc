//! What a WASI command finds when it starts: its arguments and the environment of UCSPI.
//! (Bernstein's UCSPI-1996; `PROTO` and the rest as in s6-networking and ucspi-tcp, what is known
//! of TLS as in s6-tlsd.)

use wasmtime::{Caller, Linker};

use crate::guest::{Guest, range, split};
use crate::plugin::Entry;

use super::{MODULE, SUCCESS, put_u32, tally};

/// Arguments and environment: lists of strings, each asked for as sizes first.
pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker
        .func_wrap(
            MODULE,
            "args_sizes_get",
            |mut caller: Caller<'_, Guest>, count: u32, size: u32| {
                tally(&mut caller);
                let strings = arguments(caller.data());
                put_sizes(&mut caller, &strings, count, size)
            },
        )?
        .func_wrap(MODULE, "args_get", |mut caller: Caller<'_, Guest>, pointers: u32, buf: u32| {
            tally(&mut caller);
            let strings = arguments(caller.data());
            put_strings(&mut caller, &strings, pointers, buf)
        })?
        .func_wrap(
            MODULE,
            "environ_sizes_get",
            |mut caller: Caller<'_, Guest>, count: u32, size: u32| {
                tally(&mut caller);
                let strings = environment(caller.data());
                put_sizes(&mut caller, &strings, count, size)
            },
        )?
        .func_wrap(
            MODULE,
            "environ_get",
            |mut caller: Caller<'_, Guest>, pointers: u32, buf: u32| {
                tally(&mut caller);
                let strings = environment(caller.data());
                put_strings(&mut caller, &strings, pointers, buf)
            },
        )?;
    Ok(())
}

/// The environment as `NAME=VALUE`: what the handler's configuration grants and, for a command,
/// what is known of the connection, which the configuration cannot replace.
fn environment(guest: &Guest) -> Vec<String> {
    let facts = match guest.entry {
        Entry::Command => connection(guest),
        Entry::Handle { .. } => Vec::new(),
    };
    let granted = guest
        .config
        .env
        .iter()
        .filter(|(name, _)| !facts.iter().any(|(fact, _)| fact == name))
        .cloned();
    granted.chain(facts.iter().cloned()).map(|(name, value)| format!("{name}={value}")).collect()
}

/// The arguments: the handler's name, as a program has its own.
fn arguments(guest: &Guest) -> Vec<String> {
    vec![guest.config.name.clone()]
}

fn connection(guest: &Guest) -> Vec<(String, String)> {
    let fact = |name: &str| guest.connection.info(name).unwrap_or_default().into_owned();
    let mut variables = vec![("CONNECTION_ID".to_owned(), fact("connection.id"))];
    let mut set = |name: String, value: String| variables.push((name, value));
    let transport = fact("transport");
    let protocol = if transport == "tls" { "SSL".into() } else { transport.to_uppercase() };
    let peer = fact("peer.address");
    if transport == "tls" {
        of_tls(guest, &mut set);
    }
    // TLS can run over a Unix socket, too.
    if peer.starts_with("unix:") {
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

/// What s6-tlsd sets; what is not known is not set.
fn of_tls(guest: &Guest, set: &mut impl FnMut(String, String)) {
    for (name, fact, prefix) in [
        ("SSL_PROTOCOL", "tls.version", "TLSv"),
        ("SSL_CIPHER", "tls.cipher", ""),
        ("SSL_TLS_SNI_SERVERNAME", "tls.server_name", ""),
        ("SSL_PEER_CERT_HASH", "tls.peer.sha256", "SHA256:"),
        ("SSL_PEER_CERT_SUBJECT", "tls.peer.subject", ""),
    ] {
        if let Some(value) = guest.connection.info(fact) {
            set(name.into(), format!("{prefix}{value}"));
        }
    }
}

fn ip_and_port(address: &str) -> Option<(String, String)> {
    let address: std::net::SocketAddr = address.parse().ok()?;
    Some((address.ip().to_string(), address.port().to_string()))
}

fn put_sizes(
    caller: &mut Caller<'_, Guest>,
    strings: &[String],
    count: u32,
    size: u32,
) -> wasmtime::Result<i32> {
    let (memory, _) = split(caller)?;
    put_u32(memory, "sizes_get", count, strings.len())?;
    put_u32(memory, "sizes_get", size, strings.iter().map(|string| string.len() + 1).sum())
}

/// The strings, each ended by a NUL, at `buf`, and where each begins at `pointers`.
fn put_strings(
    caller: &mut Caller<'_, Guest>,
    strings: &[String],
    pointers: u32,
    buf: u32,
) -> wasmtime::Result<i32> {
    let (memory, _) = split(caller)?;
    let (mut pointer, mut at) = (pointers, buf);
    for string in strings {
        put_u32(memory, "strings_get", pointer, at as usize)?;
        let length = u32::try_from(string.len()).unwrap_or(u32::MAX).saturating_add(1);
        let place = range(memory, "strings_get", at, length)?;
        place[..string.len()].copy_from_slice(string.as_bytes());
        place[string.len()] = 0;
        // Both are inside the memory, or the next range is refused.
        pointer = pointer.saturating_add(4);
        at = at.saturating_add(length);
    }
    Ok(SUCCESS)
}
