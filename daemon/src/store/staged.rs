//! The tables of downloads of many files: where each is staged, and which files are there. Written as they come, read
//! when a download begins.

use super::{StageRow, StagedFile};
use netkit_proto::path::SafePath;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Result, params};

/// Notes where a download is staged, and more files of it. Nothing where the download is gone.
pub(super) fn save(db: &Connection, id: u64, stage: &StageRow, files: &[StagedFile]) -> Result<()> {
    let sql = "INSERT INTO stages (download, boot, device, inode, complete) \
               SELECT ?1, ?2, ?3, ?4, ?5 FROM downloads WHERE id = ?1 \
               ON CONFLICT (download) DO UPDATE SET boot = ?2, device = ?3, inode = ?4, complete = ?5";
    // As in the table of part files: the bits are kept.
    let (device, inode) = (stage.file.0.cast_signed(), stage.file.1.cast_signed());
    let saved = db.prepare_cached(sql)?.execute(params![id, stage.boot, device, inode, stage.complete])?;
    if saved == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO staged_files (download, path, size, modified, hash) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT (download, path) DO UPDATE SET size = ?3, modified = ?4, hash = ?5";
    let mut statement = db.prepare_cached(sql)?;
    for StagedFile { path, size, modified, hash } in files {
        statement.execute(params![id, path.as_bytes(), size, modified.map(|at| at.0), hash])?;
    }
    Ok(())
}

/// Forgets what is staged.
pub(super) fn forget(db: &Connection, id: u64) -> Result<()> {
    db.prepare_cached("DELETE FROM stages WHERE download = ?1")?.execute([id])?;
    Ok(())
}

/// What is staged of a download.
pub(super) fn load(db: &Connection, id: u64) -> Result<Option<(StageRow, Vec<StagedFile>)>> {
    let sql = "SELECT boot, device, inode, complete FROM stages WHERE download = ?1";
    let stage = db.prepare_cached(sql)?.query_row([id], |row| {
        let file = (row.get::<_, i64>(1)?.cast_unsigned(), row.get::<_, i64>(2)?.cast_unsigned());
        Ok(StageRow { boot: row.get(0)?, file, complete: row.get(3)? })
    });
    let Some(stage) = stage.optional()? else { return Ok(None) };
    let sql = "SELECT path, size, modified, hash FROM staged_files WHERE download = ?1 ORDER BY path";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([id], |row| {
        // What can't be read is no file that is wanted.
        let path = SafePath::parse(&row.get::<_, Vec<u8>>(0)?).unwrap_or_default();
        let modified = row.get::<_, Option<i64>>(2)?.map(Timestamp);
        Ok(StagedFile { path, size: row.get(1)?, modified, hash: row.get(3)? })
    })?;
    Ok(Some((stage, rows.collect::<Result<_>>()?)))
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn what_is_staged_is_read_as_it_was_written_and_goes_with_its_download() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        let stage = StageRow { boot: "b".into(), file: (1, u64::MAX), complete: None };
        let file = |path: &[u8], size| StagedFile {
            path: SafePath::parse(path).unwrap(),
            size,
            modified: Some(Timestamp(-5)),
            hash: [7; 32],
        };
        save(&db, 1, &stage, &[file(b"a", 1)]).unwrap();
        assert_eq!(load(&db, 1).unwrap(), None, "there is no such download");
        let columns = "uid, position, source, root, path, named, force, rate_limit, state, bytes, verified, \
                       attempts, added, changed";
        let sql = format!("INSERT INTO downloads ({columns}) VALUES (0,0,'',x'',x'',0,0,0,'',0,0,0,0,0)");
        db.execute(&sql, []).unwrap();
        save(&db, 1, &stage, &[file(b"b/\xff", 2), file(b"a", 1)]).unwrap();
        let complete = StageRow { complete: Some([1; 32]), ..stage };
        save(&db, 1, &complete, &[file(b"a", 3)]).unwrap();
        assert_eq!(load(&db, 1).unwrap(), Some((complete, vec![file(b"a", 3), file(b"b/\xff", 2)])));
        db.execute("DELETE FROM downloads", []).unwrap();
        let left: i64 = db.query_row("SELECT count(*) FROM staged_files", [], |row| row.get(0)).unwrap();
        assert_eq!((load(&db, 1).unwrap(), left), (None, 0));
    }
}
