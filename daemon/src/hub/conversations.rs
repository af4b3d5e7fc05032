//! How each plain peer spoke last, which is how it is answered. Bounded: the oldest are forgotten.

use super::handle::Arrived;
use super::peer_name;
use crate::limits;
use crate::store::Op;
use netkit_proto::chat::plain::{Encoding, Line};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Conversation {
    /// What was written in last from there.
    encoding: Encoding,
    /// The address of ours that it was sent to.
    local: Option<IpAddr>,
    at: Timestamp,
}

/// Conversations by the peer's address.
#[derive(Debug, Default)]
pub(super) struct Conversations(HashMap<SocketAddr, Conversation>);

impl Conversations {
    pub(super) fn new(kept: &[(SocketAddr, Encoding, Timestamp)]) -> Conversations {
        let conversation = |&(address, encoding, at)| (address, Conversation { encoding, local: None, at });
        Conversations(kept.iter().map(conversation).collect())
    }

    /// What a peer is answered in.
    pub(super) fn encoding(&self, peer: SocketAddr) -> Encoding {
        self.0.get(&peer).map_or(Encoding::Utf8, |c| c.encoding)
    }

    /// The address of ours that a peer is answered from.
    pub(super) fn local(&self, peer: SocketAddr) -> Option<IpAddr> {
        self.0.get(&peer).and_then(|c| c.local)
    }

    /// A line arrived: what to commit. How its sender is answered is not told to anybody, so it need not wait for
    /// the commit; lines that wait together for theirs are seen in their order.
    pub(super) fn on_line(&mut self, now: Timestamp, arrived: Arrived, mut commit: impl FnMut(Op)) {
        let Arrived { from, local, line } = arrived;
        let bye = line.is_bye();
        let before = self.encoding(from);
        let encoding = if tells_encoding(&line) { line.encoding } else { before };
        let after = if bye { Encoding::Utf8 } else { encoding };
        let event = Event::Received {
            peer: peer_name(from),
            id: None,
            trust: None,
            room: None,
            verified: false,
            encoding: line.encoding,
            text: line.text,
            bye,
        };
        commit(Op::Append(now, event));
        if after != before {
            commit(Op::Conversation(now, from, after));
        }
        if bye {
            self.0.remove(&from);
            return;
        }
        if self.0.len() >= limits::CONVERSATIONS && !self.0.contains_key(&from) {
            for forgotten in self.forget_oldest() {
                commit(Op::Conversation(now, forgotten, Encoding::Utf8));
            }
        }
        self.0.insert(from, Conversation { encoding, local, at: now });
    }

    /// Forgets the older half, so that the cost is spread over as many newcomers; gives those of which the store
    /// knows.
    fn forget_oldest(&mut self) -> Vec<SocketAddr> {
        let mut times: Vec<Timestamp> = self.0.values().map(|c| c.at).collect();
        let middle = times.len() / 2;
        let (_, &mut median, _) = times.select_nth_unstable(middle);
        let old = self.0.extract_if(|_, c| c.at <= median);
        old.filter(|(_, c)| c.encoding == Encoding::Gb18030).map(|(peer, _)| peer).collect()
    }
}

/// Whether a line shows how its sender writes: ASCII is the same in all encodings, and binary is none.
fn tells_encoding(line: &Line) -> bool {
    line.encoding != Encoding::Hex && !line.text.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const PEER: ([u8; 4], u16) = ([10, 0, 0, 9], 1);
    const NOW: Timestamp = Timestamp(1_000_000);

    fn hear(conversations: &mut Conversations, encoding: Encoding, text: &str) -> Vec<Op> {
        let arrived = Arrived { from: PEER.into(), local: None, line: Line { text: text.into(), encoding } };
        let mut ops = Vec::new();
        conversations.on_line(NOW, arrived, |op| ops.push(op));
        ops
    }

    #[test]
    fn a_peer_is_answered_as_it_spoke_last() {
        let mut conversations = Conversations::default();
        assert_eq!(conversations.encoding(PEER.into()), Encoding::Utf8);
        assert_eq!(hear(&mut conversations, Encoding::Gb18030, "好").len(), 2, "the line, and the change");
        assert_eq!(hear(&mut conversations, Encoding::Gb18030, "好").len(), 1, "no change");
        assert_eq!(conversations.encoding(PEER.into()), Encoding::Gb18030);
        assert_eq!(conversations.encoding(([10, 0, 0, 9], 2).into()), Encoding::Utf8, "another peer");
        for (encoding, text) in [(Encoding::Utf8, "ascii"), (Encoding::Hex, "00ff")] {
            assert_eq!(hear(&mut conversations, encoding, text).len(), 1, "{text} tells nothing");
            assert_eq!(conversations.encoding(PEER.into()), Encoding::Gb18030);
        }
        assert_eq!(hear(&mut conversations, Encoding::Utf8, "好").len(), 2);
        assert_eq!(conversations.encoding(PEER.into()), Encoding::Utf8);
    }

    #[test]
    fn bye_ends_the_conversation() {
        let mut conversations = Conversations::default();
        hear(&mut conversations, Encoding::Gb18030, "好");
        let ops = hear(&mut conversations, Encoding::Gb18030, "bye");
        assert!(matches!(&ops[0], Op::Append(_, Event::Received { bye: true, .. })), "{ops:?}");
        assert!(matches!(ops[1], Op::Conversation(_, _, Encoding::Utf8)), "{ops:?}");
        assert_eq!(conversations.encoding(PEER.into()), Encoding::Utf8);
    }

    #[test]
    fn conversations_are_bounded_and_the_oldest_go() {
        let mut conversations = Conversations::default();
        let last = u16::try_from(limits::CONVERSATIONS).unwrap();
        let peer = |port: u16| SocketAddr::from(([10, 0, 0, 9], port));
        let mut kept = HashSet::new();
        for port in 0..=last {
            let line = Line { text: "好".into(), encoding: Encoding::Gb18030 };
            let arrived = Arrived { from: peer(port), local: None, line };
            conversations.on_line(NOW.plus_millis(i64::from(port)), arrived, |op| match op {
                Op::Conversation(_, peer, Encoding::Gb18030) => assert!(kept.insert(peer)),
                Op::Conversation(_, peer, _) => assert!(kept.remove(&peer)),
                _ => {}
            });
        }
        assert_eq!(kept, conversations.0.keys().copied().collect(), "the store forgets the same ones");
        assert!(conversations.0.len() <= limits::CONVERSATIONS);
        assert_eq!(conversations.encoding(peer(0)), Encoding::Utf8);
        assert_eq!(conversations.encoding(peer(last)), Encoding::Gb18030);
    }
}
