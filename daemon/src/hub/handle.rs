//! The hub's front: what the edges may ask of it and tell it.

pub use super::downloads::DownloadCounts;
pub use super::peers::{PeerCommand, PeerCounts};

use crate::files::{Share, Target};
use crate::limits;
use crate::store::{CursorRow, LogStats};
use netkit_proto::chat::plain;
use netkit_proto::files::checksum::Checksum;
use netkit_proto::files::listing::Listing;
use netkit_proto::ids::{PeerId, Seq};
use netkit_proto::name::{CursorName, Key, PeerName};
use netkit_proto::path::SafePath;
use netkit_proto::rpc::call::{
    Download, DownloadAdded, DownloadList, DownloadState, Peer, PeerList, Place, RoomList,
};
use netkit_proto::rpc::code::{Error, Kind};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A session of the control socket.
pub type SessionId = u64;

/// Where the answer to a command goes.
pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What a session asks for.
#[derive(Debug)]
pub enum Command {
    /// Queue a message; answered when it is committed.
    Send(SendRequest, Reply<Queued>),
    /// Take hold of a cursor and tell where it stands.
    CursorOpen(CursorOf, Reply<Option<CursorRow>>),
    /// Move a cursor that the session holds.
    CursorCommit(CursorOf, Seq, Reply<()>),
    /// Let go of a cursor that the session holds.
    CursorClose(CursorOf, Reply<()>),
    /// Forget a cursor that no other session holds.
    CursorRemove(CursorOf, Reply<()>),
    /// List a user's cursors, each with whether it is held.
    CursorList(u32, Reply<Vec<(CursorRow, bool)>>),
    /// Share a directory.
    ShareAdd(Share, Reply<()>),
    /// End a share that was added.
    ShareRemove(String, Reply<()>),
    /// Queue a download, from the peer that is called so where it is a peer's; answered when it is committed.
    DownloadAdd(Box<DownloadRequest>, Option<String>, Reply<DownloadAdded>),
    /// Change a download; answered when it has happened.
    DownloadChange(u64, Change, Reply<Download>),
    /// Give a download another place in the queue.
    DownloadMove(u64, Place, Reply<()>),
    /// Limit all downloads together, or leave that to the configuration.
    DownloadLimit(Option<u64>, Reply<()>),
    /// Show a download.
    DownloadShow(u64, Reply<Download>),
    /// Ask a peer what is in a directory of its shares.
    PeerFiles(String, SafePath, Reply<Listing>),
    /// Show downloads in these states, so many left out.
    DownloadList(Vec<DownloadState>, u64, Reply<DownloadList>),
    /// Something about peers or rooms.
    Peers(PeerCommand),
    /// List the peers.
    PeerList(Reply<Box<PeerList>>),
    /// Show the peer that is called so.
    PeerShow(String, Reply<Box<Peer>>),
    /// List the rooms.
    RoomList(Reply<RoomList>),
    /// The session ended: let go of its cursors.
    SessionEnded(SessionId),
}

/// A cursor, as a session names it.
#[derive(Clone, Debug)]
pub struct CursorOf {
    /// The session.
    pub session: SessionId,
    /// Its user.
    pub uid: u32,
    /// The cursor's name.
    pub name: CursorName,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To a plain peer.
    Plain(SocketAddr),
    /// To a netkit peer.
    Peer {
        /// What it calls itself.
        name: PeerName,
        /// The start of its id.
        prefix: Option<String>,
    },
    /// To those in a room.
    Room(PeerName),
    /// To all that are known.
    All,
}

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// Who sends it.
    pub uid: u32,
    /// The destination as the caller named it.
    pub to: String,
    /// The same, understood.
    pub route: Route,
    /// What is sent.
    pub text: String,
    /// The caller's idempotency key.
    pub key: Option<Key>,
    /// How long it may wait.
    pub expire: Option<Duration>,
}

