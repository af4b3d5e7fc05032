//! What a shared directory holds. Blocks.

use super::root::{Kind, Stamp, kind_of};
use super::share::Share;
use netkit_proto::files::listing::{EntryKind, ListEntry};
use netkit_proto::path::SafePath;
use rustix::fs::{Access, AtFlags, Dir, accessat, statat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

/// An entry that may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name as the file system has it.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Its size and times.
    pub stamp: Stamp,
    /// Its owner may run it.
    pub is_executable: bool,
    /// It is a link to what the rest says.
    pub is_link: bool,
    /// netkitd may read it; of a directory, and what is in it.
    pub is_readable: bool,
}

impl DirEntry {
    /// Whether a walk comes to it: a link to a directory is passed over, since such lead in circles.
    #[must_use]
    pub fn is_walked(&self) -> bool {
        !self.is_link || self.kind == Kind::File
    }
}

impl From<Kind> for EntryKind {
    fn from(kind: Kind) -> EntryKind {
        match kind {
            Kind::Dir => EntryKind::Dir,
            Kind::File => EntryKind::File,
        }
    }
}

impl From<&DirEntry> for ListEntry {
    fn from(entry: &DirEntry) -> ListEntry {
        let (size, modified) = (Some(entry.stamp.size), Some(entry.stamp.modified_at()));
        ListEntry::new(&entry.name, entry.kind.into(), size, modified)
    }
}

/// The entries that `share` shows of a directory that it opened, at most `most`: directories first, each kind by name;
/// and whether there are more. A link is shown as what it leads to, if that is beneath the share.
///
/// # Errors
/// What the file system says.
pub fn list(
    share: &Share,
    path: &SafePath,
    directory: OwnedFd,
    most: usize,
) -> io::Result<(Vec<DirEntry>, bool)> {
    let mut entries = Vec::new();
    let mut truncated = false;
    let at = directory.as_fd().try_clone_to_owned()?;
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") || !share.shows(name) {
            continue;
        }
        if entries.len() == most {
            truncated = true;
            break;
        }
        // One that vanished since is not there.
        let stat = match statat(&at, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let kind = kind_of(&stat);
        let is_link = kind.is_none();
        let (kind, stamp, is_executable, is_readable) = match kind {
            Some(kind) => {
                let is_readable = is_readable(&at, entry.file_name(), kind);
                (kind, Stamp::from(&stat), stat.st_mode & 0o100 != 0, is_readable)
            }
            None => match path.join(name).map_err(io::Error::other).and_then(|path| share.open(&path)) {
                Ok(super::Opened::File(file)) => (Kind::File, file.stamp, file.is_executable, true),
                Ok(super::Opened::Dir(dir)) => {
                    (Kind::Dir, Stamp::from(&rustix::fs::fstat(&dir)?), false, true)
                }
                // What it leads to may be a file: a directory does not seem whole without it.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                    (Kind::File, Stamp::from(&stat), false, false)
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            },
        };
        entries.push(DirEntry { name: name.to_vec(), kind, stamp, is_executable, is_link, is_readable });
    }
    entries.sort_by(|a, b| (a.kind == Kind::File, &a.name).cmp(&(b.kind == Kind::File, &b.name)));
    Ok((entries, truncated))
}

/// Whether netkitd's rights are enough. Where the system does not tell, or not all that keeps netkitd from it, opening it
/// will.
fn is_readable(at: &OwnedFd, name: &CStr, kind: Kind) -> bool {
    let access = match kind {
        Kind::File => Access::READ_OK,
        Kind::Dir => Access::READ_OK | Access::EXEC_OK,
    };
    let flags = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW;
    !matches!(accessat(at, name, access, flags), Err(Errno::ACCESS | Errno::PERM))
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Opened};
    use super::*;

    fn share(dir: &std::path::Path) -> Share {
        Share {
            name: "s".into(),
            path: dir.into(),
            access: Access::Public,
            dot_files: false,
            configured: false,
        }
    }

    #[test]
    fn shows_what_can_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("zdir")).unwrap();
        for (name, content) in [("b", "12"), ("a", ""), (".hidden", ""), (".netkit-1.part", "")] {
            std::fs::write(at(name), content).unwrap();
        }
        std::os::unix::fs::symlink("b", at("link")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at("out")).unwrap();
        std::fs::set_permissions(at("b"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut share = share(dir.path());
        let names = |share: &Share| -> Vec<(String, Kind, u64)> {
            let Ok(Opened::Dir(directory)) = share.open(&SafePath::root()) else { panic!() };
            let (entries, truncated) = list(share, &SafePath::root(), directory, 100).unwrap();
            assert!(
                !truncated && entries.iter().all(|entry| entry.is_executable == (entry.kind == Kind::Dir))
            );
            let shown = |e: DirEntry| (String::from_utf8(e.name).unwrap(), e.kind, e.stamp.size);
            entries
                .into_iter()
                .map(shown)
                .map(|(n, k, s)| (n, k, if k == Kind::Dir { 0 } else { s }))
                .collect()
        };
        let file = |name: &str, size| (name.to_owned(), Kind::File, size);
        let all = [("zdir".to_owned(), Kind::Dir, 0), file("a", 0), file("b", 2), file("link", 2)];
        assert_eq!(names(&share), all);
        share.dot_files = true;
        assert_eq!(names(&share).len(), 5, "the dot file, too; never a download under way");
    }

    #[test]
    fn a_link_to_what_can_not_be_read_is_no_less_there_than_that() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("closed"), "x").unwrap();
        std::os::unix::fs::symlink("closed", at("link")).unwrap();
        std::os::unix::fs::symlink("gone", at("to nothing")).unwrap();
        std::fs::set_permissions(at("closed"), std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
        let share = share(dir.path());
        let entries = super::super::without_capabilities(|| {
            let Ok(Opened::Dir(directory)) = share.open(&SafePath::root()) else { panic!() };
            list(&share, &SafePath::root(), directory, 100).unwrap().0
        });
        let told: Vec<_> = entries.iter().map(|entry| (&entry.name[..], entry.is_readable)).collect();
        assert_eq!(told, [(&b"closed"[..], false), (b"link", false)]);
    }
}
