//! A file, or a part of it, in pieces: what the page cache has is read at once, what the disk must bring is read on a
//! thread for blocking work. A file that changes meanwhile is an error, never a mixture.

use super::buffers::{Buffer, Buffers, Streaming};
use super::root::OpenFile;
use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// See the module. Needs a runtime.
#[derive(Debug)]
pub struct FileStream {
    file: Arc<OpenFile>,
    left: Range<u64>,
    streaming: Streaming,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// The file system can tell what is in the page cache.
    may_try: bool,
}

impl FileStream {
    /// The bytes of `range`, which must be within the file.
    #[must_use]
    pub fn new(file: OpenFile, range: Range<u64>, buffers: &Arc<Buffers>) -> FileStream {
        FileStream {
            file: Arc::new(file),
            left: range,
            streaming: buffers.stream(),
            reading: None,
            may_try: true,
        }
    }

    /// How many bytes are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left.end - self.left.start
    }

    /// The next piece; `None` at the end. An error ends the stream.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        if self.reading.is_none() {
            let mut buffer = self.streaming.buffer();
            if self.may_try {
                match read(&self.file, &mut buffer, &self.left, ReadWriteFlags::NOWAIT) {
                    Ok(len) => return Poll::Ready(Some(self.done(Ok(buffer.filled(len))))),
                    Err(Errno::AGAIN) => {}
                    Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.may_try = false,
                    Err(error) => return Poll::Ready(Some(self.done(Err(error.into())))),
                }
            }
            let (file, left) = (Arc::clone(&self.file), self.left.clone());
            self.reading = Some(tokio::task::spawn_blocking(move || {
                let len = read(&file, &mut buffer, &left, ReadWriteFlags::empty())?;
                Ok(buffer.filled(len))
            }));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = ready!(std::pin::Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(Some(self.done(read.unwrap_or_else(|e| Err(io::Error::other(e))))))
    }

    /// The next piece, awaited.
    ///
    /// # Errors
    /// See [`FileStream::poll_next`].
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await.transpose()
    }

    /// Counts a piece, after a look at whether it still belongs to the file that was opened.
    fn done(&mut self, piece: io::Result<Bytes>) -> io::Result<Bytes> {
        let checked = piece.and_then(|piece| {
            if piece.is_empty() || !self.file.is_unchanged()? {
                return Err(io::Error::other("the file was changed while it was read"));
            }
            Ok(piece)
        });
        match &checked {
            Ok(piece) => self.left.start += piece.len() as u64,
            Err(_) => self.left = 0..0,
        }
        checked
    }
}

fn read(
    file: &OpenFile,
    buffer: &mut Buffer,
    left: &Range<u64>,
    flags: ReadWriteFlags,
) -> rustix::io::Result<usize> {
    let room = buffer.room(left.end - left.start);
    rustix::io::preadv2(&file.file, &mut [IoSliceMut::new(room)], left.start, flags)
}

#[cfg(test)]
mod tests {
    use super::super::root::{self, Opened};
    use super::*;
    use netkit_proto::path::SafePath;
    use std::path::Path;

    fn stream(dir: &Path, range: Range<u64>) -> FileStream {
        let Ok(Opened::File(file)) =
            root::open(dir, rustix::fs::ResolveFlags::empty(), &SafePath::parse(b"f").unwrap())
        else {
            panic!()
        };
        FileStream::new(file, range, &Arc::default())
    }

    async fn collect(mut stream: FileStream) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = stream.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn gives_exactly_the_range() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..1_000_003u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(dir.path().join("f"), &content).unwrap();
        let len = content.len();
        for range in [0..len, 0..0, 0..1, len - 1..len, 300_000..900_001] {
            let wide = range.start as u64..range.end as u64;
            assert_eq!(collect(stream(dir.path(), wide)).await.unwrap(), content[range]);
        }
        let mut slow = stream(dir.path(), 0..len as u64);
        slow.may_try = false;
        assert_eq!(collect(slow).await.unwrap(), content, "also where all is read by a thread");
    }

    #[tokio::test]
    async fn a_file_that_changes_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![1; 1_000_000]).unwrap();
        let mut longer = stream(dir.path(), 0..1_000_000);
        assert!(longer.next().await.unwrap().is_some());
        std::fs::write(&path, vec![2; 1_000_001]).unwrap();
        assert!(longer.next().await.is_err());
        assert!(longer.next().await.unwrap().is_none(), "and the end");
        let mut shorter = stream(dir.path(), 0..1_000_001);
        std::fs::write(&path, "").unwrap();
        assert!(shorter.next().await.is_err());
    }
}
