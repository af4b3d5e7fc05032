//! The small files of a directory, which come in one stream: one side reads it from the peer, a thread takes the files out
//! of it, and each is noted when it is written.

use super::super::source::Body;
use super::super::{disk, limit::Taker, net, pace::Pace};
use super::archive::{self, Archive};
use super::listing::Entry;
use crate::fetch::task::{Break, Task};
use crate::files::{Attributes, Stage};
use crate::hub::orders::{Failed, StagedFile};
use crate::limits;
use bytes::Bytes;
use netkit_proto::path::SafePath;
use netkit_proto::rpc::code::Kind;
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Reads what comes over a channel; its end is the stream's.
struct Pieces {
    queue: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.queue.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

/// What is to come of a stream.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Those that are missing.
    pub files: HashMap<SafePath, Entry>,
    /// Bytes of all that may come beside them, as far as they were told of.
    pub most: u64,
}

/// Why no more files come out of a stream.
#[derive(Debug)]
pub(super) enum Unpacked {
    /// It came to its end.
    End,
    /// It was cut off; whoever reads it knows why.
    Cut,
    Failed(Failed),
}

const MEANS_ILL: &str = "its netkitd may be damaged, or mean ill";

/// Takes the wanted files out of what comes, and tells of each that is written.
pub(super) fn unpack(
    task: &Task,
    queue: mpsc::Receiver<Bytes>,
    stage: &Stage,
    Wanted { files: mut wanted, most }: Wanted,
    files: &mpsc::Sender<StagedFile>,
) -> Unpacked {
    let mut archive = Archive::new(Pieces { queue, piece: Bytes::new() }, limits::FETCH_SMALL);
    let mut left = most.saturating_add(limits::FETCH_TREE_MORE);
    while !wanted.is_empty() {
        let member = match archive.next() {
            Ok(Some(member)) => member,
            Ok(None) => return Unpacked::End,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Unpacked::Cut,
            Err(error) => {
                let why = format!("what {} sends of the directory is wrong: {error}", task.whom());
                let failed = Failed::passing(Kind::Corrupt, why);
                return Unpacked::Failed(failed.hint(MEANS_ILL));
            }
        };
        // What was not told of before, in this size and once, is not made; it may have come to the directory meanwhile.
        let size = member.content.len() as u64;
        let Some(entry) = wanted.remove(&member.path).filter(|entry| entry.size == size) else {
            let Some(rest) = left.checked_sub(size + archive::BLOCK as u64) else {
                let why = format!("{} sends far more files than the directory has", task.whom());
                return Unpacked::Failed(Failed::passing(Kind::Corrupt, why).hint(MEANS_ILL));
            };
            left = rest;
            continue;
        };
        let attributes = Attributes { modified: entry.modified, is_executable: entry.is_executable };
        if let Err(error) = stage.write(&member.path, &member.content, attributes) {
            return Unpacked::Failed(disk::failed(&task.path, &error));
        }
        let file = StagedFile { path: member.path, size, modified: entry.modified, hash: member.hash };
        if files.blocking_send(file).is_err() {
            return Unpacked::Cut;
        }
    }
    Unpacked::End
}

/// Hands on what a peer sends, within the limits and as long as it sends enough, until nothing more is wanted.
pub(super) async fn pump<B: Body>(
    task: &Task,
    mut body: B,
    pieces: mpsc::Sender<Bytes>,
) -> Result<(), Failed> {
    let mut last = Instant::now();
    let mut pace = Pace::new(last);
    let mut taker = Taker::new(&task.limits);
    loop {
        let limited = taker.ready().await;
        pace.on_held(last.elapsed(), limited);
        let piece = tokio::select! {
            biased; // what is there is read to its end, after which the connection can be used again
            piece = tokio::time::timeout_at(pace.deadline(), body.next()) => piece,
            () = pieces.closed() => return Ok(()),
        };
        let piece = piece.map_err(|_| {
            let (whom, seconds) = (task.whom(), limits::FETCH_STALLED.as_secs());
            Failed::passing(Kind::Timeout, format_args!("{whom} sent next to nothing for {seconds} s"))
        })?;
        let Some(bytes) = piece? else { return Ok(()) };
        last = Instant::now();
        pace.on_bytes(last, bytes.len());
        taker.took(bytes.len());
        if pieces.send(bytes).await.is_err() {
            return Ok(()); // who takes the files out tells why
        }
    }
}

/// Has the small files come; tells of each that is there, and of no more when this ends.
pub(super) async fn fetch<B: Body>(
    task: &Arc<Task>,
    body: B,
    stage: &Arc<Stage>,
    wanted: Wanted,
    told: mpsc::Sender<StagedFile>,
) -> Result<(), Break> {
    let (pieces, queue) = mpsc::channel(limits::FETCH_PIECES);
    let stage = Arc::clone(stage);
    let unpacking = task.blocking(move |task| Ok(unpack(task, queue, &stage, wanted, &told)));
    let both = async { tokio::join!(pump(task, body, pieces), unpacking) };
    let (pumped, unpacked) = tokio::select! {
        both = both => both,
        () = task.stop.cancelled() => return Err(Break::Stopped),
    };
    match (unpacked?, pumped) {
        (Unpacked::Failed(failed), _) | (_, Err(failed)) => Err(failed.into()),
        (Unpacked::Cut, Ok(())) => Err(net::short(&task.whom()).into()),
        (Unpacked::End, Ok(())) => Ok(()),
    }
}
