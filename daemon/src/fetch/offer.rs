//! What a complete file hashes to, for those who seek it by that: where a share has it, this box can help others at once,
//! without reading it again. The hub has it kept with the word that the download is done; `task` asks for it.

use super::Engine;
use super::content::Content;
use crate::files::{OpenFile, Share};
use crate::hub::content::file_key;
use crate::hub::orders::ManifestRow;
use netkit_proto::files::manifest::BlockHash;
use std::sync::Arc;

/// What is noted of a file that has just got its name; `None` where no share has it. Blocks.
pub(super) fn of(
    engine: &Engine,
    file: OpenFile,
    content: &Content,
    root: BlockHash,
) -> Option<Box<ManifestRow>> {
    let file = file.renamed().inspect_err(|error| tracing::debug!(%error, "not noted")).ok()?;
    let path = file.place();
    let shares = Arc::clone(&engine.shares.borrow());
    let has_it = |share: &Arc<Share>| share.prefix().is_some_and(|prefix| path.starts_with(&prefix));
    if !shares.iter().any(has_it) {
        return None;
    }
    let blocks = content.values();
    Some(Box::new(ManifestRow { file: file_key(&file.stamp), path, root, blocks }))
}
