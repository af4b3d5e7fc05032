//! Chat ports that talk over real sockets, each on a thread of its own as in the daemon; the tests are their hubs. This file
//! makes them, the others say what they must do. Everything waited for has a deadline.

mod dials;
mod ends;
mod floods;
mod strangers;
mod talk;

use super::*;
use crate::hub::handle::Arrived;
use crate::hub::links::{DialFailure, DialId, Introduction, LinkId, LinkOrder, LinkReport, Parting, Say};
use crate::identity::Identity;
use netkit_proto::chat::frame::RefusalCode;
use netkit_proto::ids::{Epoch, PeerId};
use netkit_proto::time::Timestamp;
use std::net::IpAddr;
use std::thread;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(20);

/// What must happen soon.
async fn soon<F: Future>(what: &str, event: F) -> F::Output {
    timeout(DEADLINE, event).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A chat port and the hub's ends of its channels.
struct Station {
    name: &'static str,
    dir: Arc<TempDir>,
    id: PeerId,
    address: SocketAddr,
    orders: mpsc::Sender<LinkOrder>,
    reports: mpsc::Receiver<LinkReport>,
    introduction: watch::Sender<Introduction>,
    lines: mpsc::Receiver<ChatInput>,
    datagrams: mpsc::Sender<Datagram>,
    counters: Arc<ChatCounters>,
    stop: CancellationToken,
    kill: CancellationToken,
    thread: thread::JoinHandle<Option<io::Result<()>>>,
    config: watch::Sender<Arc<Config>>,
}

impl Station {
    fn new(name: &'static str) -> Station {
        Station::at(name, Arc::new(tempfile::tempdir().unwrap()), "127.0.0.1:0", "")
    }

    fn at(name: &'static str, dir: Arc<TempDir>, listen: &str, config: &str) -> Station {
        let identity = Arc::new(Identity::load_or_create(dir.path(), None).unwrap());
        let port = ChatPort::bind(listen.parse().unwrap()).unwrap();
        let (id, address) = (identity.id(), port.listen);
        let (orders, link_orders) = mpsc::channel(64);
        let (link_reports, reports) = mpsc::channel(64);
        let (introduction, introduced) = watch::channel(Introduction {
            name: name.parse().unwrap(),
            instance: u64::from(address.port()),
            file_port: Some(7),
            rooms: vec!["ops".parse().unwrap()],
            epoch: Epoch(5),
        });
        let (hub, lines) = mpsc::channel(2);
        let (datagrams, datagram_queue) = mpsc::channel(limits::SENDS_IN_FLIGHT);
        let (publish, config) = watch::channel(Arc::new(Config::from_text(config)));
        let counters = Arc::<ChatCounters>::default();
        let ends = Ends {
            config,
            hub,
            datagrams: datagram_queue,
            counters: Arc::clone(&counters),
            links: Some(LinkEnds {
                identity,
                orders: link_orders,
                reports: link_reports,
                introduction: introduced,
            }),
        };
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let (stopped, killed) = (stop.clone(), kill.clone());
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            // A port that is killed says nothing: its tasks end where they are.
            runtime.block_on(killed.run_until_cancelled(port.run(ends, stopped)))
        });
        Station {
            name,
            dir,
            id,
            address,
            orders,
            reports,
            introduction,
            lines,
            datagrams,
            counters,
            stop,
            kill,
            thread,
            config: publish,
        }
    }

    /// As kill(1) with SIGKILL, and then the next start.
    async fn killed_and_started(self) -> Station {
        let Station { name, dir, address, kill, thread, .. } = self;
        kill.cancel();
        ended(thread).await;
        Station::at(name, dir, &address.to_string(), "")
    }

    async fn order(&self, order: LinkOrder) {
        soon("room for an order", self.orders.send(order)).await.unwrap();
    }

    async fn dial(&self, dial: DialId, peer: Option<PeerId>, addresses: &[SocketAddr]) {
        self.order(LinkOrder::Dial { dial, peer, host: None, addresses: addresses.to_vec() }).await;
    }

    /// The next report that does not come by time alone.
    async fn report(&mut self) -> LinkReport {
        loop {
            let report = soon(&format!("a report of {}", self.name), self.reports.recv()).await.unwrap();
            if !matches!(report, LinkReport::Pulse(..) | LinkReport::Silent(_)) {
                return report;
            }
        }
    }

    async fn up(&mut self) -> (LinkId, PeerId, Option<DialId>) {
        match self.report().await {
            LinkReport::Up { link, peer, dial, .. } => (link, peer, dial),
            other => panic!("{}: {other:?}", self.name),
        }
    }

    async fn down(&mut self) -> (LinkId, Parting) {
        match self.report().await {
            LinkReport::Down(link, parting) => (link, parting),
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// Why nobody was reached.
    async fn failures(&mut self) -> Vec<(SocketAddr, DialFailure)> {
        match self.report().await {
            LinkReport::DialFailed { failures, .. } => failures,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// The numbers of the next messages, as many as are expected.
    async fn said(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            match self.report().await {
                LinkReport::Said(_, says) => numbers.extend(says.iter().map(|say| say.n)),
                other => panic!("{}: {other:?}", self.name),
            }
        }
        numbers
    }

    /// The next plain line.
    async fn line(&mut self) -> Arrived {
        loop {
            let input = soon("a line", self.lines.recv()).await.unwrap();
            if let Some(arrived) = input.lines.into_iter().next() {
                return arrived;
            }
        }
    }

    /// Stops in order; how that went.
    async fn stopped(self) -> io::Result<()> {
        self.stop.cancel();
        drop(self.lines); // as where the hub ended: nothing is to hang on it
        ended(self.thread).await.unwrap()
    }
}

async fn ended<T: Send + 'static>(thread: thread::JoinHandle<T>) -> T {
    soon("the end of a port", tokio::task::spawn_blocking(move || thread.join().unwrap())).await.unwrap()
}

fn say(n: u64, text: impl Into<String>) -> Say {
    Say { n, room: None, text: text.into(), sent_at: Timestamp(1_800_000_000_000) }
}

/// Two stations with a link, the first one dialled; the link's number at each.
async fn linked() -> (Station, Station, LinkId, LinkId) {
    let (mut a, mut b) = (Station::new("a"), Station::new("b"));
    let (at_a, at_b) = link(&mut a, &mut b).await;
    (a, b, at_a, at_b)
}

async fn link(a: &mut Station, b: &mut Station) -> (LinkId, LinkId) {
    a.dial(1, Some(b.id), &[b.address]).await;
    let (at_a, peer, dial) = a.up().await;
    assert_eq!((peer, dial), (b.id, Some(1)));
    let (at_b, peer, dial) = b.up().await;
    assert_eq!((peer, dial), (a.id, None));
    (at_a, at_b)
}
