//! The writer thread: takes jobs, commits as many as wait in one synced transaction, then answers. Held by the
//! hub alone.

use super::apply::Turn;
use super::room::Room;
use super::{LogStats, Op, Outcome, Retention, StoreError, apply, letters, log, outbox, retention};
use crate::limits;
use netkit_proto::ids::Epoch;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// How a job stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It succeeds or fails by itself.
    Free,
    /// It comes after all such jobs before it: once one of them failed it fails too, untried, until that one was
    /// committed [`Order::Again`].
    After,
    /// It comes after those, too, and fails by itself: once one of them failed it fails, untried, until that one was
    /// committed.
    Behind,
    /// The job that failed, tried again.
    Again,
}

/// Things to be made durable, together or not at all.
#[derive(Debug)]
pub struct Request {
    /// What.
    pub ops: Vec<Op>,
    /// When.
    pub order: Order,
}

/// The answer to a job.
#[derive(Debug)]
pub struct JobAnswer {
    /// What became of each op, in their order; or why none was committed.
    pub result: Result<Vec<Outcome>, StoreError>,
    /// The ops back: they may be tried again. What is done is freed by the thread that made it, too: between threads
    /// that takes a lock, which cost a tenth of a busy link.
    pub ops: Vec<Op>,
}

/// What the writer tells.
#[derive(Debug)]
pub struct Completion {
    /// The answers to the jobs of one commit, in their order. No answers: retention removed events.
    pub answers: Vec<JobAnswer>,
    /// How the log is now.
    pub stats: LogStats,
}

/// The writer's front. Dropping it ends the thread after its last commit; [`Writer::join`] waits for that.
#[derive(Debug)]
pub struct Writer {
    jobs: SyncSender<Request>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Hands over a job. The caller keeps at most [`limits::STORE_JOBS`] unanswered, so there is always room.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] where the thread is gone.
    pub fn submit(&self, request: Request) -> Result<(), StoreError> {
        self.jobs.try_send(request).map_err(|_| StoreError::Stopped)
    }

    /// Lets the thread finish its last commit and waits for it. Blocks.
    pub fn join(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

pub(super) fn start(
    db: Connection,
    room: Room,
    epoch: Epoch,
    limit: Retention,
) -> Result<(Writer, mpsc::Receiver<Completion>), StoreError> {
    let (jobs, job_queue) = sync_channel(limits::STORE_JOBS);
    let (answers, completions) = mpsc::channel(limits::STORE_JOBS + 1); // and what retention tells
    let stats = log::stats(&db)?;
    let state = WriterThread {
        db,
        room,
        epoch,
        limit,
        stats,
        retainer: retention::Retainer::default(),
        answers,
        failed: None,
    };
    let thread = std::thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || state.run(&job_queue))
        .map_err(|e| StoreError::Thread(e.to_string()))?;
    Ok((Writer { jobs, thread }, completions))
}

struct WriterThread {
    db: Connection,
    room: Room,
    epoch: Epoch,
    limit: Retention,
    stats: LogStats,
    retainer: retention::Retainer,
    answers: mpsc::Sender<Completion>,
    /// Why a job failed that others come after.
    failed: Option<StoreError>,
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

impl WriterThread {
    fn run(mut self, jobs: &Receiver<Request>) {
        let mut look_at_age = Instant::now();
        loop {
            let group = match jobs.recv_timeout(look_at_age.saturating_duration_since(Instant::now())) {
                Ok(first) => group(first, jobs),
                Err(RecvTimeoutError::Timeout) => {
                    let again = self.prune();
                    // Where there is no room the next answer tells the same.
                    let _ = self.answers.try_send(Completion { answers: Vec::new(), stats: self.stats });
                    look_at_age =
                        Instant::now() + if again { Duration::ZERO } else { limits::RETENTION_PERIOD };
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let limit = self.limit;
            if let Err(error) = self.serve(group) {
                tracing::error!(%error, "the store stops: its commits may not be synced");
                return;
            }
            if self.answers.is_closed() {
                return; // the hub is gone: nobody is left to be told, and what is committed stays committed
            }
            if self.limit != limit {
                look_at_age = Instant::now();
            }
        }
        // Statistics for the query planner and an empty write-ahead log; both are only good to have.
        if let Err(error) = self.db.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);") {
            tracing::debug!(%error, "could not tidy the database at the end");
        }
    }

