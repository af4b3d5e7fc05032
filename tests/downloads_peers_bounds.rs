//! Downloads from other boxes within bounds: files of any size in little memory, none of which waits until all of it is
//! hashed, and disks that fill.

use crate::downloads_disk::{SmallDisk, not_root};
use crate::files::{directory, share};
use crate::harness::pair::{befriend, box_of, builder, builder_with};
use crate::harness::{Downloader, MIB, Node, assert_same, bytes, eventually, few_or_many, http, may_skip};
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;

/// What a netkitd may take, in MiB, whatever it serves and fetches;
const MEMORY: u64 = 64;
/// what of that its program is: one that is built for tests is larger, and not counted.
const PROGRAM: u64 = 10;

/// A box that shares a directory with anyone.
fn bob(dir: &Path) -> Node {
    box_of(builder_with("bob", &share("pub", dir, "access = \"public\"")))
}

/// A box that knows it, with a small disk to download to.
fn small_disk(bob: &Node) -> SmallDisk {
    let disk = SmallDisk::of(builder("alice"), "");
    befriend(&disk.downloader.node, bob);
    disk
}

/// The most that a netkitd had in memory so far besides its program, in MiB.
fn peak(node: &mut Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.daemon().pid())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    (field("VmHWM:") - field("RssFile:")) / 1024
}

#[track_caller]
fn assert_small(nodes: [&mut Node; 2]) {
    let peaks = nodes.map(peak);
    eprintln!("at most {peaks:?} MiB in memory");
    assert!(peaks.iter().all(|&peak| peak <= MEMORY - PROGRAM), "{peaks:?} MiB");
}

/// Space that the directory of the tests has for files that take it, in bytes.
fn space() -> u64 {
    let found = rustix::fs::statvfs(std::env::temp_dir()).unwrap();
    found.f_bavail * found.f_frsize
}

#[test]
fn the_first_bytes_of_a_huge_file_wait_for_no_hash_of_it_and_take_no_memory() {
    let size = few_or_many(20_u64, 50) << 30; // either takes many times as long to be hashed as to be begun
    let needed = format!("{} GiB of space, most of which is only claimed", (size >> 30) + 2);
    let test = "the_first_bytes_of_a_huge_file_wait_for_no_hash_of_it_and_take_no_memory";
    if may_skip(space() > size + (2 << 30), test, &needed) {
        return;
    }
    let dir = directory();
    File::create(dir.path().join("sparse")).unwrap().set_len(size).unwrap();
    let mut bob = bob(dir.path());
    let alice = box_of(builder("alice"));
    befriend(&alice, &bob);
    let mut downloader = Downloader::on(alice);
    let hash = || {
        let listed = http(bob.files(), "GET /pub/", &["Accept: application/json"]);
        let listed: Value = serde_json::from_slice(&listed.body).unwrap();
        assert_eq!(listed["entries"][0]["name"], "sparse", "{listed}");
        listed["entries"][0]["blake3"].clone()
    };
    let id = downloader.add("bob:pub/sparse");
    for so_far in [MIB, 500 * MIB] {
        downloader.until(id, "blocks are there, each compared", |shown| {
            shown["bytes"].as_u64() >= Some(so_far as u64)
        });
        // It is listed as soon as it is known.
        assert_eq!(hash(), Value::Null, "they came before all of it was hashed");
    }
    assert_eq!(downloader.show(id)["size"], size);
    assert_small([&mut bob, &mut downloader.node]);
    downloader.tell("cancel", id);
    assert_eq!(downloader.names(), [""; 0]);
    // Nobody follows: nothing is hashed any more, and a stop does not wait for it.
    bob.wait_for("/files/open", 0);
    bob.stop();
}

