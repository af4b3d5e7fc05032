//! When a connection is taken for one that leads nowhere: packets go out again and again, and none comes. QUIC repeats what
//! was lost in pauses that double, each of the round trip that it measured last; where many packets are lost it measures
//! wrong ones, and a connection that is made anew gets through sooner than the next repeat.

use super::Links;
use super::mailbox::Mailbox;
use crate::hub::links::{LinkId, LinkReport};
use crate::limits;
use quinn::{Connection, ConnectionStats};
use std::convert::Infallible;
use tokio::time::{Instant, sleep};

/// Tells the hub while what was said to the peer is not answered, and its packets neither.
pub(super) async fn tell(
    links: &Links,
    link: LinkId,
    connection: &Connection,
    mailbox: &Mailbox,
) -> Infallible {
    loop {
        mailbox.until_unanswered().await;
        let mut silence = Silence::after(Instant::now(), counts(&connection.stats()));
        while mailbox.is_unanswered() {
            sleep(limits::LINK_SILENCE / 2).await;
            if silence.lasts(Instant::now(), counts(&connection.stats())) {
                let _ = links.reports.send(LinkReport::Silent(link)).await; // a hub that ended ends the link
            }
        }
    }
}

/// Datagrams of a connection, as they are counted.
#[derive(Clone, Copy, Debug)]
struct Counts {
    sent: u64,
    heard: u64,
}

fn counts(stats: &ConnectionStats) -> Counts {
    Counts { sent: stats.udp_tx.datagrams, heard: stats.udp_rx.datagrams }
}

#[derive(Debug)]
struct Silence {
    since: Instant,
    /// When it began.
    first: Counts,
    /// At the last look.
    last: Counts,
}

impl Silence {
    fn after(now: Instant, counts: Counts) -> Silence {
        Silence { since: now, first: counts, last: counts }
    }

    /// Looks at the counts: whether several packets went out, the last of them not just now, and none came for long.
    fn lasts(&mut self, now: Instant, counts: Counts) -> bool {
        if counts.heard != self.first.heard {
            *self = Silence::after(now, counts);
        }
        // One alone may acknowledge what came last, and is not answered; what QUIC repeats goes out as two.
        let is_asked = self.last.sent > self.first.sent + 1;
        self.last = counts;
        is_asked && now >= self.since + limits::LINK_SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// What is told at looks with these counts of what was sent and heard, half of the limit apart.
    fn told(counts: &[(u64, u64)]) -> Vec<bool> {
        let (mut now, all) = (Instant::now(), counts.iter().map(|&(sent, heard)| Counts { sent, heard }));
        let mut silence = Silence::after(now, Counts { sent: 10, heard: 10 });
        let mut look = |counts| {
            now += limits::LINK_SILENCE / 2 + Duration::from_millis(1);
            silence.lasts(now, counts)
        };
        all.map(&mut look).collect()
    }

    #[test]
    fn a_connection_is_silent_when_packets_went_out_and_none_came_for_long() {
        assert_eq!(told(&[(12, 10), (12, 10), (12, 10)]), [false, true, true]);
        assert_eq!(told(&[(10, 10), (10, 10), (12, 10), (14, 10)]), [false, false, false, true], "just now");
    }

    #[test]
    fn who_answers_or_has_nothing_to_answer_is_not_silent() {
        assert_eq!(told(&[(20, 11), (30, 12), (40, 13), (50, 14)]), [false; 4]);
        assert_eq!(told(&[(20, 10), (20, 11), (20, 11), (20, 11)]), [false; 4], "all is acknowledged");
        assert_eq!(told(&[(11, 10), (11, 10), (11, 10)]), [false; 3], "that acknowledged what came");
        assert_eq!(told(&[(12, 10), (12, 11), (14, 11), (14, 11)]), [false, false, false, true], "anew");
    }
}
