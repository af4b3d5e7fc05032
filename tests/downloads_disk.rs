//! Downloads onto disks that fill, into directories that close, and while clocks jump.

use crate::files::{directory, share};
use crate::harness::pair::{befriend, box_of, builder, builder_with};
use crate::harness::{
    Downloader, File, MIB, Node, NodeBuilder, Reply, Running, Source, assert_same, bytes, command,
    has_program, is_root, kernel, may_skip,
};
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A box whose download directory is a file system of 64 MiB, seen by it alone.
pub struct SmallDisk {
    pub downloader: Downloader,
    seen: PathBuf,
    _mount: TempDir,
}

impl SmallDisk {
    fn new(lines: &str) -> SmallDisk {
        SmallDisk::of(NodeBuilder::default(), lines)
    }

    /// The same of a box that is like this, with lines of `[downloads]`.
    pub fn of(builder: NodeBuilder, lines: &str) -> SmallDisk {
        let mount = tempfile::Builder::new().prefix("netkit-disk-").tempdir().unwrap();
        let at = mount.path().display();
        let script = format!("mount -t tmpfs -o size=64m netkit-test {at} && exec \"$0\" \"$@\"");
        let builder = builder.downloads(&format!("dir = \"{at}\"\n{lines}"));
        let mut node = builder.wrapper(&["unshare", "--mount", "sh", "-c", &script]).start();
        let seen = PathBuf::from(format!("/proc/{}/root{at}", node.daemon().pid()));
        SmallDisk { downloader: Downloader::on(node), seen, _mount: mount }
    }

    /// A file in it, as netkitd sees it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.seen.join(name)
    }

    pub fn part(&self, id: u64) -> PathBuf {
        self.path(&format!(".netkit-{id}.part"))
    }

    /// Bytes that are free.
    pub fn free(&self) -> usize {
        let found = rustix::fs::statvfs(&self.seen).unwrap();
        (found.f_bavail * found.f_frsize) as usize
    }

    /// Takes bytes away.
    pub fn fill(&self, len: usize) {
        std::fs::write(self.path("filler"), vec![1; len]).unwrap();
    }

    /// Gives them back.
    pub fn clear(&self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }
}

pub fn not_root(test: &str) -> bool {
    may_skip(is_root(), test, "root, to mount a small file system and to become another user")
}

