//! Limits of the rate at which bytes are taken: of one download, and of all together. A source is read no faster, so
//! that its own network slows it down. A limit may change at any time. Those who share one are let through in turns: the
//! connections of a download, and the downloads, however many connections each has.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{MutexGuard, watch};
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
    /// Whose turn it is to wait until nothing is owed; handed on in the order in which it was asked for.
    turn: tokio::sync::Mutex<()>,
}

impl Limiter {
    /// Of as many bytes a second as `rate` says; 0 is no limit.
    pub(super) fn new(rate: watch::Receiver<u64>) -> Limiter {
        let debt = Mutex::new(Debt { bytes: 0.0, at: Instant::now(), rate: 0 });
        Limiter { rate, debt, turn: tokio::sync::Mutex::new(()) }
    }

    fn is_none(&self) -> bool {
        *self.rate.borrow() == 0
    }

    /// Waits for the turn; whether that took time, for somebody who waits until nothing is owed has it.
    async fn turn(&self) -> (MutexGuard<'_, ()>, bool) {
        match self.turn.try_lock() {
            Ok(turn) => (turn, false),
            Err(_) => (self.turn.lock().await, true),
        }
    }

    /// Waits until nothing is owed; whether that took time. So many bytes are owed then.
    async fn paid(&self, expected: usize) -> bool {
        let mut rate = self.rate.clone();
        let mut waited = false;
        loop {
            let now = *rate.borrow_and_update();
            let wait = self.lock().wait(Instant::now(), now);
            if wait.is_zero() {
                self.took(expected as f64);
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

    /// Bytes were taken, beyond what was expected.
    fn took(&self, bytes: f64) {
        if !self.is_none() {
            self.lock().bytes += bytes;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Debt> {
        self.debt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one download keeps to.
#[derive(Debug)]
pub(super) struct Limits {
    own: Limiter,
    /// Shared with all others.
    all: Arc<Limiter>,
}

impl Limits {
    /// Of as many bytes a second as `rate` says, and what is left of those for all.
    pub(super) fn new(rate: watch::Receiver<u64>, all: Arc<Limiter>) -> Limits {
        Limits { own: Limiter::new(rate), all }
    }
}

/// One connection of a download, which takes bytes piece by piece: each is expected to be as large as the one before.
#[derive(Debug)]
pub(super) struct Taker {
    limits: Arc<Limits>,
    expected: usize,
}

impl Taker {
    pub(super) fn new(limits: &Arc<Limits>) -> Taker {
        Taker { limits: Arc::clone(limits), expected: 0 }
    }

    /// Waits until a piece may be taken; whether that took time. One connection at a time stands for its download where
    /// all downloads wait.
    pub(super) async fn ready(&self) -> bool {
        let Limits { own, all } = &*self.limits;
        if own.is_none() && all.is_none() {
            return false; // nobody waits for more than the moment of another one's turn
        }
        let (_own_turn, mut waited) = own.turn().await;
        waited |= own.paid(self.expected).await;
        let (_turn, waited_for_turn) = all.turn().await;
        all.paid(self.expected).await || waited || waited_for_turn
    }

    /// A piece was taken.
    pub(super) fn took(&mut self, bytes: usize) {
        let more = bytes as f64 - self.expected as f64;
        [&self.limits.own, &self.limits.all].iter().for_each(|limit| limit.took(more));
        self.expected = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// One of several downloads.
    fn one_of(all: &Arc<Limiter>) -> Arc<Limits> {
        Arc::new(Limits::new(watch::channel(0).1, Arc::clone(all)))
    }

    /// Takes pieces within a limit.
    async fn take(limiter: &Arc<Limiter>, pieces: usize, bytes: usize) {
        let mut taker = Taker::new(&one_of(limiter));
        for _ in 0..pieces {
            taker.ready().await;
            taker.took(bytes);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time() {
        let (rate, watched) = watch::channel(1000);
        let limiter = Arc::new(Limiter::new(watched));
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
        let limiter = Arc::new(Limiter::new(watched));
        let mut taker = Taker::new(&one_of(&limiter));
        taker.ready().await;
        taker.took(1000);
        let start = Instant::now();
        let change = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            rate.send_replace(990);
        };
        tokio::join!(taker.ready(), change);
        let took = start.elapsed().as_secs_f64();
        assert!((10.9..11.1).contains(&took), "{took}: 10 s at 1, then 990 bytes at 990");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_share_a_limit_get_it_together() {
        let (_rate, watched) = watch::channel(1000);
        let limiter = Arc::new(Limiter::new(watched));
        let start = Instant::now();
        tokio::join!(take(&limiter, 10, 100), take(&limiter, 10, 100), take(&limiter, 10, 100));
        let took = start.elapsed().as_secs_f64();
        assert!((2.6..3.1).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_download_gets_no_more_for_its_many_connections() {
        let (_rate, watched) = watch::channel(1000);
        let all = Arc::new(Limiter::new(watched));
        let [few, many] = [(); 2].map(|()| one_of(&all));
        let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        for (limits, count) in [(&few, &counts[0])].into_iter().chain([(&many, &counts[1]); 4]) {
            let (mut taker, count) = (Taker::new(limits), Arc::clone(count));
            tokio::spawn(async move {
                loop {
                    taker.ready().await;
                    tokio::time::sleep(Duration::from_millis(20)).await; // its source takes so long
                    taker.took(100);
                    count.fetch_add(100, Ordering::Relaxed);
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(100)).await;
        let [few, many] = counts.map(|count| count.load(Ordering::Relaxed));
        assert!((98_000..=101_000).contains(&(few + many)), "it is used whole, and no more: {few} + {many}");
        assert!(few.abs_diff(many) <= 5000, "{few} and {many}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_download_does_not_take_is_there_for_the_others() {
        let (_rate, watched) = watch::channel(1000);
        let all = Arc::new(Limiter::new(watched));
        let mut slow = Taker::new(&one_of(&all));
        tokio::spawn(async move {
            loop {
                slow.ready().await;
                tokio::time::sleep(Duration::from_secs(10)).await;
                slow.took(100);
            }
        });
        let start = Instant::now();
        take(&all, 100, 100).await;
        let took = start.elapsed().as_secs_f64();
        assert!((9.9..10.5).contains(&took), "{took}");
    }
}
