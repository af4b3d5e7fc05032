//! The tables of messages that wait for peers: their numbers on the way to each, and those that it has not stored yet.

use super::peers::{peer, rows, text};
use netkit_proto::ids::{PeerId, Seq};
use netkit_proto::name::PeerName;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Result, params};
use std::collections::BTreeMap;
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
    let sql = "SELECT peer, n, message, room, text, at, expires FROM letters ORDER BY peer, n";
    rows(db, sql, |row| {
        let room: Option<String> = row.get(3)?;
        let letter = Letter {
            n: row.get(1)?,
            message: Seq(row.get(2)?),
            room: room.is_some().then(|| text(row, 3)).transpose()?,
            text: row.get(4)?,
            at: Timestamp(row.get(5)?),
            expires: Timestamp(row.get(6)?),
        };
        Ok((peer(row, 0)?, letter))
    })
}

/// The numbers that a transaction gives, the last for each peer; written when it ends. They follow the clock, in
/// microseconds, where it is ahead of the last one: a box that was set back to a snapshot would else give numbers again
/// that the peer has stored already, and be told that its new messages are.
#[derive(Debug, Default)]
pub(super) struct Numbers(BTreeMap<PeerId, i64>);

impl Numbers {
    /// The next number for a peer.
    fn next(&mut self, db: &Connection, peer: PeerId, at: Timestamp) -> Result<i64> {
        let last = match self.0.get(&peer) {
            Some(&last) => last,
            None => {
                let mut statement = db.prepare_cached("SELECT last FROM numbers WHERE peer = ?1")?;
                statement.query_row([peer.0], |row| row.get(0)).optional()?.unwrap_or(0)
            }
        };
        let n = at.0.saturating_mul(1000).min(CLOCK_END).max(last + 1);
        self.0.insert(peer, n);
        Ok(n)
    }

    /// Writes them; belongs to the same transaction.
    pub(super) fn save(&self, db: &Connection) -> Result<()> {
        let sql = "INSERT INTO numbers (peer, last) VALUES (?1, ?2)
                   ON CONFLICT (peer) DO UPDATE SET last = ?2";
        self.0.iter().try_for_each(|(peer, last)| {
            db.prepare_cached(sql)?.execute(params![peer.0, last])?;
            Ok(())
        })
    }
}

/// Gives a message its number on the way to a peer, and keeps it until that has stored it.
pub(super) fn post(
    db: &Connection,
    numbers: &mut Numbers,
    peer: PeerId,
    message: Seq,
    letter: &Letter,
) -> Result<u64> {
    let n = numbers.next(db, peer, letter.at)?;
    let sql = "INSERT INTO letters (peer, n, message, room, text, at, expires)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    db.prepare_cached(sql)?.execute(params![
        peer.0,
        n,
        message.0,
        letter.room.as_ref().map(PeerName::as_str),
        &*letter.text,
        letter.at.0,
        letter.expires.0
    ])?;
    Ok(n.unsigned_abs())
}

/// A peer has stored everything up to `n`.
pub(super) fn delivered(db: &Connection, peer: PeerId, n: u64) -> Result<()> {
    db.prepare_cached("DELETE FROM letters WHERE peer = ?1 AND n <= ?2")?.execute(params![peer.0, n])?;
    Ok(())
}

/// One message for a peer is given up.
pub(super) fn give_up(db: &Connection, peer: PeerId, n: u64) -> Result<()> {
    db.prepare_cached("DELETE FROM letters WHERE peer = ?1 AND n = ?2")?.execute(params![peer.0, n])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{peers, schema};
    use super::*;

    fn db(dir: &tempfile::TempDir) -> Connection {
        schema::open_writer(&dir.path().join("netkit.db")).unwrap()
    }

    /// Gives a message its number in a transaction of its own.
    fn post(db: &Connection, peer: PeerId, letter: &Letter) -> Result<u64> {
        let mut numbers = Numbers::default();
        let n = super::post(db, &mut numbers, peer, letter.message, letter)?;
        numbers.save(db).map(|()| n)
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
        let (bob, eve) = (BOB, EVE);
        let numbers: Vec<u64> = (1..4).map(|m| post(&db, bob, &letter(m)).unwrap()).collect();
        let of_room = Letter { room: Some("ops".parse().unwrap()), ..letter(4) };
        assert_eq!((numbers, post(&db, eve, &of_room).unwrap()), (vec![1000, 1001, 1002], 1000));
        assert_eq!(load(&db).unwrap()[3], (eve, Letter { n: 1000, ..of_room }));
        delivered(&db, bob, 1001).unwrap();
        give_up(&db, eve, 1000).unwrap();
        let left: Vec<(PeerId, u64)> = load(&db).unwrap().iter().map(|(peer, l)| (*peer, l.n)).collect();
        assert_eq!(left, [(bob, 1002)]);
        peers::remove(&db, bob).unwrap();
        assert!(load(&db).unwrap().is_empty());
        assert_eq!(post(&db, bob, &letter(9)).unwrap(), 1003);
    }

    #[test]
    fn numbers_follow_the_clock_and_rise_where_it_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let db = db(&dir);
        let at = |millis| Letter { at: Timestamp(millis), ..letter(1) };
        let numbers = [5, 5, 4, 7, -3, i64::MAX].map(|at_| post(&db, BOB, &at(at_)).unwrap());
        assert_eq!(numbers, [5000, 5001, 5002, 7000, 7001, CLOCK_END as u64]);
        assert_eq!(post(&db, EVE, &at(-1)).unwrap(), 1, "a box whose clock is wrong");
        let (mut together, eve) = (Numbers::default(), EVE);
        let mut given = |peer, millis| super::post(&db, &mut together, peer, Seq(1), &at(millis)).unwrap();
        assert_eq!([given(eve, -1), given(LIN, 4), given(eve, 0), given(LIN, 4)], [2, 4000, 3, 4001]);
        together.save(&db).unwrap();
        assert_eq!([eve, LIN].map(|peer| post(&db, peer, &at(0)).unwrap()), [4, 4002]);
    }
}
