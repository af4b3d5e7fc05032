//! The directory that a download goes to, held open: everything about it happens beneath its root (openat2(2)), so
//! that no link or rename race leads out. Made where it is missing. How its part file becomes the file is in `part`.

use super::root::kind_of;
use netkit_proto::path::SafePath;
use rustix::fs::{CWD, Gid, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Where a download goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The directory that it must stay beneath.
    pub root: PathBuf,
    /// The file beneath that.
    pub path: SafePath,
}

impl Target {
    /// The whole path, to be shown.
    #[must_use]
    pub fn shown(&self) -> PathBuf {
        self.root.join(OsStr::from_bytes(self.path.as_bytes()))
    }

    /// The file's name; [`super::numbered`] makes others of it.
    #[must_use]
    pub fn name(&self) -> String {
        String::from_utf8_lossy(self.path.file_name().unwrap_or_default()).into_owned()
    }

    /// The same directory with another name in it.
    #[must_use]
    pub fn with_name(&self, name: &str) -> Target {
        let path = self.path.parent().join(name.as_bytes()).unwrap_or_else(|_| self.path.clone());
        Target { root: self.root.clone(), path }
    }
}

/// Who may read what downloads make, besides netkitd's user: this group.
pub type Group = Option<u32>;

/// A directory that is held open.
#[derive(Debug)]
pub struct TargetDir {
    fd: OwnedFd,
    group: Group,
}

impl TargetDir {
    /// Opens the directory of a target; makes what is missing, the root too. Blocks.
    ///
    /// # Errors
    /// Those of openat2(2) and mkdir(2); a link that leads out of the root is [`Errno::XDEV`].
    pub fn open(target: &Target, group: Group) -> io::Result<TargetDir> {
        let root = match open_dir(CWD, &target.root, ResolveFlags::empty()) {
            Err(Errno::NOENT) => {
                make_root(&target.root, group)?;
                open_dir(CWD, &target.root, ResolveFlags::empty())?
            }
            opened => opened?,
        };
        let dir = target.path.parent();
        let fd = match open_beneath(&root, &dir) {
            Err(Errno::NOENT) => make_beneath(&root, &dir, group, true)?,
            opened => opened?,
        };
        Ok(TargetDir { fd, group })
    }

