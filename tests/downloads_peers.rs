//! Downloads from other boxes, `PEER:SHARE/path`: encrypted, checked block by block, through whatever happens to either.

use crate::files::{directory, share};
use crate::harness::pair::{befriend, box_of, builder, builder_with};
use crate::harness::{
    Downloader, MIB, Node, Random, Running, assert_same, blake3, bytes, command, eventually,
};
use serde_json::json;
use std::path::Path;

/// A box that shares a directory with anyone, and one that knows it and downloads.
fn bob_and_downloader(dir: &Path) -> (Node, Downloader) {
    let bob = box_of(builder_with("bob", &share("pub", dir, "access = \"public\"")));
    let alice = box_of(builder("alice"));
    befriend(&alice, &bob);
    (bob, Downloader::on(alice))
}

#[test]
fn files_of_a_peer_come_verified() {
    let dir = directory();
    std::fs::create_dir(dir.path().join("深")).unwrap();
    for (name, len) in [("empty", 0), ("small", 5), ("a block", MIB), ("深/big %20", 7 * MIB + 9)] {
        std::fs::write(dir.path().join(name), bytes(len as u64, len)).unwrap();
    }
    let (bob, mut downloader) = bob_and_downloader(dir.path());
    for (path, name, len) in [
        ("empty", "empty", 0),
        ("small", "small", 5),
        ("a block", "a block", MIB),
        ("深/big %20", "big %20", 7 * MIB + 9),
    ] {
        let id = downloader.add(&format!("bob:pub/{path}"));
        let shown = downloader.done(id);
        let content = bytes(len as u64, len);
        assert_same(&downloader.read(name), &content, path);
        assert_eq!(
            (&shown["blake3"], &shown["verified"]),
            (&json!(blake3(&content)), &json!(true)),
            "{shown}"
        );
        assert_eq!(shown["sources"], json!([{"name": "bob", "id": bob.id(), "bytes": len}]));
    }
    let by_id = downloader.add_with(&format!("{}:pub/small", bob.id()), json!({"output": "again"}));
    downloader.done(by_id);
    let prefix = &bob.id()[..6];
    let by_prefix = downloader.add_with(&format!("bob~{prefix}:pub/small"), json!({"output": "and again"}));
    downloader.done(by_prefix);
}

#[test]
fn who_is_unknown_blocked_or_has_no_such_file_is_told_at_once() {
    let dir = directory();
    let (bob, mut downloader) = bob_and_downloader(dir.path());
    let ended = downloader.node.ctl(&["get", "--wait", "nobody:pub/x"]).expect(4);
    assert!(ended.stderr.contains("no peer is called nobody"), "{ended:?}");
    let ended = downloader.node.ctl(&["get", "--wait", "bob:pub/x"]).expect(4);
    assert!(ended.stderr.contains("bob has no such file"), "{ended:?}");
    downloader.node.tell("peers.block", &bob.id());
    let refused = downloader.try_add("bob:pub/x", json!({})).unwrap_err();
    assert_eq!(refused["data"]["kind"], "refused", "{refused}");
}

#[test]
fn a_share_for_trusted_peers_is_for_them_alone() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), "content").unwrap();
    let bob = box_of(builder_with("bob", &share("priv", dir.path(), "access = \"trusted\"")));
    let alice = box_of(builder("alice"));
    alice.add(&bob);
    let mut downloader = Downloader::on(alice);
    let id = downloader.add("bob:priv/f");
    downloader.failed(id, "not_found");
    bob.tell("peers.trust", &downloader.node.id());
    downloader.tell("retry", id);
    downloader.done(id);
}

#[test]
fn it_waits_for_a_peer_that_is_away() {
    let dir = directory();
    std::fs::write(dir.path().join("f"), "content").unwrap();
    let (mut bob, mut downloader) = bob_and_downloader(dir.path());
    let id = bob.id();
    bob.stop();
    downloader.node.wait_peer(&id, "it is gone", |peer| peer["linked"] == false);
    let get = downloader.add("bob:pub/f");
    let waiting = downloader.state(get, "retry_wait");
    assert_eq!(waiting["error"]["kind"], "away", "{waiting}");
    downloader.restart(); // it is still known which peer is meant
    bob.start();
    downloader.done(get);
    assert_eq!(downloader.read("f"), b"content");
}

