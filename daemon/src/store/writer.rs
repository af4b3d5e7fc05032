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
    /// Where SQLite does not go back to syncing each commit.
    fn serve(&mut self, group: Vec<Request>) -> rusqlite::Result<()> {
        let lone = group.len() == 1;
        let early = self.room.is_there() && comes_again(&group);
        if early {
            self.db.pragma_update(None, "synchronous", "NORMAL")?; // no sync but at a checkpoint
        }
        let answers = self.answer(group);
        let _ = self.answers.blocking_send(Completion { answers, stats: self.stats });
        if early {
            if let Err(error) = self.room.sync() {
                // The kernel tells that once, and may have let go of what it could not write: it is written elsewhere.
                tracing::warn!(%error, "can't sync receipts; the write-ahead log is written back whole");
                self.write_back()?;
            }
            self.db.pragma_update(None, "synchronous", "FULL")?;
        }
        if lone {
            self.room.make(); // where many share a commit, its time does not matter to them
        }
        Ok(())
    }

    /// Has all that is committed in the database itself, synced, and the write-ahead log empty.
    ///
    /// # Errors
    /// Those of SQLite, or that a reader is at it.
    fn write_back(&mut self) -> rusqlite::Result<()> {
        let is_busy: bool = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        if is_busy { Err(rusqlite::Error::SqliteFailure(busy, None)) } else { Ok(()) }
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
mod tests {
    use super::super::Letter;
    use super::super::schema::open_writer;
    use super::*;
    use netkit_proto::ids::{PeerId, Seq};
    use netkit_proto::rpc::event::Event;
    use std::path::Path;

    fn receipt() -> Request {
        let event = Event::Delivered { messages: vec![Seq(1)], peer: "bob".into() };
        let ops = vec![Op::Delivered(Timestamp(1), PeerId([1; 32]), 1, event)];
        Request { ops, order: Order::Free }
    }

    fn line() -> Request {
        let event = Event::Sent { message: Seq(1), peer: "udp://10.0.0.9:9".into() };
        Request { ops: vec![Op::Append(Timestamp(1), event)], order: Order::Free }
    }

    /// A writer, called from here, and what it tells.
    fn writer(path: &Path) -> (WriterThread, mpsc::Receiver<Completion>) {
        let db = open_writer(path).unwrap();
        let (answers, told) = mpsc::channel(4);
        let writer = WriterThread {
            epoch: Epoch(1),
            limit: Retention { age: Duration::from_secs(1 << 40), messages: 1000, size: 1 << 30 },
            stats: log::stats(&db).unwrap(),
            retainer: retention::Retainer::default(),
            answers,
            failed: None,
            room: Room::of(path),
            db,
        };
        (writer, told)
    }

    #[test]
    fn a_group_fails_what_comes_after_a_failure_and_gives_all_ops_back() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _told) = writer(&dir.path().join("netkit.db"));
        writer.failed = Some(StoreError::NoSpace);
        let ordered = |order| Request { order, ..line() };
        let group = [Order::Free, Order::After, Order::Behind, Order::Again].map(ordered).into();
        let answers = writer.answer(group);
        let is_done: Vec<bool> = answers.iter().map(|answer| answer.result.is_ok()).collect();
        assert_eq!(is_done, [true, false, false, true]);
        assert!(answers.iter().all(|answer| answer.ops.len() == 1) && writer.failed.is_none());
        assert_eq!(writer.stats.head, Seq(2));
    }

    #[test]
    fn a_failure_that_somebody_is_told_holds_up_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _told) = writer(&dir.path().join("netkit.db"));
        let unstorable = |order| Request { ops: vec![Op::DownloadLimit(Some(u64::MAX))], order };
        for order in [Order::Free, Order::Behind] {
            assert!(writer.answer(vec![unstorable(order)])[0].result.is_err());
            assert!(writer.failed.is_none(), "{order:?}");
        }
        assert!(writer.answer(vec![unstorable(Order::After)])[0].result.is_err());
        assert!(writer.failed.is_some());
    }

    #[test]
    fn all_that_is_committed_is_written_back_and_the_log_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netkit.db");
        let (mut writer, mut told) = writer(&path);
        writer.serve(vec![receipt()]).unwrap();
        told.try_recv().unwrap();
        let log = || dir.path().join("netkit.db-wal").metadata().unwrap().len();
        assert!(log() > 0);
        // Not while somebody reads what was there before: then the store stops.
        let reader = open_writer(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
        writer.serve(vec![receipt()]).unwrap();
        writer.db.busy_timeout(Duration::ZERO).unwrap();
        assert!(writer.write_back().is_err());
        reader.execute_batch("COMMIT").unwrap();
        writer.write_back().unwrap();
        assert_eq!(log(), 0);
        let alone = dir.path().join("alone.db");
        std::fs::copy(&path, &alone).unwrap();
        let events = "SELECT count(*) FROM events";
        assert_eq!(open_writer(&alone).unwrap().query_row(events, [], |row| row.get(0)), Ok(2));
    }

    #[test]
    fn what_waits_for_a_peer_goes_with_it_whatever_is_committed_together() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _told) = writer(&dir.path().join("netkit.db"));
        let post = || {
            let event = Event::Sent { message: Seq(1), peer: "bob".into() };
            let text = "x".repeat(limits::BUNDLE / 2).into();
            let letter = Letter {
                n: 0,
                message: Seq::START,
                room: None,
                text,
                at: Timestamp(1),
                expires: Timestamp(2),
            };
            let ops = vec![Op::Post { event, to: vec![PeerId([1; 32])], letter, key: None }];
            Request { ops, order: Order::Free }
        };
        let remove = Request { ops: vec![Op::PeerRemove(PeerId([1; 32]))], order: Order::Free };
        let answers = writer.answer(vec![post(), post(), post(), remove, post()]);
        assert!(answers.iter().all(|answer| answer.result.is_ok()), "{answers:?}");
        let left: Vec<u64> = letters::load(&writer.db).unwrap().iter().map(|(_, letter)| letter.n).collect();
        assert_eq!(left, [1003]);
    }

    #[test]
    fn only_what_comes_again_is_told_before_it_is_synced() {
        assert!(comes_again(&[receipt(), receipt()]));
        assert!(!comes_again(&[receipt(), line()]));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netkit.db");
        let (mut writer, mut told) = writer(&path);
        for (request, head) in [(receipt(), 1), (line(), 2), (receipt(), 3)] {
            writer.serve(vec![request]).unwrap();
            let completion = told.try_recv().unwrap();
            assert!(matches!(completion.answers[..], [JobAnswer { result: Ok(_), .. }]), "{completion:?}");
            assert_eq!(completion.stats.head, Seq(head));
            let sync: i64 = writer.db.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
            assert_eq!(sync, 2, "commits are synced again");
            let events = "SELECT count(*) FROM events";
            let kept: u64 = open_writer(&path).unwrap().query_row(events, [], |row| row.get(0)).unwrap();
            assert_eq!(kept, head);
        }
    }
}
