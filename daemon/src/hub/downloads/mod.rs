//! The download queue: what was asked for, in which order, and how each stands. Plain state with plain methods that take
//! the time as an argument. What they want committed they leave in `steps`, what the engine is to do in `orders`; the
//! hub takes both, and tells what was committed. `change` is what people ask for, `run` what the engine tells, `view`
//! what is shown.

mod change;
mod run;
mod view;

pub use view::DownloadCounts;

use super::answer;
use super::commit::Step;
use super::handle::{Change, DownloadRequest, Reply};
use super::orders::{Control, Order};
use crate::files::Target;
use crate::limits;
use crate::store::{DownloadRow, LoadedDownloads, Op, Outcome};
use netkit_proto::rpc::call::{Download, DownloadAdded, DownloadState};
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// What follows when the last op of a step is committed.
#[derive(Debug)]
pub(super) enum Follow {
    Added(Box<DownloadRow>, Reply<DownloadAdded>),
    Set(Box<DownloadRow>, Option<Reply<Download>>),
    Started(Box<DownloadRow>),
    Complete(Box<DownloadRow>, oneshot::Sender<()>),
    Limited(u64, u64, Reply<Download>),
    LimitedAll(Option<u64>, Reply<()>),
    Ordered(Vec<(u64, i64)>, Reply<()>),
    Removed(u64, Option<Reply<Download>>),
    Noted,
}

/// What is to become of a download once the engine let go of it.
#[derive(Debug)]
enum Wish {
    Pause,
    Cancel,
    Remove,
}

#[derive(Debug)]
struct Entry {
    row: DownloadRow,
    /// Bytes a second at present.
    rate: u64,
    /// A change of it is being committed; others wait.
    is_committing: bool,
    /// The engine works on it.
    running: Option<watch::Sender<Control>>,
    /// What is to happen as soon as it does not, and who waits for that.
    wish: Option<(Wish, Option<Reply<Download>>)>,
    /// When it is tried again.
    retry: Option<Instant>,
    /// The most bytes that any try had: one that brings no more brought nothing.
    best: u64,
}

