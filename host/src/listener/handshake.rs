//! The handshake of a client, from its arrival to its place among the connections: in its own task,
//! and within bounds, so that clients that stall cost no handler and no place of others.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::episode::Episode;
use super::life::{Life, Refused};
use crate::account::Account;
use crate::admission::{Handshake, Permit};
use crate::config::{ListenerConfig, TlsConfig, Truncation, WhenFull, display_duration};
use crate::connection::{HandshakeError, Socket, Upgrade, UpgradeError, accept, dismiss};
use crate::exit::Exit;
use crate::tls::{Profile, Selected, UnknownName};

/// Failures, with less than 5 s between them, after which the log says that there are many. Some
/// there are at every port that the internet can reach.
const MANY: u64 = 100;

/// Why a client is turned away that somebody has ended.
const CUT: &str = "it was cut by a drain or a command";

/// How the clients of a listener come to TLS.
#[derive(Debug)]
pub struct Handshaking {
    listener: String,
    profile: RwLock<Arc<Profile>>,
    truncation: Truncation,
    timeout: Duration,
    when_full: WhenFull,
    /// What a client is sent over TLS for whom there is no place.
    farewell: String,
    failures: Arc<Failures>,
}

/// A client whose handshake is done, and who has a place.
#[derive(Debug)]
pub struct Shaken {
    /// With TLS on it.
    pub socket: Socket,
    /// The place of the connection.
    pub permit: Permit,
    /// The handler of the name that it has asked for; `None` is the listener's.
    pub handler: Option<Arc<str>>,
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Failed(#[from] HandshakeError),
    #[error("it took longer than {} (handshake_timeout)", display_duration(*.0))]
    TimedOut(Duration),
    #[error("it made room for another (max_handshakes)")]
    MadeRoom,
    #[error("{}", CUT)]
    Cut,
}

/// Handshakes that fail: counted, and told to the log as a whole when they are many.
#[derive(Debug)]
struct Failures {
    listener: String,
    life: Arc<Life>,
    episode: Mutex<Episode>,
}

impl Handshaking {
    /// The clients of this listener, whose counts are those of `life`, come to TLS by `profile`.
    pub fn new(
        config: &ListenerConfig,
        tls: &TlsConfig,
        profile: Arc<Profile>,
        life: Arc<Life>,
    ) -> Self {
        let (listener, episode) = (config.name.clone(), Mutex::default());
        Self {
            listener: listener.clone(),
            profile: RwLock::new(profile),
            truncation: tls.truncation,
            timeout: config.handshake_timeout,
            when_full: config.when_full,
            farewell: config.farewell.clone(),
            failures: Arc::new(Failures { listener, life, episode }),
        }
    }

    /// Handshakes go by `profile` from now on, those that have begun to the end by the old one.
    pub fn replace(&self, profile: Arc<Profile>) {
        *self.profile.write().unwrap_or_else(PoisonError::into_inner) = profile;
    }

    /// Does the handshake and takes a place, all within `handshake_timeout`, except that a queue
    /// has a bound of its own. `None` if that came to nothing; then it was counted, the client was
    /// told where there is a way to, and the socket is closed.
    pub async fn shake(
        &self,
        socket: Socket,
        handshake: Handshake,
        account: &Account,
    ) -> Option<Shaken> {
        let deadline = Instant::now() + self.timeout;
        let peer = socket.peer();
        let client = self.failures.life.noted(&socket);
        let select = |name: Option<&str>| {
            handshake.heard();
            self.profile().select(name)
        };
        let shaken = tokio::select! {
            biased;
            shaken = timeout_at(deadline, accept(socket, self.truncation, select)) => match shaken {
                Ok(Ok(_)) if !handshake.done() => Err((None, Failure::MadeRoom)),
                Ok(Ok(shaken)) => Ok(shaken),
                Ok(Err((socket, error))) => Err((Some(socket), Failure::from(error))),
                Err(_) => Err((None, Failure::TimedOut(self.timeout))),
            },
            () = handshake.lost() => Err((None, Failure::MadeRoom)),
            () = account.cut() => Err((None, Failure::Cut)),
        };
        let (socket, handler) = match shaken {
            Ok(shaken) => shaken,
            Err((socket, failure)) => {
                let has_left = matches!(failure, Failure::Failed(HandshakeError::Left));
                self.failures.happened(&peer, &failure, has_left);
                if let Some(client) = client {
                    let exit = Exit::HandshakeFailed(failure.to_string());
                    self.failures.life.file(client, Some(account), exit);
                }
                if let Some(socket) = socket {
                    turn_away(socket, "", Some(handshake), account).await;
                }
                return None;
            }
        };
        let permit = tokio::select! {
            biased;
            permit = self.place(handshake, deadline) => permit,
            () = account.cut() => Err((None, CUT)),
        };
        let life = &self.failures.life;
        life.counts().handshakes_done.add(1);
        let permit = match permit {
            Ok(permit) => permit,
            Err((handshake, why)) => {
                let reason = match self.when_full {
                    WhenFull::Refuse => Refused::Full,
                    WhenFull::Wait | WhenFull::Queue { .. } => Refused::Waited,
                };
                life.turns_away(&socket, Some(account), reason, why);
                turn_away(socket, &self.farewell, handshake, account).await;
                return None;
            }
        };
        Some(Shaken { socket, permit, handler })
    }

