//! Says in the log what peers do wrong, at most once in a while: whoever may reach the port must not fill the log.

use crate::limits;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Mutex<(Option<Instant>, u64)>);

impl Mistakes {
    pub(super) fn note(&self, peer: SocketAddr, mistake: &str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, passed_over) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < limits::MISTAKES) {
            *passed_over += 1;
            return;
        }
        *last = Some(Instant::now());
        let passed_over = std::mem::take(passed_over);
        drop(state);
        tracing::debug!(%peer, %mistake, passed_over, "a peer's mistake");
    }
}
