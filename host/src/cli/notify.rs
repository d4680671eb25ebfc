//! Tells the service manager what the server is doing (`sd_notify(3)`), where there is one, and
//! that it is alive.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use portcell::Control;
use portcell::listener::State;
use portcell::server::{ControlError, Status};
use sd_notify::NotifyState;
use tokio::time::{interval, timeout};

/// Another process is the service now: what this one does is not the service's news.
static SUCCEEDED: AtomicBool = AtomicBool::new(false);

/// How often the status text is looked at, where no watchdog asks for more.
const LOOK: Duration = Duration::from_secs(5);

/// It accepts.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] follows.
pub(super) fn reloading() {
    // Without the time systemd takes the message for an old one (since v253 it is needed).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("cannot read the clock for systemd: {error}"),
    }
}

/// Waits until it begins to end, and says so.
pub(super) async fn stopping(control: Control) {
    control.ending().await;
    tell(&[NotifyState::Stopping]);
}

/// Another process has taken its place; from now on that one tells what there is to tell.
pub(super) fn successor(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
    SUCCEEDED.store(true, Relaxed);
}

/// Keeps the status text up to date, and feeds the watchdog (`WatchdogSec=`) for as long as the
/// server answers. Does not end; without a service manager it ends at once.
pub(super) async fn tend(control: Control) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    // Half the time, as sd_watchdog_enabled(3) wants it; a timer must not be zero.
    let every = watchdog.map_or(LOOK, |most| LOOK.min(most / 2)).max(Duration::from_millis(1));
    let mut looks = interval(every);
    let mut told = String::new();
    loop {
        looks.tick().await;
        // A server that does not answer is not alive; one that has ended is, until it is gone.
        let text = match timeout(every, control.status()).await {
            Ok(Ok(status)) => in_words(&status),
            Ok(Err(ControlError::Ended)) => told.clone(),
            Ok(Err(_)) | Err(_) => continue,
        };
        let mut state = Vec::new();
        if watchdog.is_some() {
            state.push(NotifyState::Watchdog);
        }
        if text != told {
            state.push(NotifyState::Status(&text));
        }
        if !state.is_empty() {
            tell(&state);
        }
        told = text;
    }
}

/// A line for `systemctl status`.
fn in_words(status: &Status) -> String {
    let Status { connections, max_connections, flows, .. } = status;
    let flows = if *flows == 0 { String::new() } else { format!(", {flows} flows") };
    let mut text = format!("{connections} of {max_connections} connections{flows}");
    for listener in status.listeners.iter().filter(|other| other.state != State::Accepting) {
        // Writing to a string cannot fail.
        let _ = write!(text, "; {}: {}", listener.name, listener.state.name());
    }
    text
}

fn tell(state: &[NotifyState<'_>]) {
    if SUCCEEDED.load(Relaxed) {
        return;
    }
    // Without a service manager it does nothing.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("cannot tell systemd what the server does: {error}");
    }
}
