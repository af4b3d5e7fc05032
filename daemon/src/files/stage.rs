//! A directory that is not complete yet: `.netkit-ID.part` beside its final name, which it gets only when all in it is
//! there and synced. Everything in it is made beneath it (openat2(2)), and it is locked while it is open. Its large files
//! are part files of their own; how small ones come is the download engine's business.

use super::leftover::{discard, held, remove_beneath};
use super::part::{Naming, TakenAway, lock, part_name};
use super::target::{Group, TargetDir, hand_to, open_at};
use crate::limits;
use netkit_proto::path::{SafePath, numbered};
use netkit_proto::time::Timestamp;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, PoisonError};

/// What a file is besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// When it was changed last.
    pub modified: Option<Timestamp>,
    /// Its owner may run it.
    pub is_executable: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Stage {
    within: Arc<TargetDir>,
    /// The directory that it is in.
    parent: Arc<TargetDir>,
    name: String,
    /// The directory that a file went to last: the next one mostly goes there, too.
    last: Mutex<Option<(SafePath, Arc<TargetDir>)>>,
}

impl Stage {
    /// A new, empty one; an old one goes. Blocks, as all of this does.
    ///
    /// # Errors
    /// Those of mkdir(2), and [`io::ErrorKind::ResourceBusy`] where another program has the old one.
    pub fn create(parent: &Arc<TargetDir>, id: u64) -> io::Result<Stage> {
        discard(parent, id)?;
        rustix::fs::mkdirat(parent.fd(), part_name(id), Mode::RWXU)?;
        Stage::reopen(parent, id)?.ok_or_else(|| io::Error::other(TakenAway))
    }

