//! A room of eight: what is said to it reaches each of them, and those who are away when they come back.

use super::{heard, wait_linked};
use crate::harness::{Lab, Node, eventually, has_no_lab};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn two_of_a_room_of_eight_who_are_away_hear_it_when_they_come_back() {
    if has_no_lab("two_of_a_room_of_eight_who_are_away_hear_it_when_they_come_back", &[]) {
        return;
    }
    let lab = Lab::new();
    let host = lab.host(1);
    let anna = host.node("anna").start();
    let hosts: Vec<_> = (2..10).map(|n| lab.host(n)).collect();
    let names: Vec<String> = (2..10).map(|n| format!("peer{n}")).collect();
    let mut peers: Vec<Node> = hosts.iter().zip(&names).map(|(host, name)| host.node(name).start()).collect();
    for (n, peer) in (2..).zip(&peers) {
        peer.ctl(&["rooms", "join", "ops"]).expect(0);
        anna.ctl(&["peers", "add", &format!("10.77.0.{n}"), "--wait=50"]).expect(0);
    }
    eventually("all are known to be in the room", || {
        let rooms = anna.session().call("rooms.list", json!({})).unwrap();
        (rooms.pointer("/rooms/0/members")?.as_array()?.len() == names.len()).then_some(())
    });
    let everybody: BTreeSet<String> = names.iter().cloned().collect();
    let send = |text: &str, wait: &str, code: i32| {
        let ended = anna.ctl(&["send", "--json", wait, "@ops", text]).expect(code);
        let sent = ended.json().remove(0);
        let to = sent["to"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        assert_eq!(to.collect::<BTreeSet<_>>(), everybody, "those who are away are in the room");
        (sent["id"].clone(), ended.stderr)
    };
    send("all here", "--wait=50", 0);
    peers[0].kill();
    peers[7].stop();
    let (message, told) = send("two away", "--wait=3", 6);
    let (_, missed) = told.split_once("did not reach ").unwrap_or_else(|| panic!("{told}"));
    assert!(["peer2, peer9 in time", "peer9, peer2 in time"].iter().any(|m| missed.starts_with(m)), "{told}");
    assert_eq!(receivers(&anna, &message), names[1..7].iter().cloned().collect());
    let queued = |name: &str| super::peer(&anna, name).unwrap()["queued"].clone();
    let counts: Vec<Value> = names.iter().map(|name| queued(name)).collect();
    assert_eq!(json!(counts), json!([1, 0, 0, 0, 0, 0, 0, 1]));
    for away in [0, 7] {
        peers[away].start();
    }
    for (name, address) in [("peer2", "10.77.0.2"), ("peer9", "10.77.0.9")] {
        wait_linked(&anna, name, "");
        eventually(&format!("{name} at {address} has it"), || (queued(name) == 0).then_some(()));
    }
    eventually("all have it", || (receivers(&anna, &message) == everybody).then_some(()));
    for peer in &peers {
        assert_eq!(heard(peer, "anna"), ["all here", "two away"]);
    }
}

/// Who is told to have a message; fails where somebody is told to have it twice.
#[track_caller]
fn receivers(at: &Node, message: &Value) -> BTreeSet<String> {
    let mut receivers = BTreeSet::new();
    for event in super::events(at, &json!({"topics": ["message.delivered"]})) {
        if event["messages"].as_array().unwrap().contains(message) {
            assert!(receivers.insert(event["peer"].as_str().unwrap().to_owned()), "{event}");
        }
    }
    receivers
}
