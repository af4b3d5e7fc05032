//! A server of files that does as a test says, by HTTP/1.1 or as the tutorial's (1,024 bytes at a time to whoever
//! sends a name). It keeps a record of what it was asked for. A thread a connection; all end with it.

use super::reply::{End, Reply};
use super::{DEADLINE, eventually};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Instant;

/// What a client asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Counts from 0.
    pub number: usize,
    /// How many are being answered, with this one.
    pub at_once: usize,
    pub method: String,
    /// Or the bare name, as it came.
    pub path: String,
    pub range: Option<String>,
    pub if_range: Option<String>,
    sent: Arc<AtomicU64>,
}

impl Request {
    /// Bytes of the body that went out.
    pub fn sent(&self) -> usize {
        self.sent.load(SeqCst) as usize
    }

    /// The first byte wanted, and the last, where it is told.
    pub fn wanted(&self) -> Option<(usize, Option<usize>)> {
        let (from, to) = self.range.as_ref()?.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()))
    }

    /// The first byte wanted: 0 without a range.
    pub fn start(&self) -> usize {
        self.wanted().map_or(0, |(from, _)| from)
    }
}

/// Reads a request; `None` at the end of the connection.
fn read_head(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&len| len > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut request = Request { method: words.next()?, path: words.next()?, ..Request::default() };
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|&len| len > 0)?;
        let Some((name, value)) = line.split_once(':') else { return Some(request) };
        match &*name.to_ascii_lowercase() {
            "range" => request.range = Some(value.trim().to_owned()),
            "if-range" => request.if_range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
}

/// Decides what each request gets.
type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// What the connections share.
pub struct Shared {
    script: Box<Script>,
    is_bare: bool,
    requests: Mutex<Vec<Request>>,
    open: AtomicUsize,
    sent: AtomicU64,
    hurried: AtomicBool,
    gate: Mutex<Gate>,
    changed: Condvar,
    connections: Mutex<Vec<Weak<TcpStream>>>,
}

#[derive(Default)]
struct Gate {
    is_open: bool,
    has_ended: bool,
}

impl Shared {
    /// Waits for [`Source::go_on`]; false: the server ends.
    pub(super) fn wait_to_go_on(&self) -> bool {
        let gate = self.gate.lock().unwrap();
        let gate = self.changed.wait_while(gate, |gate| !gate.is_open && !gate.has_ended).unwrap();
        !gate.has_ended
    }

    /// Waits for a moment, or the server's end.
    pub(super) fn wait_until(&self, due: Instant) {
        let gate = self.gate.lock().unwrap();
        let left = due.saturating_duration_since(Instant::now());
        drop(self.changed.wait_timeout_while(gate, left, |gate| !gate.has_ended && !self.is_hurried()));
    }

    pub(super) fn is_hurried(&self) -> bool {
        self.hurried.load(SeqCst)
    }

    pub(super) fn count(&self, request: &Request, len: usize) {
        request.sent.fetch_add(len as u64, SeqCst);
        self.sent.fetch_add(len as u64, SeqCst);
    }

    /// Serves a connection until it ends.
    fn serve(&self, stream: &TcpStream) -> Option<End> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut request = if self.is_bare {
                let mut name = [0; 1024];
                let len = reader.read(&mut name).ok().filter(|&len| len > 0)?;
                Request { path: String::from_utf8_lossy(&name[..len]).into_owned(), ..Request::default() }
            } else {
                read_head(&mut reader)?
            };
            request.at_once = self.open.fetch_add(1, SeqCst) + 1;
            {
                let mut requests = self.requests.lock().unwrap();
                request.number = requests.len();
                requests.push(request.clone());
            }
            let end = self.answer(stream, &request);
            self.open.fetch_sub(1, SeqCst);
            if let Some(end) = end {
                return Some(end);
            }
        }
    }

    fn answer(&self, mut stream: &TcpStream, request: &Request) -> Option<End> {
        let reply = (self.script)(request);
        if self.is_bare {
            return Some(reply.pieces(1024).send(stream, self, request).unwrap_or(End::Clean));
        }
        if stream.write_all(reply.head().as_bytes()).is_err() {
            return Some(End::Clean);
        }
        if request.method == "HEAD" { None } else { reply.send(stream, self, request) }
    }
}

/// The server.
pub struct Source {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Source {
    /// By HTTP.
    pub fn http(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Source {
        Source::start(false, Box::new(script))
    }

    /// As the tutorial's.
    pub fn bare(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Source {
        Source::start(true, Box::new(script))
    }

    fn start(is_bare: bool, script: Box<Script>) -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            is_bare,
            requests: Mutex::default(),
            open: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            hurried: AtomicBool::new(false),
            gate: Mutex::default(),
            changed: Condvar::new(),
            connections: Mutex::default(),
        });
        let theirs = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (stream, shared) = (Arc::new(stream), theirs.clone());
                let mut connections = shared.connections.lock().unwrap();
                if shared.gate.lock().unwrap().has_ended {
                    return;
                }
                connections.retain(|connection| connection.strong_count() > 0);
                connections.push(Arc::downgrade(&stream));
                drop(connections);
                // What was sent is there soon: little waits in the kernel.
                let _ = socket2::SockRef::from(&*stream).set_send_buffer_size(64 << 10);
                let _ = (stream.set_nodelay(true), stream.set_write_timeout(Some(DEADLINE)));
                std::thread::spawn(move || {
                    if shared.serve(&stream) == Some(End::Reset) {
                        let zero = Some(std::time::Duration::ZERO);
                        let _ = socket2::SockRef::from(&*stream).set_linger(zero);
                    }
                });
            }
        });
        Source { address, shared }
    }

    /// The source of a file of this name.
    pub fn url(&self, name: &str) -> String {
        let scheme = if self.shared.is_bare { "tcp" } else { "http" };
        format!("{scheme}://{}/{name}", self.address)
    }

    /// What it was asked for so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Those requests that wanted a body.
    pub fn gets(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.method != "HEAD").collect()
    }

    /// Bytes of bodies that went out in all.
    pub fn sent(&self) -> usize {
        self.shared.sent.load(SeqCst) as usize
    }

    /// Waits until so many bytes went out.
    #[track_caller]
    pub fn wait_sent(&self, len: usize) {
        eventually(&format!("{len} bytes are sent"), || (self.sent() >= len).then_some(()));
    }

    /// Waits until it was asked so often.
    #[track_caller]
    pub fn wait_requests(&self, count: usize) {
        eventually(&format!("{count} requests"), || (self.requests().len() >= count).then_some(()));
    }

    /// Ends all stalls, those to come, too.
    pub fn go_on(&self) {
        self.shared.gate.lock().unwrap().is_open = true;
        self.shared.changed.notify_all();
    }

    /// From now on no rate is kept to.
    pub fn hurry(&self) {
        self.shared.hurried.store(true, SeqCst);
        self.shared.changed.notify_all();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.gate.lock().unwrap().has_ended = true;
        self.shared.changed.notify_all();
        for connection in self.shared.connections.lock().unwrap().iter().filter_map(Weak::upgrade) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.address); // wakes the listener
    }
}
