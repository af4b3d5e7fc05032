//! Who is let in, whose messages are taken, and what is told of those who claim to be somebody else.

use crate::harness::pair::{assert_texts, befriend, box_of, builder, builder_with, pair, texts};
use crate::harness::{Node, eventually};
use serde_json::{Value, json};

/// The peer that a box calls so.
fn called(node: &Node, name: &str) -> Value {
    node.tell("peers.show", name)
}

#[test]
fn a_stranger_is_refused_where_only_known_ones_are_accepted() {
    let alice = box_of(builder("alice"));
    let mut bob = box_of(builder("bob").chat("accept = \"known\""));
    alice.add(&bob);
    assert_eq!(called(&bob, "alice")["trust"], "new");
    let refused = alice.ctl(&["send", "--wait", "bob", "let me in"]).expect(5);
    assert!(refused.stderr.contains("refused"), "{}", refused.stderr);
    let event = alice.wait_event("message.refused", |_| true);
    assert_eq!(event["peer"], "bob");
    assert!(event["reason"].as_str().unwrap().contains("chat.accept"), "{event}");
    assert_eq!(event["maybe_delivered"], false, "bob does not have it");
    assert_eq!(bob.received(), [""; 0]);
    // From now on.
    bob.tell("peers.trust", "alice");
    alice.wait_linked(&bob);
    alice.ctl(&["send", "--wait", "bob", "thanks"]).expect(0);
    assert_eq!(bob.received(), ["thanks"]);
    assert_eq!(bob.events("message.received")[0]["trust"], "trusted");
    // And when the rule is a sharper one, at once.
    bob.edit_config("accept = \"known\"", "accept = \"trusted\"");
    bob.ctl(&["rpc", "node.reload", "{}"]).expect(0);
    alice.ctl(&["send", "--wait", "bob", "still"]).expect(0);
    let carol = box_of(builder("carol"));
    bob.add(&carol);
    bob.ctl(&["send", "--wait", "carol", "hi"]).expect(0);
    carol.ctl(&["send", "--wait", "bob", "known is not enough"]).expect(5);
    bob.restart();
    carol.wait_linked(&bob);
    carol.ctl(&["send", "--wait", "bob", "nor after a restart"]).expect(5);
    assert_eq!(bob.received(), ["thanks", "still"]);
}

#[test]
fn sending_by_name_makes_a_peer_known() {
    let (alice, bob) = (box_of(builder("alice")), box_of(builder("bob")));
    bob.add(&alice);
    assert_eq!(
        (called(&bob, "alice")["trust"].clone(), called(&alice, "bob")["trust"].clone()),
        (json!("known"), json!("new"))
    );
    alice.ctl(&["send", "--wait", "bob", "hi"]).expect(0);
    assert_eq!(called(&alice, "bob")["trust"], "known");
    let facts = alice.wait_event("peer.known", |_| true);
    assert_eq!((&facts["peer"], &facts["id"]), (&json!("bob"), &json!(bob.id())));
    assert_eq!(alice.events("peer.new").len(), 1);
}

#[test]
fn block_ends_a_live_link_and_the_blocked_stays_out() {
    let (mut alice, mut bob) = pair();
    alice.ctl(&["send", "--wait", "bob", "before"]).expect(0);
    bob.stop();
    bob.start();
    let waiting = bob.say("alice", "wait for a receipt");
    alice.wait_linked(&bob);
    let _ = waiting;
    bob.wait_delivered();
    let blocked = bob.tell("peers.block", "alice");
    assert_eq!(blocked["trust"], "blocked");
    let bob_is = bob.id();
    alice.wait_peer(&bob_is, "the link ended, and alice is told why", |peer| {
        peer["linked"] == false && peer["trouble"].as_str().is_some_and(|why| why.contains("does not want"))
    });
    let late = alice.ctl(&["send", "--wait=3", "bob", "while blocked"]).expect(6);
    assert!(late.stderr.contains("does not want"), "{}", late.stderr);
    assert_eq!(bob.ctl(&["send", "alice", "no"]).code(), 5, "nor does bob speak to who is blocked");
    // Neither a restart of either nor another call lets it in.
    alice.restart();
    bob.restart();
    alice.session().call("peers.add", json!({"host": bob.chat().to_string()})).unwrap();
    alice.wait_peer(&bob_is, "it was tried again", |peer| peer["trouble"].is_string());
    assert_eq!(bob.received(), ["before"]);
    assert_eq!(called(&bob, "alice")["linked"], false);
    // What waits meanwhile is not lost.
    bob.tell("peers.trust", "alice");
    alice.wait_delivered();
    assert_eq!(bob.received(), ["before", "while blocked"]);
}

