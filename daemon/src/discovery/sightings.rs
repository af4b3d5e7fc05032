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
}

impl Sightings {
    pub(super) fn new(me: PeerId, port: u16, nets: Vec<Net>) -> Sightings {
        let (peers, names, due) = (HashMap::new(), HashMap::new(), HashMap::new());
        Sightings { me, port, nets, peers, names, due }
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
        let instance = Instance { fullname: fullname.to_owned(), name, port, addresses };
        let seen = self.peers.entry(peer).or_default();
        let is_full = seen.instances.len() >= limits::INSTANCES_OF_PEER;
        match seen.instances.iter_mut().find(|known| known.fullname == fullname) {
            Some(known) => *known = instance,
            // Who came first stays: others can say that they are the same, but crowd out nobody.
            None if is_full => return false,
            None => seen.instances.push(instance),
        }
        seen.is_fresh = true;
        self.names.insert(fullname.to_owned(), peer);
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
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.plan(now, peer);
        }
    }

    /// Nothing is heard any more: all are gone.
    pub(super) fn clear(&mut self, now: Instant) {
        for fullname in self.names.keys().cloned().collect::<Vec<_>>() {
            self.on_removed(now, &fullname);
        }
    }

    fn plan(&mut self, now: Instant, peer: PeerId) {
        let told = self.peers.get(&peer).and_then(|seen| seen.told.as_ref());
        let earliest = told.map_or(now, |(at, _)| *at + limits::SIGHTINGS_OF_PEER);
        self.due.entry(peer).or_insert_with(|| earliest.max(now + limits::SIGHTING_PAUSE));
    }

    /// When the hub is to be told something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// What the hub is to be told now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Sighting> {
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
        let addresses = instance.addresses.iter();
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
mod tests {
    use super::*;
    use crate::discovery::interfaces::net;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    struct Test {
        sightings: Sightings,
        now: Instant,
    }

    impl Test {
        fn new() -> Test {
            let nets = vec![net(2, "10.0.0.5/24"), net(2, "fe80::5/64"), net(3, "192.168.1.5/24")];
            Test { sightings: Sightings::new(id(0), 7890, nets), now: Instant::now() }
        }

        fn resolved(&mut self, fullname: &str, peer: u8, name: &str, addresses: &[(&str, u32)]) -> bool {
            let claim = Claim { peer: id(peer), name: name.parse().unwrap() };
            let addresses = addresses.iter().map(|(ip, scope)| (ip.parse().unwrap(), *scope));
            self.sightings.on_resolved(self.now, fullname, Some(claim), 7890, addresses)
        }

        /// What is told in the next two seconds.
        fn told(&mut self) -> Vec<Sighting> {
            self.now += SECOND * 2;
            let told = std::iter::from_fn(|| self.sightings.next(self.now)).collect();
            assert_eq!(self.sightings.due(), None);
            told
        }
    }

    fn id(n: u8) -> PeerId {
        PeerId([n; 32])
    }

    fn seen(peer: u8, name: &str, addresses: &[&str]) -> Sighting {
        let addresses = addresses.iter().map(|at| at.parse().unwrap()).collect();
        Sighting::Seen { peer: id(peer), name: name.parse().unwrap(), addresses }
    }

    #[test]
    fn only_addresses_on_our_links_are_told_the_likeliest_first() {
        let mut test = Test::new();
        test.resolved(
            "a",
            1,
            "bob",
            &[
                ("fe80::9", 2),
                ("fe80::9", 3),
                ("8.8.8.8", 0),
                ("127.0.0.1", 0),
                ("::1", 2),
                ("10.0.0.5", 0),
                ("192.168.1.9", 0),
                ("10.0.0.9", 0),
            ],
        );
        assert_eq!(test.told(), [seen(1, "bob", &["10.0.0.9:7890", "192.168.1.9:7890", "[fe80::9%2]:7890"])]);
        test.resolved("b", 2, "eve", &[("8.8.8.8", 0), ("10.0.0.5", 0)]);
        assert_eq!(test.told(), [], "nowhere to be reached, and our own port");
        test.resolved("c", 0, "me", &[("10.0.0.9", 0)]);
        assert_eq!(test.told(), [], "ourselves");
    }

