//! The tables of messages that wait for peers: their numbers on the way to each, and those that it has not stored yet.
//! The latter lie in bundles, those for one peer that were committed together in one row. A row for each cost a quarter of
//! what a busy link carries.

use super::peers;
use crate::limits;
use netkit_proto::ids::{PeerId, Seq};
use netkit_proto::limits::NUMBER;
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
///
/// # Errors
/// Those of SQLite, and where the tables hold what was never written: with other numbers messages would be lost later on.
pub(super) fn load(db: &Connection) -> Result<Vec<(PeerId, Letter)>> {
    let sql = "SELECT count(*) FROM numbers WHERE NOT (delivered BETWEEN 0 AND last AND last <= ?1)";
    let wrong: u64 = db.query_row(sql, [NUMBER], |row| row.get(0))?;
    if wrong > 0 {
        return Err(peers::damaged(0, "what table numbers holds was never given".into()));
    }
    let sql = "SELECT peer, letters, coalesce(delivered, 0), bundles.last
               FROM bundles LEFT JOIN numbers USING (peer) ORDER BY peer, bundles.last";
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next()? {
        let (peer, delivered, last): (_, u64, i64) = (PeerId(row.get(0)?), row.get(2)?, row.get(3)?);
        let bundle: Vec<u8> = row.get(1)?;
        let letters = read(&bundle, last)?.into_iter().map(|(letter, _)| letter);
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

/// The letters of the bundle with this last number, each with its bytes.
fn read(mut bundle: &[u8], last: i64) -> Result<Vec<(Letter, &[u8])>> {
    let is_one = |letter: &Letter| {
        let is_time = |at: Timestamp| (Timestamp::MIN..=Timestamp::MAX).contains(&at);
        let is_given = (1..=last.cast_unsigned()).contains(&letter.n) && letter.message.0 <= NUMBER;
        is_given && is_time(letter.at) && is_time(letter.expires)
    };
    let mut letters = Vec::new();
    while !bundle.is_empty() {
        let before = bundle;
        let letter = read_one(&mut bundle)
            .filter(is_one)
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
        let n = letter.at.0.saturating_mul(1000).min(CLOCK_END).max(change.numbers.last.saturating_add(1));
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
            let later = self.given_up.split_off(&last.saturating_add(1));
            let gone = std::mem::replace(&mut self.given_up, later);
            let delivered = self.numbers.delivered;
            let waits = |n: i64| n > delivered && !gone.contains(&n);
            let (mut rest, mut rest_last) = (Vec::new(), 0);
            for (letter, bytes) in read(&letters, last)? {
                if waits(letter.n.cast_signed()) {
                    rest.extend_from_slice(bytes);
                    rest_last = letter.n;
                }
            }
            if rest.is_empty() {
                db.prepare_cached("DELETE FROM bundles WHERE peer = ?1 AND last = ?2")?
                    .execute(params![peer.0, last])?;
            } else {
                db.prepare_cached(
                    "UPDATE bundles SET letters = ?3, last = ?4 WHERE peer = ?1 AND last = ?2",
                )?
                .execute(params![peer.0, last, rest, rest_last])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
