//! Tells live subscribers what was committed: the number of the newest event, and the newest events themselves.
//! The hub publishes; sessions of the control socket pull at their own pace, and read the log where they fell
//! behind further than this reaches. So no subscriber has a queue that could overflow, and none misses anything.

use crate::limits;
use crate::store::Entry;
use netkit_proto::ids::Seq;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The newest events.
#[derive(Debug)]
pub struct Feed {
    head: watch::Sender<Seq>,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    /// Numbered without gaps.
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Feed {
    /// A feed of a log whose newest event is `head`.
    #[must_use]
    pub fn new(head: Seq) -> Feed {
        Feed { head: watch::Sender::new(head), recent: Mutex::default() }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner) // entries are pushed whole or not at all
    }

    /// Adds committed events, which follow each other and what was published before.
    pub fn publish(&self, entries: impl IntoIterator<Item = Arc<Entry>>) {
        let mut recent = self.recent();
        let mut head = None;
        for entry in entries {
            head = Some(entry.seq);
            recent.bytes += entry.body.len();
            recent.entries.push_back(entry);
        }
        while recent.entries.len() > limits::FEED_EVENTS || recent.bytes > limits::FEED_BYTES {
            let Some(oldest) = recent.entries.pop_front() else { break };
            recent.bytes -= oldest.body.len();
        }
        drop(recent);
        if let Some(head) = head {
            self.head.send_replace(head);
        }
    }

    /// The number of the newest event.
    #[must_use]
    pub fn head(&self) -> Seq {
        *self.head.borrow()
    }

    /// Wakes whenever the head moves.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    /// At most `most` events after `since`; `None` where the next one is no longer here but in the log alone.
    #[must_use]
    pub fn after(&self, since: Seq, most: usize) -> Option<Vec<Arc<Entry>>> {
        let recent = self.recent();
        let Some(first) = recent.entries.front() else {
            return (since >= self.head()).then(Vec::new);
        };
        let skip = usize::try_from(since.next().0.checked_sub(first.seq.0)?).unwrap_or(usize::MAX);
        Some(recent.entries.iter().skip(skip).take(most).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::time::Timestamp;

    fn entry(seq: u64, size: usize) -> Arc<Entry> {
        Arc::new(Entry { seq: Seq(seq), at: Timestamp(0), body: "x".repeat(size).into() })
    }

    fn after(feed: &Feed, since: u64, most: usize) -> Option<Vec<u64>> {
        Some(feed.after(Seq(since), most)?.iter().map(|e| e.seq.0).collect())
    }

    #[test]
    fn gives_what_follows_or_sends_to_the_log() {
        let feed = Feed::new(Seq(4));
        assert_eq!(after(&feed, 4, 9), Some(vec![]));
        assert_eq!(after(&feed, 3, 9), None, "4 is in the log alone");
        feed.publish([entry(5, 1), entry(6, 1), entry(7, 1)]);
        assert_eq!(feed.head(), Seq(7));
        assert_eq!(after(&feed, 4, 2), Some(vec![5, 6]));
        assert_eq!(after(&feed, 6, 9), Some(vec![7]));
        assert_eq!(after(&feed, 7, 9), Some(vec![]));
        assert_eq!(after(&feed, 99, 9), Some(vec![]));
        assert_eq!(after(&feed, 3, 9), None);
    }

    #[test]
    fn holds_a_bounded_amount() {
        let feed = Feed::new(Seq(0));
        let count = limits::FEED_EVENTS as u64 + 10;
        feed.publish((1..=count).map(|n| entry(n, 1)));
        assert_eq!(after(&feed, 9, 1), None);
        assert_eq!(after(&feed, 10, 1), Some(vec![11]));
        feed.publish([entry(count + 1, limits::FEED_BYTES)]);
        assert_eq!(after(&feed, count, 9), Some(vec![count + 1]));
        assert_eq!(after(&feed, count - 1, 9), None);
    }
}
