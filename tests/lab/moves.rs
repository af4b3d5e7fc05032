//! Hosts that change: an address that goes and one that comes, an interface that dies, a LAN without multicast.

use super::{Pair, befriend, both_say, linked_from, peer, wait_linked};
use crate::harness::{Lab, eventually, few_or_many, has_no_lab};
use serde_json::json;
use std::time::Instant;

#[test]
fn a_host_that_changes_its_address_is_found_again_and_nothing_is_lost() {
    if has_no_lab("a_host_that_changes_its_address_is_found_again_and_nothing_is_lost", &[]) {
        return;
    }
    let lab = Lab::new();
    let (a, b) = (lab.host(1), lab.host(2));
    for host in [&a, &b] {
        host.sh("ip -6 address flush dev lan0"); // one address is all that they have
    }
    let (anna, bob) = (a.node("anna").start(), b.node("bob").start());
    befriend((&anna, "10.77.0.1"), (&bob, "10.77.0.2"));
    let mut pair = Pair { lab, a, b, anna, bob };
    let mut moved = None;
    both_say(&mut pair, few_or_many(200, 2000), |pair, speakers| {
        eventually("both talk", || speakers.iter().all(|speaker| speaker.said() > 20).then_some(()));
        pair.b.sh("ip address delete 10.77.0.2/24 dev lan0; ip address add 10.77.0.22/24 dev lan0");
        moved = Some(Instant::now());
        wait_linked(&pair.anna, "bob", "10.77.0.22:7890");
    });
    eprintln!("delivered {:?} after the address changed", moved.unwrap().elapsed());
}

#[test]
fn over_two_networks_peers_go_on_when_one_dies() {
    if has_no_lab("over_two_networks_peers_go_on_when_one_dies", &[]) {
        return;
    }
    let lab = Lab::new();
    lab.bridge("br1");
    let (a, b) = (lab.host(1), lab.host(2));
    for (host, address) in [(&a, "10.78.0.1/24"), (&b, "10.78.0.2/24")] {
        lab.connect(host, "br1", "lan1", &[address]);
        host.sh("ip -6 address flush dev lan0; ip -6 address flush dev lan1");
    }
    let (anna, bob) = (a.node("anna").start(), b.node("bob").start());
    befriend((&anna, "10.77.0.1"), (&bob, "10.77.0.2"));
    for (at, name, addresses) in [
        (&anna, "bob", ["10.77.0.2:7890", "10.78.0.2:7890"]),
        (&bob, "anna", ["10.77.0.1:7890", "10.78.0.1:7890"]),
    ] {
        eventually(&format!("{name} is found on both networks"), || {
            let shown = peer(at, name)?;
            let found = shown["addresses"].as_array()?.iter().filter(|address| address["how"] != "before");
            let found: Vec<&str> = found.filter_map(|address| address["address"].as_str()).collect();
            addresses.iter().all(|address| found.contains(address)).then_some(())
        });
    }
    let mut pair = Pair { lab, a, b, anna, bob };
    let mut died = None;
    both_say(&mut pair, few_or_many(200, 2000), |pair, speakers| {
        eventually("both talk", || speakers.iter().all(|speaker| speaker.said() > 20).then_some(()));
        let linked = linked_from(&pair.anna, "bob").unwrap();
        let (dies, stays) =
            if linked.starts_with("10.77.") { ("lan0", "10.78.0.2:") } else { ("lan1", "10.77.0.2:") };
        pair.lab.unplug(&pair.b, dies);
        died = Some(Instant::now());
        wait_linked(&pair.anna, "bob", stays);
    });
    eprintln!("delivered {:?} after the interface died", died.unwrap().elapsed());
}

#[test]
fn without_multicast_hosts_that_were_named_are_found_and_others_are_not() {
    if has_no_lab("without_multicast_hosts_that_were_named_are_found_and_others_are_not", &["nft"]) {
        return;
    }
    let lab = Lab::new();
    let hosts = [lab.host(1), lab.host(2), lab.host(3), lab.host(4)];
    for host in &hosts {
        // What the last one says is counted, so that it is known to have said something.
        host.filter("quiet", "udp dport 5353 ip saddr 10.77.0.4 counter drop\nudp dport 5353 drop");
    }
    let [a, b, c, d] = &hosts;
    let configured = "[discovery]\nmdns = true\npeers = [\"10.77.0.2\"]\n";
    let anna = a.node("anna").sections(configured).start();
    let (bob, carl, dora) = (b.node("bob").start(), c.node("carl").start(), d.node("dora").start());
    anna.ctl(&["peers", "add", "10.77.0.3", "--wait=50"]).expect(0);
    wait_linked(&anna, "bob", "10.77.0.2:7890");
    for (name, node) in [("bob", &bob), ("carl", &carl)] {
        anna.ctl(&["send", "--wait=50", name, "found"]).expect(0);
        assert_eq!(super::heard(node, "anna"), ["found"]);
    }
    for host in [a, b, c] {
        eventually("dora's announcement came as far as to the filter", || {
            let rules = host.run(&["nft", "-j", "list", "table", "inet", "quiet"]).expect(0).json().remove(0);
            let rules = rules["nftables"].as_array().unwrap().clone();
            let counters = rules.iter().filter_map(|rule| rule.pointer("/rule/expr")?.as_array().cloned());
            let packets = counters.flatten().filter_map(|part| part.pointer("/counter/packets")?.as_u64());
            (packets.sum::<u64>() > 0).then_some(())
        });
    }
    let names = |node: &crate::harness::Node| {
        let listed = node.session().call("peers.list", json!({})).unwrap();
        let peers = listed["peers"].as_array().unwrap().iter();
        peers.map(|peer| peer["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&anna), ["bob", "carl"]);
    assert_eq!((names(&bob), names(&carl)), (vec!["anna".to_owned()], vec!["anna".to_owned()]));
    assert_eq!(names(&dora), [""; 0]);
}
