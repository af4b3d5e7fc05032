//! A directory as a tar archive, made while it is sent: all of it, or the small files in it, each with its hash. Links are
//! left out; what changes while it is read breaks the archive off. What can't be read is passed over, and then the archive
//! gets no end: whoever unpacks it has the rest, and is told that it is not all.

use super::body::{Body, Counting};
use super::pages;
use super::permits::Permit;
use super::pieces;
use super::target::Small;
use super::unreadable::Unreadable;
use crate::files::{DirEntry, Kind, OpenFile, Opened, Share, Step, Walk, list};
use crate::limits;
use hyper::Response;
use hyper::header;
use netkit_proto::files::manifest::to_hex;
use netkit_proto::path::SafePath;
use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use tar::{Builder, EntryType, Header};

const SECOND: i128 = 1_000_000_000;

/// The record of pax that has a file's hash in hexadecimal digits.
const HASH: &str = "NETKIT.blake3";

/// An archive of `path`.
pub(super) fn respond(
    permit: Permit,
    (share, path): (Arc<Share>, SafePath),
    small: Option<Small>,
    mut unreadable: Unreadable,
    counting: Counting,
    only_head: bool,
) -> Response<Body> {
    let name = String::from_utf8_lossy(path.file_name().unwrap_or(share.name.as_bytes())).into_owned();
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/x-tar")
        .header(header::CONTENT_DISPOSITION, pages::disposition("attachment", &format!("{name}.tar")));
    if only_head {
        return pages::built(response, Body::empty());
    }
    let body = pieces::written(permit, counting, move |pieces| {
        let mut archive = Builder::new(pieces);
        match small {
            Some(small) => add_small(&mut archive, &share, path, small, &mut unreadable)?,
            None => {
                let entries = entries_of(&share, &path)?;
                add_directory(&mut archive, &share, (&path, entries), name.as_bytes(), &mut unreadable)?;
            }
        }
        if let Err(error) = unreadable.end(&share) {
            archive.get_mut().flush()?;
            return Err(error);
        }
        archive.into_inner().map(|_| ())
    });
    pages::built(response, body)
}

/// Adds the small files beneath the directory, named from it on: each with its hash, and with the time of its last change to
/// the nanosecond, which only records of pax have room for.
fn add_small<W: io::Write>(
    archive: &mut Builder<W>,
    share: &Arc<Share>,
    path: SafePath,
    Small { most, after }: Small,
    unreadable: &mut Unreadable,
) -> io::Result<()> {
    let mut walk = Walk::new(Arc::clone(share), path, after)?;
    while let Some(step) = walk.next() {
        let (path, entry) = match step? {
            Step::Entry(path, entry) => (path, entry),
            Step::LeftOut => return Err(io::Error::other("more than an archive is made of")),
            Step::Closed(path) => {
                unreadable.note(&path);
                continue;
            }
        };
        if !entry.is_readable {
            unreadable.note(&path);
            continue;
        }
        if entry.kind != Kind::File || entry.stamp.size > most {
            continue;
        }
        let Some(file) = open_file(share, &path, unreadable)?.filter(|file| file.stamp.size <= most) else {
            continue;
        };
        let (stamp, mode) = (file.stamp, mode(file.is_executable));
        let mut content = Vec::with_capacity(usize::try_from(stamp.size).unwrap_or(0));
        file.into_reader().read_to_end(&mut content)?;
        let (time, hash) = (decimal(stamp.modified), to_hex(blake3::hash(&content).as_bytes()));
        archive.append_pax_extensions([("mtime", time.as_bytes()), (HASH, hash.as_bytes())])?;
        let seconds = u64::try_from(stamp.modified / SECOND).unwrap_or(0);
        let mut header = header_of(EntryType::Regular, mode, stamp.size, seconds);
        archive.append_data(
            &mut header,
            Path::new(OsStr::from_bytes(walk.relative(&path))),
            content.as_slice(),
        )?;
    }
    Ok(())
}

