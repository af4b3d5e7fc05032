//! Strangers on the LAN: one that calls itself as a known peer does, one that floods, one that forges a peer's address,
//! and one on the same host as a peer.

use super::{Pair, Speaker, both_say, events, heard, id, python};
use crate::harness::{Node, eventually, few_or_many, has_no_lab, millis};
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

#[test]
fn a_stranger_with_a_known_name_gets_none_of_its_messages() {
    if has_no_lab("a_stranger_with_a_known_name_gets_none_of_its_messages", &[]) {
        return;
    }
    let mut pair = Pair::new();
    let c = pair.lab.host(3);
    let liar = c.node("bob").start();
    liar.ctl(&["peers", "add", "10.77.0.1"]).expect(0);
    let refused = eventually("anna refuses the stranger", || {
        events(&pair.anna, &json!({"topics": ["peer.refused"]})).pop()
    });
    assert_eq!((&refused["id"], &refused["peer"]), (&json!(id(&liar)), &json!("bob")), "{refused}");
    for word in ["peers trust", "peers remove", &id(&pair.bob)] {
        assert!(refused["reason"].as_str().unwrap().contains(word), "{refused}");
    }
    pair.anna.ctl(&["send", "--wait=50", "bob", "one"]).expect(0);
    pair.bob.stop();
    pair.anna.ctl(&["send", "--wait=2", "bob", "two"]).expect(6);
    liar.ctl(&["send", "--wait=2", "anna", "it is me"]).code();
    pair.bob.start();
    eventually("bob has both", || (heard(&pair.bob, "anna") == ["one", "two"]).then_some(()));
    assert_eq!((liar.received(), pair.anna.received()), (vec![], vec![]));
}

/// Sends lines to a box as fast as it can until its stdin ends.
const FLOOD: &str = r#"
import select, socket, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.connect((sys.argv[1], 7890))
print("flooding", flush=True)
sent = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(500):
        try:
            out.send(b"flood %d" % sent)
            sent += 1
        except OSError:
            pass
print(sent)
"#;

#[test]
fn a_flood_of_lines_does_not_hold_up_peers() {
    if has_no_lab("a_flood_of_lines_does_not_hold_up_peers", &["python3"]) {
        return;
    }
    let mut pair = Pair::new();
    let c = pair.lab.host(3);
    let mut flood = python(&c, FLOOD, &["10.77.0.1"]);
    assert_eq!(flood.line(), "flooding");
    let taken = |pair: &Pair| pair.anna.status()["chat"]["received"].as_u64().unwrap();
    eventually("the flood comes in", || (taken(&pair) > 1000).then_some(()));
    let mut lines = (String::new(), 0);
    let count = few_or_many(100, 1000);
    both_say(&mut pair, count, |pair, speakers| {
        for some in (100..=count).step_by(100) {
            let has_said = |speaker: &Speaker| speaker.said() >= some;
            eventually(&format!("both have said {some}"), || speakers.iter().all(has_said).then_some(()));
        }
        speakers.iter().for_each(Speaker::wait_delivered);
        flood.write(b"\n");
        lines = (flood.line(), taken(pair));
    });
    let worst = longest_way(&pair.anna).max(longest_way(&pair.bob));
    let (sent, taken) = lines;
    eprintln!("{sent} lines were sent meanwhile, {taken} taken; no message took longer than {worst:?}");
    assert!(worst < Duration::from_secs(20), "{worst:?}");
}

/// The longest that a message of this box's took from its commit here to the news that it is stored there.
fn longest_way(at: &Node) -> Duration {
    let events = events(at, &json!({"topics": ["message.queued", "message.delivered"]}));
    let queued = events.iter().filter(|event| event["kind"] == "message.queued");
    let begun: HashMap<u64, i64> = queued.map(|e| (e["seq"].as_u64().unwrap(), millis(&e["at"]))).collect();
    let delivered = events.iter().filter(|event| event["kind"] == "message.delivered");
    let ways = delivered.flat_map(|event| {
        let messages = event["messages"].as_array().unwrap().iter();
        let begun = &begun;
        messages.map(move |message| millis(&event["at"]) - begun[&message.as_u64().unwrap()])
    });
    Duration::from_millis(ways.max().unwrap().try_into().unwrap())
}

/// The tutorial's peer on port 9000: prints what it hears and from where, and answers each with a line of its stdin.
const PLAIN: &str = r#"
import socket, sys
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.bind(("10.77.0.2", 9000))
print("listening", flush=True)
for line in sys.stdin:
    heard, whence = peer.recvfrom(1024)
    print(heard.decode(), *whence, flush=True)
    peer.sendto(line.rstrip("\n").encode(), ("10.77.0.1", 7890))
"#;

#[test]
fn a_plain_peer_and_a_netkit_peer_share_a_host() {
    if has_no_lab("a_plain_peer_and_a_netkit_peer_share_a_host", &["python3"]) {
        return;
    }
    let pair = Pair::new();
    let mut plain = python(&pair.b, PLAIN, &[]);
    assert_eq!(plain.line(), "listening");
    let url = "udp://10.77.0.2:9000";
    for n in 0..20 {
        pair.anna.ctl(&["send", "--wait=50", "bob", &format!("to bob {n}")]).expect(0);
        plain.write(format!("answer {n}\n").as_bytes());
        pair.anna.ctl(&["send", "--wait=50", url, &format!("to the plain one {n}")]).expect(0);
        assert_eq!(plain.line(), format!("to the plain one {n} 10.77.0.1 7890"));
        pair.bob.ctl(&["send", "--wait=50", "anna", &format!("of bob {n}")]).expect(0);
    }
    // The box that is linked, as a plain peer.
    pair.anna.ctl(&["send", "--wait=50", "udp://10.77.0.2:7890", "in plain words"]).expect(0);
    let lines = |of: &str| (0..20).map(|n| format!("{of} {n}")).collect::<Vec<_>>();
    let plain_lines = |at: &Node, from: &str| {
        let events = events(at, &json!({"topics": ["message.received"], "peer": from}));
        events
            .iter()
            .filter(|e| e["verified"] == false)
            .map(|e| e["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    eventually("all answers came", || (plain_lines(&pair.anna, url) == lines("answer")).then_some(()));
    eventually("the plain words came", || {
        (plain_lines(&pair.bob, "udp://10.77.0.1:7890") == ["in plain words"]).then_some(())
    });
    assert_eq!(heard(&pair.bob, "anna"), lines("to bob"));
    assert_eq!(heard(&pair.anna, "bob"), lines("of bob"));
}
