//! Keeps the log within its limits: by age, count and bytes. What strangers cause, unverified events, has a cap of its
//! own and goes first. Called by the writer inside its transactions; what is removed leaves a gap in the numbers, which is
//! how readers notice it.

use super::log::{LogStats, size_of};
use crate::limits;
use netkit_proto::ids::Seq;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, Result};
use std::time::Duration;

/// The limits of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events older than this go.
    pub age: Duration,
    /// At most so many events.
    pub messages: u64,
    /// At most so many bytes.
    pub size: u64,
}

impl Retention {
    fn exceeded_by(&self, events: u64, bytes: u64, share: u64) -> bool {
        events > self.messages / share || bytes > self.size / share
    }
}

/// Which rows go next.
enum Victims {
    /// Older than this.
    Aged(Timestamp),
    /// The oldest unverified lines.
    Unverified,
    /// The oldest of all.
    Oldest,
}

/// What retention remembers between its turns: true of the log as committed, so a turn works on a copy that is kept
/// when its transaction is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retainer {
    /// No unverified line is kept below this number; saves looking at the same rows again.
    unverified_from: Seq,
    /// Not before this time can anything be too old.
    aged_from: Option<Timestamp>,
}

impl Retainer {
    /// Removes at most about `budget` rows that are too many; whether there is more to remove.
    pub(super) fn trim(
        &mut self,
        db: &Connection,
        stats: &mut LogStats,
        limit: &Retention,
        now: Timestamp,
        budget: u64,
    ) -> Result<bool> {
        let mut left = budget;
        while let Some(victims) = self.victims(db, stats, limit, now)? {
            if left == 0 {
                return Ok(true);
            }
            let removed = self.remove(db, stats, limit, &victims, left)?;
            left = left.saturating_sub(removed.max(1));
        }
        Ok(false)
    }

    fn victims(
        &mut self,
        db: &Connection,
        stats: &LogStats,
        limit: &Retention,
        now: Timestamp,
    ) -> Result<Option<Victims>> {
        let (unverified, bytes) = (stats.unverified_events, stats.unverified_bytes);
        let too_much = limit.exceeded_by(stats.events, stats.bytes, 1);
        let over_cap = limit.exceeded_by(unverified, bytes, limits::UNVERIFIED_SHARE);
        let over_floor = limit.exceeded_by(unverified, bytes, limits::UNVERIFIED_FLOOR);
        if over_cap || (too_much && over_floor) {
            return Ok(Some(Victims::Unverified));
        }
        if too_much {
            return Ok(Some(Victims::Oldest));
        }
        let age = i64::try_from(limit.age.as_millis()).unwrap_or(i64::MAX);
        let oldest_allowed = now.plus_millis(age.saturating_neg());
        if self.aged_from.is_some_and(|oldest| oldest >= oldest_allowed) {
            return Ok(None);
        }
        let mut statement = db.prepare_cached("SELECT at FROM events ORDER BY seq LIMIT 1")?;
        let oldest = statement.query_map([], |row| row.get(0).map(Timestamp))?.next().transpose()?;
        self.aged_from = Some(oldest.unwrap_or(now));
        Ok(oldest.filter(|&oldest| oldest < oldest_allowed).map(|_| Victims::Aged(oldest_allowed)))
    }

    /// Removes the first rows that `victims` names, as many as are too many and at most `most`.
    fn remove(
        &mut self,
        db: &Connection,
        stats: &mut LogStats,
        limit: &Retention,
        victims: &Victims,
        most: u64,
    ) -> Result<u64> {
        let only_unverified = matches!(victims, Victims::Unverified);
        let from = if only_unverified { self.unverified_from } else { Seq::START };
        let sql = if only_unverified {
            "SELECT seq, at, unverified, body FROM events WHERE seq >= ?1 AND unverified ORDER BY seq LIMIT ?2"
        } else {
            "SELECT seq, at, unverified, body FROM events WHERE seq >= ?1 ORDER BY seq LIMIT ?2"
        };
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query([from.0, most])?;
        let (mut last, mut removed) = (None, 0);
        while let Some(row) = rows.next()? {
            let enough = match victims {
                Victims::Aged(oldest_allowed) => Timestamp(row.get(1)?) >= *oldest_allowed,
                Victims::Oldest => !limit.exceeded_by(stats.events, stats.bytes, 1),
                Victims::Unverified => {
                    let (unverified, bytes) = (stats.unverified_events, stats.unverified_bytes);
                    !limit.exceeded_by(unverified, bytes, limits::UNVERIFIED_SHARE)
                        && (!limit.exceeded_by(stats.events, stats.bytes, 1)
                            || !limit.exceeded_by(unverified, bytes, limits::UNVERIFIED_FLOOR))
                }
            };
            if enough {
                break;
            }
            stats.remove(row.get(2)?, size_of(row.get_ref(3)?.as_str()?));
            last = Some(Seq(row.get(0)?));
            removed += 1;
        }
        drop(rows);
        let Some(last) = last else {
            // The counts promised a row that is not there: trust the table, so that trimming always ends.
            *stats = recount(db, stats.head)?;
            return Ok(0);
        };
        if only_unverified {
            db.prepare_cached("DELETE FROM events WHERE seq BETWEEN ?1 AND ?2 AND unverified")?
                .execute([from.0, last.0])?;
            self.unverified_from = last.next();
        } else {
            db.prepare_cached("DELETE FROM events WHERE seq <= ?1")?.execute([last.0])?;
            self.aged_from = None;
        }
        Ok(removed)
    }
}

