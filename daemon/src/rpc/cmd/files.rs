//! `files.list`: what is in our own shares, or in a peer's.

use super::{Handle, Progress, Session};
use crate::files::{DirEntry, Opened, Share, Stamp, list};
use crate::hub::content::file_key;
use crate::hub::handle::Command;
use crate::limits;
use netkit_proto::files::listing::{EntryKind, ListEntry, Listing};
use netkit_proto::files::manifest::to_hex;
use netkit_proto::path::SafePath;
use netkit_proto::rpc::call::FilesList;
use netkit_proto::rpc::code::{Error, Kind};
use std::io;
use std::sync::Arc;

impl Handle for FilesList {
    async fn start(self, session: &mut Session) -> Result<Progress<Listing>, Error> {
        let path = self.path.trim_matches('/').to_owned();
        if let Some(peer) = self.peer {
            return at_peer(session, peer, &path).await;
        }
        let shares = session.context.shares.borrow().clone();
        if path.is_empty() {
            let entries =
                shares.iter().map(|share| ListEntry::new(share.name.as_bytes(), EntryKind::Dir, None, None));
            return Ok(Progress::Done(Listing { entries: entries.collect(), truncated: false }));
        }
        let (name, rest) = SafePath::parse(path.as_bytes())
            .ok()
            .and_then(|p| p.split_first().map(|(n, r)| (n.to_vec(), r)))
            .ok_or_else(|| missing(&path))?;
        let share = shares
            .iter()
            .find(|share| share.name.as_bytes() == name)
            .cloned()
            .ok_or_else(|| missing(&path))?;
        let reader = session.context.reader.clone();
        Ok(Progress::large(async move {
            let listed = tokio::task::spawn_blocking(move || list_in(&share, &rest)).await;
            let listed = listed.map_err(|e| Error::new(Kind::InternalError, e))?;
            let (mut listing, stamps) = listed.map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => missing(&path),
                _ => Error::new(Kind::Unavailable, format_args!("can't list {path}: {e}")),
            })?;
            let files: Vec<_> = stamps.iter().map(file_key).collect();
            let known = reader.roots(&files).await.map_err(|e| Error::new(Kind::Unavailable, e))?;
            let files = listing.entries.iter_mut().zip(known);
            for (entry, hash) in files.filter(|(entry, _)| entry.kind == EntryKind::File) {
                entry.blake3 = hash.as_ref().map(to_hex);
            }
            Ok(listing)
        }))
    }
}

fn missing(path: &str) -> Error {
    Error::new(Kind::NotFound, format_args!("there is no {path} in our shares"))
        .hint("what a peer shares is behind its name and a colon: PEER:SHARE/path")
}

/// What a peer says of its own.
async fn at_peer(session: &mut Session, peer: String, path: &str) -> Result<Progress<Listing>, Error> {
    let missing = || Error::new(Kind::NotFound, format_args!("there can be no {path} in a share"));
    let path = if path.is_empty() { Ok(SafePath::root()) } else { SafePath::parse(path.as_bytes()) };
    let path = path.map_err(|_| missing())?;
    let answer = session.context.hub.ask(|reply| Command::PeerFiles(peer, path, reply)).await?;
    Ok(Progress::large(async move {
        let Listing { entries, truncated } = answer.wait().await?;
        let mut room = limits::LISTING_ANSWER;
        let count = entries.len();
        let shown: Vec<_> =
            entries.into_iter().take_while(|entry| has_room(&mut room, entry.name.len())).collect();
        let truncated = truncated || shown.len() < count;
        Ok(Listing { entries: shown, truncated })
    }))
}

/// Whether an answer has room for one more entry, with its name in it twice and escaped, and its hash.
fn has_room(room: &mut usize, name: usize) -> bool {
    let needed = 9 * name + 208;
    let has_room = needed <= *room;
    *room = room.saturating_sub(needed);
    has_room
}

/// A directory's entries, or the file itself; and what tells each from others.
fn list_in(share: &Arc<Share>, path: &SafePath) -> io::Result<(Listing, Vec<Stamp>)> {
    match share.open(path)? {
        Opened::Dir(directory) => {
            let (entries, truncated) = list(share, path, directory, limits::LISTING)?;
            let mut room = limits::LISTING_ANSWER;
            let shown: Vec<DirEntry> =
                entries.iter().take_while(|entry| has_room(&mut room, entry.name.len())).cloned().collect();
            let truncated = truncated || shown.len() < entries.len();
            let stamps = shown.iter().map(|entry| entry.stamp).collect();
            Ok((Listing { entries: shown.iter().map(ListEntry::from).collect(), truncated }, stamps))
        }
        Opened::File(file) => {
            let name = path.file_name().unwrap_or_default();
            let stamp = file.stamp;
            let entry = ListEntry::new(name, EntryKind::File, Some(stamp.size), Some(stamp.modified_at()));
            Ok((Listing { entries: vec![entry], truncated: false }, vec![stamp]))
        }
    }
}
