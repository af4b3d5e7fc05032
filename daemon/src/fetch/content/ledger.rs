//! How much of a file is there, for those that look while a thread writes it: `task` tells it, and has it noted.

use crate::hub::orders::BlockRow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What others look at while a thread writes.
#[derive(Debug, Default)]
pub(in crate::fetch) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
pub(super) struct Entries {
    pub bytes: u64,
    /// Complete blocks that were not told yet.
    pub fresh: Vec<BlockRow>,
    /// Bytes of the blocks that are under way.
    pub open: BTreeMap<u64, u64>,
}

impl Ledger {
    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are there.
    pub(in crate::fetch) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// What is to be noted of the blocks: those that are complete since it was asked last, and those under way.
    pub(in crate::fetch) fn to_note(&self) -> Vec<BlockRow> {
        let mut entries = self.lock();
        let mut rows = std::mem::take(&mut entries.fresh);
        let open = entries.open.iter().filter(|(_, bytes)| **bytes > 0);
        rows.extend(open.map(|(&block, &bytes)| BlockRow { block, bytes, hash: None }));
        rows
    }
}
