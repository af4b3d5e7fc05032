//! What is there of a file that is being fetched: its bytes in the part file, a hash of each block, and what of that
//! was told to the hub. Bytes of one block come in their order, blocks in any. Blocks the thread that calls it.

use crate::files::PartFile;
use crate::hub::orders::{BlockRow, PartRow};
use crate::limits;
use netkit_proto::files::manifest::{self, BLOCK, BlockHash, BlockHasher};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What others look at while a thread writes.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    bytes: u64,
    /// Complete blocks that were not told yet.
    fresh: Vec<BlockRow>,
    /// Bytes of the blocks that are under way.
    open: BTreeMap<u64, u64>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are there.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// What is to be noted of the blocks: those that are complete since it was asked last, and those under way.
    pub(super) fn to_note(&self) -> Vec<BlockRow> {
        let mut entries = self.lock();
        let mut rows = std::mem::take(&mut entries.fresh);
        let open = entries.open.iter().filter(|(_, bytes)| **bytes > 0);
        rows.extend(open.map(|(&block, &bytes)| BlockRow { block, bytes, hash: None }));
        rows
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Content {
    file: PartFile,
    /// What is known of the file at the source.
    pub about: PartRow,
    ledger: Arc<Ledger>,
    done: BTreeMap<u64, BlockHash>,
    open: HashMap<u64, BlockHasher>,
    /// The hash of the first block as that of a whole file, where it may turn out to be.
    first_alone: Option<BlockHash>,
    unsynced: u64,
    /// Bytes that may be written before the disk's free space is looked at; `None` where the space was claimed.
    unclaimed: Option<u64>,
}

impl Content {
    /// Of a file of which nothing is there.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn new(file: PartFile, boot: &str) -> io::Result<Content> {
        let about = PartRow {
            boot: boot.to_owned(),
            file: file.identity()?,
            size: None,
            validator: None,
            complete: None,
        };
        Ok(Content {
            file,
            about,
            ledger: Arc::default(),
            done: BTreeMap::new(),
            open: HashMap::new(),
            first_alone: None,
            unsynced: 0,
            unclaimed: Some(0),
        })
    }

    /// Of a file of which something was noted. What was written during another boot is read again: what had not reached
    /// the disk then is not what was noted. So is what lies behind the end of a file that somebody cut.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn resume(
        file: PartFile,
        about: PartRow,
        rows: &[BlockRow],
        boot: &str,
    ) -> io::Result<Content> {
        let same_boot = !boot.is_empty() && about.boot == boot;
        let len = file.length()?;
        let mut content = Content { about, ..Content::new(file, boot)? };
        let size = content.about.size.unwrap_or_default();
        let mut entries = Entries::default();
        for row in rows.iter().filter(|row| row.block < manifest::blocks(size)) {
            let block_len = content.block_len(row.block);
            let is_trusted = same_boot && row.block * BLOCK + block_len <= len;
            match row.hash {
                Some(hash) if is_trusted || content.read(row.block, block_len)?.0 == Some(hash) => {
                    content.done.insert(row.block, hash);
                    entries.bytes += block_len;
                }
                None if same_boot && row.bytes < block_len => {
                    let hasher = content.read(row.block, row.bytes)?.1;
                    entries.open.insert(row.block, hasher.filled());
                    entries.bytes += hasher.filled();
                    content.open.insert(row.block, hasher);
                }
                _ => {} // it is fetched again
            }
        }
        content.about.boot = boot.to_owned();
        *content.ledger.lock() = entries;
        Ok(content)
    }

    /// The hash of the first bytes of a block as they lie on the disk; none where they are not there.
    fn read(&self, block: u64, bytes: u64) -> io::Result<(Option<BlockHash>, BlockHasher)> {
        let mut hasher = BlockHasher::new(block);
        let mut buffer = vec![0; usize::try_from(bytes.min(BLOCK)).unwrap_or_default()];
        match self.file.read_at(&mut buffer, block * BLOCK) {
            Ok(()) => {
                hasher.update(&buffer);
                Ok((Some(hasher.finish(self.is_only(block))), hasher))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok((None, hasher)),
            Err(error) => Err(error),
        }
    }

    /// The same download with nothing of it there any more.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn start_over(self, id: u64) -> io::Result<Content> {
        let Content { file, about, .. } = self;
        let dir = Arc::clone(file.dir());
        drop(file); // and its lock
        Content::new(PartFile::create(&dir, id)?, &about.boot)
    }

    pub(super) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    pub(super) fn file(&self) -> &PartFile {
        &self.file
    }

    fn block_len(&self, block: u64) -> u64 {
        self.about.size.map_or(BLOCK, |size| size.saturating_sub(block * BLOCK).min(BLOCK))
    }

    fn is_only(&self, block: u64) -> bool {
        block == 0 && self.about.size.is_some_and(|size| size <= BLOCK)
    }

    /// The bytes that are not there, of a file of this size, in rising order.
    pub(super) fn missing(&self, size: u64) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        for block in (0..manifest::blocks(size)).filter(|block| !self.done.contains_key(block)) {
            let filled = self.open.get(&block).map_or(0, BlockHasher::filled);
            let range = block * BLOCK + filled..((block + 1) * BLOCK).min(size);
            match missing.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => missing.push(range),
            }
        }
        missing
    }

    /// Claims the disk's space for a file of this size.
    pub(super) fn claim(&mut self, size: u64) -> io::Result<()> {
        self.unclaimed = if self.file.allocate(size)? { None } else { Some(0) };
        Ok(())
    }

    /// Gives back what was claimed and is not needed yet.
    pub(super) fn release(&self) -> io::Result<()> {
        self.file.release(&self.missing(self.about.size.unwrap_or_default()))
    }

    /// Hashes and writes bytes. `room` is asked now and then whether the disk takes so many more, where that was not
    /// claimed.
    ///
    /// # Errors
    /// What the file system says, or `room`.
    pub(super) fn write(
        &mut self,
        mut offset: u64,
        mut bytes: &[u8],
        room: impl Fn(&PartFile, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(unchecked) = &mut self.unclaimed {
            if *unchecked == 0 {
                let left = self.about.size.map_or(u64::MAX, |size| size.saturating_sub(self.ledger.bytes()));
                let ahead = left.min(limits::FETCH_SPACE_CHECK);
                room(&self.file, ahead)?;
                *unchecked = ahead;
            }
            *unchecked = unchecked.saturating_sub(bytes.len() as u64);
        }
        self.file.write_at(bytes, offset)?;
        let total = bytes.len() as u64;
        while !bytes.is_empty() {
            let block = offset / BLOCK;
            let here = usize::try_from(BLOCK - offset % BLOCK).unwrap_or(usize::MAX).min(bytes.len());
            let hasher = self.open.entry(block).or_insert_with(|| BlockHasher::new(block));
            if hasher.filled() != offset % BLOCK {
                return Err(io::Error::other("bytes of a block came out of their order"));
            }
            hasher.update(&bytes[..here]);
            if hasher.filled() == self.block_len(block) {
                self.complete(block);
            }
            (offset, bytes) = (offset + here as u64, &bytes[here..]);
        }
        let mut entries = self.ledger.lock();
        entries.bytes += total;
        entries.open = self.open.iter().map(|(&block, hasher)| (block, hasher.filled())).collect();
        drop(entries);
        self.unsynced += total;
        if self.unsynced >= limits::FETCH_WRITEBACK {
            self.file.start_writeback(0..0); // to the end of the file
            self.unsynced = 0;
        }
        Ok(())
    }

    fn complete(&mut self, block: u64) {
        let Some(hasher) = self.open.remove(&block) else { return };
        if block == 0 && self.about.size.is_none() {
            self.first_alone = Some(hasher.finish(true));
        }
        let hash = hasher.finish(self.is_only(block));
        self.done.insert(block, hash);
        self.ledger.lock().fresh.push(BlockRow { block, bytes: hasher.filled(), hash: Some(hash) });
    }

    /// All bytes are there: the size and the hash of the whole; `None` where some are missing.
    pub(super) fn finish(&mut self) -> Option<(u64, BlockHash)> {
        let size = self.about.size.unwrap_or_else(|| self.ledger.bytes());
        if self.about.size.is_none() {
            self.about.size = Some(size);
            if let Some(alone) = self.first_alone.filter(|_| size == BLOCK) {
                self.done.insert(0, alone);
                self.ledger.lock().fresh.push(BlockRow { block: 0, bytes: BLOCK, hash: Some(alone) });
            }
            if !size.is_multiple_of(BLOCK) {
                self.complete(size / BLOCK);
            }
        }
        if size == 0 {
            self.done.insert(0, BlockHasher::new(0).finish(true));
        }
        let hashes: Vec<BlockHash> = self.done.values().copied().collect();
        let root = manifest::root(size, &hashes).filter(|_| self.missing(size).is_empty())?;
        self.about.complete = Some(root);
        Some((size, root))
    }
}

#[cfg(test)]
mod tests {
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
        content.write(offset, bytes, |_, _| Ok(())).unwrap();
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
        let (about, mut rows) = (content.about.clone(), content.ledger.to_note());
        write(&mut content, &bytes[5 * BLOCK as usize..], 5 * BLOCK);
        rows.extend(content.ledger.to_note());
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
        let (about, rows) = (content.about.clone(), content.ledger.to_note());
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
        assert_eq!(content.write(0, b"x", full).unwrap_err().kind(), io::ErrorKind::StorageFull);
        content.unclaimed = None;
        assert!(content.write(0, b"x", full).is_ok());
    }
}
