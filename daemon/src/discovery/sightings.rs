//! What is remembered of announcements, and what of it is told to the hub, when. Plain state that takes the time as an
//! argument: several instances may say that they are one peer, addresses count while they are on a link of ours, and
//! no peer is told of more often than once in a while.

use super::announcement::Claim;
use super::interfaces::{Net, is_link_local};
use crate::hub::links::Sighting;
use crate::limits;
use netkit_proto::ids::PeerId;
use netkit_proto::name::PeerName;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use tokio::time::Instant;

/// An address, and the index of the interface that it was heard of on.
pub(super) type Scoped = (IpAddr, u32);

/// One announcement.
#[derive(Debug)]
struct Instance {
    fullname: String,
    name: PeerName,
    port: u16,
    addresses: Vec<Scoped>,
    /// Where it was before all were asked for anew: it counts until they had the time to answer.
    before: Vec<Scoped>,
    /// It was heard since.
    is_heard: bool,
}

/// What is known of one peer.
#[derive(Debug, Default)]
struct Seen {
    /// Never none, but for a peer of which the hub is yet to be told that it is gone.
    instances: Vec<Instance>,
    /// What the hub was told, and when.
    told: Option<(Instant, Vec<SocketAddr>)>,
    /// It announced itself anew, so the hub is told even where nothing is different.
    is_fresh: bool,
}

/// All that is remembered.
#[derive(Debug)]
pub(super) struct Sightings {
    me: PeerId,
    /// Our chat port: nobody else is there.
    port: u16,
    nets: Vec<Net>,
    peers: HashMap<PeerId, Seen>,
    /// Who each instance says that it is.
    names: HashMap<String, PeerId>,
    /// Of whom the hub may have to be told, and from when on.
    due: HashMap<PeerId, Instant>,
    /// Until when all who were asked for anew may answer.
    answers_until: Option<Instant>,
}

impl Sightings {
    pub(super) fn new(me: PeerId, port: u16, nets: Vec<Net>) -> Sightings {
        let (peers, names, due) = (HashMap::new(), HashMap::new(), HashMap::new());
        Sightings { me, port, nets, peers, names, due, answers_until: None }
    }

    /// An instance was resolved; with `None` it says nothing of use. False where there is no room for another one.
    pub(super) fn on_resolved(
        &mut self,
        now: Instant,
        fullname: &str,
        claim: Option<Claim>,
        port: u16,
        addresses: impl IntoIterator<Item = Scoped>,
    ) -> bool {
        let claim = claim.filter(|claim| claim.peer != self.me && port != 0);
        if self.names.get(fullname) != claim.as_ref().map(|claim| &claim.peer) {
            self.on_removed(now, fullname);
        }
        let Some(Claim { peer, name }) = claim else { return true };
        if fullname.len() > limits::INSTANCE_NAME
            || !self.names.contains_key(fullname) && self.names.len() >= limits::INSTANCES
        {
            return false;
        }
        // Which of many are of use may change with our interfaces, so some more are kept than the hub is told.
        let mut addresses: Vec<Scoped> = addresses.into_iter().collect();
        addresses.sort_unstable_by_key(|scoped| (self.socket_address(*scoped, port).is_none(), *scoped));
        addresses.truncate(4 * limits::PEER_ADDRESSES);
        let (fullname, before) = (fullname.to_owned(), Vec::new());
        let instance = Instance { fullname: fullname.clone(), name, port, addresses, before, is_heard: true };
        let seen = self.peers.entry(peer).or_default();
        let is_full = seen.instances.len() >= limits::INSTANCES_OF_PEER;
        match seen.instances.iter_mut().find(|known| known.fullname == fullname) {
            Some(known) => *known = Instance { before: std::mem::take(&mut known.before), ..instance },
            // Who came first stays: others can say that they are the same, but crowd out nobody.
            None if is_full => return false,
            None => seen.instances.push(instance),
        }
        seen.is_fresh = true;
        self.names.insert(fullname, peer);
        self.plan(now, peer);
        true
    }

    /// An instance says that it leaves, or was not renewed.
    pub(super) fn on_removed(&mut self, now: Instant, fullname: &str) {
        let Some(peer) = self.names.remove(fullname) else { return };
        if let Some(seen) = self.peers.get_mut(&peer) {
            seen.instances.retain(|instance| instance.fullname != fullname);
        }
        self.plan(now, peer);
    }

    /// Our interfaces have changed.
    pub(super) fn on_nets(&mut self, now: Instant, nets: Vec<Net>) {
        self.nets = nets;
        self.plan_all(now);
    }

