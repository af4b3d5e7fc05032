//! Peers without store and links: what is committed, and what links tell, is what these tests say.

use super::*;
use crate::hub::handle::{Route, SendRequest};
use crate::hub::links::{Hello, LinkReport, Parting, RefusalCode, Say, Sighting};
use netkit_proto::chat::frame::VERSION;
use netkit_proto::ids::Seq;
use netkit_proto::rpc::code::Kind;
use netkit_proto::rpc::event::Event;
use tokio::sync::oneshot;

const EPOCH: Epoch = Epoch(7);

fn id(n: u8) -> PeerId {
    PeerId([n; 32])
}

fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 7890))
}

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
        let (peers, _) = Peers::new(id(5), introduction, loaded, config, instant);
        let now = Timestamp(1_800_000_000_000);
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

    fn send_to(&mut self, route: Route, text: &str, expire: Option<Duration>) -> Result<Queued, Error> {
        let (reply, mut answer) = oneshot::channel();
        let (to, text) = (format!("{route:?}"), text.to_owned());
        let request = SendRequest { uid: 0, to, route, text, key: None, expire };
        self.peers.on_send(self.now, request, reply);
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
        let told = std::mem::take(&mut self.orders).into_iter().filter_map(|order| match order {
            LinkOrder::Stored(link, n) if link == on => Some(n),
            _ => None,
        });
        told.last()
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

#[test]
fn a_message_is_said_again_until_it_is_stored_and_delivered_once() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    let ids: Vec<u64> = ["a", "b", "c"].map(|text| me.send("bob", text).unwrap().id.0).into();
    assert_eq!(me.said(1), ["a", "b", "c"]);
    me.report(LinkReport::Stored(1, 1));
    assert_eq!(me.delivered(), ids[..1]);
    // The link breaks: what was not stored is said again, once the peer told how far it is.
    me.report(LinkReport::Down(1, Parting::Lost("x".into())));
    me.up_as(2, 9, "bob", None, 2);
    assert_eq!(me.said(2), [""; 0], "not before it told");
    me.report(LinkReport::Stored(2, 2));
    assert_eq!((me.said(2), me.delivered()), (vec!["c".to_owned()], ids[..2].to_vec()));
    me.report(LinkReport::Stored(2, 3));
    me.report(LinkReport::Stored(2, 3));
    assert_eq!((me.delivered(), me.peers.queued, me.peers.queued_bytes), (ids, 0, 0));
}

#[test]
fn nobody_can_have_what_was_not_said() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.send("bob", "a").unwrap();
    me.report(LinkReport::Stored(1, u64::MAX));
    assert_eq!(me.delivered(), [0; 0]);
    assert_eq!(me.said(1), ["a"]);
    me.report(LinkReport::Stored(1, u64::MAX));
    assert_eq!(me.delivered().len(), 1);
}

#[test]
fn what_is_heard_twice_is_stored_once_and_acknowledged_after_its_commit() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    assert_eq!(me.stored(1), Some(0), "how far we are");
    me.say(1, 1..=3);
    assert_eq!((me.received(), me.stored(1)), (texts(1..=3), Some(3)));
    // Said again on another link, and then more.
    me.up_as(2, 9, "bob", None, 2);
    assert_eq!(me.stored(2), Some(3));
    me.say(2, 2..=3);
    assert_eq!(me.stored(2), Some(3));
    me.say(2, 3..=5);
    assert_eq!((me.received(), me.stored(2)), (texts(1..=5), Some(5)));
    // While the commit is on its way nothing is told.
    let say = Say { n: 6, room: None, text: "t6".into(), sent_at: Timestamp(1) };
    me.peers.on_report(me.now, me.instant, LinkReport::Said(2, vec![say.clone()]));
    me.peers.on_report(me.now, me.instant, LinkReport::Said(2, vec![say]));
    assert!(me.peers.orders.is_empty() && me.peers.steps.len() == 1);
    me.turn();
    assert_eq!((me.received().len(), me.stored(2)), (6, Some(6)));
}

