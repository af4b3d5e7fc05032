//! An answer that a thread writes while it is sent: bounded pieces go to the client as it takes them. Without its end it is
//! none.

use super::body::{Body, Counting};
use super::permits::Permit;
use bytes::Bytes;
use std::io::{self, Write};
use tokio::sync::mpsc;

/// Bytes handed over at once.
const PIECE: usize = 128 << 10;

/// A body of what `write` writes, which holds the permit meanwhile.
pub(super) fn written(
    permit: Permit,
    counting: Counting,
    write: impl FnOnce(&mut Pieces) -> io::Result<()> + Send + 'static,
) -> Body {
    let (sender, sending) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut pieces = Pieces { pieces: sender.clone(), piece: Vec::with_capacity(PIECE) };
        let result = write(&mut pieces).and_then(|()| pieces.flush());
        let _ = sender.blocking_send(result.map(|()| None)); // the client may have left
    });
    Body::Archive(sending, counting)
}

/// Hands on what is written; waits while the client takes nothing.
pub(super) struct Pieces {
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