#[test]
fn four_large_files_at_once_take_no_more_memory() {
    const SIZE: usize = 200 * MIB;
    let dir = directory();
    let names = ["a", "b", "c", "d"];
    for (seed, name) in (0..).zip(names) {
        std::fs::write(dir.path().join(name), bytes(seed, SIZE)).unwrap();
    }
    let mut bob = bob(dir.path());
    let alice = box_of(builder("alice"));
    befriend(&alice, &bob);
    let mut downloader = Downloader::on(alice);
    let ids = names.map(|name| downloader.add(&format!("bob:pub/{name}")));
    for id in ids {
        downloader.done(id);
    }
    assert_small([&mut bob, &mut downloader.node]);
    for (seed, name) in (0..).zip(names) {
        assert_same(&downloader.read(name), &bytes(seed, SIZE), name);
    }
    let all = ids.map(|id| downloader.events(id));
    let numbers = |word: &str| {
        let kind = format!("download.{word}");
        let events = all.iter().flatten().filter(|event| event["kind"] == *kind);
        events.map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let (begun, done) = (numbers("active"), numbers("done"));
    assert_eq!((begun.len(), done.len()), (4, 4));
    assert!(begun.iter().max() < done.iter().min(), "all ran at once: {begun:?}, {done:?}");
}

#[test]
fn a_file_of_a_peer_that_can_not_fit_is_told_at_once_and_holds_nothing() {
    if not_root("a_file_of_a_peer_that_can_not_fit_is_told_at_once_and_holds_nothing") {
        return;
    }
    let dir = directory();
    File::create(dir.path().join("f")).unwrap().set_len(100 << 20).unwrap();
    let bob = bob(dir.path());
    let mut disk = small_disk(&bob);
    for source in ["bob:pub/f", "bob:pub/"] {
        let ended = disk.downloader.node.ctl(&["get", "--wait", source]).expect(8);
        assert!(ended.stderr.contains("no space left for"), "{ended:?}");
    }
    let failed = disk.downloader.listed(&["failed"]);
    assert_eq!(failed.len(), 2);
    for id in failed {
        assert_eq!(disk.downloader.show(id)["error"]["kind"], "no_space");
    }
    assert!(disk.free() > 60 * MIB, "{} are free", disk.free());
}

#[test]
fn a_file_of_a_peer_goes_on_when_there_is_room_again() {
    if not_root("a_file_of_a_peer_goes_on_when_there_is_room_again") {
        return;
    }
    let dir = directory();
    let content = bytes(1, 40 * MIB + 5);
    std::fs::write(dir.path().join("f"), &content).unwrap();
    let bob = bob(dir.path());
    let mut disk = small_disk(&bob);
    let id = disk.downloader.add_with("bob:pub/f", json!({"limit": 10 * MIB}));
    disk.downloader.until(id, "10 MiB are there", |shown| shown["bytes"].as_u64() >= Some(10 * MIB as u64));
    assert!(disk.free() < 26 * MIB, "the space for all of it is claimed: {} are free", disk.free());
    disk.downloader.tell("pause", id);
    let there = disk.downloader.state(id, "paused")["bytes"].as_u64().unwrap() as usize;
    assert!(there < 38 * MIB, "it is paused midway: {there}");
    disk.fill(disk.free() - MIB);
    disk.downloader.tell("resume", id);
    let failed = disk.downloader.failed(id, "no_space");
    assert_eq!(failed["bytes"], there, "what came is kept: {failed}");
    assert!(failed["error"]["hint"].as_str().is_some_and(|hint| hint.contains("make room")), "{failed}");
    let held = std::os::unix::fs::MetadataExt::blocks(&disk.part(id).metadata().unwrap()) as usize * 512;
    assert!(held <= there + MIB, "and no more is held: {held} for {there}");
    disk.clear();
    disk.downloader.tell("retry", id);
    disk.downloader.until(id, "it goes on", |shown| {
        assert!(shown["bytes"].as_u64() >= Some(there as u64), "from where it was: {shown}");
        shown["bytes"].as_u64() > Some(there as u64 + 4)
    });
    disk.downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
    let shown = disk.downloader.done(id);
    assert_same(&std::fs::read(disk.path("f")).unwrap(), &content, "after a full disk");
    assert_eq!(shown["verified"], true, "{shown}");
    let words = disk.downloader.words(id);
    assert!(!words.contains(&"restarted".to_owned()), "{words:?}");
}

#[test]
fn a_file_of_a_peer_keeps_the_room_that_it_claimed() {
    if not_root("a_file_of_a_peer_keeps_the_room_that_it_claimed") {
        return;
    }
    let dir = directory();
    let content = bytes(1, 30 * MIB);
    std::fs::write(dir.path().join("f"), &content).unwrap();
    let bob = bob(dir.path());
    let mut disk = small_disk(&bob);
    let id = disk.downloader.add_with("bob:pub/f", json!({"limit": 8 * MIB}));
    disk.downloader.until(id, "some is there", |shown| shown["bytes"].as_u64() >= Some(2 * MIB as u64));
    disk.fill(disk.free());
    assert_eq!(disk.free(), 0);
    assert_eq!(disk.downloader.show(id)["state"], "active", "it is midway");
    disk.downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
    disk.downloader.done(id);
    assert_same(&std::fs::read(disk.path("f")).unwrap(), &content, "on a disk that others filled");
}

#[test]
fn a_directory_of_a_peer_goes_on_when_there_is_room_again() {
    if not_root("a_directory_of_a_peer_goes_on_when_there_is_room_again") {
        return;
    }
    const COUNT: u64 = 400;
    let dir = directory();
    let shared = dir.path().join("d");
    std::fs::create_dir(&shared).unwrap();
    let content = |n: u64| bytes(n, 100_000);
    for n in 0..COUNT {
        std::fs::write(shared.join(n.to_string()), content(n)).unwrap();
    }
    let bob = bob(dir.path());
    let mut disk = small_disk(&bob);
    let id = disk.downloader.add_with("bob:pub/d/", json!({"limit": 8 * MIB}));
    disk.downloader.until(id, "some is there", |shown| shown["bytes"].as_u64() >= Some(5 * MIB as u64));
    disk.fill(disk.free() - 4 * MIB);
    let failed = disk.downloader.failed(id, "no_space");
    assert!(failed["bytes"].as_u64() >= Some(5 * MIB as u64), "what came is kept: {failed}");
    assert!(disk.part(id).is_dir() && !disk.path("d").exists());
    disk.downloader.tell("retry", id);
    eventually("it is told again", || {
        (disk.downloader.words(id).iter().filter(|word| *word == "failed").count() == 2).then_some(())
    });
    disk.clear();
    disk.downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
    disk.downloader.tell("retry", id);
    disk.downloader.done(id);
    for n in 0..COUNT {
        let found = std::fs::read(disk.path(&format!("d/{n}"))).unwrap();
        assert_same(&found, &content(n), &format!("file {n}"));
    }
    assert_eq!(std::fs::read_dir(disk.path("d")).unwrap().count() as u64, COUNT);
}
