//! What waits to be said on one link: orders come in as fast as the hub gives them, the link takes them out in pieces of
//! bounded size as fast as the peer reads. Pure data, but for who is woken.

use crate::hub::links::{Parting, RefusalCode, Say};
use crate::limits;
use netkit_proto::chat::frame::{Frame, encode};
use netkit_proto::files::manifest::{BlockHash, to_hex};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: Mutex<Waiting>,
    /// Something came: for who writes it.
    changed: Notify,
    /// The link is to end.
    closing: Notify,
    /// The same: for who sees whether it is answered.
    speaking: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    says: VecDeque<Say>,
    bytes: usize,
    /// The last number, of them or of those that were taken.
    said: u64,
    /// Up to which number the peer told what became of it.
    answered: u64,
    refused: Vec<(u64, RefusalCode)>,
    /// What the peer is asked for.
    have: Vec<BlockHash>,
    /// What was sought, and whether it is here.
    has: Vec<(BlockHash, bool)>,
    /// Only the highest matters.
    stored: Option<u64>,
    parting: Option<Parting>,
}

/// What a message costs besides its text.
const OVERHEAD: usize = 128;

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn say(&self, says: Vec<Say>) {
        let mut waiting = self.lock();
        for say in says {
            waiting.bytes += say.text.len() + OVERHEAD;
            waiting.said = say.n;
            waiting.says.push_back(say);
        }
        let is_full = waiting.bytes > limits::LINK_OUTPUT;
        drop(waiting);
        self.end_if(is_full);
    }

    pub(super) fn stored(&self, n: u64) {
        let mut waiting = self.lock();
        waiting.stored = waiting.stored.max(Some(n));
        drop(waiting);
        self.wake();
    }

    pub(super) fn refused(&self, says: Vec<u64>, code: RefusalCode) {
        let mut waiting = self.lock();
        if waiting.parting.is_some() {
            return; // it is to end, and more may come until it has
        }
        waiting.refused.extend(says.into_iter().map(|n| (n, code)));
        let is_full = waiting.refused.len() > limits::LINK_REFUSALS;
        drop(waiting);
        self.end_if(is_full);
    }

    /// Asks whether a file is there. What is too much goes: who asks does not rely on an answer.
    pub(super) fn have(&self, hash: BlockHash) {
        let mut waiting = self.lock();
        if waiting.have.len() < limits::LINK_QUESTIONS {
            waiting.have.push(hash);
        }
        drop(waiting);
        self.wake();
    }

    pub(super) fn has(&self, hash: BlockHash, has: bool) {
        let mut waiting = self.lock();
        waiting.has.push((hash, has));
        let is_full = waiting.has.len() > limits::LINK_ANSWERS;
        drop(waiting);
        self.end_if(is_full);
    }

    /// A peer that does not read is given up: on the next link all is said again.
    fn end_if(&self, is_full: bool) {
        if is_full {
            self.close(Parting::Lost("it does not read what it is sent".into()));
        } else {
            self.wake();
        }
    }

    /// The peer told what became of all up to this number.
    pub(super) fn answered(&self, n: u64) {
        let mut waiting = self.lock();
        waiting.answered = waiting.answered.max(n);
    }

    /// Whether it did not yet tell so of all that is to be said to it.
    pub(super) fn is_unanswered(&self) -> bool {
        let waiting = self.lock();
        waiting.answered < waiting.said
    }

    /// Waits until something is to be said. Cancel safe.
    pub(super) async fn speaking(&self) {
        self.speaking.notified().await;
    }

    fn wake(&self) {
        self.changed.notify_one();
        self.speaking.notify_one();
    }

    /// Ends the link once all of before is said; the first reason counts.
    pub(super) fn close(&self, parting: Parting) {
        self.lock().parting.get_or_insert(parting);
        self.wake();
        self.closing.notify_one();
    }

    /// Why the link is to end, if it is.
    pub(super) fn parting(&self) -> Option<Parting> {
        self.lock().parting.clone()
    }

    /// Waits for more to say, or for the end. Cancel safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits until the link is to end. Cancel safe.
    pub(super) async fn closing(&self) {
        while self.parting().is_none() {
            self.closing.notified().await;
        }
    }

    /// The next frames to write, about [`limits::LINK_WRITE`] bytes of them; empty where there is nothing to say.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut waiting = self.lock();
        // `stored` speaks of all up to its number but for what was refused before: that goes first.
        for (n, code) in waiting.refused.drain(..) {
            encode(&Frame::Refused { n, code }, &mut bytes);
        }
        if let Some(n) = waiting.stored.take() {
            encode(&Frame::Stored { n }, &mut bytes);
        }
        for hash in waiting.have.drain(..) {
            encode(&Frame::Have { hash: to_hex(&hash) }, &mut bytes);
        }
        for (hash, has) in waiting.has.drain(..) {
            encode(&Frame::Has { hash: to_hex(&hash), has }, &mut bytes);
        }
        while bytes.len() < limits::LINK_WRITE
            && let Some(say) = waiting.says.pop_front()
        {
            waiting.bytes -= say.text.len() + OVERHEAD;
            encode(&Frame::Say(say), &mut bytes);
        }
        if waiting.says.is_empty() {
            waiting.says.shrink_to(4); // a link may idle for days
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::chat::frame::Decoder;
    use netkit_proto::time::Timestamp;

    fn say(n: u64, len: usize) -> Say {
        Say { n, room: None, text: "x".repeat(len), sent_at: Timestamp(0) }
    }

    fn taken(mailbox: &Mailbox) -> Vec<String> {
        let mut decoder = Decoder::default();
        decoder.push(&mailbox.take());
        let mut frames = Vec::new();
        while let Some(frame) = decoder.frame().unwrap() {
            frames.push(match frame {
                Frame::Say(say) => format!("say {}", say.n),
                Frame::Stored { n } => format!("stored {n}"),
                Frame::Refused { n, .. } => format!("refused {n}"),
                other => format!("{other:?}"),
            });
        }
        frames
    }

    #[test]
    fn what_is_stored_is_told_once_and_after_what_is_refused() {
        let mailbox = Mailbox::default();
        mailbox.say(vec![say(1, 1), say(2, 1)]);
        mailbox.stored(4);
        mailbox.refused(vec![5], RefusalCode::NotAccepted);
        mailbox.stored(9);
        mailbox.stored(7);
        mailbox.say(vec![say(3, 1)]);
        assert_eq!(taken(&mailbox), ["refused 5", "stored 9", "say 1", "say 2", "say 3"]);
        assert_eq!(taken(&mailbox), [""; 0]);
        assert_eq!(mailbox.lock().bytes, 0);
    }

    #[test]
    fn what_is_said_is_unanswered_until_the_peer_tells_of_the_last() {
        let mailbox = Mailbox::default();
        mailbox.stored(9); // that is our answer
        assert!(!mailbox.is_unanswered());
        mailbox.say(vec![say(3, 1), say(4, 1)]);
        taken(&mailbox);
        for n in [3, 2] {
            mailbox.answered(n);
            assert!(mailbox.is_unanswered());
        }
        mailbox.answered(4);
        assert!(!mailbox.is_unanswered());
    }

    #[test]
    fn long_texts_go_in_pieces_and_in_order() {
        let mailbox = Mailbox::default();
        mailbox.say((1..=10).map(|n| say(n, limits::LINK_WRITE / 2)).collect());
        let mut all = Vec::new();
        for _ in 0..5 {
            let some = taken(&mailbox);
            assert_eq!(some.len(), 2);
            all.extend(some);
        }
        assert_eq!(all, (1..=10).map(|n| format!("say {n}")).collect::<Vec<_>>());
        assert_eq!(mailbox.parting(), None);
    }

    #[test]
    fn a_peer_that_reads_nothing_is_given_up() {
        let mailbox = Mailbox::default();
        let mut n = 0;
        while mailbox.parting().is_none() {
            n += 1;
            mailbox.say(vec![say(n, 1000)]);
        }
        assert_eq!(n, limits::LINK_OUTPUT as u64 / (1000 + OVERHEAD as u64) + 1);
        assert!(matches!(mailbox.parting(), Some(Parting::Lost(_))));
        mailbox.close(Parting::Blocked);
        assert!(matches!(mailbox.parting(), Some(Parting::Lost(_))), "the first reason counts");
        let mailbox = Mailbox::default();
        for n in 0..=limits::LINK_REFUSALS {
            assert_eq!(mailbox.parting(), None);
            mailbox.refused(vec![n as u64], RefusalCode::NotAccepted);
        }
        assert!(mailbox.parting().is_some());
        let mailbox = Mailbox::default();
        for _ in 0..=limits::LINK_ANSWERS {
            assert_eq!(mailbox.parting(), None);
            mailbox.has([1; 32], true);
        }
        assert!(mailbox.parting().is_some());
    }
}