#[test]
fn what_can_not_fit_fails_at_once() {
    if not_root("what_can_not_fit_fails_at_once") {
        return;
    }
    let source = Source::http(|request| {
        let size: usize = request.path[1..].parse().unwrap();
        File::new(&bytes(1, size * MIB)).answer(request)
    });
    let mut disk = SmallDisk::new("");
    let id = disk.downloader.add(&source.url("100"));
    let failed = disk.downloader.failed(id, "no_space");
    assert_eq!(failed["size"], 100 * MIB);
    assert!(source.sent() < 40 * MIB, "it is not fetched first: {}", source.sent());
    assert!(disk.free() > 60 * MIB, "nothing is held: {} are free", disk.free());
    assert!(failed["error"]["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{failed}");
    // What fits, fits.
    let id = disk.downloader.add(&source.url("50"));
    disk.downloader.done(id);
    assert_same(&std::fs::read(disk.path("50")).unwrap(), &bytes(1, 50 * MIB), "what fits");

    // Some is to stay free.
    let mut disk = SmallDisk::new("keep_free = \"32 MiB\"");
    let id = disk.downloader.add(&source.url("40"));
    let failed = disk.downloader.failed(id, "no_space");
    assert!(failed["error"]["message"].as_str().unwrap().contains("keep_free"), "{failed}");
    let id = disk.downloader.add(&source.url("20"));
    disk.downloader.done(id);
    assert_eq!(disk.downloader.listed(&["failed"]).len(), 1);
}

#[test]
fn an_endless_body_ends_at_the_full_disk_and_leaves_room() {
    if not_root("an_endless_body_ends_at_the_full_disk_and_leaves_room") {
        return;
    }
    let mut disk = SmallDisk::new("keep_free = \"8 MiB\"");
    let source = Source::http(|_| Reply::bytes(&bytes(1, MIB)).endless().chunked().header("ETag: \"one\""));
    let bare = Source::bare(|_| Reply::bytes(&bytes(1, MIB)).endless());
    for url in [source.url("f"), bare.url("g")] {
        let id = disk.downloader.add(&url);
        let failed = disk.downloader.failed(id, "no_space");
        let there = failed["bytes"].as_u64().unwrap() as usize;
        assert!(there > 40 * MIB, "{failed}");
        let part = disk.part(id).metadata().expect("what came is kept");
        let held = part.blocks() as usize * 512;
        assert!(held <= there + 2 * MIB, "what is not written is not held: {held} for {there} bytes");
        assert!(disk.free() >= 7 * MIB, "{} are free", disk.free());
        assert!(!disk.path("f").exists() && !disk.path("g").exists());
        disk.downloader.tell("remove", id);
        assert!(disk.free() > 60 * MIB, "{} are free", disk.free());
    }
}

#[test]
fn when_there_is_room_again_a_retry_goes_on() {
    if not_root("when_there_is_room_again_a_retry_goes_on") {
        return;
    }
    let content = bytes(1, 30 * MIB + 5);
    let file = File::new(&content);
    let source = Source::http(move |request| {
        let reply = file.answer(request);
        if request.number == 0 { reply.stall_after(20 * MIB) } else { reply }
    });
    let mut disk = SmallDisk::new("");
    let id = disk.downloader.add(&source.url("f"));
    disk.downloader.until(id, "20 MiB are there", |shown| shown["bytes"] == 20 * MIB);
    assert!(disk.free() < 36 * MIB, "the space for all of it is claimed: {} are free", disk.free());
    disk.downloader.tell("pause", id);
    assert!(disk.free() > 42 * MIB, "and given back: {} are free", disk.free());
    disk.fill(36 * MIB);
    disk.downloader.tell("resume", id);
    let failed = disk.downloader.failed(id, "no_space");
    assert_eq!(failed["bytes"], 20 * MIB, "what came is kept: {failed}");
    let held = disk.part(id).metadata().unwrap().blocks() as usize * 512;
    assert!(held <= 21 * MIB, "and no more: {held}");
    disk.clear();
    disk.downloader.tell("retry", id);
    disk.downloader.done(id);
    assert_same(&std::fs::read(disk.path("f")).unwrap(), &content, "after a full disk");
    assert_eq!(source.gets().pop().unwrap().start(), 20 * MIB, "only the rest: {:?}", source.gets());
}

#[test]
fn a_disk_that_fills_meanwhile_is_noticed() {
    if not_root("a_disk_that_fills_meanwhile_is_noticed") {
        return;
    }
    let content = bytes(1, 30 * MIB);
    let file = File::new(&content);
    let source = Source::http(move |request| file.answer(request).chunked().stall_after(4 * MIB));
    let mut disk = SmallDisk::new("keep_free = \"16 MiB\"");
    let id = disk.downloader.add(&source.url("f"));
    source.wait_sent(4 * MIB);
    disk.fill(40 * MIB);
    source.go_on();
    disk.downloader.failed(id, "no_space");
    assert!(disk.free() >= 15 * MIB, "{} are free", disk.free());
    disk.clear();
    disk.downloader.tell("retry", id);
    disk.downloader.done(id);
    assert_same(&std::fs::read(disk.path("f")).unwrap(), &content, "after a full disk");
}

/// A box whose netkitd is nobody: root may read and write everything.
pub fn as_nobody(builder: NodeBuilder) -> Node {
    const NOBODY: u32 = 65534;
    let become_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    // Where it was built may be closed to others: it runs from the box's directory.
    let script = "shift && exec \"$(dirname \"$2\")/netkitd\" \"$@\"";
    let mut node = builder.wrapper(&[&become_nobody[..], &["sh", "-c", script, "sh"]].concat()).prepare();
    std::fs::copy(env!("CARGO_BIN_EXE_netkitd"), node.path("netkitd")).unwrap();
    for name in ["", "netkitd.toml"] {
        chown(node.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    node.start();
    node
}

fn nobodys() -> Downloader {
    Downloader::on(as_nobody(NodeBuilder::default()))
}

pub fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_that_can_not_be_written_is_told_as_such() {
    if not_root("a_directory_that_can_not_be_written_is_told_as_such") {
        return;
    }
    let content = bytes(1, 4 * MIB);
    let file = File::new(&content);
    let source = Source::http(move |request| file.answer(request).stall_after(3 * MIB));
    let mut downloader = nobodys();
    let dir = downloader.path("");
    let id = downloader.add(&source.url("f"));
    source.wait_sent(3 * MIB);
    set_mode(&dir, 0o550);
    source.go_on();
    let failed = downloader.failed(id, "permission");
    assert!(failed["error"]["message"].as_str().unwrap().contains("downloads"), "{failed}");
    assert_eq!(downloader.names(), [format!(".netkit-{id}.part")], "what came is kept");
    // A new one can't even begin.
    let other = downloader.add(&source.url("other"));
    downloader.failed(other, "permission");
    set_mode(&dir, 0o750);
    let before = source.sent();
    downloader.tell("retry", id);
    downloader.done(id);
    assert_same(&downloader.read("f"), &content, "tried again");
    assert_eq!(source.sent(), before, "all was there");
    downloader.tell("retry", other);
    downloader.done(other);
    assert_same(&downloader.read("other"), &content, "tried again");
    // Another user's directory beneath.
    std::fs::create_dir(downloader.path("roots")).unwrap();
    let id = downloader.add_with(&source.url("f"), json!({"output": "roots/f"}));
    downloader.failed(id, "permission");
}

#[test]
fn a_clock_that_jumps_delays_no_try() {
    if may_skip(has_program("faketime"), "a_clock_that_jumps_delays_no_try", "faketime") {
        return;
    }
    let told = Running::to_end(command("faketime", &["-f", "+0", "printenv", "LD_PRELOAD"]), b"").expect(0);
    let preload = told.stdout.trim().split([' ', ':']).next_back().unwrap().to_owned();
    let dir = tempfile::Builder::new().prefix("netkit-clock-").tempdir().unwrap();
    let clock = dir.path().join("clock");
    std::fs::write(&clock, "+0").unwrap();
    let variables = [
        format!("LD_PRELOAD={}", preload.replace("libfaketime.so", "libfaketimeMT.so")),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        // Locks wait by the clock that does not jump.
        "FAKETIME_DISABLE_SHM=1".to_owned(),
    ];
    let words: Vec<&str> = ["env"].into_iter().chain(variables.iter().map(String::as_str)).collect();
    let mut downloader = Downloader::on(NodeBuilder::default().wrapper(&words).start());
    let source = Source::http(|request| match request.number {
        0..3 => Reply::status(500),
        _ => File::new(&bytes(1, 1000)).answer(request),
    });
    let id = downloader.add(&source.url("f"));
    for (tries, jump) in [(1, "-30d"), (2, "+30d")] {
        source.wait_requests(tries);
        // Replaced whole: half a time would be another one.
        std::fs::write(dir.path().join("new"), jump).unwrap();
        std::fs::rename(dir.path().join("new"), &clock).unwrap();
    }
    downloader.done(id);
    let at = |event: &serde_json::Value| event["at"].as_str().unwrap().to_owned();
    let times: Vec<String> = downloader.events(id).iter().map(at).collect();
    assert!(!times.is_sorted(), "the clock did jump: {times:?}");
    downloader.node.daemon().signal(Signal::TERM);
}

/// A download of 8 MiB that stalls after 3 until the source goes on.
fn stalling() -> (Downloader, Source, u64) {
    let file = File::new(&bytes(1, 8 * MIB));
    let source = Source::http(move |request| file.answer(request).stall_after(3 * MIB));
    let mut downloader = Downloader::new();
    let id = downloader.add_with(&source.url("f"), json!({"output": "dir/f"}));
    downloader.until(id, "3 MiB are there", |shown| shown["bytes"] == 3 * MIB);
    (downloader, source, id)
}

#[test]
fn a_part_file_that_is_taken_away_midway_is_fetched_again() {
    for what in ["removed", "replaced"] {
        let (mut downloader, source, id) = stalling();
        let part = downloader.path(&format!("dir/.netkit-{id}.part"));
        std::fs::remove_file(&part).unwrap();
        if what == "replaced" {
            std::fs::write(&part, "another's").unwrap();
        }
        source.go_on();
        downloader.done(id);
        assert_same(&downloader.read("dir/f"), &bytes(1, 8 * MIB), what);
        assert!(downloader.words(id).contains(&"restarted".to_owned()), "{:?}", downloader.words(id));
    }
}

#[test]
fn the_path_that_is_told_is_where_the_file_is() {
    let (mut downloader, source, id) = stalling();
    std::fs::rename(downloader.path("dir"), downloader.path("elsewhere")).unwrap();
    source.go_on();
    let shown = downloader.done(id);
    assert_eq!(shown["path"], json!(downloader.path("dir/f")));
    assert_same(&downloader.read("dir/f"), &bytes(1, 8 * MIB), "where it is told to be");
    assert!(!downloader.path("elsewhere/f").exists());
}

#[test]
fn what_can_not_be_deleted_is_told() {
    if not_root("what_can_not_be_deleted_is_told") {
        return;
    }
    let file = File::new(&bytes(1, 4 * MIB));
    let source = Source::http(move |request| file.answer(request).stall_after(3 * MIB));
    let mut downloader = nobodys();
    let id = downloader.add(&source.url("f"));
    downloader.until(id, "3 MiB are there", |shown| shown["bytes"] == 3 * MIB);
    let dir = downloader.path("");
    set_mode(&dir, 0o550);
    for verb in ["cancel", "remove"] {
        let error = downloader.call(&format!("downloads.{verb}"), json!({ "id": id })).unwrap_err();
        assert!(error["message"].as_str().unwrap().contains("part file"), "{error}");
        downloader.state(id, "paused");
    }
    set_mode(&dir, 0o750);
    downloader.tell("cancel", id);
    downloader.tell("remove", id);
    assert_eq!(downloader.names(), [""; 0]);
}

#[test]
fn nothing_of_a_peer_gets_its_name_before_it_is_synced() {
    if may_skip(has_program("python3"), "nothing_of_a_peer_gets_its_name_before_it_is_synced", "python3") {
        return;
    }
    let dir = directory();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    for name in ["f", "d/a", "d/b"] {
        std::fs::write(dir.path().join(name), bytes(name.len() as u64, 300_000)).unwrap();
    }
    let bob = box_of(builder_with("bob", &share("pub", dir.path(), "access = \"public\"")));
    let alice = box_of(builder("alice"));
    befriend(&alice, &bob);
    let mut downloader = Downloader::on(alice);
    let wrapped = |downloader: &mut Downloader, words: &[&str]| {
        downloader.node.stop();
        downloader.node.wrap(words);
        downloader.start();
        downloader.node.wait_linked(&bob);
    };
    let first = downloader.add_with("bob:pub/f", json!({"output": "first"}));
    downloader.done(first); // the directory is there, and synced
    for (what, disk) in [("f", kernel::without_fsync()), ("d", kernel::without_syncfs())] {
        wrapped(&mut downloader, &disk);
        let id = downloader.add(&format!("bob:pub/{what}"));
        let failed = downloader.failed(id, "unavailable");
        let message = failed["error"]["message"].as_str().unwrap();
        assert!(message.contains("Input/output error") && message.contains(what), "{failed}");
        assert!(!downloader.path(what).exists(), "{what}: {:?}", downloader.names());
        assert!(downloader.part(id).exists(), "{what}: {:?}", downloader.names());
        wrapped(&mut downloader, &[]);
        downloader.tell("retry", id);
        downloader.done(id);
    }
    assert_same(&downloader.read("f"), &bytes(1, 300_000), "a file");
    assert_same(&downloader.read("d/b"), &bytes(3, 300_000), "a file of a directory");
    assert_eq!(downloader.names(), ["d", "f", "first"]);
}
