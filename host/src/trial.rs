//! The trial of a handler: one instance without a peer, before clients get any.
//!
//! It finds what would end every connection: a guest that cannot be instantiated, or that traps or
//! computes without end before it has even looked at its connection. It says nothing about how a
//! guest serves.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use crate::account::Account;
use crate::connection::{Connection, Placement};
use crate::cpu_quota::CpuQuota;
use crate::exit::Exit;
use crate::handler::Handler;
use crate::instance::{enter, exit_of, make, store};
use crate::memory_budget::MemoryBudget;
use crate::watchdog::{Limits, watch};

/// How long a trial may take beside what the guest computes. One that waits for longer is let
/// through: to wait is no fault.
const WAITS: Duration = Duration::from_secs(1);

/// What a guest may compute in its trial, if its own limit is higher or there is none. One that
/// computes for longer is let through, as its limit allows it.
const COMPUTES: Duration = Duration::from_secs(10);

/// A handler is not fit to serve: each of its instances would end before it looked at its
/// connection.
#[derive(Debug, thiserror::Error)]
#[error("an instance ended before it had looked at its connection: {0}")]
pub struct TrialError(
    /// How it ended.
    Exit,
);

/// Runs an instance of `handler` to which nobody is connected, within its limits of memory and CPU
/// time. It may end well, fail, or wait, and once it has asked for its connection or a fact it may
/// do whatever it likes: the trial is over then, when it next gives way.
///
/// Nothing is left of it: its lines are in the debug log, and granted folders are read-only. A
/// guest that could not do without writing to them is instantiated and no more.
pub async fn trial(handler: &Handler) -> Result<(), TrialError> {
    let config = handler.config();
    let account = Arc::new(Account::new(0));
    let found_out = Arc::new(AtomicBool::new(false));
    // No guest gets to know it.
    let placement = Placement {
        listener: String::new(),
        handler: config.name.clone(),
        version: handler.version(),
        digest: handler.digest().into(),
        tenant: config.tenant.clone(),
        memory: config.memory,
        cpu: config.cpu,
        idle_timeout: None,
    };
    let connection =
        Connection::without_peer(Arc::clone(&account), Arc::new(placement), Arc::clone(&found_out));
    let limits = Limits {
        lifetime: Some(WAITS + config.cpu.map_or(Duration::ZERO, |cpu| cpu.min(COMPUTES))),
        cpu: config.cpu,
        cpu_total: config.cpu_total,
        ..Limits::default()
    };
    let may_write = config.dirs.iter().any(|dir| dir.write);
    // Of its own: that the server's is used up says nothing about the module.
    let memory = Arc::new(MemoryBudget::new("server.max_memory", None));
    let mut store = store(handler, connection, &memory);
    let ended = {
        let mut call = pin!(async {
            let instance = make(handler, &mut store, |_| {}).await?;
            if may_write { Ok(0) } else { enter(handler, instance, &mut store).await }
        });
        let until_known = poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if found_out.load(Relaxed) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        watch(&account, &limits, &CpuQuota::default(), pin!(until_known)).await
    };
    let guest = store.into_data();
    let exit = match ended {
        Ok(None) => Exit::Ok,
        Ok(Some(ended)) => exit_of(&ended, &guest),
        Err(exit) => exit,
    };
    tracing::debug!("the trial of {handler:?}: {exit}");
    let is_fit =
        found_out.load(Relaxed) || matches!(exit, Exit::Ok | Exit::Failed(_) | Exit::Lifetime);
    if is_fit { Ok(()) } else { Err(TrialError(exit)) }
}