#[test]
fn fifty_kills_of_either_side_lose_little_and_mix_nothing() {
    const SIZE: usize = 300 * MIB;
    const RATE: usize = 20 * MIB;
    /// What a kill may cost: what came since it was noted, once a second, another second's worth where the machine is
    /// busy, and the block under way.
    const LOSS: usize = 2 * RATE + 2 * MIB;
    let mut random = Random::new("fifty_kills_of_either_side_lose_little_and_mix_nothing");
    let content = bytes(random.number(), SIZE);
    let dir = directory();
    std::fs::write(dir.path().join("f"), &content).unwrap();
    let (mut bob, mut downloader) = bob_and_downloader(dir.path());
    let id = downloader.add_with("bob:pub/f", json!({"limit": RATE}));
    let there = |downloader: &mut Downloader| downloader.show(id)["bytes"].as_u64().unwrap() as usize;
    let (mut before, mut most, mut costs) = (0, 0, Vec::new());
    for kill in 0..50 {
        // Some soon after the start, some when more came than a kill may cost.
        let more = match kill % 12 {
            0 => LOSS as u64 + random.below(4 * MIB as u64),
            _ => random.below(8 * MIB as u64),
        };
        let more = (more as usize).min((SIZE - 3 * RATE).saturating_sub(before)); // never all of it
        let shown = downloader
            .until(id, "more is there", |shown| shown["bytes"].as_u64().unwrap() as usize >= before + more);
        assert_ne!(shown["state"], "done", "{shown}");
        let seen = shown["bytes"].as_u64().unwrap() as usize;
        most = most.max(seen);
        if kill % 3 == 2 {
            bob.kill();
            bob.start();
        } else {
            downloader.kill();
        }
        before = there(&mut downloader);
        costs.push(seen.saturating_sub(before) / MIB);
        assert!(before + LOSS >= seen, "kill {kill}: of {seen} bytes {before} are left");
        assert!(downloader.names().iter().all(|name| *name == format!(".netkit-{id}.part")));
    }
    eprintln!("of {} MiB {} were there, MiB lost by kill: {costs:?}", SIZE / MIB, most / MIB);
    assert!(most > 100 * MIB, "it got on between the kills: {most}");
    downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
    let shown = downloader.done(id);
    assert_same(&downloader.read("f"), &content, "after kills");
    assert_eq!((&shown["blake3"], &shown["verified"]), (&json!(blake3(&content)), &json!(true)), "{shown}");
    assert_eq!(downloader.names(), ["f"]);
    assert!(!downloader.words(id).contains(&"restarted".to_owned()), "{:?}", downloader.words(id));
}

#[test]
fn a_file_that_is_replaced_midway_starts_over_and_is_the_new_one() {
    let dir = directory();
    let (old, new) = (bytes(1, 40 * MIB), bytes(2, 30 * MIB));
    std::fs::write(dir.path().join("f"), &old).unwrap();
    let (_bob, mut downloader) = bob_and_downloader(dir.path());
    let id = downloader.add_with("bob:pub/f", json!({"limit": 8 * MIB}));
    downloader.until(id, "some is there", |shown| shown["bytes"].as_u64() > Some(2 * MIB as u64));
    downloader.tell("pause", id);
    downloader.state(id, "paused");
    std::fs::write(dir.path().join("new"), &new).unwrap();
    std::fs::rename(dir.path().join("new"), dir.path().join("f")).unwrap();
    downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
    downloader.tell("resume", id);
    downloader.done(id);
    assert_same(&downloader.read("f"), &new, "the new file");
    downloader.event(id, "restarted");
}

