//! Directories and patterns of other boxes: all that is in them, each file checked, under one name when it is complete.

use crate::downloads_disk::{as_nobody, not_root, set_mode};
use crate::files::{directory, share};
use crate::harness::pair::{befriend, box_of, builder, builder_with};
use crate::harness::{Downloader, MIB, Node, assert_same, bytes, connect};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn bob_and_downloader(dir: &Path) -> (Node, Downloader) {
    let bob = box_of(builder_with("bob", &share("pub", dir, "access = \"public\"")));
    let alice = box_of(builder("alice"));
    befriend(&alice, &bob);
    (bob, Downloader::on(alice))
}

/// What there is of a file, or nothing of a directory.
type Content = Option<(Vec<u8>, i64, bool)>;

/// All beneath a directory by its path: of files their content, their time and whether they can be run; `None` of directories.
pub fn tree(dir: &Path) -> BTreeMap<Vec<u8>, Content> {
    let mut all = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(at) = left.pop() {
        for entry in std::fs::read_dir(&at).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = path.strip_prefix(dir).unwrap().as_os_str().as_bytes().to_owned();
            assert!(!kind.is_symlink(), "{path:?}");
            if kind.is_dir() {
                all.insert(name, None);
                left.push(path);
            } else {
                let metadata = entry.metadata().unwrap();
                let is_executable = metadata.permissions().mode() & 0o100 != 0;
                let content = std::fs::read(&path).unwrap();
                all.insert(name, Some((content, metadata.mtime(), is_executable)));
            }
        }
    }
    all
}

