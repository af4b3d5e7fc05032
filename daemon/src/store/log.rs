//! The event log's tables: numbering, appending, counting.

use super::{Entry, StoreError};
use crate::limits;
use netkit_proto::ids::{Epoch, Seq};
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use rusqlite::{CachedStatement, Connection, Result, params};

/// How much the log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// The highest number given.
    pub head: Seq,
    /// Events kept.
    pub events: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Unverified lines among them.
    pub unverified_events: u64,
    /// Their size in bytes.
    pub unverified_bytes: u64,
}

impl LogStats {
    pub(super) fn add(&mut self, unverified: bool, bytes: u64) {
        self.events += 1;
        self.bytes += bytes;
        if unverified {
            self.unverified_events += 1;
            self.unverified_bytes += bytes;
        }
    }

    pub(super) fn remove(&mut self, unverified: bool, bytes: u64) {
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if unverified {
            self.unverified_events = self.unverified_events.saturating_sub(1);
            self.unverified_bytes = self.unverified_bytes.saturating_sub(bytes);
        }
    }
}

/// What an event counts for in the log's size.
pub(super) fn size_of(body: &str) -> u64 {
    body.len() as u64 + limits::EVENT_OVERHEAD
}

pub(super) fn epoch(db: &Connection) -> Result<Epoch, StoreError> {
    Ok(db.query_row("SELECT epoch FROM log", [], |row| row.get(0).map(Epoch))?)
}

pub(super) fn stats(db: &Connection) -> Result<LogStats, StoreError> {
    let sql = "SELECT head, events, bytes, unverified_events, unverified_bytes FROM log";
    let row = |row: &rusqlite::Row<'_>| {
        Ok(LogStats {
            head: Seq(row.get(0)?),
            events: row.get(1)?,
            bytes: row.get(2)?,
            unverified_events: row.get(3)?,
            unverified_bytes: row.get(4)?,
        })
    };
    Ok(db.query_row(sql, [], row)?)
}

/// Writes back what [`Appender`] and retention changed; belongs to the same transaction.
pub(super) fn save_stats(db: &Connection, stats: &LogStats) -> Result<()> {
    let sql =
        "UPDATE log SET head = ?1, events = ?2, bytes = ?3, unverified_events = ?4, unverified_bytes = ?5";
    let LogStats { head, events, bytes, unverified_events, unverified_bytes } = *stats;
    db.prepare_cached(sql)?.execute(params![head.0, events, bytes, unverified_events, unverified_bytes])?;
    Ok(())
}

/// Appends to the log within one transaction. The statement is looked up once for all of its events.
pub(super) struct Appender<'a> {
    insert: CachedStatement<'a>,
    stats: LogStats,
}

impl<'a> Appender<'a> {
    pub(super) fn new(db: &'a Connection, stats: LogStats) -> Result<Appender<'a>> {
        let sql = "INSERT INTO events (seq, at, unverified, body) VALUES (?1, ?2, ?3, ?4)";
        Ok(Appender { insert: db.prepare_cached(sql)?, stats })
    }

    /// Gives the event its number and appends it.
    pub(super) fn append(&mut self, at: Timestamp, event: &Event) -> Result<Entry> {
        let entry = Entry { seq: self.stats.head.next(), at, body: event.to_body() };
        let unverified = event.is_unverified();
        self.insert.execute(params![entry.seq.0, at.0, unverified, &*entry.body])?;
        self.stats.head = entry.seq;
        self.stats.add(unverified, size_of(&entry.body));
        Ok(entry)
    }

    /// How the log is now.
    pub(super) fn into_stats(self) -> LogStats {
        self.stats
    }
}
