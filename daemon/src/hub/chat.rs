//! What the hub knows of plain peers: how each is answered, and what waits to be sent to them. Plain methods that
//! take the time as an argument; the hub commits what they ask for, then tells them.

use super::handle::{Arrived, Datagram, SendRequest};
use crate::limits;
use crate::store::{Op, Outgoing};
use netkit_proto::chat::plain::{self, Encoding, PlainEncoding};
use netkit_proto::ids::Seq;
use netkit_proto::rpc::code::{Error, Kind};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How events name a plain peer.
pub(super) fn peer_name(address: SocketAddr) -> String {
    format!("udp://{address}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Conversation {
    /// What arrived last from there.
    encoding: Encoding,
    /// The address of ours that it was sent to.
    local: Option<IpAddr>,
    at: Timestamp,
}

/// A peer that the last datagram could not be sent to.
#[derive(Debug)]
struct Retry {
    not_before: Timestamp,
    pause: Duration,
    /// The pause is over: datagrams go again, and show whether it was long enough.
    probing: bool,
    /// Its messages that wait for the pause to end.
    held: BTreeSet<Seq>,
}

/// Conversations and the outbox.
#[derive(Debug, Default)]
pub(super) struct Chat {
    conversations: HashMap<SocketAddr, Conversation>,
    outbox: BTreeMap<Seq, Outgoing>,
    /// Messages of the outbox that can be sent now, in their order.
    ready: BTreeSet<Seq>,
    /// Peers that the last datagram could not be sent to.
    retries: HashMap<SocketAddr, Retry>,
}

/// What to remember once a line that arrived is committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    from: SocketAddr,
    local: Option<IpAddr>,
    encoding: Encoding,
    bye: bool,
}