impl SendRequest {
    /// What a key stands for: the destination as named, the time to wait, the text.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.to.as_bytes()).update(&[0]);
        hasher.update(&self.expire.map_or(u64::MAX, |expire| expire.as_secs()).to_le_bytes());
        hasher.update(self.text.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// A download that is asked for.
#[derive(Clone, Debug)]
pub struct DownloadRequest {
    /// Who asks.
    pub uid: u32,
    /// Where it comes from; it can be read.
    pub source: String,
    /// The peer that this names.
    pub peer: Option<PeerId>,
    /// Where it goes.
    pub target: Target,
    /// Another name will not do.
    pub named: bool,
    /// A file of that name is replaced.
    pub force: bool,
    /// What its content must hash to.
    pub checksum: Option<Checksum>,
    /// The most bytes a second; 0 = no limit.
    pub limit: u64,
    /// The caller's idempotency key.
    pub key: Option<Key>,
}

impl DownloadRequest {
    /// What a key stands for: everything that was asked for.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let checksum = self.checksum.as_ref().map(ToString::to_string).unwrap_or_default();
        let path = self.target.shown();
        for part in
            [b"download", self.source.as_bytes(), path.as_os_str().as_encoded_bytes(), checksum.as_bytes()]
        {
            hasher.update(part).update(&[0]);
        }
        hasher.update(&[self.named.into(), self.force.into()]).update(&self.limit.to_le_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// What is to become of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Stop until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// Try again what failed or was cancelled.
    Retry,
    /// End it, and delete what came.
    Cancel,
    /// Forget it; what is not done is cancelled first.
    Remove,
    /// The most bytes a second.
    Limit(u64),
}

/// A message that is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its id.
    pub id: Seq,
    /// It was queued before, under the same key.
    pub repeated: bool,
    /// To a room or to all: whom it goes to.
    pub to: Vec<String>,
}

/// What the chat socket tells.
#[derive(Debug)]
pub struct ChatInput {
    /// Lines that arrived.
    pub lines: Vec<Arrived>,
    /// What became of datagrams that it was given, by message.
    pub sent: Vec<(Seq, io::Result<()>)>,
}

/// A line that arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Who sent it, an IPv4 address as such.
    pub from: SocketAddr,
    /// The address of ours that it was sent to, to answer from.
    pub local: Option<IpAddr>,
    /// What it says.
    pub line: plain::Line,
}

/// A datagram for the chat socket to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The message it carries.
    pub message: Seq,
    /// Where it goes.
    pub to: SocketAddr,
    /// The address of ours to send it from, where it matters.
    pub from: Option<IpAddr>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What the chat socket counts, since the start.
#[derive(Debug, Default)]
pub struct ChatCounters {
    /// Datagrams that the kernel dropped because the socket's buffer was full.
    pub kernel: AtomicU64,
    /// Lines dropped by fair queueing.
    pub saturated: AtomicU64,
    /// Datagrams from outside `chat.allow`.
    pub not_allowed: AtomicU64,
    /// Lines that `chat.plain` or `chat.accept` does not let in.
    pub not_accepted: AtomicU64,
    /// QUIC packets dropped because others were waiting.
    pub quic_dropped: AtomicU64,
    /// QUIC connections turned away because there were too many.
    pub quic_refused: AtomicU64,
    /// Callers that had to show first that their address is their own.
    pub quic_challenged: AtomicU64,
    /// Connections of peers that did not keep to the protocol.
    pub mistakes: AtomicU64,
}

/// What the file port counts, since the start.
#[derive(Debug, Default)]
pub struct FileCounters {
    /// Connections open now.
    pub open: AtomicU64,
    /// Files sent whole, and parts of them that were asked for.
    pub served: AtomicU64,
    /// Bytes of files handed to clients.
    pub bytes: AtomicU64,
    /// Connections from outside `files.allow`.
    pub not_allowed: AtomicU64,
    /// Requests turned away because their address had its share.
    pub busy: AtomicU64,
    /// Connections that said nothing and were closed to make room.
    pub evicted: AtomicU64,
}

/// What the hub publishes about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// How much the log holds.
    pub log: LogStats,
    /// Why the last job of the store failed; `None` since one succeeded.
    pub trouble: Option<String>,
    /// Messages stored since the start.
    pub received: u64,
    /// Messages sent since the start.
    pub sent: u64,
    /// Messages that wait to be sent.
    pub queued: u64,
    /// The download queue.
    pub downloads: DownloadCounts,
    /// The peers.
    pub peers: PeerCounts,
}

/// The clonable front of the hub, for sessions. The hub ends when all are gone.
#[derive(Clone, Debug)]
pub struct HubHandle {
    pub(super) commands: mpsc::Sender<Command>,
}

/// An answer that is on its way.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Receiver<Result<T, Error>>);

impl<T> Answer<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// What the hub answered, or [`Kind::Unavailable`] where it ended first.
    pub async fn wait(self) -> Result<T, Error> {
        self.0.await.map_err(|_| stopping())?
    }
}

impl HubHandle {
    /// The channel that commands come out of, and its front.
    pub(super) fn channel() -> (HubHandle, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(limits::HUB_COMMANDS);
        (HubHandle { commands }, queue)
    }

    /// Hands a command over, waiting while the hub is busy. Commands take effect in the order they are handed over.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where the hub ended.
    pub async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<Answer<T>, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| stopping())?;
        Ok(Answer(answer))
    }

    /// Lets go of what a session held.
    pub async fn session_ended(&self, session: SessionId) {
        let _ = self.commands.send(Command::SessionEnded(session)).await; // a hub that ended holds nothing
    }
}

fn stopping() -> Error {
    Error::new(Kind::Unavailable, "netkitd is stopping").hint("try again when it has started")
}
