//! One conversation, once: an instance and its client, in one task.

use std::cell::OnceCell;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use super::client::{Client, Wrong};
use super::difference::{Difference, What};
use super::log::{Line, Log};
use super::mode::Mode;
use super::script::Conversation;
use crate::account::Account;
use crate::connection::{Connection, Pipe, Socket};
use crate::exit::Exit;
use crate::instance::{self, Ended};
use crate::route::Route;

/// How long a handler may take to end by itself when it has been found wrong already: how it ends
/// may say why.
const ENDS: Duration = Duration::from_millis(200);

/// Where a handler is rehearsed.
pub(super) struct Stage {
    route: Route,
    log: Log,
    dispatch: Dispatch,
}

/// What a conversation came to.
pub(super) struct Played {
    /// All that the handler has sent.
    pub(super) came: Vec<u8>,
    /// Whether the handler ended its side, so that this is all that it sends.
    pub(super) is_whole: bool,
    /// Bytes that the handler has read.
    pub(super) read: u64,
    /// Bytes that the handler has written.
    pub(super) written: u64,
    /// What was wrong.
    pub(super) wrong: Option<Wrong>,
    left: Option<Left>,
    log: Vec<Line>,
}

/// What is left of an instance.
struct Left {
    exit: Exit,
    backtrace: Vec<String>,
}

impl Stage {
    pub(super) fn new(route: Route) -> Self {
        let log = Log::default();
        let dispatch = log.dispatch();
        Self { route, log, dispatch }
    }

    /// Plays the conversation once, with a fresh instance.
    pub(super) async fn play(&self, conversation: &Conversation, mode: Mode) -> Played {
        let (pipe, end) = Pipe::new(mode.room(), mode.cut());
        let mut client = Client::new(&end, mode.manner());
        let left = OnceCell::new();
        let mut wrong = {
            let mut serving = pin!(self.serve(pipe, &left).with_subscriber(self.dispatch.clone()));
            let mut is_served = false;
            let wrong = {
                let mut conversing = pin!(client.converse(conversation));
                loop {
                    tokio::select! {
                        biased;
                        () = &mut serving, if !is_served => is_served = true,
                        done = &mut conversing => break done.err(),
                    }
                }
            };
            let patience = client.patience();
            let patience = if wrong.is_some() { patience.min(ENDS) } else { patience };
            let mut closing = pin!(client.close());
            let mut is_closed = false;
            let ends = poll_fn(|cx| {
                is_closed = is_closed || closing.as_mut().poll(cx).is_ready();
                is_served = is_served || serving.as_mut().poll(cx).is_ready();
                if left.get().is_some() { Poll::Ready(()) } else { Poll::Pending }
            });
            let stays = timeout(patience, ends).await.is_err();
            let stays = (stays && wrong.is_none())
                .then(|| Wrong { line: conversation.last_line(), what: What::Stays(patience) });
            wrong.or(stays)
        };
        let left: Option<Left> = left.into_inner();
        if let (None, Some(left)) = (&wrong, &left) {
            wrong = other_exit(conversation, mode, end.has_left(), &left.exit);
        }
        let (read, written) = (end.read(), end.written());
        let (came, is_whole) = client.into_came();
        Played { came, is_whole, read, written, wrong, left, log: self.log.take() }
    }

    /// Serves the connection, and says how it ended before it is closed.
    async fn serve(&self, pipe: Pipe, left: &OnceCell<Left>) {
        let route = &self.route;
        // Guests may ask for the number: it is the same each time.
        let account = Arc::new(Account::new(1));
        let connection = Connection::new(Socket::Pipe(pipe), account, Arc::clone(&route.placement));
        let ended = instance::run(&route.handler, connection, route.limits, |_| {}, None).await;
        let Ended { connection, exit, backtrace, .. } = ended;
        let closing = exit.closing();
        // It ends once.
        let _ = left.set(Left { exit, backtrace });
        connection.end(closing).await;
    }
}

/// What is wrong with how the handler ended, if something is.
fn other_exit(
    conversation: &Conversation,
    mode: Mode,
    has_left: bool,
    exit: &Exit,
) -> Option<Wrong> {
    let written = conversation.exit();
    let is_cut = has_left && mode.cut().is_some();
    let mut kinds = Vec::new();
    if is_cut || (written.is_none() && conversation.resets()) {
        kinds.extend(["ok", "failed", "peer_reset"]);
    }
    match written {
        Some((_, kind)) if !kinds.contains(&kind) => kinds.push(kind),
        None if kinds.is_empty() => kinds.push("ok"),
        _ => {}
    }
    if kinds.contains(&exit.kind()) {
        return None;
    }
    let expected = match kinds.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => kinds.concat(),
    };
    let line = written.map_or_else(|| conversation.last_line(), |(line, _)| line);
    Some(Wrong { line, what: What::Exit(expected) })
}

impl Played {
    /// What is wrong, if something is, with what is known of the guest.
    pub(super) fn difference(self, mode: Mode) -> Option<Difference> {
        let Wrong { line, what } = self.wrong?;
        let (exit, backtrace) = match self.left {
            Some(Left { exit, backtrace }) => (Some(exit), backtrace),
            None => (None, Vec::new()),
        };
        Some(Difference { line, mode, what, exit, backtrace, log: self.log })
    }
}