#[test]
fn what_was_stored_before_a_restart_is_known() {
    let row = PeerRow {
        id: id(9),
        name: name("bob"),
        trust: Trust::Known,
        addresses: vec![at(9)],
        rooms: vec![],
        seen: Timestamp(0),
    };
    let (at_, expires) = (Timestamp(1), Timestamp(i64::MAX));
    let letter = |n| Letter { n, message: Seq(n), room: None, text: format!("l{n}"), at: at_, expires };
    let loaded = LoadedPeers {
        peers: vec![row],
        letters: vec![(id(9), letter(4)), (id(9), letter(6))],
        high: vec![(id(9), EPOCH, 17)],
        ..LoadedPeers::default()
    };
    let mut me = Box5::with(&Config::from_text(""), loaded);
    me.pass(Duration::ZERO);
    assert_eq!(me.dialled(), [(1, Some(id(9)), vec![at(9)])], "a starting daemon looks for whom it knew");
    me.up_as(1, 9, "bob", Some(1), 1);
    assert_eq!(me.stored(1), Some(17));
    me.report(LinkReport::Stored(1, 4));
    assert_eq!((me.delivered(), me.said(1)), (vec![4], vec!["l6".to_owned()]));
}

#[test]
fn the_window_is_bounded() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    for _ in 0..40 {
        me.send("bob", &"x".repeat(64 << 10)).unwrap();
    }
    let said = me.said(1).len();
    assert!((16..=17).contains(&said), "{said}");
    me.report(LinkReport::Stored(1, said as u64));
    assert!(me.said(1).len() >= 16, "and moves on");
}

#[test]
fn of_two_links_both_sides_keep_the_same_one() {
    for (other, ours_stays) in [(9, true), (1, false)] {
        for ours_first in [true, false] {
            let mut me = Box5::new();
            me.up_as(1, other, "bob", ours_first.then_some(77), 1);
            me.up_as(2, other, "bob", (!ours_first).then_some(77), 1);
            let gone = if ours_first == ours_stays { 2 } else { 1 };
            assert_eq!(me.closed(), [(gone, Parting::Superseded)], "{other} {ours_first}");
            me.report(LinkReport::Down(gone, Parting::Superseded));
            assert!(me.peers.show(id(other)).unwrap().linked);
        }
    }
    // The newer one of one side; and that of a box that was started anew, whoever dialled.
    for (dial, instance) in [(None, 1), (None, 2), (Some(77), 2)] {
        let mut me = Box5::new();
        me.up_as(1, 1, "bob", None, 1);
        me.up_as(2, 1, "bob", dial, instance);
        assert_eq!(me.closed(), [(1, Parting::Superseded)], "{dial:?} {instance}");
    }
}

#[test]
fn a_stranger_never_gets_what_is_meant_for_a_known_peer() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Down(1, Parting::Stopping));
    me.up(2, 8, "bob");
    assert_eq!(me.closed(), [(2, Parting::Blocked)]);
    let refused = |event: &&Event| matches!(event, Event::PeerRefused { id: who, .. } if *who == id(8));
    assert_eq!(me.events.iter().filter(refused).count(), 1);
    me.up(3, 8, "bob");
    assert_eq!(me.events.iter().filter(refused).count(), 1, "told once");
    me.send("bob", "for bob").unwrap();
    assert_eq!((me.said(2), me.said(3)), (vec![], vec![]));
    assert_eq!(me.peers.show(id(9)).unwrap().queued, 1);
    // Where both are right, each is named with its id.
    me.trust(&id(8).to_string());
    assert_eq!(me.send("bob", "whom?").unwrap_err().kind(), Kind::Refused);
    let route = Route::Peer { name: name("bob"), prefix: Some(id(8).short()) };
    me.send_to(route, "you", None).unwrap();
    assert_eq!(me.peers.show(id(8)).unwrap().queued, 1);
    assert_eq!(me.peers.label(id(8)), format!("bob~{}", id(8).short()));
}

