//! The links to peers: makes them as the hub orders or as peers call, carries them, and ends them. One task a link; the chat
//! port runs this beside its loop. Who may have a link is the hub's business, what is on the wire that of `quic`.

mod dial;
mod greet;
mod link;
mod mailbox;
mod mistakes;
mod silence;

use super::live::Live;
use super::quic::Quic;
use super::socket::canonical;
use crate::config::Config;
use crate::hub::handle::ChatCounters;
use crate::hub::links::{DialId, Introduction, LinkId, LinkOrder, LinkReport, Parting};
use crate::identity::Identity;
use crate::limits;
use greet::{Answer, Greeted, Greetings, Proven};
use mailbox::Mailbox;
use mistakes::Mistakes;
use netkit_proto::ids::PeerId;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, Incoming};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What links are made of and work with.
#[derive(Debug)]
pub struct LinkEnds {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// What to do.
    pub orders: mpsc::Receiver<LinkOrder>,
    /// Where it is told what happens.
    pub reports: mpsc::Sender<LinkReport>,
    /// What every hello says.
    pub introduction: watch::Receiver<Introduction>,
}

/// What all links share.
pub(super) struct Links {
    endpoint: Endpoint,
    client: ClientConfig,
    me: PeerId,
    config: watch::Receiver<Arc<Config>>,
    introduction: watch::Receiver<Introduction>,
    reports: mpsc::Sender<LinkReport>,
    counters: Arc<ChatCounters>,
    live: Arc<Live>,
    /// Links that the hub knows.
    open: Mutex<HashMap<LinkId, Open>>,
    last: AtomicU64,
    greetings: Arc<Greetings>,
    mistakes: Mistakes,
    /// Nothing new begins.
    stop: CancellationToken,
}

/// What is at hand of a link that runs.
#[derive(Clone)]
struct Open {
    mailbox: Arc<Mailbox>,
    connection: Connection,
}

/// What runs beside: one that becomes a link gives it back, so that what its beginning took is freed.
type Tasks = JoinSet<Option<(Box<Greeted>, Option<DialId>)>>;

/// Runs until `stop`; then all links have said what they had to, and are closed.
pub(super) async fn run(
    ends: LinkEnds,
    quic: Quic,
    live: Arc<Live>,
    config: watch::Receiver<Arc<Config>>,
    counters: Arc<ChatCounters>,
    stop: CancellationToken,
) -> io::Result<()> {
    let LinkEnds { identity, mut orders, reports, introduction } = ends;
    let links = Arc::new(Links {
        endpoint: quic.endpoint,
        client: quic.client,
        me: identity.id(),
        config,
        introduction,
        reports,
        counters,
        live,
        open: Mutex::default(),
        last: AtomicU64::new(0),
        greetings: Arc::default(),
        mistakes: Mistakes::default(),
        stop: stop.clone(),
    });
    let mut tasks = Tasks::new();
    let mut config = links.config.clone();
    let (mut has_orders, mut has_config) = (true, true);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            incoming = links.endpoint.accept() => match incoming {
                Some(incoming) => links.on_incoming(incoming, &mut tasks),
                None => return Err(io::Error::other("the QUIC endpoint ended by itself")),
            },
            order = orders.recv(), if has_orders => match order {
                Some(order) => links.on_order(order, &mut tasks),
                None => has_orders = false,
            },
            changed = config.changed(), if has_config => {
                has_config = changed.is_ok();
                config.mark_unchanged();
                let open: Vec<_> = links.open().values().cloned().collect();
                open.iter().for_each(|open| links.end_where_not_allowed(open));
            }
            Some(ended) = tasks.join_next() => if let Ok(Some((greeted, dial))) = ended {
                let links = Arc::clone(&links);
                tasks.spawn(async move { links.carry(greeted, dial).await });
            }
        }
    }
    // What the hub ordered before the end is said; it hears that nothing more is taken.
    orders.close();
    while let Ok(order) = orders.try_recv() {
        links.on_order(order, &mut tasks);
    }
    let open: Vec<_> = links.open().values().cloned().collect();
    open.iter().for_each(|open| open.mailbox.close(Parting::Stopping));
    let all_end = async { while tasks.join_next().await.is_some() {} };
    if timeout(limits::STOP_LINKS, all_end).await.is_err() {
        tracing::debug!(links = tasks.len(), "some links did not end in time");
    }
    drop(tasks);
    links.endpoint.close(Parting::Stopping.code().into(), b"");
    let _ = timeout(limits::STOP_QUIC, links.endpoint.wait_idle()).await; // peers also notice by themselves
    Ok(())
}

