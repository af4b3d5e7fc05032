//! The tables of what is there of a download: its part file and the blocks in it. The types of what is staged are here,
//! too; its tables are in `staged`.

use super::Outcome;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::path::SafePath;
use netkit_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Result, params};

/// What a part file is and which file it becomes a copy of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// The boot during which it was written: what was not synced may be lost after another.
    pub boot: String,
    /// The file system's number, and the file's in it.
    pub file: (u64, u64),
    /// The size of the whole file.
    pub size: Option<u64>,
    /// What tells this content of the source from another.
    pub validator: Option<String>,
    /// The content's hash: it is complete, and may have got its final name.
    pub complete: Option<BlockHash>,
    /// Of a directory: the file in it that this becomes.
    pub within: Option<SafePath>,
}

/// What is there of a download.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Its part file, and the blocks in that.
    pub part: Option<(PartRow, Vec<BlockRow>)>,
    /// Of a directory: where it is staged, and the files that are there.
    pub stage: Option<(StageRow, Vec<StagedFile>)>,
}

/// The directory that a download is staged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRow {
    /// See [`PartRow::boot`].
    pub boot: String,
    /// The file system's number, and the directory's in it.
    pub file: (u64, u64),
    /// What all of it hashes to: it is complete, and may have got its final name.
    pub complete: Option<BlockHash>,
}

/// A file that is there, in such a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedFile {
    /// Where.
    pub path: SafePath,
    /// Its size.
    pub size: u64,
    /// When it was changed last, at the source.
    pub modified: Option<Timestamp>,
    /// Its hash.
    pub hash: BlockHash,
}

/// What is there of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRow {
    /// Which block of [`netkit_proto::files::manifest::BLOCK`] bytes.
    pub block: u64,
    /// How many of its bytes, from its start on; none: it is not there any more.
    pub bytes: u64,
    /// Its hash, when it is complete.
    pub hash: Option<BlockHash>,
}

/// What is to be noted of a part file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartNote {
    /// The file itself.
    pub part: PartRow,
    /// Those blocks of which there is more than was noted before, or less.
    pub blocks: Vec<BlockRow>,
    /// It was begun anew: what was noted of blocks is of another file, whose number this one may have got.
    pub is_new: bool,
}

/// Writes down what a part file holds. Nothing where the download is gone.
pub(super) fn save_part(
    db: &Connection,
    id: u64,
    (bytes, total): (u64, Option<u64>),
    note: &PartNote,
) -> Result<()> {
    let PartNote { part, blocks, is_new } = note;
    if *is_new {
        forget_part(db, id)?;
    }
    let sql = "INSERT INTO parts (download, boot, device, inode, size, validator, complete, within) \
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM downloads WHERE id = ?1 \
               ON CONFLICT (download) DO UPDATE SET boot = ?2, device = ?3, inode = ?4, size = ?5, \
               validator = ?6, complete = ?7, within = ?8";
    // The numbers are 64 bits without a sign, SQLite's have one: the bits are kept.
    let (device, inode) = (part.file.0.cast_signed(), part.file.1.cast_signed());
    let PartRow { boot, size, validator, complete, .. } = part;
    let within = part.within.as_ref().map(SafePath::as_bytes);
    let saved = db
        .prepare_cached(sql)?
        .execute(params![id, boot, device, inode, size, validator, complete, within])?;
    if saved == 0 {
        return Ok(());
    }
    let sql = "UPDATE downloads SET bytes = ?2, size = ?3 WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![id, bytes, total])?;
    let sql = "INSERT INTO blocks (download, block, bytes, hash) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (download, block) DO UPDATE SET bytes = ?3, hash = ?4";
    let mut statement = db.prepare_cached(sql)?;
    let mut gone = db.prepare_cached("DELETE FROM blocks WHERE download = ?1 AND block = ?2")?;
    for BlockRow { block, bytes, hash } in blocks {
        match bytes {
            0 => gone.execute([id, *block])?,
            _ => statement.execute(params![id, block, bytes, hash])?,
        };
    }
    Ok(())
}

