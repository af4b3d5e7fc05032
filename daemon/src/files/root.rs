//! Opening beneath a directory: the kernel resolves the path and refuses every way out (openat2(2), RESOLVE_BENEATH),
//! so that no `..`, absolute link or rename race leads elsewhere. Only files and directories are opened: opening a
//! fifo could wait and opening a device could act.

use netkit_proto::path::SafePath;
use netkit_proto::time::Timestamp;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

/// How often a path is resolved anew when it changes in between: an attacker may rename for ever.
const ATTEMPTS: usize = 8;

/// What is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
}

/// What tells a file's content from another, or from itself when it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The file system's number.
    pub device: u64,
    /// The file's number in it.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// When its content was changed last, in nanoseconds since 1970.
    pub modified: i128,
    /// When anything of it was changed last, in nanoseconds since 1970.
    pub changed: i128,
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Stamp {
        let nanoseconds = |seconds: i64, rest: u64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Stamp {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Stamp {
    /// When its content was changed last.
    #[must_use]
    pub fn modified_at(&self) -> Timestamp {
        Timestamp(i64::try_from(self.modified / 1_000_000).unwrap_or(0))
    }
}

/// A file that was opened for reading.
#[derive(Debug)]
pub struct OpenFile {
    pub(super) file: File,
    /// As it was when it was opened.
    pub stamp: Stamp,
    /// Its owner may run it.
    pub is_executable: bool,
}

impl OpenFile {
    /// A file that is complete, with the very nanosecond of now as the time of its last change. The kernel's clock moves in
    /// steps: whatever is written to the file from now on has another time, however soon that is. Blocks.
    ///
    /// # Errors
    /// What the file system says; that it keeps no such times, too.
    pub fn complete(file: &File) -> io::Result<OpenFile> {
        let (file, now) = (file.try_clone()?, SystemTime::now());
        file.set_modified(now)?;
        let stat = rustix::fs::fstat(&file)?;
        let (stamp, is_executable) = (Stamp::from(&stat), stat.st_mode & 0o100 != 0);
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        if u128::try_from(stamp.modified) != Ok(now) {
            return Err(io::Error::other("the file system keeps no exact times"));
        }
        Ok(OpenFile { file, stamp, is_executable })
    }

    /// The same file with another name, which nothing else of it changed. Blocks.
    ///
    /// # Errors
    /// What the file system says; that the content was changed, too.
    pub fn renamed(self) -> io::Result<OpenFile> {
        let stamp = Stamp::from(&rustix::fs::fstat(&self.file)?);
        if stamp != (Stamp { changed: stamp.changed, ..self.stamp }) {
            return Err(io::Error::other("the file was changed while it got its name"));
        }
        Ok(OpenFile { stamp, ..self })
    }

    /// Whether the file is still what was opened.
    ///
    /// # Errors
    /// What the file system says.
    pub fn is_unchanged(&self) -> io::Result<bool> {
        Ok(Stamp::from(&rustix::fs::fstat(&self.file)?) == self.stamp)
    }

    /// Where it is, by whichever way it was opened; nothing where that is not known. Does not block.
    #[must_use]
    pub fn place(&self) -> Vec<u8> {
        place_of(&self.file).unwrap_or_default()
    }

    /// Reads the file as it was when it was opened, to its size of then. Blocks.
    #[must_use]
    pub fn into_reader(self) -> Reader {
        Reader { left: self.stamp.size, file: self }
    }
}

/// See [`OpenFile::into_reader`]. A file that changes meanwhile is an error.
#[derive(Debug)]
pub struct Reader {
    file: OpenFile,
    left: u64,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let read = self.file.file.read(&mut buf[..most])?;
        if (read == 0 && most > 0) || !self.file.is_unchanged()? {
            return Err(io::Error::other("the file was changed while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// What a path led to.
#[derive(Debug)]
pub enum Opened {
    /// A file.
    File(OpenFile),
    /// A directory, for [`super::list`].
    Dir(OwnedFd),
}

/// Opens `path` beneath the directory `root`, whose own path is resolved as `links` says. Blocks.
pub(super) fn open(root: &Path, links: ResolveFlags, path: &SafePath) -> io::Result<Opened> {
    for _ in 0..ATTEMPTS {
        match open_once(root, links, path, ResolveFlags::empty()) {
            Err(Errno::AGAIN) => {}
            opened => return opened.map_err(not_found),
        }
    }
    Err(io::Error::other("the path changes all the time"))
}

/// The same from what the kernel has in memory; `None` where that does not tell.
pub(super) fn open_cached(root: &Path, links: ResolveFlags, path: &SafePath) -> Option<io::Result<Opened>> {
    match open_once(root, links, path, ResolveFlags::CACHED) {
        // EINVAL: a kernel before 5.12 does not know the flag.
        Err(Errno::AGAIN | Errno::INVAL) => None,
        opened => Some(opened.map_err(not_found)),
    }
}

fn open_once(
    root: &Path,
    links: ResolveFlags,
    path: &SafePath,
    resolve: ResolveFlags,
) -> rustix::io::Result<Opened> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat2(rustix::fs::CWD, root, directory, Mode::empty(), resolve | links)?;
    let name = if path.is_root() { OsStr::new(".") } else { OsStr::from_bytes(path.as_bytes()) };
    let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let open = |flags| rustix::fs::openat2(&root, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
    // First without opening it in earnest: what it is decides.
    let found = rustix::fs::fstat(&open(OFlags::PATH)?)?;
    let kind = kind_of(&found).ok_or(Errno::NOENT)?;
    let flags = match kind {
        Kind::Dir => OFlags::RDONLY | OFlags::DIRECTORY,
        Kind::File => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
    };
    let fd = open(flags)?;
    let stat = rustix::fs::fstat(&fd)?;
    if (stat.st_dev, stat.st_ino) != (found.st_dev, found.st_ino) {
        return Err(Errno::AGAIN);
    }
    Ok(match kind {
        Kind::Dir => Opened::Dir(fd),
        Kind::File => Opened::File(OpenFile {
            file: fd.into(),
            stamp: Stamp::from(&stat),
            is_executable: stat.st_mode & 0o100 != 0,
        }),
    })
}

/// The place of a directory, with a slash at its end. Blocks.
pub(super) fn place_of_directory(path: &Path, links: ResolveFlags) -> Option<Vec<u8>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), links).ok()?;
    let mut place = place_of(&directory)?;
    if !place.ends_with(b"/") {
        place.push(b'/');
    }
    Some(place)
}

/// The path that the kernel knows for what is open (proc_pid_fd(5)): without links, so that a file has one place however
/// many ways lead there. What has none any more may be told as one of this end; what is called so goes without, too.
fn place_of(fd: impl AsFd) -> Option<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let place = rustix::fs::readlink(link, Vec::new()).ok()?.into_bytes();
    (place.starts_with(b"/") && !place.ends_with(b" (deleted)")).then_some(place)
}

/// What may be opened; `None`: nothing of the sort.
pub(super) fn kind_of(stat: &Stat) -> Option<Kind> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Dir),
        _ => None,
    }
}

