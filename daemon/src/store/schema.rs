//! The tables of `netkit.db` as numbered migrations. A migration that was released is never changed: a new one
//! follows it. Opens connections with the settings that durability rests on.

use super::StoreError;
use crate::limits;
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, MigrationDefinitionError, Migrations};
use std::path::Path;
use std::time::Duration;

const MIGRATIONS: &[M<'_>] = &[
    M::up(
        "
    -- The log's state, one row: its epoch, the highest number given, and what is kept.
    CREATE TABLE log (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        epoch INTEGER NOT NULL,
        head INTEGER NOT NULL DEFAULT 0,
        events INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        unverified_events INTEGER NOT NULL DEFAULT 0,
        unverified_bytes INTEGER NOT NULL DEFAULT 0
    );
    INSERT INTO log (one, epoch) VALUES (1, random() & 9007199254740991);

    -- body: the event's JSON object without seq and at. at: milliseconds since 1970.
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        unverified INTEGER NOT NULL,
        body TEXT NOT NULL
    );

    -- Messages committed and not yet sent, as the datagram to send.
    CREATE TABLE outbox (
        message INTEGER PRIMARY KEY,
        address TEXT NOT NULL,
        datagram BLOB NOT NULL,
        expires INTEGER NOT NULL
    );

    -- Idempotency keys: digest of the parameters, and the message that was made.
    CREATE TABLE keys (
        uid INTEGER NOT NULL,
        key TEXT NOT NULL,
        digest BLOB NOT NULL,
        message INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (uid, key)
    ) WITHOUT ROWID;
    CREATE INDEX keys_by_age ON keys (at);

    -- Plain peers that are not answered in UTF-8.
    CREATE TABLE conversations (
        address TEXT PRIMARY KEY,
        encoding TEXT NOT NULL,
        at INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE cursors (
        uid INTEGER NOT NULL,
        name TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        moved INTEGER NOT NULL,
        PRIMARY KEY (uid, name)
    ) WITHOUT ROWID;
    ",
    ),
    M::up(
        "
    -- Directories shared while netkitd ran. access: see hub::shares.
    CREATE TABLE shares (
        name TEXT PRIMARY KEY,
        path BLOB NOT NULL,
        access TEXT NOT NULL,
        dot_files INTEGER NOT NULL
    ) WITHOUT ROWID;
    ",
    ),
    M::up(
        "
    -- AUTOINCREMENT: an id is never given again. Times in milliseconds since 1970.
    CREATE TABLE downloads (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid INTEGER NOT NULL,
        position INTEGER NOT NULL,
        source TEXT NOT NULL,
        root BLOB NOT NULL,
        path BLOB NOT NULL,
        named INTEGER NOT NULL,
        force INTEGER NOT NULL,
        checksum TEXT,
        rate_limit INTEGER NOT NULL,
        state TEXT NOT NULL,
        size INTEGER,
        bytes INTEGER NOT NULL,
        verified INTEGER NOT NULL,
        blake3 BLOB,
        error_code INTEGER,
        error TEXT,
        hint TEXT,
        attempts INTEGER NOT NULL,
        retry_at INTEGER,
        added INTEGER NOT NULL,
        changed INTEGER NOT NULL
    );

    -- The part file of a download that is not done.
    CREATE TABLE parts (
        download INTEGER PRIMARY KEY REFERENCES downloads ON DELETE CASCADE,
        boot TEXT NOT NULL,
        device INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        size INTEGER,
        validator TEXT,
        complete BLOB
    );

    -- What is there of its blocks of 1 MiB; a complete one has its BLAKE3 chaining value.
    CREATE TABLE blocks (
        download INTEGER NOT NULL REFERENCES parts ON DELETE CASCADE,
        block INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        hash BLOB,
        PRIMARY KEY (download, block)
    ) WITHOUT ROWID;

    -- At most one row: the limit of all downloads together, where it was set while netkitd ran.
    CREATE TABLE download_limit (rate_limit INTEGER NOT NULL);
    ",
    ),
    M::up(
        "
    -- Lists are words between spaces. Times in milliseconds since 1970.
    CREATE TABLE peers (
        id BLOB PRIMARY KEY,
        name TEXT NOT NULL,
        trust TEXT NOT NULL,
        addresses TEXT NOT NULL,
        rooms TEXT NOT NULL,
        seen INTEGER NOT NULL
    ) WITHOUT ROWID;

    -- Hosts that are asked for peers, and who was there first.
    CREATE TABLE hosts (host TEXT PRIMARY KEY, added INTEGER NOT NULL, peer BLOB) WITHOUT ROWID;

    -- The rooms that this box is in.
    CREATE TABLE rooms (name TEXT PRIMARY KEY) WITHOUT ROWID;

    -- Messages that a peer has not stored yet, by their numbers on the way to it.
    CREATE TABLE letters (
        peer BLOB NOT NULL,
        n INTEGER NOT NULL,
        message INTEGER NOT NULL,
        room TEXT,
        text TEXT NOT NULL,
        at INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (peer, n)
    ) WITHOUT ROWID;

    -- The last such number that was given.
    CREATE TABLE numbers (peer BLOB PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;

    -- The highest number that is stored here, of each peer's log.
    CREATE TABLE stored (
        peer BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        n INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (peer, epoch)
    ) WITHOUT ROWID;
    ",
    ),
    M::up(
        "
    -- What shared files hash to: see store::manifests. Times in nanoseconds since 1970. The blocks come last: whoever
    -- asks for the rest does not read their pages.
    CREATE TABLE manifests (
        device INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        size INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        total INTEGER NOT NULL,
        root BLOB NOT NULL,
        share TEXT NOT NULL,
        path BLOB NOT NULL,
        blocks BLOB NOT NULL,
        UNIQUE (device, inode)
    );
    CREATE INDEX manifests_by_root ON manifests (root);
    CREATE INDEX manifests_by_total ON manifests (total);
    ",
    ),
    M::up(
        "
    -- Which peer a download comes from: the one that was meant when it was added.
    ALTER TABLE downloads ADD COLUMN peer BLOB;

    -- Who a download's bytes came from, and why somebody is asked no more.
    CREATE TABLE sources (
        download INTEGER NOT NULL REFERENCES downloads ON DELETE CASCADE,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        trouble TEXT,
        PRIMARY KEY (download, name)
    ) WITHOUT ROWID;

    -- The directory that a download of many files is staged in; complete: what all of it hashes to.
    CREATE TABLE stages (
        download INTEGER PRIMARY KEY REFERENCES downloads ON DELETE CASCADE,
        boot TEXT NOT NULL,
        device INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        complete BLOB
    );

    -- Which files are there in it. modified: milliseconds since 1970, as the source told.
    CREATE TABLE staged_files (
        download INTEGER NOT NULL REFERENCES stages ON DELETE CASCADE,
        path BLOB NOT NULL,
        size INTEGER NOT NULL,
        modified INTEGER,
        hash BLOB NOT NULL,
        PRIMARY KEY (download, path)
    ) WITHOUT ROWID;

    -- Of a directory: the file in it that a part file becomes.
    ALTER TABLE parts ADD COLUMN within BLOB;
    ",
    ),
    M::up(
        "
    -- Which peers a download's bytes came from, each by its id: what they are called may change, or be the same.
    DROP TABLE sources;
    CREATE TABLE sources (
        download INTEGER NOT NULL REFERENCES downloads ON DELETE CASCADE,
        peer BLOB NOT NULL,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        trouble TEXT,
        PRIMARY KEY (download, peer)
    ) WITHOUT ROWID;
    ",
    ),
    M::up(
        "
    -- What shared files hash to, at each place that they are at: see store::manifests. It is hashed anew.
    DROP TABLE manifests;
    CREATE TABLE manifests (
        device INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        size INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        total INTEGER NOT NULL,
        root BLOB NOT NULL,
        path BLOB NOT NULL,
        blocks BLOB NOT NULL,
        UNIQUE (device, inode, path)
    );
    CREATE INDEX manifests_by_root ON manifests (root, path);
    CREATE INDEX manifests_by_total ON manifests (total);
    ",
    ),
    M::up(
        "
    -- Messages that a peer has not stored yet, those that were committed together in one row. letters: see
    -- store::letters. last: the last of their numbers when the row was written.
    CREATE TABLE bundles (peer BLOB NOT NULL, last INTEGER NOT NULL, letters BLOB NOT NULL, UNIQUE (peer, last));
    INSERT INTO bundles (peer, last, letters)
        SELECT peer, n, unhex(
            format('%016x%016x%016x%016x', n, message, at, expires)
            || format('%08x', length(hex(room)) / 2) || hex(room)
            || format('%08x', length(hex(text)) / 2) || hex(text)
        ) FROM letters;
    DROP TABLE letters;

    -- Which of them the peer has stored: all up to this number. Older ones in a row are only still there.
    ALTER TABLE numbers ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
    ",
    ),
];

/// Opens the database for the writer, made and brought up to date where needed.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "wal_autocheckpoint", limits::STORE_CHECKPOINT_PAGES)?;
    db.pragma_update(None, "journal_size_limit", 64 << 20)?;
    match Migrations::from_slice(MIGRATIONS).to_latest(&mut db) {
        Ok(()) => Ok(db),
        Err(rusqlite_migration::Error::MigrationDefinition(
            MigrationDefinitionError::DatabaseTooFarAhead,
        )) => Err(StoreError::Newer),
        Err(rusqlite_migration::Error::RusqliteError { err, .. }) => Err(err.into()),
        Err(other) => Err(StoreError::Migration(other.to_string())),
    }
}

