//! What the hub gives the store and what follows when that is committed, or is not: state changes, answers and
//! publications come after the commit, never before.

use super::downloads::Follow;
use super::handle::{CursorOf, Queued, Reply};
use super::{Hub, answer, now, peers};
use crate::files::Share;
use crate::limits;
use crate::store::{Completion, CursorRow, JobAnswer, Op, Order, Outcome, Outgoing, Request, StoreError};
use netkit_proto::ids::Seq;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::Instant;

/// What to do when an op is committed, or failed.
#[derive(Debug)]
pub(super) enum Then {
    Nothing,
    Received,
    Queued { address: SocketAddr, datagram: Vec<u8>, expires: Timestamp, reply: Reply<Queued> },
    Settled { message: Seq, sent: bool },
    CursorOpened(CursorOf, Reply<Option<CursorRow>>),
    CursorDone(CursorOf, Reply<()>),
    CursorsListed(u32, Reply<Vec<(CursorRow, bool)>>),
    ShareAdded(Share, Reply<()>),
    ShareRemoved(String, Reply<()>),
    Kept(Reply<()>),
    Download(Box<Follow>),
    Peer(Box<peers::Follow>),
}

/// A job of the store, and what follows from each of its ops.
#[derive(Debug)]
pub(super) struct Job {
    pub then: Vec<Then>,
    /// [`Order::Free`] or [`Order::Behind`]: somebody waits for an answer. Else it is tried again until it succeeds, all such
    /// jobs in their order, and nothing more is taken in meanwhile.
    pub order: Order,
}

/// What a part of the hub wants committed, and what follows from its last op.
#[derive(Debug)]
pub(super) struct Step<F> {
    pub ops: Vec<Op>,
    pub follow: F,
    /// Somebody waits for it, and is told where it fails; else it must succeed.
    pub is_asked: bool,
}

impl Hub {
    /// Has a part's steps committed, each by itself. A row says how a peer or a download stands at last: no older one may come
    /// behind what somebody asked for.
    pub(super) fn submit_steps<F>(
        &mut self,
        steps: Vec<Step<F>>,
        then: impl Fn(Box<F>) -> Then,
    ) -> Result<(), StoreError> {
        for step in steps {
            let mut follows: Vec<Then> = step.ops.iter().map(|_| Then::Nothing).collect();
            if let Some(last) = follows.last_mut() {
                *last = then(Box::new(step.follow));
            }
            let order = if step.is_asked { Order::Behind } else { Order::After };
            self.submit(step.ops, Job { then: follows, order })?;
        }
        Ok(())
    }

    pub(super) fn submit(&mut self, ops: Vec<Op>, job: Job) -> Result<(), StoreError> {
        if ops.is_empty() {
            return Ok(());
        }
        if job.order == Order::After && !self.is_sound() {
            self.stalled.push_back((ops, job));
            return Ok(());
        }
        if job.order == Order::Behind && !self.is_sound() {
            let failed = self.failed.clone().unwrap_or(StoreError::Stopped);
            job.then.into_iter().for_each(|then| self.on_failed(then, &failed));
            return Ok(());
        }
        let order = job.order;
        self.rows += rows(&ops);
        self.pending.push_back(job);
        self.writer.submit(Request { ops, order })
    }

    /// Tries the first job again that failed and must succeed, unless it is being tried.
    pub(super) fn retry(&mut self) -> Result<(), StoreError> {
        if self.retrying {
            return Ok(());
        }
        let Some((ops, job)) = self.stalled.pop_front() else { return Ok(()) };
        self.retrying = true;
        self.submit(ops, Job { order: Order::Again, ..job })
    }

    pub(super) fn submit_one(&mut self, op: Op, then: Then) -> Result<(), StoreError> {
        self.submit(vec![op], Job { then: vec![then], order: Order::Free })
    }

    pub(super) fn on_completion(&mut self, completion: Completion) -> Result<(), StoreError> {
        self.snapshot.log = completion.stats;
        let outcomes = completion.answers.iter().filter_map(|answer| answer.result.as_ref().ok()).flatten();
        let appended = outcomes.filter_map(|outcome| match outcome {
            Outcome::Appended(entry) | Outcome::Posted(entry, _) => Some(Arc::clone(entry)),
            _ => None,
        });
        self.feed.publish(appended);
        completion.answers.into_iter().try_for_each(|answer| self.on_answer(answer))
    }

    fn on_answer(&mut self, JobAnswer { result, ops }: JobAnswer) -> Result<(), StoreError> {
        let Some(job) = self.pending.pop_front() else { return Ok(()) };
        self.rows -= rows(&ops);
        let was_retry = job.order == Order::Again;
        self.retrying &= !was_retry;
        match result {
            Ok(outcomes) => {
                let wrote = outcomes
                    .iter()
                    .any(|o| !matches!(o, Outcome::Cursor(_) | Outcome::Cursors(_) | Outcome::Part(_)));
                if wrote && self.is_sound() && self.snapshot.trouble.take().is_some() {
                    tracing::info!("the store works again");
                }
                for (then, outcome) in job.then.into_iter().zip(outcomes) {
                    self.on_committed(then, outcome);
                }
                if was_retry {
                    self.retry()?; // it went through: the next one need not wait for the tick
                }
            }
            Err(error) => {
                let trouble = error.to_string();
                if self.snapshot.trouble.as_ref() != Some(&trouble) {
                    tracing::error!(%error, "the store fails; nothing is acknowledged until it works again");
                }
                self.snapshot.trouble = Some(trouble);
                self.failed = Some(error.clone());
                match job.order {
                    Order::Free | Order::Behind => {
                        job.then.into_iter().for_each(|then| self.on_failed(then, &error))
                    }
                    Order::After => self.stalled.push_back((ops, job)),
                    Order::Again => self.stalled.push_front((ops, job)),
                }
            }
        }
        Ok(())
    }