    /// The one of before; `None` where it is gone.
    ///
    /// # Errors
    /// As [`Stage::create`].
    pub fn reopen(parent: &Arc<TargetDir>, id: u64) -> io::Result<Option<Stage>> {
        let name = part_name(id);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let fd = match open_at(parent.fd(), &name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        lock(&fd)?;
        let within = Arc::new(TargetDir::of(fd, parent.group()));
        hand_to(within.fd(), parent.group(), Mode::from_raw_mode(0o750))?;
        Ok(Some(Stage { within, parent: Arc::clone(parent), name, last: Mutex::default() }))
    }

    /// The file system's number, and the directory's in it.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::fstat(self.within.fd())?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// The directory that it is in.
    #[must_use]
    pub fn parent(&self) -> &Arc<TargetDir> {
        &self.parent
    }

    /// Makes a directory in it, and those above.
    ///
    /// # Errors
    /// Those of mkdir(2); [`Errno::XDEV`] where somebody put a link there that leads out.
    pub fn make_dir(&self, path: &SafePath) -> io::Result<Arc<TargetDir>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, dir)) = last.as_ref().filter(|(of, _)| of == path) {
            return Ok(Arc::clone(dir));
        }
        let dir = Arc::new(self.within.enter(path)?);
        *last = Some((path.clone(), Arc::clone(&dir)));
        Ok(dir)
    }

    /// Writes a small file, in place of one that is there. It is not synced.
    ///
    /// # Errors
    /// Those of open(2) and write(2).
    pub fn write(&self, path: &SafePath, content: &[u8], attributes: Attributes) -> io::Result<()> {
        let dir = self.make_dir(&path.parent())?;
        let name = OsStr::from_bytes(path.file_name().unwrap_or_default());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let fd = match open_at(dir.fd(), name, flags, Mode::RUSR | Mode::WUSR) {
            Err(Errno::EXIST) => {
                remove_beneath(&dir, name)?;
                open_at(dir.fd(), name, flags, Mode::RUSR | Mode::WUSR)?
            }
            opened => opened?,
        };
        let mut file = File::from(fd);
        file.write_all(content)?;
        set(&file, attributes, self.parent.group())
    }

    /// The content of a file that is there; `None` where there is none of this size.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn file(&self, path: &SafePath, size: u64) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        match open_at(self.within.fd(), OsStr::from_bytes(path.as_bytes()), flags, Mode::empty()) {
            Ok(fd) => {
                let file = File::from(fd);
                let metadata = file.metadata()?;
                Ok((metadata.is_file() && metadata.len() == size).then_some(file))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a file, or a directory with all in it, that is wanted no more.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn remove(&self, path: &SafePath) -> io::Result<()> {
        let dir = self.make_dir(&path.parent())?;
        remove_beneath(&dir, OsStr::from_bytes(path.file_name().unwrap_or_default()))
    }

    /// Deletes what is in it and not wanted, as what it is, a directory or something else: of an earlier try, or of somebody
    /// else's.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn sweep(&self, is_wanted: &dyn Fn(&SafePath, bool) -> bool) -> io::Result<()> {
        sweep(&self.within, &SafePath::root(), is_wanted)
    }

    /// Makes all that was written in it durable: all of its file system, at once.
    ///
    /// # Errors
    /// Those of syncfs(2).
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(self.within.fd())?)
    }

    /// Gives it its name, durably; the name that it got. A directory replaces nothing.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where it may not have the name; [`TakenAway`].
    pub fn place(&self, name: &str, naming: Naming) -> io::Result<String> {
        let held = self.identity()?;
        if identity_at(&self.parent, &self.name)? != Some(held) {
            return Err(io::Error::other(TakenAway));
        }
        let last = if naming == Naming::Numbered { limits::NUMBERED_NAMES } else { 1 };
        for number in 0..last {
            let name = numbered(name, number);
            let dir = self.parent.fd();
            match rustix::fs::renameat_with(dir, &self.name, dir, &name, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    self.parent.sync()?;
                    return Ok(name);
                }
                Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The name that a directory got before that could be noted: that of this identity.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn find_placed(
        parent: &TargetDir,
        name: &str,
        naming: Naming,
        inode: u64,
    ) -> io::Result<Option<String>> {
        let last = if naming == Naming::Numbered { limits::NUMBERED_NAMES } else { 1 };
        for number in 0..last {
            let name = numbered(name, number);
            match identity_at(parent, &name)? {
                Some((_, found)) if found == inode => return Ok(Some(name)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// Gives a file what it is besides its content.
///
/// # Errors
/// Those of fchmod(2) and futimens(2).
pub fn set(file: &File, attributes: Attributes, group: Group) -> io::Result<()> {
    let mode = if attributes.is_executable { 0o750 } else { 0o640 };
    hand_to(file, group, Mode::from_raw_mode(mode))?;
    if let Some(Timestamp(millis)) = attributes.modified {
        let time = Timespec { tv_sec: millis.div_euclid(1000), tv_nsec: millis.rem_euclid(1000) * 1_000_000 };
        rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time })?;
    }
    Ok(())
}

fn identity_at(dir: &TargetDir, name: &str) -> io::Result<Option<(u64, u64)>> {
    match rustix::fs::statat(dir.fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is here was made by this netkitd from paths that were checked, so it is no deeper than those are long.
fn sweep(dir: &TargetDir, path: &SafePath, is_wanted: &dyn Fn(&SafePath, bool) -> bool) -> io::Result<()> {
    for entry in std::fs::read_dir(held(dir))? {
        let entry = entry?;
        let name = entry.file_name();
        let here = SafePath::root().join(name.as_bytes()).map_err(io::Error::other)?;
        let path = path.join(name.as_bytes()).map_err(io::Error::other)?;
        let is_dir = entry.file_type()?.is_dir();
        if !is_wanted(&path, is_dir) {
            remove_beneath(dir, &name)?;
        } else if is_dir {
            sweep(&dir.enter(&here)?, &path, is_wanted)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;

    fn open(root: &Path) -> Arc<TargetDir> {
        let target = Target { root: root.into(), path: SafePath::parse(b"x").unwrap() };
        Arc::new(TargetDir::open(&target, None).unwrap())
    }

    fn path(text: &str) -> SafePath {
        SafePath::parse(text.as_bytes()).unwrap()
    }

    const PLAIN: Attributes = Attributes { modified: None, is_executable: false };

    #[test]
    fn files_keep_their_time_and_whether_they_can_be_run() {
        let tmp = tempfile::tempdir().unwrap();
        let stage = Stage::create(&open(tmp.path()), 1).unwrap();
        let attributes = Attributes { modified: Some(Timestamp(-1_500)), is_executable: true };
        stage.write(&path("a/b/run"), b"x", attributes).unwrap();
        stage.write(&path("a/b/run"), b"again", attributes).unwrap();
        stage.write(&path("a/plain"), b"y", PLAIN).unwrap();
        stage.make_dir(&path("empty")).unwrap();
        stage.sync().unwrap();
        assert_eq!(stage.place("d", Naming::Numbered).unwrap(), "d");
        let at = |name: &str| std::fs::metadata(tmp.path().join("d").join(name)).unwrap();
        let run = at("a/b/run");
        assert_eq!(
            (run.len(), run.mode() & 0o777, run.mtime(), run.mtime_nsec()),
            (5, 0o750, -2, 500_000_000)
        );
        assert_eq!((at("a/plain").mode() & 0o777, at("empty").is_dir()), (0o640, true));
        assert_eq!(at("a").mode() & 0o777, 0o750);
    }

    #[test]
    fn nothing_leads_out_of_it_and_it_is_deleted_with_all_in_it() {
        let (tmp, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let parent = open(tmp.path());
        let stage = Stage::create(&parent, 1).unwrap();
        std::fs::write(outside.path().join("precious"), "").unwrap();
        symlink(outside.path(), tmp.path().join(part_name(1)).join("out")).unwrap();
        let error = stage.write(&path("out/x"), b"x", PLAIN).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::XDEV.raw_os_error()));
        assert!(stage.file(&path("out"), 0).unwrap().is_none());
        let busy = discard(&parent, 1).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        drop(stage);
        discard(&parent, 1).unwrap();
        discard(&parent, 1).unwrap();
        assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 0);
        assert!(outside.path().join("precious").exists());
    }

    #[test]
    fn it_takes_the_place_of_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let parent = open(tmp.path());
        std::fs::create_dir(tmp.path().join("d")).unwrap();
        std::fs::write(tmp.path().join("d (1)"), "").unwrap();
        let stage = Stage::create(&parent, 1).unwrap();
        let inode = stage.identity().unwrap().1;
        for naming in [Naming::Exact, Naming::Replace] {
            assert_eq!(stage.place("d", naming).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        let found = || Stage::find_placed(&parent, "d", Naming::Numbered, inode).unwrap();
        assert_eq!(found(), None);
        assert_eq!(stage.place("d", Naming::Numbered).unwrap(), "d (2)");
        assert_eq!(found().as_deref(), Some("d (2)"));
    }
}
