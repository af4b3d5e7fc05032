//! What people want of peers: hosts to ask, whom to trust, whom to block or forget, rooms to be in. Each is answered when
//! it is committed.

use super::fate::{BLOCKED, REMOVED, refused};
use super::{Follow, Host, Letter, Peer, Peers, Reply, Step, is_taken};
use crate::config::HostPort;
use crate::hub::answer;
use crate::hub::links::Parting;
use crate::limits;
use crate::store::{HostRow, Op, PeerRow};
use netkit_proto::ids::PeerId;
use netkit_proto::name::PeerName;
use netkit_proto::rpc::call::{Empty, Peer as Shown, Trust};
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::{Event, PeerFacts};
use netkit_proto::time::Timestamp;
use tokio::time::Instant;

/// What is asked for.
#[derive(Debug)]
pub enum PeerCommand {
    /// Ask a host for a peer.
    Add(HostPort, Reply<Empty>),
    /// Forget a peer, or a host.
    Remove(String, Reply<Empty>),
    /// Trust a peer, whose whole id is this.
    Trust(String, Option<PeerId>, Reply<Box<Shown>>),
    /// Have nothing to do with it.
    Block(String, Reply<Box<Shown>>),
    /// Be in a room, or no longer.
    Room(PeerName, bool, Reply<Empty>),
}

impl Peers {
    /// Somebody wants something.
    pub(in crate::hub) fn on_command(&mut self, now: Timestamp, command: PeerCommand) {
        match command {
            PeerCommand::Add(host, reply) => self.add(&host, reply),
            PeerCommand::Remove(text, reply) => self.remove(now, &text, reply),
            PeerCommand::Trust(text, id, reply) => self.trust(now, &text, id, reply),
            PeerCommand::Block(text, reply) => match self.find(&text) {
                Ok(id) => self.change(now, id, Trust::Blocked, reply),
                Err(error) => answer(reply, Err(error)),
            },
            PeerCommand::Room(room, joined, reply) => self.room(room, joined, reply),
        }
    }

    fn ask(&mut self, ops: Vec<Op>, follow: Follow) {
        self.steps.push(Step { ops, follow, is_asked: true });
    }

    fn add(&mut self, host: &HostPort, reply: Reply<Empty>) {
        let host = super::name::of_host(host);
        let added = self.hosts.values().filter(|host| host.row.added).count();
        if added >= limits::HOSTS {
            let why = format!("{} hosts are asked for peers already", limits::HOSTS);
            return answer(reply, Err(Error::new(Kind::Busy, why).hint("netkitctl peers remove HOST")));
        }
        let peer = self.hosts.get(&host).and_then(|host| host.row.peer);
        let row = HostRow { host: host.clone(), added: true, peer };
        self.ask(vec![Op::HostSet(row)], Follow::HostAdded(host, reply));
    }

    pub(super) fn host_added(&mut self, host: String, instant: Instant) {
        let row = HostRow { host: host.clone(), added: true, peer: None };
        let entry = self.hosts.entry(host).or_insert_with(|| Host::new(row, instant));
        entry.row.added = true;
        entry.dialing.hurry(instant);
        self.dial(instant);
    }

    fn remove(&mut self, now: Timestamp, text: &str, reply: Reply<Empty>) {
        let host = text.parse::<HostPort>().ok().map(|host| super::name::of_host(&host));
        if let Some(host) = host.as_ref().filter(|host| self.hosts.contains_key(*host)) {
            if self.hosts.get(host).is_some_and(|host| host.configured) {
                let why = format!("{host} stands in the configuration");
                let hint = "take it out of discovery.peers and reload";
                return answer(reply, Err(Error::new(Kind::Refused, why).hint(hint)));
            }
            return self.ask(vec![Op::HostRemove(host.clone())], Follow::HostRemoved(host.clone(), reply));
        }
        let id = match (self.find(text), host) {
            (Ok(id), _) => id,
            (Err(error), Some(host)) if error.kind() == Kind::InvalidParams => {
                let why = format!("{host} is not asked for a peer");
                return answer(reply, Err(Error::new(Kind::NotFound, why)));
            }
            (Err(error), _) => return answer(reply, Err(error)),
        };
        let label = self.label(id);
        if self.leaving.contains_key(&id) {
            let why = format!("{label} is being removed already");
            return answer(reply, Err(Error::new(Kind::Busy, why).hint("in a moment it is done, or failed")));
        }
        let Some(peer) = self.take(id) else { return };
        self.uncount(&peer);
        if let Some(link) = &peer.link {
            self.links.remove(&link.id);
            self.close(link.id, Parting::Renewed);
        }
        let give_up = |letter: &Letter| {
            let event = refused(letter.message, label.clone(), REMOVED, peer.may_have(letter));
            Op::GiveUp(now, id, letter.n, event)
        };
        let mut ops: Vec<Op> = peer.letters.iter().map(give_up).collect();
        ops.push(Op::Append(now, Event::PeerRemoved(PeerFacts { peer: label, id })));
        ops.push(Op::PeerRemove(id));
        self.leaving.insert(id, peer);
        self.ask(ops, Follow::Removed(id, reply));
    }

