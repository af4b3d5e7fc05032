//! Peers on a LAN that is not as it should be: hosts in network namespaces, each with a netkitd of its own. One file per
//! group of scenarios; here is what they share: who is linked, who says how many messages, and that each arrived once and
//! in order. What is at random is told with its seed. `./tests/run --all` has the long form of each.

/// Crashes in the middle of a conversation.
mod crash;
/// A stranger that forges the address of a peer.
mod forged;
/// Links that lose or crawl, and LANs in two parts.
mod loss;
/// Hosts that change addresses, lose interfaces, or are not found by multicast.
mod moves;
/// A room of eight.
mod room;
/// Strangers: one with a known name, one that floods; and plain peers beside.
mod strangers;
/// Files from several peers whose links are slow.
mod transfers;

use crate::harness::{Control, Host, Lab, Node, eventually};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Two hosts with a box each, anna on 10.77.0.1 and bob on 10.77.0.2, who know each other.
struct Pair {
    lab: Lab,
    a: Host,
    b: Host,
    anna: Node,
    bob: Node,
}

impl Pair {
    #[track_caller]
    fn new() -> Pair {
        let lab = Lab::new();
        let (a, b) = (lab.host(1), lab.host(2));
        let (anna, bob) = (a.node("anna").start(), b.node("bob").start());
        befriend((&anna, "10.77.0.1"), (&bob, "10.77.0.2"));
        Pair { lab, a, b, anna, bob }
    }
}

/// Each adds the other.
#[track_caller]
fn befriend(one: (&Node, &str), other: (&Node, &str)) {
    one.0.ctl(&["peers", "add", other.1, "--wait=50"]).expect(0);
    other.0.ctl(&["peers", "add", one.1, "--wait=50"]).expect(0);
}

/// What a box tells of a peer of this name.
fn peer(at: &Node, name: &str) -> Option<Value> {
    let listed = at.session().call("peers.list", json!({})).unwrap();
    listed["peers"].as_array().unwrap().iter().find(|peer| peer["name"] == name).cloned()
}

/// Where a peer is linked from.
fn linked_from(at: &Node, name: &str) -> Option<String> {
    let peer = peer(at, name)?;
    let mut addresses = peer["addresses"].as_array().unwrap().iter();
    let linked = addresses.find(|address| address["how"] == "linked")?;
    Some(linked["address"].as_str().unwrap().to_owned())
}

/// Waits until a peer is linked from an address that starts so.
#[track_caller]
fn wait_linked(at: &Node, name: &str, address: &str) {
    eventually(&format!("{name} is linked from {address}"), || {
        linked_from(at, name).filter(|from| from.starts_with(address))
    });
}

/// Whoever says numbered messages to a peer, one after the other.
struct Speaker {
    socket: PathBuf,
    to: String,
    count: usize,
    said: AtomicUsize,
    /// How many it may say at present.
    allowed: AtomicUsize,
}

