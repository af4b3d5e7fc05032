//! Rooms: who hears what is said to one, and what becomes of a message for each of its members.

use crate::harness::pair::{Stubborn, assert_texts, befriend, box_of, builder, texts};
use crate::harness::{Node, Random};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

/// Three boxes; bob and carol are in the room `ops`, and all know each other but bob and carol.
fn three() -> [Node; 3] {
    let all = ["alice", "bob", "carol"].map(|name| box_of(builder(name)));
    for other in &all[1..] {
        befriend(&all[0], other);
        join(other, "ops");
    }
    wait_members(&all[0], "ops", &["bob", "carol"]);
    all
}

fn join(node: &Node, room: &str) {
    node.session().call("rooms.join", json!({"room": room})).unwrap();
}

fn leave(node: &Node, room: &str) {
    node.session().call("rooms.leave", json!({"room": room})).unwrap();
}

fn members(node: &Node, room: &str) -> Value {
    let rooms = node.session().call("rooms.list", json!({})).unwrap()["rooms"].take();
    rooms.as_array().unwrap().iter().find(|entry| entry["name"] == room).cloned().unwrap_or_default()["members"].take()
}

#[track_caller]
fn wait_members(node: &Node, room: &str, expected: &[&str]) {
    let what = format!("@{room} has {expected:?}");
    crate::harness::eventually(&what, || (members(node, room) == json!(expected)).then_some(()));
}

/// For each peer: the kinds of event that told what became of a message.
fn fates(node: &Node, message: &Value) -> Vec<(String, String)> {
    let mut events = node.session().all_events();
    events.retain(|e| {
        e["message"] == *message || e["messages"].as_array().is_some_and(|all| all.contains(message))
    });
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut fates: Vec<_> = events.iter().map(|e| (text(&e["peer"]), text(&e["kind"]))).collect();
    fates.sort();
    fates
}

fn fate(peer: &str, kind: &str) -> (String, String) {
    (peer.to_owned(), format!("message.{kind}"))
}

#[test]
fn a_room_hears_and_each_members_receipt_is_told() {
    let [alice, bob, carol] = three();
    let sent = alice.ctl(&["send", "--wait", "--json", "@ops", "backup done"]).expect(0).json().remove(0);
    assert_eq!(sent["to"], json!(["bob", "carol"]));
    for node in [&bob, &carol] {
        assert_eq!(node.heard(), [("alice".to_owned(), Some("ops".to_owned()), "backup done".to_owned())]);
    }
    let queued = alice.events("message.queued").remove(0);
    assert_eq!(
        (&queued["peer"], &queued["room"], &queued["to"]),
        (&json!("@ops"), &json!("ops"), &json!(["bob", "carol"]))
    );
    assert_eq!(fates(&alice, &sent["id"]), [fate("bob", "delivered"), fate("carol", "delivered")]);
    // A room that nobody is in does not exist.
    assert_eq!(alice.ctl(&["send", "@nobody", "hi"]).code(), 4);
    // All are everybody that is known.
    alice.ctl(&["send", "--wait", "@all", "to all"]).expect(0);
    assert_eq!(bob.heard()[1], ("alice".to_owned(), Some("all".to_owned()), "to all".to_owned()));
    assert_eq!(carol.heard().len(), 2);
}

#[test]
fn waiting_tells_whom_a_room_did_not_reach() {
    let [mut alice, bob, mut carol] = three();
    carol.stop();
    let late = alice.ctl(&["send", "--wait=1", "--json", "@ops", "is anybody there?"]);
    assert_eq!(late.code(), 6, "{late:?}");
    assert!(late.stderr.contains("carol") && !late.stderr.contains("bob"), "{}", late.stderr);
    assert!(late.stderr.contains("still queued"), "{}", late.stderr);
    let id = late.json().remove(0)["id"].take();
    assert_eq!(fates(&alice, &id), [fate("bob", "delivered")]);
    // It waits for the one that is away, over restarts, and is not told to the other again.
    alice.restart();
    assert_eq!(alice.status()["peers"]["queued"], 1);
    carol.start();
    alice.wait_delivered();
    assert_eq!(fates(&alice, &id), [fate("bob", "delivered"), fate("carol", "delivered")]);
    assert_eq!((bob.received().len(), carol.received().len()), (1, 1));
    // Given up for one of them.
    carol.stop();
    let late = alice.ctl(&["send", "--wait", "--expire", "1s", "--json", "@ops", "soon too late"]).expect(6);
    assert!(late.stderr.contains("carol expired"), "{}", late.stderr);
    let id = late.json().remove(0)["id"].take();
    assert_eq!(fates(&alice, &id), [fate("bob", "delivered"), fate("carol", "expired")]);
}

