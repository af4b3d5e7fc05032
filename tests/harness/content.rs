//! Bytes to be fetched: the same from the same seed, with the hashes that they have.

use netkit_proto::files::manifest::{BLOCK, BlockHasher, root};
use std::sync::Arc;

/// A MiB, as sizes are told here.
pub const MIB: usize = 1 << 20;

const PAGE: usize = 4096;

/// Numbers that look random (SplitMix64), the same from the same seed.
pub struct Random(u64);

impl Random {
    /// A seed of this run's own, told so that what failed can be run again: `NETKIT_SEED=… cargo test …`.
    pub fn new(test: &str) -> Random {
        let given =
            std::env::var("NETKIT_SEED").ok().map(|seed| seed.parse().expect("NETKIT_SEED is a number"));
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            now.as_nanos() as u64
        });
        eprintln!("{test}: NETKIT_SEED={seed}");
        Random(seed)
    }

    /// From this seed.
    pub fn from(seed: u64) -> Random {
        Random(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `bound`, without it.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }
}

/// So many bytes that look random; no two pages are alike.
pub fn bytes(seed: u64, len: usize) -> Arc<[u8]> {
    let mut random = Random::from(seed);
    let mut page: Vec<u8> = (0..PAGE / 8).flat_map(|_| random.number().to_le_bytes()).collect();
    let mut bytes = Vec::with_capacity(len + PAGE);
    while bytes.len() < len {
        page[..8].copy_from_slice(&random.number().to_le_bytes());
        bytes.extend_from_slice(&page);
    }
    bytes.truncate(len);
    bytes.into()
}

/// What `b3sum` prints.
pub fn blake3(bytes: &[u8]) -> String {
    let only = bytes.len() as u64 <= BLOCK;
    let hashed = |(block, bytes): (usize, &[u8])| {
        let mut hasher = BlockHasher::new(block as u64);
        hasher.update(bytes);
        hasher.finish(only)
    };
    let mut hashes: Vec<_> = bytes.chunks(BLOCK as usize).enumerate().map(hashed).collect();
    if hashes.is_empty() {
        hashes.push(hashed((0, &[])));
    }
    let root = root(bytes.len() as u64, &hashes).unwrap();
    root.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same bytes; a difference is told by its place, not by megabytes of numbers.
#[track_caller]
pub fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    if found != expected {
        let at = found.iter().zip(expected).position(|(a, b)| a != b);
        let lengths = (found.len(), expected.len());
        panic!("{what}: lengths {lengths:?}, the first difference at {at:?}");
    }
}