impl Chat {
    pub(super) fn new(outbox: Vec<Outgoing>, conversations: &[(SocketAddr, Encoding, Timestamp)]) -> Chat {
        let conversation = |&(address, encoding, at)| (address, Conversation { encoding, local: None, at });
        Chat {
            conversations: conversations.iter().map(conversation).collect(),
            ready: outbox.iter().map(|out| out.message).collect(),
            outbox: outbox.into_iter().map(|out| (out.message, out)).collect(),
            retries: HashMap::new(),
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.outbox.len()
    }

    fn encoding(&self, peer: SocketAddr) -> Encoding {
        self.conversations.get(&peer).map_or(Encoding::Utf8, |c| c.encoding)
    }

    /// A line arrived: what to commit, and what to remember when that is done.
    pub(super) fn on_line(&self, now: Timestamp, arrived: Arrived, mut commit: impl FnMut(Op)) -> Heard {
        let Arrived { from, local, line } = arrived;
        let bye = line.is_bye();
        let encoding = line.encoding;
        let event = Event::Received {
            peer: peer_name(from),
            room: None,
            verified: false,
            encoding,
            text: line.text,
            bye,
        };
        commit(Op::Append(now, event));
        let next = if bye { Encoding::Utf8 } else { encoding };
        if (next == Encoding::Gb18030) != (self.encoding(from) == Encoding::Gb18030) {
            commit(Op::Conversation(now, from, next));
        }
        Heard { from, local, encoding, bye }
    }

    /// The line is committed.
    pub(super) fn heard(&mut self, now: Timestamp, heard: Heard) {
        if heard.bye {
            self.conversations.remove(&heard.from);
            return;
        }
        if self.conversations.len() >= limits::CONVERSATIONS && !self.conversations.contains_key(&heard.from)
        {
            self.forget_oldest();
        }
        let Heard { from, local, encoding, .. } = heard;
        self.conversations.insert(from, Conversation { encoding, local, at: now });
    }

    /// Forgets the older half, so that the cost is spread over as many newcomers.
    fn forget_oldest(&mut self) {
        let mut times: Vec<Timestamp> = self.conversations.values().map(|c| c.at).collect();
        let middle = times.len() / 2;
        let (_, &mut median, _) = times.select_nth_unstable(middle);
        self.conversations.retain(|_, c| c.at > median);
    }

    /// A message is to be sent: what to commit.
    pub(super) fn on_send(
        &self,
        now: Timestamp,
        encoding: PlainEncoding,
        send: SendRequest,
    ) -> Result<Op, Error> {
        if self.outbox.len() >= limits::OUTBOX {
            return Err(Error::new(
                Kind::Busy,
                format_args!("{} messages wait to be sent already", limits::OUTBOX),
            )
            .hint(
                "netkitctl status tells how many wait; they go when their peers can be reached, or expire",
            ));
        }
        let encoding = match encoding {
            PlainEncoding::Auto => self.encoding(send.address),
            PlainEncoding::Utf8 => Encoding::Utf8,
            PlainEncoding::Gb18030 => Encoding::Gb18030,
        };
        let datagram = plain::encode(&send.text, encoding).map_err(|e| match e {
            plain::EncodeError::TooLong(_) => Error::new(Kind::TooLarge, e).hint(
                "send it in shorter lines: netkitctl send -l sends one message for each line of its input",
            ),
            plain::EncodeError::Unmappable => {
                Error::new(Kind::Refused, e).hint("send it without that character")
            }
        })?;
        let expire = send.expire.unwrap_or(limits::EXPIRE_DEFAULT).min(limits::EXPIRE_MAX);
        let expires = now.plus_millis(i64::try_from(expire.as_millis()).unwrap_or(i64::MAX));
        let digest = digest(&send);
        let bye = plain::is_bye(&send.text);
        let event =
            Event::Queued { peer: peer_name(send.address), room: None, text: send.text, bye, expires };
        let key = send.key.map(|key| (send.uid, key, digest));
        Ok(Op::Queue { at: now, event, address: send.address, datagram, expires, key })
    }

    /// A message is committed: it can go.
    pub(super) fn queue(&mut self, out: Outgoing) {
        self.ready.insert(out.message);
        self.outbox.insert(out.message, out);
    }

    /// The next datagram to send, in the order of the messages; those to a peer that can't be reached wait.
    pub(super) fn next_datagram(&mut self) -> Option<Datagram> {
        while let Some(message) = self.ready.pop_first() {
            let Some(out) = self.outbox.get(&message) else { continue };
            if let Some(retry) = self.retries.get_mut(&out.address).filter(|retry| !retry.probing) {
                retry.held.insert(message);
                continue;
            }
            let from = self.conversations.get(&out.address).and_then(|c| c.local);
            return Some(Datagram { message, to: out.address, from, bytes: out.datagram.clone() });
        }
        None
    }

    /// A datagram was sent, or could not be: what to commit.
    pub(super) fn on_sent(&mut self, now: Timestamp, message: Seq, result: &io::Result<()>) -> Option<Op> {
        let out = self.outbox.get(&message)?;
        let (address, peer) = (out.address, peer_name(out.address));
        let event = match result {
            Ok(()) => Event::Sent { message, peer },
            Err(error) if is_final(error) => {
                let reason = format!("the system refuses to send there: {error}");
                Event::Refused { message, peer, reason }
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "could not send; will try again");
                self.hold(now, address, message);
                return None;
            }
        };
        if let Some(retry) = self.retries.remove(&address) {
            self.ready.extend(retry.held);
        }
        Some(Op::Settle(now, message, event))
    }

    /// Makes a message wait, and the others to its peer with it; twice as long as the last time.
    fn hold(&mut self, now: Timestamp, address: SocketAddr, message: Seq) {
        let first = Retry { not_before: now, pause: Duration::ZERO, probing: true, held: BTreeSet::new() };
        let retry = self.retries.entry(address).or_insert(first);
        if retry.probing {
            retry.probing = false;
            retry.pause = (2 * retry.pause).clamp(limits::RETRY_FIRST, limits::RETRY_LONGEST);
            retry.not_before = now.plus_millis(i64::try_from(retry.pause.as_millis()).unwrap_or(i64::MAX));
        }
        retry.held.insert(message);
    }

    /// What became of a message is committed.
    pub(super) fn settled(&mut self, message: Seq) {
        self.ready.remove(&message);
        if let Some(out) = self.outbox.remove(&message)
            && let Some(retry) = self.retries.get_mut(&out.address)
        {
            retry.held.remove(&message);
        }
    }

