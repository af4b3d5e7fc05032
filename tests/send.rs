//! `netkitctl send`: what it takes, what it promises, how it ends.

use crate::harness::{Node, Peer};
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
    let lines: Vec<String> = (0..500).map(|n| format!("line {n}")).collect();
    // Heard while it is sent: a socket holds some 270 datagrams.
    let (url, count) = (peer.url(), lines.len());
    let hearing = std::thread::spawn(move || (0..count).map(|_| peer.hear()).collect::<Vec<_>>());
    let ended = node.ctl_with(&["send", "-l", "--json", &url], lines.join("\n").as_bytes()).expect(0);
    let ids: Vec<u64> = ended.json().iter().map(|sent| sent["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), 500);
    assert!(ids.is_sorted(), "committed in the order of their lines");
    assert_eq!(hearing.join().unwrap(), lines);
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
