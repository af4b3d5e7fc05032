//! Turns for threads that do much of the same: so many at once, in the order in which they asked. Blocks.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    most: u64,
    given: Mutex<Given>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Given {
    asked: u64,
    ended: u64,
}

impl Turns {
    pub(super) fn new(most: usize) -> Turns {
        Turns { most: most as u64, given: Mutex::default(), ended: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many turns were asked for so far.
    #[cfg(test)]
    pub(super) fn asked(&self) -> u64 {
        self.lock().asked
    }

    /// Waits for a turn.
    pub(super) fn take(&self) -> Turn<'_> {
        self.wait(self.lock());
        Turn(self)
    }

    fn wait(&self, mut given: MutexGuard<'_, Given>) {
        let mine = given.asked;
        given.asked += 1;
        while mine >= given.ended + self.most {
            given = self.ended.wait(given).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A turn, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Turns);

impl Turn<'_> {
    /// Ends this turn and waits for another one, behind all who wait.
    pub(super) fn next(&mut self) {
        let mut given = self.0.lock();
        given.ended += 1;
        self.0.ended.notify_all();
        self.0.wait(given);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().ended += 1;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn so_many_at_once_and_each_in_its_turn() {
        let turns = Turns::new(2);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let done: Vec<AtomicUsize> = (0..6).map(|_| AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            for own in &done {
                scope.spawn(|| {
                    let mut turn = turns.take();
                    for _ in 0..200 {
                        most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                        own.fetch_add(1, SeqCst);
                        std::thread::yield_now();
                        running.fetch_sub(1, SeqCst);
                        turn.next();
                    }
                });
            }
        });
        assert!(most.load(SeqCst) <= 2);
        assert!(done.iter().all(|done| done.load(SeqCst) == 200));
        drop((turns.take(), turns.take())); // nobody holds one
    }

    #[test]
    fn who_waits_comes_before_who_had_one() {
        let turns = Turns::new(1);
        let mut first = turns.take();
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _second = turns.take();
                order.lock().unwrap().push(2);
            });
            while turns.asked() < 2 {
                std::thread::yield_now();
            }
            first.next();
            order.lock().unwrap().push(1);
        });
        assert_eq!(*order.lock().unwrap(), [2, 1]);
    }
}
