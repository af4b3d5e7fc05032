//! The hub: one task that owns all mutable state and the store's writer. Edges send it commands and input; it
//! commits, then changes its state, answers, and publishes. It awaits nothing but its channels: the store answers
//! over one of them. Names no module of the edges.

mod chat;
mod command;
mod commit;
pub mod content;
mod conversations;
mod cursors;
mod downloads;
pub mod feed;
pub mod handle;
pub mod links;
pub mod orders;
mod outbox;
mod peers;
mod shares;
pub mod trust;
mod turn;

use crate::config::Config;
use crate::files::Shares;
use crate::limits;
use crate::store::{Completion, Loaded, Op, Order, Retention, StoreError, Writer};
use commit::{Job, Then};
use content::{ContentReport, Sought};
use feed::Feed;
use handle::{ChatInput, Command, Datagram, HubHandle, Reply, Snapshot};
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::code::Error;
use netkit_proto::time::Timestamp;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

// A command makes two jobs at most; the rest is for datagrams that are on their way, and for what becomes due.
const _: () = assert!(4 * limits::HUB_TURN <= limits::STORE_JOBS / 4);

/// The hub's state. Made by [`Hub::new`], run by [`Hub::run`].
#[derive(Debug)]
pub struct Hub {
    config: watch::Receiver<Arc<Config>>,
    writer: Writer,
    completions: mpsc::Receiver<Completion>,
    commands: mpsc::Receiver<Command>,
    chat_input: mpsc::Receiver<ChatInput>,
    datagrams: mpsc::Sender<Datagram>,
    reports: mpsc::Receiver<orders::Report>,
    orders: mpsc::Sender<orders::Order>,
    link_reports: mpsc::Receiver<links::LinkReport>,
    link_orders: mpsc::Sender<links::LinkOrder>,
    sightings: mpsc::Receiver<links::Sighting>,
    content_reports: mpsc::Receiver<ContentReport>,
    sought: mpsc::Sender<Sought>,
    feed: Arc<Feed>,
    published: watch::Sender<Snapshot>,
    trust: watch::Sender<Arc<trust::TrustView>>,

    snapshot: Snapshot,
    chat: chat::Chat,
    leases: cursors::Leases,
    shares: shares::SharesState,
    downloads: downloads::Downloads,
    peers: peers::Peers,
    /// Jobs that the store works on, in their order.
    pending: VecDeque<Job>,
    /// Of those jobs, all together.
    rows: usize,
    /// Jobs that failed and must succeed.
    stalled: VecDeque<(Vec<Op>, Job)>,
    /// The first of them is being tried again.
    retrying: bool,
    /// Why a job failed last.
    failed: Option<StoreError>,
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
    /// For the download engine: what it is to do.
    pub orders: mpsc::Receiver<orders::Order>,
    /// For the download engine: what it tells.
    pub reports: mpsc::Sender<orders::Report>,
    /// For the chat port: what is to become of links, and what to say on them.
    pub link_orders: mpsc::Receiver<links::LinkOrder>,
    /// For the chat port: what links tell.
    pub link_reports: mpsc::Sender<links::LinkReport>,
    /// For the chat port: what our hello says.
    pub introduction: watch::Receiver<links::Introduction>,
    /// For discovery: who announces itself.
    pub sightings: mpsc::Sender<links::Sighting>,
    /// For the file port: what it tells of content.
    pub content_reports: mpsc::Sender<ContentReport>,
    /// For the file port: what peers seek.
    pub sought: mpsc::Receiver<Sought>,
    /// For the download engine: the most bytes a second in all.
    pub download_limit: watch::Receiver<u64>,
    /// For whoever follows the log.
    pub feed: Arc<Feed>,
    /// For whoever asks how the hub is.
    pub snapshot: watch::Receiver<Snapshot>,
    /// For whoever serves or lists them.
    pub shares: watch::Receiver<Arc<Shares>>,
    /// For the file port: who may see which of them.
    pub trust: watch::Receiver<Arc<trust::TrustView>>,
}

