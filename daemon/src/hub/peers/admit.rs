//! A link comes up: whether it may be, and of two to the same peer which stays. `links` calls it; who is looked for is
//! decided in `dial`.

use super::dial::Target;
use super::{Link, Peer, Peers, is_taken};
use crate::hub::links::{DialId, Hello, LinkId, LinkOrder, Parting};
use crate::limits;
use crate::store::Op;
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::event::{Event, PeerFacts};
use netkit_proto::time::Timestamp;
use std::net::SocketAddr;
use tokio::time::Instant;

/// A link that came up.
pub(super) struct Up {
    pub link: LinkId,
    pub peer: PeerId,
    pub address: SocketAddr,
    pub dial: Option<DialId>,
    pub hello: Hello,
}

impl Peers {
    pub(super) fn on_up(&mut self, now: Timestamp, instant: Instant, up: Up) {
        let target = up.dial.and_then(|dial| self.dials.remove(&dial));
        if let Some(Target::Host(host)) = &target
            && let Some(host) = self.hosts.get_mut(host)
        {
            host.dialing.ended(instant, up.dial);
            host.reached = Some(up.address);
            host.trouble = None;
        }
        let is_added = matches!(target, Some(Target::Host(_)));
        let admitted = self.admit(now, instant, &up, is_added);
        if let Err(why) = &admitted {
            self.close(up.link, why.clone());
        }
        if let (Err(why), Some(peer)) = (&admitted, self.peers.get_mut(&up.peer)) {
            match (&target, up.dial) {
                (Some(Target::Peer(_)), _) => peer.dialing.failed(instant, up.dial),
                (_, None) if *why == Parting::Superseded => peer.on_second(instant, up.address),
                _ => {}
            }
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
        (peer.trouble, peer.turns_away, peer.is_missed) = (None, false, false);
        peer.dialing.ended(instant, up.dial);
        peer.file_port = up.hello.file_port;
        self.arrived.push(up.peer);
        ops.push(Op::PeerSeen(Box::new(peer.row.clone())));
        let epoch = up.hello.epoch;
        let (stored, _) = self.marks.of((up.peer, epoch));
        peer.link = Some(Link {
            id: up.link,
            instance: up.hello.instance,
            ours: up.dial.is_some(),
            address: up.address,
            epoch,
            is_ready: false,
            is_refused: !is_taken(accept, trust),
            is_over: false,
            since: instant,
            up: now,
            heard: now,
            lost: None,
            silent: None,
            is_answering: true,
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
            return Err(self.refuse_namesake(now, instant, up, namesake));
        }
        let strangers = self
            .links
            .values()
            .filter(|id| **id != up.peer && self.peers.get(id).is_some_and(|p| p.row.trust == Trust::New))
            .count();
        let is_stranger = known == Trust::New && !is_added && up.dial.is_none();
        let is_new = self.peers.get(&up.peer).is_none_or(|peer| !peer.is_kept);
        let may_come =
            !is_stranger || strangers < limits::STRANGERS && (!is_new || self.newcomers.take(instant));
        if !may_come || !self.has_room_for(up.peer) {
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
            match self.namesake(up.peer, name) {
                // Shares and messages are meant for who had the name.
                Some(other) => {
                    tracing::warn!(id = %up.peer, %name, %other, "a peer takes the name of another known one")
                }
                None => self.rename(up.peer, name.clone()),
            }
        }
        Ok(())
    }

    /// A stranger calls itself as a peer that somebody here knows: what it is told. The log tells it once, not at each of
    /// its tries.
    fn refuse_namesake(&mut self, now: Timestamp, instant: Instant, up: &Up, namesake: PeerId) -> Parting {
        let (id, address) = (up.peer, up.address);
        let name = up.hello.name.clone();
        let label = self.label(namesake);
        let reason = format!(
            "it calls itself {name}, as {namesake} does, which is known here; if both are right: netkitctl peers trust \
             {id}, and name each as {name}~ID; if it took the other's place: netkitctl peers remove {namesake}"
        );
        if self.peers.get(&id).is_some_and(|peer| peer.trouble.as_ref() == Some(&reason)) {
            return Parting::Blocked;
        }
        if !self.newcomers.take(instant) || !self.has_room_for(id) {
            return Parting::Busy;
        }
        self.entry(id, &name, now, instant).trouble = Some(reason.clone());
        tracing::warn!(%name, %id, known = %namesake, %address, "a stranger claims a known peer's name");
        self.note(vec![Op::Append(now, Event::PeerRefused { peer: label, id, address, reason })]);
        Parting::Blocked
    }
}

impl Peer {
    /// It has dialled, but our link stays. If it did not look for us at the same time as we for it, it has lost that link,
    /// and only we can replace it, whoever it is.
    fn on_second(&mut self, instant: Instant, from: SocketAddr) {
        if self.link.as_ref().is_some_and(|link| link.since + limits::DIAL < instant) {
            self.is_missed = true;
            self.lose_link(instant, Some(from));
        }
    }
}
