//! What follows from a step of the peers that is committed, or could not be.

use super::post::Posting;
use super::{Peers, Reply, answer};
use crate::store::Outcome;
use netkit_proto::ids::{Epoch, PeerId};
use netkit_proto::name::PeerName;
use netkit_proto::rpc::call::{Empty, Peer as Shown, Trust};
use netkit_proto::rpc::code::Error;
use netkit_proto::time::Timestamp;
use tokio::time::Instant;

/// What follows when the last op of a step is committed.
#[derive(Debug)]
pub(in crate::hub) enum Follow {
    /// A message has its numbers.
    Posted(Posting),
    /// What a peer said up to a number is stored.
    Heard(PeerId, Epoch, u64),
    /// A peer is to be shown as it stands then.
    Changed(PeerId, Trust, Reply<Box<Shown>>),
    /// A host is asked from now on.
    HostAdded(String, Reply<Empty>),
    HostRemoved(String, Reply<Empty>),
    /// A peer is forgotten, and what waited for it.
    Removed(PeerId, Reply<Empty>),
    Room(PeerName, bool, Reply<Empty>),
    Noted,
}

impl Peers {
    /// A step is committed.
    pub(in crate::hub) fn on_committed(
        &mut self,
        now: Timestamp,
        instant: Instant,
        follow: Follow,
        outcome: Outcome,
    ) {
        match follow {
            Follow::Posted(posting) => self.posted(now, posting, outcome),
            Follow::Heard(id, epoch, n) => self.heard(id, epoch, n),
            Follow::Changed(id, trust, reply) => {
                self.changed(now, instant, id, trust);
                answer(reply, self.show(instant, id).map(Box::new));
            }
            Follow::HostAdded(host, reply) => {
                self.host_added(host, instant);
                answer(reply, Ok(Empty {}));
            }
            Follow::HostRemoved(host, reply) => {
                self.host_removed(&host);
                answer(reply, Ok(Empty {}));
            }
            Follow::Removed(id, reply) => {
                self.removed(id);
                answer(reply, Ok(Empty {}));
            }
            Follow::Room(room, joined, reply) => {
                if joined {
                    self.rooms.insert(room)
                } else {
                    self.rooms.remove(&room)
                };
                let rooms = self.rooms.iter().cloned().collect();
                self.introduction.send_modify(|introduction| introduction.rooms = rooms);
                answer(reply, Ok(Empty {}));
            }
            Follow::Noted => {}
        }
    }

    /// A step that somebody asked for could not be committed.
    pub(in crate::hub) fn on_failed(&mut self, instant: Instant, follow: Follow, error: &Error) {
        match follow {
            Follow::Posted(posting) => {
                self.no_longer_posting(&posting);
                answer(posting.reply, Err(error.clone()));
            }
            Follow::Changed(id, _, reply) => {
                self.no_longer_changing(id);
                answer(reply, Err(error.clone()));
            }
            Follow::Removed(id, reply) => {
                self.not_removed(instant, id);
                answer(reply, Err(error.clone()));
            }
            Follow::HostAdded(_, reply) | Follow::HostRemoved(_, reply) | Follow::Room(_, _, reply) => {
                answer(reply, Err(error.clone()))
            }
            Follow::Heard(..) | Follow::Noted => {} // tried until they succeed
        }
    }
}