impl Speaker {
    fn new(from: &Node, to: &str, count: usize) -> Speaker {
        let (said, allowed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        Speaker { socket: from.socket(), to: to.to_owned(), count, said, allowed }
    }

    /// How many netkitd took.
    fn said(&self) -> usize {
        self.said.load(Relaxed)
    }

    fn is_done(&self) -> bool {
        self.said() == self.count
    }

    /// It says so many and some more, and waits there: it does not outrun what is to happen then.
    fn allow(&self, count: usize) {
        self.allowed.store(count, Relaxed);
    }

    /// Says all of them, a few at a time, each with a key: where netkitd went away in between, they are said again.
    fn run(&self) {
        let numbers: Vec<usize> = (0..self.count).collect();
        for some in numbers.chunks(20) {
            eventually("more may be said", || (self.said() <= self.allowed.load(Relaxed)).then_some(()));
            eventually("netkitd takes what is said", || self.try_some(some));
            self.said.fetch_add(some.len(), Relaxed);
        }
    }

    fn try_some(&self, numbers: &[usize]) -> Option<()> {
        let mut session = Control::try_connect(&self.socket)?;
        let request = |n: &usize| {
            let params =
                json!({"to": self.to, "text": text(&self.to, *n), "key": format!("{}-{n}", self.to)});
            json!({"jsonrpc": "2.0", "id": n, "method": "chat.send", "params": params})
        };
        let requests: Vec<Value> = numbers.iter().map(request).collect();
        let answers = session.try_ask(&json!(requests).to_string())?;
        for answer in answers.as_array().unwrap_or_else(|| panic!("{answers}")) {
            assert!(answer.get("result").is_some(), "{answer}");
        }
        Some(())
    }

    /// Waits until the peer has all of them.
    #[track_caller]
    fn wait_delivered(&self) {
        eventually(&format!("{} has all that was said", self.to), || {
            let mut session = Control::try_connect(&self.socket)?;
            let shown = session.try_call("peers.show", json!({"peer": self.to}))?.unwrap();
            (shown["queued"] == 0).then_some(())
        });
    }
}

fn text(to: &str, n: usize) -> String {
    format!("to {to}: {n}")
}

/// Both say so many messages to each other, as long as `meanwhile` runs and longer. What it is given are those who speak.
#[track_caller]
fn both_say(pair: &mut Pair, count: usize, meanwhile: impl FnOnce(&mut Pair, &[Speaker; 2])) {
    let speakers = [Speaker::new(&pair.anna, "bob", count), Speaker::new(&pair.bob, "anna", count)];
    std::thread::scope(|scope| {
        for speaker in &speakers {
            scope.spawn(|| speaker.run());
        }
        meanwhile(pair, &speakers);
    });
    for speaker in &speakers {
        speaker.wait_delivered();
    }
    assert_heard(&pair.bob, "anna", "bob", count);
    assert_heard(&pair.anna, "bob", "anna", count);
    assert_told(&pair.anna, count);
    assert_told(&pair.bob, count);
}

/// The entries of a box's log that a filter lets through: others may be many.
#[track_caller]
fn events(at: &Node, filter: &Value) -> Vec<Value> {
    let (mut session, mut events) = (at.session(), Vec::new());
    let mut params = json!({"filter": filter, "limit": 1000});
    loop {
        let mut page = session.call("events.read", params.clone()).unwrap();
        events.append(page["events"].as_array_mut().unwrap());
        if page["more"] == false {
            events.retain(|event| event["kind"] != "gap"); // where lines of a flood were dropped
            return events;
        }
        params["since"] = page["next"].take();
    }
}

/// What a box has heard of a peer that proved who it is.
fn heard(at: &Node, from: &str) -> Vec<String> {
    let events = events(at, &json!({"topics": ["message.received"], "peer": from}));
    events
        .iter()
        .filter(|event| event["verified"] == true)
        .map(|event| event["text"].as_str().unwrap().to_owned())
        .collect()
}

/// The messages of a [`Speaker`] to `me` were heard, each once and in order.
#[track_caller]
fn assert_heard(at: &Node, from: &str, me: &str, count: usize) {
    let heard = heard(at, from);
    let wrong = (0..count).zip(&heard).find(|(n, heard)| **heard != text(me, *n));
    assert_eq!(wrong, None, "what {me} heard of {from} instead");
    assert_eq!(heard.len(), count, "what {me} heard of {from}");
}

/// It was told of each of so many messages once that it is delivered.
#[track_caller]
fn assert_told(at: &Node, count: usize) {
    let delivered = eventually("all receipts are in the log", || {
        let receipts = events(at, &json!({"topics": ["message.delivered"]}));
        let all = receipts.iter().flat_map(|event| event["messages"].as_array().unwrap().clone());
        let all: Vec<u64> = all.map(|message| message.as_u64().unwrap()).collect();
        (all.len() >= count).then_some(all)
    });
    assert_eq!(delivered.len(), count, "each message is told to be delivered once");
    assert!(delivered.is_sorted_by(|a, b| a < b), "in order");
}

/// Waits as long as this host's ping waits in vain for an answer of an address: so many seconds.
#[track_caller]
fn ping_in_vain(host: &Host, address: &str, seconds: u32) {
    let shown = host.run(&["ping", "-q", "-i", "0.2", "-w", &seconds.to_string(), address]).expect(1).stdout;
    assert!(shown.contains(" 0 received"), "{shown}");
}

/// A script for python3 on a host.
fn python(host: &Host, script: &str, args: &[&str]) -> crate::harness::Running {
    crate::harness::Running::start(host.command(&[&["python3", "-c", script], args].concat()))
}

/// The id of a box.
fn id(at: &Node) -> String {
    at.session().call("peers.list", json!({})).unwrap()["me"]["id"].as_str().unwrap().to_owned()
}
