//! Messages between linked boxes: delivered, in order, whoever is away meanwhile.

use crate::harness::pair::{assert_texts, befriend, box_of, builder, pair, texts};
use crate::harness::{Peer, eventually, millis};
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::time::{Instant, SystemTime};

#[test]
fn a_message_is_delivered_when_it_is_on_the_peers_disk() {
    let (alice, bob) = pair();
    let sent = alice.ctl(&["send", "--wait", "--json", "bob", "hi bob"]).expect(0).json().remove(0);
    bob.ctl(&["send", "--wait", "alice", "hi alice"]).expect(0);
    let heard = bob.events("message.received").remove(0);
    assert_eq!(
        (&heard["peer"], &heard["text"], &heard["verified"]),
        (&json!("alice"), &json!("hi bob"), &json!(true))
    );
    assert_eq!((&heard["id"], &heard["trust"]), (&json!(alice.id()), &json!("trusted")));
    assert_eq!(alice.received(), ["hi alice"]);
    let queued = alice.events("message.queued").remove(0);
    assert_eq!((&queued["seq"], &queued["peer"], queued.get("to")), (&sent["id"], &json!("bob"), None));
    let delivered = alice.wait_event("message.delivered", |_| true);
    assert_eq!((&delivered["messages"], &delivered["peer"]), (&json!([sent["id"]]), &json!("bob")));
    assert_eq!(
        (alice.status()["peers"]["linked"].as_u64(), alice.status()["peers"]["queued"].as_u64()),
        (Some(1), Some(0))
    );
}

#[test]
fn who_is_linked_is_shown_with_the_round_trip_and_when_it_was_seen() {
    let now = || i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let begun = now();
    let (alice, bob) = pair();
    for (here, there) in [(&alice, &bob), (&bob, &alice)] {
        let shown = here.wait_peer(&there.id(), "its round trip is known", |peer| peer["rtt_ms"].is_number());
        let (rtt, seen) = (shown["rtt_ms"].as_f64().unwrap(), millis(&shown["seen"]));
        assert!(rtt > 0.0 && rtt < 10_000.0, "{shown}");
        assert!((begun..=now()).contains(&seen), "{shown}");
    }
}

#[test]
fn who_is_linked_and_stands_still_is_shown_so() {
    let (alice, mut bob) = pair();
    bob.hold();
    alice.say("bob", "one");
    let id = bob_id(&alice);
    let shown = alice.wait_peer(&id, "it does not answer", |peer| peer["silent"] == true);
    assert_eq!((&shown["linked"], shown.get("rtt_ms")), (&json!(true), None), "{shown}");
    let late = alice.ctl(&["send", "--wait=0.1", "bob", "two"]).expect(6).stderr;
    assert!(late.contains("in time: it is linked, but does not answer"), "{late}");
    let table = alice.ctl(&["peers"]).expect(0).stdout;
    assert!(table.contains("no answer"), "{table}");
    bob.go_on();
    alice.wait_delivered();
    alice.wait_peer(&id, "it answers", |peer| peer["silent"] == false && peer["rtt_ms"].is_number());
    assert_eq!(bob.received(), ["one", "two"]);
}

#[test]
fn streams_both_ways_keep_their_order() {
    const COUNT: usize = 3000;
    let (alice, bob) = pair();
    let (ours, theirs) = (texts("to bob", COUNT), texts("to alice", COUNT));
    let both = [(&alice, "bob", &ours), (&bob, "alice", &theirs)].map(|(node, to, lines)| {
        let mut sending = node.follow(&["send", "-l", "--wait", to]);
        sending.write(lines.join("\n").as_bytes());
        sending.close_stdin();
        sending
    });
    for sending in both {
        sending.end().expect(0);
    }
    assert_texts(&bob.received(), &ours, "at bob");
    assert_texts(&alice.received(), &theirs, "at alice");
    let delivered = alice.delivered();
    assert!(delivered.len() == COUNT && delivered.is_sorted_by(|a, b| a < b), "each once and in order");
    // One event for what one receipt acknowledged.
    assert!(alice.events("message.delivered").len() < COUNT / 2);
}

