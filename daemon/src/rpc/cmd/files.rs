//! `files.list`: what is in our own shares.

use super::{Handle, Progress, Session};
use crate::files::{DirEntry, Opened, Share, list};
use crate::limits;
use netkit_proto::files::listing::{EntryKind, ListEntry, Listing};
use netkit_proto::path::SafePath;
use netkit_proto::rpc::call::FilesList;
use netkit_proto::rpc::code::{Error, Kind};
use std::io;
use std::sync::Arc;

impl Handle for FilesList {
    async fn start(self, session: &mut Session) -> Result<Progress<Listing>, Error> {
        let shares = session.context.shares.borrow().clone();
        let path = self.path.trim_matches('/').to_owned();
        if path.is_empty() {
            let entries =
                shares.iter().map(|share| ListEntry::new(share.name.as_bytes(), EntryKind::Dir, None, None));
            return Ok(Progress::Done(Listing { entries: entries.collect(), truncated: false }));
        }
        let missing = || Error::new(Kind::NotFound, format_args!("there is no {path} in our shares"));
        let (name, rest) = SafePath::parse(path.as_bytes())
            .ok()
            .and_then(|p| p.split_first().map(|(n, r)| (n.to_vec(), r)))
            .ok_or_else(missing)?;
        let share = shares.iter().find(|share| share.name.as_bytes() == name).cloned().ok_or_else(missing)?;
        Ok(Progress::large(async move {
            let listed = tokio::task::spawn_blocking(move || list_in(&share, &rest)).await;
            let listed = listed.map_err(|e| Error::new(Kind::InternalError, e))?;
            listed.map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => {
                    Error::new(Kind::NotFound, format_args!("there is no {path} in our shares"))
                }
                _ => Error::new(Kind::Unavailable, format_args!("can't list {path}: {e}")),
            })
        }))
    }
}

/// A directory's entries, or the file itself.
fn list_in(share: &Arc<Share>, path: &SafePath) -> io::Result<Listing> {
    match share.open(path)? {
        Opened::Dir(directory) => {
            let (entries, truncated) = list(share, path, directory, limits::LISTING)?;
            // What an answer has room for, with the names in it twice and escaped.
            let mut room = limits::READ_BYTES;
            let fits = |entry: &&DirEntry| {
                let needed = 8 * entry.name.len() + 128;
                let fits = needed <= room;
                room = room.saturating_sub(needed);
                fits
            };
            let shown: Vec<ListEntry> = entries.iter().take_while(fits).map(ListEntry::from).collect();
            let truncated = truncated || shown.len() < entries.len();
            Ok(Listing { entries: shown, truncated })
        }
        Opened::File(file) => {
            let name = path.file_name().unwrap_or_default();
            let stamp = file.stamp;
            let entry = ListEntry::new(name, EntryKind::File, Some(stamp.size), Some(stamp.modified_at()));
            Ok(Listing { entries: vec![entry], truncated: false })
        }
    }
}
