//! The peers of a session, numbered as they come: their names, counters, queues, and whom a message is for. Owned by
//! `run`; `receive` and `send` change it. Nothing is read or written here.

use super::limits;
use super::pattern::Memory;
use super::payload::Payload;
use super::socket::show_address;
use rustix::fd::OwnedFd;
use rustix::net::SocketAddrAny;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::str::FromStr;
use std::time::Instant;

/// Messages and bytes one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Counter {
    pub(super) fn count(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// Whom something is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Whoever was heard last, or came last.
    Last,
    All,
    One(u32),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        match text {
            "last" => Ok(Target::Last),
            "all" => Ok(Target::All),
            _ => text
                .parse()
                .map(Target::One)
                .map_err(|_| format!("{text:?} is neither all, last nor a peer's number")),
        }
    }
}

/// What does not change about a peer.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) number: u32,
    pub(super) address: SocketAddrAny,
    /// The address for people.
    pub(super) name: String,
    /// Our own address towards it.
    pub(super) local: SocketAddrAny,
    /// Whether it came to us.
    pub(super) came: bool,
}

/// A peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) facts: Facts,
    /// The connection; none where datagrams of all peers come from one socket.
    pub(super) stream: Option<OwnedFd>,
    /// What is to be sent, and whether it was typed.
    queue: VecDeque<(Payload, bool)>,
    /// What of the first in the queue has gone.
    gone: usize,
    queued: usize,
    pub(super) received: Counter,
    pub(super) sent: Counter,
    /// For `--reply`.
    pub(super) asked: Memory,
    /// For `--expect`.
    pub(super) said: Memory,
    /// There may be more to answer once its queue takes more.
    pub(super) owes: bool,
    /// Nothing more comes.
    pub(super) is_silent: bool,
    /// It is to be closed once its queue is empty.
    pub(super) is_leaving: bool,
    /// By then at the latest.
    pub(super) leaves_by: Option<Instant>,
    /// In the order of who was heard last.
    turn: u64,
}

impl Peer {
    /// Puts something into its queue.
    pub(super) fn enqueue(&mut self, payload: Payload, typed: bool) {
        self.queued += payload.len();
        self.queue.push_back((payload, typed));
    }

    /// Whether there is something to send.
    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether its queue takes more. (Empty messages count, too.)
    pub(super) fn takes_more(&self) -> bool {
        self.queued < limits::QUEUE && self.queue.len() < limits::MESSAGES && !self.is_leaving
    }

    /// What is to be sent next, from where it got to; and whether it was typed.
    pub(super) fn next(&self) -> Option<(Payload, usize, bool)> {
        self.queue.front().map(|(first, typed)| (Payload::clone(first), self.gone, *typed))
    }

    /// Bytes that are to be sent.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// So much of it has gone; a datagram goes as a whole.
    pub(super) fn went(&mut self, bytes: usize) {
        self.gone += bytes;
        self.queued = self.queued.saturating_sub(bytes);
        if self.queue.front().is_some_and(|(first, _)| self.gone >= first.len()) {
            self.queue.pop_front();
            self.gone = 0;
        }
    }

    /// The next message can't be sent.
    pub(super) fn drop_next(&mut self) {
        let left = self.queue.front().map_or(0, |(first, _)| first.len().saturating_sub(self.gone));
        self.went(left);
    }

