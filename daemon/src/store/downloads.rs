//! The tables of the download queue: each download, who its bytes came from, and the limit of all together. What is there
//! of each is in `parts` and `staged`.

use super::StoreError;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::ids::PeerId;
use netkit_proto::path::SafePath;
use netkit_proto::rpc::call::{DownloadSource, DownloadState, Failure};
use netkit_proto::rpc::code::Kind;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// A download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadRow {
    /// Its id.
    pub id: u64,
    /// Who added it.
    pub uid: u32,
    /// The lower, the sooner it comes to its turn.
    pub position: i64,
    /// Where it comes from, as it was asked for.
    pub source: String,
    /// The peer that it comes from: the one that was meant when it was added.
    pub peer: Option<PeerId>,
    /// The directory that its file must stay beneath.
    pub root: PathBuf,
    /// Its file beneath that.
    pub path: SafePath,
    /// The file's name was asked for: another name will not do.
    pub named: bool,
    /// A file of that name is replaced.
    pub force: bool,
    /// What the content must hash to, as `ALGORITHM:HEX`.
    pub checksum: Option<String>,
    /// Bytes a second; 0 = no limit of its own.
    pub limit: u64,
    /// How it stands.
    pub state: DownloadState,
    /// The file's size, where the source told it.
    pub size: Option<u64>,
    /// Bytes that are there.
    pub bytes: u64,
    /// The content was checked against the checksum.
    pub verified: bool,
    /// The content's hash, once it is complete.
    pub blake3: Option<BlockHash>,
    /// Why it, or its last try, failed.
    pub error: Option<Failure>,
    /// Tries that brought nothing.
    pub attempts: u32,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
    /// When it was added.
    pub added: Timestamp,
    /// When its state was changed last.
    pub changed: Timestamp,
    /// Who its bytes came from; written by `set_sources` alone.
    pub sources: Vec<DownloadSource>,
}

const COLUMNS: &str = "id, uid, position, source, root, path, named, force, checksum, rate_limit, state, size, \
     bytes, verified, blake3, error_code, error, hint, attempts, retry_at, added, changed, peer";

pub(super) fn load(db: &Connection) -> std::result::Result<Vec<DownloadRow>, StoreError> {
    let mut statement = db.prepare(&format!("SELECT {COLUMNS} FROM downloads ORDER BY id"))?;
    let rows = statement.query_map([], |row| Ok(from_row(row)))?;
    let mut sources = load_sources(db)?;
    let mut with_sources = |row: std::result::Result<DownloadRow, StoreError>| {
        let row = row?;
        Ok(DownloadRow { sources: sources.remove(&row.id).unwrap_or_default(), ..row })
    };
    rows.map(|row| with_sources(row?)).collect()
}

fn load_sources(db: &Connection) -> Result<HashMap<u64, Vec<DownloadSource>>> {
    let mut statement =
        db.prepare("SELECT download, name, peer, bytes, trouble FROM sources ORDER BY bytes DESC, name")?;
    let rows = statement.query_map([], |row| {
        let (name, id) = (row.get(1)?, Some(PeerId(row.get(2)?)));
        Ok((row.get(0)?, DownloadSource { name, id, bytes: row.get(3)?, trouble: row.get(4)? }))
    })?;
    let mut sources: HashMap<u64, Vec<DownloadSource>> = HashMap::new();
    for row in rows {
        let (download, source) = row?;
        sources.entry(download).or_default().push(source);
    }
    Ok(sources)
}

/// Writes down which peers a download's bytes came from. Nothing where it is gone.
pub(super) fn set_sources(db: &Connection, id: u64, sources: &[DownloadSource]) -> Result<()> {
    let sql = "INSERT INTO sources (download, peer, name, bytes, trouble) \
               SELECT ?1, ?2, ?3, ?4, ?5 FROM downloads WHERE id = ?1 \
               ON CONFLICT (download, peer) DO UPDATE SET name = ?3, bytes = ?4, trouble = ?5";
    let mut statement = db.prepare_cached(sql)?;
    for source in sources {
        let Some(peer) = source.id else { continue };
        statement.execute(params![id, peer.0, source.name, source.bytes, source.trouble])?;
    }
    Ok(())
}

