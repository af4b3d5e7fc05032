//! What is kept, hashed, noted and gone on with.

use super::*;
use crate::files::{Target, TargetDir};
use netkit_proto::path::SafePath;
use std::path::Path;

fn dir(path: &Path) -> Arc<TargetDir> {
    let target = Target { root: path.into(), path: SafePath::parse(b"x").unwrap() };
    Arc::new(TargetDir::open(&target, None).unwrap())
}

fn sample(len: u64) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn write(content: &mut Content, bytes: &[u8], offset: u64) {
    content.write(offset, bytes, SourceId::default(), |_, _| Ok(())).unwrap();
}

#[test]
fn the_hash_is_that_of_the_file_whether_its_size_was_known_or_not() {
    let tmp = tempfile::tempdir().unwrap();
    for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 5] {
        for known in [true, false] {
            let bytes = sample(size);
            let part = PartFile::create(&dir(tmp.path()), 1).unwrap();
            let mut content = Content::new(part, "boot").unwrap();
            content.about.size = known.then_some(size);
            for (n, piece) in bytes.chunks(300_000).enumerate() {
                write(&mut content, piece, n as u64 * 300_000);
            }
            let expected = Some((size, *blake3::hash(&bytes).as_bytes()));
            assert_eq!(content.finish(), expected, "{size} {known}");
            assert_eq!(content.ledger.bytes(), size);
        }
    }
}

#[test]
fn what_was_noted_is_not_fetched_again() {
    let tmp = tempfile::tempdir().unwrap();
    let (size, bytes) = (5 * BLOCK + 7, sample(5 * BLOCK + 7));
    let mut content = Content::new(PartFile::create(&dir(tmp.path()), 1).unwrap(), "boot").unwrap();
    content.about.size = Some(size);
    write(&mut content, &bytes[..BLOCK as usize + 10], 0);
    write(&mut content, &bytes[3 * BLOCK as usize..4 * BLOCK as usize], 3 * BLOCK);
    let (about, mut rows) = (content.about.clone(), content.ledger.to_note(&content.about).blocks);
    write(&mut content, &bytes[5 * BLOCK as usize..], 5 * BLOCK);
    rows.extend(content.ledger.to_note(&about).blocks);
    let rows: BTreeMap<u64, BlockRow> = rows.into_iter().map(|row| (row.block, row)).collect();
    let rows: Vec<BlockRow> = rows.into_values().collect();
    drop(content);

    let reopen = || PartFile::reopen(&dir(tmp.path()), 1).unwrap().unwrap();
    let mut again = Content::resume(reopen(), about.clone(), &rows, "boot").unwrap();
    assert_eq!(again.missing(size), [BLOCK + 10..3 * BLOCK, 4 * BLOCK..5 * BLOCK]);
    assert_eq!(again.ledger.bytes(), 2 * BLOCK + 17);
    assert_eq!(again.finish(), None);
    for range in again.missing(size) {
        write(&mut again, &bytes[range.start as usize..range.end as usize], range.start);
    }
    assert_eq!(again.finish(), Some((size, *blake3::hash(&bytes).as_bytes())));
}

#[test]
fn after_another_boot_only_what_is_on_the_disk_counts() {
    let tmp = tempfile::tempdir().unwrap();
    let (size, bytes) = (3 * BLOCK, sample(3 * BLOCK));
    let mut content = Content::new(PartFile::create(&dir(tmp.path()), 1).unwrap(), "boot").unwrap();
    content.about.size = Some(size);
    write(&mut content, &bytes[..(2 * BLOCK + 9) as usize], 0);
    content.file().write_at(b"lost", BLOCK + 100).unwrap();
    let (about, rows) = (content.about.clone(), content.ledger.to_note(&content.about).blocks);
    drop(content);
    let reopen = || PartFile::reopen(&dir(tmp.path()), 1).unwrap().unwrap();
    let same = Content::resume(reopen(), about.clone(), &rows, "boot").unwrap();
    assert_eq!(same.missing(size)[0], 2 * BLOCK + 9..size, "what this boot wrote is there");
    drop(same);
    let other = Content::resume(reopen(), about, &rows, "another boot").unwrap();
    assert_eq!(other.missing(size)[0], BLOCK..size);
    assert_eq!(other.about.boot, "another boot");
}

