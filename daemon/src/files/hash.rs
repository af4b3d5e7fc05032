//! Hashes a shared file block by block, for its manifest. Blocks.

use super::root::OpenFile;
use crate::limits;
use netkit_proto::files::manifest::{BLOCK, BlockHash, BlockHasher, root};
use std::io::{self, Read as _};
use std::ops::ControlFlow;

impl OpenFile {
    /// Hashes the file as it was when it was opened, telling `each` of the blocks' values as they are known; gives them
    /// all, and the hash of the whole. Of a file of at most one block there is only that.
    ///
    /// # Errors
    /// What the file system says; that the file was changed; [`io::ErrorKind::Interrupted`] where `each` breaks it off.
    pub fn hash_blocks(
        self,
        mut each: impl FnMut(BlockHash) -> ControlFlow<()>,
    ) -> io::Result<(BlockHash, Vec<BlockHash>)> {
        let size = self.stamp.size;
        let is_only = size <= BLOCK;
        let mut reader = self.into_reader();
        let (mut buffer, mut blocks) = (vec![0; limits::HASH_PIECE], Vec::new());
        let mut hasher = BlockHasher::new(0);
        let mut at = 0;
        loop {
            // Never across the end of a block.
            let room = (BLOCK - hasher.filled()).min(buffer.len() as u64);
            let room = usize::try_from(room).unwrap_or(buffer.len());
            let read = reader.read(&mut buffer[..room])?;
            at += read as u64;
            hasher.update(&buffer[..read]);
            if is_only && at == size {
                return Ok((hasher.finish(true), blocks));
            }
            if !is_only && (hasher.filled() == BLOCK || at == size) {
                let value = hasher.finish(false);
                blocks.push(value);
                if each(value).is_break() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                if at == size {
                    break;
                }
                hasher = BlockHasher::new(blocks.len() as u64);
            }
        }
        let root = root(size, &blocks).ok_or_else(|| io::Error::other("a block was left out"))?;
        Ok((root, blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::super::root::{self, Opened};
    use super::*;
    use netkit_proto::path::SafePath;
    use std::path::Path;

    fn open(dir: &Path) -> OpenFile {
        let path = SafePath::parse(b"f").unwrap();
        let Ok(Opened::File(file)) = root::open(dir, rustix::fs::ResolveFlags::empty(), &path) else {
            panic!()
        };
        file
    }

    #[test]
    fn blocks_are_told_in_order_and_the_whole_has_its_own_hash() {
        let dir = tempfile::tempdir().unwrap();
        let block = BLOCK as usize;
        for size in [0, 1, block - 1, block, block + 1, 2 * block, 3 * block + 7] {
            let content: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            std::fs::write(dir.path().join("f"), &content).unwrap();
            let mut told = Vec::new();
            let (root, blocks) = open(dir.path())
                .hash_blocks(|value| {
                    told.push(value);
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!(root, *blake3::hash(&content).as_bytes(), "{size} bytes");
            assert_eq!(
                (&blocks, blocks.len()),
                (&told, if size <= block { 0 } else { size.div_ceil(block) })
            );
        }
    }

    #[test]
    fn a_file_that_changes_has_no_hash_and_nobody_need_wait_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![1; 3 * BLOCK as usize]).unwrap();
        let file = open(dir.path());
        let mut told = 0;
        let changed = file.hash_blocks(|_| {
            told += 1;
            std::fs::write(&path, vec![2; 3 * BLOCK as usize]).unwrap();
            ControlFlow::Continue(())
        });
        assert!(changed.is_err() && told == 1);
        let broken_off = open(dir.path()).hash_blocks(|_| ControlFlow::Break(()));
        assert_eq!(broken_off.unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
