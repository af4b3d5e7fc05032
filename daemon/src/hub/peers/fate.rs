//! What becomes of messages that are given up: those that waited too long, and those that are refused. Called where peers
//! are asked to go, links tell, and time passes; what is delivered is no matter of it.

use super::Peers;
use crate::store::Op;
use netkit_proto::ids::{PeerId, Seq};
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;

/// Why messages to a removed peer are refused.
pub(super) const REMOVED: &str = "the peer was removed here";
/// Why messages to a blocked one are.
pub(super) const BLOCKED: &str = "the peer was blocked here";
/// Why one to a room is, for a member that was away too long.
pub(super) const FULL: &str = "too many messages wait for the peer already";

/// The fate of a message that is refused.
pub(super) fn refused(message: Seq, peer: String, reason: &str, maybe_delivered: bool) -> Event {
    Event::Refused { message, peer, reason: reason.to_owned(), maybe_delivered }
}

impl Peers {
    /// Why a message to a peer is not kept for it: it was removed or blocked while that was committed.
    pub(super) fn why_not(&self, id: PeerId) -> Option<&'static str> {
        match self.peers.get(&id).filter(|_| !self.leaving.contains_key(&id)) {
            None => Some(REMOVED),
            Some(peer) if peer.row.trust == Trust::Blocked => Some(BLOCKED),
            Some(_) => None,
        }
    }

    /// Gives up one of a peer's letters, by its place: what is to be committed. Its fate is told the message, the peer, and
    /// whether it may have arrived.
    pub(super) fn give_up(
        &mut self,
        now: Timestamp,
        id: PeerId,
        at: usize,
        fate: impl FnOnce(Seq, String, bool) -> Event,
    ) -> Option<Op> {
        let label = self.label(id);
        let peer = self.peers.get_mut(&id)?;
        let letter = peer.letters.remove(at)?;
        let maybe_delivered = peer.may_have(&letter);
        if let Some(link) = peer.link.as_mut().filter(|link| at < link.said) {
            link.said -= 1;
            link.said_bytes = link.said_bytes.saturating_sub(letter.text.len());
        }
        (self.queued, self.queued_bytes) = (self.queued - 1, self.queued_bytes - letter.text.len());
        Some(Op::GiveUp(now, id, letter.n, fate(letter.message, label, maybe_delivered)))
    }

    /// Gives up what waited too long.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let mut overdue = Vec::new();
        for (id, peer) in &self.peers {
            // From the last to the first, so that places stay what they are.
            let late = (0..).zip(peer.letters.iter()).filter(|(_, letter)| letter.expires <= now);
            let late = late.map(|(at, _)| (*id, at));
            overdue.extend(late.collect::<Vec<_>>().into_iter().rev());
        }
        let expired = |message, peer, maybe_delivered| Event::Expired { message, peer, maybe_delivered };
        let give_up = |(id, at)| self.give_up(now, id, at, expired);
        let ops: Vec<Op> = overdue.into_iter().filter_map(give_up).collect();
        self.note(ops);
    }
}
