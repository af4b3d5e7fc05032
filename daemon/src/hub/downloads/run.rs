//! Whose turn it is, and what the engine tells of those that run.

use super::{Downloads, Entry, Follow, Step, Wish, target};
use crate::files::Naming;
use crate::hub::answer;
use crate::hub::handle::{Change, Reply};
use crate::hub::orders::{Control, Done, End, Failed, Order, PartNote, Report, Retry, Start};
use crate::limits;
use crate::store::{DownloadRow, Held, Op, Outcome};
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::call::{Download, DownloadState, Failure};
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

impl Downloads {
    /// Gives those their turn that come next: at most `room` of them, `active` in all.
    pub(in crate::hub) fn schedule(&mut self, now: Timestamp, instant: Instant, active: usize, room: usize) {
        while let Some(&(at, id)) = self.waiting.first().filter(|(at, _)| *at <= instant) {
            self.waiting.remove(&(at, id));
            if let Some(mut entry) = self.take(id) {
                entry.retry = None;
                self.put(entry);
            }
        }
        for _ in 0..room {
            if self.running.len() + self.starting >= active {
                return;
            }
            let Some(&(_, id)) = self.ready.first() else { return };
            let Some(mut entry) = self.take(id) else { return };
            let row = DownloadRow {
                state: DownloadState::Active,
                retry_at: None,
                changed: now,
                ..entry.row.clone()
            };
            entry.is_committing = true;
            self.put(entry);
            let event = Event::DownloadActive { download: id, bytes: row.bytes };
            let ops = vec![Op::DownloadSet(Box::new(row.clone())), Op::Append(now, event), Op::PartRead(id)];
            self.starting += 1;
            self.steps.push(Step { ops, follow: Follow::Started(Box::new(row)), is_asked: false });
        }
    }

    /// That it has its turn is committed: the engine gets it.
    pub(super) fn started(&mut self, now: Timestamp, instant: Instant, row: DownloadRow, outcome: Outcome) {
        self.starting -= 1;
        let Outcome::Part(held) = outcome else { return };
        let Some(mut entry) = self.take(row.id) else { return };
        let control = Control { stop: false, limit: entry.row.limit };
        let (sender, control) = watch::channel(control);
        let (source, checksum) =
            (row.source.parse(), row.checksum.as_ref().map(|text| text.parse()).transpose());
        let naming = match (row.force, row.named) {
            (true, _) => Naming::Replace,
            (false, true) => Naming::Exact,
            (false, false) => Naming::Numbered,
        };
        let (id, target) = (row.id, target(&row));
        let DownloadRow { limit, position, sources, .. } = entry.row;
        entry.row = DownloadRow { limit, position, sources, ..row };
        entry.is_committing = false;
        match (source, checksum) {
            (Ok(source), Ok(checksum)) => {
                entry.running = Some(sender);
                let sources = entry.row.sources.clone();
                self.put(entry);
                let Held { part, stage } = *held;
                let start =
                    Start { id, source, way: None, target, naming, checksum, part, stage, sources, control };
                self.orders.push_back(Order::Start(Box::new(start)));
                self.resume_deferred(now, id);
            }
            // What was checked when it was added is damaged, or of another version.
            _ => {
                self.put(entry);
                let failed =
                    Failed::new(Kind::InvalidParams, "its source or checksum can't be read any more");
                self.failed(now, instant, id, failed, 0);
            }
        }
    }

    /// The peer that a download comes from.
    pub(in crate::hub) fn peer_of(&self, id: u64) -> Option<PeerId> {
        self.entries.get(&id)?.row.peer
    }

    /// A peer is there: what waits for it is tried at once.
    pub(in crate::hub) fn on_peer(&mut self, instant: Instant, peer: PeerId) {
        // Also one whose wait is only being committed.
        let waits = |entry: &&Entry| entry.row.peer == Some(peer) && entry.retry.is_some();
        let waiting: Vec<u64> = self.entries.values().filter(waits).map(|entry| entry.row.id).collect();
        for id in waiting {
            if let Some(mut entry) = self.take(id) {
                entry.retry = Some(instant);
                self.put(entry);
            }
        }
    }