/// How events name a plain peer.
fn peer_name(address: SocketAddr) -> String {
    format!("udp://{address}")
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
        mut loaded: Loaded,
        me: PeerId,
        introduction: links::Introduction,
    ) -> (Hub, Ends) {
        let (handle, commands) = HubHandle::channel();
        let (chat_sender, chat_input) = mpsc::channel(2); // batches; what waits longer waits in the fair queue
        let (datagrams, datagram_queue) = mpsc::channel(limits::SENDS_IN_FLIGHT);
        let (order_sender, order_queue) = mpsc::channel(limits::FETCH_ORDERS);
        let (report_sender, reports) = mpsc::channel(limits::FETCH_ORDERS);
        let (link_order_sender, link_orders) = mpsc::channel(limits::LINK_ORDERS);
        let (link_report_sender, link_reports) = mpsc::channel(limits::LINK_ORDERS);
        let (sighting_sender, sightings) = mpsc::channel(limits::LINK_ORDERS);
        let (content_report_sender, content_reports) = mpsc::channel(limits::SOUGHT);
        let (sought_sender, sought) = mpsc::channel(limits::SOUGHT);
        let loaded_peers = std::mem::take(&mut loaded.peers);
        let (peers, introduction) =
            peers::Peers::new(me, introduction, loaded_peers, &config.borrow(), (now(), Instant::now()));
        let (trust_sender, trust) = watch::channel(Arc::new(peers.trust_view()));
        let limit = config.borrow().downloads.limit;
        let (downloads, download_limit) =
            downloads::Downloads::new(std::mem::take(&mut loaded.downloads), limit, now(), Instant::now());
        let feed = Arc::new(Feed::new(loaded.stats.head));
        let snapshot = Snapshot { log: loaded.stats, ..Snapshot::default() };
        let (shares, published_shares) =
            shares::SharesState::new(&config.borrow().shares, std::mem::take(&mut loaded.shares));
        let chat = chat::Chat::new(loaded);
        let (published, snapshots) = watch::channel(snapshot.clone());
        let ends = Ends {
            handle,
            chat_input: chat_sender,
            datagrams: datagram_queue,
            orders: order_queue,
            reports: report_sender,
            link_orders,
            link_reports: link_report_sender,
            introduction,
            sightings: sighting_sender,
            content_reports: content_report_sender,
            sought,
            download_limit,
            feed: Arc::clone(&feed),
            snapshot: snapshots,
            shares: published_shares,
            trust,
        };
        let hub = Hub {
            config,
            writer,
            completions,
            commands,
            chat_input,
            datagrams,
            reports,
            orders: order_sender,
            link_reports,
            link_orders: link_order_sender,
            sightings,
            content_reports,
            sought: sought_sender,
            feed,
            published,
            trust: trust_sender,
            snapshot,
            chat,
            leases: cursors::Leases::default(),
            shares,
            downloads,
            peers,
            pending: VecDeque::new(),
            rows: 0,
            stalled: VecDeque::new(),
            retrying: false,
            failed: None,
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
        let (mut sessions_gone, mut chat_gone, mut fetch_gone) = (false, false, false);
        let (mut links_gone, mut discovery_gone, mut content_gone) = (false, false, false);
        let mut asked = Vec::with_capacity(limits::HUB_TURN);
        loop {
            self.hand_over_datagrams(now());
            self.schedule(!sessions_gone);
            self.submit_all_steps()?;
            self.give_orders();
            self.publish();
            // Room for what a turn takes in, and for one job per datagram that is on its way.
            let room = self.pending.len() + limits::STORE_JOBS / 4 < limits::STORE_JOBS;
            // Whoever asks for something waits behind no more than what is being committed, and what comes next.
            let may_hear = room && self.rows < limits::STORE_ROWS && (self.is_sound() || sessions_gone);
            // What links tell leads to orders, and who sends without end must not make them grow so.
            let may_lead = self.peers.orders.len() < limits::LINK_BACKLOG || self.link_orders.is_closed();
            let ended = sessions_gone && chat_gone && fetch_gone && links_gone;
            if ended && self.pending.is_empty() {
                break;
            }
            tokio::select! {
                completion = self.completions.recv() => match completion {
                    Some(completion) => self.on_completion(completion)?,
                    None => return Err(StoreError::Stopped),
                },
                count = self.commands.recv_many(&mut asked, limits::HUB_TURN), if room && !sessions_gone => {
                    sessions_gone = count == 0;
                    for command in asked.drain(..) {
                        self.on_command(command)?;
                        self.submit_all_steps()?; // in the order in which they were asked for
                    }
                },
                input = self.chat_input.recv(), if may_hear && !chat_gone => match input {
                    Some(input) => self.on_chat(input)?,
                    None => chat_gone = true,
                },
                report = self.reports.recv(), if may_hear && !fetch_gone => match report {
                    Some(report) => self.on_report(report),
                    None => fetch_gone = true,
                },
                report = self.link_reports.recv(), if may_hear && may_lead && !links_gone => match report {
                    Some(report) => self.peers.on_report(now(), Instant::now(), report),
                    None => links_gone = true,
                },
                sighting = self.sightings.recv(), if room && !discovery_gone => match sighting {
                    Some(sighting) => self.peers.on_sighting(now(), Instant::now(), sighting),
                    None => discovery_gone = true,
                },
                report = self.content_reports.recv(), if room && !content_gone => match report {
                    Some(report) => self.on_content(report)?,
                    None => content_gone = true,
                },
                // Engine or chat port has room again for what it is to do.
                true = async { self.orders.reserve().await.is_ok() }, if !self.downloads.orders.is_empty() => {}
                true = async { self.link_orders.reserve().await.is_ok() }, if !self.peers.orders.is_empty() => {}
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

    fn on_chat(&mut self, input: ChatInput) -> Result<(), StoreError> {
        let now = now();
        let (mut ops, mut then) = (Vec::new(), Vec::new());
        ops.reserve(input.lines.len());
        for line in input.lines {
            self.chat.conversations.on_line(now, line, |op| ops.push(op));
            then.push(Then::Received);
            then.resize_with(ops.len(), || Then::Nothing);
        }
        for (message, result) in input.sent {
            if let Some(op) = self.chat.outbox.on_sent(now, message, &result) {
                ops.push(op);
                then.push(Then::Settled { message, sent: result.is_ok() });
            }
        }
        self.submit(ops, Job { then, order: Order::After })
    }

    fn on_tick(&mut self) -> Result<(), StoreError> {
        self.peers.on_tick(now(), Instant::now());
        let expired = self.chat.outbox.on_tick(now());
        let settled = |op: &Op| match *op {
            Op::Settle(_, message, _) => Then::Settled { message, sent: false },
            _ => Then::Nothing,
        };
        let then = expired.iter().map(settled).collect();
        self.submit(expired, Job { then, order: Order::After })?;
        self.retry()
    }

    fn on_config(&mut self) -> Result<(), StoreError> {
        let config = Arc::clone(&self.config.borrow_and_update());
        self.shares.on_config(&config.shares);
        self.downloads.on_config(config.downloads.limit);
        self.peers.on_config(&config, Instant::now());
        let retention = retention(&config);
        self.submit(vec![Op::Retain(retention)], Job { then: vec![Then::Nothing], order: Order::After })
    }

    fn on_report(&mut self, report: orders::Report) {
        let jitter = std::hash::RandomState::new().hash_one(0);
        let report = match report {
            orders::Report::Seek(id, hash, found) => {
                return self.peers.seek(self.downloads.peer_of(id), hash, found);
            }
            orders::Report::Ended(id, orders::End::Failed(failed)) => {
                let peer = self.downloads.peer_of(id);
                orders::Report::Ended(id, orders::End::Failed(self.peers.judged(peer, failed)))
            }
            other => other,
        };
        self.downloads.on_report(now(), Instant::now(), jitter, report);
    }
}

/// Answers, if the asker is still there.
fn answer<T>(reply: Reply<T>, result: Result<T, Error>) {
    let _ = reply.send(result);
}
