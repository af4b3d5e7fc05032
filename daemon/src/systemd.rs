//! What the service manager is told (sd_notify(3)). Does nothing where there is none.

use sd_notify::NotifyState;

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "could not tell the service manager");
    }
}

/// Everything is bound and open.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "can't read the monotonic clock"),
    }
}

/// The end has begun.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}
