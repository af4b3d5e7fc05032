//! Links through kill -9, restarts under traffic, full disks and logs that were replaced: each message once and in order.

use crate::durable::{fill, small_disk};
use crate::harness::pair::{Stubborn, assert_texts, befriend, box_of, builder, builder_with, pair, texts};
use crate::harness::{DEADLINE, Node, Random, eventually, is_root, may_skip};
use serde_json::json;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const COUNT: usize = 2000;

/// What is said while something happens that was to happen after so many.
const MEANWHILE: u32 = 200;

/// Both say [`COUNT`] messages to each other; `meanwhile` is called again and again with how many are committed, until
/// all are. It gives how many may be before it is called again: what is to happen in between is not outrun.
fn both_talk(alice: &mut Node, bob: &mut Node, mut meanwhile: impl FnMut(u32, &mut Node, &mut Node) -> u32) {
    let (said, allowed) = (AtomicU32::new(0), AtomicU32::new(0));
    let (to_bob, to_alice) = (texts("to bob", COUNT), texts("to alice", COUNT));
    let (one, other) = (Stubborn::new(alice, "bob", "a"), Stubborn::new(bob, "alice", "b"));
    std::thread::scope(|scope| {
        let talkers = [
            scope.spawn(|| one.say(&to_bob, &said, &allowed)),
            scope.spawn(|| other.say(&to_alice, &said, &allowed)),
        ];
        while talkers.iter().any(|talker| !talker.is_finished()) {
            allowed.store(meanwhile(said.load(Ordering::Relaxed), alice, bob), Ordering::Relaxed);
            std::thread::yield_now();
        }
    });
    for node in [&*alice, &*bob] {
        node.wait_delivered();
        let delivered = node.delivered();
        let once: HashSet<_> = delivered.iter().collect();
        assert_eq!((delivered.len(), once.len()), (COUNT, COUNT), "each message's delivery is told once");
        assert!(delivered.is_sorted(), "in order");
        assert_eq!(node.events("message.queued").len(), COUNT);
    }
    assert_texts(&bob.received(), &to_bob, "at bob");
    assert_texts(&alice.received(), &to_alice, "at alice");
}

#[test]
fn kills_of_either_lose_and_repeat_nothing() {
    const KILLS: u32 = 14;
    let mut random = Random::new("kills_of_either_lose_and_repeat_nothing");
    let (mut alice, mut bob) = pair();
    let mut kills = 0;
    let mut next = 0;
    both_talk(&mut alice, &mut bob, |said, alice, bob| {
        if kills == KILLS {
            return u32::MAX;
        }
        if said < next {
            return next + MEANWHILE;
        }
        kills += 1;
        next = said + random.below(2 * 2 * COUNT as u64 / u64::from(KILLS) * 4 / 5) as u32;
        // At any point of what goes on: between its arrival, its commit and its receipt.
        let due = Instant::now() + Duration::from_micros(random.below(20_000));
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        let node = if random.below(2) == 0 { alice } else { bob };
        node.kill();
        node.start();
        next + MEANWHILE
    });
    assert!(kills >= 5, "{kills} kills");
}

#[test]
fn kills_of_both_at_once_lose_and_repeat_nothing() {
    let mut random = Random::new("kills_of_both_at_once_lose_and_repeat_nothing");
    let (mut alice, mut bob) = pair();
    let mut next = random.below(500) as u32;
    let mut kills = 0;
    both_talk(&mut alice, &mut bob, |said, alice, bob| {
        if said < next {
            return next + MEANWHILE;
        }
        kills += 1;
        next = said + 400 + random.below(800) as u32;
        alice.kill();
        bob.kill();
        let (first, second) = if random.below(2) == 0 { (alice, bob) } else { (bob, alice) };
        first.start();
        second.start();
        next + MEANWHILE
    });
    assert!(kills >= 2, "{kills} kills");
}

