//! What names a file's content: the BLAKE3 chaining values of its 1 MiB blocks, which combine to the hash that
//! `b3sum` prints (BLAKE3 paper, section 2.1). A block can be hashed, kept and checked without the others, in any
//! order; `wire` is how a file's blocks are told to others. Used by the download engine and the file port; holds no file.

mod wire;

pub use wire::{CONTENT_TYPE, LARGEST, ManifestError, ManifestReader, encoded_head, encoded_len};

use blake3::hazmat::{HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use data_encoding::HEXLOWER_PERMISSIVE;

/// Bytes of a block. A power of two, so that each is a subtree of its own.
pub const BLOCK: u64 = 1 << 20;

/// A block's chaining value, or, of a file of at most one block, its root hash.
pub type BlockHash = [u8; 32];

/// A hash in hexadecimal digits, as `b3sum` prints it.
#[must_use]
pub fn to_hex(hash: &BlockHash) -> String {
    HEXLOWER_PERMISSIVE.encode(hash)
}

/// What hexadecimal digits say, upper or lower case; `None` where they are no hash.
#[must_use]
pub fn from_hex(digits: &str) -> Option<BlockHash> {
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

/// Blocks of a file of this size.
#[must_use]
pub const fn blocks(size: u64) -> u64 {
    size.div_ceil(BLOCK)
}

/// Hashes one block as its bytes come.
#[derive(Clone, Debug)]
pub struct BlockHasher {
    hasher: blake3::Hasher,
    filled: u64,
}

impl BlockHasher {
    /// For the block with this index; blocks count from 0.
    #[must_use]
    pub fn new(block: u64) -> BlockHasher {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(block * BLOCK);
        BlockHasher { hasher, filled: 0 }
    }

    /// Takes the block's next bytes in; never more than [`BLOCK`] in all.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.filled += bytes.len() as u64;
    }

    /// How many bytes were taken in.
    #[must_use]
    pub fn filled(&self) -> u64 {
        self.filled
    }

    /// The block's hash; `only`: it is the whole file.
    #[must_use]
    pub fn finish(&self, only: bool) -> BlockHash {
        if only || self.filled == 0 {
            *self.hasher.finalize().as_bytes()
        } else {
            self.hasher.finalize_non_root()
        }
    }
}

/// The hash of a whole file of this size from its blocks, all of them in their order; `None` where they are not as
/// many as the size has.
#[must_use]
pub fn root(size: u64, hashes: &[BlockHash]) -> Option<BlockHash> {
    if hashes.len() as u64 != blocks(size).max(1) {
        return None;
    }
    match hashes {
        [only] => Some(*only),
        _ => {
            let (left, right) = halves(size, hashes);
            Some(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
        }
    }
}

fn halves(size: u64, hashes: &[BlockHash]) -> (BlockHash, BlockHash) {
    let left = left_subtree_len(size);
    let (first, second) =
        hashes.split_at(usize::try_from(left / BLOCK).unwrap_or(usize::MAX).min(hashes.len()));
    (subtree(left, first), subtree(size - left, second))
}

fn subtree(size: u64, hashes: &[BlockHash]) -> BlockHash {
    match hashes {
        [only] => *only,
        [] => [0; 32], // unreachable: a subtree has a block
        _ => {
            let (left, right) = halves(size, hashes);
            merge_subtrees_non_root(&left, &right, Mode::Hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(content: &[u8]) -> Vec<BlockHash> {
        let only = content.len() as u64 <= BLOCK;
        let block = |(index, bytes): (usize, &[u8])| {
            let mut hasher = BlockHasher::new(index as u64);
            // Pieces as a socket gives them.
            bytes.chunks(70_001).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.filled(), bytes.len() as u64);
            hasher.finish(only)
        };
        let all: Vec<_> = content.chunks(BLOCK as usize).enumerate().map(block).collect();
        if all.is_empty() { vec![BlockHasher::new(0).finish(true)] } else { all }
    }

    #[test]
    fn blocks_combine_to_the_hash_of_the_file() {
        let content: Vec<u8> = (0..(BLOCK * 11 / 2 + 3)).map(|i| (i % 251) as u8).collect();
        let block = BLOCK as usize;
        for size in
            [0, 1, 1024, block - 1, block, block + 1, 2 * block, 3 * block, 5 * block + 7, content.len()]
        {
            let content = &content[..size];
            let expected = *blake3::hash(content).as_bytes();
            assert_eq!(root(size as u64, &hashes(content)), Some(expected), "{size} bytes");
        }
    }

    #[test]
    fn hashes_are_hexadecimal() {
        let hash = *blake3::hash(b"x").as_bytes();
        let digits = to_hex(&hash);
        assert_eq!((digits.len(), from_hex(&digits)), (64, Some(hash)));
        assert_eq!(from_hex(&digits.to_uppercase()), Some(hash));
        for bad in ["", "a", &digits[1..], &format!("{digits}00"), &digits.replace(&digits[..1], "g")] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_root_needs_every_block() {
        let content = vec![7; 3 * BLOCK as usize];
        let mut some = hashes(&content);
        some.pop();
        assert_eq!(root(content.len() as u64, &some), None);
        assert_eq!(root(0, &[]), None);
    }
}
