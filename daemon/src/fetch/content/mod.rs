//! What is there of a file that is being fetched: its bytes in the part file, a hash of each block, and what of that
//! was told to the hub. Bytes of one block come in their order, blocks in any. Blocks the thread that calls it.

mod ledger;
mod proof;

pub(super) use ledger::Ledger;
pub(super) use proof::{Settled, SharedManifest};

use super::sources::SourceId;
use crate::files::{PartFile, uncache};
use crate::hub::orders::{BlockRow, PartRow};
use crate::limits;
use ledger::Entries;
use netkit_proto::files::manifest::{self, BLOCK, BlockHash, BlockHasher};
use proof::{Complete, Proof};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(super) struct Content {
    file: PartFile,
    /// What is known of the file at the source.
    pub about: PartRow,
    ledger: Arc<Ledger>,
    done: BTreeMap<u64, BlockHash>,
    open: HashMap<u64, Open>,
    /// What the blocks must be, where the source tells that.
    proof: Option<Proof>,
    /// What was found since it was asked last.
    settled: Vec<Settled>,
    /// The hash of the first block as that of a whole file, where it may turn out to be.
    first_alone: Option<BlockHash>,
    /// No block is believed to be what was noted of it: each was read, or came, since the file was opened.
    is_seen: bool,
    /// Bytes that may be written before the disk's free space is looked at; `None` where the space was claimed.
    unclaimed: Option<u64>,
}

/// A block of which some bytes are there.
#[derive(Debug)]
struct Open {
    hasher: BlockHasher,
    /// See [`Settled::givers`].
    givers: Vec<(SourceId, u64)>,
}

