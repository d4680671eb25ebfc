//! What a guest may ask about its connection.

use std::borrow::Cow;
use std::time::Duration;

use super::socket::Socket;
use super::tls::Secured;

/// Where connections land: what every connection of one listener to one version of a handler has
/// in common.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The listener's name.
    pub listener: String,
    /// The handler's name.
    pub handler: String,
    /// Counts the modules that this handler has had, from 1.
    pub version: u64,
    /// The sha256 of its module.
    pub digest: String,
    /// Who owns the handler.
    pub tenant: String,
    /// The handler's memory limit, in bytes.
    pub memory: u64,
    /// The handler's CPU limit.
    pub cpu: Option<Duration>,
    /// The listener's idle timeout, that of flows over UDP.
    pub idle_timeout: Option<Duration>,
}

/// The fact of this name; `None` if it does not exist here. After the connection is closed, what
/// only the socket knew is gone.
pub(super) fn info<'a>(
    name: &str,
    id: u64,
    placement: &'a Placement,
    socket: Option<&'a Socket>,
) -> Option<Cow<'a, str>> {
    let millis = |limit: Option<Duration>| limit.map(|limit| limit.as_millis().to_string());
    let credentials = || socket.and_then(Socket::credentials);
    let owned = match name {
        "peer.address" => socket.map(Socket::peer_address),
        "local.address" => socket.and_then(Socket::local_address),
        "peer.pid" => credentials().and_then(|peer| peer.pid()).map(|pid| pid.to_string()),
        "peer.uid" => credentials().map(|peer| peer.uid().to_string()),
        "peer.gid" => credentials().map(|peer| peer.gid().to_string()),
        "transport" => return socket.map(|socket| socket.transport().name().into()),
        "connection.id" => Some(id.to_string()),
        "listener" => return Some((&*placement.listener).into()),
        "handler" => return Some((&*placement.handler).into()),
        "handler.version" => Some(placement.version.to_string()),
        "tenant" => return Some((&*placement.tenant).into()),
        "datagram.size" => socket.and_then(Socket::datagram_size).map(|size| size.to_string()),
        _ if name.starts_with("tls.") => {
            return socket.and_then(Socket::secured).and_then(|secured| of_tls(name, secured));
        }
        "limits.memory" => Some(placement.memory.to_string()),
        "limits.cpu" => millis(placement.cpu),
        "limits.idle_timeout" => millis(placement.idle_timeout),
        _ => None,
    };
    owned.map(Cow::Owned)
}

/// A fact about TLS.
fn of_tls<'a>(name: &str, secured: &'a Secured) -> Option<Cow<'a, str>> {
    let peer = || secured.peer();
    let owned = match name {
        "tls.version" => return Some(secured.version().into()),
        "tls.cipher" => return secured.cipher().map(Cow::Borrowed),
        "tls.server_name" => return secured.server_name().map(Cow::Borrowed),
        "tls.alpn" => return secured.alpn().map(Cow::Borrowed),
        "tls.resumed" => return Some(if secured.resumed() { "true" } else { "false" }.into()),
        "tls.peer.subject" => peer()?.subject(),
        "tls.peer.issuer" => peer()?.issuer(),
        "tls.peer.serial" => peer()?.serial(),
        "tls.peer.sha256" => Some(peer()?.sha256()),
        "tls.peer.names" => peer()?.names(),
        "tls.peer.chain" => Some(peer()?.chain()),
        _ => None,
    };
    owned.map(Cow::Owned)
}