/// Whatever keeps a path from being followed, nothing is there. What netkitd may not read is told apart: whoever makes
/// something of a whole directory must not take it for gone.
fn not_found(error: Errno) -> io::Error {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NAMETOOLONG => {
            io::ErrorKind::NotFound.into()
        }
        other => other.into(),
    }
}

/// Whether nothing is there for those who ask, who are not told what netkitd may not read.
#[must_use]
pub fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::{FileExt as _, symlink};

    fn kind(root: &Path, path: &str) -> Result<Kind, io::ErrorKind> {
        match open(root, ResolveFlags::empty(), &SafePath::parse(path.as_bytes()).unwrap()) {
            Ok(Opened::File(_)) => Ok(Kind::File),
            Ok(Opened::Dir(_)) => Ok(Kind::Dir),
            Err(e) => Err(e.kind()),
        }
    }

    #[test]
    fn what_is_written_to_a_complete_file_shows_however_soon() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for _ in 0..100 {
            let mut file = File::create(at("part")).unwrap();
            file.write_all(b"content").unwrap();
            let complete = OpenFile::complete(&file).unwrap();
            std::fs::rename(at("part"), at("f")).unwrap();
            let renamed = complete.renamed().unwrap();
            assert!(renamed.is_unchanged().unwrap());
            assert!(renamed.place().ends_with(b"/f"));
            file.write_all_at(b"CONTENT", 0).unwrap();
            assert!(!renamed.is_unchanged().unwrap());
            assert!(renamed.renamed().is_err());
        }
    }

    #[test]
    fn nothing_leads_out_and_only_files_and_directories_open() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("dir")).unwrap();
        std::fs::write(at("dir/file"), "").unwrap();
        symlink("file", at("dir/inside")).unwrap();
        symlink("../dir/file", at("dir/up_and_in")).unwrap();
        symlink(outside.path(), at("out")).unwrap();
        symlink(outside.path().join("secret"), at("secret")).unwrap();
        symlink("../../../../etc/passwd", at("dir/passwd")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("/proc/self/cwd", at("magic")).unwrap();
        let fifo = at("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (path, expected) in [
            ("dir", Ok(Kind::Dir)),
            ("dir/file", Ok(Kind::File)),
            ("dir/inside", Ok(Kind::File)),
            ("dir/up_and_in", Ok(Kind::File)),
            ("out", Err(io::ErrorKind::NotFound)),
            ("out/secret", Err(io::ErrorKind::NotFound)),
            ("secret", Err(io::ErrorKind::NotFound)),
            ("dir/passwd", Err(io::ErrorKind::NotFound)),
            ("loop", Err(io::ErrorKind::NotFound)),
            ("magic", Err(io::ErrorKind::NotFound)),
            ("fifo", Err(io::ErrorKind::NotFound)),
            ("socket", Err(io::ErrorKind::NotFound)),
            ("dir/file/x", Err(io::ErrorKind::NotFound)),
            ("missing", Err(io::ErrorKind::NotFound)),
        ] {
            assert_eq!(kind(dir.path(), path), expected, "{path}");
        }
        assert!(matches!(open(dir.path(), ResolveFlags::empty(), &SafePath::root()), Ok(Opened::Dir(_))));
        assert_eq!(kind(&at("gone"), "x"), Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn what_may_not_be_read_is_not_gone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("closed")).unwrap();
        std::fs::write(dir.path().join("closed/x"), "").unwrap();
        std::fs::write(dir.path().join("f"), "").unwrap();
        let set_mode = |mode| {
            for name in ["closed", "f"] {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
                std::fs::set_permissions(dir.path().join(name), mode).unwrap();
            }
        };
        set_mode(0);
        super::super::without_capabilities(|| {
            for (path, expected) in [
                ("closed", io::ErrorKind::PermissionDenied),
                ("closed/x", io::ErrorKind::PermissionDenied),
                ("f", io::ErrorKind::PermissionDenied),
                ("g", io::ErrorKind::NotFound),
            ] {
                assert_eq!(kind(dir.path(), path), Err(expected), "{path}");
            }
        });
        set_mode(0o700);
        assert_eq!(kind(dir.path(), "closed/x"), Ok(Kind::File));
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "one").unwrap();
        let Ok(Opened::File(file)) = open(dir.path(), ResolveFlags::empty(), &SafePath::parse(b"f").unwrap())
        else {
            panic!()
        };
        assert!(file.is_unchanged().unwrap());
        std::fs::write(dir.path().join("f"), "more").unwrap();
        assert!(!file.is_unchanged().unwrap());
    }
}
