//! One connection: waits for its first bytes, finds out what it speaks, and hands it to that face. Every phase has a
//! deadline; what a client may hold while it is silent is next to nothing.

use super::bare;
use super::caller::Caller;
use super::http;
use super::permits::Waiting;
use super::site::Site;
use super::stream::Stream;
use crate::hub::handle::FileCounters;
use crate::limits;
use netkit_proto::files::start::{Start, classify};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Counts a connection while it is open.
struct Open<'a>(&'a FileCounters);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// What a connection speaks.
#[derive(Debug, PartialEq, Eq)]
enum Face {
    Http,
    Tls,
    /// The name that was asked for.
    Bare(Vec<u8>),
}

/// Serves a connection to its end.
pub(super) async fn run(stream: TcpStream, from: IpAddr, site: Arc<Site>) {
    site.counters.open.fetch_add(1, Relaxed);
    let _open = Open(&site.counters);
    if let Err(error) = serve(stream, from, &site).await {
        tracing::debug!(%from, %error, "a connection to the file port broke off");
    }
}

async fn serve(stream: TcpStream, from: IpAddr, site: &Arc<Site>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = Stream::new(stream);
    let mut first = Vec::new();
    let patience = if site.config().files.plain { limits::SILENCE } else { limits::REQUEST_HEAD };
    let (waiting, evicted) = site.silent.enter();
    site.counters.evicted.fetch_add(u64::from(evicted), Relaxed);
    if !first_bytes(&mut stream, &mut first, patience, waiting).await? {
        return Ok(()); // it left, or had its time
    }
    let Some(_permit) = site.permits.take(from) else {
        site.counters.busy.fetch_add(1, Relaxed);
        if classify(&first, true) == Start::Http {
            stream.pass_over_arrived();
            stream.write_all(http::BUSY).await?;
            stream.reset().clear();
        }
        return Ok(()); // no waiting for who has no permit; a bare name is reset
    };
    let config = site.config();
    let is_plain = config.files.plain;
    let is_there = |name: Vec<u8>| async move { is_plain && bare::is_there(&name, site).await };
    let face = face(&mut stream, &mut first, is_there).await?;
    let face = face.filter(|face| match face {
        Face::Http => config.files.http,
        Face::Tls => true, // for netkit boxes; others are told apart by what they offer
        Face::Bare(_) => config.files.plain,
    });
    let Some(face) = face else {
        return Ok(()); // a language that is not spoken here
    };
    let stream_reset = stream.reset();
    match face {
        Face::Http if first.starts_with(b"PRI") => {
            stream.write_all(http::NOT_HTTP_2).await?;
            stream.finish().await;
            Ok(())
        }
        Face::Http => {
            let (stream, reset) = (stream.rewound(first), stream_reset);
            let stream = http::serve(stream, reset.clone(), Caller::new(from, None), site).await?;
            if !reset.is_set() {
                stream.finish().await;
            }
            Ok(())
        }
        Face::Tls => encrypted(stream.rewound(first), from, config.files.http, site).await,
        Face::Bare(name) => bare::serve(stream, &name, &Caller::new(from, None), site).await,
    }
}

/// Serves HTTP within TLS.
async fn encrypted(stream: Stream, from: IpAddr, lets_others: bool, site: &Arc<Site>) -> io::Result<()> {
    let reset = stream.reset();
    let (mut stream, peer) = timeout(limits::REQUEST_HEAD, site.tls.accept(stream, lets_others)).await??;
    let open = usize::try_from(site.counters.open.load(Relaxed)).unwrap_or(usize::MAX);
    let share = (limits::TLS_BUDGET / open.max(1)).clamp(limits::TLS_SMALLEST, limits::TLS_LARGEST);
    stream.get_mut().1.set_buffer_limit(Some(share));
    let caller = Caller::new(from, peer);
    let mut stream = http::serve(stream, reset.clone(), caller, site).await?;
    if !reset.is_set() && stream.shutdown().await.is_ok() {
        stream.into_inner().0.finish().await;
    }
    Ok(())
}

/// Waits for the first bytes, which may take long while the tutorial's clients are served.
async fn first_bytes(
    stream: &mut (impl AsyncRead + Unpin),
    first: &mut Vec<u8>,
    patience: Duration,
    waiting: Waiting,
) -> io::Result<bool> {
    tokio::select! {
        read = stream.read_buf(first) => Ok(read? > 0),
        () = waiting.evicted() => Ok(false),
        () = tokio::time::sleep(patience) => Ok(false),
    }
}

