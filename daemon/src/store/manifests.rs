//! The table of what shared files hash to, as long as they are as they were then, with where they are: whoever sees a
//! directory above that finds them by their hash, through whichever share. A file that is at several places has a row for
//! each that was asked for; symbolic links make no places. What was hashed last stays, up to a number of bytes: each row has
//! the sum of all that were there before it, so that what is too much is found by an index.

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
    /// Where it is: an absolute path without symbolic links; nothing where that is not known.
    pub path: Vec<u8>,
    /// The hash of the whole.
    pub root: BlockHash,
    /// The values of its blocks, where there are several.
    pub blocks: Vec<BlockHash>,
}

/// A directory that somebody sees, with what is beneath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its absolute path without symbolic links, with a slash at its end.
    pub prefix: Vec<u8>,
    /// Names that start with a dot, too.
    pub dot_files: bool,
}

/// A file that has some content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which file.
    pub file: FileKey,
    /// Which of the directories that were asked for it is beneath.
    pub within: usize,
    /// Where it is in that.
    pub path: Vec<u8>,
}

/// What a row costs besides its blocks.
const OVERHEAD: usize = 256;

pub(super) fn keep(db: &Connection, row: &ManifestRow) -> Result<()> {
    let FileKey { device, inode, size, modified, changed } = row.file;
    let sql = "DELETE FROM manifests WHERE device = ?1 AND inode = ?2 \
               AND (path = ?3 OR size <> ?4 OR modified <> ?5 OR changed <> ?6)";
    let values = params![device.cast_signed(), inode.cast_signed(), row.path, size, modified, changed];
    db.prepare_cached(sql)?.execute(values)?;
    let sql = "SELECT total + ?1 + length(path) + length(blocks) FROM manifests ORDER BY total DESC LIMIT 1";
    let total = db.prepare_cached(sql)?.query_row([OVERHEAD], |row| row.get::<_, u64>(0)).optional()?;
    let total = total.unwrap_or(0);
    let blocks = row.blocks.as_flattened();
    let sql = "INSERT INTO manifests (device, inode, size, modified, changed, total, root, path, blocks) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    db.prepare_cached(sql)?.execute(params![
        device.cast_signed(),
        inode.cast_signed(),
        size,
        modified,
        changed,
        total,
        row.root,
        row.path,
        blocks
    ])?;
    let end = total + (OVERHEAD + row.path.len() + blocks.len()) as u64;
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
    let mut statement = db.prepare_cached(&format!("SELECT root FROM manifests WHERE {IS_FILE} LIMIT 1"))?;
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

/// The hash of a file and those of its blocks, where they are known, and whether it is known to be at this place.
pub(super) fn manifest(
    db: &Connection,
    file: &FileKey,
    path: &[u8],
) -> Result<Option<(BlockHash, Vec<BlockHash>, bool)>> {
    let read = |place: &str, is_here: bool| {
        let sql = format!("SELECT root, blocks FROM manifests WHERE {IS_FILE} AND {place} LIMIT 1");
        let FileKey { device, inode, size, modified, changed } = file;
        let values = params![device.cast_signed(), inode.cast_signed(), size, modified, changed, path];
        let read = |row: &Row<'_>| {
            let blocks = row.get_ref(1)?.as_blob()?;
            Ok((hash_of(row, 0)?, blocks.as_chunks().0.to_vec(), is_here))
        };
        db.prepare_cached(&sql)?.query_row(values, read).optional()
    };
    match read("path = ?6", true)? {
        None => read("path <> ?6", false),
        found => Ok(found),
    }
}