    /// The place of the connection; if there is none, or not in time, the handshake with the place
    /// that it has still, and why.
    async fn place(
        &self,
        handshake: Handshake,
        deadline: Instant,
    ) -> Result<Permit, (Option<Handshake>, &'static str)> {
        if let Some(permit) = handshake.try_connection() {
            return Ok(permit);
        }
        match self.when_full {
            WhenFull::Wait => match timeout_at(deadline, handshake.connection()).await {
                Ok(permit) => Ok(permit),
                Err(_) => Err(refused(handshake)),
            },
            WhenFull::Refuse => Err(refused(handshake)),
            WhenFull::Queue { wait, .. } => {
                let why = "no place became free in time (when_full)";
                handshake.queued(wait).await.map_err(|_| (None, why))
            }
        }
    }

    fn profile(&self) -> Arc<Profile> {
        Arc::clone(&self.profile.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A handshake for which there is no place, and why.
fn refused(handshake: Handshake) -> (Option<Handshake>, &'static str) {
    let why = handshake.no_place();
    (Some(handshake), why)
}

/// Ends a connection in good order, or as soon as somebody needs its place.
async fn turn_away(
    socket: Socket,
    farewell: &str,
    handshake: Option<Handshake>,
    account: &Account,
) {
    let lost = async {
        match &handshake {
            Some(handshake) => {
                handshake.failed();
                handshake.lost().await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = dismiss(socket, farewell) => {}
        () = lost => {}
        () = account.cut() => {}
    }
}

impl Upgrade for Handshaking {
    fn name(&self) -> &str {
        &self.listener
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn select(&self, server_name: Option<&str>) -> Result<Selected, UnknownName> {
        self.profile().select(server_name)
    }

    fn truncation(&self) -> Truncation {
        self.truncation
    }

    fn discarded(&self, bytes: usize) {
        self.failures.life.counts().discarded.add(bytes as u64);
        tracing::debug!(listener = self.listener, "{bytes} bytes came before TLS and are dropped");
    }

    fn done(&self) {
        self.failures.life.counts().handshakes_done.add(1);
    }

    fn failed(&self, peer: &str, why: &UpgradeError) {
        let has_left = matches!(why, UpgradeError::Handshake(HandshakeError::Left));
        self.failures.happened(&peer, why, has_left);
    }
}

impl Failures {
    fn happened(self: &Arc<Self>, peer: &impl Display, why: &impl Display, has_left: bool) {
        let name = &self.listener;
        self.life.counts().handshakes_failed.add(1);
        tracing::debug!(listener = name, %peer, "the handshake failed: {why}");
        // Whoever watches a server connects and leaves, and goes on with that for ever.
        if has_left {
            return;
        }
        let mut episode = self.episode();
        // Who says that many have failed also says when that is over.
        let is_said = episode.count() >= MANY;
        if !is_said && episode.over_at().is_some_and(|at| at <= Instant::now()) {
            episode.end();
        }
        episode.happened(1);
        if !is_said && episode.count() == MANY {
            drop(episode);
            tracing::warn!("{name}: many handshakes fail; that of {peer}: {why}");
            tokio::spawn(Arc::clone(self).over());
        }
    }

    /// Waits until they fail no more, and says so.
    async fn over(self: Arc<Self>) {
        loop {
            let Some(at) = self.episode().over_at() else { return };
            sleep_until(at).await;
            let mut episode = self.episode();
            if episode.over_at().is_some_and(|at| at <= Instant::now()) {
                if let Some(summary) = episode.end() {
                    tracing::info!(
                        "{}: handshakes fail no more; they did {summary}",
                        self.listener
                    );
                }
                return;
            }
        }
    }

    fn episode(&self) -> MutexGuard<'_, Episode> {
        self.episode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
