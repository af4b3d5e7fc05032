//! The tables of messages that wait for peers: their numbers on the way to each, and those that it has not stored yet.
//! The latter lie in bundles, those for one peer that were committed together in one row. A row for each cost a quarter of
//! what a busy link carries.

use super::peers;
use crate::limits;
use netkit_proto::ids::{PeerId, Seq};
use netkit_proto::name::PeerName;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A message for a peer that has not stored it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its number on the way to that peer.
    pub n: u64,
    /// The message's id.
    pub message: Seq,
    /// The room that it goes to.
    pub room: Option<PeerName>,
    /// The text; the same for all whom the message goes to.
    pub text: Arc<str>,
    /// When it was queued.
    pub at: Timestamp,
    /// When it is given up.
    pub expires: Timestamp,
}

/// Numbers follow the clock no further than to the year 2200: JSON's numbers end at 2^53, the year 2255.
const CLOCK_END: i64 = 7_258_118_400_000_000;

/// What waits for peers, in its order.
pub(super) fn load(db: &Connection) -> Result<Vec<(PeerId, Letter)>> {
    let sql = "SELECT peer, letters, coalesce(delivered, 0) FROM bundles LEFT JOIN numbers USING (peer)
               ORDER BY peer, bundles.last";
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next()? {
        let (peer, delivered): (_, u64) = (PeerId(row.get(0)?), row.get(2)?);
        let bundle: Vec<u8> = row.get(1)?;
        let letters = read(&bundle)?.into_iter().map(|(letter, _)| letter);
        waiting.extend(letters.filter(|letter| letter.n > delivered).map(|letter| (peer, letter)));
    }
    Ok(waiting)
}

/// Appends a letter to a bundle: four numbers of 64 bits, then room and text, each behind its length of 32 bits, big
/// end first. No room is an empty one.
fn write(bundle: &mut Vec<u8>, n: i64, message: Seq, letter: &Letter) {
    for number in [n, message.0.cast_signed(), letter.at.0, letter.expires.0] {
        bundle.extend_from_slice(&number.to_be_bytes());
    }
    for text in [letter.room.as_ref().map_or("", PeerName::as_str), &letter.text] {
        bundle.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        bundle.extend_from_slice(text.as_bytes());
    }
}

/// The letters of a bundle, each with its bytes.
fn read(mut bundle: &[u8]) -> Result<Vec<(Letter, &[u8])>> {
    let mut letters = Vec::new();
    while !bundle.is_empty() {
        let before = bundle;
        let letter = read_one(&mut bundle)
            .ok_or_else(|| peers::damaged(1, "what table bundles holds are no letters".into()))?;
        letters.push((letter, &before[..before.len() - bundle.len()]));
    }
    Ok(letters)
}

fn read_one(from: &mut &[u8]) -> Option<Letter> {
    let number = |from: &mut &[u8]| from.split_off(..8)?.try_into().ok().map(i64::from_be_bytes);
    let text = |from: &mut &[u8]| {
        let len = u32::from_be_bytes(from.split_off(..4)?.try_into().ok()?);
        std::str::from_utf8(from.split_off(..usize::try_from(len).ok()?)?).ok().map(str::to_owned)
    };
    let (n, message) = (number(from)?.cast_unsigned(), Seq(number(from)?.cast_unsigned()));
    let (at, expires) = (Timestamp(number(from)?), Timestamp(number(from)?));
    let room = Some(text(from)?).filter(|room| !room.is_empty()).map(|room| room.parse()).transpose().ok()?;
    Some(Letter { n, message, room, text: text(from)?.into(), at, expires })
}

/// What a transaction changes of what waits for peers; written when it ends.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<PeerId, Change>);

/// What it changes for one peer.
#[derive(Debug, Default)]
struct Change {
    /// As the table has them.
    was: Numbers,
    numbers: Numbers,
    /// Letters that are not written yet.
    bundle: Vec<u8>,
    /// Letters that are given up, by their numbers.
    given_up: BTreeSet<i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    /// The last one that was given.
    last: i64,
    /// The peer has stored everything up to this one.
    delivered: i64,
}

