//! What the engine needs of a source: to be asked for bytes and to give them. Each kind of source is a file beside
//! this one.

use crate::hub::orders::{Failed, Way};
use bytes::Bytes;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::ids::PeerId;
use std::ops::Range;

/// A kind of source.
pub(super) trait Source: Send + Sync + 'static {
    /// The bytes of an answer.
    type Body: Body;

    /// Which peer it is, where it is one.
    fn peer(&self) -> Option<PeerId> {
        None
    }

    /// Asks for bytes.
    ///
    /// # Errors
    /// Why there are none.
    fn open(&self, ask: Ask) -> impl Future<Output = Result<Opened<Self::Body>, Failed>> + Send;

    /// Another peer that has the file with this hash; `None` where this kind of source knows of none.
    fn helper(&self, way: Way, root: BlockHash) -> Option<Self>
    where
        Self: Sized,
    {
        let _ = (way, root);
        None
    }

    /// Whether nothing of this kind of source counts without a manifest.
    fn is_checked(&self) -> bool {
        false
    }

    /// Asks for the file's manifest; `None` where this kind of source has none.
    ///
    /// # Errors
    /// Why it can't be had.
    fn manifest(&self) -> impl Future<Output = Result<Option<Opened<Self::Body>>, Failed>> + Send {
        std::future::ready(Ok(None))
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The whole file.
    Whole,
    /// A part of it, if it is still the same.
    Part {
        /// Which bytes.
        range: Range<u64>,
        /// The size of the whole.
        size: u64,
        /// What the source said of it; none where it is asked for by its hash.
        validator: Option<String>,
    },
}

/// An answer.
#[derive(Debug)]
pub(super) struct Opened<B> {
    /// What the source says of the file.
    pub about: About,
    /// The part that was asked for; else the whole file comes, because it is another one or the source gives no parts.
    pub is_part: bool,
    /// Where the bytes of a part end: a source may give fewer than it was asked for (RFC 9110, section 15.3.7).
    pub end: Option<u64>,
    /// The bytes.
    pub body: B,
}

/// What a source says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    /// Its size.
    pub size: Option<u64>,
    /// What tells this content from another, byte by byte.
    pub validator: Option<String>,
    /// Whether it gives parts.
    pub gives_parts: bool,
}

/// Bytes that come piece by piece.
pub(super) trait Body: Send + 'static {
    /// The next piece; `None` where the answer is complete, as far as the source can tell.
    ///
    /// # Errors
    /// Why no more come.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Failed>> + Send;
}
