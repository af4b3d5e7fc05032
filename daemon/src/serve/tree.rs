//! All that is beneath a directory, as lines of JSON: for whoever fetches it, and goes on fetching it later. What can't be
//! read is told as that.

use super::body::{Body, Counting};
use super::permits::Permit;
use super::pieces::{self, Pieces};
use super::unreadable::Unreadable;
use crate::files::{DirEntry, Kind, Share, Step, Walk};
use crate::hub::content::file_key;
use crate::limits;
use crate::store::Reader;
use netkit_proto::files::listing::{TreeEnd, TreeEntry, TreeLine};
use netkit_proto::files::manifest::to_hex;
use netkit_proto::path::SafePath;
use std::io::{self, Write as _};
use std::sync::Arc;
use tokio::runtime::Handle;

/// The content type of an answer.
pub(super) const CONTENT_TYPE: &str = "application/x-ndjson";

/// The lines for the directory at `path`.
pub(super) fn body(
    reader: Reader,
    permit: Permit,
    (share, path): (Arc<Share>, SafePath),
    mut unreadable: Unreadable,
    counting: Counting,
) -> Body {
    let runtime = Handle::current();
    pieces::written(permit, counting, move |pieces| {
        let mut walk = Walk::new(Arc::clone(&share), path, Vec::new())?;
        let mut end = TreeEnd { end: true, entries: 0, truncated: false };
        let mut some = Vec::with_capacity(limits::READ_FILES);
        while let Some(step) = walk.next() {
            match step? {
                Step::LeftOut => end.truncated = true,
                // It was told as one that can be read, and would seem empty.
                Step::Closed(_) => return Err(io::Error::other("a directory can't be read any more")),
                Step::Entry(..) if end.entries == limits::TREE => {
                    end.truncated = true;
                    break;
                }
                Step::Entry(path, entry) => {
                    end.entries += 1;
                    if !entry.is_readable {
                        unreadable.note(&path);
                    }
                    some.push((walk.relative(&path).to_vec(), entry));
                }
            }
            if some.len() == limits::READ_FILES {
                write(&mut some, &reader, &runtime, pieces)?;
                pieces.flush()?; // whoever waits for the rest has something to do
            }
        }
        write(&mut some, &reader, &runtime, pieces)?;
        let _ = unreadable.end(&share); // each line says it
        writeln!(pieces, "{}", TreeLine::End(end).to_json())
    })
}

/// Writes entries, with their hashes where they are known.
fn write(
    entries: &mut Vec<(Vec<u8>, DirEntry)>,
    reader: &Reader,
    runtime: &Handle,
    pieces: &mut Pieces,
) -> io::Result<()> {
    let files: Vec<_> = entries.iter().map(|(_, entry)| file_key(&entry.stamp)).collect();
    let roots = runtime.block_on(reader.roots(&files)).map_err(io::Error::other)?;
    for ((path, entry), root) in entries.drain(..).zip(roots) {
        let is_file = entry.kind == Kind::File;
        let line = TreeEntry {
            size: is_file.then_some(entry.stamp.size),
            modified: Some(entry.stamp.modified_at()),
            unreadable: !entry.is_readable,
            executable: is_file && entry.is_executable,
            blake3: root.filter(|_| is_file).map(|root| to_hex(&root)),
            ..TreeEntry::new(&path, entry.kind.into())
        };
        writeln!(pieces, "{}", TreeLine::Entry(line).to_json())?;
    }
    Ok(())
}