#[test]
fn restarts_under_traffic_lose_nothing_and_are_over_soon() {
    let (mut alice, mut bob) = pair();
    let mut slowest = Duration::ZERO;
    let mut round = 0;
    both_talk(&mut alice, &mut bob, |said, alice, bob| {
        if round == 6 {
            return u32::MAX;
        }
        if said < 600 * round {
            return 600 * round + MEANWHILE;
        }
        round += 1;
        if round % 2 == 0 { &mut *alice } else { &mut *bob }.restart();
        let ready = Instant::now();
        alice.wait_linked(bob);
        slowest = slowest.max(ready.elapsed());
        600 * round + MEANWHILE
    });
    eprintln!("the slowest of {round} links was there {slowest:?} after netkitd was");
    assert!(round == 6 && slowest < DEADLINE / 4, "{round} restarts, {slowest:?}");
}

#[test]
fn who_is_started_anew_calls_those_who_were_there_strangers_too() {
    let (alice, mut bob) = (box_of(builder("alice")), box_of(builder("bob")));
    alice.add(&bob); // to bob, alice is a stranger
    for _ in 0..3 {
        alice.ctl(&["send", "--wait", "bob", "hi"]).expect(0);
        bob.kill();
        bob.start();
        let ready = Instant::now();
        alice.wait_linked(&bob);
        // Alice has nothing to say, and would notice by a packet that keeps her link alive, 10 s after the last one.
        assert!(ready.elapsed() < Duration::from_secs(5), "{:?}", ready.elapsed());
    }
}

#[test]
fn a_peer_that_stands_still_gets_all_when_it_goes_on() {
    let (alice, mut bob) = pair();
    alice.ctl(&["send", "--wait", "bob", "before"]).expect(0);
    bob.hold();
    let lines = texts("line", 5000);
    alice.ctl_with(&["send", "-l", "bob"], lines.join("\n").as_bytes()).expect(0);
    assert!(alice.status()["peers"]["queued"].as_u64().unwrap() > 0);
    bob.go_on();
    alice.wait_delivered();
    assert_texts(&bob.received()[1..], &lines, "at bob");
}

#[test]
fn a_full_disk_acknowledges_nothing_and_goes_on_when_there_is_room() {
    let test = "a_full_disk_acknowledges_nothing_and_goes_on_when_there_is_room";
    if may_skip(is_root(), test, "root, to mount a small file system") {
        return;
    }
    let (small, mount) = small_disk(builder("bob"));
    let (alice, mut bob) = (box_of(builder("alice")), box_of(small));
    befriend(&alice, &bob);
    alice.ctl(&["send", "--wait", "bob", "before"]).expect(0);
    let filler = format!("/proc/{}/root{}/filler", bob.daemon().pid(), mount.path().display());
    let mut said = vec!["before".to_owned()];
    // What the files that are there have room for is taken.
    eventually("the disk is full", || {
        fill(&filler);
        for _ in 0..20 {
            said.push(format!("{} {}", said.len(), "x".repeat(2000)));
            alice.say("bob", said.last().unwrap());
        }
        bob.status()["log"].get("trouble").map(|_| ())
    });
    let late = alice.ctl(&["send", "--wait=1", "bob", "last"]).expect(6);
    assert!(late.stderr.contains("still queued"), "{}", late.stderr);
    said.push("last".to_owned());
    let (delivered, stored) = (alice.delivered().len(), bob.received().len());
    assert!(delivered <= stored && stored < said.len(), "{delivered} are acknowledged, {stored} are stored");
    std::fs::remove_file(&filler).unwrap();
    alice.wait_delivered();
    assert_texts(&bob.received(), &said, "at bob");
    assert_eq!(bob.status()["log"].get("trouble"), None);
    bob.stop();
}

/// The files of what a box remembers.
fn memory(node: &Node) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(node.path("state")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("netkit.db")).collect()
}

