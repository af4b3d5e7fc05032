//! What links tell: what a peer says, how far it has stored what was said to it, how it ends; and what discovery tells.
//! `admit` judges a link that comes up.

use super::admit::Up;
use super::fate::refused;
use super::marks::Log;
use super::{Follow, Peer, Peers, Step};
use crate::hub::content::Sought;
use crate::hub::links::{LinkId, LinkOrder, LinkReport, Parting, RefusalCode, Say, Sighting};
use crate::limits;
use crate::store::{Op, PeerRow};
use netkit_proto::chat::plain::Encoding;
use netkit_proto::ids::{Epoch, PeerId};
use netkit_proto::name::PeerName;
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use tokio::time::Instant;

impl Peers {
    /// A link tells something.
    pub(in crate::hub) fn on_report(&mut self, now: Timestamp, instant: Instant, report: LinkReport) {
        if let Some(link) = report.heard_on()
            && let Some(kept) = self.linked(link).and_then(|peer| peer.link.as_mut())
        {
            (kept.heard, kept.is_answering) = (now, true);
        }
        match report {
            LinkReport::Up { link, peer, address, dial, hello } => {
                self.on_up(now, instant, Up { link, peer, address, dial, hello });
            }
            LinkReport::Rooms(link, rooms) => {
                if let Some(peer) = self.linked(link).filter(|peer| peer.row.rooms != rooms) {
                    peer.row.rooms = rooms;
                    // A stranger's are noted when its link ends: it may be in others each millisecond.
                    if peer.row.trust > Trust::New {
                        let row = peer.row.clone();
                        self.note(vec![Op::PeerSeen(Box::new(row))]);
                    }
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
                    if kept.address != address {
                        kept.lost = None; // it went with the peer
                    }
                    (kept.rtt, kept.address) = (Some(rtt), address);
                    peer.is_at(address);
                }
            }
            LinkReport::Silent(link) => {
                if let Some(peer) = self.linked(link) {
                    peer.on_silence(instant);
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
                if !self.has_room_for(id) {
                    return;
                }
                let peer = self.entry(id, &name, now, instant);
                peer.announced(instant, addresses);
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
                peer.announced(instant, Vec::new());
                if self.peers.get(&id).is_some_and(|peer| !peer.is_kept && self.is_useless(peer)) {
                    self.take(id);
                }
            }
        }
    }

    /// The peer of this id; a new one where there is none.
    pub(super) fn entry(
        &mut self,
        id: PeerId,
        name: &PeerName,
        now: Timestamp,
        instant: Instant,
    ) -> &mut Peer {
        if !self.peers.contains_key(&id) {
            let (addresses, rooms) = (Vec::new(), Vec::new());
            let row = PeerRow { id, name: name.clone(), trust: Trust::New, addresses, rooms, seen: now };
            self.insert(Peer::new(row, instant));
        }
        self.peers.entry(id).or_insert_with(|| unreachable!("it was inserted"))
    }

    /// Whether this peer is remembered, or can be; a stranger that is of no use any more makes room.
    pub(super) fn has_room_for(&mut self, id: PeerId) -> bool {
        if self.peers.contains_key(&id) || self.peers.len() < limits::PEERS {
            return true;
        }
        let useless = self.peers.values().filter(|peer| self.is_useless(peer));
        let oldest = useless.min_by_key(|peer| peer.row.seen);
        let Some((id, is_kept)) = oldest.map(|peer| (peer.row.id, peer.is_kept)) else { return false };
        self.take(id);
        if is_kept {
            self.note(vec![Op::PeerRemove(id)]);
        }
        true
    }

    /// A stranger with whom nobody has anything to do, nor is about to.
    fn is_useless(&self, peer: &Peer) -> bool {
        let is_meant = peer.changing > 0 || self.posting_to.contains_key(&peer.row.id);
        peer.row.trust == Trust::New && peer.link.is_none() && peer.letters.is_empty() && !is_meant
    }

    fn linked(&mut self, link: LinkId) -> Option<&mut Peer> {
        let id = *self.links.get(&link)?;
        self.peers.get_mut(&id)
    }

    fn on_said(&mut self, now: Timestamp, instant: Instant, link: LinkId, says: Vec<Say>) {
        let Some(&id) = self.links.get(&link) else { return };
        let label = self.label(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let trust = peer.row.trust;
        let Some(kept) = peer.link.as_ref().filter(|kept| !kept.is_over) else { return };
        let epoch = kept.epoch;
        let (stored, before) = self.marks.of((id, epoch));
        if kept.is_refused {
            // Of what was taken on another link it is told that it is stored.
            let refused: Vec<u64> = says.iter().map(|say| say.n).filter(|n| *n > before).collect();
            if !refused.is_empty() {
                self.orders.push_back(LinkOrder::Refused(link, refused, RefusalCode::NotAccepted));
            }
            return;
        }
        let (mut taken, mut is_flood) = (before, false);
        let mut ops = Vec::with_capacity(says.len() + 2);
        for say in says {
            if say.n <= taken {
                continue; // said again because our word did not reach it
            }
            if trust == Trust::New && !peer.allowance.take(instant) {
                is_flood = true;
                break;
            }
            taken = say.n;
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
        if is_flood {
            self.close(link, Parting::Busy);
        }
        if taken == before {
            if taken == stored {
                self.orders.push_back(LinkOrder::Stored(link, taken));
            }
            return;
        }
        ops.extend(self.stored_up_to((id, epoch), taken));
        ops.push(Op::Stored(now, id, epoch, taken));
        self.steps.push(Step { ops, follow: Follow::Heard(id, epoch, taken), is_asked: false });
    }

    /// A log is being stored up to this number. Where another one is forgotten for it, that is to be committed, too.
    pub(super) fn stored_up_to(&mut self, log: Log, n: u64) -> Option<Op> {
        let peers = &self.peers;
        let is_stranger =
            |id| peers.get(&id).is_none_or(|peer| peer.row.trust == Trust::New && peer.link.is_none());
        self.marks.take(log, n, is_stranger).map(|(id, epoch)| Op::StoredForget(id, epoch))
    }

    /// What a peer said is stored: it is told so, on whatever link there is.
    pub(super) fn heard(&mut self, id: PeerId, epoch: Epoch, n: u64) {
        self.marks.store((id, epoch), n);
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
        while let Some(letter) = peer.letters.pop_up_to(n) {
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
        // It says itself that it does not have it.
        let refused = |message, peer, _| refused(message, peer, reason, false);
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
        let kept = peer.link.take();
        let (heard, by_us) = kept.map_or((now, false), |kept| (kept.heard, kept.is_over));
        peer.row.seen = peer.row.seen.max(heard);
        peer.turns_away = *parting == Parting::Blocked && !by_us;
        // What was said and is not stored is said again; what is being stored here may be heard again: it is passed over.
        match parting {
            Parting::Blocked | Parting::Busy if by_us => {}
            Parting::Blocked => {
                peer.trouble = Some("it does not want this box".to_owned());
                peer.dialing.failed(instant, None);
            }
            Parting::Busy => {
                peer.trouble = Some("it has too much to do".to_owned());
                peer.dialing.failed(instant, None);
            }
            Parting::Protocol(why) => {
                peer.trouble = Some(format!("it was not understood: {why}"));
                peer.dialing.failed(instant, None);
            }
            Parting::Stopping | Parting::Superseded | Parting::Renewed | Parting::Lost(_) => {
                peer.dialing.hurry(instant);
            }
        }
        let row = peer.row.clone();
        self.note(vec![Op::PeerSeen(Box::new(row))]);
    }
}
