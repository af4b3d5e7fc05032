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
    /// What such an archive breaks off with that lacks something, when all else was sent.
    Lacking(Option<io::Error>, Reset),
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
            Body::Lacking(error, reset) => {
                ready!(reset.poll_flushed(cx));
                return Poll::Ready(error.take().map(Err));
            }
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
                    // What came before is to arrive, and an error drops what still waits to be written. That the last
                    // chunk is missing tells that it is not all; a reset would take the rest away.
                    let reset = counting.reset.clone();
                    reset.await_flush(cx);
                    *self = Body::Lacking(piece.and_then(Result::err), reset);
                    cx.waker().wake_by_ref(); // hyper flushes when it asked for a piece and there is none
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
            Body::Archive(..) | Body::Lacking(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Body::File(stream, _) => SizeHint::with_exact(stream.left()),
            Body::Archive(..) | Body::Lacking(..) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::Stream;
    use super::*;
    use crate::limits;
    use hyper::Response;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use std::convert::Infallible;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tokio::time::timeout;

    /// What a client gets, whose socket takes next to nothing at once, of an archive of these pieces that lacks something.
    async fn received(pieces: &[usize]) -> Vec<u8> {
        let (client, server) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
        client.set_recv_buffer_size(2048).unwrap();
        server.set_send_buffer_size(2048).unwrap();
        server.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = server.listen(1).unwrap();
        let mut client = client.connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = Stream::new(listener.accept().await.unwrap().0);
        let reset = stream.reset();
        reset.clear();
        let (sender, receiver) = mpsc::channel(pieces.len() + 1);
        for (n, len) in (1..).zip(pieces) {
            sender.try_send(Ok(Some(vec![n; *len].into()))).unwrap();
        }
        sender.try_send(Err(io::ErrorKind::PermissionDenied.into())).unwrap();
        let counting = Counting { counters: Arc::default(), reset };
        let body = Mutex::new(Some(Body::Archive(receiver, counting)));
        let answer = service_fn(move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        let serving = tokio::spawn(
            http1::Builder::new()
                .max_buf_size(limits::REQUEST_BYTES)
                .half_close(true)
                .serve_connection(TokioIo::new(stream), answer),
        );
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 512]);
        loop {
            // Whoever writes has its turn between any two of its pieces.
            tokio::task::yield_now().await;
            let read = timeout(limits::STALLED, client.read(&mut piece)).await.expect("it ends").unwrap();
            if read == 0 {
                break;
            }
            answer.extend_from_slice(&piece[..read]);
        }
        assert!(serving.await.unwrap().is_err(), "it has no end");
        answer
    }

    #[tokio::test]
    async fn what_lacks_something_comes_but_for_its_end() {
        for pieces in [&[][..], &[1], &[15 << 10], &[limits::TURN + 1, 5000], &[128 << 10, 1, 14 << 10]] {
            let answer = received(pieces).await;
            for (n, len) in (1..).zip(pieces) {
                let came = answer.iter().filter(|&&byte| byte == n).count();
                assert_eq!(came, *len, "piece {n} of {pieces:?}");
            }
            assert!(!answer.ends_with(b"0\r\n\r\n"), "no last chunk: {pieces:?}");
        }
    }
}
