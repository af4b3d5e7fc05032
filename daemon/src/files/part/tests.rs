//! What a part file is called, who has it, and what of it is on the disk.

use super::super::Target;
use super::*;
use netkit_proto::path::SafePath;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn open(dir: &Path) -> Arc<TargetDir> {
    let target = Target { root: dir.into(), path: SafePath::parse(b"x").unwrap() };
    Arc::new(TargetDir::open(&target, None).unwrap())
}

#[test]
fn a_file_gets_a_free_name_unless_it_may_replace() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = open(tmp.path());
    let read = |name: &str| std::fs::read_to_string(tmp.path().join(name)).unwrap();
    let place = |text: &str, naming| {
        let part = PartFile::create(&dir, 7).unwrap();
        part.write_at(text.as_bytes(), 0).unwrap();
        part.sync().unwrap();
        part.place("a.txt", naming).map_err(|e| e.kind())
    };
    assert_eq!(place("0", Naming::Exact).as_deref(), Ok("a.txt"));
    assert_eq!(place("1", Naming::Exact), Err(io::ErrorKind::AlreadyExists));
    assert_eq!(place("1", Naming::Numbered).as_deref(), Ok("a (1).txt"));
    assert_eq!(place("2", Naming::Numbered).as_deref(), Ok("a (2).txt"));
    assert_eq!(place("3", Naming::Replace).as_deref(), Ok("a.txt"));
    assert_eq!((read("a.txt"), read("a (1).txt"), read("a (2).txt")), ("3".into(), "1".into(), "2".into()));
    let mode = std::fs::metadata(tmp.path().join("a.txt")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    std::fs::remove_file(tmp.path().join("a.txt")).unwrap();
    std::fs::create_dir(tmp.path().join("a.txt")).unwrap();
    assert_eq!(place("4", Naming::Replace), Err(io::ErrorKind::AlreadyExists));
    assert_eq!(place("4", Naming::Numbered).as_deref(), Ok("a (3).txt"), "a directory has the name");
}

#[test]
fn a_placed_file_is_found_by_what_it_is() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = open(tmp.path());
    std::fs::write(tmp.path().join("a"), "other").unwrap();
    let part = PartFile::create(&dir, 1).unwrap();
    let file = part.identity().unwrap();
    let found = |naming| find_placed(&dir, "a", naming, file.1).unwrap().map(|(name, _)| name);
    assert_eq!(found(Naming::Numbered), None, "not yet");
    part.place("a", Naming::Numbered).unwrap();
    assert_eq!(found(Naming::Numbered).as_deref(), Some("a (1)"));
    assert_eq!(found(Naming::Exact), None);
}

#[test]
fn nobody_else_writes_it_and_only_it_gets_the_name() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = open(tmp.path());
    let part = PartFile::create(&dir, 1).unwrap();
    let busy = |result: io::Result<()>| result.unwrap_err().kind() == io::ErrorKind::ResourceBusy;
    assert!(busy(PartFile::create(&dir, 1).map(drop)));
    assert!(busy(PartFile::reopen(&dir, 1).map(drop)));
    assert!(busy(discard(&dir, 1)));
    let name = tmp.path().join(part_name(1));
    let taken_away = |naming| {
        let error = part.place("a", naming).unwrap_err();
        assert!(error.get_ref().is_some_and(|inner| inner.is::<TakenAway>()), "{error}");
        assert!(!tmp.path().join("a").exists());
    };
    std::fs::remove_file(&name).unwrap();
    taken_away(Naming::Exact);
    std::fs::write(&name, "another").unwrap();
    for naming in [Naming::Exact, Naming::Numbered, Naming::Replace] {
        taken_away(naming);
    }
    part.remove().unwrap();
    assert!(name.exists(), "it is another's");
}

#[test]
fn space_that_was_claimed_is_given_back() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = open(tmp.path());
    let part = PartFile::create(&dir, 1).unwrap();
    if !part.allocate(8 << 20).unwrap() {
        return; // this file system can't: nothing is claimed
    }
    let used = || part.file().metadata().unwrap().blocks() * 512;
    assert!(used() >= 8 << 20);
    part.write_at(&[1; 4096], 3 << 20).unwrap();
    part.release(&[0..3 << 20, (3 << 20) + 4096..8 << 20]).unwrap();
    assert!(used() <= 64 << 10, "{} bytes are still claimed", used());
    let mut read = [0; 4096];
    part.read_at(&mut read, 3 << 20).unwrap();
    assert_eq!(read, [1; 4096]);
}

#[test]
fn what_is_read_after_it_comes_from_the_disk() {
    const TMPFS: i64 = 0x0102_1994; // statfs(2)
    let tmp = tempfile::tempdir().unwrap();
    let part = PartFile::create(&open(tmp.path()), 1).unwrap();
    if rustix::fs::fstatfs(part.file()).unwrap().f_type == TMPFS {
        return; // its memory is the disk
    }
    part.write_at(&[1; 4096], 0).unwrap();
    part.file().sync_all().unwrap();
    let is_in_memory = || {
        let mut read = [0; 4096];
        let mut into = [io::IoSliceMut::new(&mut read)];
        match rustix::io::preadv2(part.file(), &mut into, 0, rustix::io::ReadWriteFlags::NOWAIT) {
            Ok(count) => count > 0,
            Err(error) => error != Errno::AGAIN,
        }
    };
    assert!(is_in_memory());
    uncache(part.file()).unwrap();
    assert!(!is_in_memory());
}

#[test]
fn a_part_is_kept_and_removed() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = open(tmp.path());
    assert!(PartFile::reopen(&dir, 1).unwrap().is_none());
    let file = PartFile::create(&dir, 1).unwrap().identity().unwrap();
    assert_eq!(PartFile::reopen(&dir, 1).unwrap().unwrap().identity().unwrap(), file);
    discard(&dir, 1).unwrap();
    discard(&dir, 1).unwrap();
    assert!(PartFile::reopen(&dir, 1).unwrap().is_none());
}
