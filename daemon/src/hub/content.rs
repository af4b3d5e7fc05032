//! What the hub and the file port tell each other of content: the file port hashes what is shared and has that kept, the
//! hub passes on what peers ask for by its hash.

use super::handle::Reply;
use super::links::LinkId;
use crate::files::Stamp;
use crate::store::{FileKey, ManifestRow};
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::ids::PeerId;

/// A peer asks who has this content. Ends with [`ContentReport::Has`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    /// Where the answer goes.
    pub link: LinkId,
    /// Who asks: it hears of nothing that it may not see.
    pub peer: PeerId,
    /// The content's hash.
    pub hash: BlockHash,
}

/// What the file port tells.
#[derive(Debug)]
pub enum ContentReport {
    /// A shared file was hashed; answered when that is kept.
    Hashed(Box<ManifestRow>, Reply<()>),
    /// Whether what was sought is there.
    Has(Sought, bool),
}

/// A file as the store names it. Times that it can't hold are the last it can.
#[must_use]
pub fn file_key(stamp: &Stamp) -> FileKey {
    let time = |nanoseconds: i128| i64::try_from(nanoseconds).unwrap_or(i64::MAX);
    FileKey {
        device: stamp.device,
        inode: stamp.inode,
        size: stamp.size,
        modified: time(stamp.modified),
        changed: time(stamp.changed),
    }
}
