//! What becomes of messages of ours after they were committed. Used by `send --wait` and `chat`.

use crate::address::is_plain;
use crate::exit::{Exit, Failure, Outcome, common};
use crate::listener::Listener;
use crate::output::say;
use netkit_proto::ids::Seq;
use netkit_proto::rpc::event::{Event, Record};
use netkit_proto::rpc::filter::Filter;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The kinds of event that [`Pending`] wants to be told.
pub(crate) const TOPICS: [&str; 4] =
    ["message.sent", "message.delivered", "message.refused", "message.expired"];

/// What of messages that are still queued can be said.
const GOES_ON: &str = "netkitd goes on trying; netkitctl tail --sent -f shows what becomes of it";

/// Messages whose end is not known yet: a peer, or each peer of a room, has it on its disk or never will. For a plain
/// peer, to be sent is the end: it gives no receipt.
#[derive(Debug)]
pub(crate) struct Pending {
    /// They go to a plain peer.
    plain: bool,
    messages: BTreeMap<Seq, Way>,
    failures: Vec<Exit>,
}

/// How far a message is.
#[derive(Debug)]
struct Way {
    /// How many have not got it yet. What they are called may change on the way, how many they are does not.
    left: usize,
    /// To a room: who they are.
    to: Vec<String>,
}

impl Way {
    fn new(to: &[String]) -> Way {
        Way { left: to.len().max(1), to: to.to_vec() }
    }
}

impl Pending {
    /// None yet of those that go to this destination.
    pub(crate) fn of(dest: &str) -> Pending {
        Pending { plain: is_plain(dest), messages: BTreeMap::new(), failures: Vec::new() }
    }

    /// Waits for this one too, which goes to all of these, where netkitd named them.
    pub(crate) fn add(&mut self, message: Seq, to: &[String]) {
        self.messages.insert(message, Way::new(to));
    }

    /// Whether everything has come to its end.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Takes note of an event; a failure of one of these messages is told on stderr.
    pub(crate) fn on_event(&mut self, record: &Record) {
        match &record.event {
            // Of a message that was there before: it went to those who were in the room then.
            Event::Queued { to, .. } => {
                if let Some(way) = self.messages.get_mut(&record.seq) {
                    *way = Way::new(to);
                }
            }
            Event::Sent { message, peer } if is_plain(peer) => self.ended(*message, peer, None),
            Event::Delivered { messages, peer } => {
                messages.iter().for_each(|&message| self.ended(message, peer, None));
            }
            Event::Refused { message, peer, reason, maybe_delivered } => {
                let doubt = if *maybe_delivered { "; it may have arrived" } else { "" };
                let why = format!("message {message} to {peer} was refused: {reason}{doubt}");
                self.ended(*message, peer, Some((Exit::Refused, &why)));
            }
            Event::Expired { message, peer, maybe_delivered } => {
                let what = match (maybe_delivered, is_plain(peer)) {
                    (true, _) => "; it may have arrived",
                    (false, true) => " before it could be sent",
                    (false, false) => " before it could be delivered",
                };
                let why = format!("message {message} to {peer} expired{what}");
                self.ended(*message, peer, Some((Exit::Unfinished, &why)));
            }
            _ => {}
        }
    }

    fn ended(&mut self, message: Seq, peer: &str, failure: Option<(Exit, &str)>) {
        let Some(way) = self.messages.get_mut(&message) else { return };
        way.left -= 1;
        way.to.retain(|name| name != peer);
        if way.left == 0 {
            self.messages.remove(&message);
        }
        if let Some((exit, why)) = failure {
            say(why);
            self.failures.push(exit);
        }
    }

    /// Waits until everything has come to its end, and says how that was.
    ///
    /// # Errors
    /// What failed, or [`Exit::Unfinished`] where `deadline` came first.
    pub(crate) fn wait(&mut self, listener: &mut Listener, deadline: Instant) -> Outcome {
        while !self.is_empty() {
            match listener.next(Some(deadline))? {
                Some((record, _)) => self.on_event(&record),
                None => break,
            }
        }
        self.verdict()
    }

    /// Nobody waits any more for those that have not come to their end.
    #[must_use]
    pub(crate) fn left(&self, exit: Exit) -> Failure {
        match (self.which(), self.messages.len()) {
            (None, _) => Failure::silent(exit),
            (Some(which), many) => {
                let stay = if many == 1 { "stays" } else { "stay" };
                Failure::new(exit, format!("{which} {stay} queued")).hint(GOES_ON)
            }
        }
    }

    /// Those that have not come to their end.
    fn which(&self) -> Option<String> {
        let first = self.messages.keys().next()?;
        Some(match self.messages.len() {
            1 => format!("message {first}"),
            many => format!("{many} messages, the first of them {first},"),
        })
    }

