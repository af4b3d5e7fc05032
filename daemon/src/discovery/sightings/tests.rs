//! What the hub is told of who announces itself. Announcements come by hand, and the clock is an argument.

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
        assert!(self.sightings.due().is_none_or(|due| due > self.now));
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
fn who_is_asked_anew_may_answer_for_a_while_and_is_then_where_it_answered() {
    let mut test = Test::new();
    test.resolved("a", 1, "bob", &[("10.0.0.9", 0), ("192.168.1.9", 0)]);
    test.resolved("c", 3, "carl", &[("10.0.0.7", 0)]);
    assert_eq!(test.told().len(), 2);
    let asked = test.now;
    test.sightings.on_asked_anew(asked);
    assert_eq!(test.told(), []);
    test.resolved("a", 1, "bob", &[("10.0.0.9", 0)]);
    let both = seen(1, "bob", &["10.0.0.9:7890", "192.168.1.9:7890"]);
    assert_eq!(test.told(), [both], "it is heard on one link before the other");
    assert_eq!(test.sightings.due(), Some(asked + limits::ASKED_ANEW_ANSWER));
    test.now = asked + limits::ASKED_ANEW_ANSWER;
    assert_eq!(test.sightings.next(test.now), None, "what comes now is told together");
    let mut told = test.told();
    told.sort_by_key(|sighting| matches!(sighting, Sighting::Gone(_)));
    assert_eq!(told, [seen(1, "bob", &["10.0.0.9:7890"]), Sighting::Gone(id(3))]);
    assert_eq!(test.sightings.due(), None);
    test.sightings.on_asked_anew(test.now);
    test.sightings.clear(test.now);
    assert_eq!(test.told(), [Sighting::Gone(id(1))]);
    assert_eq!(test.sightings.due(), None, "nobody is waited for");
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
    assert!(!test.resolved("one more", 9, "bob", &[]) && !test.resolved(&"x".repeat(2000), 9, "bob", &[]));
    assert!(test.resolved("n5", 9, "bob", &[]), "what is known may change");
}
