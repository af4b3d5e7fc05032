//! What waits for peers, in a database of each test's own.

use super::*;
use crate::store::schema;

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
        commit(&db, |changes| (0..3).try_for_each(|m| changes.post(&db, BOB, Seq(m), &letter(m)).map(drop)));
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
    // Given up and then delivered, nothing stays of a bundle that is done with.
    commit(&db, |changes| (0..2).try_for_each(|m| changes.post(&db, BOB, Seq(m), &letter(m)).map(drop)));
    give_up(&[1010]);
    commit(&db, |changes| changes.delivered(&db, BOB, 1009));
    let of_bob = "SELECT count(*) FROM bundles WHERE peer = ?1";
    assert_eq!(db.query_row(of_bob, [BOB.0], |row| row.get(0)), Ok(0));
    // In one transaction: what is posted to a peer that is forgotten goes, what comes after that stays.
    commit(&db, |changes| {
        let long = Letter { text: "x".repeat(limits::BUNDLE).into(), ..letter(1) };
        let n = changes.post(&db, BOB, Seq(1), &long)?;
        changes.post(&db, BOB, Seq(1), &letter(1))?;
        changes.give_up(&db, BOB, n)?;
        changes.remove(&db, BOB)?;
        changes.post(&db, BOB, Seq(2), &letter(2))
    });
    left(&[1013]);
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
    // Number, message, time, expiry: 8 bytes each.
    let with = |at: usize, number: i64| [&whole[..at], &number.to_be_bytes(), &whole[at + 8..]].concat();
    let no_numbers =
        [with(0, -1), with(0, 0), with(0, 1001), with(8, -1), with(16, i64::MAX), with(24, i64::MIN)];
    let cut = (1..whole.len()).map(|len| whole[..len].to_vec());
    for damaged in cut.chain([longer, no_text]).chain(no_numbers) {
        db.execute("UPDATE bundles SET letters = ?1", [damaged]).unwrap();
        let error = load(&db).unwrap_err().to_string();
        assert!(error.contains("what table bundles holds"), "{error}");
    }
    db.execute("UPDATE bundles SET letters = ?1", [whole]).unwrap();
    assert_eq!(waiting(&db), [(BOB, 1000)]);
    for (last, delivered) in [(999, 1000), (1 << 53, 0), (1000_i64, -1)] {
        db.execute("UPDATE numbers SET last = ?1, delivered = ?2", [last, delivered]).unwrap();
        let error = load(&db).unwrap_err().to_string();
        assert!(error.contains("what table numbers holds"), "{error}");
    }
}