impl Open {
    fn new(block: u64) -> Open {
        Open { hasher: BlockHasher::new(block), givers: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8], from: SourceId) {
        self.hasher.update(bytes);
        match self.givers.last_mut() {
            Some((last, count)) if *last == from => *count += bytes.len() as u64,
            _ => self.givers.push((from, bytes.len() as u64)),
        }
    }
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
            within: None,
        };
        Ok(Content {
            file,
            about,
            ledger: Arc::new(Ledger::of_new()),
            done: BTreeMap::new(),
            open: HashMap::new(),
            proof: None,
            settled: Vec::new(),
            first_alone: None,
            is_seen: true,
            unclaimed: Some(0),
        })
    }

    /// Of a file of which something was noted. What was written during another boot is read again: what had not reached
    /// the disk then is not what was noted. So is what lies behind the end of a file that somebody cut. What is not there
    /// is noted as that: the next time this boot has written to the file, and what was noted during it is believed. Reads
    /// what the disk has: the kernel keeps what it could not write (fsync(2), Notes).
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
        if !same_boot {
            uncache(file.file())?;
        }
        let len = file.length()?;
        let mut content = Content { about, ..Content::new(file, boot)? };
        let size = content.about.size.unwrap_or_default();
        let mut entries = Entries::default();
        for row in rows.iter().filter(|row| row.block < manifest::blocks(size) && row.bytes > 0) {
            let block_len = content.block_len(row.block);
            let is_trusted = same_boot && row.block * BLOCK + block_len <= len;
            match row.hash {
                Some(hash) if is_trusted || content.read(row.block, block_len)?.0 == Some(hash) => {
                    content.is_seen &= !is_trusted;
                    content.done.insert(row.block, hash);
                    entries.bytes += block_len;
                }
                None if same_boot
                    && row.bytes < block_len
                    && let (Some(_), hasher) = content.read(row.block, row.bytes)? =>
                {
                    entries.open.insert(row.block, hasher.filled());
                    entries.bytes += hasher.filled();
                    content.open.insert(row.block, Open { hasher, givers: Vec::new() });
                }
                _ => entries.fresh.push(BlockRow { block: row.block, bytes: 0, hash: None }),
            }
        }
        content.about.boot = boot.to_owned();
        if !entries.fresh.is_empty() {
            content.about.complete = None; // it is not, any more
        }
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
        let mut content = Content::new(PartFile::create(&dir, id)?, &about.boot)?;
        content.about.within = about.within;
        Ok(content)
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
        let is_there = |block: &u64| {
            self.done.contains_key(block) || self.proof.as_ref().is_some_and(|proof| proof.has(*block))
        };
        for block in (0..manifest::blocks(size)).filter(|block| !is_there(block)) {
            let filled = self.open.get(&block).map_or(0, |open| open.hasher.filled());
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

    /// From now on a block counts when it is what this manifest says, which may still be coming. What is there already
    /// is compared again.
    pub(super) fn expect(&mut self, manifest: SharedManifest) {
        let there = std::mem::take(&mut self.done).into_iter();
        let waiting =
            there.map(|(block, hash)| (block, Complete { hash, givers: Vec::new(), is_counted: true }));
        self.proof = Some(Proof::new(manifest, waiting.collect()));
    }

    /// Compares what can be compared by now.
    pub(super) fn compare(&mut self) {
        while let Some((block, complete, is_right)) = self.proof.as_mut().and_then(Proof::next) {
            let len = self.block_len(block);
            let mut entries = self.ledger.lock();
            match (is_right, complete.is_counted) {
                (true, false) => {
                    entries.bytes += len;
                    entries.fresh.push(BlockRow { block, bytes: len, hash: Some(complete.hash) });
                }
                (true, true) => {}
                // What was noted of it is not to be believed once something else is written there.
                (false, is_counted) => {
                    entries.bytes -= if is_counted { len } else { 0 };
                    entries.fresh.push(BlockRow { block, bytes: 0, hash: None });
                }
            }
            drop(entries);
            if is_right {
                self.done.insert(block, complete.hash);
            }
            self.settled.push(Settled { block, givers: complete.givers, is_right });
        }
    }

    /// What was compared since this was asked last.
    pub(super) fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    /// Whether every block is there and right, and the manifest that says so complete.
    pub(super) fn is_proved(&self) -> bool {
        let blocks = self.about.size.map(manifest::blocks);
        blocks == Some(self.done.len() as u64) && self.proof.as_ref().is_some_and(Proof::is_whole)
    }

    /// What the disk did not take may be anything: the next time all is read that is there.
    pub(super) fn distrust(&mut self) {
        self.about.boot.clear();
        self.about.complete = None;
    }

    /// Whether every block that is there was read, or came, since the file was opened.
    pub(super) fn is_seen(&self) -> bool {
        self.is_seen
    }

    /// The bytes of a block of this file.
    pub(super) fn range(&self, block: u64) -> Range<u64> {
        block * BLOCK..block * BLOCK + self.block_len(block)
    }

    /// The bytes of a complete block as they lie on the disk.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn bytes_of(&self, block: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.block_len(block)).unwrap_or_default()];
        self.file.read_at(&mut bytes, block * BLOCK)?;
        Ok(bytes)
    }

    /// Hashes and writes bytes that `from` gave; a block that comes from its first byte on again begins anew. `room` is
    /// asked now and then whether the disk takes so many more, where that was not claimed.
    ///
    /// # Errors
    /// What the file system says, or `room`.
    pub(super) fn write(
        &mut self,
        mut offset: u64,
        mut bytes: &[u8],
        from: SourceId,
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
        while !bytes.is_empty() {
            let block = offset / BLOCK;
            let here = usize::try_from(BLOCK - offset % BLOCK).unwrap_or(usize::MAX).min(bytes.len());
            let open = self.open.entry(block).or_insert_with(|| Open::new(block));
            if offset.is_multiple_of(BLOCK) {
                self.ledger.lock().bytes -= open.hasher.filled();
                *open = Open::new(block);
            }
            if open.hasher.filled() != offset % BLOCK {
                return Err(io::Error::other("bytes of a block came out of their order"));
            }
            open.take(&bytes[..here], from);
            self.ledger.lock().bytes += here as u64;
            if open.hasher.filled() == self.block_len(block) {
                self.complete(block);
            }
            (offset, bytes) = (offset + here as u64, &bytes[here..]);
        }
        let open = self.open.iter().map(|(&block, open)| (block, open.hasher.filled())).collect();
        self.ledger.lock().open = open;
        Ok(())
    }

    fn complete(&mut self, block: u64) {
        let Some(Open { hasher, givers }) = self.open.remove(&block) else { return };
        if block == 0 && self.about.size.is_none() {
            self.first_alone = Some(hasher.finish(true));
        }
        let hash = hasher.finish(self.is_only(block));
        if let Some(proof) = &mut self.proof {
            proof.add(block, Complete { hash, givers, is_counted: false });
            self.ledger.lock().bytes -= hasher.filled(); // until it is known to be right
            return self.compare();
        }
        self.done.insert(block, hash);
        self.ledger.lock().fresh.push(BlockRow { block, bytes: hasher.filled(), hash: Some(hash) });
    }

    /// The values of the blocks that are there, where the file has several.
    pub(super) fn values(&self) -> Vec<BlockHash> {
        if self.done.len() > 1 { self.done.values().copied().collect() } else { Vec::new() }
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
mod tests;
