//! A client's connection with what the faces need of it: bytes that were read ahead come first, a client that takes
//! nothing for too long is given up, and an end that is no good end is a reset, which no client takes for the file's.

use crate::limits;
use socket2::SockRef;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// After a pause like this what is written belongs to another answer.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Stream {
    io: TcpStream,
    /// Read already, from `rewound_at` on.
    read_ahead: Vec<u8>,
    rewound_at: usize,
    /// When the client is given up; runs while it takes next to nothing.
    stalled: Pin<Box<Sleep>>,
    waits: bool,
    last_write: Instant,
    /// Bytes that the client took since that time began.
    progress: usize,
    /// Bytes written since others had their turn.
    turn: usize,
    reset: Reset,
}

/// Whether the end of a connection is a reset. It is one until somebody says that all is well: a clean end says to a
/// client that it got everything. Whoever finds that may wait here until all that was written before is on its way.
#[derive(Clone, Debug)]
pub(super) struct Reset(Arc<End>);

#[derive(Debug)]
struct End {
    is_reset: AtomicBool,
    /// Who waits for a flush.
    flush: Mutex<Option<Waker>>,
}

impl Reset {
    /// What was sent is not what was asked for: the client must not take it for that.
    pub(super) fn set(&self) {
        self.0.is_reset.store(true, Relaxed);
    }

    /// All is well.
    pub(super) fn clear(&self) {
        self.0.is_reset.store(false, Relaxed);
    }

    /// Whether something is not well.
    pub(super) fn is_set(&self) -> bool {
        self.0.is_reset.load(Relaxed)
    }

    /// From now on a flush is waited for: the stream is flushed when all that was written is handed to the kernel.
    pub(super) fn await_flush(&self, cx: &Context<'_>) {
        *self.flush() = Some(cx.waker().clone());
    }

    /// Whether there was one since; else who asks is woken when there is.
    pub(super) fn poll_flushed(&self, cx: &Context<'_>) -> Poll<()> {
        match &mut *self.flush() {
            Some(waiting) => waiting.clone_from(cx.waker()),
            None => return Poll::Ready(()),
        }
        Poll::Pending
    }

    fn flush(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.flush.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    pub(super) fn new(io: TcpStream) -> Stream {
        Stream {
            io,
            read_ahead: Vec::new(),
            rewound_at: 0,
            stalled: Box::pin(tokio::time::sleep(limits::STALLED)),
            waits: false,
            last_write: Instant::now(),
            progress: limits::PROGRESS,
            turn: 0,
            reset: Reset(Arc::new(End { is_reset: AtomicBool::new(true), flush: Mutex::default() })),
        }
    }

    /// The same with bytes that were read put back.
    pub(super) fn rewound(mut self, read: Vec<u8>) -> Stream {
        (self.read_ahead, self.rewound_at) = (read, 0);
        self
    }

    /// For whoever finds that the end is no good one.
    pub(super) fn reset(&self) -> Reset {
        self.reset.clone()
    }

    /// Passes over what has arrived: closing while something of it is unread would reset the connection.
    pub(super) fn pass_over_arrived(&self) {
        let mut rest = [0; 4096];
        let mut most = limits::REQUEST_BYTES / rest.len();
        while most > 0 && matches!(self.io.try_read(&mut rest), Ok(read) if read > 0) {
            most -= 1;
        }
    }

    /// From now on the kernel resets the connection however this process ends, until [`Stream::finish`].
    pub(super) fn begin(&self) -> io::Result<()> {
        self.io.set_zero_linger()
    }

    /// All is well and all was sent: tells so and waits a moment for the client to close. Closing while something of it
    /// is unread would reset the connection, and what the client has not read yet would be lost to it.
    pub(super) async fn finish(mut self) {
        self.reset.clear();
        let ends = SockRef::from(&self.io).set_linger(None);
        if ends.is_err() || self.shutdown().await.is_err() {
            return;
        }
        let mut rest = [0; 1024];
        let drained = async { while matches!(self.io.read(&mut rest).await, Ok(read) if read > 0) {} };
        let _ = tokio::time::timeout(limits::LINGER, drained).await; // it had its time
    }

    /// Lets others have their turn after so many bytes: a client that takes all at once would else be sent its whole
    /// file while a thousand others wait for their first byte.
    fn is_others_turn(&mut self, cx: &Context<'_>) -> bool {
        if self.turn < limits::TURN {
            return false;
        }
        self.turn = 0;
        cx.waker().wake_by_ref();
        true
    }

    /// `written`, unless nothing could be for too long.
    fn unless_stalled(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        if let Poll::Ready(written) = written {
            self.waits = false;
            self.last_write = now;
            let written = written.inspect(|&written| {
                self.turn += written;
                self.progress += written;
            });
            return Poll::Ready(written);
        }
        if !self.waits {
            self.waits = true;
            // A new answer, or enough taken of the last stretch: the time begins anew.
            if now - self.last_write > PAUSE || self.progress >= limits::PROGRESS {
                self.progress = 0;
                self.stalled.as_mut().reset(now + limits::STALLED);
            }
        }
        ready!(self.stalled.as_mut().poll(cx));
        self.reset.set();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes next to nothing")))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.reset.is_set() {
            let _ = self.io.set_zero_linger(); // a socket that is gone needs no reset
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let ahead = &self.read_ahead[self.rewound_at..];
        if ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let len = ahead.len().min(buf.remaining());
        buf.put_slice(&ahead[..len]);
        self.rewound_at += len;
        if self.rewound_at == self.read_ahead.len() {
            (self.read_ahead, self.rewound_at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_others_turn(cx) {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_others_turn(cx) {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        if let Some(waiting) = self.reset.flush().take() {
            waiting.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.is_set() {
            return Poll::Ready(Ok(())); // a clean end would say that all was well
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
