//! Cursors, and what survives a restart, a crash, a full disk and retention.

use crate::harness::{
    Control, Node, NodeBuilder, Peer, Running, eventually, has_program, is_root, kernel, may_skip,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

const CURSORS: [&str; 2] = ["one", "two"];

/// A tail that ended is started again, as a service would; gives the lines it printed.
fn read_until(node: &Node, cursor: &str, last: &str) -> Vec<String> {
    let mut tail = node.follow(&["tail", "-f", "-o", "cat", "--cursor", cursor]);
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != last) {
        lines.push(tail.line());
    }
    tail.signal(Signal::TERM);
    tail.end().expect(143);
    lines
}

/// Two tails follow while lines arrive and netkitd goes away and comes back.
fn tails_across(end_and_start: impl Fn(&mut Node)) {
    let mut node = Node::new();
    let peer = Peer::new();
    let mut tails = CURSORS.map(|name| node.follow(&["tail", "-f", "-o", "cat", "--cursor", name]));
    let mut said = Vec::new();
    let mut seen = [Vec::new(), Vec::new()];
    for round in 0..3 {
        for n in 0..20 {
            said.push(format!("{round}/{n}"));
            peer.say(node.chat(), said.last().unwrap());
        }
        node.wait_for("/chat/received", 20);
        // The tails are somewhere in the middle when netkitd goes.
        for (tail, seen) in tails.iter_mut().zip(&mut seen) {
            seen.extend((0..10).map(|_| tail.line()));
        }
        end_and_start(&mut node);
    }
    said.push("end".into());
    peer.say(node.chat(), "end");
    for (tail, seen) in tails.iter_mut().zip(&mut seen) {
        while seen.last().is_none_or(|line| line != "end") {
            seen.push(tail.line());
        }
        assert_eq!(*seen, said, "no line lost or repeated");
    }
    // What they printed is committed when they are told to end: the next ones start behind it.
    for tail in tails {
        tail.signal(Signal::INT);
        tail.end().expect(130);
    }
    peer.say(node.chat(), "afterwards");
    for name in CURSORS {
        assert_eq!(read_until(&node, name, "afterwards"), ["afterwards"]);
    }
}

#[test]
fn two_tails_with_cursors_lose_and_repeat_nothing_across_restarts() {
    tails_across(Node::restart);
}

#[test]
fn two_tails_with_cursors_lose_and_repeat_nothing_when_netkitd_is_killed() {
    tails_across(|node| {
        node.kill();
        node.start();
    });
}

