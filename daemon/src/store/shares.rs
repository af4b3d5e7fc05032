//! The table of shares that were added while netkitd ran.

use rusqlite::{Connection, Result, params};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// A share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareRow {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Who may see it, as text that its maker understands.
    pub access: String,
    /// Whether names that start with a dot are shown.
    pub dot_files: bool,
}

pub(super) fn load(db: &Connection) -> Result<Vec<ShareRow>> {
    let mut statement = db.prepare("SELECT name, path, access, dot_files FROM shares ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        let path: Vec<u8> = row.get(1)?;
        let path = OsString::from_vec(path).into();
        Ok(ShareRow { name: row.get(0)?, path, access: row.get(2)?, dot_files: row.get(3)? })
    })?;
    rows.collect()
}

pub(super) fn insert(db: &Connection, share: &ShareRow) -> Result<()> {
    let sql = "INSERT INTO shares (name, path, access, dot_files) VALUES (?1, ?2, ?3, ?4)";
    let path = share.path.as_os_str().as_bytes();
    db.prepare_cached(sql)?.execute(params![share.name, path, share.access, share.dot_files])?;
    Ok(())
}

pub(super) fn remove(db: &Connection, name: &str) -> Result<()> {
    db.prepare_cached("DELETE FROM shares WHERE name = ?1")?.execute([name])?;
    Ok(())
}
