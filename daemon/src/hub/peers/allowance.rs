//! What strangers may cause: so much a second, and some at once. What goes beyond it is for the caller to refuse.

use tokio::time::Instant;

/// What may still be caused, and the bounds that it grows within.
#[derive(Debug)]
pub(super) struct Allowance {
    left: f64,
    since: Instant,
    rate: u32,
    burst: u32,
}

impl Allowance {
    /// So much a second, and so much at once.
    pub(super) fn new(rate: u32, burst: u32, instant: Instant) -> Allowance {
        Allowance { left: f64::from(burst), since: instant, rate, burst }
    }

    /// Takes one of it; whether there was one.
    pub(super) fn take(&mut self, instant: Instant) -> bool {
        let grown = instant.saturating_duration_since(self.since).as_secs_f64() * f64::from(self.rate);
        self.left = (self.left + grown).min(f64::from(self.burst));
        self.since = instant;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}
