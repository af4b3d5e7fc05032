//! What links tell: who is there, what it says, how far it has stored what was said to it. One link to a peer is kept;
//! of two, both sides keep the same one.

use super::dial::Target;
use super::{Follow, Link, Peer, Peers, Step, is_taken, is_within};
use crate::hub::content::Sought;
use crate::hub::links::{DialId, Hello, LinkId, LinkOrder, LinkReport, Parting, RefusalCode, Say, Sighting};
use crate::limits;
use crate::store::{Op, PeerRow};
use netkit_proto::chat::plain::Encoding;
use netkit_proto::ids::{Epoch, PeerId};
use netkit_proto::name::PeerName;
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::event::{Event, PeerFacts};
use netkit_proto::time::Timestamp;
use std::net::SocketAddr;
use tokio::time::Instant;

/// A link that came up.
struct Up {
    link: LinkId,
    peer: PeerId,
    address: SocketAddr,
    dial: Option<DialId>,
    hello: Hello,
}

impl Peers {
    /// A link tells something.
    pub(in crate::hub) fn on_report(&mut self, now: Timestamp, instant: Instant, report: LinkReport) {
        match report {
            LinkReport::Up { link, peer, address, dial, hello } => {
                self.on_up(now, instant, Up { link, peer, address, dial, hello });
            }
            LinkReport::Rooms(link, rooms) => {
                if let Some(peer) = self.linked(link).filter(|peer| peer.row.rooms != rooms) {
                    peer.row.rooms = rooms;
                    let row = peer.row.clone();
                    self.note(vec![Op::PeerSet(Box::new(row))]);
                }
            }
            LinkReport::Said(link, says) => self.on_said(now, instant, link, says),
            LinkReport::Stored(link, n) => self.on_stored(now, link, n),
            LinkReport::Refused(link, n, code) => self.on_refused(now, link, n, code),
            LinkReport::Have(link, hash) => {
                self.sought.extend(self.links.get(&link).map(|&peer| Sought { link, peer, hash }));
            }
            LinkReport::Has(link, hash) => self.on_has(link, hash),
            LinkReport::Pulse(link, rtt, address) => {
                if let Some(peer) = self.linked(link)
                    && let Some(kept) = &mut peer.link
                {
                    (kept.rtt, kept.address) = (Some(rtt), address);
                    peer.is_at(address);
                }
            }
            LinkReport::Down(link, parting) => self.on_down(now, instant, link, &parting),
            LinkReport::DialFailed { dial, failures, unresolved } => {
                self.on_dial_failed(now, instant, dial, &failures, unresolved);
            }
        }
    }

    /// Somebody announces itself. Who it is will be seen when it is linked.
    pub(in crate::hub) fn on_sighting(&mut self, now: Timestamp, instant: Instant, sighting: Sighting) {
        match sighting {
            Sighting::Seen { peer: id, name, addresses } if id != self.me => {
                if !self.peers.contains_key(&id) && !self.has_room() {
                    return;
                }
                let peer = self.entry(id, &name, now, instant);
                peer.found = addresses;
                peer.found.truncate(limits::PEER_ADDRESSES);
                peer.row.seen = now;
                peer.dialing.hurry(instant);
                // What a peer calls itself is believed of a link, and of nobody whose name is known.
                if !peer.is_kept && peer.row.name != name {
                    self.rename(id, name);
                }
            }
            Sighting::Seen { .. } => {}
            Sighting::Gone(id) => {
                let Some(peer) = self.peers.get_mut(&id) else { return };
                peer.found.clear();
                if !peer.is_kept && peer.link.is_none() && peer.letters.is_empty() {
                    self.take(id);
                }
            }
        }
    }

    /// The peer of this id; a new one where there is none.
    fn entry(&mut self, id: PeerId, name: &PeerName, now: Timestamp, instant: Instant) -> &mut Peer {
        if !self.peers.contains_key(&id) {
            let (addresses, rooms) = (Vec::new(), Vec::new());
            let row = PeerRow { id, name: name.clone(), trust: Trust::New, addresses, rooms, seen: now };
            self.insert(Peer::new(row, instant));
        }
        self.peers.entry(id).or_insert_with(|| unreachable!("it was inserted"))
    }

    /// Whether another stranger can be remembered; one that is of no use any more makes room.
    fn has_room(&mut self) -> bool {
        if self.peers.len() < limits::PEERS {
            return true;
        }
        let is_useless =
            |peer: &&Peer| peer.row.trust == Trust::New && peer.link.is_none() && peer.letters.is_empty();
        let oldest = self.peers.values().filter(is_useless).min_by_key(|peer| peer.row.seen);
        let Some((id, is_kept)) = oldest.map(|peer| (peer.row.id, peer.is_kept)) else { return false };
        self.take(id);
        if is_kept {
            self.note(vec![Op::PeerRemove(id)]);
        }
        true
    }

    fn linked(&mut self, link: LinkId) -> Option<&mut Peer> {
        let id = *self.links.get(&link)?;
        self.peers.get_mut(&id)
    }

