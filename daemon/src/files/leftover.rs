//! Deletes what a download left under the name of its part, a file or a directory: an id may have been another kind of
//! download before the database was set back to a copy. Called before a part is begun, and for downloads that are given
//! up; never while one runs. Blocks.

use super::part::{lock, part_name};
use super::target::{TargetDir, open_at};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// Deletes what has the name of this download's part, with all that is in it; that it is not there is as good.
///
/// # Errors
/// Those of open(2) and unlink(2), and [`io::ErrorKind::ResourceBusy`] where another program has it.
pub fn discard(dir: &TargetDir, id: u64) -> io::Result<()> {
    let name = part_name(id);
    match open_at(dir.fd(), &name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty()) {
        Ok(fd) => lock(&fd)?,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::LOOP) => {} // a link, which goes as one
        Err(error) => return Err(error.into()),
    }
    remove_beneath(dir, OsStr::new(&name))
}

/// A directory that is held, whatever its path is by now.
pub(super) fn held(dir: &TargetDir) -> PathBuf {
    Path::new("/proc/self/fd").join(dir.fd().as_raw_fd().to_string())
}

/// Deletes what has this name in a directory, with all that is in it; links in it are not followed.
pub(super) fn remove_beneath(dir: &TargetDir, name: &OsStr) -> io::Result<()> {
    let is_dir = match rustix::fs::statat(dir.fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !is_dir {
        return Ok(rustix::fs::unlinkat(dir.fd(), name, AtFlags::empty())?);
    }
    std::fs::remove_dir_all(held(dir).join(name))
}

#[cfg(test)]
mod tests {
    use super::super::{PartFile, Stage, Target};
    use super::*;
    use netkit_proto::path::SafePath;
    use std::sync::Arc;

    #[test]
    fn what_an_id_was_before_is_not_in_its_way() {
        let tmp = tempfile::tempdir().unwrap();
        let target = Target { root: tmp.path().into(), path: SafePath::parse(b"x").unwrap() };
        let dir = Arc::new(TargetDir::open(&target, None).unwrap());
        let at = tmp.path().join(part_name(1));
        let there = || tmp.path().read_dir().unwrap().count();

        let stage = Stage::create(&dir, 1).unwrap();
        std::fs::write(at.join("f"), "").unwrap();
        assert_eq!(PartFile::create(&dir, 1).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(stage);
        assert!(PartFile::reopen(&dir, 1).unwrap().is_none(), "a directory is no part file");
        drop(PartFile::create(&dir, 1).unwrap());
        assert!(at.is_file());
        assert!(Stage::reopen(&dir, 1).unwrap().is_none(), "nor a file a directory");
        drop(Stage::create(&dir, 1).unwrap());
        assert!(at.is_dir());
        discard(&dir, 1).unwrap();
        assert_eq!(there(), 0);

        std::fs::write(tmp.path().join("precious"), "").unwrap();
        std::os::unix::fs::symlink("precious", &at).unwrap();
        assert!(PartFile::reopen(&dir, 1).unwrap().is_none() && Stage::reopen(&dir, 1).unwrap().is_none());
        discard(&dir, 1).unwrap();
        discard(&dir, 1).unwrap();
        assert_eq!(there(), 1, "the link went, and not what it leads to");
        let within = Target { root: tmp.path().into(), path: SafePath::parse(b"precious/x").unwrap() };
        assert!(TargetDir::existing(&within).unwrap().is_none(), "nothing is in a file");
    }
}
