//! The table of what shared files hash to, as long as they are as they were then. What was hashed last stays, up to a
//! number of bytes: each row has the sum of all that were there before it, so that what is too much is found by an index.

use crate::limits;
use netkit_proto::files::manifest::BlockHash;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

/// Which file it is, and as it was when. Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// The file system's number.
    pub device: u64,
    /// The file's number in it.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// When its content was changed last.
    pub modified: i64,
    /// When anything of it was changed last.
    pub changed: i64,
}

/// What a file hashes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRow {
    /// Which file.
    pub file: FileKey,
    /// The share that it was seen in.
    pub share: String,
    /// Where it was in that.
    pub path: Vec<u8>,
    /// The hash of the whole.
    pub root: BlockHash,
    /// The values of its blocks, where there are several.
    pub blocks: Vec<BlockHash>,
}

/// A file that has some content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which file.
    pub file: FileKey,
    /// The share that it was seen in.
    pub share: String,
    /// Where it was in that.
    pub path: Vec<u8>,
}

/// What a row costs besides its blocks.
const OVERHEAD: usize = 256;

pub(super) fn keep(db: &Connection, row: &ManifestRow) -> Result<()> {
    let FileKey { device, inode, size, modified, changed } = row.file;
    db.prepare_cached("DELETE FROM manifests WHERE device = ?1 AND inode = ?2")?
        .execute(params![device.cast_signed(), inode.cast_signed()])?;
    let sql = "SELECT total + ?1 + length(CAST(share AS BLOB)) + length(path) + length(blocks) FROM manifests \
               ORDER BY total DESC LIMIT 1";
    let total = db.prepare_cached(sql)?.query_row([OVERHEAD], |row| row.get::<_, u64>(0)).optional()?;
    let total = total.unwrap_or(0);
    let blocks = row.blocks.as_flattened();
    let sql = "INSERT INTO manifests (device, inode, size, modified, changed, total, root, share, path, blocks) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    db.prepare_cached(sql)?.execute(params![
        device.cast_signed(),
        inode.cast_signed(),
        size,
        modified,
        changed,
        total,
        row.root,
        row.share,
        row.path,
        blocks
    ])?;
    let end = total + (OVERHEAD + row.share.len() + row.path.len() + blocks.len()) as u64;
    let sql = "DELETE FROM manifests WHERE total < ?1";
    db.prepare_cached(sql)?.execute([end.saturating_sub(limits::MANIFEST_BYTES)])?;
    Ok(())
}

fn hash_of(row: &Row<'_>, at: usize) -> Result<BlockHash> {
    row.get::<_, [u8; 32]>(at)
}

fn key_of(row: &Row<'_>) -> Result<FileKey> {
    Ok(FileKey {
        device: row.get::<_, i64>(0)?.cast_unsigned(),
        inode: row.get::<_, i64>(1)?.cast_unsigned(),
        size: row.get(2)?,
        modified: row.get(3)?,
        changed: row.get(4)?,
    })
}

const IS_FILE: &str = "device = ?1 AND inode = ?2 AND size = ?3 AND modified = ?4 AND changed = ?5";

/// What each of these files hashes to, where that is known.
pub(super) fn roots(db: &Connection, files: &[FileKey]) -> Result<Vec<Option<BlockHash>>> {
    let mut statement = db.prepare_cached(&format!("SELECT root FROM manifests WHERE {IS_FILE}"))?;
    let mut root = |file: &FileKey| {
        let values = params![
            file.device.cast_signed(),
            file.inode.cast_signed(),
            file.size,
            file.modified,
            file.changed
        ];
        statement.query_row(values, |row| hash_of(row, 0)).optional()
    };
    files.iter().map(&mut root).collect()
}

/// The hash of a file and those of its blocks, where they are known.
pub(super) fn manifest(db: &Connection, file: &FileKey) -> Result<Option<(BlockHash, Vec<BlockHash>)>> {
    let mut statement = db.prepare_cached(&format!("SELECT root, blocks FROM manifests WHERE {IS_FILE}"))?;
    let values =
        params![file.device.cast_signed(), file.inode.cast_signed(), file.size, file.modified, file.changed];
    let read = |row: &Row<'_>| {
        let blocks = row.get_ref(1)?.as_blob()?;
        Ok((hash_of(row, 0)?, blocks.as_chunks().0.to_vec()))
    };
    statement.query_row(values, read).optional()
}

/// Files that had this content when they were hashed, those hashed last first.
pub(super) fn holders(db: &Connection, root: &BlockHash) -> Result<Vec<Holder>> {
    let sql = "SELECT device, inode, size, modified, changed, share, path FROM manifests WHERE root = ?1 \
               ORDER BY total DESC LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let holder = |row: &Row<'_>| Ok(Holder { file: key_of(row)?, share: row.get(5)?, path: row.get(6)? });
    statement.query_map(params![root, limits::HOLDERS], holder)?.collect()
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn row(inode: u64, blocks: usize) -> ManifestRow {
        ManifestRow {
            file: FileKey { device: u64::MAX, inode, size: 7, modified: -1, changed: i64::MAX },
            share: "s".into(),
            path: b"a/\xff".to_vec(),
            root: [inode as u8; 32],
            blocks: (0..blocks).map(|n| [n as u8; 32]).collect(),
        }
    }

    #[test]
    fn what_is_kept_is_found_by_file_and_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        let (one, two) = (row(1, 0), row(u64::MAX, 3));
        keep(&db, &one).unwrap();
        keep(&db, &two).unwrap();
        assert_eq!(manifest(&db, &two.file).unwrap(), Some((two.root, two.blocks.clone())));
        let changed = FileKey { size: 8, ..one.file };
        let other = row(5, 0).file;
        assert_eq!(
            roots(&db, &[one.file, changed, other, two.file]).unwrap(),
            [Some(one.root), None, None, Some(two.root)]
        );
        let holder = Holder { file: one.file, share: "s".into(), path: b"a/\xff".to_vec() };
        assert_eq!(holders(&db, &one.root).unwrap(), [holder]);
        assert_eq!(holders(&db, &[9; 32]).unwrap(), []);
        // Changed and hashed again: the file has one manifest.
        keep(&db, &ManifestRow { file: changed, root: [9; 32], ..one.clone() }).unwrap();
        assert_eq!(roots(&db, &[one.file, changed]).unwrap(), [None, Some([9; 32])]);
        assert_eq!(holders(&db, &one.root).unwrap(), []);
    }

    #[test]
    fn what_was_hashed_first_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        let quarter = usize::try_from(limits::MANIFEST_BYTES).unwrap() / 4 / 32;
        for inode in 1..=6 {
            keep(&db, &row(inode, quarter)).unwrap();
        }
        let kept: Vec<u64> = (1..=6).filter(|n| manifest(&db, &row(*n, 0).file).unwrap().is_some()).collect();
        assert_eq!(kept, [4, 5, 6]);
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
        assert!(count("SELECT sum(length(blocks)) FROM manifests") <= limits::MANIFEST_BYTES);
    }
}
