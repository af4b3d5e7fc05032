//! The hub: one task that owns all mutable state and the store's writer. Edges send it commands and input; it
//! commits, then changes its state, answers, and publishes. It awaits nothing but its channels: the store answers
//! over one of them. Names no module of the edges.

mod chat;
mod cursors;
pub mod feed;
pub mod handle;

use crate::config::Config;
use crate::limits;
use crate::store::{Completion, Loaded, Op, Outcome, Outgoing, Retention, StoreError, Writer};
use feed::Feed;
use handle::{ChatInput, Command, CursorOf, Datagram, HubHandle, Queued, Reply, Snapshot};
use netkit_proto::ids::Seq;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::time::Timestamp;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// What to do when an op is committed, or failed.
#[derive(Debug)]
enum Then {
    Nothing,
    Heard(chat::Heard),
    Queued { address: SocketAddr, datagram: Vec<u8>, expires: Timestamp, reply: Reply<Queued> },
    Settled { message: Seq, sent: bool },
    CursorOpened(CursorOf, Reply<Option<crate::store::CursorRow>>),
    CursorDone(CursorOf, Reply<()>),
    CursorsListed(u32, Reply<Vec<(crate::store::CursorRow, bool)>>),
}

/// A job of the store, and what follows from each of its ops.
#[derive(Debug)]
struct Job {
    then: Vec<Then>,
    /// Nobody waits for an answer: it is tried again until it succeeds, and nothing more is taken in meanwhile.
    must_succeed: bool,
}

/// The hub's state. Made by [`Hub::new`], run by [`Hub::run`].
#[derive(Debug)]
pub struct Hub {
    config: watch::Receiver<Arc<Config>>,
    writer: Writer,
    completions: mpsc::Receiver<Completion>,
    commands: mpsc::Receiver<Command>,
    chat_input: mpsc::Receiver<ChatInput>,
    datagrams: mpsc::Sender<Datagram>,
    feed: Arc<Feed>,
    published: watch::Sender<Snapshot>,

    snapshot: Snapshot,
    chat: chat::Chat,
    leases: cursors::Leases,
    /// Jobs that the store works on, in their order.
    pending: VecDeque<Job>,
    /// Jobs that failed and must succeed.
    stalled: VecDeque<(Vec<Op>, Job)>,
}

/// The ends of the hub's channels that the edges hold.
#[derive(Debug)]
pub struct Ends {
    /// For sessions of the control socket.
    pub handle: HubHandle,
    /// For the chat socket: what it tells.
    pub chat_input: mpsc::Sender<ChatInput>,
    /// For the chat socket: what it is to send.
    pub datagrams: mpsc::Receiver<Datagram>,
    /// For whoever follows the log.
    pub feed: Arc<Feed>,
    /// For whoever asks how the hub is.
    pub snapshot: watch::Receiver<Snapshot>,
}

