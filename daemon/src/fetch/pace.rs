//! Whether a source sends enough to be waited for. Takes the time as an argument.

use crate::limits;
use std::time::Duration;
use tokio::time::Instant;

/// Looks at one connection, a window of time after the other.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    bytes: u64,
    /// What a window must bring.
    least: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace { since: now, bytes: 0, least: limits::FETCH_PROGRESS }
    }

    /// Bytes came after waiting for them, and for our own limit so long that `held` must not count against the source.
    pub(super) fn on_bytes(&mut self, len: usize, held: Duration) {
        self.bytes += len as u64;
        self.since += held;
        if !held.is_zero() {
            self.least = 1; // it sends no faster than it is read
        }
    }

    /// When [`Pace::check`] is to be asked.
    pub(super) fn deadline(&self) -> Instant {
        self.since + limits::FETCH_STALLED
    }

    /// Whether the source is fast enough, at the end of a window.
    pub(super) fn check(&mut self, now: Instant) -> bool {
        if now < self.deadline() {
            return true;
        }
        let enough = self.bytes >= self.least;
        *self = Pace::new(now);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_to_nothing_is_too_little() {
        let start = Instant::now();
        let end = start + limits::FETCH_STALLED;
        let mut pace = Pace::new(start);
        assert!(pace.check(start));
        pace.on_bytes(limits::FETCH_PROGRESS as usize, Duration::ZERO);
        assert!(pace.check(end), "just enough");
        pace.on_bytes(limits::FETCH_PROGRESS as usize - 1, Duration::ZERO);
        assert!(!pace.check(end + limits::FETCH_STALLED), "a byte a second holds no place in the queue");
    }

    #[test]
    fn our_own_limit_is_not_held_against_the_source() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.on_bytes(1, limits::FETCH_STALLED);
        let end = start + limits::FETCH_STALLED;
        assert!(pace.check(end) && pace.deadline() == end + limits::FETCH_STALLED);
        assert!(pace.check(end + limits::FETCH_STALLED), "one byte of a source that we slow down is enough");
    }
}