    /// How it has ended.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub(crate) fn verdict(&self) -> Outcome {
        let late = self.messages.keys().map(|_| Exit::Unfinished);
        let Some(exit) = common(self.failures.iter().copied().chain(late)) else { return Ok(()) };
        let Some(which) = self.which() else {
            return Err(Failure::silent(exit)); // each was told when it happened
        };
        let missing: BTreeSet<&str> =
            self.messages.values().flat_map(|way| &way.to).map(String::as_str).collect();
        let what = match (self.messages.len(), missing.is_empty()) {
            (_, false) => {
                format!("did not reach {} in time", missing.into_iter().collect::<Vec<_>>().join(", "))
            }
            (1, true) => format!("was not {} in time", if self.plain { "sent" } else { "delivered" }),
            (_, true) => format!("were not {} in time", if self.plain { "sent" } else { "delivered" }),
        };
        Err(Failure::new(exit, format!("{which} {what}")).hint(format!("still queued: {GOES_ON}")))
    }
}

/// A filter for these kinds of event.
#[must_use]
pub(crate) fn topics(kinds: &[&str]) -> Filter {
    Filter { topics: kinds.iter().map(|&kind| kind.to_owned()).collect(), ..Filter::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkit_proto::time::Timestamp;

    const PLAIN: &str = "udp://10.0.0.9:9";

    impl Pending {
        fn happens(&mut self, event: Event) {
            self.on_event(&Record { seq: Seq(99), at: Timestamp(0), event });
        }

        fn delivered(&mut self, messages: &[u64], peer: &str) {
            let messages = messages.iter().map(|&message| Seq(message)).collect();
            self.happens(Event::Delivered { messages, peer: peer.into() });
        }

        fn refused(&mut self, message: u64, peer: &str) {
            let (peer, reason) = (peer.into(), "no".into());
            self.happens(Event::Refused { message: Seq(message), peer, reason, maybe_delivered: false });
        }

        fn told(&self) -> Result<(), (Exit, String)> {
            self.verdict().map_err(|failure| (failure.exit, failure.message))
        }
    }

    #[test]
    fn the_end_of_every_message_counts() {
        let mut pending = Pending::of(PLAIN);
        assert_eq!(pending.verdict(), Ok(()));
        pending.add(Seq(3), &[]);
        pending.add(Seq(5), &[]);
        pending.happens(Event::Sent { message: Seq(4), peer: PLAIN.into() });
        pending.happens(Event::Sent { message: Seq(3), peer: PLAIN.into() });
        assert_eq!(pending.told(), Err((Exit::Unfinished, "message 5 was not sent in time".into())));
        pending.refused(5, PLAIN);
        assert_eq!(pending.verdict(), Err(Failure::silent(Exit::Refused)));
    }

    #[test]
    fn for_a_peer_only_its_receipt_is_the_end() {
        let mut pending = Pending::of("bob");
        pending.add(Seq(3), &[]);
        pending.happens(Event::Sent { message: Seq(3), peer: "bob".into() });
        assert_eq!(pending.told(), Err((Exit::Unfinished, "message 3 was not delivered in time".into())));
        pending.delivered(&[2, 3], "bob~k7q2xm");
        assert!(pending.is_empty() && pending.verdict().is_ok());
        pending.add(Seq(4), &[]);
        let peer = "bob".to_owned();
        pending.happens(Event::Expired { message: Seq(4), peer, maybe_delivered: true });
        assert_eq!(pending.verdict(), Err(Failure::silent(Exit::Unfinished)));
    }

    #[test]
    fn a_room_has_it_when_each_of_its_members_has() {
        let to = ["alice", "bob", "carol"].map(str::to_owned);
        let mut pending = Pending::of("@ops");
        pending.add(Seq(3), &to);
        pending.add(Seq(4), &to);
        pending.delivered(&[3, 4], "alice");
        pending.delivered(&[3], "carol");
        let late = |what: &str| Err((Exit::Unfinished, what.to_owned()));
        assert_eq!(pending.told(), late("2 messages, the first of them 3, did not reach bob, carol in time"));
        pending.delivered(&[3], "bob");
        pending.delivered(&[4], "carol");
        assert_eq!(pending.told(), late("message 4 did not reach bob in time"));
        pending.delivered(&[4], "bob~k7q2xm");
        assert_eq!(pending.told(), Ok(()), "what a peer is called may change on the way");
    }

    #[test]
    fn a_room_that_refuses_and_waits_fails_in_both_ways() {
        let mut pending = Pending::of("@ops");
        pending.add(Seq(3), &["alice".to_owned(), "bob".to_owned()]);
        pending.refused(3, "alice");
        assert_eq!(pending.told().map_err(|(exit, _)| exit), Err(Exit::Failed));
        pending.delivered(&[3], "bob");
        assert_eq!(pending.verdict(), Err(Failure::silent(Exit::Refused)));
    }

    #[test]
    fn a_repeated_message_went_to_those_of_then() {
        let mut pending = Pending::of("@ops");
        pending.add(Seq(3), &["bob".to_owned(), "newcomer".to_owned()]);
        let event = Event::Queued {
            peer: "@ops".into(),
            to: vec!["bob".into()],
            room: Some("ops".into()),
            text: "x".into(),
            bye: false,
            expires: Timestamp(0),
        };
        pending.on_event(&Record { seq: Seq(3), at: Timestamp(0), event });
        pending.delivered(&[3], "bob");
        assert!(pending.is_empty());
    }
}