#[test]
fn membership_follows_what_boxes_say_and_is_kept() {
    let [mut alice, mut bob, carol] = three();
    leave(&carol, "ops");
    wait_members(&alice, "ops", &["bob"]);
    join(&carol, "night");
    wait_members(&alice, "night", &["carol"]);
    alice.ctl(&["send", "--wait", "@ops", "to bob alone"]).expect(0);
    assert_eq!((bob.received().len(), carol.received().len()), (1, 0));
    // Who is away is still in the rooms that it was in; a box is in its rooms after a restart.
    bob.stop();
    alice.restart();
    alice.wait_linked(&carol);
    assert_eq!(members(&alice, "ops"), json!(["bob"]));
    alice.ctl(&["send", "@ops", "when you are back"]).expect(0);
    bob.start();
    alice.wait_delivered();
    assert_eq!(bob.received(), ["to bob alone", "when you are back"]);
    wait_members(&alice, "ops", &["bob"]);
    let error = carol.session().call("rooms.leave", json!({"room": "ops"})).unwrap_err();
    assert_eq!(error["data"]["kind"], "not_found");
    for room in ["all", "a b", "@ops", ""] {
        assert!(carol.session().call("rooms.join", json!({"room": room})).is_err(), "{room:?}");
    }
}

#[test]
fn a_room_reaches_no_stranger() {
    let [alice, bob, _carol] = three();
    let stranger = box_of(builder("stranger"));
    join(&stranger, "ops");
    stranger.add(&alice);
    assert_eq!(alice.tell("peers.show", "stranger")["rooms"], json!(["ops"]));
    assert_eq!(members(&alice, "ops"), json!(["bob", "carol"]));
    alice.ctl(&["send", "--wait", "@ops", "secret"]).expect(0);
    alice.ctl(&["send", "--wait", "@all", "secret"]).expect(0);
    assert_eq!(stranger.received(), [""; 0]);
    assert_eq!(bob.received().len(), 2);
    // One that does not want us any more is told apart from one that is away.
    alice.tell("peers.trust", "stranger");
    alice.ctl(&["send", "--wait", "@ops", "not secret"]).expect(0);
    assert_eq!(stranger.received(), ["not secret"]);
}

#[test]
fn a_room_hears_each_message_once_through_kills() {
    const COUNT: usize = 600;
    let mut random = Random::new("a_room_hears_each_message_once_through_kills");
    let mut all = three();
    let (said, allowed, lines) = (AtomicU32::new(0), AtomicU32::new(0), texts("to all of them", COUNT));
    let talk = Stubborn::new(&all[0], "@ops", "room");
    std::thread::scope(|scope| {
        let talking = scope.spawn(|| talk.say(&lines, &said, &allowed));
        let mut next = 20;
        while !talking.is_finished() {
            if said.load(Ordering::Relaxed) >= next {
                next += 40 + random.below(100) as u32;
                let node = &mut all[random.below(3) as usize];
                node.kill();
                node.start();
            }
            allowed.store(next + 20, Ordering::Relaxed); // kills are not outrun
            std::thread::yield_now();
        }
    });
    let [alice, bob, carol] = all;
    alice.wait_delivered();
    for node in [&bob, &carol] {
        assert_texts(&node.received(), &lines, "in the room");
    }
    assert_eq!(alice.delivered().len(), 2 * COUNT, "a receipt of each for each");
}