#[test]
fn a_known_peer_may_take_another_name() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.up(2, 9, "robert");
    assert_eq!(me.peers.label(id(9)), "robert");
    assert_eq!(me.send("bob", "x").unwrap_err().kind(), Kind::NotFound);
    me.send("robert", "x").unwrap();
}

#[test]
fn who_is_sent_something_by_name_is_known_from_then_on() {
    let mut me = Box5::new();
    let found = Sighting::Seen { peer: id(9), name: name("bob"), addresses: vec![at(9)] };
    me.peers.on_sighting(me.now, me.instant, found);
    me.pass(Duration::ZERO);
    assert_eq!(me.dialled().len(), 0, "strangers are not looked for");
    me.send("bob", "hi").unwrap();
    assert_eq!(me.peers.show(id(9)).unwrap().trust, Trust::Known);
    assert!(me.events.iter().any(|event| matches!(event, Event::PeerKnown(_))));
    me.pass(Duration::ZERO);
    let (dial, ..) = me.dialled()[0].clone();
    me.up_as(1, 9, "bob", Some(dial), 1);
    me.report(LinkReport::Stored(1, 0));
    assert_eq!(me.said(1), ["hi"]);
}

#[test]
fn an_announcement_is_believed_of_nobody_that_is_known() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    let claim = Sighting::Seen { peer: id(9), name: name("eve"), addresses: vec![at(66)] };
    me.peers.on_sighting(me.now, me.instant, claim);
    assert_eq!(me.peers.label(id(9)), "bob");
    let claim = Sighting::Seen { peer: id(66), name: name("bob"), addresses: vec![at(66)] };
    me.peers.on_sighting(me.now, me.instant, claim);
    assert_eq!(me.peers.find("bob").unwrap(), id(9));
    me.peers.on_sighting(me.now, me.instant, Sighting::Gone(id(66)));
    assert!(me.peers.show(id(66)).is_err(), "a stranger that only announced itself is forgotten");
}

#[test]
fn rooms_reach_known_members_and_tell_of_each() {
    let mut me = Box5::new();
    for (n, called) in [(1, "a"), (2, "b"), (3, "c")] {
        me.up(u64::from(n), n, called);
        me.report(LinkReport::Stored(n.into(), 0));
    }
    assert_eq!(me.send_to(Route::Room(name("ops")), "x", None).unwrap_err().kind(), Kind::NotFound);
    me.trust("a");
    me.trust("b");
    let queued = me.send_to(Route::Room(name("ops")), "x", None).unwrap();
    assert_eq!(queued.to, ["a", "b"]);
    let said: Vec<LinkId> = std::mem::take(&mut me.orders)
        .into_iter()
        .filter_map(|order| if let LinkOrder::Say(link, _) = order { Some(link) } else { None })
        .collect();
    assert_eq!(said, [1, 2], "and no stranger");
    me.report(LinkReport::Stored(1, 1));
    assert_eq!(me.peers.show(id(2)).unwrap().queued, 1, "one of them has it");
    assert_eq!(me.send_to(Route::All, "y", None).unwrap().to, ["a", "b"]);
    me.report(LinkReport::Rooms(1, vec![]));
    assert_eq!(me.send_to(Route::Room(name("ops")), "z", None).unwrap().to, ["b"]);
}

