//! Whether blocks are what a manifest says: the values that came of it so far, and the blocks that wait for theirs. Used
//! by the block ledger; what follows for those who gave them is the writer's business.

use crate::fetch::sources::SourceId;
use netkit_proto::files::manifest::{BlockHash, ManifestReader};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A manifest that is being read, while blocks are compared with what is there of it.
#[derive(Clone, Debug, Default)]
pub(in crate::fetch) struct SharedManifest(Arc<Mutex<ManifestReader>>);

impl SharedManifest {
    pub(in crate::fetch) fn lock(&self) -> MutexGuard<'_, ManifestReader> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A block all of whose bytes are there.
#[derive(Clone, Debug)]
pub(super) struct Complete {
    pub hash: BlockHash,
    /// Who gave how many of its bytes, in their order; none where they were there before.
    pub givers: Vec<(SourceId, u64)>,
    /// It counts already: it was right when it came, during an earlier try.
    pub is_counted: bool,
}

/// A block that was compared.
#[derive(Debug)]
pub(in crate::fetch) struct Settled {
    pub block: u64,
    /// See [`Complete::givers`].
    pub givers: Vec<(SourceId, u64)>,
    /// It is what the manifest says.
    pub is_right: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Proof {
    manifest: SharedManifest,
    waiting: BTreeMap<u64, Complete>,
}

impl Proof {
    pub(super) fn new(manifest: SharedManifest, waiting: BTreeMap<u64, Complete>) -> Proof {
        Proof { manifest, waiting }
    }

    /// Takes in a complete block, to be compared when its value has come.
    pub(super) fn add(&mut self, block: u64, complete: Complete) {
        self.waiting.insert(block, complete);
    }

    /// Whether all bytes of a block are there, of one that is not compared yet.
    pub(super) fn has(&self, block: u64) -> bool {
        self.waiting.contains_key(&block)
    }

    /// Whether the whole manifest came, and is one.
    pub(super) fn is_whole(&self) -> bool {
        self.manifest.lock().root().is_some()
    }

    /// The next block whose value has come, and whether it is that.
    pub(super) fn next(&mut self) -> Option<(u64, Complete, bool)> {
        let manifest = self.manifest.lock();
        let block = *self.waiting.first_key_value()?.0;
        // Values come in the order of their blocks: where the first has none, none has.
        let expected = manifest.block(block)?;
        let complete = self.waiting.remove(&block)?;
        let is_right = complete.hash == expected;
        Some((block, complete, is_right))
    }
}