/// Takes away what a box remembers, but not who it is.
fn forget(node: &Node) {
    for file in memory(node) {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_receivers_new_log_gets_what_the_old_one_did_not() {
    let (alice, mut bob) = pair();
    alice.ctl(&["send", "--wait", "bob", "to the old log"]).expect(0);
    let epoch = bob.status()["log"]["epoch"].clone();
    bob.stop();
    for text in ["one", "two", "three"] {
        alice.say("bob", text);
    }
    forget(&bob);
    bob.start();
    assert_ne!(bob.status()["log"]["epoch"], epoch);
    alice.wait_delivered();
    assert_eq!(bob.received(), ["one", "two", "three"]);
    alice.ctl(&["send", "--wait", "bob", "four"]).expect(0);
    assert_eq!(bob.received(), ["one", "two", "three", "four"]);
    assert_eq!(alice.delivered().len(), 5);
}

#[test]
fn a_senders_new_log_is_not_taken_for_what_was_heard_before() {
    let (mut alice, bob) = pair();
    for n in 0..10 {
        alice.ctl(&["send", "--wait", "bob", &format!("old {n}")]).expect(0);
    }
    alice.stop();
    forget(&alice);
    alice.start();
    // It knows nobody any more; bob dials it.
    alice.wait_linked(&bob);
    for n in 0..3 {
        alice.ctl(&["send", "--wait", "bob", &format!("new {n}")]).expect(0);
    }
    bob.ctl(&["send", "--wait", "alice", "welcome back"]).expect(0);
    let expected: Vec<String> =
        (0..10).map(|n| format!("old {n}")).chain((0..3).map(|n| format!("new {n}"))).collect();
    assert_texts(&bob.received(), &expected, "at bob");
    assert_eq!(bob.peer(&alice.id()).unwrap()["trust"], json!("trusted"), "it is the same box");
}

#[test]
fn what_is_said_again_is_passed_over_however_little_the_receiver_keeps() {
    let sections = "[retention]\nmessages = 100\n";
    let (mut alice, mut bob) = (box_of(builder("alice")), box_of(builder_with("bob", sections)));
    befriend(&alice, &bob);
    bob.stop();
    let waiting = texts("waiting", 150);
    for text in &waiting {
        alice.say("bob", text);
    }
    alice.stop();
    let copies: Vec<_> =
        memory(&alice).into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect();
    bob.start();
    alice.start();
    alice.wait_delivered();
    // A disk that lied: alice has forgotten the receipts, and bob's log holds the last ones at most.
    alice.kill();
    forget(&alice);
    for (content, file) in copies {
        std::fs::write(file, content).unwrap();
    }
    bob.restart();
    let head = bob.status()["log"]["head"].clone();
    alice.start();
    alice.wait_delivered();
    alice.ctl(&["send", "--wait", "bob", "new"]).expect(0);
    let events = bob.session().call("events.read", json!({"since": head})).unwrap();
    let texts: Vec<_> =
        events["events"].as_array().unwrap().iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(texts, ["new"]);
}

#[test]
fn a_box_that_was_set_back_loses_nothing_that_it_is_told_is_delivered() {
    let (mut alice, mut bob) = pair();
    alice.ctl(&["send", "--wait", "bob", "before"]).expect(0);
    alice.stop();
    let copies: Vec<_> =
        memory(&alice).into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect();
    alice.start();
    for text in ["one", "two", "three"] {
        alice.ctl(&["send", "--wait", "bob", text]).expect(0);
    }
    // A virtual machine that goes back to its snapshot: the numbers of one, two and three are given again.
    alice.kill();
    bob.stop();
    forget(&alice);
    for (content, file) in copies {
        std::fs::write(file, content).unwrap();
    }
    alice.start();
    alice.say("bob", "while bob is away");
    bob.start();
    alice.wait_linked(&bob);
    alice.ctl(&["send", "--wait", "bob", "afterwards"]).expect(0);
    assert_eq!(bob.received(), ["before", "one", "two", "three", "while bob is away", "afterwards"]);
}
