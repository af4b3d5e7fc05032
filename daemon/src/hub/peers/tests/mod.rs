//! Peers without store and links: what is committed, and what links tell, is what these tests say.

mod dials;
mod fates;
mod files;
mod marks;
mod moved;
mod outbox;
mod strangers;
mod talk;
mod trust;
mod view;

use super::*;
use crate::hub::handle::Queued;
use crate::hub::handle::{Route, SendRequest};
use crate::hub::links::{Hello, LinkReport, Parting, RefusalCode, Say, Sighting};
use crate::store::Outcome;
use netkit_proto::chat::frame::VERSION;
use netkit_proto::ids::Seq;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::Event;
use tokio::sync::oneshot;

const EPOCH: Epoch = Epoch(7);

fn id(n: u8) -> PeerId {
    PeerId([n; 32])
}

fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 7890))
}

type Answered = oneshot::Receiver<Result<Queued, Error>>;

fn name(text: &str) -> PeerName {
    text.parse().unwrap()
}

/// The box of id 5, a clock, and what was committed and ordered.
struct Box5 {
    peers: Peers,
    now: Timestamp,
    instant: Instant,
    events: Vec<Event>,
    ops: Vec<String>,
    /// What the store would give next.
    numbers: HashMap<PeerId, u64>,
    seq: u64,
    orders: Vec<LinkOrder>,
}

impl Box5 {
    fn new() -> Box5 {
        Box5::with(&Config::from_text(""), LoadedPeers::default())
    }

    fn with(config: &Config, loaded: LoadedPeers) -> Box5 {
        let introduction =
            Introduction { name: name("me"), instance: 1, file_port: None, rooms: vec![], epoch: Epoch(1) };
        let instant = Instant::now();
        let now = Timestamp(1_800_000_000_000);
        let (peers, _) = Peers::new(id(5), introduction, loaded, config, (now, instant));
        let (events, ops, orders) = (Vec::new(), Vec::new(), Vec::new());
        Box5 { peers, now, instant, events, ops, numbers: HashMap::new(), seq: 0, orders }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus_millis(time.as_millis() as i64);
        self.instant += time;
        self.peers.on_tick(self.now, self.instant);
        self.turn();
    }

    /// Commits everything, as the store does.
    fn turn(&mut self) {
        while !self.peers.steps.is_empty() {
            for step in std::mem::take(&mut self.peers.steps) {
                let mut outcome = Outcome::Done(true);
                for op in step.ops {
                    self.ops.push(format!("{op:?}"));
                    outcome = self.apply(op);
                }
                self.peers.on_committed(self.now, self.instant, step.follow, outcome);
            }
        }
        self.peers.speak_to_all();
        self.orders.extend(std::mem::take(&mut self.peers.orders));
    }

    fn apply(&mut self, op: Op) -> Outcome {
        match op {
            Op::Append(_, event) | Op::Delivered(_, _, _, event) | Op::GiveUp(_, _, _, event) => {
                self.seq += 1;
                self.events.push(event);
                Outcome::Done(true)
            }
            Op::Post { event, to, letter, .. } => {
                self.seq += 1;
                let entry = crate::store::Entry { seq: Seq(self.seq), at: letter.at, body: event.to_body() };
                self.events.push(event);
                let numbers = to.into_iter().map(|peer| {
                    let n = self.numbers.entry(peer).or_default();
                    *n += 1;
                    (peer, *n)
                });
                Outcome::Posted(std::sync::Arc::new(entry), numbers.collect())
            }
            _ => Outcome::Done(true),
        }
    }

    fn shown(&self, peer: u8) -> netkit_proto::rpc::call::Peer {
        self.peers.show(self.instant, id(peer)).unwrap()
    }

    fn report(&mut self, report: LinkReport) {
        self.peers.on_report(self.now, self.instant, report);
        self.turn();
    }