    /// Looks at what has become due: ends pauses, and gives the messages to commit as expired.
    pub(super) fn on_tick(&mut self, now: Timestamp) -> Vec<Op> {
        let mut expired = Vec::new();
        if self.retries.is_empty() {
            return expired; // what waits for no pause is on its way
        }
        for retry in self.retries.values_mut() {
            retry.held.retain(|message| {
                let Some(out) = self.outbox.get(message).filter(|out| out.expires <= now) else {
                    return true;
                };
                let (message, peer) = (out.message, peer_name(out.address));
                let event = Event::Expired { message, peer, maybe_delivered: false };
                expired.push(Op::Settle(now, message, event));
                false
            });
        }
        for retry in self.retries.values_mut().filter(|retry| retry.not_before <= now) {
            retry.probing = true;
            self.ready.append(&mut retry.held);
        }
        let waits: HashSet<SocketAddr> = self.outbox.values().map(|out| out.address).collect();
        self.retries.retain(|address, _| waits.contains(address));
        expired
    }
}

/// Whether trying again can't help: the address family, the address or the right to send there is missing.
fn is_final(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::INVAL | Errno::ACCESS | Errno::MSGSIZE))
}

/// What a key stands for: the destination as named, the time to wait, the text.
fn digest(send: &SendRequest) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(send.to.as_bytes()).update(&[0]);
    hasher.update(&send.expire.map_or(u64::MAX, |expire| expire.as_secs()).to_le_bytes());
    hasher.update(send.text.as_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::chat::plain::Line;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 9], port))
    }

    fn seconds(n: i64) -> Timestamp {
        NOW.plus_millis(n * 1000)
    }

    fn out(message: u64, port: u16) -> Outgoing {
        let (address, expires) = (address(port), seconds(1000));
        Outgoing { message: Seq(message), address, datagram: vec![1], expires }
    }

    fn numbers(chat: &mut Chat) -> Vec<u64> {
        std::iter::from_fn(|| chat.next_datagram()).map(|d| d.message.0).collect()
    }

    fn request(port: u16, text: &str) -> SendRequest {
        let (to, text) = (peer_name(address(port)), text.to_owned());
        SendRequest { uid: 0, to, address: address(port), text, key: None, expire: None }
    }

    fn unreachable() -> io::Result<()> {
        Err(rustix::io::Errno::NETUNREACH.into())
    }

    fn hear(chat: &mut Chat, port: u16, encoding: Encoding, text: &str) -> Vec<String> {
        let line = Line { text: text.into(), encoding };
        let mut ops = Vec::new();
        let arrived = Arrived { from: address(port), local: None, line };
        let heard = chat.on_line(NOW, arrived, |op| ops.push(format!("{op:?}")));
        chat.heard(NOW, heard);
        ops
    }

    fn datagram(chat: &Chat, port: u16) -> Vec<u8> {
        match chat.on_send(NOW, PlainEncoding::Auto, request(port, "你")).unwrap() {
            Op::Queue { datagram, .. } => datagram,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_peer_is_answered_as_it_spoke_last() {
        let mut chat = Chat::default();
        assert_eq!(datagram(&chat, 1), "你".as_bytes());
        assert_eq!(
            hear(&mut chat, 1, Encoding::Gb18030, "好").len(),
            2,
            "the line, and the change of encoding"
        );
        assert_eq!(hear(&mut chat, 1, Encoding::Gb18030, "好").len(), 1, "no change");
        assert_eq!(datagram(&chat, 1), b"\xC4\xE3");
        assert_eq!(datagram(&chat, 2), "你".as_bytes(), "another peer");
        assert_eq!(hear(&mut chat, 1, Encoding::Utf8, "好").len(), 2);
        assert_eq!(datagram(&chat, 1), "你".as_bytes());
    }

    #[test]
    fn bye_ends_the_conversation() {
        let mut chat = Chat::default();
        hear(&mut chat, 1, Encoding::Gb18030, "好");
        let ops = hear(&mut chat, 1, Encoding::Gb18030, "bye");
        assert!(ops[0].contains("bye: true") && ops[1].contains("Utf8"), "{ops:?}");
        assert_eq!(datagram(&chat, 1), "你".as_bytes());
    }

    #[test]
    fn conversations_are_bounded_and_the_oldest_go() {
        let mut chat = Chat::default();
        for n in 0..=limits::CONVERSATIONS {
            let port = u16::try_from(n).unwrap();
            let heard = Heard { from: address(port), local: None, encoding: Encoding::Gb18030, bye: false };
            chat.heard(seconds(i64::from(port)), heard);
        }
        assert!(chat.conversations.len() <= limits::CONVERSATIONS);
        assert!(!chat.conversations.contains_key(&address(0)));
        assert!(chat.conversations.contains_key(&address(u16::try_from(limits::CONVERSATIONS).unwrap())));
    }

    #[test]
    fn a_full_outbox_refuses() {
        let mut chat = Chat::default();
        (0..limits::OUTBOX as u64).for_each(|n| chat.queue(out(n, 1)));
        let error = chat.on_send(NOW, PlainEncoding::Auto, request(1, "x")).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
    }

    #[test]
    fn messages_go_in_order_and_once() {
        let mut chat = Chat::new(vec![out(1, 1), out(2, 2)], &[]);
        chat.queue(out(3, 1));
        assert_eq!(numbers(&mut chat), [1, 2, 3]);
        assert_eq!(numbers(&mut chat), [] as [u64; 0]);
        assert!(matches!(
            chat.on_sent(NOW, Seq(3), &Ok(())),
            Some(Op::Settle(_, Seq(3), Event::Sent { .. }))
        ));
        chat.settled(Seq(3));
        assert_eq!(chat.queued(), 2);
    }

    #[test]
    fn an_unreachable_peer_waits_longer_each_time_and_holds_up_no_other() {
        let mut chat = Chat::new(vec![out(1, 1), out(2, 1), out(3, 2)], &[]);
        assert_eq!(numbers(&mut chat), [1, 2, 3]);
        assert!(chat.on_sent(NOW, Seq(1), &unreachable()).is_none());
        assert!(chat.on_sent(NOW, Seq(2), &unreachable()).is_none());
        chat.queue(out(4, 1));
        chat.queue(out(5, 2));
        assert_eq!(numbers(&mut chat), [5]);
        chat.on_tick(NOW);
        assert_eq!(numbers(&mut chat), [] as [u64; 0], "the pause is not over");
        chat.on_tick(seconds(1));
        assert_eq!(numbers(&mut chat), [1, 2, 4]);
        assert!(chat.on_sent(seconds(1), Seq(1), &unreachable()).is_none());
        chat.on_tick(seconds(2));
        assert_eq!(numbers(&mut chat), [] as [u64; 0], "the second pause is longer");
        chat.on_tick(seconds(3));
        assert_eq!(numbers(&mut chat), [1]);
        assert!(chat.on_sent(seconds(3), Seq(1), &Ok(())).is_some());
    }

    #[test]
    fn what_waits_too_long_expires() {
        let mut chat = Chat::new(vec![out(1, 1)], &[]);
        assert_eq!(numbers(&mut chat), [1]);
        assert!(chat.on_sent(NOW, Seq(1), &unreachable()).is_none());
        let ops = chat.on_tick(seconds(1000));
        assert!(matches!(ops.as_slice(), [Op::Settle(_, Seq(1), Event::Expired { .. })]), "{ops:?}");
        chat.settled(Seq(1));
        assert!(chat.on_tick(seconds(1001)).is_empty());
        assert!(chat.retries.is_empty() && chat.outbox.is_empty());
    }

    #[test]
    fn what_can_never_be_sent_is_refused() {
        let mut chat = Chat::new(vec![out(1, 1)], &[]);
        let result = Err(rustix::io::Errno::ACCESS.into());
        assert!(matches!(chat.on_sent(NOW, Seq(1), &result), Some(Op::Settle(_, _, Event::Refused { .. }))));
    }
}