    /// The engine tells something. `jitter` is any number.
    pub(in crate::hub) fn on_report(
        &mut self,
        now: Timestamp,
        instant: Instant,
        jitter: u64,
        report: Report,
    ) {
        match report {
            Report::Progress(id, progress, note) => {
                let Some(entry) = self.entries.get_mut(&id) else { return };
                (entry.row.size, entry.row.bytes) = (progress.size, progress.bytes);
                entry.rate = progress.rate;
                if let Some(note) = note {
                    let ops = vec![Op::PartSave(id, progress.bytes, progress.size, note)];
                    self.steps.push(Step { ops, follow: Follow::Noted, is_asked: false });
                }
            }
            Report::Sources(id, sources) => {
                let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.row.sources != sources)
                else {
                    return;
                };
                entry.row.sources.clone_from(&sources);
                let ops = vec![Op::SourcesSave(id, sources)];
                self.steps.push(Step { ops, follow: Follow::Noted, is_asked: false });
            }
            Report::Restarted(download, lost, reason) => {
                let Some(entry) = self.entries.get_mut(&download) else { return };
                (entry.row.bytes, entry.row.size) = (0, None);
                let event = Event::DownloadRestarted { download, lost, reason };
                let ops = vec![Op::PartForget(download), Op::Append(now, event)];
                self.steps.push(Step { ops, follow: Follow::Noted, is_asked: false });
            }
            Report::Complete(id, part, committed) => {
                let Some(entry) = self.entries.get(&id) else { return };
                let row = DownloadRow { state: DownloadState::Verifying, changed: now, ..entry.row.clone() };
                let note = part.map(|part| PartNote { part, blocks: Vec::new(), is_new: false });
                let mut ops: Vec<Op> =
                    note.into_iter().map(|note| Op::PartSave(id, row.bytes, row.size, note)).collect();
                ops.push(Op::DownloadSet(Box::new(row.clone())));
                ops.push(Op::Append(now, Event::DownloadVerifying { download: id }));
                self.committing(id);
                let follow = Follow::Complete(Box::new(row), committed);
                self.steps.push(Step { ops, follow, is_asked: false });
            }
            Report::Stage(id, stage, files) => {
                let ops = vec![Op::StageSave(id, stage, files)];
                self.steps.push(Step { ops, follow: Follow::Noted, is_asked: false });
            }
            Report::Next(id) => {
                let ops = vec![Op::PartNext(id)];
                self.steps.push(Step { ops, follow: Follow::Noted, is_asked: false });
            }
            Report::Seek(..) => {} // the peers' business
            Report::Ended(id, end) => self.on_ended(now, instant, jitter, id, end),
            Report::Discarded(id, discarded) => self.on_discarded(now, id, discarded),
        }
    }

    fn on_ended(&mut self, now: Timestamp, instant: Instant, jitter: u64, id: u64, end: End) {
        let Some(mut entry) = self.take(id) else { return };
        (entry.running, entry.rate) = (None, 0);
        let wish = entry.wish.take();
        match (end, wish) {
            (End::Done(done), wish) => {
                self.put(entry);
                self.done(now, id, done);
                match wish {
                    Some((Wish::Remove, Some(reply))) => {
                        self.deferred.push_front((id, Change::Remove, reply));
                    }
                    Some((_, Some(reply))) => {
                        let why = format!("download {id} was done before that");
                        answer(reply, Err(Error::new(Kind::Refused, why)));
                    }
                    _ => {}
                }
            }
            (End::Failed(failed), None) => {
                self.put(entry);
                self.failed(now, instant, id, failed, jitter);
            }
            // netkitd is stopping: the next one goes on.
            (End::Stopped, None) => self.put(entry),
            (_, Some((Wish::Pause, reply))) => {
                let row = DownloadRow { state: DownloadState::Paused, changed: now, ..entry.row.clone() };
                self.put(entry);
                let ops = vec![
                    Op::DownloadSet(Box::new(row.clone())),
                    Op::Append(now, Event::DownloadPaused { download: id }),
                ];
                self.step(ops, row, reply);
            }
            (_, Some(wish)) => {
                self.orders.push_back(Order::Discard(id, target(&entry.row)));
                entry.wish = Some(wish);
                self.put(entry);
            }
        }
    }

    fn done(&mut self, now: Timestamp, id: u64, done: Done) {
        let Some(entry) = self.entries.get(&id) else { return };
        let target = target(&entry.row).with_name(&done.name);
        let row = DownloadRow {
            state: DownloadState::Done,
            path: target.path.clone(),
            size: Some(done.bytes),
            bytes: done.bytes,
            verified: done.verified,
            blake3: Some(done.blake3),
            error: None,
            changed: now,
            ..entry.row.clone()
        };
        let event = Event::DownloadDone {
            download: id,
            source: row.source.clone(),
            path: target.shown().display().to_string(),
            bytes: done.bytes,
            verified: done.verified,
            blake3: done.blake3.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        let mut ops: Vec<Op> = done.manifest.into_iter().map(Op::ManifestKeep).collect();
        ops.extend([Op::PartForget(id), Op::DownloadSet(Box::new(row.clone())), Op::Append(now, event)]);
        self.step(ops, row, None);
    }

    /// A try failed: there is another one, later, unless it makes no sense or too many brought nothing.
    fn failed(&mut self, now: Timestamp, instant: Instant, id: u64, failed: Failed, jitter: u64) {
        let Some(mut entry) = self.take(id) else { return };
        let Failed { failure, retry } = failed;
        let attempts = match retry {
            _ if entry.row.bytes > entry.best => 1,
            // That a peer is away or busy is no fault of the download.
            Retry::Away | Retry::Back | Retry::Busy(_) => entry.row.attempts.max(1),
            _ => entry.row.attempts + 1,
        };
        entry.best = entry.best.max(entry.row.bytes);
        let pause = pause(attempts, retry, jitter).filter(|_| attempts < limits::FETCH_TRIES);
        let retry_at =
            pause.map(|pause| now.plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)));
        entry.retry = pause.map(|pause| instant + pause);
        let (state, event) = match retry_at {
            Some(retry_at) => (
                DownloadState::RetryWait,
                Event::DownloadRetryWait { download: id, error: failure.clone(), retry_at },
            ),
            None => (DownloadState::Failed, failed_event(&entry, &failure)),
        };
        let row = DownloadRow {
            state,
            error: Some(failure),
            attempts,
            retry_at,
            changed: now,
            ..entry.row.clone()
        };
        self.put(entry);
        self.set(row, event, None);
    }

    fn on_discarded(&mut self, now: Timestamp, id: u64, discarded: Result<(), String>) {
        let Some(mut entry) = self.take(id) else { return };
        let wish = entry.wish.take();
        if let Err(why) = discarded {
            tracing::warn!(download = id, why, "what came of a download could not be deleted");
            if let Some((_, Some(reply))) = wish {
                self.put(entry);
                return self.not_discarded(now, id, &why, reply);
            }
        }
        entry.is_committing = true;
        let row = DownloadRow {
            state: DownloadState::Cancelled,
            size: None,
            bytes: 0,
            retry_at: None,
            changed: now,
            ..entry.row.clone()
        };
        entry.best = 0;
        self.put(entry);
        match wish {
            Some((Wish::Remove, reply)) => self.removed(now, id, reply),
            Some((_, reply)) => {
                let ops = vec![
                    Op::PartForget(id),
                    Op::DownloadSet(Box::new(row.clone())),
                    Op::Append(now, Event::DownloadCancelled { download: id }),
                ];
                self.step(ops, row, reply);
            }
            None => self.settled(now, id, None),
        }
    }
}

