//! `netkitctl send`: what it takes, what it promises, how it ends.

use crate::harness::{Node, NodeBuilder, Peer, Running, command, eventually, has_program, is_root, may_skip};
use serde_json::json;

#[test]
fn the_text_comes_from_an_argument_or_from_stdin() {
    let node = Node::new();
    let peer = Peer::new();
    let url = peer.url();
    node.ctl(&["send", &url, "an argument"]).expect(0);
    assert_eq!(peer.hear(), "an argument");
    node.ctl_with(&["send", &url, "-"], b"two lines\nof stdin\n").expect(0);
    assert_eq!(peer.hear(), "two lines\nof stdin");
    node.ctl_with(&["send", &url], b"a pipe\n").expect(0);
    assert_eq!(peer.hear(), "a pipe");
    node.ctl(&["send", &url, "--", "-n looks like an option"]).expect(0);
    assert_eq!(peer.hear(), "-n looks like an option");
}

#[test]
fn each_line_is_a_message_with_l() {
    let node = Node::new();
    let peer = Peer::new();
    let lines: Vec<String> = (0..250).map(|n| format!("line {n}")).collect();
    // No more than a socket holds, some 270 datagrams: whoever listens may be held up.
    let ended = node.ctl_with(&["send", "-l", "--json", &peer.url()], lines.join("\n").as_bytes()).expect(0);
    let ids: Vec<u64> = ended.json().iter().map(|sent| sent["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), 250);
    assert!(ids.is_sorted(), "committed in the order of their lines");
    assert_eq!(lines.iter().map(|_| peer.hear()).collect::<Vec<_>>(), lines);
}

#[test]
fn a_line_that_can_not_be_sent_is_told_and_the_others_go() {
    let node = Node::new();
    let peer = Peer::new();
    let input = format!("first\n{}\nlast\n", "x".repeat(2000));
    let ended = node.ctl_with(&["send", "-l", &peer.url()], input.as_bytes()).expect(1);
    assert!(ended.stderr.contains("line 2"), "{}", ended.stderr);
    assert_eq!((peer.hear(), peer.hear()), ("first".to_owned(), "last".to_owned()));
}

#[test]
fn a_key_sends_once_however_often_it_is_repeated() {
    let mut node = Node::new();
    let peer = Peer::new();
    let send = ["send", "--json", "--key", "backup-2026-11-23", &peer.url(), "done"];
    let first = node.ctl(&send).expect(0).json().remove(0);
    assert_eq!(first["repeated"], false);
    node.restart();
    let second = node.ctl(&send).expect(0).json().remove(0);
    assert_eq!((&second["id"], &second["repeated"]), (&first["id"], &json!(true)));
    let conflict = node.ctl(&["send", "--key", "backup-2026-11-23", &peer.url(), "other"]).expect(1);
    assert!(conflict.stderr.contains("key"), "{}", conflict.stderr);
    node.ctl(&["send", &peer.url(), "end"]).expect(0);
    assert_eq!((peer.hear(), peer.hear()), ("done".to_owned(), "end".to_owned()));
}

#[test]
fn wait_ends_when_it_is_sent() {
    let node = Node::new();
    let peer = Peer::new();
    let sent = node.ctl(&["send", "--wait", "--json", &peer.url(), "hi"]).expect(0).json().remove(0);
    let events = node.session().all_events();
    assert_eq!((&events[0]["kind"], &events[0]["seq"]), (&json!("message.queued"), &sent["id"]));
    assert_eq!((&events[1]["kind"], &events[1]["message"]), (&json!("message.sent"), &sent["id"]));
}

/// TEST-NET-1 (RFC 5737) with a port 0 can't be sent to from anywhere.
#[test]
fn what_can_never_be_sent_is_refused() {
    let node = Node::new();
    for (dest, code) in [("udp://192.0.2.1:0", 2), ("udp://", 2), ("http://127.0.0.1:1", 2), ("", 2)] {
        let ended = node.ctl(&["send", dest, "hi"]);
        assert_eq!(ended.code(), code, "{dest}: {ended:?}");
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty(), "{ended:?}");
    }
    // A conversation is with one peer.
    let ended = node.ctl(&["send", "--wait", "udp://255.255.255.255:7890", "hi"]).expect(5);
    assert!(ended.stderr.contains("255.255.255.255"), "{}", ended.stderr);
    assert_eq!(node.status()["log"]["head"], 0, "nothing was committed");
}

#[test]
fn what_does_not_exist_is_not_found() {
    let node = Node::new();
    for dest in ["bob", "bob~k7q2xm", "@ops", "@all", "udp://no-such-host.invalid:7890"] {
        let ended = node.ctl(&["send", dest, "hi"]).expect(4);
        assert!(ended.stderr.lines().count() >= 1 && ended.stdout.is_empty(), "{dest}: {ended:?}");
    }
    assert_eq!(node.status()["log"]["head"], 0, "nothing was committed");
}

/// A box whose network is off: nothing can be sent until its loopback interface is up.
fn node_without_network() -> Node {
    NodeBuilder::default().wrapper(&["unshare", "--net"]).start()
}

fn switch_network_on(node: &mut Node) {
    let namespace = format!("--net=/proc/{}/ns/net", node.daemon().pid());
    let up = command("nsenter", &[&namespace, "ip", "link", "set", "lo", "up"]);
    Running::to_end(up, b"").expect(0);
}

fn needs_namespace(test: &str) -> bool {
    may_skip(is_root() && has_program("ip"), test, "root and ip (iproute2), for a network of its own")
}

#[test]
fn what_can_not_be_sent_now_waits() {
    if needs_namespace("what_can_not_be_sent_now_waits") {
        return;
    }
    let mut node = node_without_network();
    let ended = node.ctl(&["send", "--wait=0.1", "udp://127.0.0.1:9", "hi"]).expect(6);
    assert!(ended.stderr.contains("still queued"), "{}", ended.stderr);
    assert_eq!(node.status()["chat"]["queued"], 1);
    // Across a restart, too.
    node.restart();
    assert_eq!(node.status()["chat"]["queued"], 1);
    let waiting = node.follow(&["send", "--wait", "udp://127.0.0.1:9", "second"]);
    node.wait_for("/chat/queued", 2);
    switch_network_on(&mut node);
    waiting.end().expect(0);
    node.wait_for("/chat/queued", 0);
}

#[test]
fn what_waits_too_long_expires() {
    if needs_namespace("what_waits_too_long_expires") {
        return;
    }
    let mut node = node_without_network();
    let ended = node.ctl(&["send", "--wait", "--expire", "1s", "udp://127.0.0.1:9", "hi"]).expect(6);
    assert!(ended.stderr.contains("expired"), "{}", ended.stderr);
    let events = node.session().all_events();
    assert_eq!(events[1]["kind"], "message.expired");
    assert_eq!((&events[1]["message"], &events[1]["maybe_delivered"]), (&json!(1), &json!(false)));
    // What expires while netkitd is away is not sent when it comes back, whatever the network.
    node.ctl(&["send", "--expire", "1s", "udp://127.0.0.1:9", "old news"]).expect(0);
    node.kill();
    let queued = std::time::Instant::now();
    eventually("it is too old", || (queued.elapsed().as_secs() > 1).then_some(()));
    node.start();
    switch_network_on(&mut node);
    node.wait_for("/chat/queued", 0);
    let last = node.session().all_events().pop().unwrap();
    assert_eq!((&last["kind"], &last["maybe_delivered"]), (&json!("message.expired"), &json!(true)));
}

#[test]
fn waiting_ends_in_time_also_when_netkitd_goes_away() {
    if needs_namespace("waiting_ends_in_time_also_when_netkitd_goes_away") {
        return;
    }
    let mut node = node_without_network();
    let mut waiting = node.follow(&["send", "--wait=3", "udp://127.0.0.1:9", "hi"]);
    node.wait_for("/chat/queued", 1);
    node.kill();
    waiting.stderr_with("netkitd went away");
    waiting.end().expect(6);
    // A time beyond all clocks is as long as they go.
    let _patient = node.follow(&["send", "--wait=1e19", "udp://127.0.0.1:9", "hi"]);
}

#[test]
fn a_message_of_any_text_goes_in_json() {
    let node = Node::new();
    let peer = Peer::new();
    for text in ["quote \" backslash \\ tab \t", "emoji 😀 and 你好", "line\nbreak", "\u{7f}\u{1}"] {
        let id =
            node.session().call("chat.send", json!({"to": peer.url(), "text": text})).unwrap()["id"].clone();
        assert_eq!(peer.hear(), text);
        let read = node.session().call("events.read", json!({"since": id.as_u64().unwrap() - 1})).unwrap();
        assert_eq!(read["events"][0]["text"], text);
    }
}
