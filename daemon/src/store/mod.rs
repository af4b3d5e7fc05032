//! What netkitd remembers: the event log, the outbox, keys, conversations and cursors, in one SQLite database.
//!
//! A writer thread ([`Writer`], held by the hub alone) makes jobs durable, many in one transaction; a reader
//! thread ([`Reader`], for whoever answers questions) reads the log. Nobody awaits either: jobs are answered
//! over channels. An event is numbered inside the transaction that commits it and told to nobody before.

mod apply;
mod cursors;
mod downloads;
mod letters;
mod log;
mod manifests;
mod outbox;
mod parts;
mod peers;
mod reader;
mod retention;
mod room;
mod schema;
mod shares;
mod staged;
mod writer;

pub use downloads::DownloadRow;
pub use letters::Letter;
pub use log::LogStats;
pub use manifests::{FileKey, Holder, ManifestRow, Seen};
pub use outbox::Outgoing;
pub use parts::{BlockRow, Held, PartNote, PartRow, StageRow, StagedFile};
pub use peers::{HostRow, LoadedPeers, PeerRow};
pub use reader::{Gap, Page, PageRequest, Reader};
pub use retention::Retention;
pub use shares::ShareRow;
pub use writer::{Completion, JobAnswer, Order, Request, Writer};

use netkit_proto::chat::plain::Encoding;
use netkit_proto::ids::{Epoch, PeerId, Seq};
use netkit_proto::name::{CursorName, Key, PeerName};
use netkit_proto::rpc::call::DownloadSource;
use netkit_proto::rpc::event::Event;
use netkit_proto::time::Timestamp;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Why the store can't do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, or the quota, is full.
    #[error("no space left for the event log")]
    NoSpace,
    /// The database was written by a newer netkitd.
    #[error("the state was written by a newer netkitd; install that version again, or use another state_dir")]
    Newer,
    /// The file is no database, or a damaged one.
    #[error("the database is damaged ({0}); move netkit.db away to start with an empty log")]
    Damaged(String),
    /// A migration failed.
    #[error("can't bring the database up to date: {0}")]
    Migration(String),
    /// A thread of the store could not be started.
    #[error("can't start a thread for the store: {0}")]
    Thread(String),
    /// Anything else that SQLite or the disk says.
    #[error("the database fails: {0}")]
    Failed(String),
    /// The store is gone: netkitd is stopping.
    #[error("netkitd is stopping")]
    Stopped,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        // WAL's index file can't grow on a full disk: SQLITE_IOERR_SHMSIZE. A quota shows as a failed write.
        const SHM_SIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
        match &error {
            rusqlite::Error::SqliteFailure(e, _) if e.code == DiskFull || e.extended_code == SHM_SIZE => {
                StoreError::NoSpace
            }
            rusqlite::Error::SqliteFailure(e, _) if matches!(e.code, DatabaseCorrupt | NotADatabase) => {
                StoreError::Damaged(error.to_string())
            }
            _ => StoreError::Failed(error.to_string()),
        }
    }
}

/// An event as it is kept: its number, its time, and its JSON without those.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// Its time.
    pub at: Timestamp,
    /// See [`Event::to_body`].
    pub body: Box<str>,
}

/// One thing to be made durable. Those of one job are committed together or not at all.
#[derive(Debug)]
pub enum Op {
    /// Append an event to the log.
    Append(Timestamp, Event),
    /// Append a message's `message.queued` event and put the message into the outbox, unless its key was used.
    Queue {
        /// When it was queued.
        at: Timestamp,
        /// The event.
        event: Event,
        /// Where its datagram goes.
        address: SocketAddr,
        /// What is sent.
        datagram: Vec<u8>,
        /// When it is given up.
        expires: Timestamp,
        /// Whose key this is, the key, and the digest of the parameters it stands for.
        key: Option<(u32, Key, [u8; 32])>,
    },
    /// Take a message out of the outbox and append what became of it.
    Settle(Timestamp, Seq, Event),
    /// Append a message's `message.queued` event and keep the message for each of these peers, unless its key was used.
    Post {
        /// The event.
        event: Event,
        /// To whom.
        to: Vec<PeerId>,
        /// What; its number and its id are given to it.
        letter: Letter,
        /// As in [`Op::Queue`].
        key: Option<(u32, Key, [u8; 32])>,
    },
    /// A peer has stored every message up to this number: forget those, and append the event.
    Delivered(Timestamp, PeerId, u64, Event),
    /// Forget one message for a peer, and append what became of it.
    GiveUp(Timestamp, PeerId, u64, Event),
    /// What a peer said up to this number is stored with this job.
    Stored(Timestamp, PeerId, Epoch, u64),
    /// Forget how far this log of a peer is stored.
    StoredForget(PeerId, Epoch),
    /// Keep a peer as it is now.
    PeerSet(Box<PeerRow>),
    /// Keep what a peer is called, where it is and when it was seen, whatever its trust is meanwhile; a new one is a
    /// stranger.
    PeerSeen(Box<PeerRow>),
    /// Forget a peer, and what waits for it.
    PeerRemove(PeerId),
    /// Keep a host that is asked for a peer.
    HostSet(HostRow),
    /// Forget one.
    HostRemove(String),
    /// Be in a room, or no longer.
    RoomSet(PeerName, bool),
    /// Remember what a plain peer is answered in; UTF-8, the default, is forgotten.
    Conversation(Timestamp, SocketAddr, Encoding),
    /// Tell where a cursor stands.
    CursorRead(u32, CursorName),
    /// Move a cursor.
    CursorMove(Timestamp, u32, CursorName, Seq),
    /// Forget a cursor.
    CursorRemove(u32, CursorName),
    /// List a user's cursors.
    CursorList(u32),
    /// Keep a share.
    ShareAdd(ShareRow),
    /// Forget a share.
    ShareRemove(String),
    /// Add a download and append its `download.queued`, unless its key was used.
    DownloadAdd {
        /// The download.
        row: Box<DownloadRow>,
        /// The event.
        event: Event,
        /// As in [`Op::Queue`].
        key: Option<(u32, Key, [u8; 32])>,
    },
    /// Keep a download as it is now.
    DownloadSet(Box<DownloadRow>),
    /// Forget a download, its part included.
    DownloadRemove(u64),
    /// Give downloads other places in the queue.
    DownloadOrder(Vec<(u64, i64)>),
    /// Limit all downloads together, or leave that to the configuration.
    DownloadLimit(Option<u64>),
    /// Tell what a download's part file holds.
    PartRead(u64),
    /// Note what a part file holds: how many bytes are there, of how many in all, and what changed since it was noted last.
    PartSave(u64, u64, Option<u64>, PartNote),
    /// Forget what a part file held, and what is staged.
    PartForget(u64),
    /// Forget what a part file held: it is one of the staged files now, or of no use.
    PartNext(u64),
    /// Note the directory that a download is staged in, and files that came to be there.
    StageSave(u64, StageRow, Vec<StagedFile>),
    /// Keep what a shared file hashes to.
    ManifestKeep(Box<ManifestRow>),
    /// Note who a download's bytes came from.
    SourcesSave(u64, Vec<DownloadSource>),
    /// Keep the log within other limits from now on.
    Retain(Retention),
}