    /// Commits a group and tells what became of it.
    ///
    /// # Errors
    /// Where a sync failed, or SQLite does not go back to syncing each commit.
    fn serve(&mut self, group: Vec<Request>) -> rusqlite::Result<()> {
        let lone = group.len() == 1;
        let early = self.room.is_there() && comes_again(&group);
        if early {
            self.db.pragma_update(None, "synchronous", "NORMAL")?; // no sync but at a checkpoint
        }
        let answers = self.answer(group);
        let _ = self.answers.blocking_send(Completion { answers, stats: self.stats });
        if early {
            // The kernel tells that once, and may let go of what it could not write: with a hole in the log nothing behind
            // it would be there after a crash.
            self.room.sync().map_err(unsynced)?;
            self.db.pragma_update(None, "synchronous", "FULL")?;
        }
        if lone {
            self.room.make(); // where many share a commit, its time does not matter to them
        }
        Ok(())
    }

    /// Commits what may be tried of a group; an answer for each job.
    fn answer(&mut self, group: Vec<Request>) -> Vec<JobAnswer> {
        let failed = self.failed.clone();
        let comes_after = |request: &Request| matches!(request.order, Order::After | Order::Behind);
        let untried = |request: &Request| failed.clone().filter(|_| comes_after(request));
        let tried: Vec<&Request> = group.iter().filter(|request| untried(request).is_none()).collect();
        let jobs: Vec<&[Op]> = tried.iter().map(|request| request.ops.as_slice()).collect();
        let committed = self.commit(&jobs);
        match &committed {
            Ok(_) if tried.iter().any(|request| request.order == Order::Again) => self.failed = None,
            Err(error)
                if tried.iter().any(|request| matches!(request.order, Order::After | Order::Again)) =>
            {
                self.failed = Some(error.clone());
            }
            _ => {}
        }
        let mut outcomes = committed.map(Vec::into_iter);
        let answer = |request: Request| {
            let result = match (untried(&request), &mut outcomes) {
                (Some(error), _) => Err(error),
                (None, Err(error)) => Err(error.clone()),
                (None, Ok(outcomes)) => Ok(outcomes.next().unwrap_or_default()),
            };
            JobAnswer { result, ops: request.ops }
        };
        group.into_iter().map(answer).collect()
    }

    /// Commits every job of the group, or none.
    fn commit(&mut self, group: &[&[Op]]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let mut retainer = self.retainer;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let turn = Turn {
            epoch: self.epoch,
            log: log::Appender::new(&tx, self.stats)?,
            limit: self.limit,
            letters: letters::Changes::default(),
        };
        let (results, mut stats, limit) = apply::all(&tx, turn, group)?;
        if stats != self.stats {
            // What comes in beyond the limits goes out in the same transaction: the bounds hold under any load.
            let budget = 2 * stats.head.0.saturating_sub(self.stats.head.0);
            retainer.trim(&tx, &mut stats, &limit, now(), budget)?;
            log::save_stats(&tx, &stats)?;
        }
        tx.commit()?;
        (self.stats, self.limit, self.retainer) = (stats, limit, retainer);
        Ok(results)
    }

    /// Removes what is too old or too much while nothing else happens; whether to go on at once.
    fn prune(&mut self) -> bool {
        let (mut stats, mut retainer) = (self.stats, self.retainer);
        let mut step = || {
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            outbox::prune_keys(&tx, now())?;
            let more = retainer.trim(&tx, &mut stats, &self.limit, now(), limits::RETENTION_CHUNK)?;
            if stats != self.stats {
                log::save_stats(&tx, &stats)?;
            }
            tx.commit()?;
            Ok::<bool, rusqlite::Error>(more)
        };
        match step() {
            Ok(more) => {
                (self.stats, self.retainer) = (stats, retainer);
                more
            }
            Err(error) => {
                tracing::warn!(%error, "retention could not remove old events");
                false
            }
        }
    }
}

/// Whether these are peers' receipts alone. They are told when they are committed, and synced then: should the power go
/// in between, the message goes to the peer once more, which has it and gives its receipt again.
fn comes_again(group: &[Request]) -> bool {
    group.iter().flat_map(|request| &request.ops).all(|op| matches!(op, Op::Delivered(..)))
}

fn unsynced(error: std::io::Error) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
    rusqlite::Error::SqliteFailure(code, Some(format!("syncing the write-ahead log: {error}")))
}

/// Everything that waits behind `first`, up to one transaction's worth.
fn group(first: Request, jobs: &Receiver<Request>) -> Vec<Request> {
    let mut rows = first.ops.len();
    let mut group = vec![first];
    while rows < limits::STORE_GROUP
        && let Ok(job) = jobs.try_recv()
    {
        rows += job.ops.len();
        group.push(job);
    }
    group
}

#[cfg(test)]
mod tests;
