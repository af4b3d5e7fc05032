//! One thread a download that writes and hashes what its connections bring, so that neither keeps them from reading on.
//! Where blocks are compared with a manifest it says who gave wrong ones, at once or when the right bytes show it, and
//! has those fetched again.

use super::agenda::Agenda;
use super::content::{Content, Settled};
use super::sources::{SourceId, Sources};
use super::suspects::Suspects;
use crate::files::{PartFile, Syncer};
use crate::hub::orders::Failed;
use crate::limits;
use bytes::Bytes;
use netkit_proto::rpc::code::Kind;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What there is to do for the writer.
#[derive(Debug)]
pub(super) enum Work {
    /// Bytes, where they belong, and who gave them.
    Piece { from: SourceId, offset: u64, bytes: Bytes },
    /// More of the manifest is there.
    Compare,
}

/// Whom the writer tells what it finds.
#[derive(Clone, Debug)]
pub(super) struct Audience {
    pub agenda: Arc<Agenda>,
    pub sources: Arc<Sources>,
}

impl Audience {
    fn tell(&self, content: &mut Content, suspects: &mut Suspects) -> io::Result<()> {
        for Settled { block, givers, is_right } in content.take_settled() {
            if is_right {
                givers.iter().for_each(|&(giver, bytes)| self.sources.credit(giver, bytes));
                if suspects.has(block) {
                    let wrong = suspects.resolve(block, &content.bytes_of(block)?);
                    wrong.into_iter().for_each(|giver| self.bar(giver, block));
                }
                continue;
            }
            let range = content.range(block);
            match givers[..] {
                [] => {} // it was there before
                [(giver, bytes)] if bytes == range.end - range.start => self.bar(giver, block),
                _ => suspects.add(block, &givers, &content.bytes_of(block)?),
            }
            self.agenda.refetch(range);
        }
        if content.is_proved() {
            self.agenda.finish();
        }
        Ok(())
    }

    fn bar(&self, giver: SourceId, block: u64) {
        self.sources.bar(giver, wrong_block(&self.sources.name(giver), block));
    }
}

fn wrong_block(whom: &str, block: u64) -> Failed {
    let why = format!("{whom} gave a block (number {block}) that is not what its hash says");
    Failed::passing(Kind::Corrupt, why)
        .hint("its disk or memory may be damaged; what was right is kept, and the rest is asked for again")
}

/// What the thread gives back at its end.
pub(super) type Written = (Content, io::Result<()>);

/// Starts the thread. It ends when all senders are gone, or with the first error.
///
/// # Errors
/// Where the system gives no thread.
pub(super) fn start(
    mut content: Content,
    audience: Audience,
    room: impl Fn(&PartFile, u64) -> io::Result<()> + Send + 'static,
) -> io::Result<(mpsc::Sender<Work>, oneshot::Receiver<Written>)> {
    let (pieces, mut queue) = mpsc::channel::<Work>(limits::FETCH_PIECES);
    let (written, end) = oneshot::channel();
    std::thread::Builder::new().name("fetch-writer".into()).spawn(move || {
        let mut suspects = Suspects::default();
        let mut syncer = Syncer::of(Arc::clone(content.file().file()));
        let mut result = audience.tell(&mut content, &mut suspects); // nothing may be missing
        while result.is_ok()
            && let Some(work) = queue.blocking_recv()
        {
            match work {
                Work::Piece { from, offset, bytes } => {
                    let is_written = content.write(offset, &bytes, from, &room);
                    result = is_written.and_then(|()| syncer.wrote(bytes.len()));
                }
                Work::Compare => content.compare(),
            }
            result = result.and_then(|()| audience.tell(&mut content, &mut suspects));
        }
        drop(queue); // connections notice
        let synced = syncer.finish();
        if synced.is_err() || result.as_ref().is_err_and(|error| !is_full(error)) {
            content.distrust();
        }
        result = synced.and(result); // what the disk says is the cause of what the writer says of it
        let _ = written.send((content, result)); // a download that was given up needs it no more
    })?;
    Ok((pieces, end))
}

/// There was no room for what was to be written: what was written before is there all the same.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