/// What became of an [`Op`].
#[derive(Debug)]
pub enum Outcome {
    /// The event is in the log.
    Appended(Arc<Entry>),
    /// The event is in the log, and the message has these numbers on the way to its peers.
    Posted(Arc<Entry>, Vec<(PeerId, u64)>),
    /// Nothing was appended: the key was used before with the same parameters, for the message, or the download, with
    /// this number.
    Repeated(u64),
    /// Nothing was appended: the key was used before with other parameters.
    KeyConflict,
    /// Where a cursor stands, if it exists.
    Cursor(Option<CursorRow>),
    /// A user's cursors.
    Cursors(Vec<CursorRow>),
    /// What is known of a download's part file.
    Part(Box<Held>),
    /// The user has too many cursors.
    TooManyCursors,
    /// Done; there is nothing to tell. `false`: what should be removed was not there.
    Done(bool),
}

/// A named place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorRow {
    /// Its name.
    pub name: String,
    /// Which log it stands in.
    pub epoch: Epoch,
    /// The last event that was done with.
    pub seq: Seq,
    /// When it was moved last.
    pub moved: Timestamp,
}

/// What a starting daemon finds.
#[derive(Debug)]
pub struct Loaded {
    /// Which log this is.
    pub epoch: Epoch,
    /// How the log is.
    pub stats: LogStats,
    /// What waits to be sent, by message.
    pub outbox: Vec<Outgoing>,
    /// The plain peers that are not answered in UTF-8.
    pub conversations: Vec<(SocketAddr, Encoding, Timestamp)>,
    /// Directories that were shared while netkitd ran.
    pub shares: Vec<ShareRow>,
    /// The download queue.
    pub downloads: LoadedDownloads,
    /// Peers, and what goes between them and us.
    pub peers: LoadedPeers,
}

/// What a starting daemon finds of the download queue.
#[derive(Debug, Default)]
pub struct LoadedDownloads {
    /// All downloads, by id.
    pub rows: Vec<DownloadRow>,
    /// The highest id that was ever given.
    pub last_id: u64,
    /// The limit of all together, where it was set while netkitd ran.
    pub limit: Option<u64>,
}

/// Opens the database at `path` and starts both threads. Answers to jobs come from the receiver.
///
/// # Errors
/// See [`StoreError`].
pub fn open(
    path: &Path,
    retention: Retention,
) -> Result<(Writer, tokio::sync::mpsc::Receiver<Completion>, Reader, Loaded), StoreError> {
    let db = schema::open_writer(path)?;
    let loaded = Loaded {
        epoch: log::epoch(&db)?,
        stats: log::stats(&db)?,
        outbox: outbox::load(&db)?,
        conversations: outbox::load_conversations(&db)?,
        shares: shares::load(&db)?,
        downloads: LoadedDownloads {
            rows: downloads::load(&db)?,
            last_id: downloads::last_id(&db)?,
            limit: downloads::limit(&db)?,
        },
        peers: LoadedPeers { letters: letters::load(&db)?, ..peers::load(&db)? },
    };
    let reader = reader::start(schema::open_reader(path)?)?;
    let (writer, completions) = writer::start(db, room::Room::of(path), loaded.epoch, retention)?;
    Ok((writer, completions, reader, loaded))
}