    fn uncount(&mut self, peer: &Peer) {
        self.queued -= peer.letters.len();
        self.queued_bytes -= peer.letters.bytes();
    }

    fn count_again(&mut self, peer: &Peer) {
        self.queued += peer.letters.len();
        self.queued_bytes += peer.letters.bytes();
    }

    pub(super) fn host_removed(&mut self, host: &str) {
        self.hosts.remove(host);
    }

    /// A peer is forgotten.
    pub(super) fn removed(&mut self, id: PeerId) {
        self.leaving.remove(&id);
        for host in self.hosts.values_mut().filter(|host| host.row.peer == Some(id)) {
            host.row.peer = None;
        }
        self.hosts.retain(|_, host| host.is_asked());
    }

    /// A peer could not be forgotten: it is what it was, and what came of it as of a stranger is its own.
    pub(super) fn not_removed(&mut self, instant: Instant, id: PeerId) {
        let Some(mut peer) = self.leaving.remove(&id) else { return };
        peer.link = None;
        peer.dialing = super::Dialing::now(instant);
        if let Some(newcomer) = self.take(id) {
            peer.link = newcomer.link; // it has no letters: none is kept for it while it is to be removed
        }
        self.count_again(&peer);
        let (row, link) = (peer.row.clone(), peer.link.as_ref().map(|link| link.id));
        self.insert(peer);
        self.note(vec![Op::PeerSeen(Box::new(row))]); // its trust may have been changed behind the removal
        if let Some(link) = link {
            self.close(link, Parting::Renewed); // the next one begins with what waits the longest
        }
    }

    fn trust(&mut self, now: Timestamp, text: &str, whole: Option<PeerId>, reply: Reply<Box<Shown>>) {
        let id = match self.find(text) {
            Ok(id) => id,
            Err(error) => return answer(reply, Err(error)),
        };
        if let Some(whole) = whole.filter(|whole| *whole != id) {
            let why = format!("{text} is {id}, not {whole}");
            let hint = "compare the ids again: the box may be another one than you think";
            return answer(reply, Err(Error::new(Kind::Refused, why).hint(hint)));
        }
        self.change(now, id, Trust::Trusted, reply);
    }

    fn change(&mut self, now: Timestamp, id: PeerId, trust: Trust, reply: Reply<Box<Shown>>) {
        let facts = PeerFacts { peer: self.label(id), id };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.changing += 1;
        let row = PeerRow { trust, ..peer.row.clone() };
        let event =
            if trust == Trust::Blocked { Event::PeerBlocked(facts) } else { Event::PeerTrusted(facts) };
        let ops = vec![Op::PeerSet(Box::new(row)), Op::Append(now, event)];
        self.ask(ops, Follow::Changed(id, trust, reply));
    }

    /// What was asked of a peer's trust is committed, or could not be.
    pub(super) fn no_longer_changing(&mut self, id: PeerId) {
        if let Some(peer) = self.leaving.get_mut(&id).or_else(|| self.peers.get_mut(&id)) {
            peer.changing = peer.changing.saturating_sub(1);
        }
    }

    /// A peer is trusted otherwise: what it may do on its link follows.
    pub(super) fn changed(&mut self, now: Timestamp, instant: Instant, id: PeerId, trust: Trust) {
        self.no_longer_changing(id);
        let accept = self.rules.accept;
        if let Some(peer) = self.leaving.get_mut(&id) {
            peer.row.trust = trust; // should it stay; who has come meanwhile is a stranger
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        (peer.row.trust, peer.is_kept) = (trust, true);
        self.is_trust_changed = true;
        (peer.trouble, peer.turns_away) = (None, false);
        peer.dialing.hurry(instant);
        let parting = match &peer.link {
            Some(link) if trust == Trust::Blocked => Some((link.id, Parting::Blocked)),
            Some(link) if link.is_refused == is_taken(accept, trust) => Some((link.id, Parting::Renewed)),
            _ => None,
        };
        if let Some((link, parting)) = parting {
            self.close(link, parting);
        }
        if trust == Trust::Blocked {
            let blocked = |message, peer, maybe| refused(message, peer, BLOCKED, maybe);
            let mut ops = Vec::new();
            while let Some(op) = self.give_up(now, id, 0, blocked) {
                ops.push(op);
            }
            self.note(ops);
        }
    }

    fn room(&mut self, room: PeerName, joined: bool, reply: Reply<Empty>) {
        if joined && room.as_str() == "all" {
            let why = "every box is in @all";
            return answer(reply, Err(Error::new(Kind::InvalidParams, why)));
        }
        if joined && !self.rooms.contains(&room) && self.rooms.len() >= netkit_proto::limits::ROOMS {
            let why = format!("this box is in {} rooms already", self.rooms.len());
            return answer(reply, Err(Error::new(Kind::Busy, why).hint("netkitctl rooms leave ROOM")));
        }
        if !joined && !self.rooms.contains(&room) {
            return answer(
                reply,
                Err(Error::new(Kind::NotFound, format_args!("this box is not in @{room}"))),
            );
        }
        self.ask(vec![Op::RoomSet(room.clone(), joined)], Follow::Room(room, joined, reply));
    }
}