#[test]
fn what_waits_for_whom_we_block_is_given_up() {
    let (alice, mut bob) = pair();
    bob.stop();
    let sent = alice.say("bob", "never mind");
    alice.tell("peers.block", "bob");
    let refused = alice.wait_event("message.refused", |_| true);
    assert_eq!((&refused["message"], &refused["peer"]), (&json!(sent), &json!("bob")));
    bob.start();
    assert_eq!(alice.status()["peers"]["queued"], 0);
}

#[test]
fn a_stranger_with_a_known_name_is_refused_loudly_and_hears_nothing() {
    let (alice, mut bob) = pair();
    let mallory = box_of(builder("bob"));
    mallory.session().call("peers.add", json!({"host": alice.chat().to_string()})).unwrap();
    let told = alice.wait_event("peer.refused", |_| true);
    assert_eq!((&told["peer"], &told["id"]), (&json!("bob"), &json!(mallory.id())));
    assert_eq!(told["address"], mallory.chat().to_string());
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("peers trust") && reason.contains(&mallory.id()), "what to do: {reason}");
    assert_eq!(called(&alice, "bob")["id"], bob.id(), "the name means who had it");
    mallory.session().call("chat.send", json!({"to": "alice", "text": "I am bob"})).unwrap();
    mallory.wait_peer(&alice.id(), "alice does not want it", |peer| {
        peer["trouble"].is_string() && peer["linked"] == false
    });
    // Also where bob is away.
    bob.stop();
    alice.say("bob", "for bob alone");
    mallory.session().call("peers.add", json!({"host": alice.chat().to_string()})).unwrap();
    alice.wait_peer(&mallory.id(), "it is seen, and not linked", |peer| peer["linked"] == false);
    bob.start();
    alice.wait_delivered();
    bob.ctl(&["send", "--wait", "alice", "I am bob, really"]).expect(0);
    assert_eq!(bob.received(), ["for bob alone"]);
    assert_eq!((alice.received(), mallory.received()), (vec!["I am bob, really".to_owned()], vec![]));
    assert_eq!(alice.events("peer.refused").len(), 1, "told once, not at each try");
    // Both are right: from now on each has a longer name.
    alice.tell("peers.trust", &mallory.id());
    mallory.wait_delivered();
    let events = alice.events("message.received");
    let last = events.last().unwrap();
    assert_eq!((&last["text"], &last["id"]), (&json!("I am bob"), &json!(mallory.id())));
    let name = last["peer"].as_str().unwrap();
    assert!(name.starts_with("bob~"), "{last}");
    alice.ctl(&["send", "bob", "which one?"]).expect(5);
    alice.ctl(&["send", "--wait", name, "hi, namesake"]).expect(0);
    assert_eq!(mallory.received(), ["hi, namesake"]);
    assert_eq!(bob.received(), ["for bob alone"]);
}

#[test]
fn another_identity_at_a_known_host_is_refused_loudly() {
    let mut bob = box_of(builder("bob"));
    let at = bob.chat().to_string();
    let alice = box_of(builder_with("alice", &format!("peers = [\"{at}\"]\n")));
    alice.wait_linked(&bob);
    let old = bob.id();
    bob.stop();
    alice.wait_peer(&old, "bob is gone", |peer| peer["linked"] == false);
    alice.say("bob", "for the old one");
    bob.edit_config("/state\"", "/state2\"");
    bob.start();
    let new = bob.id();
    assert_ne!(new, old);
    let told = alice.wait_event("peer.refused", |_| true);
    let reason = told["reason"].as_str().unwrap();
    assert_eq!((&told["id"], &told["address"]), (&json!(new), &json!(at)));
    assert!(reason.contains("peers remove") && reason.contains(&at), "what to do: {reason}");
    let hosts = alice.peers()["hosts"].clone();
    assert!(hosts[0]["trouble"].as_str().unwrap().contains("another box"), "{hosts}");
    assert_eq!((alice.status()["peers"]["queued"].clone(), bob.received()), (json!(1), vec![]), "it waits");
    // As it was told.
    let command = reason.split("netkitctl ").nth(1).unwrap().trim_end_matches(", then ").to_owned();
    let peer = command.split_whitespace().last().unwrap().trim_end_matches(',');
    alice.tell("peers.remove", peer);
    alice.session().call("peers.add", json!({"host": at})).unwrap();
    alice.wait_linked(&bob);
    alice.ctl(&["send", "--wait", "bob", "hi"]).expect(0);
    assert_eq!(bob.received(), ["hi"]);
    let refused = alice.wait_event("message.refused", |_| true);
    assert!(refused["reason"].as_str().unwrap().contains("removed"), "{refused}");
    assert_eq!(refused["maybe_delivered"], false, "it was never said to anybody");
}

