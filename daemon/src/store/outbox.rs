//! The tables of what waits to be sent, of the keys that keep a message from being sent twice, and of how plain
//! peers are answered.

use super::{Outcome, StoreError};
use crate::limits;
use netkit_proto::chat::plain::Encoding;
use netkit_proto::ids::Seq;
use netkit_proto::name::Key;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result, params};
use std::net::SocketAddr;

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id.
    pub message: Seq,
    /// Where it goes.
    pub address: SocketAddr,
    /// What is sent.
    pub datagram: Vec<u8>,
    /// When it is given up.
    pub expires: Timestamp,
}

pub(super) fn load(db: &Connection) -> Result<Vec<Outgoing>, StoreError> {
    let mut statement =
        db.prepare("SELECT message, address, datagram, expires FROM outbox ORDER BY message")?;
    let rows = statement.query_map([], |row| {
        let address: String = row.get(1)?;
        Ok((Seq(row.get(0)?), address, row.get(2)?, Timestamp(row.get(3)?)))
    })?;
    rows.map(|row| {
        let (message, address, datagram, expires) = row?;
        let address = address.parse().map_err(|_| damaged("outbox", &address))?;
        Ok(Outgoing { message, address, datagram, expires })
    })
    .collect()
}

fn damaged(table: &str, value: &str) -> StoreError {
    StoreError::Damaged(format!("{value:?} in table {table} is no address"))
}

pub(super) fn insert(db: &Connection, out: &Outgoing) -> Result<()> {
    let sql = "INSERT INTO outbox (message, address, datagram, expires) VALUES (?1, ?2, ?3, ?4)";
    let address = out.address.to_string();
    db.prepare_cached(sql)?.execute(params![out.message.0, address, out.datagram, out.expires.0])?;
    Ok(())
}

pub(super) fn remove(db: &Connection, message: Seq) -> Result<()> {
    db.prepare_cached("DELETE FROM outbox WHERE message = ?1")?.execute([message.0])?;
    Ok(())
}

/// What using a key means: `None` = it is new.
pub(super) fn look_up_key(
    db: &Connection,
    uid: u32,
    key: &Key,
    digest: &[u8; 32],
) -> Result<Option<Outcome>> {
    let mut statement = db.prepare_cached("SELECT digest, message FROM keys WHERE uid = ?1 AND key = ?2")?;
    let found = statement
        .query_row(params![uid, key.as_str()], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(was, made)| if was == digest { Outcome::Repeated(made) } else { Outcome::KeyConflict }))
}

pub(super) fn insert_key(
    db: &Connection,
    at: Timestamp,
    (uid, key, digest): &(u32, Key, [u8; 32]),
    made: u64,
) -> Result<()> {
    let sql = "INSERT INTO keys (uid, key, digest, message, at) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?.execute(params![uid, key.as_str(), digest, made, at.0])?;
    Ok(())
}

/// Forgets keys that are too old, and the oldest where there are too many.
pub(super) fn prune_keys(db: &Connection, now: Timestamp) -> Result<()> {
    let age = i64::try_from(limits::KEY_AGE.as_millis()).unwrap_or(i64::MAX);
    db.prepare_cached("DELETE FROM keys WHERE at < ?1")?.execute([now.plus_millis(-age).0])?;
    let sql = "DELETE FROM keys WHERE at < (SELECT at FROM keys ORDER BY at DESC LIMIT 1 OFFSET ?1)";
    db.prepare_cached(sql)?.execute([limits::KEYS])?;
    Ok(())
}

pub(super) fn load_conversations(
    db: &Connection,
) -> Result<Vec<(SocketAddr, Encoding, Timestamp)>, StoreError> {
    let mut statement = db.prepare("SELECT address, encoding, at FROM conversations ORDER BY at DESC")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, Timestamp(row.get(2)?)))
    })?;
    let mut conversations = Vec::new();
    for row in rows {
        let (address, encoding, at) = row?;
        let address = address.parse().map_err(|_| damaged("conversations", &address))?;
        if encoding == Encoding::Gb18030.as_str() {
            conversations.push((address, Encoding::Gb18030, at));
        }
    }
    Ok(conversations)
}

pub(super) fn set_conversation(
    db: &Connection,
    at: Timestamp,
    address: SocketAddr,
    encoding: Encoding,
) -> Result<()> {
    let address = address.to_string();
    if encoding != Encoding::Gb18030 {
        db.prepare_cached("DELETE FROM conversations WHERE address = ?1")?.execute([address])?;
        return Ok(());
    }
    let sql = "INSERT INTO conversations (address, encoding, at) VALUES (?1, ?2, ?3)
               ON CONFLICT (address) DO UPDATE SET encoding = ?2, at = ?3";
    db.prepare_cached(sql)?.execute(params![address, encoding.as_str(), at.0])?;
    Ok(())
}