    /// Nothing of its queue can be sent any more.
    pub(super) fn drop_queue(&mut self) {
        self.queue.clear();
        (self.gone, self.queued) = (0, 0);
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Peers {
    all: BTreeMap<u32, Peer>,
    /// Those without a connection of their own.
    by_address: HashMap<SocketAddrAny, u32>,
    numbered: u32,
    turns: u64,
}

impl Peers {
    /// A newcomer; where there are too many, the number of the one that was forgotten for it.
    pub(super) fn add(
        &mut self,
        address: SocketAddrAny,
        local: SocketAddrAny,
        stream: Option<OwnedFd>,
        came: bool,
    ) -> (u32, Option<u32>) {
        let mut forgotten = None;
        if stream.is_none() {
            let longest = self.all.values().filter(|peer| peer.facts.came).min_by_key(|peer| peer.turn);
            if self.all.len() >= limits::PEERS
                && let Some(number) = longest.map(|peer| peer.facts.number)
            {
                self.remove(number);
                forgotten = Some(number);
            }
        }
        self.numbered = self.numbered.saturating_add(1);
        let number = self.numbered;
        if stream.is_none() {
            self.by_address.insert(address.clone(), number);
        }
        self.turns += 1;
        let peer = Peer {
            facts: Facts { number, name: show_address(&address), address, local, came },
            stream,
            queue: VecDeque::new(),
            gone: 0,
            queued: 0,
            received: Counter::default(),
            sent: Counter::default(),
            asked: Memory::default(),
            said: Memory::default(),
            owes: false,
            is_silent: false,
            is_leaving: false,
            leaves_by: None,
            turn: self.turns,
        };
        self.all.insert(number, peer);
        (number, forgotten)
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, number: u32) -> Option<Peer> {
        let peer = self.all.remove(&number)?;
        self.by_address.remove(&peer.facts.address);
        Some(peer)
    }

    /// It was heard just now.
    pub(super) fn heard(&mut self, number: u32) {
        self.turns += 1;
        let turn = self.turns;
        if let Some(peer) = self.get_mut(number) {
            peer.turn = turn;
        }
    }

    pub(super) fn at(&self, address: &SocketAddrAny) -> Option<u32> {
        self.by_address.get(address).copied()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Peer> {
        self.all.get_mut(&number)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Peer> {
        self.all.get(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.all.values()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether this one was there and is no more.
    pub(super) fn has_left(&self, number: u32) -> bool {
        number > 0 && number <= self.numbered && !self.all.contains_key(&number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The numbers of whom `target` means; none where nobody is there.
    pub(super) fn meant(&self, target: Target) -> Vec<u32> {
        let there = self.all.values().filter(|peer| !peer.is_leaving);
        match target {
            Target::All => there.map(|peer| peer.facts.number).collect(),
            Target::Last => {
                there.max_by_key(|peer| peer.turn).map(|peer| peer.facts.number).into_iter().collect()
            }
            Target::One(number) => there.map(|peer| peer.facts.number).filter(|&n| n == number).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn address(port: u16) -> SocketAddrAny {
        SocketAddr::from(([127, 0, 0, 1], port)).into()
    }

    #[test]
    fn messages_are_for_one_all_or_whoever_was_heard_last() {
        let mut peers = Peers::default();
        assert!(peers.meant(Target::Last).is_empty());
        for port in 1..=3 {
            peers.add(address(port), address(9), None, true);
        }
        assert_eq!(peers.meant(Target::Last), [3]);
        peers.heard(1);
        assert_eq!((peers.meant(Target::Last), peers.at(&address(2))), (vec![1], Some(2)));
        assert_eq!(peers.meant(Target::All), [1, 2, 3]);
        peers.remove(1);
        assert_eq!((peers.meant(Target::One(1)), peers.meant(Target::One(2))), (vec![], vec![2]));
        assert_eq!(peers.meant(Target::Last), [3]);
        for (text, target) in
            [("all", Some(Target::All)), ("7", Some(Target::One(7))), ("x", None), ("-1", None)]
        {
            assert_eq!(text.parse().ok(), target);
        }
    }

    #[test]
    fn peers_are_bounded() {
        let mut peers = Peers::default();
        peers.add(address(9), address(9), None, false);
        for port in 0..limits::PEERS {
            let (_, forgotten) =
                peers.add(address(u16::try_from(port + 10).unwrap()), address(9), None, true);
            assert_eq!(forgotten, (port == limits::PEERS - 1).then_some(2), "never whom we connected to");
        }
        assert_eq!(peers.len(), limits::PEERS);
    }

    #[test]
    fn a_queue_goes_in_pieces() {
        let mut peers = Peers::default();
        peers.add(address(1), address(9), None, true);
        let peer = peers.get_mut(1).unwrap();
        peer.enqueue(b"abc"[..].into(), true);
        peer.enqueue(b""[..].into(), false);
        peer.enqueue(b"d"[..].into(), false);
        peer.went(1);
        assert_eq!(peer.next(), Some((b"abc"[..].into(), 1, true)));
        peer.went(2);
        assert_eq!(peer.next(), Some((b""[..].into(), 0, false)));
        peer.went(0);
        assert_eq!((peer.next(), peer.queued()), (Some((b"d"[..].into(), 0, false)), 1));
        peer.drop_next();
        assert!(!peer.has_queued() && peer.takes_more() && peer.next().is_none());
        peer.enqueue(vec![0; limits::QUEUE].into(), false);
        assert!(!peer.takes_more());
    }
}