#[test]
fn a_newcomers_flood_is_limited_and_nothing_is_lost() {
    const COUNT: usize = 1500;
    let (alice, bob) = (box_of(builder("alice")), box_of(builder("bob")));
    alice.add(&bob);
    let lines = texts("flood", COUNT);
    alice.ctl_with(&["send", "-l", "bob"], lines.join("\n").as_bytes()).expect(0);
    alice.wait_peer(&bob.id(), "bob has too much to do", |peer| {
        peer["trouble"].as_str().is_some_and(|why| why.contains("too much"))
    });
    let received = bob.received().len();
    assert!((500..900).contains(&received), "{received} messages of a stranger were taken at once");
    let log = &bob.status()["log"];
    assert!(log["unverified"].as_u64() >= Some(500), "where room is needed they go first: {log}");
    // Others are not held up by it.
    let carol = box_of(builder("carol"));
    befriend(&carol, &bob);
    carol.ctl(&["send", "--wait", "bob", "in between"]).expect(0);
    let mut texts = bob.received();
    assert!(texts.len() < COUNT && texts.iter().any(|text| text == "in between"));
    bob.tell("peers.trust", "alice");
    alice.wait_delivered();
    texts = bob.received();
    texts.retain(|text| text != "in between");
    assert_texts(&texts, &lines, "each once and in order");
}

#[test]
fn a_link_from_where_nobody_is_allowed_any_more_ends_and_comes_back_when_it_may() {
    let (alice, bob) = (box_of(builder("alice")), box_of(builder("bob").chat("allow = [\"127.0.0.0/8\"]")));
    befriend(&alice, &bob);
    alice.wait_linked(&bob);
    bob.edit_config("127.0.0.0/8", "10.0.0.0/8");
    bob.ctl(&["rpc", "node.reload", "{}"]).expect(0);
    for (node, other) in [(&alice, &bob), (&bob, &alice)] {
        node.wait_peer(&other.id(), "the link ended", |peer| peer["linked"] == false);
    }
    alice.ctl(&["send", "bob", "when I may"]).expect(0);
    eventually("what alice sends is counted", || {
        (bob.status()["chat"]["dropped"]["not_allowed"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!(bob.received(), [""; 0]);
    bob.edit_config("10.0.0.0/8", "127.0.0.0/8");
    bob.ctl(&["rpc", "node.reload", "{}"]).expect(0);
    alice.wait_delivered();
    assert_eq!(bob.received(), ["when I may"]);
}

#[test]
fn strangers_links_are_limited_and_known_ones_come_in() {
    const STRANGERS: usize = 50;
    let (alice, bob) = (box_of(builder("alice")), box_of(builder("bob")));
    let strangers: Vec<Node> = (0..STRANGERS).map(|n| box_of(builder(&format!("stranger{n}")))).collect();
    for stranger in &strangers {
        stranger.session().call("peers.add", json!({"host": bob.chat().to_string()})).unwrap();
    }
    eventually("no more strangers are let in", || {
        let refused = strangers.iter().filter(|stranger| stranger.peers().to_string().contains("too"));
        (refused.count() >= STRANGERS - 42).then_some(())
    });
    let peers = &bob.status()["peers"];
    assert!(peers["linked"] == 42 && peers["refused"].as_u64() >= Some(8), "{peers}");
    let shown = bob.ctl(&["status"]).expect(0).stdout;
    assert!(shown.contains(" turned away"), "{shown}");
    bob.add(&alice);
    alice.ctl(&["send", "--wait", "bob", "hi"]).expect(0);
    assert_eq!(bob.received(), ["hi"]);
}
