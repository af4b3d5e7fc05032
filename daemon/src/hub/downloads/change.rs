//! What people ask of downloads. A change that must wait for the engine is kept as a wish, one that meets another
//! change is deferred: each is answered when it has happened.

use super::{Downloads, Entry, Follow, Step, Wish, not_found, queued, target, view};
use crate::hub::answer;
use crate::hub::handle::{Change, Reply};
use crate::hub::orders::{Control, Order};
use crate::store::{DownloadRow, Op};
use netkit_proto::rpc::call::{Download, DownloadState, Place};
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;

impl Downloads {
    /// A download is to be changed.
    pub(in crate::hub) fn on_change(
        &mut self,
        now: Timestamp,
        id: u64,
        change: Change,
        reply: Reply<Download>,
    ) {
        use DownloadState::{Active, Cancelled, Done, Failed, Paused, Queued, RetryWait, Verifying};
        let Some(entry) = self.entries.get_mut(&id) else {
            return answer(reply, Err(not_found(id, self.last_id)));
        };
        if entry.is_committing || entry.wish.is_some() {
            self.deferred.push_back((id, change, reply));
            return;
        }
        let state = entry.row.state;
        match (change, state) {
            (Change::Limit(limit), _) => self.limit(id, limit, reply),
            (Change::Pause, Paused)
            | (Change::Resume, Queued | Active | Verifying | RetryWait)
            | (Change::Retry, Queued | Active | Verifying)
            | (Change::Cancel, Cancelled) => answer(reply, Ok(view::of(entry))),
            (Change::Pause, Queued | Active | Verifying | RetryWait) => {
                if entry.running.is_some() {
                    return self.wish(id, Wish::Pause, reply);
                }
                let row = DownloadRow { state: Paused, retry_at: None, changed: now, ..entry.row.clone() };
                self.set(row, Event::DownloadPaused { download: id }, Some(reply));
            }
            (Change::Resume, Paused) | (Change::Retry, Failed | Cancelled) => {
                let row = DownloadRow {
                    state: Queued,
                    error: None,
                    attempts: 0,
                    retry_at: None,
                    verified: false,
                    blake3: None,
                    changed: now,
                    ..entry.row.clone()
                };
                let event = queued(&row);
                self.set(row, event, Some(reply));
            }
            (Change::Retry, RetryWait) => {
                let shown = view::of(entry);
                if let Some(mut entry) = self.take(id) {
                    entry.retry = None;
                    self.put(entry);
                }
                answer(reply, Ok(shown));
            }
            (Change::Cancel, Queued | Active | Verifying | Paused | RetryWait | Failed) => {
                self.wish(id, Wish::Cancel, reply);
            }
            (Change::Remove, _) => self.remove(now, id, Some(reply)),
            (Change::Resume | Change::Pause, Done | Failed | Cancelled)
            | (Change::Retry, Paused | Done)
            | (Change::Cancel, Done) => answer(reply, Err(refused(id, change, state))),
        }
    }

    /// Takes a download off the list; what came of one that is not complete is deleted first.
    pub(super) fn remove(&mut self, now: Timestamp, id: u64, reply: Option<Reply<Download>>) {
        let Some(mut entry) = self.take(id) else { return };
        if entry.row.state == DownloadState::Done {
            entry.is_committing = true;
            self.put(entry);
            self.removed(now, id, reply);
            return;
        }
        entry.wish = Some((Wish::Remove, reply));
        self.stop_or_discard(entry);
    }

    fn wish(&mut self, id: u64, wish: Wish, reply: Reply<Download>) {
        if let Some(mut entry) = self.take(id) {
            entry.wish = Some((wish, Some(reply)));
            self.stop_or_discard(entry);
        }
    }

    fn stop_or_discard(&mut self, entry: Entry) {
        match &entry.running {
            Some(control) => control.send_modify(|control| control.stop = true),
            None => self.orders.push_back(Order::Discard(entry.row.id, target(&entry.row))),
        }
        self.put(entry);
    }

    /// Wants a change of a download's state committed.
    pub(super) fn set(&mut self, row: DownloadRow, event: Event, reply: Option<Reply<Download>>) {
        let ops = vec![Op::DownloadSet(Box::new(row.clone())), Op::Append(row.changed, event)];
        self.step(ops, row, reply);
    }

    /// Wants ops committed after which a download is this.
    pub(super) fn step(&mut self, ops: Vec<Op>, row: DownloadRow, reply: Option<Reply<Download>>) {
        self.committing(row.id);
        let is_asked = reply.is_some();
        self.steps.push(Step { ops, follow: Follow::Set(Box::new(row), reply), is_asked });
    }

    pub(super) fn committing(&mut self, id: u64) {
        if let Some(mut entry) = self.take(id) {
            entry.is_committing = true;
            self.put(entry);
        }
    }

