//! What an HTTP response carries.

use super::permits::Permit;
use super::stream::Reset;
use crate::files::FileStream;
use crate::hub::handle::FileCounters;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// A body.
pub(super) enum Body {
    /// Known bytes, or none.
    Whole(Option<Bytes>),
    /// A file or a part of it.
    File(FileStream, Counting),
    /// An archive while it is made; `None` is its end, without which it is none.
    Archive(mpsc::Receiver<io::Result<Option<Bytes>>>, Counting),
    /// What such an archive breaks off with that lacks something at its end.
    Lacking(Option<io::Error>),
}

/// Counts what is handed over, and makes an end in the middle a reset.
pub(super) struct Counting {
    pub counters: Arc<FileCounters>,
    pub reset: Reset,
}

impl Body {
    /// A file or a part of it.
    pub(super) fn file(stream: FileStream, counting: Counting) -> Body {
        counting.reset.set(); // until all was handed over
        if stream.left() == 0 {
            counting.reset.clear();
            counting.counters.served.fetch_add(1, Relaxed); // nobody will ask for what comes
        }
        Body::File(stream, counting)
    }

    pub(super) fn empty() -> Body {
        Body::Whole(None)
    }

    /// The same body with a permit that is given back when the bytes are sent.
    pub(super) fn holding(self, permit: Permit) -> Body {
        match self {
            Body::Whole(Some(bytes)) => Body::Whole(Some(Bytes::from_owner(Held { bytes, _permit: permit }))),
            other => other,
        }
    }
}

/// Bytes that a permit was needed for.
struct Held {
    bytes: Bytes,
    _permit: Permit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Body::Whole(Some(text.into()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let (piece, counting) = match &mut *self {
            Body::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Lacking(error) => return Poll::Ready(error.take().map(Err)),
            Body::File(stream, counting) => {
                let piece = ready!(stream.poll_next(cx));
                // Nobody asks on when the length that was promised is reached.
                let is_last = stream.left() == 0 && matches!(piece, Some(Ok(_)));
                if is_last {
                    counting.counters.served.fetch_add(1, Relaxed);
                    counting.reset.clear();
                }
                (piece, counting)
            }
            Body::Archive(pieces, counting) => {
                let broken = || Err(io::Error::other("the archive was not finished"));
                let piece = ready!(pieces.poll_recv(cx)).unwrap_or_else(broken).transpose();
                if let Some(Err(error)) = &piece
                    && error.kind() == io::ErrorKind::PermissionDenied
                {
                    tracing::debug!(%error, "an archive lacks something");
                    *self = Body::Lacking(piece.and_then(Result::err));
                    // What came before is to arrive: it is sent while this waits. That the last chunk is missing tells
                    // that it is not all; a reset would take the rest away.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                counting.counters.served.fetch_add(u64::from(piece.is_none()), Relaxed);
                (piece, counting)
            }
        };
        match &piece {
            Some(Ok(piece)) => {
                counting.counters.bytes.fetch_add(piece.len() as u64, Relaxed);
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "what was being sent broke off");
                counting.reset.set();
            }
            None => {}
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.is_none(),
            Body::File(stream, _) => stream.left() == 0,
            Body::Archive(..) | Body::Lacking(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Body::File(stream, _) => SizeHint::with_exact(stream.left()),
            Body::Archive(..) | Body::Lacking(_) => SizeHint::default(),
        }
    }
}