    fn up_as(&mut self, link: LinkId, peer: u8, called: &str, dial: Option<DialId>, instance: u64) {
        let hello = Hello {
            name: name(called),
            version: VERSION,
            features: vec![],
            instance,
            file_port: None,
            rooms: vec![name("ops")],
            epoch: EPOCH,
        };
        self.report(LinkReport::Up { link, peer: id(peer), address: at(peer), dial, hello });
    }

    fn up(&mut self, link: LinkId, peer: u8, called: &str) {
        self.up_as(link, peer, called, None, 1);
    }

    fn say(&mut self, link: LinkId, numbers: std::ops::RangeInclusive<u64>) {
        let say = |n| Say { n, room: None, text: format!("t{n}"), sent_at: Timestamp(1) };
        self.report(LinkReport::Said(link, numbers.map(say).collect()));
    }

    /// Asks for a message to be sent; its commit is the next turn's.
    fn ask(&mut self, route: Route, text: &str, expire: Option<Duration>) -> Answered {
        let (reply, answer) = oneshot::channel();
        let (to, text) = (format!("{route:?}"), text.to_owned());
        let request = SendRequest { uid: 0, to, route, text, key: None, expire };
        self.peers.on_send(self.now, request, reply);
        answer
    }

    fn send_to(&mut self, route: Route, text: &str, expire: Option<Duration>) -> Result<Queued, Error> {
        let mut answer = self.ask(route, text, expire);
        self.turn();
        answer.try_recv().unwrap()
    }

    fn send(&mut self, called: &str, text: &str) -> Result<Queued, Error> {
        self.send_to(Route::Peer { name: name(called), prefix: None }, text, None)
    }

    fn command<T>(&mut self, command: impl FnOnce(Reply<T>) -> PeerCommand) -> Result<T, Error> {
        let (reply, mut answer) = oneshot::channel();
        self.peers.on_command(self.now, command(reply));
        self.turn();
        answer.try_recv().unwrap()
    }

    fn trust(&mut self, called: &str) {
        self.command(|reply| PeerCommand::Trust(called.into(), None, reply)).unwrap();
    }

    /// What was said on a link, the texts.
    fn said(&mut self, on: LinkId) -> Vec<String> {
        let mut said = Vec::new();
        for order in std::mem::take(&mut self.orders) {
            match order {
                LinkOrder::Say(link, says) if link == on => said.extend(says.into_iter().map(|say| say.text)),
                _ => {}
            }
        }
        said
    }

    /// What was told to be stored on a link, the last.
    fn stored(&mut self, on: LinkId) -> Option<u64> {
        let mut told = std::mem::take(&mut self.orders).into_iter().filter_map(|order| match order {
            LinkOrder::Stored(link, n) if link == on => Some(n),
            _ => None,
        });
        told.next_back()
    }

    fn closed(&mut self) -> Vec<(LinkId, Parting)> {
        let closed = std::mem::take(&mut self.orders).into_iter().filter_map(|order| match order {
            LinkOrder::Close(link, why) => Some((link, why)),
            _ => None,
        });
        closed.collect()
    }

    /// Whom it looked for.
    fn dialled(&mut self) -> Vec<(DialId, Option<PeerId>, Vec<SocketAddr>)> {
        let dialled = std::mem::take(&mut self.orders).into_iter().filter_map(|order| match order {
            LinkOrder::Dial { dial, peer, addresses, .. } => Some((dial, peer, addresses)),
            _ => None,
        });
        dialled.collect()
    }

    fn received(&self) -> Vec<String> {
        let texts = self.events.iter().filter_map(|event| match event {
            Event::Received { text, .. } => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    }

    fn delivered(&self) -> Vec<u64> {
        let messages = self.events.iter().filter_map(|event| match event {
            Event::Delivered { messages, .. } => Some(messages.iter().map(|message| message.0)),
            _ => None,
        });
        messages.flatten().collect()
    }
}

fn texts(numbers: std::ops::RangeInclusive<u64>) -> Vec<String> {
    numbers.map(|n| format!("t{n}")).collect()
}