    /// Wants it committed that a download is gone.
    pub(super) fn removed(&mut self, now: Timestamp, id: u64, reply: Option<Reply<Download>>) {
        let ops = vec![Op::DownloadRemove(id), Op::Append(now, Event::DownloadRemoved { download: id })];
        let is_asked = reply.is_some();
        self.steps.push(Step { ops, follow: Follow::Removed(id, reply), is_asked });
    }

    /// The limit holds at once; should it not be committed, it is taken back.
    fn limit(&mut self, id: u64, limit: u64, reply: Reply<Download>) {
        let Some(before) = self.set_limit(id, limit) else {
            return answer(reply, Err(not_found(id, self.last_id)));
        };
        let Some(entry) = self.entries.get(&id) else { return };
        let ops = vec![Op::DownloadSet(Box::new(entry.row.clone()))];
        self.steps.push(Step { ops, follow: Follow::Limited(id, before, reply), is_asked: true });
    }

    /// Gives the limit of before.
    pub(super) fn set_limit(&mut self, id: u64, limit: u64) -> Option<u64> {
        let entry = self.entries.get_mut(&id)?;
        if let Some(control) = &entry.running {
            control.send_modify(|control: &mut Control| control.limit = limit);
        }
        Some(std::mem::replace(&mut entry.row.limit, limit))
    }

    /// All downloads together are to be limited; `None`: as the configuration says.
    pub(in crate::hub) fn on_limit(&mut self, limit: Option<u64>, reply: Reply<()>) {
        let follow = Follow::LimitedAll(limit, reply);
        self.steps.push(Step { ops: vec![Op::DownloadLimit(limit)], follow, is_asked: true });
    }

    /// A download is to have another place.
    pub(in crate::hub) fn on_move(&mut self, id: u64, place: Place, reply: Reply<()>) {
        match self.places(id, place) {
            Err(error) => answer(reply, Err(error)),
            Ok(places) => {
                let ops = vec![Op::DownloadOrder(places.clone())];
                self.steps.push(Step { ops, follow: Follow::Ordered(places, reply), is_asked: true });
            }
        }
    }

    /// The positions that change when a download goes to a place.
    fn places(&self, id: u64, place: Place) -> Result<Vec<(u64, i64)>, Error> {
        let position = |id: u64| {
            self.entries.get(&id).map(|entry| entry.row.position).ok_or_else(|| not_found(id, self.last_id))
        };
        position(id)?;
        let positions = || self.entries.values().map(|entry| entry.row.position);
        match place {
            Place::First => Ok(vec![(id, positions().min().unwrap_or(0) - 1)]),
            Place::Last => Ok(vec![(id, positions().max().unwrap_or(0) + 1)]),
            Place::Before(other) | Place::After(other) => {
                position(other)?;
                let mut order: Vec<(i64, u64)> =
                    self.entries.values().map(|entry| (entry.row.position, entry.row.id)).collect();
                order.sort_unstable();
                order.retain(|(_, each)| *each != id || id == other);
                let at = order.iter().position(|(_, each)| *each == other).unwrap_or(0);
                if id != other {
                    order.insert(at + usize::from(matches!(place, Place::After(_))), (i64::MIN, id));
                }
                let places = order.into_iter().zip(0..).filter(|((was, _), is)| was != is);
                Ok(places.map(|((_, id), position)| (id, position)).collect())
            }
        }
    }

    /// What was asked for while another change of this download was under way, up to the next that takes its time.
    pub(super) fn resume_deferred(&mut self, now: Timestamp, id: u64) {
        let is_busy = |entry: &Entry| entry.is_committing || entry.wish.is_some();
        while !self.entries.get(&id).is_some_and(is_busy)
            && let Some(at) = self.deferred.iter().position(|(of, ..)| *of == id)
            && let Some((id, change, reply)) = self.deferred.remove(at)
        {
            self.on_change(now, id, change, reply);
        }
    }
}

fn refused(id: u64, change: Change, state: DownloadState) -> Error {
    let (what, hint) = match (change, state) {
        (Change::Retry, DownloadState::Paused) => ("retried", format!("netkitctl queue resume {id}")),
        (Change::Cancel, _) => {
            ("cancelled", format!("netkitctl queue remove {id} takes it off the list; the file stays"))
        }
        (Change::Retry, _) => ("retried", "get it again for another copy".to_owned()),
        (Change::Pause, _) => ("paused", format!("netkitctl queue show {id}")),
        (_, DownloadState::Done) => ("resumed", format!("netkitctl queue show {id}")),
        _ => ("resumed", format!("netkitctl queue retry {id}")),
    };
    Error::new(Kind::Refused, format_args!("download {id} is {state} and can't be {what}")).hint(hint)
}
