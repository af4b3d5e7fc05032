//! Walks a shared directory and all that is beneath, in the byte order of the paths, a directory before what is in it, so
//! that a walk can go on behind any path. Links to files are what they lead to, links to
//! directories are passed over, hidden files do not exist. Blocks.

use super::list::{DirEntry, list};
use super::root::{Kind, Opened};
use super::share::Share;
use crate::limits;
use netkit_proto::path::SafePath;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Walk {
    share: Arc<Share>,
    /// Bytes of a path before what is relative to where the walk began.
    base: usize,
    after: Vec<u8>,
    /// The directories that it is in.
    levels: Vec<(SafePath, std::vec::IntoIter<Place>)>,
    /// Directories that were told as unreadable, until the walk is past what is in them.
    closed: HashSet<SafePath>,
}

/// An entry, or what is in a directory. Both have a place of their own, since `a-b` comes between `a` and `a/b`.
#[derive(Debug)]
enum Place {
    Entry(DirEntry),
    Inside(Vec<u8>),
}

impl Place {
    fn order(&self, other: &Place) -> Ordering {
        self.bytes().cmp(other.bytes())
    }

    /// The name, of what is inside a directory with a slash.
    fn bytes(&self) -> impl Iterator<Item = &u8> {
        let (name, slash) = match self {
            Place::Entry(entry) => (&entry.name, &b""[..]),
            Place::Inside(name) => (name, &b"/"[..]),
        };
        name.iter().chain(slash)
    }
}

/// What a walk comes to.
#[derive(Debug)]
pub enum Step {
    /// This entry, at this path in the share. Of a directory that can't be read nothing follows.
    Entry(SafePath, DirEntry),
    /// A directory of which not all is shown: it has too many entries, or lies too deep.
    LeftOut,
    /// The directory at this path can't be read, though it was an entry that can.
    Closed(SafePath),
}

/// What comes of going into a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    Whole,
    /// It has more entries than are read.
    Truncated,
    /// It is none any more.
    Gone,
    /// netkitd may not read it.
    Closed,
}

impl Walk {
    /// Walks the directory at `path`, past all that comes before or is `after`, a path relative to it.
    ///
    /// # Errors
    /// Where it is no directory, or can't be read.
    pub fn new(share: Arc<Share>, path: SafePath, after: Vec<u8>) -> io::Result<Walk> {
        let base = if path.is_root() { 0 } else { path.as_bytes().len() + 1 };
        let mut walk = Walk { share, base, after, levels: Vec::new(), closed: HashSet::new() };
        match walk.enter(path)? {
            Entered::Whole => Ok(walk),
            Entered::Truncated => Err(io::Error::other("more entries in the directory than are walked")),
            Entered::Gone => Err(io::ErrorKind::NotFound.into()),
            Entered::Closed => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// A path as seen from where the walk began.
    #[must_use]
    pub fn relative<'a>(&self, path: &'a SafePath) -> &'a [u8] {
        path.as_bytes().get(self.base..).unwrap_or_default()
    }

    /// Goes on in a directory.
    fn enter(&mut self, path: SafePath) -> io::Result<Entered> {
        let listed = self.share.open(&path).and_then(|opened| match opened {
            Opened::Dir(directory) => list(&self.share, &path, directory, limits::ARCHIVE_LISTING),
            Opened::File(_) => Err(io::ErrorKind::NotFound.into()),
        });
        let (entries, is_truncated) = match listed {
            Ok(listed) => listed,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Entered::Gone),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(Entered::Closed),
            Err(error) => return Err(error),
        };
        let mut places = Vec::with_capacity(entries.len());
        for entry in entries.into_iter().filter(DirEntry::is_walked) {
            if entry.kind == Kind::Dir && entry.is_readable {
                places.push(Place::Inside(entry.name.clone()));
            }
            places.push(Place::Entry(entry));
        }
        places.sort_by(Place::order);
        self.levels.push((path, places.into_iter()));
        Ok(if is_truncated { Entered::Truncated } else { Entered::Whole })
    }

    /// Whether all that is in this directory was before.
    fn is_behind(&self, path: &SafePath) -> bool {
        let inside = [self.relative(path), b"/"].concat();
        inside < self.after && !self.after.starts_with(&inside)
    }

    fn is_closed(&self, directory: &SafePath) -> bool {
        matches!(self.share.open(directory), Err(e) if e.kind() == io::ErrorKind::PermissionDenied)
    }

    fn step(&mut self) -> io::Result<Option<Step>> {
        while let Some((directory, places)) = self.levels.last_mut() {
            let Some(place) = places.next() else {
                self.levels.pop();
                continue;
            };
            let (Place::Entry(DirEntry { name, .. }) | Place::Inside(name)) = &place;
            let Ok(path) = directory.join(name) else { return Ok(Some(Step::LeftOut)) };
            match place {
                Place::Entry(mut entry) if self.relative(&path) > self.after.as_slice() => {
                    // What rights say is not all that counts, and an entry that was told can't be taken back.
                    if entry.kind == Kind::Dir && entry.is_readable && self.is_closed(&path) {
                        entry.is_readable = false;
                        self.closed.insert(path.clone());
                    }
                    return Ok(Some(Step::Entry(path, entry)));
                }
                Place::Entry(_) => {}
                Place::Inside(_) if self.is_behind(&path) => {}
                Place::Inside(_) if self.levels.len() == limits::ARCHIVE_DEPTH => {
                    return Ok(Some(Step::LeftOut));
                }
                Place::Inside(_) if self.closed.remove(&path) => {}
                Place::Inside(_) => match self.enter(path.clone())? {
                    Entered::Whole | Entered::Gone => {}
                    Entered::Truncated => return Ok(Some(Step::LeftOut)),
                    Entered::Closed => return Ok(Some(Step::Closed(path))),
                },
            }
        }
        Ok(None)
    }
}

