//! One connection that is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use portcell::account::Account;
use portcell::connection::Connection;
use portcell::exit::Exit;
use portcell::host_calls::HostCalls;
use portcell::instance::{self, Ended};
use portcell::route::Route;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::log::{Line, Log};
use super::peer::{Peer, Transport, within};

/// A guest that runs, and its peer.
pub(crate) struct Cell {
    pub(crate) peer: Peer,
    pub(crate) account: Arc<Account>,
    log: Log,
    exit: Option<oneshot::Receiver<Left>>,
    running: JoinHandle<()>,
}

/// What is left of an instance, but for its connection.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) exit: Exit,
    pub(crate) backtrace: Vec<String>,
    pub(crate) host_calls: HostCalls,
}

impl Cell {
    pub(crate) async fn start(route: &Arc<Route>, transport: Transport) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let account = Arc::new(Account::new(IDS.fetch_add(1, Relaxed)));
        let log = Log::of(account.id());
        let (peer, socket) = Peer::connect(transport).await;
        let (said, exit) = oneshot::channel();
        let (route, given) = (Arc::clone(route), Arc::clone(&account));
        let running = tokio::spawn(async move {
            let connection = Connection::new(socket, given, Arc::clone(&route.placement));
            let ended = instance::run(&route.handler, connection, route.limits, |_| {}, None).await;
            let Ended { connection, exit, backtrace, host_calls } = ended;
            let closing = exit.closing();
            // Whoever does not ask how it ended is not told.
            let _ = said.send(Left { exit, backtrace, host_calls });
            connection.end(closing).await;
        });
        Self { peer, account, log, exit: Some(exit), running }
    }

    /// How it ended, once the instance is gone. The connection may still be closing.
    pub(crate) async fn exit(&mut self) -> Exit {
        self.left().await.exit
    }

    /// What is left of it, once the instance is gone.
    pub(crate) async fn left(&mut self) -> Left {
        let exit = self.exit.take().expect("asked once");
        within("the instance to end", exit).await.expect("the host does not panic")
    }

    /// Whether the instance is gone.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.exit.as_mut().is_some_and(|exit| !exit.is_empty())
    }

    /// Waits until the connection is closed.
    pub(crate) async fn closed(&mut self) {
        within("the connection to close", &mut self.running)
            .await
            .expect("the host does not panic");
    }

    /// Closes the peer's end, and gives how it ended and what the guest told.
    pub(crate) async fn ends(mut self) -> (Exit, Vec<String>) {
        let exit = self.exit().await;
        self.peer.close();
        self.closed().await;
        (exit, self.told())
    }

    /// Waits until it has ended well; gives what the guest told.
    pub(crate) async fn tells(self) -> Vec<String> {
        let (exit, told) = self.ends().await;
        assert_eq!(exit, Exit::Ok, "told {told:?}");
        told
    }

    /// Waits until the guest has told this many results.
    pub(crate) async fn until_told(&self, count: usize) {
        within("the guest to tell", self.log.until(|lines| told(lines).len() >= count)).await;
    }

    /// What a script has told so far.
    pub(crate) fn told(&self) -> Vec<String> {
        told(&self.log.lines())
    }

    /// What the guest has written into the log so far.
    pub(crate) fn log(&self) -> Vec<Line> {
        self.log.lines()
    }
}

fn told(lines: &[Line]) -> Vec<String> {
    let told = lines.iter().filter(|line| line.level == tracing::Level::TRACE);
    told.map(|line| line.text.clone()).collect()
}
