//! What the hub and the file port tell each other of content: the file port hashes what is shared and has that kept, the
//! hub passes on what peers ask for by its hash.

use super::Hub;
use super::commit::Then;
use super::handle::Reply;
use super::links::{LinkId, LinkOrder};
use crate::files::Stamp;
use crate::store::{FileKey, ManifestRow, Op, StoreError};
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

impl Hub {
    pub(super) fn on_content(&mut self, report: ContentReport) -> Result<(), StoreError> {
        match report {
            ContentReport::Hashed(row, reply) => self.submit_one(Op::ManifestKeep(row), Then::Kept(reply)),
            ContentReport::Has(Sought { link, hash, .. }, has) => {
                self.peers.orders.push_back(LinkOrder::Has(link, hash, has));
                Ok(())
            }
        }
    }

    /// Gives the file port what peers seek. Where that is too much nothing is found: they have other ways.
    pub(super) fn pass_on_sought(&mut self) {
        while let Some(sought) = self.peers.sought.pop_front() {
            if self.sought.try_send(sought).is_err() {
                self.peers.orders.push_back(LinkOrder::Has(sought.link, sought.hash, false));
            }
        }
    }
}