impl Downloads {
    /// What came can't be deleted: whoever wanted that is told, and the download stays.
    fn not_discarded(&mut self, now: Timestamp, id: u64, why: &str, reply: Reply<Download>) {
        answer(
            reply,
            Err(Error::new(Kind::Unavailable, why).hint("see to the directory, then ask for it again")),
        );
        self.stays(now, id);
    }

    /// What was wanted of a download can't be. One that was stopped for it stands still, until somebody wants it again.
    pub(super) fn stays(&mut self, now: Timestamp, id: u64) {
        let stopped = self.entries.get(&id).filter(|entry| {
            let state = entry.row.state;
            entry.running.is_none() && matches!(state, DownloadState::Active | DownloadState::Verifying)
        });
        match stopped.map(|entry| entry.row.clone()) {
            Some(row) => {
                let row = DownloadRow { state: DownloadState::Paused, changed: now, ..row };
                self.set(row, Event::DownloadPaused { download: id }, None);
            }
            None => self.settled(now, id, None),
        }
    }
}

fn failed_event(entry: &Entry, failure: &Failure) -> Event {
    Event::DownloadFailed { download: entry.row.id, source: entry.row.source.clone(), error: failure.clone() }
}

/// How long to wait after so many tries that brought nothing; `None`: for ever. A quarter more or less, so that those
/// that failed together do not all come back together.
pub(super) fn pause(attempts: u32, retry: Retry, jitter: u64) -> Option<Duration> {
    let asked = match retry {
        Retry::Never => return None,
        Retry::Back => return Some(Duration::ZERO),
        Retry::Later => Duration::ZERO,
        // When it comes back that is told; until then it is looked after now and then.
        Retry::Away => limits::FETCH_RETRY_LONGEST,
        // It was asked several times in this turn: now it is others'.
        Retry::Busy(asked) => asked.clamp(limits::FETCH_BUSY, limits::FETCH_RETRY_ASKED),
        Retry::After(asked) => asked.min(limits::FETCH_RETRY_ASKED),
    };
    let doubled = limits::FETCH_RETRY_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    let pause = doubled.min(limits::FETCH_RETRY_LONGEST);
    let jittered = pause.mul_f64(0.75 + 0.5 * (jitter % 1000) as f64 / 1000.0);
    Some(jittered.max(asked))
}