impl Entry {
    fn new(row: DownloadRow) -> Entry {
        let best = row.bytes;
        Entry { row, rate: 0, is_committing: false, running: None, wish: None, retry: None, best }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Downloads {
    entries: BTreeMap<u64, Entry>,
    last_id: u64,
    /// Those that may run, by position.
    ready: BTreeSet<(i64, u64)>,
    /// Those that are tried again later.
    waiting: BTreeSet<(Instant, u64)>,
    running: BTreeSet<u64>,
    /// Whose turn is being committed.
    starting: usize,
    counts: BTreeMap<DownloadState, u64>,
    /// What was asked for while another change was under way.
    deferred: VecDeque<(u64, Change, Reply<Download>)>,
    /// The limit of all together, where it is not the configuration's.
    limit: Option<u64>,
    limit_of_config: u64,
    limit_in_force: watch::Sender<u64>,
    pub steps: Vec<Step<Follow>>,
    pub orders: VecDeque<Order>,
}

impl Downloads {
    /// The queue as a starting daemon finds it; what ran when the last one ended runs again.
    pub(super) fn new(
        loaded: LoadedDownloads,
        limit_of_config: u64,
        now: Timestamp,
        instant: Instant,
    ) -> (Downloads, watch::Receiver<u64>) {
        let (limit_in_force, limit) = watch::channel(loaded.limit.unwrap_or(limit_of_config));
        let mut downloads = Downloads {
            entries: BTreeMap::new(),
            last_id: loaded.last_id,
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            starting: 0,
            counts: BTreeMap::new(),
            deferred: VecDeque::new(),
            limit: loaded.limit,
            limit_of_config,
            limit_in_force,
            steps: Vec::new(),
            orders: VecDeque::new(),
        };
        for mut row in loaded.rows {
            if matches!(row.state, DownloadState::Active | DownloadState::Verifying) {
                row.state = DownloadState::Queued;
            }
            let retry = row.retry_at.map(|at| instant + until(now, at));
            downloads.put(Entry { retry, ..Entry::new(row) });
        }
        (downloads, limit)
    }

    /// The configuration is another one.
    pub(super) fn on_config(&mut self, limit: u64) {
        self.limit_of_config = limit;
        self.publish_limit();
    }

    fn publish_limit(&self) {
        let limit = self.limit.unwrap_or(self.limit_of_config);
        self.limit_in_force.send_if_modified(|now| std::mem::replace(now, limit) != limit);
    }

    /// A download is asked for.
    pub(super) fn on_add(&mut self, now: Timestamp, request: DownloadRequest, reply: Reply<DownloadAdded>) {
        let ended: u64 =
            self.counts.iter().filter(|(state, _)| state.is_ended()).map(|(_, count)| count).sum();
        if self.entries.len() as u64 - ended >= limits::DOWNLOADS as u64 {
            let why = format!("{} downloads wait already", limits::DOWNLOADS);
            return answer(reply, Err(Error::new(Kind::Busy, why).hint("netkitctl queue shows them")));
        }
        self.last_id += 1;
        let digest = request.digest();
        let key = request.key.map(|key| (request.uid, key, digest));
        let last = self.entries.values().map(|entry| entry.row.position).max().unwrap_or(0);
        let row = DownloadRow {
            id: self.last_id,
            uid: request.uid,
            position: last + 1,
            source: request.source,
            peer: request.peer,
            root: request.target.root,
            path: request.target.path,
            named: request.named,
            force: request.force,
            checksum: request.checksum.map(|checksum| checksum.to_string()),
            limit: request.limit,
            state: DownloadState::Queued,
            size: None,
            bytes: 0,
            verified: false,
            blake3: None,
            error: None,
            attempts: 0,
            retry_at: None,
            added: now,
            changed: now,
            sources: Vec::new(),
        };
        let op = Op::DownloadAdd { row: Box::new(row.clone()), event: queued(&row), key };
        let follow = Follow::Added(Box::new(row), reply);
        self.steps.push(Step { ops: vec![op], follow, is_asked: true });
    }

    /// A step is committed.
    pub(super) fn on_committed(
        &mut self,
        now: Timestamp,
        instant: Instant,
        follow: Follow,
        outcome: Outcome,
    ) {
        match follow {
            Follow::Added(row, reply) => match outcome {
                Outcome::Repeated(id) => answer(reply, Ok(DownloadAdded { id, repeated: true })),
                Outcome::KeyConflict => answer(reply, Err(key_conflict())),
                _ => {
                    let id = row.id;
                    self.put(Entry::new(*row));
                    answer(reply, Ok(DownloadAdded { id, repeated: false }));
                }
            },
            Follow::Set(row, reply) => {
                let id = row.id;
                self.update(*row);
                self.settled(now, id, reply);
                self.forget_oldest(now);
            }
            Follow::Started(row) => self.started(now, instant, *row, outcome),
            Follow::Complete(row, committed) => {
                let id = row.id;
                self.update(*row);
                let _ = committed.send(()); // a download that was stopped meanwhile does not wait
                self.settled(now, id, None);
            }
            Follow::Limited(id, _, reply) => answer(reply, self.show(id)),
            Follow::LimitedAll(limit, reply) => {
                self.limit = limit;
                self.publish_limit();
                answer(reply, Ok(()));
            }
            Follow::Ordered(places, reply) => {
                for (id, position) in places {
                    if let Some(mut entry) = self.take(id) {
                        entry.row.position = position;
                        self.put(entry);
                    }
                }
                answer(reply, Ok(()));
            }
            Follow::Removed(id, reply) => {
                let entry = self.take(id);
                if let (Some(reply), Some(entry)) = (reply, entry) {
                    answer(reply, Ok(view::of(&entry)));
                }
                self.resume_deferred(now, id);
            }
            Follow::Noted => {}
        }
    }

    /// A step that somebody asked for could not be committed.
    pub(super) fn on_failed(&mut self, now: Timestamp, follow: Follow, error: &Error) {
        match follow {
            Follow::Added(_, reply) => answer(reply, Err(error.clone())),
            Follow::Set(row, Some(reply)) => {
                answer(reply, Err(error.clone()));
                self.stays(now, row.id);
            }
            Follow::Removed(id, Some(reply)) => {
                answer(reply, Err(error.clone()));
                self.stays(now, id);
            }
            Follow::Limited(id, before, reply) => {
                self.set_limit(id, before);
                answer(reply, Err(error.clone()));
            }
            Follow::LimitedAll(_, reply) | Follow::Ordered(_, reply) => answer(reply, Err(error.clone())),
            // Nobody asked for these: they are tried until they succeed.
            Follow::Set(_, None)
            | Follow::Removed(_, None)
            | Follow::Started(_)
            | Follow::Complete(..)
            | Follow::Noted => {}
        }
    }

    /// Nothing of a download is being committed any more: it may have its turn, or what was deferred.
    fn settled(&mut self, now: Timestamp, id: u64, reply: Option<Reply<Download>>) {
        self.released(id);
        if let Some(reply) = reply {
            answer(reply, self.show(id));
        }
        self.resume_deferred(now, id);
    }

    fn released(&mut self, id: u64) {
        if let Some(mut entry) = self.take(id) {
            entry.is_committing = false;
            self.put(entry);
        }
    }

    /// Takes a download out of all lists.
    fn take(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.ready.remove(&(entry.row.position, id));
        if let Some(at) = entry.retry {
            self.waiting.remove(&(at, id));
        }
        self.running.remove(&id);
        *self.counts.entry(entry.row.state).or_default() -= 1;
        Some(entry)
    }

    /// Puts a download into the lists that it belongs to.
    fn put(&mut self, entry: Entry) {
        let id = entry.row.id;
        *self.counts.entry(entry.row.state).or_default() += 1;
        if entry.running.is_some() {
            self.running.insert(id);
        } else if !entry.is_committing && entry.wish.is_none() {
            match (entry.row.state, entry.retry) {
                (DownloadState::RetryWait, Some(at)) => drop(self.waiting.insert((at, id))),
                (DownloadState::Queued | DownloadState::RetryWait, _) => {
                    self.ready.insert((entry.row.position, id));
                }
                _ => {}
            }
        }
        self.entries.insert(id, entry);
    }

    /// A download stands otherwise; its place is changed by [`Follow::Ordered`] alone, its sources by the engine.
    fn update(&mut self, row: DownloadRow) {
        if let Some(entry) = self.take(row.id) {
            let (position, sources) = (entry.row.position, entry.row.sources);
            self.put(Entry { row: DownloadRow { position, sources, ..row }, ..entry });
        }
    }

    /// Ended downloads beyond those that are remembered go, the oldest first; of those that failed there may be
    /// something to go on with, so they go last.
    fn forget_oldest(&mut self, now: Timestamp) {
        let ended: u64 =
            self.counts.iter().filter(|(state, _)| state.is_ended()).map(|(_, count)| count).sum();
        if ended <= limits::DOWNLOADS_ENDED as u64 {
            return;
        }
        let idle =
            |entry: &&Entry| entry.row.state.is_ended() && entry.wish.is_none() && !entry.is_committing;
        let oldest =
            self.entries.values().filter(idle).min_by_key(|entry| {
                (entry.row.state == DownloadState::Failed, entry.row.changed, entry.row.id)
            });
        if let Some(id) = oldest.map(|entry| entry.row.id) {
            self.remove(now, id, None);
        }
    }
}

/// How long until `at`, as far as it can be a pause of ours: a clock that jumped must not hold up a download.
fn until(now: Timestamp, at: Timestamp) -> Duration {
    let millis = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
    Duration::from_millis(millis).min(limits::FETCH_RETRY_ASKED)
}

/// Where a download goes.
fn target(row: &DownloadRow) -> Target {
    Target { root: row.root.clone(), path: row.path.clone() }
}

fn shown_path(row: &DownloadRow) -> String {
    target(row).shown().display().to_string()
}

fn queued(row: &DownloadRow) -> Event {
    Event::DownloadQueued { download: row.id, source: row.source.clone(), path: shown_path(row) }
}

fn not_found(id: u64, last_id: u64) -> Error {
    let why = if (1..=last_id).contains(&id) {
        format!("download {id} was removed, or ended so long ago that it is forgotten")
    } else {
        format!("there is no download {id}")
    };
    Error::new(Kind::NotFound, why).hint("netkitctl queue shows them")
}

fn key_conflict() -> Error {
    Error::new(Kind::KeyConflict, "this key was used before for something else")
        .hint("a key stands for one download; use a new key for a new one")
}

#[cfg(test)]
mod tests;
