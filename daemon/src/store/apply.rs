//! What each op does to the database, within the transaction of its group. Called by the writer thread alone.

use super::{
    Entry, LogStats, Op, Outcome, Outgoing, Retention, cursors, downloads, letters, log, manifests, outbox,
    parts, peers, shares, staged,
};
use netkit_proto::ids::Epoch;
use netkit_proto::name::Key;
use rusqlite::Connection;
use std::sync::Arc;

/// What a transaction knows and changes besides rows.
pub(super) struct Turn<'a> {
    pub epoch: Epoch,
    pub log: log::Appender<'a>,
    pub limit: Retention,
    pub letters: letters::Changes,
}

/// Does all ops of these jobs: what became of them, how the log is then, and its limits.
///
/// # Errors
/// Those of SQLite; the transaction is of no use then.
pub(super) fn all(
    db: &Connection,
    mut turn: Turn<'_>,
    jobs: &[&[Op]],
) -> rusqlite::Result<(Vec<Vec<Outcome>>, LogStats, Retention)> {
    let results = jobs
        .iter()
        .map(|job| job.iter().map(|op| one(db, &mut turn, op)).collect())
        .collect::<rusqlite::Result<_>>()?;
    turn.letters.save(db)?;
    Ok((results, turn.log.into_stats(), turn.limit))
}

/// Does one op, and says what became of it.
fn one(db: &Connection, turn: &mut Turn<'_>, op: &Op) -> rusqlite::Result<Outcome> {
    let log = &mut turn.log;
    let appended = |entry: Entry| Outcome::Appended(Arc::new(entry));
    let done = |()| Outcome::Done(true);
    let used = |key: &Option<(u32, Key, [u8; 32])>| match key {
        Some((uid, key, digest)) => outbox::look_up_key(db, *uid, key, digest),
        None => Ok(None),
    };
    match op {
        Op::Append(at, event) => log.append(*at, event).map(appended),
        Op::Queue { at, event, address, datagram, expires, key } => {
            if let Some(used) = used(key)? {
                return Ok(used);
            }
            let entry = log.append(*at, event)?;
            let (message, datagram) = (entry.seq, datagram.clone());
            outbox::insert(db, &Outgoing { message, address: *address, datagram, expires: *expires })?;
            if let Some(key) = key {
                outbox::insert_key(db, *at, key, message.0)?;
            }
            Ok(appended(entry))
        }
        Op::Settle(at, message, event) => {
            outbox::remove(db, *message)?;
            log.append(*at, event).map(appended)
        }
        Op::Post { event, to, letter, key } => {
            if let Some(used) = used(key)? {
                return Ok(used);
            }
            let entry = log.append(letter.at, event)?;
            let number = |&peer| Ok((peer, turn.letters.post(db, peer, entry.seq, letter)?));
            let numbers = to.iter().map(number).collect::<rusqlite::Result<_>>()?;
            if let Some(key) = key {
                outbox::insert_key(db, letter.at, key, entry.seq.0)?;
            }
            Ok(Outcome::Posted(Arc::new(entry), numbers))
        }
        Op::Delivered(at, peer, n, event) => {
            turn.letters.delivered(db, *peer, *n)?;
            log.append(*at, event).map(appended)
        }
        Op::GiveUp(at, peer, n, event) => {
            turn.letters.give_up(db, *peer, *n)?;
            log.append(*at, event).map(appended)
        }
        Op::Stored(at, peer, epoch, n) => peers::stored(db, *at, *peer, *epoch, *n).map(done),
        Op::StoredForget(peer, epoch) => peers::forget_stored(db, *peer, *epoch).map(done),
        Op::PeerSet(peer) => peers::set(db, peer).map(done),
        Op::PeerSeen(peer) => peers::seen(db, peer).map(done),
        Op::PeerRemove(peer) => {
            turn.letters.remove(db, *peer)?;
            peers::remove(db, *peer).map(done)
        }
        Op::HostSet(host) => peers::set_host(db, host).map(done),
        Op::HostRemove(host) => peers::remove_host(db, host).map(done),
        Op::RoomSet(room, joined) => peers::set_room(db, room.as_str(), *joined).map(done),
        Op::Conversation(at, address, encoding) => {
            outbox::set_conversation(db, *at, *address, *encoding).map(done)
        }
        Op::CursorRead(uid, name) => cursors::read(db, *uid, name),
        Op::CursorMove(at, uid, name, seq) => cursors::set(db, *at, *uid, name, turn.epoch, *seq),
        Op::CursorRemove(uid, name) => cursors::remove(db, *uid, name),
        Op::CursorList(uid) => cursors::list(db, *uid),
        Op::ShareAdd(share) => shares::insert(db, share).map(done),
        Op::ShareRemove(name) => shares::remove(db, name).map(done),
        Op::DownloadAdd { row, event, key } => {
            if let Some(used) = used(key)? {
                return Ok(used);
            }
            downloads::set(db, row)?;
            if let Some(key) = key {
                outbox::insert_key(db, row.added, key, row.id)?;
            }
            log.append(row.added, event).map(appended)
        }
        Op::DownloadSet(row) => downloads::set(db, row).map(done),
        Op::DownloadRemove(id) => downloads::remove(db, *id).map(done),
        Op::DownloadOrder(places) => {
            places.iter().try_for_each(|&(id, position)| downloads::set_position(db, id, position)).map(done)
        }
        Op::DownloadLimit(limit) => downloads::set_limit(db, *limit).map(done),
        Op::PartRead(id) => parts::load_held(db, *id),
        Op::PartSave(id, bytes, size, note) => parts::save_part(db, *id, (*bytes, *size), note).map(done),
        Op::PartForget(id) => staged::forget(db, *id).and_then(|()| parts::forget_part(db, *id)).map(done),
        Op::PartNext(id) => parts::forget_part(db, *id).map(done),
        Op::StageSave(id, stage, files) => staged::save(db, *id, stage, files).map(done),
        Op::ManifestKeep(row) => manifests::keep(db, row).map(done),
        Op::SourcesSave(id, sources) => downloads::set_sources(db, *id, sources).map(done),
        Op::Retain(new) => {
            turn.limit = *new;
            Ok(Outcome::Done(true))
        }
    }
}