    /// Opens the directory of a target; `None` where it does not exist, nor can where a file is in its place. Blocks.
    ///
    /// # Errors
    /// As [`TargetDir::open`].
    pub fn existing(target: &Target) -> io::Result<Option<TargetDir>> {
        let opened = open_dir(CWD, &target.root, ResolveFlags::empty())
            .and_then(|root| open_beneath(&root, &target.path.parent()));
        match opened {
            Ok(fd) => Ok(Some(TargetDir { fd, group: None })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the target's directory is still this one: it may have been moved, or another one mounted over it.
    ///
    /// # Errors
    /// As [`TargetDir::open`].
    pub fn is_still_of(&self, target: &Target) -> io::Result<bool> {
        let Some(now) = TargetDir::existing(target)? else { return Ok(false) };
        let (held, named) = (rustix::fs::fstat(&self.fd)?, rustix::fs::fstat(&now.fd)?);
        Ok((held.st_dev, held.st_ino) == (named.st_dev, named.st_ino))
    }

    /// Bytes that may still be written here (statvfs(3), `f_bavail`).
    ///
    /// # Errors
    /// Those of fstatvfs(3).
    pub fn free(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.fd)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// The regular file of this name, open for reading; `None`: nothing of that name is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where the name belongs to something else.
    pub fn file(&self, name: &str) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let file = match open_at(&self.fd, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) => return Err(error.into()),
        };
        match kind_of(&rustix::fs::fstat(&file)?) {
            Some(super::Kind::File) => Ok(Some(file.into())),
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    pub(super) fn of(fd: OwnedFd, group: Group) -> TargetDir {
        TargetDir { fd, group }
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Who may read what is made in it.
    #[must_use]
    pub fn group(&self) -> Group {
        self.group
    }

    /// A directory beneath it; what is missing is made, and is durable when all is synced.
    pub(super) fn enter(&self, path: &SafePath) -> io::Result<TargetDir> {
        let fd = match open_beneath(&self.fd, path) {
            Err(Errno::NOENT) => make_beneath(&self.fd, path, self.group, false)?,
            opened => opened?,
        };
        Ok(TargetDir { fd, group: self.group })
    }

    /// A new file, for netkitd and the group.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let fd = open_at(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?;
        hand_to(&fd, self.group, Mode::from_raw_mode(0o640))?;
        Ok(fd.into())
    }

    /// A file that was made before; `None` where it is not there, or something else is.
    pub(super) fn reopen(&self, name: &str) -> io::Result<Option<File>> {
        match open_at(&self.fd, name, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty()) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::NOENT | Errno::ISDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a file; that it is not there is as good.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes what was renamed in it durable.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }
}

pub(super) fn open_at(
    dir: &OwnedFd,
    name: impl rustix::path::Arg,
    flags: OFlags,
    mode: Mode,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(dir, name, flags | OFlags::CLOEXEC, mode, resolve)
}

fn open_dir(at: impl AsFd, path: &Path, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    // Not O_PATH: what was renamed in it must be synced.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(at, path, flags, Mode::empty(), resolve)
}

fn open_beneath(root: &OwnedFd, path: &SafePath) -> rustix::io::Result<OwnedFd> {
    let name = if path.is_root() { OsStr::new(".") } else { OsStr::from_bytes(path.as_bytes()) };
    open_dir(root, Path::new(name), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
}

/// Makes the directories of `path` that are missing; gives the last one.
fn make_beneath(root: &OwnedFd, path: &SafePath, group: Group, durably: bool) -> io::Result<OwnedFd> {
    let mut at = open_beneath(root, &SafePath::root())?;
    let mut done = SafePath::root();
    for component in path.components() {
        done = done.join(component).map_err(io::Error::other)?;
        at = match open_beneath(root, &done) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&at, OsStr::from_bytes(component), Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let made = open_beneath(root, &done)?;
                hand_to(&made, group, Mode::from_raw_mode(0o750))?;
                if durably {
                    rustix::fs::fsync(&at)?;
                }
                made
            }
            opened => opened?,
        };
    }
    Ok(at)
}

fn make_root(root: &Path, group: Group) -> io::Result<()> {
    std::fs::create_dir_all(root)?;
    let made = open_dir(CWD, root, ResolveFlags::empty())?;
    hand_to(&made, group, Mode::from_raw_mode(0o750))?;
    if let Some(parent) = root.parent() {
        rustix::fs::fsync(open_dir(CWD, parent, ResolveFlags::empty())?)?;
    }
    Ok(())
}

/// Sets the mode whatever the umask is, and the group where netkitd may.
pub(super) fn hand_to(fd: impl AsFd, group: Group, mode: Mode) -> io::Result<()> {
    if let Some(gid) = group
        && let Err(error) = rustix::fs::fchown(&fd, None, Some(Gid::from_raw(gid)))
    {
        tracing::debug!(%error, gid, "can't give a download to the group");
    }
    Ok(rustix::fs::fchmod(fd, mode)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn target(root: &Path, path: &str) -> Target {
        Target { root: root.into(), path: SafePath::parse(path.as_bytes()).unwrap() }
    }

    #[test]
    fn directories_are_made_beneath_the_root_and_nowhere_else() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = dir.path().join("deep/root");
        TargetDir::open(&target(&root, "a/b/c.iso"), None).unwrap();
        let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!([mode(""), mode("a"), mode("a/b")], [0o750; 3]);
        symlink("a/b", root.join("inside")).unwrap();
        symlink(outside.path(), root.join("out")).unwrap();
        TargetDir::open(&target(&root, "inside/x"), None).unwrap();
        for path in ["out/x", "out/new/x"] {
            let error = TargetDir::open(&target(&root, path), None).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::XDEV.raw_os_error()), "{path}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        std::fs::write(root.join("file"), "").unwrap();
        assert_eq!(
            TargetDir::open(&target(&root, "file/x"), None).unwrap_err().kind(),
            io::ErrorKind::NotADirectory
        );
    }

    #[test]
    fn a_directory_that_was_moved_is_noticed() {
        let tmp = tempfile::tempdir().unwrap();
        let target = target(tmp.path(), "a/x");
        let dir = TargetDir::open(&target, None).unwrap();
        assert!(dir.is_still_of(&target).unwrap());
        std::fs::rename(tmp.path().join("a"), tmp.path().join("b")).unwrap();
        assert!(!dir.is_still_of(&target).unwrap());
        std::fs::create_dir(tmp.path().join("a")).unwrap();
        assert!(!dir.is_still_of(&target).unwrap());
    }

    #[test]
    fn only_regular_files_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        std::fs::create_dir(at("dir")).unwrap();
        symlink("file", at("link")).unwrap();
        let open = TargetDir::open(&target(dir.path(), "x"), None).unwrap();
        assert!(open.file("file").unwrap().is_some() && open.file("none").unwrap().is_none());
        for name in ["dir", "link"] {
            assert_eq!(open.file(name).unwrap_err().kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        assert!(open.free().unwrap() > 0);
    }

    #[test]
    fn a_target_has_a_name_in_its_directory() {
        let target = target(Path::new("/srv"), "a/b.iso");
        assert_eq!((target.name().as_str(), target.shown()), ("b.iso", "/srv/a/b.iso".into()));
        assert_eq!(target.with_name("c").shown(), Path::new("/srv/a/c"));
    }
}
