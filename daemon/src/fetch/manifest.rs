//! Reads the manifest of a file while its blocks come: what is there of it is shared with the writer, which compares
//! them. Its blocks' values combine to the hash that it ends with, or it is of no use.

use super::content::SharedManifest;
use super::net;
use super::source::{Body, Opened};
use super::writer::Work;
use crate::hub::orders::Failed;
use crate::limits;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::rpc::code::Kind;
use tokio::sync::mpsc;

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
    loop {
        let piece = tokio::time::timeout(limits::FETCH_STALLED, opened.body.next()).await;
        let Some(bytes) = piece.map_err(|_| stalled(whom))?? else { break };
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
    Failed::passing(Kind::Timeout, format_args!("{whom} told nothing of the file's blocks for {seconds} s"))
}