    /// Whether nothing waits for being tried again.
    pub(super) fn is_sound(&self) -> bool {
        self.stalled.is_empty() && !self.retrying
    }

    fn on_committed(&mut self, then: Then, outcome: Outcome) {
        match (then, outcome) {
            (Then::Received, _) => self.snapshot.received += 1,
            (Then::Queued { address, datagram, expires, reply }, Outcome::Appended(entry)) => {
                self.chat.outbox.insert(Outgoing { message: entry.seq, address, datagram, expires });
                answer(reply, Ok(Queued { id: entry.seq, repeated: false, to: Vec::new() }));
            }
            (Then::Queued { reply, .. }, Outcome::Repeated(id)) => {
                answer(reply, Ok(Queued { id: Seq(id), repeated: true, to: Vec::new() }))
            }
            (Then::Queued { reply, .. }, _) => answer(reply, Err(key_conflict())),
            (Then::Settled { message, sent }, _) => {
                self.snapshot.sent += u64::from(sent);
                self.chat.outbox.settled(message);
            }
            (Then::CursorOpened(_, reply), Outcome::Cursor(row)) => answer(reply, Ok(row)),
            (Then::CursorsListed(uid, reply), Outcome::Cursors(rows)) => {
                let held = |row: &CursorRow| self.leases.is_held(uid, &row.name);
                answer(reply, Ok(rows.into_iter().map(|row| (row.clone(), held(&row))).collect()));
            }
            (Then::CursorDone(_, reply), Outcome::Done(true)) => answer(reply, Ok(())),
            (Then::CursorDone(cursor, reply), Outcome::Done(false)) => {
                answer(
                    reply,
                    Err(Error::new(Kind::NotFound, format_args!("there is no cursor {}", cursor.name))),
                );
            }
            (Then::CursorDone(_, reply), _) => answer(reply, Err(too_many_cursors())),
            (Then::ShareAdded(share, reply), _) => {
                self.shares.added(share);
                answer(reply, Ok(()));
            }
            (Then::ShareRemoved(name, reply), _) => {
                self.shares.removed(&name);
                answer(reply, Ok(()));
            }
            (Then::Kept(reply), _) => answer(reply, Ok(())),
            (Then::Download(follow), outcome) => {
                self.downloads.on_committed(now(), Instant::now(), *follow, outcome);
            }
            (Then::Peer(follow), outcome) => {
                self.peers.on_committed(now(), Instant::now(), *follow, outcome);
            }
            (Then::Nothing | Then::CursorOpened(..) | Then::CursorsListed(..), _) => {}
        }
    }

    /// An op was not committed: its asker is told.
    fn on_failed(&mut self, then: Then, why: &StoreError) {
        match then {
            Then::Queued { reply, .. } => answer(reply, Err(store_failed(why))),
            Then::CursorOpened(cursor, reply) => {
                // Its session may have left, and another one may have taken the cursor since.
                if self.leases.check(&cursor).is_ok() {
                    self.leases.release(&cursor);
                }
                answer(reply, Err(store_failed(why)));
            }
            Then::CursorDone(_, reply) => answer(reply, Err(store_failed(why))),
            Then::ShareAdded(Share { name, .. }, reply) | Then::ShareRemoved(name, reply) => {
                self.shares.failed(&name);
                answer(reply, Err(store_failed(why)));
            }
            Then::CursorsListed(_, reply) => answer(reply, Err(store_failed(why))),
            Then::Kept(reply) => answer(reply, Err(store_failed(why))),
            Then::Download(follow) => self.downloads.on_failed(now(), *follow, &store_failed(why)),
            Then::Peer(follow) => self.peers.on_failed(Instant::now(), *follow, &store_failed(why)),
            Then::Nothing | Then::Received | Then::Settled { .. } => {}
        }
    }
}

/// What ops count for as work ahead: a row each, and one more for each KiB that somebody said, as a bound on memory.
fn rows(ops: &[Op]) -> usize {
    let more = |op: &Op| match op {
        Op::Append(_, Event::Received { text, .. }) => text.len() / 1024,
        _ => 0,
    };
    ops.iter().map(|op| 1 + more(op)).sum()
}

/// What an asker is told when the store failed.
fn store_failed(why: &StoreError) -> Error {
    match why {
        StoreError::NoSpace => {
            Error::new(Kind::NoSpace, why).hint("make room on the disk that holds state_dir")
        }
        StoreError::Stopped => Error::new(Kind::Unavailable, why),
        _ => Error::new(Kind::Unavailable, why).hint("look into netkitd's log: journalctl -u netkitd"),
    }
}

pub(super) fn key_conflict() -> Error {
    Error::new(Kind::KeyConflict, "this key was used before for another message")
        .hint("a key stands for one message; use a new key for a new one")
}

fn too_many_cursors() -> Error {
    Error::new(Kind::Busy, format_args!("you have {} cursors already", limits::CURSORS_PER_USER))
        .hint("remove one: netkitctl rpc cursors.remove '{\"name\":\"…\"}'")
}