impl Links {
    fn open(&self) -> MutexGuard<'_, HashMap<LinkId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_order(self: &Arc<Links>, order: LinkOrder, tasks: &mut Tasks) {
        // A link that is down meanwhile is passed over: the hub has been told, or is about to be.
        let to = |link| self.open().get(&link).map(|open| Arc::clone(&open.mailbox));
        match order {
            LinkOrder::Dial { .. } if self.stop.is_cancelled() => {}
            LinkOrder::Dial { dial, peer, host, addresses } => {
                let links = Arc::clone(self);
                tasks.spawn(async move {
                    let reach = dial::reach(&links, dial, peer, host, addresses);
                    let greeted = links.stop.run_until_cancelled(reach).await.flatten();
                    greeted.map(|greeted| (Box::new(greeted), Some(dial)))
                });
            }
            LinkOrder::Say(link, says) => _ = to(link).map(|mailbox| mailbox.say(says)),
            LinkOrder::Stored(link, n) => _ = to(link).map(|mailbox| mailbox.stored(n)),
            LinkOrder::Refused(link, says, code) => _ = to(link).map(|mailbox| mailbox.refused(says, code)),
            LinkOrder::Have(link, hash) => _ = to(link).map(|mailbox| mailbox.have(hash)),
            LinkOrder::Has(link, hash, has) => _ = to(link).map(|mailbox| mailbox.has(hash, has)),
            LinkOrder::Close(link, parting) => _ = to(link).map(|mailbox| mailbox.close(parting)),
        }
    }

    /// What comes from an address that `chat.allow` does not have any more is not taken in: a link to it ends at once,
    /// since nothing that is said on it could be acknowledged.
    fn end_where_not_allowed(&self, open: &Open) {
        let address = canonical(open.connection.remote_address());
        if !self.config.borrow().chat.allow.contains(address.ip()) {
            open.mailbox.close(Parting::Renewed);
            greet::close(&open.connection, &Parting::Renewed);
        }
    }

    /// Somebody calls.
    fn on_incoming(self: &Arc<Links>, incoming: Incoming, tasks: &mut Tasks) {
        let address = canonical(incoming.remote_address());
        let is_full = self.open().len() + self.greetings.len() >= limits::LINKS;
        let answer = match self.greetings.answer(address.ip(), incoming.remote_address_validated()) {
            _ if is_full => Answer::Refuse,
            answer => answer,
        };
        match answer {
            Answer::Prove if incoming.may_retry() => {
                self.counters.quic_challenged.fetch_add(1, Relaxed);
                let _ = incoming.retry(); // it is what `may_retry` says
            }
            Answer::Accept => {
                let (links, greeting) = (Arc::clone(self), self.greetings.enter(address.ip()));
                tasks.spawn(async move {
                    let welcome = timeout(limits::GREETING, links.welcome(incoming, address));
                    let welcomed = links.stop.run_until_cancelled(welcome).await;
                    drop(greeting);
                    // Who says nothing in time is gone: it called while this box stood still, for one.
                    welcomed?.ok()?.map(|greeted| (Box::new(greeted), None))
                });
            }
            Answer::Later => {
                self.counters.quic_refused.fetch_add(1, Relaxed);
                Incoming::ignore(incoming);
            }
            Answer::Prove | Answer::Refuse => {
                self.counters.quic_refused.fetch_add(1, Relaxed);
                incoming.refuse();
            }
        }
    }

    /// A peer did not keep to the protocol.
    fn mistake(&self, peer: SocketAddr, mistake: &str) {
        self.counters.mistakes.fetch_add(1, Relaxed);
        self.mistakes.note(peer, mistake);
    }

    /// Hears who calls.
    async fn welcome(&self, incoming: Incoming, address: SocketAddr) -> Option<Greeted> {
        let note = |mistake: &dyn std::fmt::Display| self.mistake(address, &mistake.to_string());
        let connection = async { incoming.accept()?.await };
        let is_mistake = |error: &ConnectionError| {
            matches!(error, ConnectionError::TransportError(_) | ConnectionError::VersionMismatch)
        };
        let connection = connection.await.inspect_err(|error| {
            if is_mistake(error) {
                note(error);
            }
        });
        let connection = connection.ok()?;
        let proven = Proven::new(self, connection.clone());
        let greeted = match proven {
            Ok(proven) if proven.peer == self.me => Err(Parting::Superseded), // our own call; the caller notices, too
            Ok(proven) => greet::greet(self, proven, false).await,
            Err(parting) => Err(parting),
        };
        match greeted {
            Ok(greeted) => return Some(greeted),
            Err(Parting::Protocol(mistake)) => {
                note(&mistake);
                greet::close(&connection, &Parting::Protocol(mistake));
            }
            Err(parting) => greet::close(&connection, &parting),
        }
        None
    }

    /// Carries a link, and tells the hub of its beginning and its end.
    async fn carry<T>(&self, greeted: Box<Greeted>, dial: Option<DialId>) -> Option<T> {
        let link = self.last.fetch_add(1, Relaxed) + 1;
        let (connection, peer) = (greeted.proven.connection.clone(), greeted.proven.peer);
        let hello = greeted.hello.clone();
        let address = canonical(connection.remote_address());
        let mailbox = Arc::new(Mailbox::default());
        let open = Open { mailbox: Arc::clone(&mailbox), connection: connection.clone() };
        self.open().insert(link, open.clone());
        self.end_where_not_allowed(&open); // since it began
        if self.stop.is_cancelled() {
            mailbox.close(Parting::Stopping); // it was not there when all were closed
        }
        let up = LinkReport::Up { link, peer, address, dial, hello };
        let parting = match self.reports.send(up).await {
            Ok(()) => self.guarded(link, greeted, &mailbox).await,
            Err(_) => Parting::Stopping, // nobody listens any more
        };
        greet::close(&connection, &parting);
        self.open().remove(&link);
        if let Parting::Protocol(mistake) = &parting {
            self.mistake(address, mistake);
        }
        let _ = self.reports.send(LinkReport::Down(link, parting)).await;
        None // it becomes nothing else
    }

    /// Carries a link; an error of ours costs this link only.
    async fn guarded(&self, link: LinkId, greeted: Box<Greeted>, mailbox: &Mailbox) -> Parting {
        let mut run = pin!(link::run(self, link, greeted, mailbox));
        std::future::poll_fn(|context| {
            catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context))).unwrap_or_else(|_| {
                tracing::error!(link, "a link ended by an error of netkitd's");
                Poll::Ready(Parting::Lost("an error of netkitd's".into()))
            })
        })
        .await
    }
}