#[test]
fn a_cursor_starts_at_the_oldest_and_has_one_holder() {
    let node = Node::new();
    let peer = Peer::new();
    for n in 0..15 {
        peer.say(node.chat(), n.to_string());
    }
    node.wait_for("/chat/received", 15);
    let mut holder = node.follow(&["tail", "-f", "-o", "cat", "--cursor", "mine"]);
    let all: Vec<String> = (0..15).map(|_| holder.line()).collect();
    assert_eq!(all[0], "0", "all that is kept, not the last ten");
    let second = node.ctl(&["tail", "--cursor", "mine"]).expect(1);
    assert!(second.stderr.contains("mine"), "{}", second.stderr);
    node.ctl(&["tail", "--cursor", "other", "-n", "2", "-o", "cat"]).expect(0);
    let listed = node.session().call("cursors.list", json!({})).unwrap();
    let held: Vec<_> =
        listed["cursors"].as_array().unwrap().iter().map(|c| (&c["name"], &c["held"])).collect();
    assert_eq!(held, [(&json!("mine"), &json!(true)), (&json!("other"), &json!(false))]);
    // However its holder ends, the cursor is free.
    holder.signal(Signal::KILL);
    drop(holder);
    eventually("the cursor is free", || (node.ctl(&["tail", "--cursor", "mine"]).code() == 0).then_some(()));
    node.ctl(&["rpc", "cursors.remove", r#"{"name":"mine"}"#]).expect(0);
    assert_eq!(node.ctl(&["tail", "--cursor", "mine", "-o", "cat"]).expect(0).lines().len(), 15);
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    let mut node = Node::new();
    let peer = Peer::new();
    for round in 0..3 {
        let done = AtomicBool::new(false);
        let acknowledged: Vec<(u64, String)> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..4)
                .map(|sender| {
                    let (socket, url, done) = (node.socket(), peer.url(), &done);
                    scope.spawn(move || {
                        let mut session = Control::connect(&socket);
                        let mut acknowledged = Vec::new();
                        for n in 0.. {
                            let text = format!("{round}/{sender}/{n}");
                            match session.try_call("chat.send", json!({"to": url, "text": text})) {
                                Some(Ok(sent)) => acknowledged.push((sent["id"].as_u64().unwrap(), text)),
                                Some(Err(busy)) => assert_eq!(busy["data"]["kind"], "busy", "{busy}"),
                                None => break, // netkitd is gone
                            }
                            done.store(acknowledged.len() > 50, Ordering::Relaxed);
                        }
                        acknowledged
                    })
                })
                .collect();
            eventually("sends are under way", || done.load(Ordering::Relaxed).then_some(()));
            node.daemon().signal(Signal::KILL);
            senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
        });
        node.kill();
        node.start();
        let events = node.session().all_events();
        let seqs: Vec<u64> = events.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
        let expected: Vec<u64> = (1..=seqs.len() as u64).collect();
        assert_eq!(seqs, expected, "numbered without gaps");
        let queued: HashSet<(u64, String)> = events
            .iter()
            .filter(|e| e["kind"] == "message.queued")
            .map(|e| (e["seq"].as_u64().unwrap(), e["text"].as_str().unwrap().to_owned()))
            .collect();
        assert!(!acknowledged.is_empty());
        for message in &acknowledged {
            assert!(queued.contains(message), "{message:?} was acknowledged and is lost");
        }
        // What was not sent before the crash is sent after it.
        node.wait_for("/chat/queued", 0);
    }
}