impl Changes {
    fn of(&mut self, db: &Connection, peer: PeerId) -> Result<&mut Change> {
        match self.0.entry(peer) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let mut statement =
                    db.prepare_cached("SELECT last, delivered FROM numbers WHERE peer = ?1")?;
                let read = |row: &Row<'_>| Ok(Numbers { last: row.get(0)?, delivered: row.get(1)? });
                let was = statement.query_row([peer.0], read).optional()?.unwrap_or_default();
                Ok(entry.insert(Change { was, numbers: was, ..Change::default() }))
            }
        }
    }

    /// Gives a message its number on the way to a peer, and keeps it until that has stored it. Numbers follow the
    /// clock, in microseconds, where it is ahead of the last one: a box that was set back to a snapshot would else give
    /// numbers again that the peer has stored already, and be told that its new messages are.
    pub(super) fn post(
        &mut self,
        db: &Connection,
        peer: PeerId,
        message: Seq,
        letter: &Letter,
    ) -> Result<u64> {
        let change = self.of(db, peer)?;
        let n = letter.at.0.saturating_mul(1000).min(CLOCK_END).max(change.numbers.last + 1);
        change.numbers.last = n;
        write(&mut change.bundle, n, message, letter);
        if change.bundle.len() >= limits::BUNDLE {
            change.keep_bundle(db, peer)?;
        }
        Ok(n.unsigned_abs())
    }

    /// A peer has stored everything up to `n`.
    pub(super) fn delivered(&mut self, db: &Connection, peer: PeerId, n: u64) -> Result<()> {
        let numbers = &mut self.of(db, peer)?.numbers;
        numbers.delivered = numbers.delivered.max(n.cast_signed());
        Ok(())
    }

    /// One message for a peer is given up.
    pub(super) fn give_up(&mut self, db: &Connection, peer: PeerId, n: u64) -> Result<()> {
        self.of(db, peer)?.given_up.insert(n.cast_signed());
        Ok(())
    }

    /// Forgets what waits for a peer. The numbers stay: should it come back, none is given again.
    pub(super) fn remove(&mut self, db: &Connection, peer: PeerId) -> Result<()> {
        let change = self.of(db, peer)?;
        change.bundle.clear();
        change.given_up.clear();
        db.prepare_cached("DELETE FROM bundles WHERE peer = ?1")?.execute([peer.0])?;
        Ok(())
    }

    /// Writes all that; belongs to the same transaction.
    pub(super) fn save(mut self, db: &Connection) -> Result<()> {
        self.0.iter_mut().try_for_each(|(&peer, change)| change.save(db, peer))
    }
}

impl Change {
    fn save(&mut self, db: &Connection, peer: PeerId) -> Result<()> {
        if !self.bundle.is_empty() {
            self.keep_bundle(db, peer)?;
        }
        self.take_out_given_up(db, peer)?;
        let Numbers { last, delivered } = self.numbers;
        if self.numbers != self.was {
            let sql = "INSERT INTO numbers (peer, last, delivered) VALUES (?1, ?2, ?3)
                       ON CONFLICT (peer) DO UPDATE SET last = ?2, delivered = ?3";
            db.prepare_cached(sql)?.execute(params![peer.0, last, delivered])?;
        }
        if delivered != self.was.delivered {
            let sql = "DELETE FROM bundles WHERE peer = ?1 AND last <= ?2";
            db.prepare_cached(sql)?.execute(params![peer.0, delivered])?;
        }
        Ok(())
    }

    /// Writes the bundle, and begins another.
    fn keep_bundle(&mut self, db: &Connection, peer: PeerId) -> Result<()> {
        db.prepare_cached("INSERT INTO bundles (peer, last, letters) VALUES (?1, ?2, ?3)")?
            .execute(params![peer.0, self.numbers.last, self.bundle])?;
        self.bundle.clear();
        Ok(())
    }

