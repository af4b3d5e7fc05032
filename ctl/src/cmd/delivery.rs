//! What becomes of messages of ours after they were committed. Used by `send --wait` and `chat`.

use crate::exit::{Exit, Failure, Outcome, common};
use crate::listener::Listener;
use crate::output::{escape_line, say};
use netkit_proto::ids::Seq;
use netkit_proto::rpc::event::{Event, Filter};
use std::collections::BTreeSet;
use std::time::Instant;

/// The kinds of event that [`Pending`] wants to be told.
pub(crate) const TOPICS: [&str; 4] =
    ["message.sent", "message.delivered", "message.refused", "message.expired"];

/// Messages whose end is not known yet. For a plain peer, to be sent is the end: it gives no receipt.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    messages: BTreeSet<Seq>,
    failures: Vec<Exit>,
}

impl Pending {
    /// Waits for this one too.
    pub(crate) fn add(&mut self, message: Seq) {
        self.messages.insert(message);
    }

    /// Whether everything has come to its end.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Takes note of an event; a failure of one of these messages is told on stderr.
    pub(crate) fn on_event(&mut self, event: &Event) {
        let (message, failure) = match event {
            Event::Sent { message, .. } => (message, None),
            Event::Refused { message, peer, reason } => {
                let why = format!("message {message} to {} was refused: {reason}", escape_line(peer));
                (message, Some((Exit::Refused, why)))
            }
            Event::Expired { message, peer, maybe_delivered } => {
                let what =
                    if *maybe_delivered { "; it may have arrived" } else { " before it could be sent" };
                let why = format!("message {message} to {} expired{what}", escape_line(peer));
                (message, Some((Exit::Unfinished, why)))
            }
            Event::Received { .. }
            | Event::Queued { .. }
            | Event::DownloadQueued { .. }
            | Event::DownloadActive { .. }
            | Event::DownloadRestarted { .. }
            | Event::DownloadPaused { .. }
            | Event::DownloadRetryWait { .. }
            | Event::DownloadVerifying { .. }
            | Event::DownloadDone { .. }
            | Event::DownloadFailed { .. }
            | Event::DownloadCancelled { .. }
            | Event::DownloadRemoved { .. }
            | Event::Gap { .. }
            | Event::Other => return,
        };
        if self.messages.remove(message)
            && let Some((exit, why)) = failure
        {
            say(&why);
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
                Some((record, _)) => self.on_event(&record.event),
                None => break,
            }
        }
        self.verdict()
    }

    /// How it has ended.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub(crate) fn verdict(&self) -> Outcome {
        if let Some(first) = self.messages.first() {
            let which = match self.messages.len() {
                1 => format!("message {first} was not sent in time"),
                many => format!("{many} messages, the first of them {first}, were not sent in time"),
            };
            return Err(Failure::new(Exit::Unfinished, which).hint(
                "still queued: netkitd goes on trying; netkitctl tail --sent -f shows what becomes of it",
            ));
        }
        match common(self.failures.iter().copied()) {
            None => Ok(()),
            Some(exit) => Err(Failure::silent(exit)), // each was told when it happened
        }
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

    #[test]
    fn the_end_of_every_message_counts() {
        let peer = || "udp://10.0.0.9:9".to_owned();
        let mut pending = Pending::default();
        assert_eq!(pending.verdict(), Ok(()));
        pending.add(Seq(3));
        pending.add(Seq(5));
        pending.on_event(&Event::Sent { message: Seq(4), peer: peer() });
        pending.on_event(&Event::Sent { message: Seq(3), peer: peer() });
        assert_eq!(pending.verdict().map_err(|f| f.exit), Err(Exit::Unfinished));
        pending.on_event(&Event::Refused { message: Seq(5), peer: peer(), reason: "no".into() });
        assert_eq!(pending.verdict(), Err(Failure::silent(Exit::Refused)));
    }
}