#[test]
fn retention_keeps_the_newest_and_tells_of_the_gap() {
    let mut node = NodeBuilder::default().sections("[retention]\nmessages = 100").start();
    let peer = Peer::new();
    peer.say(node.chat(), "0");
    node.wait_for("/chat/received", 1);
    // One cursor stands at the first message.
    assert_eq!(node.ctl(&["tail", "--cursor", "slow", "-o", "cat"]).expect(0).lines(), ["0"]);
    for n in 1..500 {
        peer.say(node.chat(), n.to_string());
    }
    node.wait_for("/chat/received", 500);
    let log = eventually("retention has its way", || {
        let log = node.status()["log"].take();
        (log["events"].as_u64().unwrap() <= 50).then_some(log) // unverified lines may fill half the log
    });
    assert_eq!(log["head"], 500, "numbers are never used again");
    let kept = log["events"].as_u64().unwrap();
    let oldest = 500 - kept + 1;

    let events = node.ctl(&["tail", "--cursor", "slow", "--json"]).expect(0).json();
    assert_eq!(events[0]["kind"], "gap", "{}", events[0]);
    assert_eq!((&events[0]["from"], &events[0]["to"]), (&json!(2), &json!(oldest - 1)));
    assert_eq!(events[0]["lost"], oldest - 2);
    let texts: Vec<String> = events[1..].iter().map(|e| e["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, (oldest - 1..500).map(|n| n.to_string()).collect::<Vec<_>>());
    // Told once; a new reader lost nothing.
    assert_eq!(node.ctl(&["tail", "--cursor", "slow", "--json"]).expect(0).stdout, "");
    let new = node.session().call("events.read", json!({"limit": 1})).unwrap();
    assert_eq!(new["events"][0]["seq"], oldest);

    // A subscriber from a place that is gone is told, too.
    node.restart();
    let mut session = node.session();
    session.call("events.subscribe", json!({"since": 7})).unwrap();
    assert_eq!(session.event()["kind"], "gap");
    assert_eq!(session.event()["seq"], oldest);
}

#[test]
fn unverified_lines_make_room_for_our_own() {
    let node = NodeBuilder::default().sections("[retention]\nmessages = 100").start();
    let peer = Peer::new();
    let mut session = node.session();
    for n in 0..20 {
        session.call("chat.send", json!({"to": peer.url(), "text": format!("ours {n}")})).unwrap();
    }
    node.wait_for("/chat/queued", 0);
    for n in 0..500 {
        peer.say(node.chat(), n.to_string());
    }
    node.wait_for("/chat/received", 500);
    eventually("the unverified keep to their share", || {
        (node.status()["log"]["unverified"].as_u64().unwrap() <= 50).then_some(())
    });
    let ours = node.session().all_events().iter().filter(|e| e["kind"] == "message.queued").count();
    assert_eq!(ours, 20);
}

/// A box whose state directory is a small file system of its own, seen by its netkitd alone.
pub fn small_disk(builder: NodeBuilder) -> (NodeBuilder, tempfile::TempDir) {
    let mount = tempfile::Builder::new().prefix("netkit-disk-").tempdir().unwrap();
    let script =
        format!("mount -t tmpfs -o size=12m netkit-test {} && exec \"$0\" \"$@\"", mount.path().display());
    let builder = builder.state(&mount.path().join("state"));
    (builder.wrapper(&["unshare", "--mount", "sh", "-c", &script]), mount)
}

fn node_on_small_disk(sections: &str) -> (Node, tempfile::TempDir) {
    let (builder, mount) = small_disk(NodeBuilder::default().sections(sections));
    (builder.start(), mount)
}

#[test]
fn a_full_disk_acknowledges_nothing_and_loses_nothing() {
    let test = "a_full_disk_acknowledges_nothing_and_loses_nothing";
    if may_skip(is_root(), test, "root, to mount a small file system") {
        return;
    }
    let (mut node, mount) = node_on_small_disk("");
    // The file system as netkitd sees it.
    let seen = format!("/proc/{}/root{}", node.daemon().pid(), mount.path().display());
    let filler = format!("{seen}/filler");
    let peer = Peer::new();
    peer.say(node.chat(), "before");
    node.wait_for("/chat/received", 1);
    node.ctl(&["send", "--wait", &peer.url(), "ours before"]).expect(0);

    fill(&filler);
    // There is room in the files that are there already; it is used up first.
    let mut acknowledged = 0;
    let text = "x".repeat(1000);
    let refused = loop {
        let ended = node.ctl(&["send", &peer.url(), &text]);
        if ended.code() != 0 {
            break ended;
        }
        acknowledged += 1;
        assert!(acknowledged < 20_000, "the disk never fills");
        fill(&filler);
    };
    assert_eq!(refused.code(), 8, "{refused:?}");
    assert!(refused.stderr.contains("state_dir"), "{}", refused.stderr);
    let stuck = node.ctl(&["tail", "-n", "1", "--cursor", "full"]).expect(8);
    assert!(stuck.stdout.contains("before") && stuck.stderr.contains("full"), "{stuck:?}");
    // Reads go on, and say what is wrong.
    let trouble = node.status()["log"]["trouble"].clone();
    assert!(trouble.as_str().is_some_and(|t| t.contains("full") || t.contains("space")), "{trouble}");
    let shown = node.ctl(&["status"]).expect(0).stdout;
    assert!(shown.contains(trouble.as_str().unwrap()), "{shown}");
    assert_eq!(node.ctl(&["tail", "-n", "1", "-o", "cat"]).expect(0).lines(), ["before"]);

    // Lines that arrive meanwhile wait, and are stored when there is room.
    for n in 0..50 {
        peer.say(node.chat(), format!("meanwhile {n}"));
    }
    std::fs::remove_file(&filler).unwrap();
    let queued = || {
        let events = node.session().all_events();
        events.iter().filter(|e| e["kind"] == "message.queued").count()
    };
    node.wait_for("/chat/received", 51);
    let expected: Vec<String> = (0..50).map(|n| format!("meanwhile {n}")).collect();
    assert_eq!(node.received()[1..], expected);
    node.ctl(&["send", &peer.url(), "ours after"]).expect(0);
    assert_eq!(queued(), acknowledged + 2, "what was acknowledged, and nothing else");
    assert_eq!(node.status()["log"].get("trouble"), None);
    node.stop();
}

#[test]
fn retention_does_its_work_after_a_full_disk() {
    let test = "retention_does_its_work_after_a_full_disk";
    if may_skip(is_root(), test, "root, to mount a small file system") {
        return;
    }
    let (mut node, mount) = node_on_small_disk("[retention]\nmessages = 100");
    let filler = format!("/proc/{}/root{}/filler", node.daemon().pid(), mount.path().display());
    let peer = Peer::new();
    let say = |from: u64, to: u64| {
        (from..to).for_each(|n| peer.say(node.chat(), format!("{n} {}", "x".repeat(900))))
    };
    say(0, 150);
    node.wait_for("/chat/received", 150);
    fill(&filler);
    // Until a commit fails: the files that are there have some room.
    let mut said = 150;
    eventually("the disk is full for the log, too", || {
        say(said, said + 100);
        said += 100;
        fill(&filler);
        node.status()["log"].get("trouble").map(|_| ())
    });
    std::fs::remove_file(&filler).unwrap();
    eventually("all is stored", || (node.status()["log"]["head"] == said).then_some(()));
    for n in 0..60 {
        peer.say(node.chat(), format!("new {n}"));
    }
    eventually("the new ones are stored", || (node.status()["log"]["head"] == said + 60).then_some(()));
    let kept = node.received();
    assert_eq!(kept.len(), 50, "half the log is for unverified lines");
    assert_eq!(kept, (10..60).map(|n| format!("new {n}")).collect::<Vec<_>>(), "the newest are kept");
    node.stop();
}

/// Writes until the file system is full.
pub fn fill(path: &str) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    for size in [64 << 10, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[test]
fn a_sigkilled_tail_repeats_at_most_what_it_had_not_committed() {
    let node = Node::new();
    let peer = Peer::new();
    for n in 0..100 {
        peer.say(node.chat(), n.to_string());
    }
    node.wait_for("/chat/received", 100);
    let mut tail = node.follow(&["tail", "-f", "--json", "--cursor", "killed"]);
    let mut seen: Vec<Value> = (0..50).map(|_| tail.json()["seq"].take()).collect();
    tail.signal(Signal::KILL);
    // What it printed before it was killed counts as seen, read or not.
    seen.extend(tail_rest(tail));
    let next = eventually("the cursor is free", || {
        let ended = node.ctl(&["tail", "--cursor", "killed", "--json"]);
        (ended.code() == 0).then(|| ended.json())
    });
    let first = next.first().map_or(101, |event| event["seq"].as_u64().unwrap());
    assert!(
        first <= seen.last().unwrap().as_u64().unwrap() + 1,
        "nothing is lost: goes on at {first}, saw {seen:?}"
    );
    let all: HashSet<u64> =
        seen.iter().chain(next.iter().map(|e| &e["seq"])).map(|s| s.as_u64().unwrap()).collect();
    assert_eq!(all.len(), 100);
}

fn tail_rest(tail: Running) -> Vec<Value> {
    let ended = tail.end();
    // A line that was cut off in the middle was not printed.
    ended
        .stdout
        .lines()
        .filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?["seq"].take()))
        .collect()
}

#[test]
fn a_commit_syncs_data_and_no_more() {
    if may_skip(has_program("python3"), "a_commit_syncs_data_and_no_more", "python3") {
        return;
    }
    let mut node = Node::new(); // with all that is made at the first start, and synced as a whole
    node.stop();
    node.wrap(&kernel::without_fsync());
    node.start();
    let peer = Peer::new();
    for n in 0..20 {
        node.ctl(&["send", "--wait", &peer.url(), &n.to_string()]).expect(0);
        assert_eq!(peer.hear(), n.to_string());
    }
    peer.say(node.chat(), "back");
    node.wait_for("/chat/received", 1);
    // Nothing failed that was only logged.
    let said = node.stop().stderr;
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
}
