//! What is in a directory of a peer, as it tells it: read line by line within bounds. Every path is checked before
//! anything is made of it; a listing with one that is none is not believed at all.

use super::super::pace::Pace;
use super::super::source::Body;
use crate::hub::orders::Failed;
use crate::limits;
use netkit_proto::files::listing::{EntryKind, TreeEnd, TreeEntry, TreeLine};
use netkit_proto::path::SafePath;
use netkit_proto::rpc::code::Kind;
use netkit_proto::time::Timestamp;
use tokio::time::Instant;

/// A file or a directory in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub path: SafePath,
    pub is_dir: bool,
    pub size: u64,
    pub modified: Option<Timestamp>,
    pub is_executable: bool,
    /// The peer can't read it.
    pub is_unreadable: bool,
}

/// Makes entries of the bytes of a listing.
#[derive(Debug, Default)]
pub(super) struct Listing {
    line: Vec<u8>,
    entries: Vec<Entry>,
    /// Of all their paths.
    path_bytes: usize,
    /// Files whose paths the last one begins with, or is: each begins the next.
    files: Vec<usize>,
    end: Option<TreeEnd>,
}

/// Reads a listing to its end; `whom` is who tells it.
///
/// # Errors
/// Where it does not come, or is none.
pub(super) async fn read<B: Body>(mut body: B, whom: &str) -> Result<Vec<Entry>, Failed> {
    let mut listing = Listing::default();
    let mut pace = Pace::new(Instant::now());
    loop {
        let piece = tokio::time::timeout_at(pace.deadline(), body.next()).await;
        let piece = piece.map_err(|_| {
            let seconds = limits::FETCH_STALLED.as_secs();
            Failed::passing(
                Kind::Timeout,
                format_args!("{whom} told next to nothing of the directory for {seconds} s"),
            )
        });
        match piece?? {
            Some(bytes) => {
                pace.on_bytes(Instant::now(), bytes.len());
                listing.push(&bytes, whom)?;
            }
            None => return listing.finish(whom),
        }
    }
}

impl Listing {
    fn push(&mut self, bytes: &[u8], whom: &str) -> Result<(), Failed> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > limits::FETCH_TREE_LINE {
                return Err(not_believed(whom, "a line is too long"));
            }
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.line(&line[..line.len() - 1], whom)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], whom: &str) -> Result<(), Failed> {
        if self.end.is_some() {
            return Err(not_believed(whom, "it goes on after its end"));
        }
        match TreeLine::parse(line).map_err(|why| not_believed(whom, &why))? {
            TreeLine::Entry(entry) => {
                if self.entries.len() >= limits::FETCH_TREE {
                    return Err(too_many());
                }
                let entry = checked(&entry).ok_or_else(|| {
                    // Escaped: what people are shown must not act on their terminals.
                    not_believed(whom, &format!("{:?} can't be in a directory", entry.path))
                })?;
                if entry.path.components().count() > limits::ARCHIVE_DEPTH {
                    return Err(not_believed(whom, "a path is too deep"));
                }
                self.path_bytes += entry.path.as_bytes().len();
                if self.path_bytes > limits::FETCH_TREE_PATHS {
                    return Err(too_many());
                }
                if self.entries.last().is_some_and(|last| last.path >= entry.path) {
                    return Err(not_believed(whom, "it is not in order"));
                }
                if self.is_in_a_file(&entry) {
                    return Err(not_believed(whom, "a file has something in it"));
                }
                self.entries.push(entry);
            }
            TreeLine::End(end) => self.end = Some(end),
        }
        Ok(())
    }

    /// Whether an entry, the last one so far, is within what is a file. Paths come in order, so what does not begin one
    /// begins none of those that follow.
    fn is_in_a_file(&mut self, entry: &Entry) -> bool {
        let path = entry.path.as_bytes();
        while let Some(&file) = self.files.last() {
            if let Some(rest) = path.strip_prefix(self.entries[file].path.as_bytes()) {
                if rest.starts_with(b"/") {
                    return true;
                }
                break;
            }
            self.files.pop();
        }
        if !entry.is_dir {
            self.files.push(self.entries.len());
        }
        false
    }

    fn finish(self, whom: &str) -> Result<Vec<Entry>, Failed> {
        match self.end {
            Some(TreeEnd { truncated: true, .. }) => Err(too_many()),
            Some(end) if end.entries == self.entries.len() as u64 => Ok(self.entries),
            _ => Err(Failed::passing(
                Kind::Short,
                format_args!("what {whom} tells of the directory is cut off"),
            )),
        }
    }
}

