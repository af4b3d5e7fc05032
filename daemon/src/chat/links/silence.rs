//! When a connection is taken for one that leads nowhere: what is to be answered goes out, and nothing comes. QUIC repeats
//! what was lost in pauses that double, each of the round trip that it measured last; where many packets are lost it measures
//! wrong ones, and a connection that is made anew gets through sooner than the next repeat.

use super::Links;
use super::mailbox::Mailbox;
use crate::hub::links::{LinkId, LinkReport};
use crate::limits;
use quinn::{Connection, ConnectionStats};
use std::convert::Infallible;
use tokio::time::{Instant, sleep};

/// Tells the hub of silence again and again while it lasts. Looks only for a while after something was to be said.
pub(super) async fn tell(
    links: &Links,
    link: LinkId,
    connection: &Connection,
    mailbox: &Mailbox,
) -> Infallible {
    loop {
        mailbox.speaking().await;
        let mut silence = Silence::before(counts(&connection.stats()));
        loop {
            sleep(limits::LINK_LOOK).await;
            if silence.lasts(Instant::now(), counts(&connection.stats())) {
                let _ = links.reports.send(LinkReport::Silent(link)).await; // a hub that ended ends the link
            }
            // What a message leads to may be held back by QUIC, and go out later.
            if silence.since.is_none() && !mailbox.is_unanswered() {
                break;
            }
        }
    }
}

/// What is counted of a connection.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Stream frames that went out: each is to be acknowledged.
    frames: u64,
    /// Datagrams that went out.
    sent: u64,
    /// See [`heard`].
    heard: u64,
}

fn counts(stats: &ConnectionStats) -> Counts {
    Counts { frames: stats.frame_tx.stream, sent: stats.udp_tx.datagrams, heard: heard(stats) }
}

/// What came of the peer itself: one of these frames is in each packet that is sent for a reason of its own. A datagram
/// can be anybody's until it is decrypted.
pub(super) fn heard(stats: &ConnectionStats) -> u64 {
    stats.frame_rx.acks + stats.frame_rx.ping + stats.frame_rx.stream
}

#[derive(Debug)]
struct Silence {
    /// As it was when something came last.
    last: Counts,
    /// Since when there is something to answer.
    since: Option<Instant>,
}

impl Silence {
    /// Before anything goes out.
    fn before(counts: Counts) -> Silence {
        Silence { last: counts, since: None }
    }

    /// Looks at the counts: whether there has been something to answer for long, since that was told last, and nothing came.
    fn lasts(&mut self, now: Instant, counts: Counts) -> bool {
        if counts.heard != self.last.heard {
            *self = Silence::before(counts);
        } else if counts.frames > self.last.frames || counts.sent > self.last.sent + 1 {
            // What is repeated need not be a stream's, and goes out as two. One alone may acknowledge what came last.
            self.since.get_or_insert(now);
        }
        let lasts = self.since.is_some_and(|since| now >= since + limits::LINK_SILENCE);
        if lasts {
            self.since = Some(now);
        }
        lasts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told at looks, half of the limit apart, with these counts of frames, of what was sent and of what came.
    fn told(counts: &[(u64, u64, u64)]) -> Vec<bool> {
        let mut now = Instant::now();
        let mut silence = Silence::before(Counts { frames: 5, sent: 10, heard: 10 });
        let mut look = |&(frames, sent, heard)| {
            now += limits::LINK_SILENCE / 2;
            silence.lasts(now, Counts { frames, sent, heard })
        };
        counts.iter().map(&mut look).collect()
    }

    #[test]
    fn a_connection_is_silent_when_nothing_came_for_long_after_a_frame_or_what_is_repeated() {
        let frame = (6, 11, 10);
        assert_eq!(told(&[frame, frame, frame, frame, frame]), [false, false, true, false, true]);
        let repeated = (5, 12, 10);
        assert_eq!(told(&[repeated, repeated, repeated]), [false, false, true]);
        assert_eq!(told(&[(5, 10, 10), (5, 10, 10), frame, frame]), [false; 4], "not for long");
        assert_eq!(
            told(&[frame, (7, 12, 11), (7, 12, 11), (8, 13, 11), (8, 13, 11)]),
            [false; 5],
            "not since"
        );
    }

    #[test]
    fn who_answers_or_has_nothing_to_answer_is_not_silent() {
        let answered: Vec<_> = (1..9).map(|n| (5 + 2 * n, 10 + 4 * n, 10 + n)).collect();
        assert_eq!(told(&answered), [false; 8]);
        let acknowledged = (9, 20, 11);
        assert_eq!(told(&[(9, 20, 10), acknowledged, acknowledged, acknowledged, acknowledged]), [false; 5]);
        let acknowledging = (5, 11, 10);
        assert_eq!(told(&[acknowledging; 5]), [false; 5]);
    }
}