/// Reads until it is clear what the connection speaks; `None`: nothing that makes sense. After a name that is there
/// not as much is waited for as after what may be the beginning of one.
async fn face<F: Future<Output = bool>>(
    stream: &mut (impl AsyncRead + Unpin),
    first: &mut Vec<u8>,
    is_there: impl Fn(Vec<u8>) -> F,
) -> io::Result<Option<Face>> {
    let deadline = Instant::now() + limits::REQUEST_HEAD;
    let mut ended = false;
    loop {
        let pause = match classify(first, ended) {
            Start::Http => return Ok(Some(Face::Http)),
            Start::CompleteName(len) => {
                first.truncate(len);
                return Ok(Some(Face::Bare(std::mem::take(first))));
            }
            Start::Tls => return Ok(Some(Face::Tls)),
            Start::TooLong | Start::Silent => return Ok(None),
            Start::Undecided => Duration::MAX,
            Start::Name if is_there(first.clone()).await => limits::KNOWN_NAME_PAUSE,
            Start::Name => limits::NAME_PAUSE,
        };
        let until = Instant::now().checked_add(pause).map_or(deadline, |at| at.min(deadline));
        match timeout_at(until, stream.read_buf(first)).await {
            Ok(read) => ended = read? == 0,
            Err(_) => ended = true, // nothing more is waited for
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::permits::Silent;
    use super::*;
    use tokio::time::sleep;

    /// What a client speaks that writes each piece after a pause, on a clock that moves when all wait; and how long
    /// it took to find out.
    async fn spoken(pieces: &[(u64, &[u8])], closes: bool) -> (Option<Face>, Duration) {
        let (mut client, mut server) = tokio::io::duplex(1 << 16);
        let pieces: Vec<(u64, Vec<u8>)> = pieces.iter().map(|(ms, piece)| (*ms, piece.to_vec())).collect();
        let writing = tokio::spawn(async move {
            for (pause, piece) in pieces {
                sleep(Duration::from_millis(pause)).await;
                client.write_all(&piece).await.unwrap();
            }
            if closes {
                client.shutdown().await.unwrap();
            }
            client
        });
        let (began, mut first) = (Instant::now(), Vec::new());
        let (waiting, _) = Arc::new(Silent::new(1)).enter();
        let face = match first_bytes(&mut server, &mut first, limits::SILENCE, waiting).await.unwrap() {
            true => face(&mut server, &mut first, |name| async move { name == b"there" }).await.unwrap(),
            false => None,
        };
        let took = began.elapsed();
        writing.abort();
        (face, took)
    }

    fn bare(name: &[u8]) -> Option<Face> {
        Some(Face::Bare(name.to_vec()))
    }

    #[tokio::test(start_paused = true)]
    async fn the_tutorials_client_may_think_before_it_asks() {
        let (face, took) = spoken(&[(30_000, b"notes.txt")], false).await;
        assert_eq!((face, took), (bare(b"notes.txt"), Duration::from_secs(30) + limits::NAME_PAUSE));
        let (face, _) = spoken(&[(10, b"notes"), (50, b".txt")], false).await;
        assert_eq!(face, bare(b"notes.txt"), "in pieces");
        let (face, took) = spoken(&[(0, b"notes.txt\r\n")], false).await;
        assert_eq!((face, took), (bare(b"notes.txt"), Duration::ZERO), "a newline ends it at once");
        let (face, took) = spoken(&[(0, b"notes.txt")], true).await;
        assert_eq!((face, took), (bare(b"notes.txt"), Duration::ZERO), "so does the end");
        let (face, took) = spoken(&[(0, b"there")], false).await;
        assert_eq!(
            (face, took),
            (bare(b"there"), limits::KNOWN_NAME_PAUSE),
            "what is there is not long waited for"
        );
        let (face, _) = spoken(&[(0, b"there"), (4, b"fore")], false).await;
        assert_eq!(face, bare(b"therefore"));
        let (face, took) = spoken(&[(400_000, b"late")], false).await;
        assert_eq!((face, took), (None, limits::SILENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn http_may_come_in_any_pieces() {
        let head = b"GET /share/file HTTP/1.1\r\n";
        for cut in 1..head.len() {
            let (face, _) = spoken(&[(0, &head[..cut]), (5_000, &head[cut..])], false).await;
            assert_eq!(face, Some(Face::Http), "cut at {cut}");
        }
        let (face, took) = spoken(&[(0, b"GET")], false).await;
        assert_eq!((face, took), (bare(b"GET"), limits::REQUEST_HEAD), "what never becomes HTTP is a name");
        let drip: Vec<(u64, &[u8])> = b"GET".iter().map(|b| (90, std::slice::from_ref(b))).collect();
        assert_eq!(spoken(&drip, true).await.0, bare(b"GET"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_request_is_not_waited_for() {
        assert_eq!(spoken(&[(0, b"\x16\x03\x01\x02")], false).await, (Some(Face::Tls), Duration::ZERO));
        assert_eq!(spoken(&[(0, &[b'x'; 5000])], false).await, (None, Duration::ZERO));
        assert_eq!(spoken(&[], true).await, (None, Duration::ZERO));
        // A name that drips for ever ends at the deadline.
        let drip: Vec<(u64, &[u8])> = (0..1000).map(|_| (90, &b"x"[..])).collect();
        let (face, took) = spoken(&drip, false).await;
        assert!(
            matches!(face, Some(Face::Bare(_))) && took <= limits::REQUEST_HEAD + limits::NAME_PAUSE,
            "{took:?}"
        );
    }
}
