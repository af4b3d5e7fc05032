//! A file port as another netkit box has one, and as one that means ill might: what it answers is up to each test.

use crate::identity::{Identity, tls};
use netkit_proto::chat::frame::ALPN;
use netkit_proto::files::manifest::{BLOCK, BlockHasher, encoded_head};
use netkit_proto::ids::PeerId;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub path: String,
    pub range: Option<Range<u64>>,
    pub if_range: Option<String>,
}

impl Request {
    pub(super) fn is_manifest(&self) -> bool {
        self.path.starts_with("/.netkit/v1/manifest/")
    }
}

/// What is done next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// Waits until somebody notifies.
    Wait(Arc<Notify>),
    /// Takes its time.
    Pause(std::time::Duration),
    /// Sends nothing any more.
    Stall,
    /// Sends noise for ever.
    Endless,
    /// Sends what this makes of each number, from 0 on, for ever.
    Count(fn(u64) -> Vec<u8>),
    /// Breaks off without an end.
    Break,
}

/// An answer: its head, then what is done.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub head: String,
    pub steps: Vec<Step>,
}

pub(super) type Behaviour = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// A file port.
pub(super) struct Server {
    pub id: PeerId,
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(super) async fn start(behaviour: Behaviour) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(dir.path(), None).unwrap();
        let id = identity.id();
        let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(&identity, ALPN).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, behaviour) = (acceptor.clone(), Arc::clone(&behaviour));
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = serve(stream, &behaviour, &heard).await; // the client may leave at any time
                    }
                });
            }
        });
        Server { id, address, asked }
    }

    /// What was asked about the file, without its manifest.
    pub(super) fn asked_file(&self) -> Vec<Request> {
        self.asked.lock().unwrap().iter().filter(|request| !request.is_manifest()).cloned().collect()
    }
}

async fn serve(
    mut stream: TlsStream<TcpStream>,
    behaviour: &Behaviour,
    heard: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        while !buffer.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let request = parse(&String::from_utf8(std::mem::take(&mut buffer)).unwrap());
        heard.lock().unwrap().push(request.clone());
        let answer = behaviour(&request);
        stream.write_all(answer.head.as_bytes()).await?;
        for step in answer.steps {
            match step {
                Step::Send(bytes) => {
                    stream.write_all(&bytes).await?;
                    stream.flush().await?;
                }
                Step::Wait(until) => until.notified().await,
                Step::Pause(time) => {
                    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
                }
                Step::Stall => std::future::pending().await,
                Step::Endless => loop {
                    stream.write_all(&[0x5a; 1 << 16]).await?;
                },
                Step::Count(each) => {
                    for number in 0.. {
                        stream.write_all(&each(number)).await?;
                    }
                }
                Step::Break => return Ok(()),
            }
        }
        stream.flush().await?;
    }
}

fn parse(text: &str) -> Request {
    let path = text.split(' ').nth(1).unwrap().to_owned();
    let header = |name: &str| {
        text.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix(name).map(|_| line[name.len()..].to_owned())
        })
    };
    let range = header("range: bytes=").map(|range| {
        let (first, last) = range.split_once('-').unwrap();
        first.parse().unwrap()..last.parse::<u64>().map_or(u64::MAX, |last| last + 1)
    });
    Request { path, range, if_range: header("if-range: ") }
}

/// The whole of some bytes, or the part of them that is asked for.
pub(super) fn file(request: &Request, content: &[u8], etag: &str) -> Answer {
    let size = content.len() as u64;
    let is_same = request.if_range.as_deref().is_none_or(|validator| validator == etag);
    let common = format!("etag: {etag}\r\naccept-ranges: bytes\r\n");
    match request.range.clone().filter(|_| is_same) {
        Some(range) => {
            let range = range.start..range.end.min(size);
            let length = range.end - range.start;
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\n{common}content-range: bytes {}-{}/{size}\r\ncontent-length: {length}\r\n\r\n",
                range.start,
                range.end - 1
            );
            let bytes = content[range.start as usize..range.end as usize].to_vec();
            Answer { head, steps: vec![Step::Send(bytes)] }
        }
        None => Answer {
            head: format!("HTTP/1.1 200 OK\r\n{common}content-length: {size}\r\n\r\n"),
            steps: vec![Step::Send(content.to_vec())],
        },
    }
}

/// A chunk of a body (RFC 9112, section 7.1).
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub(super) fn status(status: &str) -> Answer {
    Answer { head: format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"), steps: Vec::new() }
}

/// The bytes of a manifest.
pub(super) fn manifest_of(content: &[u8]) -> Vec<u8> {
    let mut bytes = encoded_head(content.len() as u64).to_vec();
    if content.len() as u64 > BLOCK {
        for (block, content) in content.chunks(BLOCK as usize).enumerate() {
            let mut hasher = BlockHasher::new(block as u64);
            hasher.update(content);
            bytes.extend(hasher.finish(false));
        }
    }
    bytes.extend(blake3::hash(content).as_bytes());
    bytes
}

/// An answer of these bytes.
pub(super) fn bytes(bytes: Vec<u8>, etag: &str) -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\netag: {etag}\r\ncontent-length: {}\r\n\r\n", bytes.len());
    Answer { head, steps: vec![Step::Send(bytes)] }
}

/// What an honest box does that has one file.
pub(super) fn honest(request: &Request, content: &[u8]) -> Answer {
    if request.is_manifest() { bytes(manifest_of(content), "\"1\"") } else { file(request, content, "\"1\"") }
}