/// Opens the database for the reader; the writer must have opened it before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.busy_timeout(Duration::from_secs(5))?;
    Ok(db)
}

#[cfg(test)]
mod tests {
    use super::super::{Letter, letters};
    use super::*;
    use netkit_proto::ids::{PeerId, Seq};
    use netkit_proto::time::Timestamp;

    #[test]
    fn migrations_are_valid() {
        Migrations::from_slice(MIGRATIONS).validate().unwrap();
    }

    #[test]
    fn what_waits_for_peers_is_there_after_an_upgrade() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netkit.db");
        let mut db = Connection::open(&path).unwrap();
        Migrations::from_slice(MIGRATIONS).to_version(&mut db, 8).unwrap();
        let sql = "INSERT INTO letters (peer, n, message, room, text, at, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        for (n, room, text) in [(5, None, "a\n\"\0b"), (6, Some("ops"), "小明"), (7, None, "")] {
            db.execute(sql, rusqlite::params![[7u8; 32], n, 40 + n, room, text, n - 6, 200 + n]).unwrap();
        }
        db.execute("INSERT INTO numbers (peer, last) VALUES (?1, 7)", [[7u8; 32]]).unwrap();
        drop(db);
        let loaded = letters::load(&open_writer(&path).unwrap()).unwrap();
        let letter = |n: u64, room: Option<&str>, text: &str| {
            let (at, expires) = (Timestamp(n as i64 - 6), Timestamp(200 + n as i64));
            let room = room.map(|room| room.parse().unwrap());
            (PeerId([7; 32]), Letter { n, message: Seq(40 + n), room, text: text.into(), at, expires })
        };
        assert_eq!(
            loaded,
            [letter(5, None, "a\n\"\0b"), letter(6, Some("ops"), "小明"), letter(7, None, "")]
        );
    }

    #[test]
    fn a_database_of_a_newer_netkitd_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netkit.db");
        open_writer(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(open_writer(&path), Err(StoreError::Newer)));
    }

    #[test]
    fn commits_are_synced_before_they_return() {
        let dir = tempfile::tempdir().unwrap();
        let db = open_writer(&dir.path().join("netkit.db")).unwrap();
        let setting = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(setting("synchronous"), 2);
        let journal: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(journal, "wal");
    }
}
