//! A manifest as it is sent (`GET /.netkit/v1/manifest/SHARE/path`): the file's size as a u64, big-endian; of a file
//! of several blocks the chaining value of each, in their order; last the hash of the whole. So a sender can begin
//! before it has read the file, and a receiver can check blocks while the rest is still to come. Used by the file port,
//! which writes it, and by the download engine, which reads it; does no input or output.

use super::{BLOCK, BlockHash, BlockHasher, blocks, root};

/// The content type of an answer.
pub const CONTENT_TYPE: &str = "application/vnd.netkit.manifest";

/// The largest file that has a manifest, in bytes, and that a box fetches from another one. Its manifest has 32 MiB, which
/// both sides hold in memory.
pub const LARGEST: u64 = 1 << 40;

const SIZE: usize = size_of::<u64>();
const HASH: usize = size_of::<BlockHash>();

/// Values that are sent before the root.
const fn values(size: u64) -> u64 {
    if size <= BLOCK { 0 } else { blocks(size) }
}

/// The length of the manifest of a file of this size.
#[must_use]
pub const fn encoded_len(size: u64) -> u64 {
    SIZE as u64 + (values(size) + 1) * HASH as u64
}

/// What a manifest begins with. After it come the values of the blocks, where there are several, then the root.
#[must_use]
pub const fn encoded_head(size: u64) -> [u8; SIZE] {
    size.to_be_bytes()
}

/// What is wrong with bytes that should be a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Its size is none that a file has.
    #[error("the manifest is of a file of {0} bytes, which is more than any has")]
    TooLarge(u64),
    /// The blocks' values do not combine to the hash that it ends with.
    #[error("the manifest's blocks do not combine to its hash")]
    Root,
    /// It goes on after its end.
    #[error("the manifest has more bytes than a file of its size needs")]
    TooLong,
}

/// Reads a manifest as its bytes come, and keeps what it says.
#[derive(Clone, Debug, Default)]
pub struct ManifestReader {
    /// A number or hash of which not all bytes came.
    partial: Vec<u8>,
    size: Option<u64>,
    values: Vec<BlockHash>,
    root: Option<BlockHash>,
}

impl ManifestReader {
    /// Takes the next bytes in. After an error the manifest is of no use, and neither is what it said before.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), ManifestError> {
        let read = self.read(bytes);
        if read.is_err() {
            self.root = None;
        }
        read
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), ManifestError> {
        while !bytes.is_empty() {
            if self.root.is_some() {
                return Err(ManifestError::TooLong);
            }
            let wanted = if self.size.is_none() { SIZE } else { HASH };
            let (piece, rest) = bytes.split_at((wanted - self.partial.len()).min(bytes.len()));
            self.partial.extend_from_slice(piece);
            bytes = rest;
            if self.partial.len() == wanted {
                self.item()?;
                self.partial.clear();
            }
        }
        Ok(())
    }

    /// A number or a hash is complete.
    fn item(&mut self) -> Result<(), ManifestError> {
        let Some(size) = self.size else {
            let size = self.partial.as_slice().try_into().map(u64::from_be_bytes).unwrap_or(u64::MAX);
            if size > LARGEST {
                return Err(ManifestError::TooLarge(size));
            }
            self.size = Some(size);
            return Ok(());
        };
        let hash = self.partial.as_slice().try_into().unwrap_or([0; HASH]); // it has this length
        if (self.values.len() as u64) < values(size) {
            self.values.push(hash);
            return Ok(());
        }
        let is_right = match size {
            0 => hash == BlockHasher::new(0).finish(true),
            1..=BLOCK => true, // it is the value of the only block
            _ => root(size, &self.values) == Some(hash),
        };
        self.root = is_right.then_some(hash);
        if is_right { Ok(()) } else { Err(ManifestError::Root) }
    }

    /// The file's size, once it came.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The file's hash, once all came: the manifest is complete, and its blocks combine to that.
    #[must_use]
    pub fn root(&self) -> Option<BlockHash> {
        self.root
    }

    /// What a block must hash to, once that came: its chaining value, or the root where it is the only one.
    #[must_use]
    pub fn block(&self, block: u64) -> Option<BlockHash> {
        if self.size? <= BLOCK {
            return self.root.filter(|_| block == 0);
        }
        usize::try_from(block).ok().and_then(|block| self.values.get(block)).copied()
    }

    /// How many blocks can be checked so far, from the first one on.
    #[must_use]
    pub fn known(&self) -> u64 {
        match self.size {
            Some(size) if size <= BLOCK => u64::from(self.root.is_some()),
            _ => self.values.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(content: &[u8]) -> Vec<u8> {
        let size = content.len() as u64;
        let only = size <= BLOCK;
        let mut bytes = encoded_head(size).to_vec();
        for (block, content) in content.chunks(BLOCK as usize).enumerate().filter(|_| !only) {
            let mut hasher = BlockHasher::new(block as u64);
            hasher.update(content);
            bytes.extend(hasher.finish(only));
        }
        bytes.extend(blake3::hash(content).as_bytes());
        bytes
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let content: Vec<u8> = (0..3 * BLOCK + 5).map(|i| (i % 249) as u8).collect();
        for size in [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5] {
            let content = &content[..size as usize];
            let bytes = encoded(content);
            assert_eq!(bytes.len() as u64, encoded_len(size));
            for step in [1, 7, 32, bytes.len()] {
                let mut reader = ManifestReader::default();
                for piece in bytes.chunks(step) {
                    assert_eq!(reader.root(), None, "not before its end");
                    reader.update(piece).unwrap();
                }
                assert_eq!(reader.size(), Some(size));
                assert_eq!(reader.root(), Some(*blake3::hash(content).as_bytes()));
                assert_eq!(reader.known(), blocks(size).max(1));
                assert_eq!(reader.block(blocks(size).max(1)), None);
                assert_eq!(reader.update(b"x"), Err(ManifestError::TooLong));
                assert_eq!(reader.root(), None);
            }
        }
    }

    #[test]
    fn blocks_can_be_checked_before_the_end() {
        let content = vec![3; 3 * BLOCK as usize];
        let bytes = encoded(&content);
        let mut reader = ManifestReader::default();
        reader.update(&bytes[..8 + 32 + 31]).unwrap();
        assert_eq!((reader.known(), reader.block(1), reader.root()), (1, None, None));
        let mut first = BlockHasher::new(0);
        first.update(&content[..BLOCK as usize]);
        assert_eq!(reader.block(0), Some(first.finish(false)));
    }

    #[test]
    fn lies_are_noticed() {
        let mut bytes = encoded(&vec![3; 3 * BLOCK as usize]);
        bytes[8 + 32] ^= 1;
        assert_eq!(ManifestReader::default().update(&bytes), Err(ManifestError::Root));
        let nothing = [&encoded_head(0)[..], &[1; HASH]].concat();
        assert_eq!(ManifestReader::default().update(&nothing), Err(ManifestError::Root));
        let huge = encoded_head(LARGEST + 1);
        assert_eq!(ManifestReader::default().update(&huge), Err(ManifestError::TooLarge(LARGEST + 1)));
    }

    #[test]
    fn whatever_comes_no_more_is_kept_than_came() {
        let mut noise = vec![0; 4096];
        for seed in 0..200_u64 {
            blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut noise);
            noise[..4].fill(0); // a size that files have
            let mut reader = ManifestReader::default();
            let ended = noise.chunks(1 + seed as usize).try_for_each(|piece| reader.update(piece));
            assert!(reader.values.len() <= noise.len() / HASH && (ended.is_err() || reader.root().is_none()));
        }
    }
}
