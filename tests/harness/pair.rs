//! Boxes that are linked: each has a loopback address of its own, which it keeps when it starts again. They find each
//! other because a test says where; nobody announces anything.

use super::{Control, Node, NodeBuilder, Running, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

/// A box for links, not yet started.
pub fn builder(name: &str) -> NodeBuilder {
    builder_with(name, "")
}

/// The same with further sections of the configuration.
pub fn builder_with(name: &str, sections: &str) -> NodeBuilder {
    let sections = format!("[discovery]\nmdns = false\n{sections}");
    NodeBuilder::default().name(name).listen(&format!("{}:0", own_address())).sections(&sections)
}

/// An address of this machine's that nobody else listens on: a port that was free once is free again there.
fn own_address() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let n = LAST.fetch_add(1, Ordering::Relaxed) + 2;
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    format!("127.{}.{low}.{}", 1 + high % 254, n % 250 + 1)
}

/// Starts a box, which keeps its port from then on.
pub fn box_of(builder: NodeBuilder) -> Node {
    let node = builder.start();
    node.keep_port();
    node
}

/// Two boxes, alice and bob, linked, who know each other.
pub fn pair() -> (Node, Node) {
    let (alice, bob) = (box_of(builder("alice")), box_of(builder("bob")));
    befriend(&alice, &bob);
    (alice, bob)
}

/// The first adds the second, which trusts it.
#[track_caller]
pub fn befriend(one: &Node, other: &Node) {
    one.add(other);
    other.tell("peers.trust", &one.id());
}

impl Node {
    /// Listens where it does now, also after the next start.
    pub fn keep_port(&self) {
        let at = self.chat();
        self.edit_config(&format!("{}:0", at.ip()), &at.to_string());
    }

    /// Calls a method that takes a peer.
    #[track_caller]
    pub fn tell(&self, method: &str, peer: &str) -> Value {
        self.session().call(method, json!({"peer": peer})).unwrap()
    }

    /// The answer of `peers.list`.
    pub fn peers(&self) -> Value {
        self.session().call("peers.list", json!({})).unwrap()
    }

    /// This box's id.
    pub fn id(&self) -> String {
        self.peers()["me"]["id"].as_str().unwrap().to_owned()
    }

    /// The peer with this id, as it is shown.
    pub fn peer(&self, id: &str) -> Option<Value> {
        self.peers()["peers"].as_array().unwrap().iter().find(|peer| peer["id"] == id).cloned()
    }

    /// Asks another box's address for a peer, and waits until both have the link.
    #[track_caller]
    pub fn add(&self, other: &Node) {
        self.session().call("peers.add", json!({"host": other.chat().to_string()})).unwrap();
        self.wait_linked(other);
    }

    /// Waits until this box and another one have a link.
    #[track_caller]
    pub fn wait_linked(&self, other: &Node) {
        for (here, there) in [(self, other.id()), (other, self.id())] {
            here.wait_peer(&there, "it is linked", |peer| peer["linked"] == true);
        }
    }

    /// Waits until a peer is shown so.
    #[track_caller]
    pub fn wait_peer(&self, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut session = self.session();
        eventually(&format!("{id}: {what}"), || {
            let list = session.call("peers.list", json!({})).unwrap();
            list["peers"].as_array().unwrap().iter().find(|peer| peer["id"] == id && is_so(peer)).cloned()
        })
    }

    /// Waits until nothing waits for peers.
    #[track_caller]
    pub fn wait_delivered(&self) {
        self.wait_for("/peers/queued", 0);
    }

    /// Sends a text; gives the message's id.
    #[track_caller]
    pub fn say(&self, to: &str, text: &str) -> u64 {
        let sent = self.session().call("chat.send", json!({"to": to, "text": text})).unwrap();
        sent["id"].as_u64().unwrap()
    }

