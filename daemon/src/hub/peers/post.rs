//! What is sent to peers: committed for each, said on its link as far as the window reaches, kept until it is stored
//! there.

use super::fate::{FULL, refused};
use super::{Follow, Letter, Peer, Peers, Reply, Step};
use crate::hub::answer;
use crate::hub::handle::{Queued, Route, SendRequest};
use crate::hub::links::{LinkOrder, Say};
use crate::limits;
use crate::store::{Op, Outcome};
use netkit_proto::ids::{PeerId, Seq};
use netkit_proto::name::PeerName;
use netkit_proto::rpc::call::Trust;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::{Event, PeerFacts};
use netkit_proto::time::Timestamp;
use std::collections::hash_map::Entry;

/// What a message to all is marked with.
const ALL: &str = "all";

/// A message that is being committed.
#[derive(Debug)]
pub(in crate::hub) struct Posting {
    letter: Letter,
    /// The peers that it goes to.
    peers: Vec<PeerId>,
    /// Whom its sender is told that it goes to.
    to: Vec<String>,
    pub(super) reply: Reply<Queued>,
}

impl Peers {
    /// A message is to go to a peer, a room, or all.
    pub(in crate::hub) fn on_send(&mut self, now: Timestamp, send: SendRequest, reply: Reply<Queued>) {
        match self.letter(now, &send) {
            Err(error) => {
                self.full += u64::from(error.kind() == Kind::Busy);
                answer(reply, Err(error));
            }
            Ok((letter, to)) => {
                let mut named: Vec<String> = to.iter().map(|&id| self.label(id)).collect();
                let room = letter.room.as_ref().map(ToString::to_string);
                let peer = match &room {
                    Some(room) => format!("@{room}"),
                    None => std::mem::take(&mut named).swap_remove(0), // no room is one peer
                };
                let key = send.key.as_ref().map(|key| (send.uid, key.clone(), send.digest()));
                let event = Event::Queued {
                    peer,
                    to: named.clone(),
                    room,
                    text: send.text,
                    bye: false,
                    expires: letter.expires,
                };
                self.now_posting(&to, letter.text.len());
                let peers = to.clone();
                // Before the message, and whatever becomes of that.
                let known = self.make_known(now, &to);
                self.note(known);
                let ops = vec![Op::Post { event, to, letter: letter.clone(), key }];
                let follow = Follow::Posted(Posting { letter, peers, to: named, reply });
                self.steps.push(Step { ops, follow, is_asked: true });
            }
        }
    }

    /// The message, and to whom it goes.
    fn letter(&self, now: Timestamp, send: &SendRequest) -> Result<(Letter, Vec<PeerId>), Error> {
        let (room, mut to) = match &send.route {
            Route::Peer { name, prefix } => (None, vec![self.meant(name, prefix.as_deref())?]),
            Route::Room(room) => (Some(room.clone()), self.members(room)?),
            Route::All => (ALL.parse().ok(), self.everybody()?),
            Route::Plain(_) => return Err(Error::new(Kind::InternalError, "a plain peer is not linked")),
        };
        to.sort_by_cached_key(|id| self.label(*id)); // as people are told of them
        for id in &to {
            let Some(peer) = self.peers.get(id) else { continue };
            if peer.row.trust == Trust::Blocked {
                let label = self.label(*id);
                return Err(Error::new(Kind::Refused, format_args!("{label} is blocked here"))
                    .hint(format_args!("netkitctl peers trust {label}")));
            }
        }
        let full = |id: &PeerId| {
            let posting = self.posting_to.get(id).copied().unwrap_or_default();
            Some((*id, self.full_of(*id, send.text.len(), posting)?))
        };
        // Who is away for long does not silence a room: what there is no place for is refused for that one alone.
        if to.iter().all(|id| full(id).is_some())
            && let Some((id, (letters, bytes))) = to.iter().find_map(full)
        {
            let label = self.label(id);
            let why = format!("{letters} messages of {bytes} bytes wait for {label} already");
            let hint = format!("netkitctl peers show {label} tells why it is not reached");
            return Err(Error::new(Kind::Busy, why).hint(hint));
        }
        let (letters, bytes) = (self.queued + self.posting.0, self.queued_bytes + self.posting.1);
        let is_full = letters + to.len() > limits::LETTERS
            || bytes + to.len() * send.text.len() > limits::LETTERS_BYTES;
        if is_full {
            let why = format!("{letters} messages wait for peers already, as many as are kept");
            return Err(Error::new(Kind::Busy, why).hint("netkitctl peers tells for whom"));
        }
        let expire = send.expire.unwrap_or(limits::EXPIRE_DEFAULT);
        let expires = now.plus_millis(i64::try_from(expire.as_millis()).unwrap_or(i64::MAX));
        let letter =
            Letter { n: 0, message: Seq::START, room, text: send.text.as_str().into(), at: now, expires };
        Ok((letter, to))
    }

    /// How many messages wait for a peer, and their bytes, where there is no place for one more of so many; with those that
    /// are being committed.
    fn full_of(&self, id: PeerId, more: usize, posting: (usize, usize)) -> Option<(usize, usize)> {
        let waiting = &self.peers.get(&id)?.letters;
        let (letters, bytes) = (waiting.len() + posting.0, waiting.bytes() + posting.1);
        let is_full = letters >= limits::LETTERS_PER_PEER || bytes + more > limits::LETTERS_BYTES_PER_PEER;
        is_full.then_some((letters, bytes))
    }

