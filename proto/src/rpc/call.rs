//! The methods of the control socket: for each, the type of its parameters, of its answer, and who may call it.
//! Parameters are objects, by name; an unknown name is refused.

use super::event::{Filter, Record};
use crate::ids::{Epoch, Seq};
use crate::name::{CursorName, Key};
use crate::time::Timestamp;
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
    NodeStatus => "node.status", Reader, Status,
        "How netkitd is doing.";
    NodeReload => "node.reload", Operator, Reloaded,
        "Reads the configuration again, as SIGHUP does.";
    Discover => "rpc.discover", Reader, serde_json::Value,
        "This interface as an OpenRPC document.";
}

macro_rules! plain_data {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $ty:ty,)* })*) => {
        $(#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        $(#[$doc])*
        pub struct $name { $($(#[$attr])* pub $field: $ty,)* })*
    };
}

plain_data! {
    /// Parameters of `chat.send`.
    #[serde(deny_unknown_fields)]
    ChatSend {
        /// `NAME`, `NAME~prefix`, `@room`, `@all` or `udp://HOST:PORT`.
        to: String,
        /// At most 64 KiB; to a plain peer at most 1024 bytes in its encoding.
        text: String,
        /// The same key with the same parameters sends nothing twice; kept for 30 days, per user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
        /// Seconds after which the message is given up if it could not be sent; default 7 days.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expire: Option<u64>,
    }

    /// Answer of `chat.send`: the message is committed.
    Sent {
        /// The message's id: the number of its `message.queued` event.
        id: Seq,
        /// The key was used before: this is the message of then, nothing was sent now.
        repeated: bool,
    }

    /// Parameters of `events.read`.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    EventsRead {
        /// Which log the numbers belong to; another one than the present is an error.
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
        /// Read what comes after this number. Missing: from the oldest event that is kept, without a gap.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<Seq>,
        /// Read only what comes before this number.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Seq>,
        /// At most so many events, 1 to 1000; default 100.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// The last ones that match instead of the first ones; still in rising order.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        last: bool,
        /// Which events.
        filter: Filter,
    }

    /// Answer of `events.read`.
    Page {
        /// Which log this is.
        epoch: Epoch,
        /// Events in rising order.
        events: Vec<Record>,
        /// With `more`, ask again with `since` = this; with `last`, with `before` = this. Otherwise the place up
        /// to which the log was read: subscribe since here to miss nothing.
        next: Seq,
        /// Whether there may be more to read in this direction.
        more: bool,
        /// The highest number in the log.
        head: Seq,
    }

    /// Parameters of `events.subscribe`.
    #[derive(Default)]
    #[serde(default, deny_unknown_fields)]
    EventsSubscribe {
        /// Which log `since` belongs to; another one than the present is an error.
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<Epoch>,
        /// Deliver what comes after this number. Missing: only what happens from now on.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<Seq>,
        /// Which events.
        filter: Filter,
    }

    /// Answer of `events.subscribe`; the events follow it.
    Subscribed {
        /// The number that this session's notifications carry.
        subscription: u64,
        /// Which log this is.
        epoch: Epoch,
        /// The highest number in the log at this moment.
        head: Seq,
    }

    /// Parameters of the notification `events.event`.
    Delivery {
        /// Which subscription.
        subscription: u64,
        /// The event.
        result: Record,
    }

    /// Parameters of `events.position`.
    #[serde(deny_unknown_fields)]
    EventsPosition {
        /// Which subscription.
        subscription: u64,
    }

    /// Answer of `events.position`.
    Position {
        /// Every event up to this number was delivered, or passed over by the filter.
        seq: Seq,
    }

    /// Parameters of `events.unsubscribe`.
    #[serde(deny_unknown_fields)]
    EventsUnsubscribe {
        /// Which subscription.
        subscription: u64,
    }

    /// Parameters of `cursors.open`.
    #[serde(deny_unknown_fields)]
    CursorsOpen {
        /// Which cursor of the caller's; made if it does not exist.
        name: CursorName,
    }

    /// Answer of `cursors.open`.
    CursorOpened {
        /// Which log this is.
        epoch: Epoch,
        /// The number of the last event that was done with. Missing: a new cursor, or one of a log that was
        /// replaced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<Seq>,
        /// The cursor stood in a log that was replaced since.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        epoch_changed: bool,
    }

    /// Parameters of `cursors.commit`.
    #[serde(deny_unknown_fields)]
    CursorsCommit {
        /// Which cursor; this session holds it.
        name: CursorName,
        /// The log that `seq` counts in; another one than the present is an error.
        epoch: Epoch,
        /// The number of the last event that was done with.
        seq: Seq,
    }

    /// Parameters of `cursors.close`.
    #[serde(deny_unknown_fields)]
    CursorsClose {
        /// Which cursor; this session holds it.
        name: CursorName,
    }

    /// Parameters of `cursors.remove`.
    #[serde(deny_unknown_fields)]
    CursorsRemove {
        /// Which cursor of the caller's; nobody else holds it.
        name: CursorName,
    }

    /// Parameters of `cursors.list`.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    CursorsList {}

    /// Answer of `cursors.list`.
    CursorList {
        /// The caller's cursors by name.
        cursors: Vec<Cursor>,
    }

    /// A named place in the log.
    Cursor {
        /// Its name.
        name: CursorName,
        /// Which log it stands in.
        epoch: Epoch,
        /// The number of the last event that was done with.
        seq: Seq,
        /// When it was moved last.
        moved: Timestamp,
        /// Whether some session holds it.
        held: bool,
    }

    /// Parameters of `node.status`.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    NodeStatus {}

    /// Parameters of `node.reload`.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    NodeReload {}

    /// Parameters of `rpc.discover`.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    Discover {}

    /// An answer that says only that it was done.
    #[derive(Default)]
    Empty {}

    /// Answer of `node.reload`: keys of the configuration that differ from before.
    Reloaded {
        /// Those in force now.
        changed: Vec<String>,
        /// Those that wait for a restart.
        needs_restart: Vec<String>,
    }

    /// Answer of `node.status`.
    Status {
        /// The name of this box.
        name: String,
        /// netkitd's version.
        version: String,
        /// Its process id.
        pid: u32,
        /// When it started.
        started: Timestamp,
        /// What this caller may do.
        access: Access,
        /// The event log.
        log: LogStatus,
        /// The chat port.
        chat: ChatStatus,
        /// The control socket.
        control: ControlStatus,
    }

    /// How the event log is.
    #[derive(Default)]
    LogStatus {
        /// Which log this is.
        epoch: u64,
        /// The highest number in it.
        head: Seq,
        /// Events kept.
        events: u64,
        /// Their size in bytes.
        bytes: u64,
        /// How many of them are lines without proof of who sent them.
        unverified: u64,
        /// Why nothing can be written at present; missing when all is well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    }

    /// How the chat port is. Counters count since the start.
    #[derive(Default)]
    ChatStatus {
        /// The address in use.
        listen: String,
        /// Whether plain lines are taken and sent.
        plain: bool,
        /// Messages stored.
        received: u64,
        /// Messages sent.
        sent: u64,
        /// Messages that wait to be sent.
        queued: u64,
        /// What did not become a message.
        dropped: Dropped,
    }

    /// Datagrams that did not become a message, by where they were dropped.
    #[derive(Default)]
    Dropped {
        /// By the kernel: the socket's buffer was full.
        kernel: u64,
        /// By fair queueing: their source sent more than its share while netkitd was saturated.
        saturated: u64,
        /// Not from one of the nets in `chat.allow`.
        not_allowed: u64,
        /// Not accepted: `chat.plain` is off or `chat.accept` wants more than a plain peer can prove.
        not_accepted: u64,
    }

    /// How the control socket is.
    #[derive(Default)]
    ControlStatus {
        /// Its path.
        socket: String,
        /// Sessions open, this one included.
        sessions: u64,
        /// Sessions refused since the start because too many were open.
        refused: u64,
        /// Log lines dropped since the start because the journal did not take them.
        log_lines_dropped: u64,
    }
}
