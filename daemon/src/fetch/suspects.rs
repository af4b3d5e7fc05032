//! Blocks that were wrong and that several gave parts of: what each of them gave is kept as a hash, and compared when the
//! right bytes are there. Used by the writer, which bars whose bytes were others. Does no input or output.

use super::sources::SourceId;
use crate::limits;
use std::collections::HashMap;
use std::ops::Range;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    blocks: HashMap<u64, Vec<Part>>,
    parts: usize,
}

/// What somebody gave of a block.
#[derive(Debug)]
struct Part {
    giver: SourceId,
    range: Range<usize>,
    hash: blake3::Hash,
}

impl Suspects {
    /// A block is wrong: these are its bytes, of which `givers` gave the last ones, in this order; those before them
    /// were there of an earlier try. What is too much to be kept is left out.
    pub(super) fn add(&mut self, block: u64, givers: &[(SourceId, u64)], bytes: &[u8]) {
        if self.parts + givers.len() > limits::FETCH_SUSPECTS {
            return;
        }
        let lens = givers.iter().map(|&(giver, len)| (giver, usize::try_from(len).unwrap_or(usize::MAX)));
        let mut end = bytes.len();
        let mut parts = Vec::with_capacity(givers.len());
        for (giver, len) in lens.rev() {
            let range = end.saturating_sub(len)..end;
            end = range.start;
            parts.push(Part { giver, hash: blake3::hash(&bytes[range.clone()]), range });
        }
        self.parts += parts.len();
        self.parts -= self.blocks.insert(block, parts).map_or(0, |before| before.len());
    }

    /// Whether it is not known yet who was wrong about this block.
    pub(super) fn has(&self, block: u64) -> bool {
        self.blocks.contains_key(&block)
    }

    /// These are the right bytes of a block: who gave others.
    pub(super) fn resolve(&mut self, block: u64, bytes: &[u8]) -> Vec<SourceId> {
        let parts = self.blocks.remove(&block).unwrap_or_default();
        self.parts -= parts.len();
        let is_wrong =
            |part: &Part| bytes.get(part.range.clone()).is_none_or(|bytes| blake3::hash(bytes) != part.hash);
        parts.into_iter().filter(is_wrong).map(|part| part.giver).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::Sources;
    use super::*;

    fn givers() -> [SourceId; 3] {
        let sources = Sources::new(Vec::new());
        ["a", "b", "c"].map(|name| sources.add(None, name))
    }

    #[test]
    fn whose_bytes_were_others_is_known_when_the_right_ones_are_there() {
        let ([a, b, c], mut suspects) = (givers(), Suspects::default());
        let right: Vec<u8> = (0..100).collect();
        let mut wrong = right.clone();
        wrong[3] ^= 1; // of an earlier try
        wrong[15] ^= 1;
        wrong[99] ^= 1;
        suspects.add(7, &[(a, 10), (b, 60), (a, 10), (c, 10)], &wrong);
        assert!(suspects.has(7) && !suspects.has(8));
        assert_eq!(suspects.resolve(7, &right), [c, a]);
        assert!(!suspects.has(7) && suspects.resolve(7, &right).is_empty());
        assert_eq!(suspects.parts, 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let ([a, b, _], mut suspects) = (givers(), Suspects::default());
        let bytes = vec![0; 200];
        let many: Vec<(SourceId, u64)> = (0..100).flat_map(|_| [(a, 1), (b, 1)]).collect();
        (0..100).for_each(|block| suspects.add(block, &many, &bytes));
        suspects.add(0, &many, &bytes);
        let kept: usize = suspects.blocks.values().map(Vec::len).sum();
        assert!(suspects.parts == kept && kept <= limits::FETCH_SUSPECTS, "{kept}");
    }
}