fn recount(db: &Connection, head: Seq) -> Result<LogStats> {
    let mut stats = LogStats { head, ..LogStats::default() };
    let mut statement = db.prepare("SELECT unverified, body FROM events")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        stats.add(row.get(0)?, size_of(row.get_ref(1)?.as_str()?));
    }
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::super::{log, schema};
    use super::*;
    use netkit_proto::chat::plain::Encoding;
    use netkit_proto::ids::PeerId;
    use netkit_proto::rpc::call::Trust;
    use netkit_proto::rpc::event::{Event, PeerFacts};

    const WIDE: Retention = Retention { age: Duration::from_secs(1000), messages: 1000, size: 1 << 30 };

    fn line(verified: bool) -> Event {
        let (peer, text) = ("udp://10.0.0.9:1".to_owned(), "x".repeat(100));
        Event::Received {
            peer,
            id: None,
            trust: None,
            room: None,
            verified,
            encoding: Encoding::Utf8,
            text,
            bye: false,
        }
    }

    /// A log with these lines (verified?, second), trimmed; the numbers that are kept.
    fn kept(lines: &[(bool, i64)], limit: Retention, now: i64) -> Vec<u64> {
        let events: Vec<(Event, i64)> =
            lines.iter().map(|&(verified, second)| (line(verified), second)).collect();
        kept_of(&events, limit, now)
    }

    /// The same of other events.
    fn kept_of(events: &[(Event, i64)], limit: Retention, now: i64) -> Vec<u64> {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        let mut log = log::Appender::new(&db, LogStats::default()).unwrap();
        for (event, second) in events {
            log.append(Timestamp(second * 1000), event).unwrap();
        }
        let mut stats = log.into_stats();
        let mut retainer = Retainer::default();
        let mut rounds = 0;
        while retainer.trim(&db, &mut stats, &limit, Timestamp(now * 1000), 3).unwrap() {
            rounds += 1;
            assert!(rounds < 10_000, "trimming does not end");
        }
        assert_eq!(stats, recount(&db, stats.head).unwrap(), "counts follow the rows");
        let mut statement = db.prepare("SELECT seq FROM events ORDER BY seq").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn nothing_goes_within_the_limits() {
        assert_eq!(kept(&[(true, 0), (false, 0)], WIDE, 0), [1, 2]);
    }

    #[test]
    fn old_events_go_by_age() {
        let lines = [(true, 0), (false, 10), (true, 20), (true, 2000)];
        assert_eq!(kept(&lines, WIDE, 1015), [3, 4]);
        assert_eq!(kept(&lines, WIDE, 9999), [] as [u64; 0]);
    }

    #[test]
    fn the_oldest_go_by_count() {
        let limit = Retention { messages: 10, ..WIDE };
        assert_eq!(kept(&[(true, 0); 15], limit, 0), (6..=15).collect::<Vec<u64>>());
    }

    #[test]
    fn the_oldest_go_by_bytes() {
        let one = size_of(&line(true).to_body());
        let limit = Retention { size: 5 * one, ..WIDE };
        assert_eq!(kept(&[(true, 0); 15], limit, 0), [11, 12, 13, 14, 15]);
    }

    #[test]
    fn unverified_lines_have_half_the_log_at_most() {
        let limit = Retention { messages: 10, ..WIDE };
        assert_eq!(kept(&[(false, 0); 15], limit, 0), [11, 12, 13, 14, 15]);
    }

    #[test]
    fn unverified_lines_have_half_the_bytes_at_most() {
        let one = size_of(&line(false).to_body());
        let limit = Retention { size: 10 * one, ..WIDE };
        assert_eq!(kept(&[(false, 0); 15], limit, 0), [11, 12, 13, 14, 15]);
        let lines = [[(true, 0); 5], [(false, 0); 5], [(false, 0); 5]].concat();
        assert_eq!(kept(&lines, limit, 0), [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn strangers_that_come_push_out_nothing_of_those_who_are_trusted() {
        let (peer, id) = ("bob~aaaaaa".to_owned(), PeerId([1; 32]));
        let facts = || PeerFacts { peer: peer.clone(), id };
        let (address, reason) = ("10.0.0.9:1".parse().unwrap(), "it calls itself bob".to_owned());
        let claim = Event::PeerRefused { peer: peer.clone(), id, address, reason };
        let mut trusted = line(true);
        if let Event::Received { trust, .. } = &mut trusted {
            *trust = Some(Trust::Trusted);
        }
        let mut events = vec![(trusted, 0); 40];
        for _ in 0..500 {
            events.extend([(Event::PeerNew(facts()), 0), (claim.clone(), 0)]);
        }
        let limit = Retention { messages: 100, ..WIDE };
        assert_eq!(kept_of(&events, limit, 0)[..40], (1..=40).collect::<Vec<u64>>());
        // What somebody here decided is no stranger's doing.
        let decided = [Event::PeerKnown(facts()), Event::PeerTrusted(facts()), Event::PeerBlocked(facts())];
        assert!(decided.iter().all(|event| !event.is_unverified()));
    }

    #[test]
    fn unverified_lines_go_first_down_to_their_floor() {
        let limit = Retention { messages: 10, ..WIDE };
        let mut lines = vec![(true, 0); 5];
        lines.extend([(false, 0); 5]);
        lines.extend([(true, 0); 3]);
        assert_eq!(
            kept(&lines, limit, 0),
            [1, 2, 3, 4, 5, 9, 10, 11, 12, 13],
            "three of five unverified went"
        );
        lines.extend([(true, 0); 3]);
        assert_eq!(kept(&lines, limit, 0), [3, 4, 5, 10, 11, 12, 13, 14, 15, 16], "the last one stays");
    }
}