    fn take_out_given_up(&mut self, db: &Connection, peer: PeerId) -> Result<()> {
        while let Some(&first) = self.given_up.first() {
            let sql =
                "SELECT last, letters FROM bundles WHERE peer = ?1 AND last >= ?2 ORDER BY last LIMIT 1";
            let read_bundle = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let found: Option<(i64, Vec<u8>)> =
                db.prepare_cached(sql)?.query_row(params![peer.0, first], read_bundle).optional()?;
            let Some((last, letters)) = found else { break };
            let later = self.given_up.split_off(&(last + 1));
            let gone = std::mem::replace(&mut self.given_up, later);
            let others =
                read(&letters)?.into_iter().filter(|(letter, _)| !gone.contains(&letter.n.cast_signed()));
            let rest: Vec<u8> = others.flat_map(|(_, bytes)| bytes).copied().collect();
            if rest.is_empty() {
                db.prepare_cached("DELETE FROM bundles WHERE peer = ?1 AND last = ?2")?
                    .execute(params![peer.0, last])?;
            } else {
                db.prepare_cached("UPDATE bundles SET letters = ?3 WHERE peer = ?1 AND last = ?2")?
                    .execute(params![peer.0, last, rest])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn db(dir: &tempfile::TempDir) -> Connection {
        schema::open_writer(&dir.path().join("netkit.db")).unwrap()
    }

    /// Does this in a transaction of its own.
    fn commit<T>(db: &Connection, job: impl FnOnce(&mut Changes) -> Result<T>) -> T {
        let mut changes = Changes::default();
        let result = job(&mut changes).unwrap();
        changes.save(db).unwrap();
        result
    }

    /// Gives a message its number in a transaction of its own.
    fn post(db: &Connection, peer: PeerId, letter: &Letter) -> u64 {
        commit(db, |changes| changes.post(db, peer, letter.message, letter))
    }

    /// The numbers of what waits.
    fn waiting(db: &Connection) -> Vec<(PeerId, u64)> {
        load(db).unwrap().iter().map(|(peer, letter)| (*peer, letter.n)).collect()
    }

    const BOB: PeerId = PeerId([1; 32]);
    const EVE: PeerId = PeerId([2; 32]);
    const LIN: PeerId = PeerId([3; 32]);

    fn letter(message: u64) -> Letter {
        let (at, expires) = (Timestamp(1), Timestamp(2));
        Letter { n: 0, message: Seq(message), room: None, text: "hi".into(), at, expires }
    }

    #[test]
    fn numbers_rise_for_each_peer_and_are_never_given_again() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        let numbers = [1, 2, 3].map(|message| post(&db, BOB, &letter(message)));
        let of_room = Letter { room: Some("ops".parse().unwrap()), ..letter(4) };
        assert_eq!((numbers, post(&db, EVE, &of_room)), ([1000, 1001, 1002], 1000));
        assert_eq!(load(&db).unwrap()[3], (EVE, Letter { n: 1000, ..of_room }));
        commit(&db, |changes| changes.delivered(&db, BOB, 1001));
        commit(&db, |changes| changes.give_up(&db, EVE, 1000));
        assert_eq!(waiting(&db), [(BOB, 1002)]);
        commit(&db, |changes| changes.remove(&db, BOB));
        assert_eq!(waiting(&db), []);
        assert_eq!(post(&db, BOB, &letter(9)), 1003);
    }

    #[test]
    fn numbers_follow_the_clock_and_rise_where_it_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        let at = |millis| Letter { at: Timestamp(millis), ..letter(1) };
        let numbers = [5, 5, 4, 7, -3, i64::MAX].map(|millis| post(&db, BOB, &at(millis)));
        assert_eq!(numbers, [5000, 5001, 5002, 7000, 7001, CLOCK_END as u64]);
        assert_eq!(post(&db, EVE, &at(-1)), 1, "a box whose clock is wrong");
        let together = commit(&db, |changes| {
            let mut given = |peer, millis| changes.post(&db, peer, Seq(1), &at(millis));
            Ok([given(EVE, -1)?, given(LIN, 4)?, given(EVE, 0)?, given(LIN, 4)?])
        });
        assert_eq!(together, [2, 4000, 3, 4001]);
        assert_eq!([EVE, LIN].map(|peer| post(&db, peer, &at(0))), [4, 4002]);
    }

    #[test]
    fn letters_that_are_committed_together_share_a_bundle_of_bounded_size() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        let bundles = || -> Vec<i64> {
            let mut statement = db.prepare("SELECT last FROM bundles ORDER BY last").unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let text = "x".repeat(limits::BUNDLE / 4);
        let posted = Letter { text: text.into(), ..letter(1) };
        commit(&db, |changes| (0..9).try_for_each(|_| changes.post(&db, BOB, Seq(1), &posted).map(drop)));
        assert_eq!(bundles(), [1003, 1007, 1008]);
        // A receipt within one leaves it as it is: what has come is known by its number.
        commit(&db, |changes| changes.delivered(&db, BOB, 1004));
        assert_eq!(bundles(), [1007, 1008]);
        assert_eq!(waiting(&db), [1005, 1006, 1007, 1008].map(|n| (BOB, n)));
        commit(&db, |changes| changes.delivered(&db, BOB, 1000));
        assert_eq!(waiting(&db).len(), 4, "an old receipt takes nothing back");
    }

    #[test]
    fn what_is_given_up_leaves_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        for _ in 0..3 {
            commit(&db, |changes| {
                (0..3).try_for_each(|m| changes.post(&db, BOB, Seq(m), &letter(m)).map(drop))
            });
        }
        post(&db, EVE, &letter(1));
        let give_up = |numbers: &[u64]| {
            commit(&db, |changes| numbers.iter().try_for_each(|&n| changes.give_up(&db, BOB, n)));
        };
        let left = |numbers: &[u64]| {
            let of_bob = numbers.iter().map(|&n| (BOB, n));
            assert_eq!(waiting(&db), of_bob.chain([(EVE, 1000)]).collect::<Vec<_>>());
        };
        give_up(&[1004]);
        left(&[1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008]);
        give_up(&[1000, 1002, 1003, 1005, 1008]);
        left(&[1001, 1006, 1007]);
        give_up(&[1002, 1008, 2000]);
        left(&[1001, 1006, 1007]);
        commit(&db, |changes| changes.delivered(&db, BOB, 1006));
        left(&[1007]);
        // In one transaction: what is posted to a peer that is forgotten goes, what comes after that stays.
        commit(&db, |changes| {
            changes.post(&db, BOB, Seq(1), &letter(1))?;
            changes.give_up(&db, BOB, 1007)?;
            changes.remove(&db, BOB)?;
            changes.post(&db, BOB, Seq(2), &letter(2))
        });
        left(&[1010]);
    }

    #[test]
    fn texts_come_back_as_they_were_and_what_is_damaged_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        let text = "a\nb\r\n\0\u{1b}[31m\"\\ \u{2028}小明";
        let letter = Letter { text: text.into(), room: Some("小明".parse().unwrap()), ..letter(7) };
        post(&db, BOB, &letter);
        assert_eq!(load(&db).unwrap(), [(BOB, Letter { n: 1000, ..letter })]);
        let whole: Vec<u8> = db.query_row("SELECT letters FROM bundles", [], |row| row.get(0)).unwrap();
        let longer = [&whole[..], &[0]].concat();
        let no_text = [&whole[..whole.len() - 1], &[0xff]].concat();
        let cut = (1..whole.len()).map(|len| whole[..len].to_vec());
        for damaged in cut.chain([longer, no_text]) {
            db.execute("UPDATE bundles SET letters = ?1", [damaged]).unwrap();
            let error = load(&db).unwrap_err().to_string();
            assert!(error.contains("what table bundles holds"), "{error}");
        }
    }
}