/// Files that had this content when they were hashed and are beneath one of these directories. Others are not come across:
/// how long it takes tells nothing of them.
pub(super) fn holders(db: &Connection, root: &BlockHash, seen: &[Seen]) -> Result<Vec<Holder>> {
    let sql = "SELECT device, inode, size, modified, changed, path FROM manifests \
               WHERE root = ?1 AND path > ?2 AND path < ?3 AND (?4 OR instr(substr(path, ?5), x'2f2e') = 0) LIMIT ?6";
    let mut statement = db.prepare_cached(sql)?;
    let mut holders = Vec::new();
    for (within, Seen { prefix, dot_files }) in seen.iter().enumerate() {
        let Some((_, directory)) = prefix.split_last() else { continue };
        let end = [directory, b"0"].concat(); // what comes after the slash
        let holder = |row: &Row<'_>| {
            let path = row.get_ref(5)?.as_blob()?;
            Ok(Holder {
                file: key_of(row)?,
                within,
                path: path.get(prefix.len()..).unwrap_or_default().into(),
            })
        };
        let values = params![root, prefix, end, dot_files, prefix.len(), limits::HOLDERS];
        holders.extend(statement.query_map(values, holder)?.collect::<Result<Vec<_>>>()?);
    }
    Ok(holders)
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn row(inode: u64, blocks: usize) -> ManifestRow {
        ManifestRow {
            file: FileKey { device: u64::MAX, inode, size: 7, modified: -1, changed: i64::MAX },
            path: b"/s/a/\xff".to_vec(),
            root: [inode as u8; 32],
            blocks: (0..blocks).map(|n| [n as u8; 32]).collect(),
        }
    }

    fn seen(prefix: &str) -> Seen {
        Seen { prefix: prefix.into(), dot_files: false }
    }

    #[test]
    fn what_is_kept_is_found_by_file_and_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        let (one, two) = (row(1, 0), row(u64::MAX, 3));
        keep(&db, &one).unwrap();
        keep(&db, &two).unwrap();
        assert_eq!(manifest(&db, &two.file, &two.path).unwrap(), Some((two.root, two.blocks.clone(), true)));
        assert_eq!(manifest(&db, &two.file, b"/x").unwrap(), Some((two.root, two.blocks.clone(), false)));
        let changed = FileKey { size: 8, ..one.file };
        let other = row(5, 0).file;
        assert_eq!(
            roots(&db, &[one.file, changed, other, two.file]).unwrap(),
            [Some(one.root), None, None, Some(two.root)]
        );
        let holder = Holder { file: one.file, within: 0, path: b"a/\xff".to_vec() };
        assert_eq!(holders(&db, &one.root, &[seen("/s/")]).unwrap(), [holder]);
        assert_eq!(holders(&db, &[9; 32], &[seen("/s/")]).unwrap(), []);
        // Changed and hashed again: the file has one manifest.
        keep(&db, &ManifestRow { file: changed, root: [9; 32], ..one.clone() }).unwrap();
        assert_eq!(roots(&db, &[one.file, changed]).unwrap(), [None, Some([9; 32])]);
        assert_eq!(holders(&db, &one.root, &[seen("/s/")]).unwrap(), []);
    }

    #[test]
    fn a_file_is_found_beneath_whatever_is_seen_however_many_others_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        let at = |inode, path: &str| ManifestRow { path: path.into(), root: [7; 32], ..row(inode, 0) };
        for n in 0..3 * u64::from(limits::HOLDERS) {
            keep(&db, &at(n, &format!("/hidden/{n}"))).unwrap();
            keep(&db, &at(1000 + n, &format!("/srv/.dot/{n}"))).unwrap();
        }
        for (inode, path) in [(2001, "/srv/a/f"), (2002, "/srv0"), (2003, "/srv"), (2001, "/other/f")] {
            keep(&db, &at(inode, path)).unwrap();
        }
        let found = |prefixes: &[&str]| -> Vec<(usize, String)> {
            let seen: Vec<Seen> = prefixes.iter().map(|prefix| seen(prefix)).collect();
            let holders = holders(&db, &[7; 32], &seen).unwrap();
            let shown = |holder: Holder| (holder.within, String::from_utf8(holder.path).unwrap());
            holders.into_iter().map(shown).collect()
        };
        assert_eq!(found(&["/nope/", "/srv/"]), [(1, "a/f".into())]);
        // Through each of two that overlap, and at each place that it was asked for.
        let everywhere = [(0, "f".into()), (1, "a/f".into()), (2, "f".into())];
        assert_eq!(found(&["/srv/a/", "/srv/", "/other/"]), everywhere);
        assert_eq!(found(&["/"]).len(), limits::HOLDERS as usize);
        assert_eq!(found(&[]), []);
        let dots = [Seen { dot_files: true, ..seen("/srv/") }];
        assert_eq!(holders(&db, &[7; 32], &dots).unwrap().len(), limits::HOLDERS as usize);
    }

    #[test]
    fn what_was_hashed_first_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&dir.path().join("db")).unwrap();
        let quarter = usize::try_from(limits::MANIFEST_BYTES).unwrap() / 4 / 32;
        for inode in 1..=6 {
            keep(&db, &row(inode, quarter)).unwrap();
        }
        let kept: Vec<u64> =
            (1..=6).filter(|n| manifest(&db, &row(*n, 0).file, b"").unwrap().is_some()).collect();
        assert_eq!(kept, [4, 5, 6]);
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
        assert!(count("SELECT sum(length(blocks)) FROM manifests") <= limits::MANIFEST_BYTES);
    }
}
