//! What can be had at all of one TLS connection: a thread that reads a file and encrypts it, one that decrypts what comes,
//! one that hashes and writes it as netkitd does (its space claimed, and synced by one more), with nothing else around
//! them. Started by `peer`.

use anyhow::{Context as _, Result, ensure};
use netkit_daemon::files::Syncer;
use netkit_daemon::identity::{Identity, tls};
use netkit_daemon::limits;
use rustix::fs::{FallocateFlags, fallocate, syncfs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

const ALPN: &[u8] = b"loop";
/// What one turn of each thread works on: it stays in the cache of a core.
const PIECE: usize = limits::FETCH_WRITE;
/// Pieces under way between two threads.
const AHEAD: usize = 8;

/// Its serving side, for any number of rounds.
pub(super) struct BareLoop {
    address: SocketAddr,
    client: Arc<ClientConfig>,
}

impl BareLoop {
    /// Serves a file until the bench ends.
    pub(super) fn start(file: PathBuf) -> Result<BareLoop> {
        let state = tempfile::tempdir()?;
        let identity = Identity::load_or_create(state.path(), None)?;
        let mut server = tls::server_config(&identity, ALPN)?;
        server.max_early_data_size = 0;
        let (server, client) = (Arc::new(server), Arc::new(tls::client_config(&identity, ALPN)?));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A round that fails is told by the other side.
                let _ = serve(stream, &server, &file);
            }
        });
        Ok(BareLoop { address, client })
    }

    /// A round: gigabytes a second until the file is synced.
    pub(super) fn round(&self, file: &Path, size: u64) -> Result<[f64; 1]> {
        let start = Instant::now();
        let name = ServerName::try_from("loop").context("no name")?;
        let tls = ClientConnection::new(Arc::clone(&self.client), name)?;
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        let mut stream = StreamOwned::new(tls, stream);
        stream.write_all(b"?")?;
        let (full, pieces) = sync_channel::<Vec<u8>>(AHEAD);
        let (empty, spare) = sync_channel::<Vec<u8>>(2 * AHEAD);
        let target = file.to_owned();
        let writer = thread::spawn(move || -> Result<u64> {
            let mut out = Output::new(&target, size)?;
            let mut hasher = blake3::Hasher::new();
            for piece in pieces {
                hasher.update(&piece);
                out.write(&piece)?;
                let _ = empty.try_send(piece); // there are enough of them
            }
            std::hint::black_box(hasher.finalize());
            out.finish()
        });
        let mut left = size;
        while left > 0 {
            let mut piece = spare.try_recv().unwrap_or_default();
            piece.resize(usize::try_from(left).unwrap_or(PIECE).min(PIECE), 0);
            stream.read_exact(&mut piece)?;
            left -= piece.len() as u64;
            ensure!(full.send(piece).is_ok(), "the writer ended");
        }
        drop(full);
        let written = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        ensure!(written == size, "{written} of {size} bytes came");
        finished(start, file, size)
    }
}

/// A round without a source: gigabytes a second of a file that is written as the loop writes, and synced. No download is
/// faster than that.
pub(super) fn written(file: &Path, size: u64) -> Result<[f64; 1]> {
    let start = Instant::now();
    let mut out = Output::new(file, size)?;
    let piece = vec![b'n'; PIECE];
    while out.written < size {
        out.write(&piece[..usize::try_from(size - out.written).unwrap_or(PIECE).min(PIECE)])?;
    }
    out.finish()?;
    finished(start, file, size)
}

/// The rate of what began then. The file goes, and what is still to be written is written.
fn finished(start: Instant, file: &Path, size: u64) -> Result<[f64; 1]> {
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_file(file)?;
    syncfs(File::open(file.parent().context("no directory")?)?)?;
    Ok([size as f64 / 1e9 / seconds])
}

/// A file that is written as netkitd does: its space claimed, and synced by another thread meanwhile.
struct Output {
    file: Arc<File>,
    syncer: Syncer,
    written: u64,
}

impl Output {
    fn new(path: &Path, size: u64) -> Result<Output> {
        let file = Arc::new(File::create(path)?);
        fallocate(&file, FallocateFlags::KEEP_SIZE, 0, size)?;
        Ok(Output { syncer: Syncer::of(Arc::clone(&file)), file, written: 0 })
    }

    fn write(&mut self, piece: &[u8]) -> Result<()> {
        (&*self.file).write_all(piece)?;
        self.written += piece.len() as u64;
        Ok(self.syncer.wrote(piece.len())?)
    }

    /// How many bytes were written; they are on the disk.
    fn finish(self) -> Result<u64> {
        self.syncer.finish()?;
        self.file.sync_all()?;
        Ok(self.written)
    }
}

fn serve(stream: TcpStream, config: &Arc<ServerConfig>, file: &Path) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config))?, stream);
    stream.conn.set_buffer_limit(Some(PIECE));
    let mut file = File::open(file)?;
    stream.read_exact(&mut [0])?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            len => stream.write_all(&piece[..len])?,
        }
    }
}
