//! `[[listener]]`.

use std::sync::Arc;

use super::{origin_of, suited, tls};
use crate::address::Address;
use crate::config::reader::{Checked, Reader, Reported};
use crate::config::{ConfigError, ListenerConfig, Origin, SocketOptions, UdpConfig, UdpMode};

/// One listener; `bound` are the addresses of those before it.
pub(super) fn listener(
    read: &mut Reader<'_>,
    bound: &mut Vec<(Address, Origin)>,
) -> Checked<Arc<ListenerConfig>> {
    let name = read.name("name");
    let bind = bind(read, bound);
    let handler = read.name("handler");
    let max_connections = read.count_or_none("max_connections");
    let spawn = read.spawn("spawn");
    let when_full = read.when_full("when_full");
    let farewell = read.text("farewell");
    let accept_backoff = read.backoff("accept_backoff");
    let max_accept = read.count("max_accept");
    let idle = read.limits("idle_timeout");
    let write_timeout = read.limit("write_timeout");
    let max_bytes_in = read.long_size_or_none("max_bytes_in");
    let max_bytes_out = read.long_size_or_none("max_bytes_out");
    let min_rate = read.min_rate("min_rate");
    let udp = udp(read);
    let socket = socket(read);
    let tls = tls::tls(read, bind.as_deref());
    let handshake_timeout = read.within("handshake_timeout");
    let suited = suited::check(read, bind.as_deref(), when_full, udp.as_ref());
    let (idle_timeout, flow_idle_timeout) = idle?;
    suited.and(Ok(Arc::new(ListenerConfig {
        name: name?,
        bind: bind?,
        handler: handler?,
        socket: socket?,
        udp: udp?,
        tls: tls?,
        handshake_timeout: handshake_timeout?,
        max_connections: max_connections?,
        spawn: spawn?,
        when_full: when_full?,
        farewell: farewell?,
        accept_backoff: accept_backoff?,
        max_accept: max_accept?,
        idle_timeout,
        flow_idle_timeout,
        write_timeout: write_timeout?,
        max_bytes_in: max_bytes_in?,
        max_bytes_out: max_bytes_out?,
        min_rate: min_rate?,
        origin: origin_of(read.section, "bind"),
    })))
}

/// The addresses of a listener; `bound` are those of the listeners so far.
fn bind(read: &mut Reader<'_>, bound: &mut Vec<(Address, Origin)>) -> Checked<Vec<Address>> {
    let addresses = read.addresses("bind")?;
    let mut bind = Ok(Vec::new());
    for (address, origin) in addresses {
        match bound.iter().find(|(other, _)| *other == address && !address.is_port_zero()) {
            None => {
                bound.push((address.clone(), origin));
                if let Ok(bind) = &mut bind {
                    bind.push(address);
                }
            }
            Some((_, other)) => {
                let message = format!("{address} is bound already, by {other}");
                read.errors.push(ConfigError::new(origin, message));
                bind = Err(Reported);
            }
        }
    }
    bind
}

fn udp(read: &mut Reader<'_>) -> Checked<UdpConfig> {
    let mode = read.choice("mode", [UdpMode::Flow, UdpMode::Datagram]);
    let max_datagram = read.size("max_datagram");
    let max_flows = read.count_or_none("max_flows");
    let flow_queue = read.count("flow_queue");
    let max_reply_factor = read.count_or_none("max_reply_factor");
    let multicast = read.groups("multicast");
    Ok(UdpConfig {
        mode: mode?,
        max_datagram: u32::try_from(max_datagram?).unwrap_or(u32::MAX),
        max_flows: max_flows?,
        flow_queue: flow_queue?,
        max_reply_factor: max_reply_factor?,
        multicast: multicast?,
    })
}

fn socket(read: &mut Reader<'_>) -> Checked<SocketOptions> {
    let backlog = read.count("backlog");
    let reuse_port = read.boolean("reuse_port");
    let v6_only = read.boolean("v6_only");
    let ip_freebind = read.boolean("ip_freebind");
    let device = read.device("device");
    let mark = read.count_or_none("mark");
    let receive_buffer = read.size_or_none("receive_buffer");
    let send_buffer = read.size_or_none("send_buffer");
    let nodelay = read.boolean("nodelay");
    let keepalive = read.keepalive("keepalive");
    let user_timeout = read.limit("user_timeout");
    let defer_accept = read.limit("defer_accept");
    let unix_mode = read.permissions("unix_mode");
    let unix_owner = read.owner("unix_owner");
    let unix_group = read.owner("unix_group");
    Ok(SocketOptions {
        backlog: backlog?,
        reuse_port: reuse_port?,
        v6_only: v6_only?,
        nodelay: nodelay?,
        keepalive: keepalive?,
        user_timeout: user_timeout?,
        receive_buffer: receive_buffer?,
        send_buffer: send_buffer?,
        defer_accept: defer_accept?,
        ip_freebind: ip_freebind?,
        mark: mark?,
        device: device?,
        unix_mode: unix_mode?,
        unix_owner: unix_owner?,
        unix_group: unix_group?,
    })
}
