//! How much of a file is there, for those that look while a thread writes it: `task` tells it, and has it noted.

use crate::hub::orders::{BlockRow, PartNote, PartRow};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What others look at while a thread writes.
#[derive(Debug, Default)]
pub(in crate::fetch) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
pub(super) struct Entries {
    pub bytes: u64,
    /// Complete blocks that were not told yet, and those that were noted and are not there.
    pub fresh: Vec<BlockRow>,
    /// Bytes of the blocks that are under way.
    pub open: BTreeMap<u64, u64>,
    /// Nothing was told yet of a file that was begun anew.
    pub is_new: bool,
}

impl Ledger {
    /// Of a file that was begun anew.
    pub(super) fn of_new() -> Ledger {
        Ledger(Mutex::new(Entries { is_new: true, ..Entries::default() }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are there.
    pub(in crate::fetch) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// What is to be noted: the blocks that are complete since it was asked last, and those under way.
    pub(in crate::fetch) fn to_note(&self, about: &PartRow) -> PartNote {
        let mut entries = self.lock();
        let is_new = std::mem::take(&mut entries.is_new);
        let mut rows = std::mem::take(&mut entries.fresh);
        let open = entries.open.iter().filter(|(_, bytes)| **bytes > 0);
        rows.extend(open.map(|(&block, &bytes)| BlockRow { block, bytes, hash: None }));
        PartNote { part: about.clone(), blocks: rows, is_new }
    }
}