/// The log's limits in a configuration.
#[must_use]
pub fn retention(config: &Config) -> Retention {
    let limits = &config.retention;
    Retention { age: limits.age, messages: limits.messages, size: limits.size }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

impl Hub {
    /// A hub on a store that was opened, and the edges' ends of its channels.
    #[must_use]
    pub fn new(
        config: watch::Receiver<Arc<Config>>,
        writer: Writer,
        completions: mpsc::Receiver<Completion>,
        loaded: Loaded,
    ) -> (Hub, Ends) {
        let (handle, commands) = HubHandle::channel();
        let (chat_sender, chat_input) = mpsc::channel(2); // batches; what waits longer waits in the fair queue
        let (datagrams, datagram_queue) = mpsc::channel(limits::SENDS_IN_FLIGHT);
        let feed = Arc::new(Feed::new(loaded.stats.head));
        let chat = chat::Chat::new(loaded.outbox, &loaded.conversations);
        let snapshot = Snapshot { log: loaded.stats, queued: chat.queued() as u64, ..Snapshot::default() };
        let (published, snapshots) = watch::channel(snapshot.clone());
        let ends = Ends {
            handle,
            chat_input: chat_sender,
            datagrams: datagram_queue,
            feed: Arc::clone(&feed),
            snapshot: snapshots,
        };
        let hub = Hub {
            config,
            writer,
            completions,
            commands,
            chat_input,
            datagrams,
            feed,
            published,
            snapshot,
            chat,
            leases: cursors::Leases::default(),
            pending: VecDeque::new(),
            stalled: VecDeque::new(),
        };
        (hub, ends)
    }

    /// Works until every edge let go of its ends and all is committed; then gives the writer back to be joined.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] where the store's thread ended by itself.
    pub async fn run(mut self) -> Result<Writer, StoreError> {
        let mut tick = tokio::time::interval(limits::HUB_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut sessions_gone, mut chat_gone) = (false, false);
        loop {
            self.hand_over_datagrams();
            self.publish();
            // Room for one job per message taken in, and for one per datagram that is on its way.
            let room = self.pending.len() + limits::STORE_JOBS / 4 < limits::STORE_JOBS;
            let may_hear = room && (self.stalled.is_empty() || sessions_gone);
            let ended = sessions_gone && chat_gone;
            if ended && self.pending.is_empty() {
                break;
            }
            tokio::select! {
                completion = self.completions.recv() => match completion {
                    Some(completion) => self.on_completion(completion),
                    None => return Err(StoreError::Stopped),
                },
                command = self.commands.recv(), if room && !sessions_gone => match command {
                    Some(command) => self.on_command(command)?,
                    None => sessions_gone = true,
                },
                input = self.chat_input.recv(), if may_hear && !chat_gone => match input {
                    Some(input) => self.on_chat(input)?,
                    None => chat_gone = true,
                },
                _ = tick.tick(), if !ended => self.on_tick()?,
                Ok(()) = self.config.changed(), if !ended => self.on_config()?,
            }
        }
        let lost: usize = self.stalled.iter().map(|(ops, _)| ops.len()).sum();
        if lost > 0 {
            tracing::error!(events = lost, "stopped while the store failed; these were not stored");
        }
        Ok(self.writer)
    }

    fn submit(&mut self, ops: Vec<Op>, job: Job) -> Result<(), StoreError> {
        if ops.is_empty() {
            return Ok(());
        }
        self.pending.push_back(job);
        self.writer.submit(ops)
    }

    fn submit_one(&mut self, op: Op, then: Then) -> Result<(), StoreError> {
        self.submit(vec![op], Job { then: vec![then], must_succeed: false })
    }

    fn on_command(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Send(send, reply) => {
                let encoding = self.config.borrow().chat.plain_encoding;
                match self.chat.on_send(now(), encoding, send) {
                    Ok(op) => self.queue(op, reply),
                    Err(error) => Ok(answer(reply, Err(error))),
                }
            }
            Command::CursorOpen(cursor, reply) => match self.leases.take(&cursor) {
                Ok(()) => {
                    let op = Op::CursorRead(cursor.uid, cursor.name.clone());
                    self.submit_one(op, Then::CursorOpened(cursor, reply))
                }
                Err(error) => Ok(answer(reply, Err(error))),
            },
            Command::CursorCommit(cursor, seq, reply) => match self.leases.check(&cursor) {
                Ok(()) => {
                    let op = Op::CursorMove(now(), cursor.uid, cursor.name.clone(), seq);
                    self.submit_one(op, Then::CursorDone(cursor, reply))
                }
                Err(error) => Ok(answer(reply, Err(error))),
            },
            Command::CursorClose(cursor, reply) => {
                let held = self.leases.check(&cursor);
                if held.is_ok() {
                    self.leases.release(&cursor);
                }
                Ok(answer(reply, held))
            }
            Command::CursorRemove(cursor, reply) => match self.leases.check_free(&cursor) {
                Ok(()) => {
                    self.leases.release(&cursor);
                    let op = Op::CursorRemove(cursor.uid, cursor.name.clone());
                    self.submit_one(op, Then::CursorDone(cursor, reply))
                }
                Err(error) => Ok(answer(reply, Err(error))),
            },
            Command::CursorList(uid, reply) => {
                self.submit_one(Op::CursorList(uid), Then::CursorsListed(uid, reply))
            }
            Command::SessionEnded(session) => {
                self.leases.release_all(session);
                Ok(())
            }
        }
    }

    fn queue(&mut self, op: Op, reply: Reply<Queued>) -> Result<(), StoreError> {
        let Op::Queue { address, ref datagram, expires, .. } = op else { return Ok(()) };
        let then = Then::Queued { address, datagram: datagram.clone(), expires, reply };
        self.submit_one(op, then)
    }

    fn on_chat(&mut self, input: ChatInput) -> Result<(), StoreError> {
        let now = now();
        let (mut ops, mut then) = (Vec::new(), Vec::new());
        ops.reserve(input.lines.len());
        for line in input.lines {
            let heard = self.chat.on_line(now, line, |op| ops.push(op));
            then.push(Then::Heard(heard));
            then.resize_with(ops.len(), || Then::Nothing);
        }
        for (message, result) in input.sent {
            if let Some(op) = self.chat.on_sent(now, message, &result) {
                ops.push(op);
                then.push(Then::Settled { message, sent: result.is_ok() });
            }
        }
        self.submit(ops, Job { then, must_succeed: true })
    }

    fn on_tick(&mut self) -> Result<(), StoreError> {
        let expired = self.chat.on_tick(now());
        let settled = |op: &Op| match *op {
            Op::Settle(_, message, _) => Then::Settled { message, sent: false },
            _ => Then::Nothing,
        };
        let then = expired.iter().map(settled).collect();
        self.submit(expired, Job { then, must_succeed: true })?;
        if let Some((ops, job)) = self.stalled.pop_front() {
            self.submit(ops, job)?;
        }
        Ok(())
    }

    fn on_config(&mut self) -> Result<(), StoreError> {
        let retention = retention(&self.config.borrow_and_update());
        self.submit(vec![Op::Retain(retention)], Job { then: vec![Then::Nothing], must_succeed: true })
    }

    fn on_completion(&mut self, completion: Completion) {
        self.snapshot.log = completion.stats;
        let Some(job) = self.pending.pop_front() else { return };
        match completion.result {
            Ok(outcomes) => {
                if self.snapshot.trouble.take().is_some() {
                    tracing::info!("the store works again");
                }
                let appended = outcomes.iter().filter_map(|outcome| match outcome {
                    Outcome::Appended(entry) => Some(Arc::clone(entry)),
                    _ => None,
                });
                self.feed.publish(appended);
                let now = now();
                for (then, outcome) in job.then.into_iter().zip(outcomes) {
                    self.on_committed(now, then, outcome);
                }
                // One that was stalled went through: the next ones need not wait for the tick.
                if let Some((ops, job)) = self.stalled.pop_front()
                    && let Err(error) = self.submit(ops, job)
                {
                    tracing::error!(%error, "the store is gone");
                }
            }
            Err((error, ops)) => {
                let trouble = error.to_string();
                if self.snapshot.trouble.as_ref() != Some(&trouble) {
                    tracing::error!(%error, "the store fails; nothing is acknowledged until it works again");
                }
                self.snapshot.trouble = Some(trouble);
                if job.must_succeed {
                    self.stalled.push_back((ops, job));
                } else {
                    job.then.into_iter().for_each(|then| self.on_failed(then, &error));
                }
            }
        }
    }

    fn on_committed(&mut self, now: Timestamp, then: Then, outcome: Outcome) {
        match (then, outcome) {
            (Then::Heard(heard), _) => {
                self.snapshot.received += 1;
                self.chat.heard(now, heard);
            }
            (Then::Queued { address, datagram, expires, reply }, Outcome::Appended(entry)) => {
                self.chat.queue(Outgoing { message: entry.seq, address, datagram, expires });
                answer(reply, Ok(Queued { id: entry.seq, repeated: false }));
            }
            (Then::Queued { reply, .. }, Outcome::Repeated(id)) => {
                answer(reply, Ok(Queued { id, repeated: true }))
            }
            (Then::Queued { reply, .. }, _) => answer(reply, Err(key_conflict())),
            (Then::Settled { message, sent }, _) => {
                self.snapshot.sent += u64::from(sent);
                self.chat.settled(message);
            }
            (Then::CursorOpened(_, reply), Outcome::Cursor(row)) => answer(reply, Ok(row)),
            (Then::CursorsListed(uid, reply), Outcome::Cursors(rows)) => {
                let held = |row: &crate::store::CursorRow| self.leases.is_held(uid, &row.name);
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
            (Then::Nothing | Then::CursorOpened(..) | Then::CursorsListed(..), _) => {}
        }
    }

    /// An op was not committed: its asker is told.
    fn on_failed(&mut self, then: Then, why: &StoreError) {
        match then {
            Then::Queued { reply, .. } => answer(reply, Err(store_failed(why))),
            Then::CursorOpened(cursor, reply) => {
                self.leases.release(&cursor);
                answer(reply, Err(store_failed(why)));
            }
            Then::CursorDone(_, reply) => answer(reply, Err(store_failed(why))),
            Then::CursorsListed(_, reply) => answer(reply, Err(store_failed(why))),
            Then::Nothing | Then::Heard(_) | Then::Settled { .. } => {}
        }
    }

    /// Gives the chat socket as many datagrams as it takes.
    fn hand_over_datagrams(&mut self) {
        while let Ok(permit) = self.datagrams.try_reserve() {
            let Some(datagram) = self.chat.next_datagram() else { break };
            permit.send(datagram);
        }
    }

    fn publish(&mut self) {
        self.snapshot.queued = self.chat.queued() as u64;
        if *self.published.borrow() != self.snapshot {
            self.published.send_replace(self.snapshot.clone());
        }
    }
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

/// Answers, if the asker is still there.
fn answer<T>(reply: Reply<T>, result: Result<T, Error>) {
    let _ = reply.send(result);
}

fn key_conflict() -> Error {
    Error::new(Kind::KeyConflict, "this key was used before for another message")
        .hint("a key stands for one message; use a new key for a new one")
}

fn too_many_cursors() -> Error {
    Error::new(Kind::Busy, format_args!("you have {} cursors already", limits::CURSORS_PER_USER))
        .hint("remove one: netkitctl rpc cursors.remove '{\"name\":\"…\"}'")
}