#[test]
fn the_disk_is_looked_at_only_where_its_space_was_not_claimed() {
    let tmp = tempfile::tempdir().unwrap();
    let mut content = Content::new(PartFile::create(&dir(tmp.path()), 1).unwrap(), "boot").unwrap();
    let full = |_: &PartFile, _| Err(io::ErrorKind::StorageFull.into());
    assert_eq!(
        content.write(0, b"x", SourceId::default(), full).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    content.unclaimed = None;
    assert!(content.write(0, b"x", SourceId::default(), full).is_ok());
}

#[test]
fn what_is_not_on_the_disk_any_more_is_not_believed_the_next_time_either() {
    let tmp = tempfile::tempdir().unwrap();
    let (size, bytes) = (4 * BLOCK, sample(4 * BLOCK));
    let reopen = || PartFile::reopen(&dir(tmp.path()), 1).unwrap().unwrap();
    // A crash took block 1 from the disk; somebody cut the file, in the middle of block 2.
    for (boot, length, missing) in [("another boot", 3 * BLOCK + 9, 1), ("boot", 2 * BLOCK + 9, 2)] {
        let mut content = Content::new(PartFile::create(&dir(tmp.path()), 1).unwrap(), "boot").unwrap();
        content.about.size = Some(size);
        write(&mut content, &bytes[..(3 * BLOCK + 9) as usize], 0);
        let noted = content.ledger.to_note(&content.about);
        assert!(noted.is_new);
        if missing == 1 {
            content.file().write_at(&[0; 99], BLOCK + 100).unwrap();
        }
        content.file().file().set_len(length).unwrap();
        drop(content);

        let mut again = Content::resume(reopen(), noted.part, &noted.blocks, boot).unwrap();
        let noted_again = again.ledger.to_note(&again.about);
        assert!(!noted_again.is_new);
        // It goes on at the end, and is stopped.
        write(&mut again, &bytes[(3 * BLOCK) as usize..], 3 * BLOCK);
        let last = again.ledger.to_note(&again.about);
        drop(again);
        let rows = noted.blocks.into_iter().chain(noted_again.blocks).chain(last.blocks);
        let rows: BTreeMap<u64, BlockRow> = rows.map(|row| (row.block, row)).collect();
        let rows: Vec<BlockRow> = rows.into_values().collect();
        let mut whole = Content::resume(reopen(), last.part, &rows, boot).unwrap();
        let gone = missing * BLOCK..(missing + 1) * BLOCK;
        assert_eq!(whole.missing(size), std::slice::from_ref(&gone), "{boot}");
        write(&mut whole, &bytes[gone.start as usize..gone.end as usize], gone.start);
        assert_eq!(whole.finish(), Some((size, *blake3::hash(&bytes).as_bytes())));
    }
}

#[test]
fn what_a_lie_overwrote_is_not_believed_to_be_there() {
    let tmp = tempfile::tempdir().unwrap();
    let (size, bytes) = (3 * BLOCK, sample(3 * BLOCK));
    let part = |block: u64| &bytes[(block * BLOCK) as usize..((block + 1) * BLOCK) as usize];
    let value = |block: u64| {
        let mut hasher = BlockHasher::new(block);
        hasher.update(part(block));
        hasher.finish(false)
    };
    let truth: Vec<BlockHash> = (0..3).map(value).collect();
    let manifest = |values: &[BlockHash]| {
        let mut wire = manifest::encoded_head(size).to_vec();
        values.iter().for_each(|value| wire.extend_from_slice(value));
        wire.extend_from_slice(&manifest::root(size, values).unwrap());
        let shared = SharedManifest::default();
        shared.lock().update(&wire).unwrap();
        shared
    };
    let reopen = || PartFile::reopen(&dir(tmp.path()), 1).unwrap().unwrap();
    let mut rows: BTreeMap<u64, BlockRow> = BTreeMap::new();
    let mut note = |content: &Content, also: bool| {
        let noted = content.ledger.to_note(&content.about).blocks;
        rows.extend(noted.into_iter().filter(|_| also).map(|row| (row.block, row)));
        rows.values().copied().collect::<Vec<_>>()
    };
    let mut content = Content::new(PartFile::create(&dir(tmp.path()), 1).unwrap(), "boot").unwrap();
    content.about.size = Some(size);
    content.expect(manifest(&truth));
    write(&mut content, &bytes[..2 * BLOCK as usize], 0);
    assert!(content.is_seen());
    let (about, noted) = (content.about.clone(), note(&content, true));
    drop(content);
    // The next time its source lies about block 0, and then gives something else for it. Whether that is noted, or a crash
    // comes before:
    for is_noted in [false, true] {
        let mut content = Content::resume(reopen(), about.clone(), &noted, "boot").unwrap();
        content.expect(manifest(&[[9; 32], truth[1], truth[2]]));
        content.compare();
        let wrong = content.take_settled().into_iter().filter(|settled| !settled.is_right);
        assert_eq!(wrong.map(|settled| settled.block).collect::<Vec<_>>(), [0]);
        write(&mut content, &vec![0xee; BLOCK as usize], 0);
        let noted = note(&content, is_noted);
        drop(content);
        let mut again = Content::resume(reopen(), about.clone(), &noted, "boot").unwrap();
        again.expect(manifest(&truth));
        again.compare();
        let first = if is_noted { 0 } else { 2 };
        assert_eq!(
            again.missing(size),
            [first * BLOCK..if is_noted { BLOCK } else { size }, 2 * BLOCK..size]
                [..1 + usize::from(is_noted)]
        );
        for range in again.missing(size) {
            write(&mut again, &bytes[range.start as usize..range.end as usize], range.start);
        }
        assert!(again.is_proved() && again.finish().is_some());
        // What was not noted in time is for who reads the file, which is done where somebody named its checksum.
        assert!(!again.is_seen());
        assert_eq!((0..3).all(|block| again.bytes_of(block).unwrap() == part(block)), is_noted);
    }
}

#[test]
fn a_file_of_which_blocks_are_lost_is_complete_no_more() {
    let tmp = tempfile::tempdir().unwrap();
    let (size, bytes) = (2 * BLOCK, sample(2 * BLOCK));
    let mut content = Content::new(PartFile::create(&dir(tmp.path()), 1).unwrap(), "boot").unwrap();
    content.about.size = Some(size);
    write(&mut content, &bytes, 0);
    content.finish().unwrap();
    let (about, rows) = (content.about.clone(), content.ledger.to_note(&content.about).blocks);
    drop(content);
    let reopen = || PartFile::reopen(&dir(tmp.path()), 1).unwrap().unwrap();
    let again = Content::resume(reopen(), about.clone(), &rows, "another boot").unwrap();
    assert!(again.about.complete.is_some() && again.is_seen());
    again.file().write_at(b"lost", BLOCK + 1).unwrap();
    drop(again);
    let again = Content::resume(reopen(), about, &rows, "another boot").unwrap();
    assert_eq!(
        (again.about.complete, &again.missing(size)[..]),
        (None, std::slice::from_ref(&(BLOCK..size)))
    );
}

#[test]
fn what_the_disk_may_not_have_taken_is_read_the_next_time() {
    let tmp = tempfile::tempdir().unwrap();
    let (size, bytes) = (3 * BLOCK, sample(3 * BLOCK));
    let reopen = || PartFile::reopen(&dir(tmp.path()), 1).unwrap().unwrap();
    for is_trusted in [true, false] {
        let mut content = Content::new(PartFile::create(&dir(tmp.path()), 1).unwrap(), "boot").unwrap();
        content.about.size = Some(size);
        write(&mut content, &bytes[..2 * BLOCK as usize], 0);
        if !is_trusted {
            content.distrust();
        }
        let noted = content.ledger.to_note(&content.about);
        content.file().write_at(b"lost", BLOCK + 100).unwrap();
        drop(content);
        let again = Content::resume(reopen(), noted.part, &noted.blocks, "boot").unwrap();
        let first = if is_trusted { 2 * BLOCK } else { BLOCK };
        assert_eq!((again.missing(size)[0].start, again.is_seen()), (first, !is_trusted));
    }
}