impl Iterator for Walk {
    type Item = io::Result<Step>;

    fn next(&mut self) -> Option<io::Result<Step>> {
        let step = self.step();
        if step.is_err() {
            self.levels.clear(); // there is no going on
        }
        step.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Access;
    use super::*;
    use std::path::Path;

    fn share(dir: &Path) -> Arc<Share> {
        Arc::new(Share {
            name: "s".into(),
            path: dir.into(),
            access: Access::Public,
            dot_files: false,
            configured: true,
        })
    }

    fn walk(dir: &Path, path: &str, after: &str) -> Vec<String> {
        let path = if path.is_empty() { SafePath::root() } else { SafePath::parse(path.as_bytes()).unwrap() };
        let mut walk = Walk::new(share(dir), path, after.into()).unwrap();
        let mut found = Vec::new();
        while let Some(step) = walk.next() {
            let Step::Entry(path, _) = step.unwrap() else { panic!("something is left out") };
            found.push(String::from_utf8(walk.relative(&path).to_vec()).unwrap());
        }
        found
    }

    #[test]
    fn paths_come_in_byte_order_from_anywhere_on() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for directory in ["a", "a/b", "a/b/c", "a.d", "empty", "z", ".dot"] {
            std::fs::create_dir(at(directory)).unwrap();
        }
        for file in ["a-b", "a0", "a/x", "a/b/c/1", "a/b-", "a.d/2", "z/.hidden", ".dot/x", "\u{4f60}"] {
            std::fs::write(at(file), "").unwrap();
        }
        for (target, link) in [("a", "to a directory"), ("a-b", "to a file"), ("/etc/passwd", "out")] {
            std::os::unix::fs::symlink(target, at(link)).unwrap();
        }
        let all = walk(dir.path(), "", "");
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!(all, sorted);
        let expected = [
            "a",
            "a-b",
            "a.d",
            "a.d/2",
            "a/b",
            "a/b-",
            "a/b/c",
            "a/b/c/1",
            "a/x",
            "a0",
            "empty",
            "to a file",
            "z",
            "\u{4f60}",
        ];
        assert_eq!(all, expected);
        for (at, path) in all.iter().enumerate() {
            assert_eq!(walk(dir.path(), "", path), all[at + 1..], "after {path}");
        }
        assert_eq!(
            walk(dir.path(), "", "a/b/"),
            ["a/b/c", "a/b/c/1", "a/x", "a0", "empty", "to a file", "z", "\u{4f60}"]
        );
        assert_eq!(walk(dir.path(), "a/b", "c"), ["c/1"]);
        assert_eq!(walk(dir.path(), "", "\u{ffff}"), [""; 0]);
    }

    #[test]
    fn what_is_closed_does_not_seem_empty() {
        let dir = tempfile::tempdir().unwrap();
        let set_mode = |name: &str, mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(dir.path().join(name), mode).unwrap();
        };
        for name in ["a", "b", "c"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("x"), "").unwrap();
        }
        let told = super::super::without_capabilities(|| {
            let walk = Walk::new(share(dir.path()), SafePath::root(), Vec::new()).unwrap();
            // Rights said yes; now one can't be opened, and another one when its entry was told.
            set_mode("a", 0);
            let mut told = Vec::new();
            for step in walk {
                told.push(match step.unwrap() {
                    Step::Entry(path, entry) => (path, entry.is_readable),
                    Step::Closed(path) => (path, false),
                    Step::LeftOut => panic!(),
                });
                if told.len() == 2 {
                    set_mode("b", 0);
                }
            }
            told
        });
        for name in ["a", "b"] {
            set_mode(name, 0o700);
        }
        let told: Vec<_> = told.iter().map(|(path, readable)| (path.as_bytes(), *readable)).collect();
        let expected: [(&[u8], bool); 5] =
            [(b"a", false), (b"b", true), (b"b", false), (b"c", true), (b"c/x", true)];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_lies_too_deep_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().to_owned();
        for _ in 0..=limits::ARCHIVE_DEPTH {
            path.push("d");
        }
        std::fs::create_dir_all(path).unwrap();
        let steps: Vec<Step> =
            Walk::new(share(dir.path()), SafePath::root(), vec![]).unwrap().map(Result::unwrap).collect();
        assert_eq!(steps.len(), limits::ARCHIVE_DEPTH + 1);
        assert!(matches!(steps.last(), Some(Step::LeftOut)));
    }
}