/// A file that may be there; noted, or an error, where it is and can't be read, since left out it would not be missed.
fn open_file(share: &Share, path: &SafePath, unreadable: &mut Unreadable) -> io::Result<Option<OpenFile>> {
    match share.open(path) {
        Ok(Opened::File(file)) => Ok(Some(file)),
        Ok(Opened::Dir(_)) => Ok(None), // it was a file a moment ago
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            unreadable.note(path);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn mode(is_executable: bool) -> u32 {
    if is_executable { 0o755 } else { 0o644 }
}

/// Nanoseconds as seconds with a fraction (POSIX, pax, section "pax Extended Header").
fn decimal(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (seconds, rest) = (nanoseconds.abs() / SECOND, nanoseconds.abs() % SECOND);
    format!("{sign}{seconds}.{rest:09}")
}

/// What is in a directory.
fn entries_of(share: &Share, path: &SafePath) -> io::Result<Vec<DirEntry>> {
    let Opened::Dir(directory) = share.open(path)? else { return Err(io::ErrorKind::NotFound.into()) };
    let (entries, truncated) = list(share, path, directory, limits::ARCHIVE_LISTING)?;
    if truncated {
        return Err(io::Error::other("more entries in a directory than an archive is made of"));
    }
    Ok(entries)
}

/// Adds the directory at `path` with its entries, as those of `inside`.
fn add_directory<W: io::Write>(
    archive: &mut Builder<W>,
    share: &Share,
    (path, entries): (&SafePath, Vec<DirEntry>),
    inside: &[u8],
    unreadable: &mut Unreadable,
) -> io::Result<()> {
    if inside.split(|byte| *byte == b'/').count() > limits::ARCHIVE_DEPTH {
        return Err(io::Error::other("directories within directories beyond all measure"));
    }
    let mut header = header_of(EntryType::Directory, 0o755, 0, 0);
    archive.append_data(&mut header, Path::new(OsStr::from_bytes(&[inside, b"/"].concat())), io::empty())?;
    for entry in entries.iter().filter(|entry| entry.is_walked()) {
        let path = path.join(&entry.name).map_err(io::Error::other)?;
        let inside = [inside, b"/", &entry.name].concat();
        if !entry.is_readable {
            unreadable.note(&path);
            continue;
        }
        if entry.kind == Kind::Dir {
            match entries_of(share, &path) {
                Ok(entries) => add_directory(archive, share, (&path, entries), &inside, unreadable)?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {} // it is gone since
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => unreadable.note(&path),
                Err(error) => return Err(error),
            }
            continue;
        }
        let Some(file) = open_file(share, &path, unreadable)? else { continue };
        let seconds = u64::try_from(file.stamp.modified / SECOND).unwrap_or(0);
        let mut header = header_of(EntryType::Regular, mode(file.is_executable), file.stamp.size, seconds);
        archive.append_data(&mut header, Path::new(OsStr::from_bytes(&inside)), file.into_reader())?;
    }
    Ok(())
}

fn header_of(kind: EntryType, mode: u32, size: u64, modified: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(modified);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Access, without_capabilities};
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    /// Closes what is listed already when the first file is written.
    struct Closing(Vec<PathBuf>, Vec<u8>);

    impl io::Write for Closing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.extend_from_slice(bytes);
            if bytes.windows(5).any(|window| window == b"first") {
                for path in std::mem::take(&mut self.0) {
                    std::fs::set_permissions(path, Permissions::from_mode(0o0))?;
                }
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_can_not_be_opened_is_not_taken_for_gone() {
        for closes in [&[][..], &["z"], &["closed"], &["a/within"]] {
            for is_small in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                let at = |name: &str| dir.path().join(name);
                // Directories come first, and these in the order of their names.
                for (directory, file) in [("a", "a/first"), ("a", "a/within"), ("closed", "closed/x")] {
                    std::fs::create_dir_all(at(directory)).unwrap();
                    std::fs::write(at(file), "content").unwrap();
                }
                std::fs::write(at("z"), "last").unwrap();
                let share = Arc::new(Share {
                    name: "s".into(),
                    path: dir.path().into(),
                    access: Access::Public,
                    dot_files: false,
                    configured: true,
                });
                let mut unreadable = Unreadable::new(&Arc::default());
                let mut archive = Builder::new(Closing(closes.iter().map(|name| at(name)).collect(), vec![]));
                without_capabilities(|| {
                    if is_small {
                        let small = Small { most: 100, after: Vec::new() };
                        return add_small(&mut archive, &share, SafePath::root(), small, &mut unreadable);
                    }
                    let root = SafePath::root();
                    let entries = entries_of(&share, &root)?;
                    add_directory(&mut archive, &share, (&root, entries), b"s", &mut unreadable)
                })
                .unwrap();
                assert_eq!(unreadable.end(&share).is_ok(), closes.is_empty(), "{closes:?}");
                let bytes = archive.into_inner().unwrap().1;
                let mut archive = tar::Archive::new(bytes.as_slice());
                let paths = archive.entries().unwrap().map(|entry| entry.unwrap().path_bytes().into_owned());
                let count = paths.filter(|path| !path.ends_with(b"/")).count();
                assert_eq!(count, 4 - closes.len(), "the rest comes: {closes:?}");
                for name in closes {
                    std::fs::set_permissions(at(name), Permissions::from_mode(0o700)).unwrap();
                }
            }
        }
    }

    #[test]
    fn times_are_exact_on_both_sides_of_1970() {
        for (nanoseconds, expected) in [
            (0, "0.000000000"),
            (1_700_000_000_000_000_001, "1700000000.000000001"),
            (-1, "-0.000000001"),
            (-1_500_000_000, "-1.500000000"),
        ] {
            assert_eq!(decimal(nanoseconds), expected);
        }
    }
}
