//! A directory as a tar archive, made while it is sent: a thread walks the directory and writes, bounded pieces go to
//! the client as it takes them. Links are left out; what changes while it is read breaks the archive off.

use super::body::{Body, Counting};
use super::pages;
use super::site::Site;
use crate::files::{Kind, Opened, Share, list};
use crate::limits;
use bytes::Bytes;
use hyper::Response;
use hyper::header;
use netkit_proto::path::SafePath;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

/// Bytes handed over at once.
const PIECE: usize = 128 << 10;

/// An archive of `path`; `None` while too many are made, or too many for this client.
pub(super) fn respond(
    site: &Arc<Site>,
    from: IpAddr,
    share: Arc<Share>,
    path: SafePath,
    counting: Counting,
    only_head: bool,
) -> Option<Response<Body>> {
    let permit = site.archives.take(from)?;
    let name = String::from_utf8_lossy(path.file_name().unwrap_or(share.name.as_bytes())).into_owned();
    let response = Response::builder()
        .header(header::CONTENT_TYPE, "application/x-tar")
        .header(header::CONTENT_DISPOSITION, pages::disposition("attachment", &format!("{name}.tar")));
    if only_head {
        return Some(pages::built(response, Body::empty()));
    }
    let (pieces, sending) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut archive = Builder::new(Pieces { pieces: pieces.clone(), piece: Vec::with_capacity(PIECE) });
        let written = add_directory(&mut archive, &share, &path, name.as_bytes(), 0)
            .and_then(|()| archive.into_inner()?.flush());
        let _ = pieces.blocking_send(written.map(|()| None)); // the client may have left
    });
    Some(pages::built(response, Body::Archive(sending, counting)))
}

/// Adds what is in the directory at `path`, as entries of `inside`.
fn add_directory(
    archive: &mut Builder<Pieces>,
    share: &Share,
    path: &SafePath,
    inside: &[u8],
    depth: usize,
) -> io::Result<()> {
    if depth == limits::ARCHIVE_DEPTH {
        return Err(io::Error::other("directories within directories beyond all measure"));
    }
    let Opened::Dir(directory) = share.open(path)? else { return Ok(()) };
    let mut header = header_of(EntryType::Directory, 0o755, 0, 0);
    archive.append_data(&mut header, Path::new(OsStr::from_bytes(&[inside, b"/"].concat())), io::empty())?;
    let (entries, truncated) = list(share, path, directory, limits::ARCHIVE_LISTING)?;
    if truncated {
        return Err(io::Error::other("more entries in a directory than an archive is made of"));
    }
    for entry in entries.iter().filter(|entry| !entry.is_link) {
        let path = path.join(&entry.name).map_err(io::Error::other)?;
        let inside = [inside, b"/", &entry.name].concat();
        if entry.kind == Kind::Dir {
            match add_directory(archive, share, &path, &inside, depth + 1) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {} // it is gone since, or may not be read
                added => added?,
            }
            continue;
        }
        let file = match share.open(&path) {
            Ok(Opened::File(file)) => file,
            Ok(Opened::Dir(_)) => continue, // it was a file a moment ago
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error), // left out it would not be missed
        };
        let seconds = u64::try_from(file.stamp.modified / 1_000_000_000).unwrap_or(0);
        let mode = if file.is_executable { 0o755 } else { 0o644 };
        let mut header = header_of(EntryType::Regular, mode, file.stamp.size, seconds);
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

/// Hands on what is written, in pieces; waits while the client takes nothing.
struct Pieces {
    pieces: mpsc::Sender<io::Result<Option<Bytes>>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.pieces.blocking_send(Ok(Some(piece.into()))).map_err(gone)
    }
}