/// Forgets what a part file held.
pub(super) fn forget_part(db: &Connection, id: u64) -> Result<()> {
    db.prepare_cached("DELETE FROM parts WHERE download = ?1")?.execute([id])?;
    Ok(())
}

/// What is known of what is there of a download.
pub(super) fn load_held(db: &Connection, id: u64) -> Result<Outcome> {
    let held = Held { part: load_part(db, id)?, stage: super::staged::load(db, id)? };
    Ok(Outcome::Part(Box::new(held)))
}

fn load_part(db: &Connection, id: u64) -> Result<Option<(PartRow, Vec<BlockRow>)>> {
    let sql = "SELECT boot, device, inode, size, validator, complete, within FROM parts WHERE download = ?1";
    let part = db.prepare_cached(sql)?.query_row([id], |row| {
        let file = (row.get::<_, i64>(1)?.cast_unsigned(), row.get::<_, i64>(2)?.cast_unsigned());
        Ok(PartRow {
            boot: row.get(0)?,
            file,
            size: row.get(3)?,
            validator: row.get(4)?,
            complete: row.get(5)?,
            // What can't be read is no file of the directory: what came of it is of no use, and goes.
            within: row.get::<_, Option<Vec<u8>>>(6)?.map(|path| SafePath::parse(&path).unwrap_or_default()),
        })
    });
    let Some(part) = part.optional()? else { return Ok(None) };
    let mut statement =
        db.prepare_cached("SELECT block, bytes, hash FROM blocks WHERE download = ?1 ORDER BY block")?;
    let rows = statement
        .query_map([id], |row| Ok(BlockRow { block: row.get(0)?, bytes: row.get(1)?, hash: row.get(2)? }))?;
    Ok(Some((part, rows.collect::<Result<_>>()?)))
}

#[cfg(test)]
mod tests {
    use super::super::downloads::tests::row;
    use super::super::{downloads, schema};
    use super::*;

    #[test]
    fn a_part_goes_with_its_download() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        let part = PartRow {
            boot: "b".into(),
            file: (1, u64::MAX),
            size: Some(9),
            validator: Some("\"v\"".into()),
            complete: None,
            within: Some(SafePath::parse(b"a/b").unwrap()),
        };
        let block = |block, hash| BlockRow { block, bytes: 5, hash };
        let save = |blocks: &[BlockRow], is_new| {
            let note = PartNote { part: part.clone(), blocks: blocks.to_vec(), is_new };
            save_part(&db, 1, (5, Some(9)), &note).unwrap();
        };
        save(&[], true);
        assert!(matches!(load_part(&db, 1), Ok(None)), "there is no such download");
        downloads::set(&db, &row(1)).unwrap();
        save(&[block(0, None), block(1, Some([1; 32]))], false);
        save(&[block(0, Some([2; 32]))], false);
        let (read, blocks) = load_part(&db, 1).unwrap().unwrap();
        assert_eq!((read, blocks), (part.clone(), vec![block(0, Some([2; 32])), block(1, Some([1; 32]))]));
        save(&[BlockRow { bytes: 0, ..block(0, None) }], false);
        assert_eq!(load_part(&db, 1).unwrap().unwrap().1, [block(1, Some([1; 32]))]);
        save(&[block(2, None)], true);
        let blocks = load_part(&db, 1).unwrap().unwrap().1;
        assert_eq!(blocks, [block(2, None)], "the others are of the file before, even of the same number");
        forget_part(&db, 1).unwrap();
        assert!(matches!(load_part(&db, 1), Ok(None)));
        save(&[block(3, None)], false);
        downloads::remove(&db, 1).unwrap();
        let left: i64 = db.query_row("SELECT count(*) FROM blocks", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }
}
