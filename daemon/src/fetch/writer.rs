//! One thread a download that hashes and writes what its connections bring, so that neither keeps them from reading on.

use super::content::Content;
use crate::files::PartFile;
use crate::limits;
use bytes::Bytes;
use std::io;
use tokio::sync::{mpsc, oneshot};

/// Bytes, and where they belong.
#[derive(Debug)]
pub(super) struct Piece {
    pub offset: u64,
    pub bytes: Bytes,
}

/// What the thread gives back at its end.
pub(super) type Written = (Content, io::Result<()>);

/// Starts the thread. It ends when all senders are gone, or with the first error.
///
/// # Errors
/// Where the system gives no thread.
pub(super) fn start(
    mut content: Content,
    room: impl Fn(&PartFile, u64) -> io::Result<()> + Send + 'static,
) -> io::Result<(mpsc::Sender<Piece>, oneshot::Receiver<Written>)> {
    let (pieces, mut queue) = mpsc::channel::<Piece>(limits::FETCH_PIECES);
    let (written, end) = oneshot::channel();
    std::thread::Builder::new().name("fetch-writer".into()).spawn(move || {
        let mut result = Ok(());
        while let Some(piece) = queue.blocking_recv() {
            result = content.write(piece.offset, &piece.bytes, &room);
            if result.is_err() {
                break;
            }
        }
        drop(queue); // connections notice
        let _ = written.send((content, result)); // a download that was given up needs it no more
    })?;
    Ok((pieces, end))
}
