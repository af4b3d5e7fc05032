//! Limits of the rate at which bytes are taken: of one download, and of all together. A source is read no faster, so
//! that its own network slows it down. A limit may change at any time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What was taken and is not paid for by time yet.
#[derive(Debug)]
struct Debt {
    bytes: f64,
    at: Instant,
    /// What has been in force since then.
    rate: u64,
}

impl Debt {
    /// How long to wait until nothing is owed at `rate` bytes a second; 0 is no limit.
    fn wait(&mut self, now: Instant, rate: u64) -> Duration {
        let paid = now.saturating_duration_since(self.at).as_secs_f64() * self.rate as f64;
        (self.at, self.rate) = (now, rate);
        self.bytes = if rate == 0 { 0.0 } else { (self.bytes - paid).max(0.0) };
        if self.bytes == 0.0 { Duration::ZERO } else { Duration::from_secs_f64(self.bytes / rate as f64) }
    }
}

/// A limit that several may share.
#[derive(Debug)]
pub(super) struct Limiter {
    rate: watch::Receiver<u64>,
    debt: Mutex<Debt>,
}

impl Limiter {
    /// Of as many bytes a second as `rate` says; 0 is no limit.
    pub(super) fn new(rate: watch::Receiver<u64>) -> Limiter {
        Limiter { rate, debt: Mutex::new(Debt { bytes: 0.0, at: Instant::now(), rate: 0 }) }
    }

    /// Waits until bytes may be taken; whether that took time.
    pub(super) async fn ready(&self) -> bool {
        let mut rate = self.rate.clone();
        let mut waited = false;
        loop {
            let now = *rate.borrow_and_update();
            let wait = self.lock().wait(Instant::now(), now);
            if wait.is_zero() {
                return waited;
            }
            waited = true;
            let changed = async {
                if rate.changed().await.is_err() {
                    std::future::pending::<()>().await; // nobody is left to change it
                }
            };
            // What is owed is paid at the new rate as soon as that is in force.
            let _ = tokio::time::timeout(wait, changed).await;
        }
    }

    /// Bytes were taken.
    pub(super) fn took(&self, bytes: usize) {
        if *self.rate.borrow() != 0 {
            self.lock().bytes += bytes as f64;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Debt> {
        self.debt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take(limiter: &Limiter, pieces: usize, bytes: usize) {
        for _ in 0..pieces {
            limiter.ready().await;
            limiter.took(bytes);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time() {
        let (rate, watched) = watch::channel(1000);
        let limiter = Limiter::new(watched);
        let start = Instant::now();
        take(&limiter, 11, 500).await;
        let took = start.elapsed();
        assert!((4.99..5.1).contains(&took.as_secs_f64()), "{took:?}");
        rate.send_replace(0);
        let start = Instant::now();
        take(&limiter, 1000, 500).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_notices_a_new_limit() {
        let (rate, watched) = watch::channel(1);
        let limiter = Limiter::new(watched);
        limiter.ready().await;
        limiter.took(1000);
        let start = Instant::now();
        let change = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            rate.send_replace(990);
        };
        tokio::join!(limiter.ready(), change);
        let took = start.elapsed().as_secs_f64();
        assert!((10.9..11.1).contains(&took), "{took}: 10 s at 1, then 990 bytes at 990");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_share_a_limit_get_it_together() {
        let (_rate, watched) = watch::channel(1000);
        let limiter = Limiter::new(watched);
        let start = Instant::now();
        tokio::join!(take(&limiter, 10, 100), take(&limiter, 10, 100), take(&limiter, 10, 100));
        let took = start.elapsed().as_secs_f64();
        assert!((2.6..3.1).contains(&took), "{took}");
    }
}
