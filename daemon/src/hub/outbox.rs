//! Messages that are committed and not yet sent: which goes next, which waits because its peer can't be reached,
//! which has waited too long. Takes the time as an argument; the store has the durable copy.

use super::peer_name;
use crate::limits;
use crate::store::{Op, Outgoing};
use netkit_proto::ids::Seq;
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

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

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    messages: BTreeMap<Seq, Outgoing>,
    /// Messages that can be sent now, in their order.
    ready: BTreeSet<Seq>,
    /// Messages whose turn came too late; the next tick gives them up.
    overdue: Vec<Seq>,
    /// Messages of before the start: a netkitd that was killed may have sent them and not noted it.
    of_before: HashSet<Seq>,
    /// Peers that the last datagram could not be sent to.
    retries: HashMap<SocketAddr, Retry>,
}

impl Outbox {
    pub(super) fn new(messages: Vec<Outgoing>) -> Outbox {
        Outbox {
            ready: messages.iter().map(|out| out.message).collect(),
            overdue: Vec::new(),
            of_before: messages.iter().map(|out| out.message).collect(),
            messages: messages.into_iter().map(|out| (out.message, out)).collect(),
            retries: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// A message is committed: it can go.
    pub(super) fn insert(&mut self, out: Outgoing) {
        self.ready.insert(out.message);
        self.messages.insert(out.message, out);
    }

    /// The next message to send, in their order; those to a peer that can't be reached wait.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<&Outgoing> {
        while let Some(message) = self.ready.pop_first() {
            let Some(&Outgoing { address, expires, .. }) = self.messages.get(&message) else { continue };
            if expires <= now {
                self.overdue.push(message);
                continue;
            }
            match self.retries.get_mut(&address).filter(|retry| !retry.probing) {
                Some(retry) => retry.held.insert(message),
                None => return self.messages.get(&message),
            };
        }
        None
    }

    /// A datagram was sent, or could not be: what to commit.
    pub(super) fn on_sent(&mut self, now: Timestamp, message: Seq, result: &io::Result<()>) -> Option<Op> {
        let out = self.messages.get(&message)?;
        let (address, peer) = (out.address, peer_name(out.address));
        let event = match result {
            Ok(()) => Event::Sent { message, peer },
            Err(error) if is_final(error) => {
                let reason = format!("the system refuses to send there: {error}");
                Event::Refused { message, peer, reason, maybe_delivered: self.of_before.contains(&message) }
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
        self.of_before.remove(&message);
        if let Some(out) = self.messages.remove(&message)
            && let Some(retry) = self.retries.get_mut(&out.address)
        {
            retry.held.remove(&message);
        }
    }

    /// Looks at what has become due: ends pauses, and gives the messages to commit as expired.
    pub(super) fn on_tick(&mut self, now: Timestamp) -> Vec<Op> {
        let mut overdue = std::mem::take(&mut self.overdue);
        for retry in self.retries.values_mut() {
            let is_due = |message: &Seq| self.messages.get(message).is_some_and(|out| out.expires <= now);
            overdue.extend(retry.held.extract_if(.., is_due));
        }
        let expire = |message: Seq| {
            let peer = peer_name(self.messages.get(&message)?.address);
            let maybe_delivered = self.of_before.contains(&message);
            Some(Op::Settle(now, message, Event::Expired { message, peer, maybe_delivered }))
        };
        let expired = overdue.into_iter().filter_map(expire).collect();
        if self.retries.is_empty() {
            return expired;
        }
        // A clock that was set back does not hold up anybody.
        let is_over = |retry: &&mut Retry| {
            let pause = retry.not_before.0.saturating_sub(now.0);
            pause <= 0 || i128::from(pause) > limits::RETRY_LONGEST.as_millis().cast_signed()
        };
        for retry in self.retries.values_mut().filter(is_over) {
            retry.probing = true;
            self.ready.append(&mut retry.held);
        }
        let waits: HashSet<SocketAddr> = self.messages.values().map(|out| out.address).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn seconds(n: i64) -> Timestamp {
        NOW.plus_millis(n * 1000)
    }

    fn out(message: u64, port: u16) -> Outgoing {
        let address = SocketAddr::from(([10, 0, 0, 9], port));
        Outgoing { message: Seq(message), address, datagram: vec![1], expires: seconds(1000) }
    }

    fn numbers(outbox: &mut Outbox) -> Vec<u64> {
        std::iter::from_fn(|| outbox.next(NOW).map(|out| out.message.0)).collect()
    }

    fn unreachable() -> io::Result<()> {
        Err(rustix::io::Errno::NETUNREACH.into())
    }

    #[test]
    fn messages_go_in_order_and_once() {
        let mut outbox = Outbox::new(vec![out(1, 1), out(2, 2)]);
        outbox.insert(out(3, 1));
        assert_eq!(numbers(&mut outbox), [1, 2, 3]);
        assert_eq!(numbers(&mut outbox), [] as [u64; 0]);
        assert!(matches!(
            outbox.on_sent(NOW, Seq(3), &Ok(())),
            Some(Op::Settle(_, Seq(3), Event::Sent { .. }))
        ));
        outbox.settled(Seq(3));
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn an_unreachable_peer_waits_longer_each_time_and_holds_up_no_other() {
        let mut outbox = Outbox::new(vec![out(1, 1), out(2, 1), out(3, 2)]);
        assert_eq!(numbers(&mut outbox), [1, 2, 3]);
        assert!(outbox.on_sent(NOW, Seq(1), &unreachable()).is_none());
        assert!(outbox.on_sent(NOW, Seq(2), &unreachable()).is_none());
        outbox.insert(out(4, 1));
        outbox.insert(out(5, 2));
        assert_eq!(numbers(&mut outbox), [5]);
        outbox.on_tick(NOW);
        assert_eq!(numbers(&mut outbox), [] as [u64; 0], "the pause is not over");
        outbox.on_tick(seconds(1));
        assert_eq!(numbers(&mut outbox), [1, 2, 4]);
        assert!(outbox.on_sent(seconds(1), Seq(1), &unreachable()).is_none());
        outbox.on_tick(seconds(2));
        assert_eq!(numbers(&mut outbox), [] as [u64; 0], "the second pause is longer");
        outbox.on_tick(seconds(3));
        assert_eq!(numbers(&mut outbox), [1]);
        assert!(outbox.on_sent(seconds(3), Seq(1), &Ok(())).is_some());
    }

    #[test]
    fn what_waits_too_long_expires() {
        let mut outbox = Outbox::new(vec![out(1, 1)]);
        assert_eq!(numbers(&mut outbox), [1]);
        assert!(outbox.on_sent(NOW, Seq(1), &unreachable()).is_none());
        let ops = outbox.on_tick(seconds(1000));
        assert!(matches!(ops.as_slice(), [Op::Settle(_, Seq(1), Event::Expired { .. })]), "{ops:?}");
        outbox.settled(Seq(1));
        assert!(outbox.on_tick(seconds(1001)).is_empty());
        assert!(outbox.retries.is_empty() && outbox.messages.is_empty());
    }

    #[test]
    fn what_expired_before_its_turn_is_not_sent() {
        // As after a start: whether a netkitd that was killed sent it is not known.
        let mut outbox = Outbox::new(vec![out(1, 1)]);
        assert!(outbox.next(seconds(1000)).is_none());
        let ops = outbox.on_tick(seconds(1000));
        assert!(
            matches!(ops.as_slice(), [Op::Settle(_, Seq(1), Event::Expired { maybe_delivered: true, .. })]),
            "{ops:?}"
        );
        assert!(outbox.on_tick(seconds(1001)).is_empty(), "once");
        outbox.insert(out(2, 1));
        assert!(outbox.next(seconds(1000)).is_none());
        let ops = outbox.on_tick(seconds(1000));
        assert!(
            matches!(ops.as_slice(), [Op::Settle(_, Seq(2), Event::Expired { maybe_delivered: false, .. })]),
            "{ops:?}"
        );
    }

    #[test]
    fn a_clock_that_is_set_back_holds_up_nobody() {
        let mut outbox = Outbox::new(vec![out(1, 1)]);
        outbox.next(NOW).unwrap();
        let unreachable = Err(rustix::io::Errno::NETUNREACH.into());
        assert!(outbox.on_sent(NOW, Seq(1), &unreachable).is_none());
        outbox.on_tick(NOW);
        assert!(outbox.next(NOW).is_none(), "it is too soon");
        let set_back = seconds(-8 * 3600);
        outbox.on_tick(set_back);
        assert!(outbox.next(set_back).is_some());
    }

    #[test]
    fn what_can_never_be_sent_is_refused() {
        let mut outbox = Outbox::new(vec![out(1, 1)]);
        let result = Err(rustix::io::Errno::ACCESS.into());
        assert!(matches!(
            outbox.on_sent(NOW, Seq(1), &result),
            Some(Op::Settle(_, _, Event::Refused { .. }))
        ));
    }
}
