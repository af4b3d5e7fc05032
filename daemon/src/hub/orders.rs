//! What the hub and the download engine tell each other: the hub orders, the engine reports. Neither names the other.

pub use crate::store::{BlockRow, ManifestRow, PartNote, PartRow, StageRow, StagedFile};

use super::handle::Reply;
use crate::files::{Naming, Target};
use netkit_proto::files::checksum::Checksum;
use netkit_proto::files::listing::Listing;
use netkit_proto::files::manifest::BlockHash;
use netkit_proto::files::source::Source;
use netkit_proto::ids::PeerId;
use netkit_proto::path::SafePath;
use netkit_proto::rpc::call::{DownloadSource, Failure};
use netkit_proto::rpc::code::{Error, Kind};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// What the engine is to do.
#[derive(Debug)]
pub enum Order {
    /// Fetch a file; ends with [`Report::Ended`].
    Start(Box<Start>),
    /// Delete what came of a download that does not run; ends with [`Report::Discarded`].
    Discard(u64, Target),
    /// Ask a peer what is in a directory.
    List(Box<ListPeer>),
}

/// What a peer is asked to list.
#[derive(Debug)]
pub struct ListPeer {
    /// The way to it.
    pub way: Way,
    /// The share and the path in that; the shares themselves.
    pub path: SafePath,
    /// It is linked now: where it is not, it is away if it can't be reached.
    pub is_linked: bool,
    /// Who waits for it.
    pub reply: Reply<Listing>,
}

/// A download that has its turn.
#[derive(Debug)]
pub struct Start {
    /// Its id.
    pub id: u64,
    /// Where it comes from.
    pub source: Source,
    /// Of a peer: the way to it.
    pub way: Option<Result<Way, Failed>>,
    /// Where it goes.
    pub target: Target,
    /// Which names it may get.
    pub naming: Naming,
    /// What its content must hash to.
    pub checksum: Option<Checksum>,
    /// What its part file held when that was noted last.
    pub part: Option<(PartRow, Vec<BlockRow>)>,
    /// Of a directory: where it was staged, and the files that were there.
    pub stage: Option<(StageRow, Vec<StagedFile>)>,
    /// Who its bytes came from before.
    pub sources: Vec<DownloadSource>,
    /// What holds for it at present.
    pub control: watch::Receiver<Control>,
}

/// The way to a peer's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Who must be there.
    pub id: PeerId,
    /// What it is called here.
    pub label: String,
    /// Where its file port may be, the likeliest first.
    pub addresses: Vec<SocketAddr>,
}

/// What holds for a running download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// It is to stop; what came of it is kept.
    pub stop: bool,
    /// The most bytes a second; 0 = no limit of its own.
    pub limit: u64,
}

/// What the engine tells.
#[derive(Debug)]
pub enum Report {
    /// How far a download is, and what to note of its part file.
    Progress(u64, Progress, Option<PartNote>),
    /// Who its bytes came from so far.
    Sources(u64, Vec<DownloadSource>),
    /// Who else has the file of this hash is to be found: each that has is sent there, and at most so many as that holds.
    Seek(u64, BlockHash, mpsc::Sender<Way>),
    /// What came of a download is of no use; the bytes that are lost and why.
    Restarted(u64, u64, String),
    /// All bytes are there, in this part file where it is one. Once that is committed it is checked and gets its name.
    Complete(u64, Option<PartRow>, oneshot::Sender<()>),
    /// Of a directory: where it is staged, and files that came to be there.
    Stage(u64, StageRow, Vec<StagedFile>),
    /// Of a directory: the part file that was noted is of no more use.
    Next(u64),
    /// A download came to an end.
    Ended(u64, End),
    /// What came of a download is deleted, or can't be: why.
    Discarded(u64, Result<(), String>),
}

/// How far a download is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The file's size, where the source told it.
    pub size: Option<u64>,
    /// Bytes that are there.
    pub bytes: u64,
    /// Bytes a second at present.
    pub rate: u64,
}

/// How a download ended.
#[derive(Debug)]
pub enum End {
    /// The file is complete.
    Done(Done),
    /// It was told to.
    Stopped,
    /// Why it can't go on.
    Failed(Failed),
}

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The name that it got.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub blake3: BlockHash,
    /// It was checked against a checksum.
    pub verified: bool,
    /// What is to be noted of it, so that it can be had of this box.
    pub manifest: Option<Box<ManifestRow>>,
}

/// Why a download can't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What people and scripts are told.
    pub failure: Failure,
    /// Whether it may go better later.
    pub retry: Retry,
}

/// Whether trying again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same would happen.
    Never,
    /// It may pass.
    Later,
    /// The source says that it passes after this time.
    After(Duration),
    /// The peer has too much to do, which is no fault of the download, and says that it passes after this time.
    Busy(Duration),
    /// The peer is away: it is tried until that is back, however long that takes.
    Away,
    /// The peer was away and is back: nothing is left to be waited for.
    Back,
}

impl Failed {
    /// A failure that stays.
    pub fn new(kind: Kind, message: impl fmt::Display) -> Failed {
        let failure = Failure { kind, message: message.to_string(), hint: None };
        Failed { failure, retry: Retry::Never }
    }

    /// A failure that may pass.
    pub fn passing(kind: Kind, message: impl fmt::Display) -> Failed {
        Failed { retry: Retry::Later, ..Failed::new(kind, message) }
    }

    /// The same for somebody who asked.
    #[must_use]
    pub fn into_error(self) -> Error {
        let Failure { kind, message, hint } = self.failure;
        let kind = if self.retry == Retry::Away { Kind::Away } else { kind };
        let error = Error::new(kind, message);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Failed {
        self.failure.hint = Some(hint.to_string());
        self
    }
}
