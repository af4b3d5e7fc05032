//! The methods of the control socket: for each, the type of its parameters, of its answer, and who may call it.
//! Parameters are objects, by name; an unknown name is refused.

macro_rules! plain_data {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $ty:ty,)* })*) => {
        $(#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        $(#[$doc])*
        pub struct $name { $($(#[$attr])* pub $field: $ty,)* })*
    };
}
use plain_data;

mod chat;
mod cursors;
mod downloads;
mod events;
mod node;
mod peers;
mod shares;

pub use chat::{ChatSend, Sent};
pub use cursors::{
    Cursor, CursorList, CursorOpened, CursorsClose, CursorsCommit, CursorsList, CursorsOpen, CursorsRemove,
};
pub use downloads::{
    Download, DownloadAdded, DownloadList, DownloadSource, DownloadState, DownloadsAdd, DownloadsCancel,
    DownloadsLimit, DownloadsList, DownloadsMove, DownloadsPause, DownloadsRemove, DownloadsResume,
    DownloadsRetry, DownloadsShow, Failure, Place,
};
pub use events::{
    Delivery, EventsPosition, EventsRead, EventsSubscribe, EventsUnsubscribe, Page, Position, Subscribed,
};
pub use node::{
    ChatStatus, ControlStatus, Discover, DownloadStatus, Dropped, Empty, FileStatus, LogStatus, NodeReload,
    NodeStatus, PeerStatus, RefusedConnections, Reloaded, Status,
};
pub use peers::{
    How, Me, Peer, PeerAddress, PeerHost, PeerList, PeersAdd, PeersBlock, PeersList, PeersRemove, PeersShow,
    PeersTrust, Room, RoomList, RoomsJoin, RoomsLeave, RoomsList, Trust,
};
pub use shares::{FilesList, Share, ShareAccess, ShareList, SharesAdd, SharesList, SharesRemove};

use crate::files::listing::Listing;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a caller may do. Operators may do all that readers may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Sees what arrived and how things are.
    Reader,
    /// Also sends and changes.
    Operator,
}

/// A method, named by the type of its parameters.
pub trait Call: Serialize + DeserializeOwned {
    /// Its name on the wire, `noun.verb`.
    const METHOD: &'static str;
    /// Who may call it.
    const ACCESS: Access;
    /// What it is for, in one line.
    const SUMMARY: &'static str;
    /// What it answers.
    type Answer: Serialize + DeserializeOwned;
}

macro_rules! calls {
    ($($params:ident => $method:literal, $access:ident, $answer:ty, $summary:literal;)*) => {
        $(impl Call for $params {
            const METHOD: &'static str = $method;
            const ACCESS: Access = Access::$access;
            const SUMMARY: &'static str = $summary;
            type Answer = $answer;
        })*
        /// Hands every method's parameter type to `visitor`.
        #[cfg(feature = "schema")]
        pub(super) fn for_each(visitor: &mut super::schema::Visitor) {
            $(visitor.visit::<$params>();)*
        }
    };
}

calls! {
    ChatSend => "chat.send", Operator, Sent,
        "Commits a message and sends it; answers once it is on disk.";
    EventsRead => "events.read", Reader, Page,
        "Reads a page of the log.";
    EventsSubscribe => "events.subscribe", Reader, Subscribed,
        "Delivers every event after a place, those of the past first, as notifications events.event.";
    EventsPosition => "events.position", Reader, Position,
        "How far a subscription of this session is; what it delivered up to there came before this answer.";
    EventsUnsubscribe => "events.unsubscribe", Reader, Empty,
        "Ends a subscription of this session.";
    CursorsOpen => "cursors.open", Reader, CursorOpened,
        "Takes hold of a named place in the log until the session ends.";
    CursorsCommit => "cursors.commit", Reader, Empty,
        "Moves a cursor held by this session; answers once the move is on disk.";
    CursorsClose => "cursors.close", Reader, Empty,
        "Lets go of a cursor held by this session.";
    CursorsList => "cursors.list", Reader, CursorList,
        "Lists the caller's cursors.";
    CursorsRemove => "cursors.remove", Reader, Empty,
        "Forgets a cursor of the caller's.";
    SharesList => "shares.list", Reader, ShareList,
        "What is shared.";
    SharesAdd => "shares.add", Operator, Empty,
        "Shares a directory, from now on and after a restart.";
    SharesRemove => "shares.remove", Operator, Empty,
        "Ends a share that was added; what is being sent of it goes on.";
    FilesList => "files.list", Reader, Listing,
        "Lists a directory in our own shares.";
    DownloadsAdd => "downloads.add", Operator, DownloadAdded,
        "Queues a download; answers once it is on disk.";
    DownloadsList => "downloads.list", Reader, DownloadList,
        "The download queue, a page at a time.";
    DownloadsShow => "downloads.show", Reader, Download,
        "One download.";
    DownloadsPause => "downloads.pause", Operator, Download,
        "Stops a download until it is resumed; what came of it is kept. Answers when it has stopped.";
    DownloadsResume => "downloads.resume", Operator, Download,
        "Queues a paused download again.";
    DownloadsRetry => "downloads.retry", Operator, Download,
        "Queues a failed or cancelled download again, under its id and with what came of it.";
    DownloadsCancel => "downloads.cancel", Operator, Download,
        "Ends a download and deletes what came of it.";
    DownloadsRemove => "downloads.remove", Operator, Empty,
        "Forgets a download; one that is not done is cancelled first. A complete file stays.";
    DownloadsMove => "downloads.move", Operator, Empty,
        "Gives a download another place in the queue.";
    DownloadsLimit => "downloads.limit", Operator, Empty,
        "Limits the rate of one download, or of all together, from now on and after a restart.";
    PeersList => "peers.list", Reader, PeerList,
        "This box, the others, and the hosts that are asked for peers.";
    PeersShow => "peers.show", Reader, Peer,
        "One peer.";
    PeersAdd => "peers.add", Operator, Empty,
        "Asks a host for a peer, from now on and after a restart. Whoever is there first becomes known.";
    PeersRemove => "peers.remove", Operator, Empty,
        "Forgets a peer, and what waits for it is given up; or no longer asks a host.";
    PeersTrust => "peers.trust", Operator, Peer,
        "Trusts a peer: it is the one that its id says.";
    PeersBlock => "peers.block", Operator, Peer,
        "Ends the link to a peer, and takes nothing from it any more.";
    RoomsList => "rooms.list", Reader, RoomList,
        "All rooms that somebody is in.";
    RoomsJoin => "rooms.join", Operator, Empty,
        "Hears what known and trusted peers say to a room, from now on and after a restart.";
    RoomsLeave => "rooms.leave", Operator, Empty,
        "Hears no more of a room.";
    NodeStatus => "node.status", Reader, Status,
        "How netkitd is doing.";
    NodeReload => "node.reload", Operator, Reloaded,
        "Reads the configuration again, as SIGHUP does.";
    Discover => "rpc.discover", Reader, serde_json::Value,
        "This interface as an OpenRPC document.";
}
