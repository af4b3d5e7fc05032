//! Walks a shared directory and all that is beneath, in the byte order of the paths, a directory before what is in it, so
//! that a walk can go on behind any path. Links are passed over, hidden files do not exist. Blocks.

use super::list::{DirEntry, list};
use super::root::{Kind, Opened};
use super::share::Share;
use crate::limits;
use netkit_proto::path::SafePath;
use std::cmp::Ordering;
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
}

impl Walk {
    /// Walks the directory at `path`, past all that comes before or is `after`, a path relative to it.
    ///
    /// # Errors
    /// Where it is no directory, or can't be read.
    pub fn new(share: Arc<Share>, path: SafePath, after: Vec<u8>) -> io::Result<Walk> {
        let base = if path.is_root() { 0 } else { path.as_bytes().len() + 1 };
        let mut walk = Walk { share, base, after, levels: Vec::new() };
        match walk.enter(path)? {
            Some(is_truncated) if !is_truncated => Ok(walk),
            Some(_) => Err(io::Error::other("more entries in the directory than are walked")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A path as seen from where the walk began.
    #[must_use]
    pub fn relative<'a>(&self, path: &'a SafePath) -> &'a [u8] {
        path.as_bytes().get(self.base..).unwrap_or_default()
    }

    /// Goes on in a directory; whether it has more entries than are read, `None` where it is none any more.
    fn enter(&mut self, path: SafePath) -> io::Result<Option<bool>> {
        let directory = match self.share.open(&path) {
            Ok(Opened::Dir(directory)) => directory,
            Ok(Opened::File(_)) => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None), // it is gone since
            Err(error) => return Err(error),
        };
        let (entries, is_truncated) = list(&self.share, &path, directory, limits::ARCHIVE_LISTING)?;
        let mut places = Vec::with_capacity(entries.len());
        for entry in entries.into_iter().filter(|entry| !entry.is_link) {
            if entry.kind == Kind::Dir && entry.is_readable {
                places.push(Place::Inside(entry.name.clone()));
            }
            places.push(Place::Entry(entry));
        }
        places.sort_by(Place::order);
        self.levels.push((path, places.into_iter()));
        Ok(Some(is_truncated))
    }

    /// Whether all that is in this directory was before.
    fn is_behind(&self, path: &SafePath) -> bool {
        let inside = [self.relative(path), b"/"].concat();
        inside < self.after && !self.after.starts_with(&inside)
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
                Place::Entry(entry) if self.relative(&path) > self.after.as_slice() => {
                    return Ok(Some(Step::Entry(path, entry)));
                }
                Place::Entry(_) => {}
                Place::Inside(_) if self.is_behind(&path) => {}
                Place::Inside(_) if self.levels.len() == limits::ARCHIVE_DEPTH => {
                    return Ok(Some(Step::LeftOut));
                }
                Place::Inside(_) => {
                    if self.enter(path)?.unwrap_or(false) {
                        return Ok(Some(Step::LeftOut));
                    }
                }
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

    fn walk(dir: &Path, path: &str, after: &str) -> Vec<String> {
        let share = Share {
            name: "s".into(),
            path: dir.into(),
            access: Access::Public,
            dot_files: false,
            configured: true,
        };
        let path = if path.is_empty() { SafePath::root() } else { SafePath::parse(path.as_bytes()).unwrap() };
        let mut walk = Walk::new(Arc::new(share), path, after.into()).unwrap();
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
        std::os::unix::fs::symlink("a", at("link")).unwrap();
        let all = walk(dir.path(), "", "");
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!(all, sorted);
        let expected = [
            "a", "a-b", "a.d", "a.d/2", "a/b", "a/b-", "a/b/c", "a/b/c/1", "a/x", "a0", "empty", "z",
            "\u{4f60}",
        ];
        assert_eq!(all, expected);
        for (at, path) in all.iter().enumerate() {
            assert_eq!(walk(dir.path(), "", path), all[at + 1..], "after {path}");
        }
        assert_eq!(walk(dir.path(), "", "a/b/"), ["a/b/c", "a/b/c/1", "a/x", "a0", "empty", "z", "\u{4f60}"]);
        assert_eq!(walk(dir.path(), "a/b", "c"), ["c/1"]);
        assert_eq!(walk(dir.path(), "", "\u{ffff}"), [""; 0]);
    }

    #[test]
    fn what_lies_too_deep_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().to_owned();
        for _ in 0..=limits::ARCHIVE_DEPTH {
            path.push("d");
        }
        std::fs::create_dir_all(path).unwrap();
        let share = Share {
            name: "s".into(),
            path: dir.path().into(),
            access: Access::Public,
            dot_files: false,
            configured: true,
        };
        let steps: Vec<Step> =
            Walk::new(Arc::new(share), SafePath::root(), vec![]).unwrap().map(Result::unwrap).collect();
        assert_eq!(steps.len(), limits::ARCHIVE_DEPTH + 1);
        assert!(matches!(steps.last(), Some(Step::LeftOut)));
    }
}
