//! The write-ahead log as a file: room at its end, and its sync. Used by the writer thread between two commits, so that
//! nobody else writes there meanwhile; knows nothing of what is in the log.

use crate::limits;
use rustix::fs::{Mode, OFlags, fdatasync, fstat, fstatfs, open};
use rustix::io::write;
use std::fs::File;
use std::io;
use std::path::Path;

/// Keeps the file longer than what SQLite has written: a commit that only overwrites syncs its pages and nothing else,
/// which takes a quarter less time than one that makes the file longer. SQLite reads as far as the frames' checksums
/// are right (<https://sqlite.org/fileformat2.html#walformat>), so zeros behind the last one mean nothing to it.
/// (Room that is only reserved, by fallocate(2), gains nothing: the first write to it changes the file's extents.)
#[derive(Debug)]
pub(super) struct Room {
    /// `None` where it can't be opened: then the log grows with each commit, as it does elsewhere.
    log: Option<File>,
    /// How long the file was when room was made last; the greatest number where that failed.
    made: u64,
}

impl Room {
    /// For the log of this database, which SQLite has opened.
    pub(super) fn of(database: &Path) -> Room {
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        // Appending: what another process, somebody's sqlite3, writes there meanwhile is not overwritten.
        let log =
            open(&log, OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC, Mode::empty()).map(File::from);
        Room { log: log.inspect_err(|error| tracing::debug!(%error, "no room for the log")).ok(), made: 0 }
    }

    /// Whether the log can be synced from here.
    pub(super) fn is_there(&self) -> bool {
        self.log.is_some()
    }

    /// Syncs what SQLite has written to the log.
    ///
    /// # Errors
    /// Those of fdatasync(2).
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(self.log.as_ref().map_or(Ok(()), fdatasync)?)
    }

    /// Makes room where the last is used up. There is an end to that: SQLite starts over after a checkpoint.
    pub(super) fn make(&mut self) {
        let Some(log) = &self.log else { return };
        match room(log, self.made) {
            Ok(made) => self.made = made,
            Err(error) => {
                tracing::debug!(%error, "no room for the log");
                self.made = u64::MAX;
            }
        }
    }
}

/// How long the file is after that.
fn room(log: &File, made: u64) -> io::Result<u64> {
    let length = u64::try_from(fstat(log)?.st_size).unwrap_or(0);
    if length <= made || length >= limits::STORE_ROOM {
        return Ok(made);
    }
    let disk = fstatfs(log)?;
    if disk.f_bavail.saturating_mul(u64::try_from(disk.f_bsize).unwrap_or(0)) < limits::STORE_ROOM_FREE {
        return Ok(length);
    }
    let zeros = vec![0; limits::STORE_ROOM_STEP];
    let written = write(log, &zeros)?;
    fdatasync(log)?;
    Ok(length + written as u64)
}

#[cfg(test)]
mod tests {
    use super::super::schema::open_writer;
    use super::*;

    #[test]
    fn what_was_committed_outlives_the_room_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, wal) = (dir.path().join("netkit.db"), dir.path().join("netkit.db-wal"));
        let length = || wal.metadata().unwrap().len();
        let db = open_writer(&path).unwrap();
        let before = length();
        assert!(before > 0);
        let mut room = Room::of(&path);
        room.make();
        let made = length();
        assert_eq!(made, before + limits::STORE_ROOM_STEP as u64, "is there less than 1 GiB free?");
        room.make();
        assert_eq!(length(), made, "none of it was used");
        db.execute_batch("CREATE TABLE x (y); INSERT INTO x VALUES (7)").unwrap();
        assert_eq!(length(), made, "the log grew all the same");
        // As a crash leaves it.
        std::fs::copy(&path, dir.path().join("copy.db")).unwrap();
        std::fs::copy(&wal, dir.path().join("copy.db-wal")).unwrap();
        let copy = open_writer(&dir.path().join("copy.db")).unwrap();
        assert_eq!(copy.query_row("SELECT y FROM x", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
        // Commits that are longer than the room: the log grows, and so does the room, up to its end.
        db.execute_batch("CREATE TABLE z (y)").unwrap();
        for _ in 0..40 {
            db.execute_batch("INSERT INTO z VALUES (zeroblob(1000000)); DELETE FROM z").unwrap();
            room.make();
        }
        assert!((made..40 << 20).contains(&length()), "{}", length());
        assert_eq!(db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    }
}
