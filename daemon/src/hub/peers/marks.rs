//! How far the logs of peers are stored here, also of those that were forgotten. A peer chooses which log is its, and a
//! new key costs nothing: so a peer has few marks, and where there are too many those of strangers go first. What goes
//! here is for the caller to take out of the database, too.

use crate::limits;
use netkit_proto::ids::{Epoch, PeerId};
use std::collections::BTreeMap;

// Those of peers that are remembered always have room.
const _: () = assert!(limits::PEERS * limits::LOGS_OF_PEER < limits::STORED_MARKS);

/// One log of one peer.
pub(super) type Log = (PeerId, Epoch);

#[derive(Debug, Default)]
struct Mark {
    stored: u64,
    taken: u64,
    /// Its place in the order in which marks were moved.
    moved: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// By peer, and the number of its epoch.
    marks: BTreeMap<(PeerId, u64), Mark>,
    moves: u64,
}

impl Marks {
    /// The highest number of a log that is stored here, and that is stored or being stored.
    pub(super) fn of(&self, log: Log) -> (u64, u64) {
        self.marks.get(&key(log)).map_or((0, 0), |mark| (mark.stored, mark.taken))
    }

    /// A log is being stored up to this number; which one is forgotten for it.
    pub(super) fn take(&mut self, log: Log, n: u64, is_stranger: impl Fn(PeerId) -> bool) -> Option<Log> {
        let gone =
            if self.marks.contains_key(&key(log)) { None } else { self.next_to_go(log.0, is_stranger) };
        if let Some(gone) = gone {
            self.marks.remove(&key(gone));
        }
        self.moves += 1;
        let mark = self.marks.entry(key(log)).or_default();
        (mark.taken, mark.moved) = (n, self.moves);
        gone
    }

    /// A log is stored up to this number.
    pub(super) fn store(&mut self, log: Log, n: u64) {
        if let Some(mark) = self.marks.get_mut(&key(log)) {
            mark.stored = mark.stored.max(n);
        }
    }

    /// What goes for one more of this peer: of its own where it has many, else a stranger's; what was not moved the longest.
    fn next_to_go(&self, peer: PeerId, is_stranger: impl Fn(PeerId) -> bool) -> Option<Log> {
        let own = || self.marks.range((peer, u64::MIN)..=(peer, u64::MAX));
        let found = if own().count() >= limits::LOGS_OF_PEER {
            own().min_by_key(|(_, mark)| mark.moved)
        } else if self.marks.len() >= limits::STORED_MARKS {
            self.marks.iter().min_by_key(|((id, _), mark)| (!is_stranger(*id), mark.moved))
        } else {
            None
        };
        found.map(|(&(peer, epoch), _)| (peer, Epoch(epoch)))
    }
}

fn key((peer, epoch): Log) -> (PeerId, u64) {
    (peer, epoch.0)
}