fn checked(entry: &TreeEntry) -> Option<Entry> {
    let path = SafePath::parse(&entry.path_bytes()).ok().filter(|path| !path.has_part())?;
    let is_dir = entry.kind == EntryKind::Dir;
    let size = match entry.size {
        _ if is_dir => 0,
        Some(size) if i64::try_from(size).is_ok() => size,
        _ => return None, // no file system has such
    };
    let (modified, is_executable, is_unreadable) = (entry.modified, entry.executable, entry.unreadable);
    Some(Entry { path, is_dir, size, modified, is_executable, is_unreadable })
}

fn not_believed(whom: &str, why: &str) -> Failed {
    Failed::passing(Kind::Corrupt, format_args!("what {whom} tells of the directory is wrong: {why}"))
        .hint("nothing of it was made here; its netkitd may be damaged, or mean ill")
}

fn too_many() -> Failed {
    let (entries, megabytes) = (limits::FETCH_TREE, limits::FETCH_TREE_PATHS >> 20);
    let why = format!(
        "the directory has more than is fetched at once: {entries} entries, {megabytes} MiB of paths, {} levels",
        limits::ARCHIVE_DEPTH
    );
    Failed::new(Kind::TooLarge, why).hint("get the directories in it one by one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::tests::Drops;
    use std::time::Duration;

    fn read(lines: &str) -> Result<Vec<String>, Kind> {
        let mut listing = Listing::default();
        for piece in lines.as_bytes().chunks(7) {
            listing.push(piece, "bob").map_err(|failed| failed.failure.kind)?;
        }
        let entries = listing.finish("bob").map_err(|failed| failed.failure.kind)?;
        Ok(entries.iter().map(|entry| String::from_utf8_lossy(entry.path.as_bytes()).into_owned()).collect())
    }

    fn file(path: &str) -> String {
        TreeLine::Entry(TreeEntry { size: Some(1), ..TreeEntry::new(path.as_bytes(), EntryKind::File) })
            .to_json()
    }

    #[test]
    fn a_listing_is_believed_whole_or_not_at_all() {
        let end = |n| format!("{{\"end\":true,\"entries\":{n}}}\n");
        let dir = TreeLine::Entry(TreeEntry::new(b"a", EntryKind::Dir)).to_json();
        let good = format!("{dir}\n{}\n{}\n{}", file("a/x\n"), file("b"), end(3));
        assert_eq!(read(&good), Ok(vec!["a".into(), "a/x\n".into(), "b".into()]));
        assert_eq!(read(&end(0)), Ok(vec![]));
        let alike = ["b", "b-", "b-/", "bc", "bc/"].map(|path| match path.strip_suffix('/') {
            Some(dir) => {
                TreeLine::Entry(TreeEntry::new(format!("{dir}d").as_bytes(), EntryKind::Dir)).to_json()
            }
            None => file(path),
        });
        assert!(read(&format!("{}\n{}", alike.join("\n"), end(5))).is_ok());
        for (what, lines, kind) in [
            ("cut off", format!("{dir}\n"), Kind::Short),
            ("nothing", String::new(), Kind::Short),
            ("fewer", format!("{dir}\n{}", end(2)), Kind::Short),
            ("twice", format!("{dir}\n{dir}\n{}", end(2)), Kind::Corrupt),
            ("out of order", format!("{}\n{}\n{}", file("b"), file("a"), end(2)), Kind::Corrupt),
            ("in a file", format!("{}\n{}\n", file("b"), file("b/x")), Kind::Corrupt),
            (
                "further in a file",
                format!("{}\n{}\n{}\n", file("b"), file("b-"), file("b/x/y")),
                Kind::Corrupt,
            ),
            ("more", format!("{}{dir}\n", end(0)), Kind::Corrupt),
            ("no JSON", "x\n".to_owned(), Kind::Corrupt),
            ("endless", "x".repeat(limits::FETCH_TREE_LINE + 8), Kind::Corrupt),
            ("too many", "{\"end\":true,\"entries\":0,\"truncated\":true}\n".to_owned(), Kind::TooLarge),
        ] {
            assert_eq!(read(&lines), Err(kind), "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_disk_is_waited_for_and_a_trickle_is_not() {
        let lines: Vec<String> = (0..3000).map(|n| file(&format!("{n:06}")) + "\n").collect();
        let all = lines.concat() + "{\"end\":true,\"entries\":3000}\n";
        let of = async |piece, pause| {
            let body = Drops::new(all.as_bytes(), piece, Duration::from_secs(pause));
            super::read(body, "bob").await.map(|entries| entries.len()).map_err(|failed| failed.failure.kind)
        };
        assert_eq!(of(limits::FETCH_PROGRESS as usize, 29).await, Ok(3000));
        assert_eq!(of(1, 29).await, Err(Kind::Timeout));
        assert_eq!(of(100, 1).await, Err(Kind::Timeout));
        assert_eq!(of(all.len(), 31).await, Err(Kind::Timeout));
    }

    #[test]
    fn paths_are_bounded_in_depth_and_in_all() {
        let end = |n| format!("{{\"end\":true,\"entries\":{n}}}\n");
        let deep = |levels: usize| format!("{}x", "x/".repeat(levels - 1));
        assert!(read(&format!("{}\n{}", file(&deep(limits::ARCHIVE_DEPTH)), end(1))).is_ok());
        assert_eq!(read(&format!("{}\n", file(&deep(limits::ARCHIVE_DEPTH + 1)))), Err(Kind::Corrupt));
        let (mut listing, name) = (Listing::default(), "y".repeat(250));
        let long = |n: usize| format!("{n:06}/{}", [&name[..]; 12].join("/"));
        let refused = (0..limits::FETCH_TREE).find_map(|n| {
            let line = format!("{}\n", file(&long(n)));
            listing.push(line.as_bytes(), "bob").err().map(|failed| (n, failed.failure.kind))
        });
        let (taken, kind) = refused.unwrap();
        assert_eq!((taken, kind), (limits::FETCH_TREE_PATHS / long(0).len(), Kind::TooLarge));
    }

    #[test]
    fn hostile_paths_are_none() {
        for path in [
            "..",
            "../x",
            "/etc/passwd",
            "a/../../x",
            "a//b",
            "./a",
            "",
            "a/",
            ".netkit-7.part",
            "a/.netkit-1.part/x",
            "a\0b",
        ] {
            assert_eq!(read(&format!("{}\n", file(path))), Err(Kind::Corrupt), "{path:?}");
        }
        let href = r#"{"path":"x","href":"..%2F..%2Fetc","kind":"file","size":1}"#;
        assert_eq!(read(&format!("{href}\n")), Err(Kind::Corrupt));
        let huge = r#"{"path":"x","kind":"file","size":18446744073709551615}"#;
        assert_eq!(read(&format!("{huge}\n")), Err(Kind::Corrupt));
        let no_size = r#"{"path":"x","kind":"file"}"#;
        assert_eq!(read(&format!("{no_size}\n")), Err(Kind::Corrupt));
    }
}
