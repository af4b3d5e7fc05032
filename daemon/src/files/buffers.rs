//! The memory that files are read into: one budget for all streams, so that a thousand readers take no more than ten.
//! Few streams read in large pieces, many in small ones.

use crate::limits;
use bytes::Bytes;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The budget, and buffers that are free to be used again: fresh memory costs more than what is read into it.
#[derive(Debug, Default)]
pub struct Buffers {
    streams: AtomicUsize,
    /// Of the sizes [`limits::READ_SMALLEST`] and each the double of the one before.
    free: [Mutex<Vec<Vec<u8>>>; CLASSES],
}

const CLASSES: usize = (limits::READ_LARGEST / limits::READ_SMALLEST).ilog2() as usize + 1;

impl Buffers {
    /// A stream begins; it counts until the guard is dropped.
    #[must_use]
    pub fn stream(self: &Arc<Buffers>) -> Streaming {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Streaming(Arc::clone(self))
    }

    /// The class of buffers that each stream may use at present.
    fn class(&self) -> usize {
        let fair = limits::READ_BUDGET / self.streams.load(Ordering::Relaxed).max(1);
        let size = fair.clamp(limits::READ_SMALLEST, limits::READ_LARGEST);
        (size / limits::READ_SMALLEST).ilog2() as usize
    }

    fn list(&self, class: usize) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.free[class].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream's share of the budget.
#[derive(Debug)]
pub struct Streaming(Arc<Buffers>);

impl Streaming {
    /// A buffer of the size that is fair now.
    pub(super) fn buffer(&self) -> Buffer {
        let class = self.0.class();
        let bytes = self.0.list(class).pop();
        let bytes = bytes.unwrap_or_else(|| vec![0; limits::READ_SMALLEST << class]);
        Buffer { bytes, filled: 0, home: Arc::clone(&self.0) }
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            (0..CLASSES).for_each(|class| *self.0.list(class) = Vec::new()); // nobody is left to use them
        }
    }
}

/// A buffer, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
    home: Arc<Buffers>,
}

impl Buffer {
    /// Its first bytes, at most `most`, to read into.
    pub(super) fn room(&mut self, most: u64) -> &mut [u8] {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.bytes.len());
        &mut self.bytes[..most]
    }

    /// What was read, to hand on without a copy.
    pub(super) fn filled(mut self, len: usize) -> Bytes {
        self.filled = len.min(self.bytes.len());
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let streams = self.home.streams.load(Ordering::Relaxed);
        let class = (self.bytes.len() / limits::READ_SMALLEST).ilog2() as usize;
        let mut free = self.home.list(class);
        // Two a stream are ever in use: one that is read and one that is sent.
        if class == self.home.class() && free.len() < 2 * streams {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_streams_read_in_small_pieces_and_all_is_given_back() {
        let buffers = Arc::new(Buffers::default());
        let first = buffers.stream();
        assert_eq!(first.buffer().room(u64::MAX).len(), limits::READ_LARGEST);
        let bytes = first.buffer().filled(3);
        assert_eq!(bytes.len(), 3);
        drop(bytes);
        assert_eq!(buffers.list(CLASSES - 1).len(), 1, "kept for the next read");
        let many: Vec<Streaming> = (0..5000).map(|_| buffers.stream()).collect();
        assert_eq!(first.buffer().room(u64::MAX).len(), limits::READ_SMALLEST);
        assert_eq!(first.buffer().room(10).len(), 10);
        drop((first, many));
        assert!((0..CLASSES).all(|class| buffers.list(class).capacity() == 0));
    }
}
