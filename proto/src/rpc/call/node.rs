//! `node.*` and `rpc.discover`: netkitd itself.

use super::Access;
use crate::ids::Seq;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

super::plain_data! {
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
        /// The other netkit boxes.
        #[serde(default)]
        peers: PeerStatus,
        /// The file port.
        files: FileStatus,
        /// The download queue.
        #[serde(default)]
        downloads: DownloadStatus,
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
        /// How many of them strangers caused: lines without proof of who sent them, messages of boxes that nobody here
        /// knows, and that such a box came.
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

    /// How many peers there are of which sort.
    #[derive(Default)]
    PeerStatus {
        /// Linked now.
        linked: u64,
        /// Known and trusted ones.
        known: u64,
        /// Strangers that were seen.
        new: u64,
        /// Messages that wait for peers, or for their receipts.
        queued: u64,
        /// Connections turned away since the start because there were too many, or too much was said on them.
        #[serde(default)]
        refused: u64,
        /// Packets of connections dropped since the start because too many waited. What was in them comes again.
        #[serde(default)]
        dropped: u64,
        /// Messages not taken since the start because too many waited already.
        #[serde(default)]
        full: u64,
        /// Callers that had to show first that their address is their own, since the start, because many called at once.
        #[serde(default)]
        challenged: u64,
        /// Connections ended since the start because the other side did not keep to the protocol, its sizes and times.
        #[serde(default)]
        mistakes: u64,
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

    /// How the file port is. Counters count since the start.
    #[derive(Default)]
    FileStatus {
        /// The address in use.
        listen: String,
        /// Directories that are shared.
        shares: u64,
        /// Connections open now.
        open: u64,
        /// Files sent whole, and parts of them that were asked for.
        served: u64,
        /// Bytes of files handed to clients.
        bytes: u64,
        /// Connections that were not served.
        refused: RefusedConnections,
    }

    /// How the download queue is.
    #[derive(Default)]
    DownloadStatus {
        /// Where files go.
        dir: String,
        /// Downloads that bytes come for, or that are being checked.
        active: u64,
        /// Those that wait for their turn or for another try.
        waiting: u64,
        /// Those that wait for somebody to resume them.
        paused: u64,
        /// Those that were given up.
        failed: u64,
        /// Bytes a second, all together.
        rate: u64,
        /// The most bytes a second for all together; 0 = no limit.
        limit: u64,
    }

    /// Connections that were not served, by why.
    #[derive(Default)]
    RefusedConnections {
        /// Not from one of the nets in `files.allow`.
        not_allowed: u64,
        /// Their address held its share of connections.
        busy: u64,
        /// They said nothing, and others needed the place.
        silent: u64,
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
