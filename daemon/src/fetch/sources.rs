//! Who gives the bytes of a download: how many of each were right, and why somebody is asked no more. Shared by the
//! connections, the writer and the transfer of one download; what people are told of it goes to the hub.

use crate::hub::orders::Failed;
use netkit_proto::ids::PeerId;
use netkit_proto::rpc::call::DownloadSource;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names a source within a download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SourceId(pub(super) usize);

/// See the module.
#[derive(Debug)]
pub(super) struct Sources(Mutex<Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    shown: DownloadSource,
    /// What it gave is wrong, or it failed: it is asked no more.
    barred: Option<Failed>,
}

impl Sources {
    /// Those of earlier tries; what was wrong with them then may have passed.
    pub(super) fn new(before: Vec<DownloadSource>) -> Sources {
        let entry = |source| Entry { shown: DownloadSource { trouble: None, ..source }, barred: None };
        Sources(Mutex::new(before.into_iter().map(entry).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This peer, called so at present: several may be called alike, and one otherwise later. Else the host of this name.
    pub(super) fn add(&self, peer: Option<PeerId>, name: &str) -> SourceId {
        let mut entries = self.lock();
        let is_it = |entry: &Entry| entry.shown.id == peer && (peer.is_some() || entry.shown.name == name);
        let known = entries.iter().position(is_it).unwrap_or_else(|| {
            let shown = DownloadSource { name: String::new(), id: peer, bytes: 0, trouble: None };
            entries.push(Entry { shown, barred: None });
            entries.len() - 1
        });
        name.clone_into(&mut entries[known].shown.name);
        SourceId(known)
    }

    /// Bytes of it were right.
    pub(super) fn credit(&self, id: SourceId, bytes: u64) {
        if let Some(entry) = self.lock().get_mut(id.0) {
            entry.shown.bytes += bytes;
        }
    }

    /// What it is called.
    pub(super) fn name(&self, id: SourceId) -> String {
        self.lock().get(id.0).map(|entry| entry.shown.name.clone()).unwrap_or_default()
    }

    /// It sends what it is asked for.
    pub(super) fn works(&self, id: SourceId) {
        if let Some(entry) = self.lock().get_mut(id.0).filter(|entry| entry.barred.is_none()) {
            entry.shown.trouble = None;
        }
    }

    /// A connection to it came to its end, for this reason.
    pub(super) fn lost(&self, id: SourceId, why: &Failed) {
        self.troubled(id, why.failure.message.clone());
    }

    /// Others took over what it had still to send; it may be asked again.
    pub(super) fn slow(&self, id: SourceId) {
        let why = format!("{} is slow: others took over what it had still to send", self.name(id));
        self.troubled(id, why);
    }

    fn troubled(&self, id: SourceId, why: String) {
        if let Some(entry) = self.lock().get_mut(id.0).filter(|entry| entry.barred.is_none()) {
            entry.shown.trouble = Some(why);
        }
    }

    /// It is asked no more, for this reason; the first one stays.
    pub(super) fn bar(&self, id: SourceId, why: Failed) {
        if let Some(entry) = self.lock().get_mut(id.0).filter(|entry| entry.barred.is_none()) {
            entry.shown.trouble = Some(why.failure.message.clone());
            entry.barred = Some(why);
        }
    }

    /// Why it is asked no more.
    pub(super) fn barred(&self, id: SourceId) -> Option<Failed> {
        self.lock().get(id.0)?.barred.clone()
    }

    /// All that came is lost.
    pub(super) fn forget_bytes(&self) {
        self.lock().iter_mut().for_each(|entry| entry.shown.bytes = 0);
    }

    /// As people are told of them.
    pub(super) fn shown(&self) -> Vec<DownloadSource> {
        self.lock().iter().map(|entry| entry.shown.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::rpc::code::Kind;

    #[test]
    fn namesakes_are_two_and_who_is_called_otherwise_is_one() {
        let (one, other) = (PeerId([1; 32]), PeerId([2; 32]));
        let sources = Sources::new(Vec::new());
        let [bob, liar] = [one, other].map(|id| sources.add(Some(id), "bob"));
        sources.credit(bob, 7);
        sources.bar(liar, Failed::new(Kind::Corrupt, "it lies"));
        assert!(sources.barred(bob).is_none() && sources.barred(liar).is_some());
        assert_eq!(sources.add(Some(one), "bob~abc"), bob);
        let shown: Vec<_> = sources.shown().into_iter().map(|s| (s.name, s.id, s.bytes)).collect();
        assert_eq!(shown, [("bob~abc".into(), Some(one), 7), ("bob".into(), Some(other), 0)]);
        // A host has nothing but its name.
        assert_eq!(sources.add(None, "bob"), sources.add(None, "bob"));
        assert_ne!(sources.add(None, "bob"), sources.add(None, "carol"));
        // What was noted of an earlier try is gone on with.
        let again = Sources::new(sources.shown());
        assert_eq!(again.add(Some(other), "liar"), liar);
        assert!(again.barred(liar).is_none(), "what was wrong then may have passed");
    }
}