/// A directory with some of everything that is fetched.
fn fill(dir: &Path) {
    let names: [(&[u8], usize); 9] = [
        (b"a", 5),
        ("deep/er/你 好%20".as_bytes(), 100),
        (b"deep/large", 3 * MIB + 7),
        (b"empty", 0),
        // Names of another encoding, which differ in nothing that UTF-8 can say.
        (b"gbk \xc4", 6),
        (b"gbk \xc5", 7),
        (b"large gbk \xc4", MIB + 8),
        (b"large gbk \xc5", MIB + 9),
        (b"z", MIB),
    ];
    for (name, len) in names {
        let path = dir.join(OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes(len as u64, len)).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + len as u64)).unwrap();
    }
    std::fs::create_dir_all(dir.join("nothing/in here")).unwrap();
    std::fs::set_permissions(dir.join("a"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(dir.join("deep/large"), PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn a_directory_comes_with_all_that_is_in_it() {
    let dir = directory();
    let shared = dir.path().join("d");
    std::fs::create_dir(&shared).unwrap();
    fill(&shared);
    let mut expected = tree(&shared);
    symlink("a", shared.join("link")).unwrap();
    expected.insert(b"link".to_vec(), expected[&b"a"[..]].clone());
    symlink(".", shared.join("loop")).unwrap();
    symlink("/etc", shared.join("out")).unwrap();
    std::fs::write(shared.join(".hidden"), "x").unwrap();
    let (bob, mut downloader) = bob_and_downloader(dir.path());
    let id = downloader.add("bob:pub/d/");
    let shown = downloader.done(id);
    assert_eq!(downloader.names(), ["d"]);
    assert!(tree(&downloader.path("d")) == expected, "{:?}", tree(&downloader.path("d")).keys());
    let size: usize = expected.values().flatten().map(|(content, ..)| content.len()).sum();
    assert_eq!((&shown["bytes"], &shown["verified"]), (&json!(size), &json!(true)), "{shown}");
    assert_eq!(shown["sources"], json!([{"name": "bob", "id": bob.id(), "bytes": size}]));
    // Again, though nobody said that it is a directory: beside it, and by name not at all.
    let again = downloader.add("bob:pub/d");
    assert_eq!(downloader.done(again)["blake3"], shown["blake3"]);
    assert_eq!(downloader.names(), ["d", "d (1)"]);
    let taken = downloader.add_with("bob:pub/d/", json!({"output": "d"}));
    let hint = downloader.failed(taken, "exists")["error"]["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("never a directory"), "{hint}");
    let whole = downloader.add_with("bob:pub/", json!({"output": "all/"}));
    downloader.done(whole);
    assert!(tree(&downloader.path("all/pub/d")) == expected);
}

#[test]
fn a_pattern_brings_the_files_that_match() {
    let dir = directory();
    fill(dir.path());
    for name in ["x.iso", "y.iso", "z.img"] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    let (_bob, mut downloader) = bob_and_downloader(dir.path());
    let id = downloader.add("bob:pub/*.iso");
    downloader.done(id);
    let found: Vec<String> =
        tree(&downloader.path("pub")).into_keys().map(|name| String::from_utf8(name).unwrap()).collect();
    assert_eq!(found, ["x.iso", "y.iso"]);
    let none = downloader.add("bob:pub/*.zip");
    downloader.failed(none, "not_found");
    downloader.node.ctl(&["get", "--wait", "bob:pub/nope/"]).expect(4);
    let sum = format!("md5:{}", "0".repeat(32));
    let refused = downloader.try_add("bob:pub/", json!({"checksum": sum})).unwrap_err();
    assert_eq!(refused["data"]["kind"], "invalid_params", "{refused}");
}

#[test]
fn kills_cost_no_file_that_was_there() {
    const KILLS: u64 = 4;
    const RATE: usize = 3 * MIB;
    /// What a kill may cost: what came since it was noted, once a second, another second's worth where the machine is
    /// busy, and the block under way.
    const LOSS: u64 = (2 * RATE + 2 * MIB) as u64;
    let dir = directory();
    let shared = dir.path().join("d");
    for n in 0..300 {
        let path = shared.join(format!("{:02}/{n}", n % 10));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes(n, 50_000 + n as usize)).unwrap();
    }
    std::fs::write(shared.join("large"), bytes(1, 45 * MIB)).unwrap();
    let expected = tree(&shared);
    let (mut bob, mut downloader) = bob_and_downloader(dir.path());
    let id = downloader.add_with("bob:pub/d/", json!({"limit": RATE}));
    let mut before = 0;
    for kill in 0..KILLS {
        // More than a kill may cost.
        let shown = downloader
            .until(id, "more is there", |shown| shown["bytes"].as_u64() >= Some(before + LOSS + MIB as u64));
        before = shown["bytes"].as_u64().unwrap();
        let fetched = shown["sources"][0]["bytes"].as_u64().unwrap();
        assert!(
            fetched <= before + kill * LOSS,
            "kill {kill}: {before} bytes are there of {fetched} that came"
        );
        if kill == 1 {
            bob.kill();
            bob.start();
        } else {
            downloader.kill();
        }
    }
    downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
    let fetched = downloader.done(id)["sources"][0]["bytes"].as_u64().unwrap();
    let size: usize = expected.values().flatten().map(|(content, ..)| content.len()).sum();
    eprintln!("of {size} bytes {fetched} came");
    assert!(fetched <= size as u64 + KILLS * LOSS, "{fetched} bytes came of {size}");
    assert!(tree(&downloader.path("d")) == expected);
    assert_eq!(downloader.names(), ["d"]);
    assert!(!downloader.words(id).contains(&"restarted".to_owned()), "{:?}", downloader.words(id));
}

#[test]
fn what_is_gone_at_the_source_does_not_stay_and_what_was_cancelled_goes() {
    let dir = directory();
    let shared = dir.path().join("d");
    std::fs::create_dir(&shared).unwrap();
    for n in 0..200 {
        std::fs::write(shared.join(n.to_string()), bytes(n, 100_000)).unwrap();
    }
    let (_bob, mut downloader) = bob_and_downloader(dir.path());
    let id = downloader.add_with("bob:pub/d/", json!({"limit": 4 * MIB}));
    downloader.until(id, "some is there", |shown| shown["bytes"].as_u64() > Some(3 * MIB as u64));
    downloader.tell("pause", id);
    for n in 0..100 {
        std::fs::remove_file(shared.join(n.to_string())).unwrap();
    }
    std::fs::write(shared.join("150"), "changed").unwrap();
    downloader.tell("resume", id);
    downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
    downloader.done(id);
    assert!(tree(&downloader.path("d")) == tree(&shared));
    let other = downloader.add_with("bob:pub/d/", json!({"limit": MIB}));
    downloader.until(other, "some is there", |shown| shown["bytes"].as_u64() > Some(0));
    downloader.tell("cancel", other);
    assert_eq!(downloader.names(), ["d"]);
    assert_same(&downloader.read("d/199"), &bytes(199, 100_000), "it is as before");
}

#[test]
fn what_the_peer_can_not_read_is_named_and_nothing_seems_whole() {
    if not_root("what_the_peer_can_not_read_is_named_and_nothing_seems_whole") {
        return;
    }
    let dir = directory();
    set_mode(dir.path(), 0o755);
    std::fs::create_dir_all(dir.path().join("d/closed")).unwrap();
    for name in ["d/a", "d/b", "d/closed/x", "d/z.iso"] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    let share = share("pub", dir.path(), "access = \"public\"");
    let bob = as_nobody(builder_with("bob", &share));
    bob.keep_port();
    let alice = box_of(builder("alice"));
    befriend(&alice, &bob);
    let mut alice = Downloader::on(alice);
    for (closed, is_dir) in [("d/b", false), ("d/closed", true)] {
        let path = dir.path().join(closed);
        set_mode(&path, 0);
        let name = closed.strip_prefix("d/").unwrap();
        if is_dir {
            let add = ["share", "add", "closed", &path.display().to_string()];
            let refused = bob.ctl(&add).expect(5).stderr;
            assert!(refused.contains("can't be shared: Permission denied"), "{refused}");
        }
        let id = alice.add("bob:pub/d/");
        let failed = alice.failed(id, "refused");
        let message = failed["error"]["message"].as_str().unwrap();
        assert!(message.contains("bob") && message.contains(name), "{failed}");
        // What is asked for and can be read comes.
        let id = alice.add("bob:pub/d/*.iso");
        alice.done(id);
        // Whoever has no netkit has the rest, and is told that it is not all.
        let mut stream = connect(bob.files());
        stream.write_all(b"GET /pub/d/?tar HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(!answer.ends_with(b"0\r\n\r\n"), "no last chunk");
        let has = |name: &str| answer.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(has("d/z.iso") && has("d/a") && !has(closed), "the rest comes");
        set_mode(&path, if is_dir { 0o755 } else { 0o644 });
        alice.tell("retry", failed["id"].as_u64().unwrap());
        alice.done(failed["id"].as_u64().unwrap());
    }
}

#[test]
fn what_turns_from_a_directory_into_a_file_or_back_comes_as_what_it_is_now() {
    let dir = directory();
    let (there, content) = (dir.path().join("d"), bytes(1, 24 * MIB));
    let make = |is_dir: bool| {
        let file = if is_dir { there.join("x") } else { there.clone() };
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, &content).unwrap();
    };
    let (_bob, mut downloader) = bob_and_downloader(dir.path());
    for (is_dir, got, now) in [(true, "d", "a file"), (false, "d (1)/x", "a directory")] {
        make(is_dir);
        let id = downloader.add_with("bob:pub/d", json!({"limit": 4 * MIB}));
        downloader.until(id, "some is there", |shown| shown["bytes"].as_u64() > Some(2 * MIB as u64));
        downloader.tell("pause", id);
        downloader.state(id, "paused");
        let was = dir.path().join(".was");
        std::fs::rename(&there, &was).unwrap();
        make(!is_dir);
        downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
        downloader.tell("resume", id);
        downloader.done(id);
        assert_same(&downloader.read(got), &content, now);
        let event = downloader.event(id, "restarted");
        assert!(event["reason"].as_str().unwrap().contains(now), "{event}");
        assert!(event["lost"].as_u64().unwrap() > MIB as u64, "{event}");
        if is_dir { std::fs::remove_dir_all(&was) } else { std::fs::remove_file(&was) }.unwrap();
        std::fs::remove_file(&there).unwrap_or_default();
    }
    assert_eq!(downloader.names(), ["d", "d (1)"]);
}

#[test]
fn what_somebody_deletes_midway_is_fetched_again_and_not_taken_for_there() {
    let dir = directory();
    let content = bytes(1, 32 * MIB);
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("d/x"), &content).unwrap();
    let bob = box_of(builder_with("bob", &share("pub", dir.path(), "access = \"public\"")));
    // The second one begins in the middle: what lies before its bytes looks as if it were there.
    let alice = box_of(builder("alice").downloads("connections = 2"));
    befriend(&alice, &bob);
    let mut downloader = Downloader::on(alice);
    let mib = |shown: &serde_json::Value| shown["bytes"].as_u64().unwrap() as usize / MIB;
    let id = downloader.add_with("bob:pub/d/", json!({"limit": 8 * MIB}));
    downloader.until(id, "much is there", |shown| mib(shown) >= 16);
    downloader.tell("pause", id);
    downloader.state(id, "paused");
    std::fs::remove_dir_all(downloader.part(id)).unwrap();
    downloader.tell("resume", id);
    downloader.until(id, "it starts over", |shown| mib(shown) < 8);
    downloader.until(id, "some is there", |shown| mib(shown) >= 5);
    downloader.tell("pause", id);
    downloader.state(id, "paused");
    downloader.call("downloads.limit", json!({"id": id, "limit": 0})).unwrap();
    downloader.tell("resume", id);
    downloader.done(id);
    assert_same(&downloader.read("d/x"), &content, "without holes");
    assert!(downloader.event(id, "restarted")["lost"].as_u64().unwrap() > 8 * MIB as u64);
}
