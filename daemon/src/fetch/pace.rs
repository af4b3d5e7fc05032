//! Whether a source sends enough to be waited for. Takes the time as an argument.

use crate::limits;
use std::time::Duration;
use tokio::time::Instant;

/// Looks at one connection.
#[derive(Debug)]
pub(super) struct Pace {
    /// When it had sent enough last.
    since: Instant,
    /// What it sent since then,
    bytes: u64,
    /// how much will be enough,
    least: u64,
    /// and how much is where nothing slows it down.
    enough: u64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace::of(now, limits::FETCH_PROGRESS)
    }

    /// Where so many bytes are enough.
    pub(super) fn of(now: Instant, enough: u64) -> Pace {
        Pace { since: now, bytes: 0, least: enough, enough }
    }

    /// Nothing was read for so long, which must not count against the source; `limited`: because a limit says so, and
    /// then it can't send faster than that.
    pub(super) fn on_held(&mut self, held: Duration, limited: bool) {
        self.since += held;
        if limited {
            self.least = 1;
        }
    }

    /// Bytes came.
    pub(super) fn on_bytes(&mut self, now: Instant, len: usize) {
        self.bytes += len as u64;
        if self.bytes >= self.least {
            *self = Pace::of(now, self.enough);
        }
    }

    /// When the source is to be given up.
    pub(super) fn deadline(&self) -> Instant {
        self.since + limits::FETCH_STALLED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: usize = limits::FETCH_PROGRESS as usize;

    #[test]
    fn next_to_nothing_is_too_little() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        pace.on_bytes(after(10), ENOUGH);
        assert_eq!(pace.deadline(), after(10) + limits::FETCH_STALLED);
        for second in 11..20 {
            pace.on_bytes(after(second), 1);
        }
        assert_eq!(pace.deadline(), after(10) + limits::FETCH_STALLED, "a byte a second holds no place");
        pace.on_bytes(after(20), ENOUGH - 9);
        assert_eq!(pace.deadline(), after(20) + limits::FETCH_STALLED, "all together are enough");
    }

    #[test]
    fn our_own_limit_is_not_held_against_the_source() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.on_held(Duration::from_secs(100), true);
        assert_eq!(pace.deadline(), start + Duration::from_secs(100) + limits::FETCH_STALLED);
        let came = start + Duration::from_secs(101);
        pace.on_bytes(came, 1);
        assert_eq!(
            pace.deadline(),
            came + limits::FETCH_STALLED,
            "a byte of a source that we slow down is enough"
        );
        // A disk that pauses gives time, too, but then all the source's bytes are expected.
        pace.on_held(Duration::from_secs(7), false);
        pace.on_bytes(came + Duration::from_secs(8), 1);
        assert_eq!(pace.deadline(), came + Duration::from_secs(7) + limits::FETCH_STALLED);
    }
}