#[test]
fn what_waits_too_long_is_given_up_and_what_may_have_arrived_is_said_so() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    let route = || Route::Peer { name: name("bob"), prefix: None };
    me.send_to(route(), "said", Some(Duration::from_secs(10))).unwrap();
    me.report(LinkReport::Down(1, Parting::Lost(String::new())));
    me.send_to(route(), "never said", Some(Duration::from_secs(10))).unwrap();
    me.send_to(route(), "stays", Some(Duration::from_secs(100))).unwrap();
    me.pass(Duration::from_secs(11));
    let expired: Vec<bool> = (me.events.iter())
        .filter_map(|event| match event {
            Event::Expired { maybe_delivered, .. } => Some(*maybe_delivered),
            _ => None,
        })
        .collect();
    assert_eq!(expired.iter().filter(|&&maybe| maybe).count(), 1);
    assert_eq!((expired.len(), me.peers.queued), (2, 1));
    me.up(2, 9, "bob");
    me.report(LinkReport::Stored(2, 0));
    assert_eq!(me.said(2), ["stays"]);
}

#[test]
fn a_refused_message_is_told_and_the_others_go_on() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Stored(1, 0));
    me.send("bob", "a").unwrap();
    me.report(LinkReport::Refused(1, 1, RefusalCode::NotAccepted));
    me.report(LinkReport::Refused(1, 99, RefusalCode::NotAccepted));
    assert_eq!(me.events.iter().filter(|event| matches!(event, Event::Refused { .. })).count(), 1);
    assert_eq!(me.peers.queued, 0);
}

#[test]
fn messages_of_strangers_are_refused_where_only_known_peers_are_heard() {
    let mut config = Config::from_text("");
    config.chat.accept = Accept::Known;
    let mut me = Box5::with(&config, LoadedPeers::default());
    me.up(1, 9, "bob");
    me.say(1, 1..=2);
    let refused = std::mem::take(&mut me.orders);
    assert_eq!(refused.iter().filter(|order| matches!(order, LinkOrder::Refused(1, ..))).count(), 2);
    assert!(me.received().is_empty());
    // Trusted, it gets a new link, on which it says what was not refused.
    me.trust("bob");
    assert_eq!(me.closed(), [(1, Parting::Renewed)]);
    me.report(LinkReport::Down(1, Parting::Renewed));
    me.up(2, 9, "bob");
    me.say(2, 3..=3);
    assert_eq!(me.received(), ["t3"]);
    me.peers.on_config(&config, me.instant);
    assert!(me.closed().is_empty());
}

#[test]
fn who_is_blocked_is_let_go_and_not_let_in() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.send("bob", "x").unwrap();
    me.command(|reply| PeerCommand::Block("bob".into(), reply)).unwrap();
    assert_eq!(me.closed(), [(1, Parting::Blocked)]);
    assert_eq!(me.peers.queued, 0);
    me.report(LinkReport::Down(1, Parting::Blocked));
    me.up(2, 9, "bob");
    assert_eq!(me.closed(), [(2, Parting::Blocked)]);
    assert_eq!(me.send("bob", "x").unwrap_err().kind(), Kind::Refused);
    me.pass(Duration::from_secs(100));
    assert!(me.dialled().is_empty());
}

#[test]
fn a_flood_of_a_stranger_ends_its_link_and_loses_nothing() {
    let mut me = Box5::new();
    me.up(1, 9, "eve");
    let burst = u64::from(limits::STRANGER_BURST);
    me.say(1, 1..=burst + 100);
    assert_eq!(me.closed(), [(1, Parting::Busy)]);
    assert_eq!(me.received().len() as u64, burst);
    me.report(LinkReport::Down(1, Parting::Busy));
    me.pass(Duration::from_secs(10));
    me.up(2, 9, "eve");
    assert_eq!(me.stored(2), Some(burst));
    me.say(2, burst + 1..=burst + 100);
    assert_eq!(me.received().len() as u64, burst + 100);
}

#[test]
fn strangers_are_bounded() {
    let mut me = Box5::new();
    for n in 0..=limits::STRANGERS as u8 {
        me.up(u64::from(n), 100 + n, &format!("s{n}"));
    }
    assert_eq!(me.closed(), [(limits::STRANGERS as u64, Parting::Busy)]);
}