    #[test]
    fn several_instances_are_one_peer_until_the_last_is_gone() {
        let mut test = Test::new();
        let many: Vec<String> = (10..60).map(|n| format!("10.0.0.{n}")).collect();
        let many: Vec<(&str, u32)> = many.iter().map(|ip| (ip.as_str(), 0)).collect();
        test.resolved("crowd", 1, "bob", &many);
        test.resolved("a", 1, "bob", &[("10.0.0.9", 0)]);
        let told = test.told();
        let [Sighting::Seen { addresses, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(addresses.len(), limits::PEER_ADDRESSES);
        assert!(addresses.contains(&"10.0.0.9:7890".parse().unwrap()), "none is crowded out: {addresses:?}");
        test.sightings.on_removed(test.now, "crowd");
        assert_eq!(test.told(), [seen(1, "bob", &["10.0.0.9:7890"])]);
        test.sightings.on_removed(test.now, "a");
        test.sightings.on_removed(test.now, "no such");
        assert_eq!(test.told(), [Sighting::Gone(id(1))]);
        assert!(test.sightings.peers.is_empty() && test.sightings.names.is_empty());
    }

    #[test]
    fn what_comes_together_is_told_once_and_what_flaps_seldom() {
        let mut test = Test::new();
        test.resolved("a", 1, "bob", &[("10.0.0.9", 0)]);
        assert_eq!(test.sightings.next(test.now), None, "more may come");
        test.resolved("a", 1, "bob", &[("10.0.0.9", 0), ("fe80::9", 2)]);
        assert_eq!(test.told(), [seen(1, "bob", &["10.0.0.9:7890", "[fe80::9%2]:7890"])]);
        let mut told = 0;
        for _ in 0..1000 {
            test.now += Duration::from_millis(10);
            test.sightings.on_removed(test.now, "a");
            test.resolved("a", 1, "bob", &[("10.0.0.9", 0)]);
            told += std::iter::from_fn(|| test.sightings.next(test.now)).count();
        }
        assert!((5..=10).contains(&told), "{told} in 10 seconds");
    }

    #[test]
    fn what_was_told_changes_with_our_interfaces() {
        let mut test = Test::new();
        test.resolved("a", 1, "bob", &[("192.168.1.9", 0), ("172.16.0.9", 0)]);
        assert_eq!(test.told().len(), 1);
        test.sightings.on_nets(test.now, vec![net(2, "10.0.0.5/24"), net(3, "192.168.1.5/24")]);
        assert_eq!(test.told(), [], "nothing is different for it");
        test.sightings.on_nets(test.now, vec![net(2, "10.0.0.5/24")]);
        assert_eq!(test.told(), [Sighting::Gone(id(1))]);
        test.sightings.on_nets(test.now, vec![net(4, "172.16.0.5/16")]);
        assert_eq!(test.told(), [seen(1, "bob", &["172.16.0.9:7890"])]);
        test.sightings.clear(test.now);
        assert_eq!(test.told(), [Sighting::Gone(id(1))]);
    }

    #[test]
    fn an_instance_may_change_its_mind() {
        let mut test = Test::new();
        test.resolved("a", 1, "bob", &[("10.0.0.9", 0)]);
        test.told();
        test.resolved("a", 2, "eve", &[("10.0.0.9", 0)]);
        let mut told = test.told();
        told.sort_by_key(|sighting| matches!(sighting, Sighting::Gone(_)));
        assert_eq!(told, [seen(2, "eve", &["10.0.0.9:7890"]), Sighting::Gone(id(1))]);
        test.sightings.on_resolved(test.now, "a", None, 7890, []);
        assert_eq!(test.told(), [Sighting::Gone(id(2))]);
    }

    #[test]
    fn a_crowd_of_announcements_is_bounded() {
        let mut test = Test::new();
        for n in 0..limits::INSTANCES + 10 {
            let is_taken = test.resolved(&n.to_string(), 1, &format!("bob{n}"), &[("10.0.0.9", 0)]);
            assert_eq!(is_taken, n < limits::INSTANCES_OF_PEER);
        }
        assert_eq!(test.told(), [seen(1, "bob0", &["10.0.0.9:7890"])], "who was first");
        test.sightings.clear(test.now);
        assert_eq!(test.told(), [Sighting::Gone(id(1))]);
        for n in 0..limits::INSTANCES + 10 {
            let mut peer = [1; 32];
            peer[..8].copy_from_slice(&n.to_le_bytes());
            let claim = Claim { peer: PeerId(peer), name: "bob".parse().unwrap() };
            test.sightings.on_resolved(test.now, &format!("n{n}"), Some(claim), 1, []);
        }
        assert_eq!(test.sightings.names.len(), limits::INSTANCES);
        assert!(
            !test.resolved("one more", 9, "bob", &[]) && !test.resolved(&"x".repeat(2000), 9, "bob", &[])
        );
        assert!(test.resolved("n5", 9, "bob", &[]), "what is known may change");
    }
}
