//! Reads the manifest of a file while its blocks come: what is there of it is shared with the writer, which compares
//! them. Its blocks' values combine to the hash that it ends with, or it is of no use.

use super::content::SharedManifest;
use super::net;
use super::pace::Pace;
use super::source::{Body, Opened};
use super::writer::Work;
use crate::hub::orders::Failed;
use crate::limits;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::rpc::code::Kind;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What a manifest must be of.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The file's size.
    pub size: Option<u64>,
    /// What the source said of the file.
    pub validator: Option<String>,
    /// The hash that the file must have, where that is known.
    pub root: Option<BlockHash>,
    /// How the source is called in messages.
    pub whom: String,
}

/// Reads it to its end.
///
/// # Errors
/// Where it does not come, is of another file, or is none.
pub(super) async fn read<B: Body>(
    mut opened: Opened<B>,
    expected: Expected,
    manifest: SharedManifest,
    writer: mpsc::Sender<Work>,
) -> Result<(), Failed> {
    let whom = &expected.whom;
    if opened.about.validator != expected.validator {
        return Err(changed(whom));
    }
    let mut last = Instant::now();
    let mut pace = Pace::of(last, limits::FETCH_VALUES);
    loop {
        pace.on_held(last.elapsed(), false);
        let piece = tokio::time::timeout_at(pace.deadline(), opened.body.next()).await;
        let Some(bytes) = piece.map_err(|_| stalled(whom))?? else { break };
        last = Instant::now();
        pace.on_bytes(last, bytes.len());
        let (size, root) = {
            let mut manifest = manifest.lock();
            manifest.update(&bytes).map_err(|why| {
                Failed::passing(Kind::Corrupt, format_args!("what {whom} says of the file is wrong: {why}"))
            })?;
            (manifest.size(), manifest.root())
        };
        if size.is_some() && size != expected.size {
            return Err(changed(whom));
        }
        if let (Some(found), Some(wanted)) = (root, expected.root)
            && found != wanted
        {
            let why = format!("the file at {whom} is not what the checksum names");
            return Err(Failed::new(Kind::Checksum, why)
                .hint("it is another file, or damaged; compare the checksum with its publisher's"));
        }
        if writer.send(Work::Compare).await.is_err() {
            return Ok(()); // it failed, which is told elsewhere
        }
    }
    if manifest.lock().root().is_some() { Ok(()) } else { Err(net::short(whom)) }
}

fn changed(whom: &str) -> Failed {
    Failed::passing(Kind::Changed, format_args!("the file at {whom} was replaced meanwhile"))
}

fn stalled(whom: &str) -> Failed {
    let seconds = limits::FETCH_STALLED.as_secs();
    Failed::passing(
        Kind::Timeout,
        format_args!("{whom} told next to nothing of the file's blocks for {seconds} s"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::source::About;
    use crate::fetch::tests::Drops;
    use netkit_proto::files::manifest::{BLOCK, BlockHasher, encoded_head};
    use std::time::Duration;

    /// How a manifest of three blocks ends that comes in such pieces, with so long before each.
    async fn read_of(piece: usize, pause: u64) -> Result<(), Kind> {
        let mut bytes = encoded_head(3 * BLOCK).to_vec();
        for block in 0..3 {
            let mut hasher = BlockHasher::new(block);
            hasher.update(&[7; BLOCK as usize]);
            bytes.extend(hasher.finish(false));
        }
        bytes.extend(blake3::hash(&vec![7; 3 * BLOCK as usize]).as_bytes());
        let body = Drops::new(&bytes, piece, Duration::from_secs(pause));
        let about = About { size: Some(3 * BLOCK), validator: None, gives_parts: true };
        let opened = Opened { about, is_part: false, end: None, body };
        let whom = "bob".to_owned();
        let expected = Expected { size: Some(3 * BLOCK), validator: None, root: None, whom };
        let (writer, mut work) = mpsc::channel(1);
        let compare = async { while work.recv().await.is_some() {} };
        let read = read(opened, expected, SharedManifest::default(), writer);
        let (read, ()) = tokio::join!(read, compare);
        read.map_err(|failed| failed.failure.kind)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_disk_is_waited_for_and_a_trickle_is_not() {
        assert_eq!(read_of(32, 29).await, Ok(()), "a block in half a minute");
        assert_eq!(read_of(1, 29).await, Err(Kind::Timeout));
        assert_eq!(read_of(1, 1).await, Err(Kind::Timeout));
        assert_eq!(read_of(32, 31).await, Err(Kind::Timeout));
    }
}