    /// All are asked for anew: whoever does not answer in time is not there any more, or not where it was.
    pub(super) fn on_asked_anew(&mut self, now: Instant) {
        self.answers_until = Some(now + limits::ASKED_ANEW_ANSWER);
        for instance in self.peers.values_mut().flat_map(|seen| &mut seen.instances) {
            instance.is_heard = false;
            let heard = std::mem::take(&mut instance.addresses);
            instance.before.retain(|address| !heard.contains(address));
            instance.before.extend(heard);
            instance.before.truncate(4 * limits::PEER_ADDRESSES);
        }
    }

    /// They had the time to answer.
    fn end_answers(&mut self, now: Instant) {
        self.answers_until = None;
        let mut silent = Vec::new();
        for instance in self.peers.values_mut().flat_map(|seen| &mut seen.instances) {
            instance.before.clear();
            if !instance.is_heard {
                silent.push(instance.fullname.clone());
            }
        }
        for fullname in silent {
            self.on_removed(now, &fullname);
        }
        self.plan_all(now); // they may have fewer addresses
    }

    /// Nothing is heard any more: all are gone.
    pub(super) fn clear(&mut self, now: Instant) {
        self.answers_until = None;
        for fullname in self.names.keys().cloned().collect::<Vec<_>>() {
            self.on_removed(now, &fullname);
        }
    }

    fn plan_all(&mut self, now: Instant) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.plan(now, peer);
        }
    }

    fn plan(&mut self, now: Instant, peer: PeerId) {
        let told = self.peers.get(&peer).and_then(|seen| seen.told.as_ref());
        let earliest = told.map_or(now, |(at, _)| *at + limits::SIGHTINGS_OF_PEER);
        self.due.entry(peer).or_insert_with(|| earliest.max(now + limits::SIGHTING_PAUSE));
    }

    /// When the hub is to be told something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.values().min().copied().into_iter().chain(self.answers_until).min()
    }

    /// What the hub is to be told now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Sighting> {
        if self.answers_until.is_some_and(|until| until <= now) {
            self.end_answers(now);
        }
        while let Some((&peer, _)) = self.due.iter().find(|(_, at)| **at <= now) {
            self.due.remove(&peer);
            let addresses = self.addresses(peer);
            let Some(seen) = self.peers.get_mut(&peer) else { continue };
            let is_fresh = std::mem::take(&mut seen.is_fresh);
            if let (Some(first), false) = (seen.instances.first(), addresses.is_empty()) {
                if is_fresh || seen.told.as_ref().is_none_or(|(_, told)| *told != addresses) {
                    seen.told = Some((now, addresses.clone()));
                    return Some(Sighting::Seen { peer, name: first.name.clone(), addresses });
                }
                continue;
            }
            let was_told = seen.told.take().is_some();
            if seen.instances.is_empty() {
                self.peers.remove(&peer);
            }
            if was_told {
                return Some(Sighting::Gone(peer));
            }
        }
        None
    }

    /// Where a peer can be reached. Each instance has its turn, the first one first, so that none crowds out another.
    fn addresses(&self, peer: PeerId) -> Vec<SocketAddr> {
        let instances = self.peers.get(&peer).map_or(&[][..], |seen| &seen.instances);
        let mut queues: Vec<Vec<SocketAddr>> =
            instances.iter().map(|instance| self.reached(instance)).collect();
        let mut taken = HashSet::new();
        let mut addresses = Vec::new();
        while addresses.len() < limits::PEER_ADDRESSES && queues.iter().any(|queue| !queue.is_empty()) {
            let turn = queues.iter_mut().filter_map(Vec::pop);
            addresses.extend(turn.filter(|address| taken.insert(*address)));
        }
        addresses.truncate(limits::PEER_ADDRESSES);
        addresses
    }

    /// Those of an instance's addresses that are on a link of ours, the best last: IPv4, then link-local IPv6, which a
    /// box keeps, then IPv6 of other kinds, of which it may have many for a day each (RFC 8981).
    fn reached(&self, instance: &Instance) -> Vec<SocketAddr> {
        let addresses = instance.addresses.iter().chain(&instance.before);
        let mut addresses: Vec<SocketAddr> =
            addresses.filter_map(|scoped| self.socket_address(*scoped, instance.port)).collect();
        addresses.sort_unstable_by_key(|at| (!at.is_ipv4(), !is_link_local(at.ip()), *at));
        addresses.reverse();
        addresses
    }

    fn socket_address(&self, (address, scope): Scoped, port: u16) -> Option<SocketAddr> {
        let is_ours = port == self.port && self.nets.iter().any(|net| net.is_own(address, scope));
        let is_near = self.nets.iter().any(|net| net.has(address, scope));
        (is_near && !is_ours).then(|| match address {
            IpAddr::V6(v6) if is_link_local(address) => SocketAddrV6::new(v6, port, 0, scope).into(),
            _ => SocketAddr::new(address, port),
        })
    }
}

#[cfg(test)]
mod tests;
