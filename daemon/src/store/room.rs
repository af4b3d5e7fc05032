//! Room for the write-ahead log, taken when the database is opened. Says nothing of what is written there.

use crate::limits;
use rustix::fs::{FallocateFlags, FsWord, Mode, OFlags, fallocate, open, statfs};
use std::io;
use std::path::Path;

/// What a page takes in the log: itself and its header (<https://sqlite.org/fileformat2.html#walformat>).
const FRAME: u64 = 4096 + 24;
/// The file system in memory (statfs(2)): nothing is gained there, and what is taken is memory.
const TMPFS: FsWord = 0x0102_1994;

/// Takes as much room as the log needs until it starts over: a commit that makes the file no longer has nothing but its
/// pages to sync, which is a quarter faster. SQLite reads as far as the checksums of the frames reach, so zeros behind
/// them mean nothing. `false` where the file system can't do that, or has little room left.
///
/// # Errors
/// What the kernel said.
pub(super) fn reserve(database: &Path) -> io::Result<bool> {
    let disk = statfs(database)?;
    let free = disk.f_bavail.saturating_mul(u64::try_from(disk.f_bsize).unwrap_or(0));
    if disk.f_type == TMPFS || free < limits::STORE_ROOM_FREE {
        return Ok(false);
    }
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let log = open(&log, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let bytes = (u64::from(limits::STORE_CHECKPOINT_PAGES) + limits::STORE_GROUP_PAGES) * FRAME;
    match fallocate(&log, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::open_writer;
    use super::*;

    #[test]
    fn what_was_committed_outlives_the_room_behind_it() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap(); // on a disk
        let (path, copy) = (dir.path().join("netkit.db"), dir.path().join("copy.db"));
        let db = open_writer(&path).unwrap();
        let wal = dir.path().join("netkit.db-wal");
        assert!(wal.metadata().unwrap().len() > 0);
        let reserved = reserve(&path).unwrap();
        let after = wal.metadata().unwrap().len();
        assert_eq!(reserved, after >= u64::from(limits::STORE_CHECKPOINT_PAGES) * FRAME, "{after}");
        db.execute_batch("CREATE TABLE x (y); INSERT INTO x VALUES (7)").unwrap();
        assert_eq!(wal.metadata().unwrap().len(), after, "the log grew all the same");
        // As a crash leaves it.
        std::fs::copy(&path, &copy).unwrap();
        std::fs::copy(&wal, dir.path().join("copy.db-wal")).unwrap();
        let copy = open_writer(&copy).unwrap();
        assert_eq!(copy.query_row("SELECT y FROM x", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
    }
}