#[test]
fn what_is_sent_together_is_numbered_as_it_was_asked_for_whoever_it_is_for() {
    let (alice, bob) = pair();
    let plain = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = ["bob".to_owned(), format!("udp://{}", plain.local_addr().unwrap())];
    let call = |n: usize| json!({"jsonrpc": "2.0", "id": n, "method": "chat.send", "params": {"to": to[n % 2], "text": n.to_string()}});
    let calls: Vec<Value> = (0..100).map(call).collect();
    let answers = alice.session().ask(&serde_json::to_string(&calls).unwrap());
    let ids: Vec<u64> =
        answers.as_array().unwrap().iter().map(|answer| answer["result"]["id"].as_u64().unwrap()).collect();
    assert!(ids.len() == 100 && ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    alice.wait_delivered();
    let texts: Vec<String> = (0..100).step_by(2).map(|n| n.to_string()).collect();
    assert_eq!(bob.received(), texts);
}

#[test]
fn what_is_said_to_an_absent_peer_waits_over_restarts() {
    let (mut alice, mut bob) = pair();
    bob.stop();
    let late = alice.ctl(&["send", "--wait=0.2", "bob", "0"]).expect(6);
    assert!(late.stderr.contains("still queued"), "{}", late.stderr);
    for n in 1..10 {
        match n % 3 {
            0 => alice.restart(),
            1 => (),
            _ => {
                alice.kill();
                alice.start();
            }
        }
        alice.ctl(&["send", "bob", &n.to_string()]).expect(0);
    }
    let shown = alice.peers()["peers"][0].clone();
    assert_eq!((&shown["queued"], &shown["linked"]), (&json!(10), &json!(false)), "{shown}");
    bob.start();
    alice.wait_delivered();
    assert_eq!(bob.received(), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(alice.delivered().len(), 10);
}

/// Until the message is given up; what was told of whether it arrived.
fn expires(alice: &crate::harness::Node, message: u64) -> Value {
    let expired = alice.wait_event("message.expired", |event| event["message"] == message);
    assert_eq!(expired["peer"], "bob");
    expired["maybe_delivered"].clone()
}

#[test]
fn what_expires_tells_whether_it_may_have_arrived() {
    let (mut alice, mut bob) = pair();
    bob.stop();
    let id = alice.id();
    alice.wait_peer(&bob_id(&alice), "bob is gone", |peer| peer["linked"] == false);
    let never =
        alice.session().call("chat.send", json!({"to": "bob", "text": "old news", "expire": 1})).unwrap();
    assert_eq!(expires(&alice, never["id"].as_u64().unwrap()), false, "it was never said");
    let waiting = alice.ctl(&["send", "--wait", "--expire", "1s", "bob", "older news"]).expect(6);
    assert!(waiting.stderr.contains("expired before it could be delivered"), "{}", waiting.stderr);
    bob.start();
    alice.wait_linked(&bob);
    alice.ctl(&["send", "--wait", "bob", "news"]).expect(0);
    assert_eq!(bob.received(), ["news"]);
    // Said, and no receipt: bob does not run, nobody knows how far it is.
    bob.hold();
    let said =
        alice.session().call("chat.send", json!({"to": "bob", "text": "perhaps", "expire": 1})).unwrap();
    assert_eq!(expires(&alice, said["id"].as_u64().unwrap()), true, "it was said");
    bob.go_on();
    eventually("it arrived all the same", || (bob.received() == ["news", "perhaps"]).then_some(()));
    // A netkitd that was killed may have said anything.
    bob.stop();
    let said =
        alice.session().call("chat.send", json!({"to": "bob", "text": "who knows", "expire": 1})).unwrap();
    alice.kill();
    let queued = Instant::now();
    eventually("it is too old", || (queued.elapsed().as_millis() > 1100).then_some(()));
    alice.start();
    assert_eq!(expires(&alice, said["id"].as_u64().unwrap()), true);
    assert_eq!(alice.id(), id, "the same box");
}

fn bob_id(alice: &crate::harness::Node) -> String {
    alice.tell("peers.show", "bob")["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_text_of_64_kib_arrives_and_a_longer_one_is_a_file() {
    let (alice, bob) = pair();
    let text = "é".repeat(32 << 10);
    alice.ctl_with(&["send", "--wait", "bob"], text.as_bytes()).expect(0);
    // Six bytes each in JSON.
    let nasty = "\u{1}".repeat(64 << 10);
    alice.session().call("chat.send", json!({"to": "bob", "text": nasty})).unwrap();
    alice.wait_delivered();
    assert!(bob.received() == [text.clone(), nasty], "as they were");
    let longer = format!("{text}x");
    let refused = alice.ctl_with(&["send", "--wait", "bob"], longer.as_bytes());
    assert!(refused.code() == 1 && refused.stderr.contains("netkitctl get"), "{refused:?}");
    let error = alice.session().call("chat.send", json!({"to": "bob", "text": longer})).unwrap_err();
    assert_eq!(error["data"]["kind"], "too_large");
    assert!(error["data"]["hint"].as_str().unwrap().contains("netkitctl get"), "{error}");
}

#[test]
fn one_host_and_port_is_a_peer_and_a_plain_peer() {
    let (alice, bob) = pair();
    let plain = Peer::new();
    for n in 0..20 {
        alice.ctl(&["send", "--wait", "bob", &format!("sealed {n}")]).expect(0);
        alice.ctl(&["send", "--wait", &bob.url(), &format!("open {n}")]).expect(0);
        bob.ctl(&["send", "--wait", &alice.url(), &format!("answer {n}")]).expect(0);
        plain.say(bob.chat(), format!("elsewhere {n}"));
    }
    eventually("all came", || (bob.received().len() == 60 && alice.received().len() == 20).then_some(()));
    let of = |peer: &str, verified: bool, what: &str| {
        let mut events = bob.events("message.received");
        events.retain(|event| event["peer"] == peer && event["verified"] == verified);
        let texts: Vec<_> = events.iter().map(|event| event["text"].as_str().unwrap().to_owned()).collect();
        assert_texts(&texts, &crate::harness::pair::texts(what, 20), what);
    };
    of("alice", true, "sealed");
    of(&alice.url(), false, "open");
    of(&plain.url(), false, "elsewhere");
    assert_eq!(alice.events("message.received")[0]["peer"], bob.url().as_str());
}

#[test]
fn the_outbox_is_bounded_for_each_peer() {
    let (alice, mut bob) = pair();
    let carol = box_of(builder("carol"));
    befriend(&carol, &alice);
    bob.stop();
    let text = "x".repeat(64 << 10);
    let mut session = alice.session();
    let mut taken = 0;
    let error = loop {
        match session.call("chat.send", json!({"to": "bob", "text": text})) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 10_000, "without end");
    };
    assert_eq!(error["data"]["kind"], "busy", "{error}");
    assert_eq!(taken, 256, "16 MiB");
    alice.ctl_with(&["send", "bob"], text.as_bytes()).expect(1);
    alice.ctl_with(&["send", "--wait", "carol"], text.as_bytes()).expect(0); // bob holds up nobody else
    assert_eq!(alice.status()["peers"]["queued"], taken);
    bob.start();
    alice.wait_delivered();
    assert_eq!(bob.received().len(), taken);
    alice.ctl_with(&["send", "--wait", "bob"], text.as_bytes()).expect(0);
}

#[test]
fn ten_thousand_messages_wait_and_arrive() {
    const COUNT: usize = 10_000;
    let (mut alice, mut bob) = pair();
    bob.stop();
    let lines = texts("line", COUNT);
    alice.ctl_with(&["send", "-l", "bob"], lines.join("\n").as_bytes()).expect(0);
    alice.restart();
    assert_eq!(alice.status()["peers"]["queued"], COUNT);
    bob.start();
    alice.wait_delivered();
    assert_texts(&bob.received(), &lines, "at bob");
}

#[test]
fn both_may_dial_at_once() {
    let (mut alice, mut bob) = (box_of(builder("alice")), box_of(builder("bob")));
    for (node, other) in [(&alice, &bob), (&bob, &alice)] {
        node.session().call("peers.add", json!({"host": other.chat().to_string()})).unwrap();
    }
    alice.wait_linked(&bob);
    for round in 0..5 {
        alice.ctl(&["send", "--wait", "bob", &format!("{round}")]).expect(0);
        bob.ctl(&["send", "--wait", "alice", &format!("{round}")]).expect(0);
        assert_eq!(
            (alice.status()["peers"]["linked"].clone(), bob.status()["peers"]["linked"].clone()),
            (json!(1), json!(1))
        );
        std::thread::scope(|scope| {
            scope.spawn(|| alice.restart());
            scope.spawn(|| bob.restart());
        });
        alice.wait_linked(&bob);
    }
    let rounds: Vec<String> = (0..5).map(|n| n.to_string()).collect();
    assert_eq!((alice.received(), bob.received()), (rounds.clone(), rounds));
}