    /// The events of this kind.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let mut all = self.session().all_events();
        all.retain(|event| event["kind"] == kind);
        all
    }

    /// Waits for an event of this kind, from the start of the log on.
    #[track_caller]
    pub fn wait_event(&self, kind: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut session = self.session();
        session.call("events.subscribe", json!({"since": 0, "filter": {"topics": [kind]}})).unwrap();
        loop {
            let event = session.event();
            if is_it(&event) {
                return event;
            }
        }
    }

    /// Which messages are on which peers' disks, as this box was told, in that order.
    pub fn delivered(&self) -> Vec<u64> {
        let events = self.events("message.delivered");
        let messages = events.iter().flat_map(|event| event["messages"].as_array().unwrap());
        messages.map(|message| message.as_u64().unwrap()).collect()
    }

    /// Whom messages came from, the rooms they were sent to, and their texts.
    pub fn heard(&self) -> Vec<(String, Option<String>, String)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let events = self.events("message.received");
        let heard = |event: &Value| {
            (text(&event["peer"]).unwrap(), text(&event["room"]), text(&event["text"]).unwrap())
        };
        events.iter().map(heard).collect()
    }

    /// Holds netkitd as it is, until it is [let go on](Node::go_on).
    pub fn hold(&mut self) {
        self.daemon().signal(Signal::STOP);
    }

    pub fn go_on(&mut self) {
        self.daemon().signal(Signal::CONT);
    }

    /// Starts netkitd, which must refuse to run; gives how it ended.
    pub fn refuses_to_start(&self) -> super::Ended {
        Running::to_end(self.netkitd(&[]), b"")
    }
}

/// One session after the other, for as long as it takes: netkitd may go away and come back.
pub struct Stubborn<'a> {
    node_socket: std::path::PathBuf,
    to: &'a str,
    key: &'a str,
}

/// Texts are said so many at a time.
const AT_ONCE: usize = 16;

impl<'a> Stubborn<'a> {
    /// Says something to `to`, with keys that begin with `key`.
    pub fn new(node: &Node, to: &'a str, key: &'a str) -> Stubborn<'a> {
        Stubborn { node_socket: node.socket(), to, key }
    }

    /// Says each text once and in order, telling `said` how many are committed; goes on where they are fewer than `allowed`.
    pub fn say(&self, texts: &[String], said: &AtomicU32, allowed: &AtomicU32) {
        let mut session = None;
        for (chunk, texts) in texts.chunks(AT_ONCE).enumerate() {
            let may_say = || said.load(Ordering::Relaxed) < allowed.load(Ordering::Relaxed);
            eventually("more may be said", || may_say().then_some(()));
            eventually("netkitd takes messages", || {
                let mut control = session.take().or_else(|| Control::try_connect(&self.node_socket))?;
                self.chunk(&mut control, chunk, texts)?;
                session = Some(control);
                Some(())
            });
            said.fetch_add(u32::try_from(texts.len()).unwrap(), Ordering::Relaxed);
        }
    }

    /// `None` where netkitd went away: what was not answered is said again under the same keys.
    fn chunk(&self, control: &mut Control, chunk: usize, texts: &[String]) -> Option<()> {
        let mut lines = String::new();
        for (n, text) in texts.iter().enumerate() {
            let key = format!("{}-{}", self.key, chunk * AT_ONCE + n);
            let params = json!({"to": self.to, "text": text, "key": key});
            let request = json!({"jsonrpc": "2.0", "id": n, "method": "chat.send", "params": params});
            lines.push_str(&format!("{request}\n"));
        }
        control.try_send(lines.as_bytes())?;
        for _ in texts {
            let answer = control.try_line()?;
            let kind = &answer["error"]["data"]["kind"];
            assert!(kind.is_null() || kind == "unavailable", "{answer}");
            if !kind.is_null() {
                return None;
            }
        }
        Some(())
    }
}

/// So many texts, each another one.
pub fn texts(what: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{what} {n}")).collect()
}

/// The very same texts; a difference is told by its place.
#[track_caller]
pub fn assert_texts(found: &[String], expected: &[String], what: &str) {
    if found != expected {
        let at = found.iter().zip(expected).position(|(a, b)| a != b);
        let around = |all: &[String]| {
            let at = at.unwrap_or(found.len().min(expected.len()));
            all.iter().skip(at.saturating_sub(2)).take(5).cloned().collect::<Vec<_>>()
        };
        panic!(
            "{what}: {} instead of {}; the first difference at {at:?}: {:?} instead of {:?}",
            found.len(),
            expected.len(),
            around(found),
            around(expected)
        );
    }
}
