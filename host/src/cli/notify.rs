//! Tells the service manager what the server is doing (`sd_notify(3)`), where there is one.

use sd_notify::NotifyState;

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

/// It drains.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    // Without a service manager it does nothing.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("cannot tell systemd what the server does: {error}");
    }
}