    fn on_up(&mut self, now: Timestamp, instant: Instant, up: Up) {
        let target = up.dial.and_then(|dial| self.dials.remove(&dial));
        match &target {
            Some(Target::Peer(id)) => {
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.dialing.ended();
                }
            }
            Some(Target::Host(host)) => {
                if let Some(host) = self.hosts.get_mut(host) {
                    host.dialing.ended();
                    host.trouble = None;
                }
            }
            None => {}
        }
        if !self.peers.contains_key(&up.peer) && !self.has_room() {
            return self.close(up.link, Parting::Busy);
        }
        let is_added = matches!(target, Some(Target::Host(_)));
        let admitted = self.admit(now, instant, &up, is_added);
        if let Err(why) = &admitted {
            self.close(up.link, why.clone());
        }
        // Where another link to it is kept, it was found all the same.
        if !matches!(admitted, Ok(()) | Err(Parting::Superseded)) {
            return;
        }
        let mut ops = Vec::new();
        let facts = PeerFacts { peer: self.label(up.peer), id: up.peer };
        if self.peers.get_mut(&up.peer).is_some_and(|peer| !std::mem::replace(&mut peer.is_kept, true)) {
            ops.push(Op::Append(now, Event::PeerNew(facts)));
        }
        if let Some(Target::Host(host)) = target {
            self.found_at(now, &host, up.peer, &mut ops);
        }
        if admitted.is_err() {
            return self.note(ops);
        }
        let accept = self.rules.accept;
        let Some(peer) = self.peers.get_mut(&up.peer) else { return };
        let trust = peer.row.trust;
        peer.row.rooms = up.hello.rooms;
        peer.row.seen = now;
        peer.is_at(up.address);
        peer.trouble = None;
        peer.dialing.ended();
        peer.file_port = up.hello.file_port;
        self.arrived.push(up.peer);
        ops.push(Op::PeerSet(Box::new(peer.row.clone())));
        let epoch = up.hello.epoch;
        let stored = self.stored.get(&(up.peer, epoch)).map_or(0, |(stored, _)| *stored);
        peer.link = Some(Link {
            id: up.link,
            instance: up.hello.instance,
            ours: up.dial.is_some(),
            address: up.address,
            epoch,
            is_ready: false,
            is_refused: !is_taken(accept, trust),
            is_over: false,
            rtt: None,
            said: 0,
            said_bytes: 0,
        });
        self.links.insert(up.link, up.peer);
        self.orders.push_back(LinkOrder::Stored(up.link, stored));
        self.ask_newcomer(up.peer);
        self.note(ops);
    }

    /// Whether a link may be, and may take the place of the one that there is.
    fn admit(&mut self, now: Timestamp, instant: Instant, up: &Up, is_added: bool) -> Result<(), Parting> {
        let name = &up.hello.name;
        let known = self.peers.get(&up.peer).map_or(Trust::New, |peer| peer.row.trust);
        if known == Trust::Blocked {
            return Err(Parting::Blocked);
        }
        if let (Trust::New, false, Some(namesake)) = (known, is_added, self.namesake(up.peer, name)) {
            self.refuse_namesake(now, instant, up, namesake);
            return Err(Parting::Blocked);
        }
        let strangers = self
            .links
            .values()
            .filter(|id| self.peers.get(id).is_some_and(|p| p.row.trust == Trust::New))
            .count();
        if known == Trust::New && !is_added && up.dial.is_none() && strangers >= limits::STRANGERS {
            return Err(Parting::Busy);
        }
        let me = self.me;
        let entry = self.entry(up.peer, name, now, instant);
        if let Some(old) = &entry.link {
            if old.instance == up.hello.instance && old.ours != up.dial.is_some() {
                // Dialled from both sides: the one that the lower id dialled stays, which both know.
                let new_stays = (me < up.peer) == up.dial.is_some();
                if !new_stays {
                    return Err(Parting::Superseded);
                }
            }
            let old = old.id;
            entry.link = None;
            self.links.remove(&old);
            self.close(old, Parting::Superseded);
        }
        if self.peers.get(&up.peer).is_some_and(|peer| peer.row.name != *name) {
            self.rename(up.peer, name.clone());
        }
        Ok(())
    }

    /// A stranger calls itself as a peer that somebody here knows. Told once, not at each of its tries.
    fn refuse_namesake(&mut self, now: Timestamp, instant: Instant, up: &Up, namesake: PeerId) {
        let (id, address) = (up.peer, up.address);
        let name = up.hello.name.clone();
        let label = self.label(namesake);
        let entry = self.entry(id, &name, now, instant);
        let reason = format!(
            "it calls itself {name}, as {namesake} does, which is known here; if both are right: netkitctl peers trust \
             {id}, and name each as {name}~ID; if it took the other's place: netkitctl peers remove {namesake}"
        );
        if entry.trouble.as_ref() == Some(&reason) {
            return;
        }
        entry.trouble = Some(reason.clone());
        tracing::warn!(%name, %id, known = %namesake, %address, "a stranger claims a known peer's name");
        self.note(vec![Op::Append(now, Event::PeerRefused { peer: label, id, address, reason })]);
    }

    fn on_said(&mut self, now: Timestamp, instant: Instant, link: LinkId, says: Vec<Say>) {
        let Some(&id) = self.links.get(&link) else { return };
        let label = self.label(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let trust = peer.row.trust;
        let Some(kept) = peer.link.as_ref().filter(|kept| !kept.is_over) else { return };
        let epoch = kept.epoch;
        if kept.is_refused {
            let refused = says.iter().map(|say| LinkOrder::Refused(link, say.n, RefusalCode::NotAccepted));
            self.orders.extend(refused);
            return;
        }
        let (stored, taken) = self.stored.entry((id, epoch)).or_default();
        let (before, mut is_flood) = (*taken, false);
        let mut ops = Vec::with_capacity(says.len() + 1);
        for say in says {
            if say.n <= *taken {
                continue; // said again because our word did not reach it
            }
            if trust == Trust::New && !is_within(&mut peer.allowance, instant) {
                is_flood = true;
                break;
            }
            *taken = say.n;
            let event = Event::Received {
                peer: label.clone(),
                id: Some(id),
                trust: Some(trust),
                room: say.room.map(|room| room.to_string()),
                verified: true,
                encoding: Encoding::Utf8,
                text: say.text,
                bye: false,
            };
            ops.push(Op::Append(now, event));
        }
        let (taken, stored) = (*taken, *stored);
        if is_flood {
            self.close(link, Parting::Busy);
        }
        if taken == before {
            if taken == stored {
                self.orders.push_back(LinkOrder::Stored(link, taken));
            }
            return;
        }
        ops.push(Op::Stored(now, id, epoch, taken));
        self.steps.push(Step { ops, follow: Follow::Heard(id, epoch, taken), is_asked: false });
    }

    /// What a peer said is stored: it is told so, on whatever link there is.
    pub(super) fn heard(&mut self, id: PeerId, epoch: Epoch, n: u64) {
        if let Some((stored, _)) = self.stored.get_mut(&(id, epoch)) {
            *stored = (*stored).max(n);
        }
        let link = self.peers.get(&id).and_then(|peer| peer.link.as_ref());
        if let Some(link) = link.filter(|link| link.epoch == epoch) {
            self.orders.push_back(LinkOrder::Stored(link.id, n));
        }
    }

    fn on_stored(&mut self, now: Timestamp, link: LinkId, n: u64) {
        let Some(&id) = self.links.get(&link) else { return };
        let label = self.label(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(kept) = &mut peer.link else { return };
        kept.is_ready = true;
        let n = n.min(peer.heard); // it can't have what was never said
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while let Some(letter) = peer.letters.pop_front_if(|letter| letter.n <= n) {
            bytes += letter.text.len();
            messages.push(letter.message);
        }
        kept.said = kept.said.saturating_sub(messages.len());
        kept.said_bytes = kept.said_bytes.saturating_sub(bytes);
        (self.queued, self.queued_bytes) = (self.queued - messages.len(), self.queued_bytes - bytes);
        if !messages.is_empty() {
            self.note(vec![Op::Delivered(now, id, n, Event::Delivered { messages, peer: label })]);
        }
        self.speak(id);
    }

    fn on_refused(&mut self, now: Timestamp, link: LinkId, n: u64, code: RefusalCode) {
        let Some(&id) = self.links.get(&link) else { return };
        let reason = match code {
            RefusalCode::NotAccepted => {
                "the peer takes messages only of peers that it knows better (chat.accept)"
            }
            RefusalCode::Other => "the peer does not take it",
        };
        let Some(peer) = self.peers.get(&id) else { return };
        let said = peer.link.as_ref().map_or(0, |kept| kept.said);
        let found = peer.letters.iter().take(said).position(|letter| letter.n == n);
        let refused = |message, peer| Event::Refused { message, peer, reason: reason.to_owned() };
        if let Some(op) = found.and_then(|at| self.give_up(now, id, at, refused)) {
            self.note(vec![op]);
        }
        self.speak(id);
    }

    fn on_down(&mut self, now: Timestamp, instant: Instant, link: LinkId, parting: &Parting) {
        let Some(id) = self.links.remove(&link) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.link.as_ref().is_none_or(|kept| kept.id != link) {
            return; // another one is kept
        }
        peer.link = None;
        peer.row.seen = now;
        // What was said and is not stored is said again; what is being stored here may be heard again: it is passed over.
        match parting {
            Parting::Blocked => {
                peer.trouble = Some("it does not want this box".to_owned());
                peer.dialing.failed(instant);
            }
            Parting::Busy => {
                peer.trouble = Some("it has too much to do".to_owned());
                peer.dialing.failed(instant);
            }
            Parting::Protocol(why) => {
                peer.trouble = Some(format!("it was not understood: {why}"));
                peer.dialing.failed(instant);
            }
            Parting::Stopping | Parting::Superseded | Parting::Renewed | Parting::Lost(_) => {
                peer.dialing.hurry(instant);
            }
        }
        let row = peer.row.clone();
        self.note(vec![Op::PeerSet(Box::new(row))]);
    }
}