#[test]
fn an_added_host_is_known_and_nobody_else_is_taken_for_it() {
    let mut me = Box5::new();
    me.command(|reply| PeerCommand::Add("10.0.0.9".parse().unwrap(), reply)).unwrap();
    let dialled = me.dialled();
    assert_eq!(dialled.len(), 1);
    me.up_as(1, 9, "bob", Some(dialled[0].0), 1);
    let shown = me.peers.show(id(9)).unwrap();
    assert_eq!((shown.trust, shown.peer.as_str()), (Trust::Known, "bob"));
    assert_eq!(me.peers.list().hosts[0].id, Some(id(9)));
    me.report(LinkReport::Down(1, Parting::Lost(String::new())));
    me.pass(Duration::from_secs(1));
    // Both ways to it ask for the same one.
    let dialled = me.dialled();
    assert!(!dialled.is_empty() && dialled.iter().all(|(_, peer, _)| *peer == Some(id(9))), "{dialled:?}");
    let another = crate::hub::links::DialFailure::Another(id(66));
    for (dial, ..) in dialled {
        let failures = vec![(at(9), another.clone())];
        me.report(LinkReport::DialFailed { dial, failures, unresolved: None });
    }
    let refused: Vec<&Event> =
        me.events.iter().filter(|event| matches!(event, Event::PeerRefused { .. })).collect();
    assert!(matches!(refused[..], [Event::PeerRefused { id: who, .. }] if *who == id(66)), "{refused:?}");
    assert!(me.peers.list().hosts[0].trouble.as_ref().unwrap().contains("peers remove"));
}

#[test]
fn pauses_between_tries_grow_until_the_peer_is_seen() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.report(LinkReport::Down(1, Parting::Stopping));
    let mut waited = Vec::new();
    for _ in 0..8 {
        let mut steps = 0;
        let dial = loop {
            me.pass(Duration::from_millis(100));
            if let [(dial, ..)] = me.dialled()[..] {
                break dial;
            }
            steps += 1;
            assert!(steps < 1000);
        };
        waited.push(steps);
        me.report(LinkReport::DialFailed { dial, failures: vec![], unresolved: None });
    }
    assert_eq!(waited[0], 0, "at once");
    assert!(waited[7] > 200 && waited[7] <= 375, "{waited:?}");
    let seen = Sighting::Seen { peer: id(9), name: name("bob"), addresses: vec![at(10)] };
    me.peers.on_sighting(me.now, me.instant, seen);
    me.pass(Duration::ZERO);
    assert_eq!(me.dialled()[0].2, [at(10), at(9)], "where it was seen, then where it was");
}

#[test]
fn who_is_removed_may_come_back_as_a_stranger() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    me.trust("bob");
    me.send("bob", "x").unwrap();
    me.command(|reply| PeerCommand::Remove("bob".into(), reply)).unwrap();
    assert_eq!(me.closed(), [(1, Parting::Renewed)]);
    assert_eq!((me.peers.queued, me.peers.queued_bytes), (0, 0));
    assert!(me.events.iter().any(|event| matches!(event, Event::Refused { .. })), "what waited is given up");
    me.report(LinkReport::Down(1, Parting::Renewed));
    me.up(2, 9, "bob");
    assert_eq!(me.peers.show(id(9)).unwrap().trust, Trust::New);
}

#[test]
fn a_whole_id_must_be_the_peers() {
    let mut me = Box5::new();
    me.up(1, 9, "bob");
    let wrong = me.command(|reply| PeerCommand::Trust("bob".into(), Some(id(8)), reply));
    assert_eq!(wrong.unwrap_err().kind(), Kind::Refused);
    let shown = me.command(|reply| PeerCommand::Trust("bob".into(), Some(id(9)), reply)).unwrap();
    assert_eq!(shown.trust, Trust::Trusted);
}
