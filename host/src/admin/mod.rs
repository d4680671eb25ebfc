//! Where a running server is seen and steered: HTTP and JSON at a socket of its own, a face on
//! [`Control`]. It knows no wasm, and what is asked of it makes no connection wait.
//!
//! docs/admin.md is for those who use it.

mod body;
mod client;
mod filter;
mod metrics;
mod patient;
mod routes;
mod token;
mod upgrades;
mod words;

use std::io;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::client::Api;
use self::upgrades::Upgrades;
use crate::address::Address;
use crate::admission::{Admission, Opening};
use crate::config::{ListenerConfig, ServerConfig, SocketOptions, WhenFull};
use crate::listener::{BindError, Life, Listening, Made, Phase, accept_until, bind, left_for};
use crate::server::Control;

pub use self::token::{Token, TokenError};
pub use self::upgrades::UpgradeRequest;

/// Clients of the admin socket at once.
const CLIENTS: u32 = 64;

/// Clients of the address for metrics at once.
const SCRAPERS: u32 = 16;

/// The rights of the admin socket's file.
const MODE: u32 = 0o600;

/// How long the end waits for answers that are under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one for whom there is no place is told.
const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
                        content-length: 48\r\nconnection: close\r\n\r\n\
                        {\"error\":\"too many clients are here; try again\"}";

/// The admin socket of a server, and its address for metrics, as far as they are configured. They
/// close when this is dropped.
#[derive(Debug)]
pub struct Admin {
    doors: Vec<Door>,
    control: Control,
    upgrades: Option<Upgrades>,
}

/// One address that answers.
#[derive(Debug)]
struct Door {
    config: ListenerConfig,
    listening: Vec<Arc<Listening>>,
    access: Access,
}

/// Who may do what at a door.
#[derive(Clone, Debug)]
enum Access {
    /// Whoever can connect may do everything.
    Everything,
    /// Who has the token may do everything.
    WithToken(Arc<Token>),
    /// Metrics only.
    Metrics,
}

/// A server cannot be steered as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The socket cannot be bound.
    #[error("the admin socket: {0}; `server.admin` says where it is, or that it is \"off\"")]
    Admin(#[source] BindError),
    /// The address for metrics cannot be bound.
    #[error("metrics: {0}")]
    Metrics(#[source] BindError),
    /// There is no token that can be used.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// An admin that runs.
#[derive(Debug)]
pub struct Running {
    loops: JoinSet<()>,
    clients: TaskTracker,
    sockets: Sockets,
    ends: CancellationToken,
}

/// The sockets of an admin, for the process that takes the place of this one.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// Each with the name of its door and the address that is configured.
    sockets: Arc<Vec<(String, Address, Arc<Listening>)>>,
    life: Arc<Life>,
}

/// Reads the token that `config` names, as a start does.
pub fn check(config: &ServerConfig) -> Result<(), TokenError> {
    let file = config.admin.as_ref().and_then(|admin| admin.token.as_ref());
    file.map_or(Ok(()), |file| Token::read(file).map(drop))
}

/// Descriptors that clients of the doors which `config` names may take.
pub(crate) fn descriptors(config: &ServerConfig) -> u32 {
    // The socket itself, and the one that is kept for refusals.
    let of = |is_there: bool, clients: u32| if is_there { clients + 2 } else { 0 };
    of(config.admin.is_some(), CLIENTS) + of(config.metrics.is_some(), SCRAPERS)
}

impl Admin {
    /// Binds what `config` names; `control` is what it steers. Clients wait in the kernel's
    /// backlog until [`Admin::run`]. Where a socket that nobody has asked for cannot be made, the
    /// log says so, and it is done without.
    pub async fn bind(config: &ServerConfig, control: Control) -> Result<Self, AdminError> {
        let mut doors = Vec::new();
        if let Some(admin) = &config.admin {
            let access = match &admin.token {
                None => Access::Everything,
                Some(file) => Access::WithToken(Arc::new(Token::read(file)?)),
            };
            match Door::bind("admin", &admin.address, CLIENTS, access).await {
                Ok(door) => doors.push(door),
                // Commands would steer the server that has it.
                Err(error) if admin.is_written || error.is_taken() => {
                    return Err(AdminError::Admin(error));
                }
                Err(error) => tracing::warn!(
                    "no command can steer this server: the admin socket: {error}; write where it \
                     can be, such as `admin = \"unix:/run/portcell/admin.sock\"` in [server], or \
                     `admin = \"off\"`"
                ),
            }
        }
        if let Some(address) = &config.metrics {
            let door = Door::bind("metrics", address, SCRAPERS, Access::Metrics);
            doors.push(door.await.map_err(AdminError::Metrics)?);
        }
        Ok(Self { doors, control, upgrades: None })
    }

    /// Where it is: `admin at unix:/run/portcell.sock`.
    pub fn listening(&self) -> Vec<String> {
        let at = |door: &Door| {
            let name = door.config.name.clone();
            let at = |listening: &Arc<Listening>| format!("{name} at {}", listening.address());
            door.listening.iter().map(at).collect::<Vec<_>>()
        };
        self.doors.iter().flat_map(at).collect()
    }

    /// Those who ask for another process in the place of this one. Before this is called they are
    /// refused.
    pub fn upgrades(&mut self) -> mpsc::Receiver<UpgradeRequest> {
        let (upgrades, requests) = Upgrades::new();
        self.upgrades = Some(upgrades);
        requests
    }

    /// Begins to answer, in tasks of its own.
    pub fn run(self) -> Running {
        let life = Arc::new(Life::new(Phase::Accepting));
        let (clients, ends) = (TaskTracker::new(), CancellationToken::new());
        let mut loops = JoinSet::new();
        let mut sockets = Vec::new();
        for Door { config, listening, access } in self.doors {
            // Places of their own: they are no connections of the server.
            let most = config.max_connections.map_or(0, NonZeroU32::get);
            let gate = Admission::new(most, NonZeroU32::MIN, 0)
                .gate(&crate::admission::Bounds::default(), Opening::Plaintext);
            let upgrades = self.upgrades.clone();
            let api = Api::new(self.control.clone(), access, ends.clone(), upgrades);
            let api = Arc::new(api);
            let config = Arc::new(config);
            for listening in listening {
                let (life, gate, clients) = (Arc::clone(&life), gate.clone(), clients.clone());
                let (api, config) = (Arc::clone(&api), Arc::clone(&config));
                listening.belongs_to(&life);
                let address = config.bind[0].clone();
                sockets.push((successors_name(&config.name), address, Arc::clone(&listening)));
                loops.spawn(async move {
                    let start = |client: crate::listener::Accepted, entry| {
                        clients.spawn(client::serve(Arc::clone(&api), client.into_socket(), entry));
                    };
                    if let Err(gone) = accept_until(&*listening, &gate, &config, &life, start).await
                    {
                        tracing::error!("{}: {gone}", config.name);
                    }
                });
            }
        }
        let sockets = Sockets { sockets: Arc::new(sockets), life };
        Running { loops, clients, sockets, ends }
    }
}

impl Sockets {
    /// The same sockets once more, as [`HandOver::parcel`](crate::server::HandOver::parcel) takes
    /// them.
    pub fn duplicates(&self) -> io::Result<Vec<(String, Address, OwnedFd)>> {
        let duplicate = |(name, address, listening): &(String, Address, Arc<Listening>)| {
            Ok((name.clone(), address.clone(), listening.duplicate()?))
        };
        self.sockets.iter().map(duplicate).collect()
    }

    /// Leaves them to the process that has them now. Answers that are under way go on.
    pub fn leave(&self) {
        for (_, _, listening) in self.sockets.iter() {
            listening.is_left_to_successor();
        }
        self.life.ask(Phase::Stopped);
    }
}

impl Running {
    /// What another process needs to answer in place of this one.
    pub fn sockets(&self) -> Sockets {
        self.sockets.clone()
    }

    /// Takes nobody in any more, lets answers that are under way end for a moment, and closes.
    pub async fn close(mut self) {
        self.sockets.life.ask(Phase::Stopped);
        self.ends.cancel();
        self.clients.close();
        let ended = async {
            while self.loops.join_next().await.is_some() {}
            self.clients.wait().await;
        };
        // Too late is the same as done: the process is about to end.
        let _ = timeout(PATIENCE, ended).await;
    }
}

impl Door {
    async fn bind(
        name: &str,
        address: &Address,
        clients: u32,
        access: Access,
    ) -> Result<Self, BindError> {
        let usual = ListenerConfig::usual(name, address);
        let config = ListenerConfig {
            max_connections: NonZeroU32::new(clients),
            when_full: WhenFull::Refuse,
            farewell: TOO_MANY.into(),
            socket: SocketOptions { unix_mode: Some(MODE), ..usual.socket.clone() },
            ..usual
        };
        // What a process before this one has left, when its binary was upgraded.
        let mut made = left_for(&successors_name(name), address, &config.socket)?;
        if made.is_empty() {
            made = bind(address, &config.socket).await?;
        }
        let stream = |made| match made {
            Made::Stream(listening) => Ok(Arc::new(listening)),
            Made::Datagram(_) => Err(BindError::new(address, io::ErrorKind::Unsupported.into())),
        };
        let listening = made.into_iter().map(stream).collect::<Result<_, _>>()?;
        Ok(Self { config, listening, access })
    }
}

/// The name of a door among those of listeners, which have no brackets.
fn successors_name(door: &str) -> String {
    format!("[{door}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_one_too_many_is_told_so_in_http() {
        let (head, body) = TOO_MANY.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{TOO_MANY}");
        assert!(TOO_MANY.len() <= 512);
    }
}
