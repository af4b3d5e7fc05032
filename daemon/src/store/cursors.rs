//! The table of named places in the log, by user.

use super::{CursorRow, Outcome};
use crate::limits;
use netkit_proto::ids::{Epoch, Seq};
use netkit_proto::name::CursorName;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

fn from_row(row: &Row<'_>) -> Result<CursorRow> {
    Ok(CursorRow {
        name: row.get(0)?,
        epoch: Epoch(row.get(1)?),
        seq: Seq(row.get(2)?),
        moved: Timestamp(row.get(3)?),
    })
}

pub(super) fn read(db: &Connection, uid: u32, name: &CursorName) -> Result<Outcome> {
    let sql = "SELECT name, epoch, seq, moved FROM cursors WHERE uid = ?1 AND name = ?2";
    let row = db.prepare_cached(sql)?.query_row(params![uid, name.as_str()], from_row).optional()?;
    Ok(Outcome::Cursor(row))
}

pub(super) fn list(db: &Connection, uid: u32) -> Result<Outcome> {
    let mut statement =
        db.prepare_cached("SELECT name, epoch, seq, moved FROM cursors WHERE uid = ?1 ORDER BY name")?;
    Ok(Outcome::Cursors(statement.query_map([uid], from_row)?.collect::<Result<_>>()?))
}

pub(super) fn set(
    db: &Connection,
    at: Timestamp,
    uid: u32,
    name: &CursorName,
    epoch: Epoch,
    seq: Seq,
) -> Result<Outcome> {
    let sql = "UPDATE cursors SET epoch = ?3, seq = ?4, moved = ?5 WHERE uid = ?1 AND name = ?2";
    let values = params![uid, name.as_str(), epoch.0, seq.0, at.0];
    if db.prepare_cached(sql)?.execute(values)? == 1 {
        return Ok(Outcome::Done(true));
    }
    let mut count = db.prepare_cached("SELECT count(*) FROM cursors WHERE uid = ?1")?;
    if count.query_row([uid], |row| row.get::<_, u64>(0))? >= limits::CURSORS_PER_USER {
        return Ok(Outcome::TooManyCursors);
    }
    let sql = "INSERT INTO cursors (uid, name, epoch, seq, moved) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?.execute(values)?;
    Ok(Outcome::Done(true))
}

pub(super) fn remove(db: &Connection, uid: u32, name: &CursorName) -> Result<Outcome> {
    let sql = "DELETE FROM cursors WHERE uid = ?1 AND name = ?2";
    Ok(Outcome::Done(db.prepare_cached(sql)?.execute(params![uid, name.as_str()])? == 1))
}
