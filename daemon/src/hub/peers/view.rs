//! How peers and rooms are shown.

use super::{Host, Peer, Peers};
use crate::hub::trust::TrustView;
use netkit_proto::ids::PeerId;
use netkit_proto::name::PeerName;
use netkit_proto::rpc::call::{
    How, Me, Peer as Shown, PeerAddress, PeerHost, PeerList, Room, RoomList, Trust,
};
use netkit_proto::rpc::code::{Error, Kind};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::time::Instant;

/// How many peers there are of which sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounts {
    /// Linked now.
    pub linked: u64,
    /// Known and trusted ones.
    pub known: u64,
    /// Strangers that were seen.
    pub new: u64,
    /// Messages that wait for peers, or for their receipts.
    pub queued: u64,
    /// Links ended because they were too many, or too much was said on them.
    pub refused: u64,
    /// Messages not taken because too many waited.
    pub full: u64,
}

impl Peers {
    /// One peer.
    ///
    /// # Errors
    /// Where it is gone.
    pub(super) fn show(&self, instant: Instant, id: PeerId) -> Result<Shown, Error> {
        let gone = || Error::new(Kind::NotFound, format_args!("there is no peer {id} any more"));
        self.peers.get(&id).map(|peer| self.shown(instant, peer)).ok_or_else(gone)
    }

    /// The one that a person means.
    ///
    /// # Errors
    /// That nobody is called so, or several are.
    pub(in crate::hub) fn show_called(&self, instant: Instant, text: &str) -> Result<Shown, Error> {
        self.show(instant, self.find(text)?)
    }

    fn shown(&self, instant: Instant, peer: &Peer) -> Shown {
        let mut addresses: BTreeMap<_, How> = BTreeMap::new();
        let linked = peer.link.as_ref().map(|link| link.address);
        let answering = peer.link.as_ref().filter(|link| link.is_answering || !link.is_silent(instant));
        let hosts = self.hosts.values().filter(|host| host.row.peer == Some(peer.row.id) && host.is_asked());
        let added: Vec<SocketAddr> = hosts.filter_map(Host::address).collect();
        let before = |at: &SocketAddr| if added.contains(at) { How::Added } else { How::Before };
        for (address, how) in (linked.iter().map(|at| (*at, How::Linked)))
            .chain(peer.found.iter().map(|at| (*at, How::Mdns)))
            .chain(peer.row.addresses.iter().map(|at| (*at, before(at))))
        {
            addresses.entry(address).or_insert(how);
        }
        let mut addresses: Vec<PeerAddress> =
            addresses.into_iter().map(|(address, how)| PeerAddress { address, how }).collect();
        addresses.sort_by_key(|address| (address.how, address.address));
        let seen = peer.link.as_ref().map_or(peer.row.seen, |link| link.heard.max(peer.row.seen));
        let is_seen = seen.0 > 0;
        Shown {
            peer: self.label(peer.row.id),
            name: peer.row.name.clone(),
            id: peer.row.id,
            trust: peer.row.trust,
            linked: linked.is_some(),
            linked_since: peer.link.as_ref().map(|link| link.up),
            silent: linked.is_some() && answering.is_none(),
            addresses,
            seen: is_seen.then_some(seen),
            rtt_ms: answering.and_then(|link| link.rtt).map(|rtt| rtt.as_micros() as f64 / 1000.0),
            file_port: peer.file_port.filter(|_| peer.link.is_some()),
            rooms: peer.row.rooms.clone(),
            queued: peer.letters.len() as u64,
            trouble: peer.trouble.clone(),
        }
    }

    /// Who is trusted how far.
    pub(in crate::hub) fn trust_view(&self) -> TrustView {
        TrustView::new(self.peers.values().map(|peer| (peer.row.id, peer.row.trust, peer.row.name.clone())))
    }

    fn me(&self) -> Me {
        let introduction = self.introduction.borrow();
        Me { name: introduction.name.clone(), id: self.me, rooms: introduction.rooms.clone() }
    }

    /// All of them, by name.
    pub(in crate::hub) fn list(&self, instant: Instant) -> PeerList {
        let mut peers: Vec<Shown> = self.peers.values().map(|peer| self.shown(instant, peer)).collect();
        peers.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let hosts = self.hosts.values().filter(|host| host.is_asked());
        let hosts = hosts.map(|host| PeerHost {
            host: host.row.host.clone(),
            configured: host.configured,
            id: host.row.peer,
            trouble: host.trouble.clone(),
        });
        PeerList { me: self.me(), peers, hosts: hosts.collect() }
    }

    /// All rooms that we or known peers are in.
    pub(in crate::hub) fn rooms(&self) -> RoomList {
        let mut members: BTreeMap<PeerName, Vec<String>> =
            self.rooms.iter().map(|room| (room.clone(), Vec::new())).collect();
        for peer in self.peers.values().filter(|peer| peer.row.trust >= Trust::Known) {
            for room in &peer.row.rooms {
                members.entry(room.clone()).or_default().push(self.label(peer.row.id));
            }
        }
        members.values_mut().for_each(|members| members.sort());
        let room = |(name, members)| Room { joined: self.rooms.contains(&name), name, members };
        RoomList { rooms: members.into_iter().map(room).collect() }
    }

    /// Counts anew what is told in [`PeerCounts`]; now and then, since it looks at each.
    pub(super) fn count(&mut self) {
        let count =
            |is: fn(Trust) -> bool| self.peers.values().filter(|peer| is(peer.row.trust)).count() as u64;
        self.counted = (count(|trust| trust >= Trust::Known), count(|trust| trust == Trust::New));
    }

    /// See [`PeerCounts`].
    pub(in crate::hub) fn counts(&self) -> PeerCounts {
        let (known, new) = self.counted;
        let (linked, queued) = (self.links.len() as u64, self.queued as u64);
        PeerCounts { linked, known, new, queued, refused: self.refused, full: self.full }
    }
}