/// The highest id that was ever given.
pub(super) fn last_id(db: &Connection) -> Result<u64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'downloads'";
    Ok(db.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The limit of all together, where it was set while netkitd ran.
pub(super) fn limit(db: &Connection) -> Result<Option<u64>> {
    db.query_row("SELECT rate_limit FROM download_limit", [], |row| row.get(0)).optional()
}

pub(super) fn set_limit(db: &Connection, limit: Option<u64>) -> Result<()> {
    db.execute("DELETE FROM download_limit", [])?;
    if let Some(limit) = limit {
        db.execute("INSERT INTO download_limit (rate_limit) VALUES (?1)", [limit])?;
    }
    Ok(())
}

fn from_row(row: &Row<'_>) -> std::result::Result<DownloadRow, StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("a bad {what} in table downloads"));
    let (root, path): (Vec<u8>, Vec<u8>) = (row.get(4)?, row.get(5)?);
    let state: String = row.get(10)?;
    let error = match row.get::<_, Option<i64>>(15)? {
        None => None,
        Some(code) => {
            Some(Failure { kind: Kind::of_download(code), message: row.get(16)?, hint: row.get(17)? })
        }
    };
    Ok(DownloadRow {
        id: row.get(0)?,
        uid: row.get(1)?,
        position: row.get(2)?,
        source: row.get(3)?,
        root: OsString::from_vec(root).into(),
        path: SafePath::parse(&path).map_err(|_| damaged("path"))?,
        named: row.get(6)?,
        force: row.get(7)?,
        checksum: row.get(8)?,
        limit: row.get(9)?,
        state: DownloadState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| damaged("state"))?,
        size: row.get(11)?,
        bytes: row.get(12)?,
        verified: row.get(13)?,
        blake3: row.get(14)?,
        error,
        attempts: row.get(18)?,
        retry_at: row.get::<_, Option<i64>>(19)?.map(Timestamp),
        added: Timestamp(row.get(20)?),
        changed: Timestamp(row.get(21)?),
        peer: row.get::<_, Option<[u8; 32]>>(22)?.map(PeerId),
        sources: Vec::new(),
    })
}

/// Writes a download as it is now; its place in the queue only where it is new.
pub(super) fn set(db: &Connection, row: &DownloadRow) -> Result<()> {
    let sql = format!(
        "INSERT INTO downloads ({COLUMNS}) VALUES \
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
         ?23) \
         ON CONFLICT (id) DO UPDATE SET rate_limit = ?10, state = ?11, size = ?12, bytes = ?13, \
         verified = ?14, blake3 = ?15, error_code = ?16, error = ?17, hint = ?18, attempts = ?19, \
         retry_at = ?20, path = ?6, changed = ?22"
    );
    let error = row.error.as_ref();
    db.prepare_cached(&sql)?.execute(params![
        row.id,
        row.uid,
        row.position,
        row.source,
        row.root.as_os_str().as_bytes(),
        row.path.as_bytes(),
        row.named,
        row.force,
        row.checksum,
        row.limit,
        row.state.as_str(),
        row.size,
        row.bytes,
        row.verified,
        row.blake3,
        error.map(|error| error.kind.code()),
        error.map(|error| &error.message),
        error.and_then(|error| error.hint.as_ref()),
        row.attempts,
        row.retry_at.map(|at| at.0),
        row.added.0,
        row.changed.0,
        row.peer.map(|peer| peer.0),
    ])?;
    Ok(())
}

pub(super) fn remove(db: &Connection, id: u64) -> Result<()> {
    db.prepare_cached("DELETE FROM downloads WHERE id = ?1")?.execute([id])?;
    Ok(())
}

pub(super) fn set_position(db: &Connection, id: u64, position: i64) -> Result<()> {
    db.prepare_cached("UPDATE downloads SET position = ?2 WHERE id = ?1")?.execute(params![id, position])?;
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::schema;
    use super::*;

    pub(in crate::store) fn row(id: u64) -> DownloadRow {
        DownloadRow {
            id,
            uid: 1000,
            position: -3,
            source: "http://a/b".into(),
            root: "/srv".into(),
            path: SafePath::parse(b"d/b").unwrap(),
            named: true,
            force: false,
            checksum: Some("md5:00".into()),
            limit: 7,
            state: DownloadState::Queued,
            size: None,
            bytes: 0,
            verified: false,
            blake3: None,
            error: None,
            attempts: 0,
            retry_at: None,
            added: Timestamp(1),
            changed: Timestamp(2),
            peer: Some(PeerId([3; 32])),
            sources: Vec::new(),
        }
    }

    #[test]
    fn downloads_are_read_as_they_were_written_and_ids_are_never_given_again() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        assert_eq!(last_id(&db).unwrap(), 0);
        set(&db, &row(1)).unwrap();
        let failed = DownloadRow {
            state: DownloadState::Failed,
            size: Some(1 << 40),
            bytes: 5,
            verified: true,
            blake3: Some([9; 32]),
            error: Some(Failure { kind: Kind::Short, message: "m".into(), hint: Some("h".into()) }),
            attempts: 3,
            retry_at: Some(Timestamp(5)),
            ..row(2)
        };
        set(&db, &row(2)).unwrap();
        set(&db, &failed).unwrap();
        assert_eq!(load(&db).unwrap(), [row(1), failed.clone()]);
        let from = |bytes| {
            let bob = |n, trouble| DownloadSource {
                name: "bob".into(),
                id: Some(PeerId([n; 32])),
                bytes: bytes + u64::from(n),
                trouble,
            };
            vec![bob(2, Some("it lies".into())), bob(1, None)] // of one name
        };
        for (id, bytes) in [(2, 3), (2, 4), (7, 1)] {
            set_sources(&db, id, &from(bytes)).unwrap();
        }
        assert_eq!(load(&db).unwrap()[1], DownloadRow { sources: from(4), ..failed });
        remove(&db, 2).unwrap();
        assert_eq!((load(&db).unwrap().len(), last_id(&db).unwrap()), (1, 2));
    }

    #[test]
    fn the_limit_of_all_is_kept_until_it_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        for wanted in [None, Some(0), Some(5), None] {
            set_limit(&db, wanted).unwrap();
            assert_eq!(limit(&db).unwrap(), wanted);
        }
    }
}