#[test]
fn all_that_have_it_help() {
    let dir = directory();
    let content = bytes(3, 120 * MIB);
    std::fs::write(dir.path().join("f"), &content).unwrap();
    let public = share("pub", dir.path(), "access = \"public\"");
    let [bob, carol, dave] = ["bob", "carol", "dave"].map(|name| box_of(builder_with(name, &public)));
    let alice = box_of(builder("alice"));
    for peer in [&bob, &carol, &dave] {
        befriend(&alice, peer);
    }
    // Who was asked for its hash once knows it.
    let mut downloader = Downloader::on(alice);
    for peer in ["carol", "dave"] {
        let id = downloader.add_with(&format!("{peer}:pub/f"), json!({"output": peer}));
        downloader.done(id);
    }
    let id = downloader.add_with("bob:pub/f", json!({"limit": 20 * MIB}));
    let shown = downloader.done(id);
    assert_same(&downloader.read("f"), &content, "of three");
    let sources = shown["sources"].as_array().unwrap();
    let mut names: Vec<_> = sources.iter().map(|source| source["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["bob", "carol", "dave"], "{shown}");
    let sum: u64 = sources.iter().map(|source| source["bytes"].as_u64().unwrap()).sum();
    assert_eq!(sum, content.len() as u64, "{shown}");
    assert!(sources.iter().all(|source| source["bytes"].as_u64() > Some(MIB as u64)), "{shown}");
    let told = downloader.node.ctl(&["queue", "show", &id.to_string()]).expect(0).stdout;
    eventually("each is told", || (told.matches("from ").count() == 3).then_some(()));
}

#[test]
fn trust_that_is_withdrawn_midway_ends_it_and_what_came_is_kept_until_it_is_given_again() {
    const SIZE: usize = 24 * MIB;
    let dir = directory();
    let content = bytes(5, SIZE);
    std::fs::write(dir.path().join("f"), &content).unwrap();
    for (how, kind, code) in
        [("blocked", "refused", 5), ("removed", "not_found", 4), ("closed", "not_found", 4)]
    {
        let bob = box_of(builder_with("bob", &share("priv", dir.path(), "access = \"trusted\"")));
        let alice = box_of(builder("alice"));
        befriend(&alice, &bob);
        let mut downloader = Downloader::on(alice);
        let id = downloader.add_with("bob:priv/f", json!({"limit": 4 * MIB}));
        let waiting = downloader.node.follow(&["queue", "wait", &id.to_string()]);
        downloader.until(id, "some is there", |shown| shown["bytes"].as_u64() > Some(4 * MIB as u64));
        let close = |from: &str, to: &str| {
            bob.edit_config(&format!("access = {from}"), &format!("access = {to}"));
            bob.ctl(&["rpc", "node.reload"]).expect(0);
        };
        match how {
            "blocked" => drop(bob.tell("peers.block", &downloader.node.id())),
            "removed" => drop(bob.tell("peers.remove", &downloader.node.id())),
            _ => close("\"trusted\"", "[]"),
        }
        // Within the deadline of all that is waited for here: a peer that is away is looked after minutes later.
        let failed = downloader.failed(id, kind);
        let ended = waiting.end().expect(code);
        assert!(ended.stderr.contains("bob"), "{ended:?}");
        let there = failed["bytes"].as_u64().unwrap();
        assert!(there > 4 * MIB as u64 && there < SIZE as u64, "{how}: {failed}");
        assert_eq!(downloader.names(), [format!(".netkit-{id}.part")], "{how}");
        match how {
            "closed" => close("[]", "\"trusted\""),
            _ => {
                bob.wait_peer(&downloader.node.id(), "it is seen", |_| true);
                drop(bob.tell("peers.trust", &downloader.node.id()));
            }
        }
        downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
        downloader.node.ctl(&["queue", "retry", &id.to_string()]).expect(0);
        let shown = downloader.done(id);
        assert_same(&downloader.read("f"), &content, how);
        assert!(!downloader.words(id).contains(&"restarted".to_owned()), "{how}");
        let from_bob = shown["sources"][0]["bytes"].as_u64().unwrap();
        assert!(from_bob <= SIZE as u64, "{how}: some was fetched twice: {shown}");
        let mut turns = downloader.events(id).into_iter().filter(|event| event["kind"] == "download.active");
        assert_eq!(turns.next_back().unwrap()["bytes"], there, "{how}: it goes on where it was");
    }
}

#[test]
fn what_a_checksum_names_is_what_comes_of_a_peer_or_nothing() {
    let dir = directory();
    let (_bob, downloader) = bob_and_downloader(dir.path());
    for (name, len) in [("small", 5), ("blocks", 3 * MIB + 5)] {
        let (path, content) = (dir.path().join(name), bytes(len as u64, len));
        std::fs::write(&path, &content).unwrap();
        let mut sums = vec![format!("blake3:{}", blake3(&content))];
        for kind in ["sha256", "md5"] {
            let ended = Running::to_end(command(&format!("{kind}sum"), &[&path]), b"").expect(0);
            sums.push(format!("{kind}:{}", ended.stdout.split(' ').next().unwrap()));
        }
        let source = format!("bob:pub/{name}");
        for sum in sums {
            let kind = sum.split(':').next().unwrap();
            let (good, bad) = (format!("{name}.{kind}"), format!("{name}.{kind}.bad"));
            let get = |sum: &str, output: &str| {
                downloader.node.ctl(&["get", "--wait", "--json", "--checksum", sum, "-o", output, &source])
            };
            let shown = get(&sum, &good).expect(0).json().remove(0);
            assert_eq!((&shown["verified"], &shown["checksum"]), (&json!(true), &json!(sum)), "{shown}");
            assert_same(&downloader.read(&good), &content, &good);
            let digit = if sum.ends_with('0') { '1' } else { '0' };
            let ended = get(&format!("{}{digit}", &sum[..sum.len() - 1]), &bad).expect(7);
            assert!(ended.stderr.contains("checksum") && ended.stdout.is_empty(), "{ended:?}");
            assert!(!downloader.path(&bad).exists(), "{bad}: never under its final name");
        }
    }
    let failed = downloader.node.events("download.failed");
    assert_eq!(failed.len(), 6, "{failed:?}");
    assert!(failed.iter().all(|event| event["error"]["kind"] == "checksum"), "{failed:?}");
}

#[test]
fn who_has_fetched_a_file_into_a_share_helps_others_at_once() {
    let dir = directory();
    let content = bytes(6, 60 * MIB + 7);
    std::fs::write(dir.path().join("f"), &content).unwrap();
    let public = share("pub", dir.path(), "access = \"public\"");
    let [bob, alice, carol] = [("bob", &*public), ("alice", ""), ("carol", "")]
        .map(|(name, share)| box_of(builder_with(name, share)));
    for peers in [(&alice, &bob), (&carol, &bob), (&carol, &alice)] {
        befriend(peers.0, peers.1);
    }
    let mut first = Downloader::on(alice);
    let path = first.path("");
    std::fs::create_dir_all(&path).unwrap();
    first.node.ctl(&["share", "add", "got", path.to_str().unwrap()]).expect(0);
    let id = first.add("bob:pub/f");
    first.done(id);
    let listed = first.node.ctl(&["ls", "got", "--json"]).expect(0).json().remove(0);
    assert_eq!(listed["entries"][0]["blake3"], blake3(&content), "nobody asked it to hash it: {listed}");
    let mut second = Downloader::on(carol);
    let id = second.add_with("bob:pub/f", json!({"limit": 20 * MIB}));
    let shown = second.done(id);
    assert_same(&second.read("f"), &content, "of two");
    let sources = shown["sources"].as_array().unwrap();
    let mut names: Vec<_> = sources.iter().map(|source| source["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["alice", "bob"], "{shown}");
    assert!(sources.iter().all(|source| source["bytes"].as_u64() > Some(MIB as u64)), "{shown}");
    // What is written to it then has another hash.
    std::fs::write(first.path("f"), &content[MIB..]).unwrap();
    let listed = first.node.ctl(&["ls", "got", "--json"]).expect(0).json().remove(0);
    assert!(listed["entries"][0]["blake3"].is_null(), "{listed}");
}