    /// The known and trusted peers that are in a room.
    fn members(&self, room: &PeerName) -> Result<Vec<PeerId>, Error> {
        let known = self.peers.values().filter(|peer| peer.row.trust >= Trust::Known);
        let members: Vec<PeerId> =
            known.filter(|peer| peer.row.rooms.contains(room)).map(|peer| peer.row.id).collect();
        if members.is_empty() {
            let why = format!("nobody that is known here is in the room @{room}");
            return Err(Error::new(Kind::NotFound, why).hint(
                "netkitctl rooms shows who is in which; strangers hear nothing: netkitctl peers trust NAME",
            ));
        }
        Ok(members)
    }

    fn everybody(&self) -> Result<Vec<PeerId>, Error> {
        let known = self.peers.values().filter(|peer| peer.row.trust >= Trust::Known);
        let all: Vec<PeerId> = known.map(|peer| peer.row.id).collect();
        if all.is_empty() {
            return Err(Error::new(Kind::NotFound, "no peers are known: @all reaches nobody")
                .hint("netkitctl peers shows who was seen; netkitctl peers trust NAME makes one known"));
        }
        Ok(all)
    }

    /// Who is sent something by name, or named by a host, is known from then on; whom somebody is about to trust or to block
    /// becomes that alone.
    pub(super) fn make_known(&mut self, now: Timestamp, to: &[PeerId]) -> Vec<Op> {
        let mut ops = Vec::new();
        for &id in to {
            let is_stranger = |peer: &Peer| peer.row.trust == Trust::New && peer.changing == 0;
            if !self.peers.get(&id).is_some_and(is_stranger) {
                continue;
            }
            let label = self.label(id);
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            (peer.row.trust, peer.is_kept) = (Trust::Known, true);
            self.is_trust_changed = true;
            ops.push(Op::PeerSet(Box::new(peer.row.clone())));
            ops.push(Op::Append(now, Event::PeerKnown(PeerFacts { peer: label, id })));
            if let Some(link) = peer.link.as_ref().filter(|link| link.is_refused).map(|link| link.id) {
                self.close(link, crate::hub::links::Parting::Renewed);
            }
        }
        ops
    }

    /// A message is committed, or was before under its key.
    pub(super) fn posted(&mut self, now: Timestamp, posting: Posting, outcome: Outcome) {
        self.no_longer_posting(&posting);
        let Posting { letter, to, reply, .. } = posting;
        match outcome {
            Outcome::Posted(entry, numbers) => {
                answer(reply, Ok(Queued { id: entry.seq, repeated: false, to }));
                let mut given_up = Vec::new();
                for (id, n) in numbers {
                    let is_full = self.full_of(id, letter.text.len(), (0, 0)).is_some();
                    self.full += u64::from(is_full);
                    let Some(reason) = self.why_not(id).or(is_full.then_some(FULL)) else {
                        self.keep_letter(id, Letter { n, message: entry.seq, ..letter.clone() });
                        self.to_speak.insert(id);
                        continue;
                    };
                    let event = refused(entry.seq, self.label(id), reason, false);
                    given_up.push(Op::GiveUp(now, id, n, event));
                }
                self.note(given_up);
            }
            Outcome::Repeated(id) => answer(reply, Ok(Queued { id: Seq(id), repeated: true, to })),
            _ => answer(reply, Err(crate::hub::commit::key_conflict())),
        }
    }

    /// A message of so many bytes is being committed for these.
    fn now_posting(&mut self, to: &[PeerId], bytes: usize) {
        self.posting.0 += to.len();
        self.posting.1 += to.len() * bytes;
        for &id in to {
            let (letters, of_bytes) = self.posting_to.entry(id).or_default();
            (*letters, *of_bytes) = (*letters + 1, *of_bytes + bytes);
        }
    }

    /// A message is not being committed any more.
    pub(super) fn no_longer_posting(&mut self, posting: &Posting) {
        let bytes = posting.letter.text.len();
        self.posting.0 -= posting.peers.len();
        self.posting.1 -= posting.peers.len() * bytes;
        for &id in &posting.peers {
            if let Entry::Occupied(mut entry) = self.posting_to.entry(id) {
                let (letters, of_bytes) = entry.get_mut();
                (*letters, *of_bytes) = (*letters - 1, *of_bytes - bytes);
                if *letters == 0 {
                    entry.remove();
                }
            }
        }
    }

    pub(super) fn keep_letter(&mut self, id: PeerId, letter: Letter) {
        if let Some(peer) = self.peers.get_mut(&id) {
            self.queued += 1;
            self.queued_bytes += letter.text.len();
            peer.letters.push(letter);
        }
    }

    /// Says what was committed since this was asked last: what is committed together is said together.
    pub(in crate::hub) fn speak_to_all(&mut self) {
        for id in std::mem::take(&mut self.to_speak) {
            self.speak(id);
        }
    }

    /// Says on a peer's link what the window has room for.
    pub(super) fn speak(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(link) = peer.link.as_mut().filter(|link| link.is_ready) else { return };
        let mut says = Vec::new();
        while link.said < limits::LINK_WINDOW
            && link.said_bytes < limits::LINK_WINDOW_BYTES
            && let Some(letter) = peer.letters.get(link.said)
        {
            link.said += 1;
            link.said_bytes += letter.text.len();
            peer.heard = peer.heard.max(letter.n);
            let (room, text) = (letter.room.clone(), letter.text.as_ref().to_owned());
            says.push(Say { n: letter.n, room, text, sent_at: letter.at });
        }
        if !says.is_empty() {
            self.orders.push_back(LinkOrder::Say(link.id, says));
        }
    }
}
